"""What the counts of a run mean: three questions, each with its own tool.

1. *Is the charged memory possible?* ``ledger``: surprise in bits, a test supermartingale.
2. *Is the guarantee broken?* ``Guarantee``: betting e-processes over messages, by age and by row.
3. *Where is it on the curve?* ``interval``: anytime-valid, over messages.

Everything is a pure function of per-message counts. The tools themselves, with their proofs, are
in :mod:`.ledger` and :mod:`.betting`; this module combines the second question and exports all
three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..game.coins import AGE_BUCKETS
from .betting import Float64, adjusted_level, interval, log_wealth_above, log_wealth_below
from .ledger import (
    LINE_BITS,
    FamilyLedger,
    Ledger,
    LedgerVerdict,
    family_ledger,
    ledger,
    look_bits,
    sampled_surprise_bits,
    surprise_bits,
)

__all__ = [
    "AGE_BUCKETS", "GUARANTEE", "LINE_BITS", "FamilyLedger", "Guarantee", "GuaranteeVerdict",
    "Ledger", "LedgerVerdict", "adjusted_level", "combine_broken", "combine_guarantees",
    "combine_not_broken", "family_ledger", "interval", "ledger", "log_wealth_above",
    "log_wealth_below", "look_bits", "sampled_surprise_bits", "surprise_bits",
]  # fmt: skip

GUARANTEE = 0.1
"""The theorem's guarantee: each index is answered wrongly with probability at most 1/10."""

_ROWS_AT_ONCE = 1024

GuaranteeVerdict = Literal["broken", "not-broken", "undecided"]


@dataclass(frozen=True, eq=False)
class Guarantee:
    """The evidence on "each index is answered wrongly with probability at most 1/10".

    ``above`` float64[T, 16]: ln wealth against "bucket b's mean error is at most 1/10" after each
    message; ``below``: against "it is above 1/10" (:mod:`.betting`); one bucket only where one mean
    is all that is promised (:meth:`of_mean`). ``rows`` float64[T]: ln of the average over rows
    of the wealths against "this row's mean error is at most 1/10", None where no row's bits were
    counted; ``row_scores`` float64[rows]: ln of each row's at the end.
    All start at ln 1 = 0.

    * ``broken``: "some index errs with probability above 1/10". Its null says that *every* row is
      fine, and with the rows every bucket. The average of the buckets' wealths is an e-process
      for it, whatever the dependence between buckets, so is the average of the rows', and so is
      the average of the two, which reaches 1/alpha with probability at most alpha if the
      guarantee holds. The buckets detect an error that is spread over many rows; the rows
      detect one lost row, which no bucket's average shows: a random row gains a factor 5 a
      message, and the average over n rows costs it log2 n bits.
    * ``not-broken``: "on average over each age bucket the error is at most 1/10". Its null is
      "some bucket's mean exceeds 1/10", a union; if bucket b's does, then its wealth below ever
      reaches 1/alpha with probability at most alpha, so requiring this of *every* bucket needs
      no correction (intersection-union), each at its own time.

    *At most one of the two can be false*, so a false verdict has probability at most alpha:
    ``broken`` is false only if all rows, hence all buckets, are at most 1/10, ``not-broken`` only
    if some bucket is above. At 1/10 exactly ``not-broken`` is true. Both can be true, for a
    lost row in a good bucket: then ``broken`` is the verdict, because it says more.
    """

    above: Float64
    below: Float64
    rows: Float64 | None = None
    row_scores: Float64 | None = None

    @classmethod
    def of(
        cls,
        wrong_by_age: ArrayLike,
        asked_by_age: ArrayLike,
        row_errors: Float64 | None = None,
    ) -> Guarantee:
        """From int[T, 16] wrong and asked bits; a bucket that is never asked stays undecided.

        ``row_errors`` float64[T, rows]: fractions of wrong bits, NaN where a row was not asked or
        its bits not counted.
        """
        wrong = np.asarray(wrong_by_age, dtype=np.float64).reshape(-1, AGE_BUCKETS)
        asked = np.asarray(asked_by_age, dtype=np.float64).reshape(-1, AGE_BUCKETS)
        e = np.divide(wrong, asked, out=np.full_like(wrong, np.nan), where=asked > 0)
        rows = (None, None) if row_errors is None else _average_of_rows(row_errors)
        return cls(log_wealth_above(e, GUARANTEE), log_wealth_below(e, GUARANTEE), *rows)

    @classmethod
    def of_mean(cls, errors: ArrayLike) -> Guarantee:
        """One bucket: from float64[T], one error a message, whose mean is what is promised."""
        e = np.asarray(errors, dtype=np.float64)[:, None]
        return cls(log_wealth_above(e, GUARANTEE), log_wealth_below(e, GUARANTEE))

    def __len__(self) -> int:
        return len(self.above)

    def bucket_process(self) -> Float64:
        """ln of the e-process against "every bucket is fine", float64[T]."""
        return np.asarray(np.logaddexp.reduce(self.above, axis=1) - math.log(self.above.shape[1]))

    def broken_process(self) -> Float64:
        """ln of the e-process against "every row is fine", float64[T]: buckets and rows at half.

        The buckets' alone where no row's bits were counted.
        """
        if self.rows is None:
            return self.bucket_process()
        return np.asarray(np.logaddexp(self.bucket_process(), self.rows) - math.log(2))

    def not_broken_process(self) -> Float64:
        """ln of the smallest bucket's running peak below, float64[T]."""
        if len(self) == 0:
            return np.zeros(0)
        return np.asarray(np.maximum.accumulate(self.below, axis=0).min(axis=1))

    def decide(self, level: float = 0.95) -> tuple[GuaranteeVerdict, int]:
        """The verdict at ``level``, and how many messages it needed (all, if undecided)."""
        return _verdict(self.broken_process(), self.not_broken_process(), level)

    def contradicted_after(self, level: float = 0.95) -> int | None:
        """After how many messages the first of these fell, if both do: some bucket's average is
        above 1/10, every bucket's is at most 1/10.

        For one algorithm both occur with probability at most 1 - ``level``.
        """
        needed = -math.log(1.0 - level)
        pair = self.bucket_process(), self.not_broken_process()
        at = [_crossing(process, needed) for process in pair]
        return None if None in at else 1 + min(one for one in at if one is not None)


def _average_of_rows(errors: Float64) -> tuple[Float64, Float64]:
    """ln of the average over rows of their wealths above, and of each row's at the end."""
    T, n = errors.shape
    path, scores = np.full(T, -np.inf), []
    for start in range(0, n, _ROWS_AT_ONCE):
        wealth = log_wealth_above(errors[:, start : start + _ROWS_AT_ONCE], GUARANTEE)
        path = np.logaddexp(path, np.logaddexp.reduce(wealth, axis=1))
        scores.append(wealth[-1] if T else np.zeros(wealth.shape[1]))
    return np.asarray(path - math.log(n)), np.concatenate(scores)


def combine_broken(parts: Sequence[Guarantee]) -> Float64:
    """ln of the average over adversaries of their processes against "every row is fine".

    The average of e-processes is one, so it corrects for the choice of the best adversary. It is
    taken message by message; an adversary that has stopped keeps its value. float64[longest T].
    """
    processes = _together([part.broken_process() for part in parts])
    return np.asarray(np.logaddexp.reduce(processes, axis=0) - math.log(max(len(parts), 1)))


def combine_not_broken(parts: Sequence[Guarantee]) -> Float64:
    """ln of the smallest adversary's process: ``not-broken`` needs all of them. float64[longest
    T].

    An adversary that has stopped keeps its value.
    """
    return np.asarray(_together([part.not_broken_process() for part in parts]).min(axis=0))


def combine_guarantees(
    parts: Sequence[Guarantee], level: float = 0.95
) -> tuple[GuaranteeVerdict, int]:
    """One verdict from several adversaries, and the number of messages that it needed."""
    if not parts:
        return "undecided", 0
    return _verdict(combine_broken(parts), combine_not_broken(parts), level)


def _verdict(broken: Float64, kept: Float64, level: float) -> tuple[GuaranteeVerdict, int]:
    needed = -math.log(1.0 - level)
    at_broken, at_kept = _crossing(broken, needed), _crossing(kept, needed)
    if at_broken is not None:
        return "broken", at_broken + 1
    if at_kept is not None:
        return "not-broken", at_kept + 1
    return "undecided", len(broken)


def _crossing(process: Float64, needed: float) -> int | None:
    reached = np.flatnonzero(process >= needed)
    return int(reached[0]) if len(reached) else None


def _together(processes: Sequence[Float64]) -> Float64:
    longest = max(len(process) for process in processes)
    held = [
        np.pad(process, (0, longest - len(process)), mode="edge")
        if len(process)
        else np.zeros(longest)
        for process in processes
    ]
    return np.stack(held)
