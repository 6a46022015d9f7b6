"""The margins of the planted families, where several tokens may carry one row, and their scale.

A row's margin is condition M01 of ``margins`` with S' = S_i/W_i and a = ln W_i: W_i the sum of the
weights of the tokens that carry row i, S_i of all others (``planted`` has the proof).

**The tight scale.** f_i(C) = S_i/W_i has (ln f_i)' = E_others[s] - E_own[s], s = <k_i, k_l>, under
weights e^{C s}. The first is at most the largest other score; the second grows with C from the mean
own score. Where mean own - largest other =: g_i > 0, f_i therefore falls strictly. It starts at
(n-c)/c >= 1, c tokens a row, and f_i(C) <= (n-c)/c e^{-C g_i} (Jensen), the "closed" scale. So each
row has one root and bisection finds the largest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, NoScale, did_you_mean
from .interference import max_deviation
from .keys.base import KeySet
from .margins import Condition
from .paper import paper_scale
from .scale import SCALES, check_float32, float32_queries

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

_STEPS = 60  # halvings: the interval is then below float64's resolution
_BLOCK = 1 << 22  # scores looked at together, 32 MiB of float64


@dataclass(frozen=True, eq=False)
class RowMargins:
    """Who carries which row, and what it takes to tell.

    Attributes:
        keys: the stream's keys.
        asked: row i of the secret is asked for by C times key i of these.
        row_of: int64[n], the row of the secret that a token carries, -1 where it is public.
        condition: M01 at some eta.
    """

    keys: KeySet
    asked: KeySet
    row_of: Ints
    condition: Condition

    @property
    def all(self) -> Ints:
        """Every row."""
        return np.arange(self.asked.n)

    @property
    def tokens_a_row(self) -> int:
        """c, the same for every row."""
        return int(np.count_nonzero(self.row_of == 0))

    def sent(self, scale: float, at: Ints | None = None) -> Floats:
        """The float32 queries of the rows ``at``, exactly, as float64[m, d]."""
        rows = self.all if at is None else at
        return float32_queries(self.asked, scale, rows).astype(np.float64)

    def choose(self, scale: str | float) -> float:
        """The number behind "tight", "closed", "paper" or a number; every row has its margin at it.

        Raises BadInput and NoScale as :func:`~kvbarrier.reductions.scale.choose_scale`.
        """
        if scale in ("tight", "closed"):
            return self._with_room(scale == "tight")
        if scale == "paper":
            if self.tokens_a_row > 1:
                raise BadInput(
                    "The paper's scale needs nearly orthogonal keys (Theorem 8), and the keys "
                    "of a cluster are not: use scale='tight'."
                )
            scale = paper_scale(self.keys.n, self.condition.tolerance, max_deviation(self.keys))
        try:
            found = float(scale)
        except ValueError:
            hint = did_you_mean(str(scale), SCALES)
            raise BadInput(
                f"The scale must be a number or one of {', '.join(SCALES)}, not '{scale}'.{hint}"
            ) from None
        if not 0 < found < math.inf:
            raise BadInput(f"The scale must be a positive number, not {found:g}.")
        check_float32(self.asked, found)
        demand = self.condition.demand(*self.interference(self.sent(found), self.all))
        if not demand.max() < 1:
            raise NoScale(
                f"At scale {found:.6g} row {demand.argmax()} is not separated (condition M01: "
                f"{demand.max():.6g} is not below 1): use a larger scale, or scale='tight'."
            )
        return found

    def _with_room(self, tight: bool) -> float:
        """As ``scale.choose_scale``: the float32 queries must leave room for float32 outputs."""
        rule, slack = self.condition, 2 * self.condition.slack
        while slack < 0.5:
            bound = rule.bound * (1 - slack)
            found = self._closed_scale(bound)
            found = self._tight_scale(bound, found) if tight else found
            check_float32(self.asked, found)
            demand = rule.demand(*self.interference(self.sent(found), self.all))
            if demand.max() <= 1 - rule.slack:
                return found
            slack *= 2
        raise NoScale("Rounding the queries to float32 uses up the margin: use fewer keys.")

    def _closed_scale(self, bound: float) -> float:
        """ln((n-c) / (c bound)) / min_i g_i, in the words of the module docstring."""
        gaps = np.empty(self.asked.n)
        for at, scores, own in self._scores(self.asked.rows.astype(np.float64), self.all):
            mean = np.where(own, scores, 0).sum(axis=1) / own.sum(axis=1)
            gaps[at] = mean - np.where(own, -np.inf, scores).max(axis=1)
        if not gaps.min() > 1e-13:
            raise NoScale(
                f"Row {gaps.argmin()} does not stand out: on average the key of another token "
                "has the same score or a higher one. Use fewer tokens, a larger d or another "
                "key seed."
            )
        c = self.tokens_a_row
        return math.log((self.keys.n - c) / (c * bound)) / float(gaps.min())

    def _tight_scale(self, bound: float, above: float) -> float:
        """The least C up to ``above`` with S_i/W_i < bound for all i, by halving."""
        below, left = 0.0, self.all
        for _ in range(_STEPS):
            C = (below + above) / 2
            f, _ = self.interference(C * self.asked.rows[left].astype(np.float64), left)
            if f.max() < bound:
                above = C
            else:  # rows below the bound here are below it at every larger scale
                below, left = C, left[f >= bound]
        return above

    def _scores(self, Q: Floats, at: Ints) -> Iterator[tuple[slice, Floats, Bools]]:
        """Blocks (rows' places in ``at``, scores, which tokens carry the row)."""
        K, step = self.keys.rows.astype(np.float64).T, max(1, _BLOCK // self.keys.n)
        for start in range(0, len(at), step):
            block = slice(start, min(start + step, len(at)))
            yield block, Q[block] @ K, at[block, None] == self.row_of

    def interference(self, Q: Floats, at: Ints) -> tuple[Floats, Floats]:
        """S_i/W_i and ln W_i for the queries Q of the rows ``at``: two float64[m]."""
        others, weight = np.empty(len(at)), np.empty(len(at))
        for block, scores, own in self._scores(Q, at):
            top = np.where(own, scores, -np.inf).max(axis=1)
            with np.errstate(over="ignore"):
                e = np.exp(scores - top[:, None])
            mine = np.where(own, e, 0).sum(axis=1)
            others[block] = np.where(own, 0, e).sum(axis=1) / mine
            weight[block] = top + np.log(mine)
        return others, weight
