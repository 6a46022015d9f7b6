"""The paper's Algorithm 1: the last W tokens and sampled values (Theorems 24 and 25)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.state import from_storage, storage_dtype
from ...kit.token_cache import whole
from ...kit.window_ring import Float64, Summary, UnmaskedWindow, Weighed
from ...plugin.contract import Float32


class Algorithm1(UnmaskedWindow):
    """Algorithm 1 of Haris & Onak 2025 (reconstructed) for the unmasked sliding window.

    After t <= W tokens the answer is exact. Later one *copy* keeps v_r, uniform among the values
    outside the window (a reservoir of one), and answers with one value: with Z = sum of e^{s_l}
    over the window, with probability Z/(Z + t - W) the value v_l of a token drawn from the softmax
    inside (Line 22), else v_r (Line 24). Each token is answered with its own weight, so the answer
    is unbiased (Theorem 24).

    Theorem 25 takes ``copies`` of it to a mean and the median of ``means`` means, coordinate by
    coordinate (numbers: ``reductions.median_of_means``). All of them share one window, so that the
    state is W (d_k + d_v) + copies means d_v numbers and a counter of 64 bits.

    Coins. One uniform number a copy and step decides Line 22 or 24 and the token inside, by its
    place among the cumulated weights. A reservoir's coins are those of its replacements: after
    token j (0 is the oldest) the next one taken is floor((j+1)/u), because Pr[none of j+1, .., m] =
    prod i/(i+1) = (j+1)/(m+1) (the skips of Vitter 1985). All are addressed by seed, step and
    copy, so which token a reservoir holds is public and needs no memory; its value does.

    Args:
        window: W; by default that of the rule in ``public``, but no more than the budget holds.
        copies: samples in one mean.
        means: means whose median is the answer. (1 and 1: Algorithm 1 itself.)
        dtype: fp32, fp16, bf16 or fp8, also of the sampled values.

    Raises:
        BudgetTooSmall: samples and one token do not fit, or not as many as ``window`` asks for.
        BadInput: a number is not positive, or there is no such format.
    """

    name = "algorithm-1"

    def set_up(
        self, *, window: int | None = None, copies: int = 1, means: int = 1, dtype: str = "fp16"
    ) -> None:
        self.copies, self.means = whole(copies, "copies", 1), whole(means, "means", 1)
        rows, kind = self.copies * self.means, storage_dtype(dtype)
        self.hold(window=window, dtype=dtype, rows=rows, kind=kind)

    def holders(self, outside: int) -> NDArray[np.int64]:
        """Which token each reservoir holds when tokens 0 .. outside - 1 are outside (>= 1).

        int64[copies means], each uniform on 0 .. outside - 1 and all independent.
        """
        holder = np.zeros(self.copies * self.means, dtype=np.int64)
        moving, turn = np.arange(len(holder)), 0
        while len(moving):
            u = 1.0 - self.rng(2 * turn + 1).random(len(holder))[moving]
            # Beyond any stream is far enough: float64 would not fit int64.
            following = np.minimum((holder[moving] + 1) / u, 2.0**62).astype(np.int64)
            here = following < outside
            moving = moving[here]
            holder[moving] = following[here]
            turn += 1
        return holder

    def absorb(self, summary: Summary, first: int, values: Float32) -> Summary:
        """Reservoirs whose token is among those that leave take its value."""
        if len(values):
            holder = self.holders(first + len(values)) - first
            taken = holder >= 0
            summary[taken] = values[holder[taken]]
        return summary

    def combine(self, weighed: Weighed, summary: Summary) -> Float64:
        """The exact output while nothing is outside, then the median of means of samples."""
        if not weighed.outside:
            sums = weighed.inside @ weighed.values + weighed.own[:, None] * weighed.own_values
            return np.asarray(sums / weighed.total()[:, None])
        u = self.rng(2 * weighed.step).random(len(summary))
        groups = (self.means, self.copies, self.shape.d_v)
        outputs = np.empty((len(weighed.inside), self.shape.d_v))
        for row in range(len(outputs)):
            means = _samples(weighed, row, u, summary).reshape(groups).mean(axis=1)
            outputs[row] = np.median(means, axis=0)
        return outputs


def _samples(weighed: Weighed, row: int, u: Float64, summary: Summary) -> Float64:
    """What each copy answers to one query, float64[copies means, d_v], from its number u in [0, 1).

    The weights stand in line, the window's, the own token's, then all those outside together; u is
    a share of the line.
    """
    line = np.append(weighed.inside[row], weighed.own[row]).cumsum()
    own = len(line) - 1
    place = np.searchsorted(line, u * (line[-1] + weighed.outside * weighed.unit[row]), "right")
    answers: Float64 = from_storage(summary).astype(np.float64)
    answers[place < own] = weighed.values[place[place < own]]
    answers[place == own] = weighed.own_values[row]
    return answers


ENTRY = CatalogEntry(
    Algorithm1,
    summary="the last W tokens and sampled older values; it answers with drawn values",
    source="Haris & Onak 2025, Algorithm 1 and Theorem 25 (reconstructed)",
    budgets=EVICTS + ", beside the samples",
    attention="unmasked-window",
)
