"""The last W tokens and one running sum: exact answers of the unmasked window (ours)."""

from __future__ import annotations

import numpy as np

from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.window_ring import Float64, Summary, UnmaskedWindow, Weighed
from ...plugin.contract import Float32


class RunningSum(UnmaskedWindow):
    """Exact in 2 W d + d numbers: sampling is not needed for the unmasked sliding window (ours).

    After t tokens, with Z = sum of e^{s_l} over the window, every token outside has weight exactly
    1, so

        output = (sum_{l in window} e^{s_l} v_l + sum_{l outside} v_l) / (Z + t - W),

    and the second sum is one vector in R^d, to which each value is added as it leaves the window.
    Nothing about the keys outside is needed. Compare Algorithm 1 of the paper, which keeps one
    sampled value in its place and is right on average. (Were the weights outside dependent on the
    query, as in ordinary attention, no single sum would do.)

    State: a counter, int64, the sum, float64[d_v], and W keys and values: bits
    64 + 64 d_v + W (d_k + d_v) b, b those of the storage format. The sum of t float64 numbers is
    off by at most t 2^-53 times the sum of their magnitudes.

    Args:
        window: W; by default that of the rule in ``public``, but no more than the budget holds.
            With fewer places than the rule's W it takes the tokens between for outside ones.
        dtype: fp32, fp16, bf16 or fp8.

    Raises:
        BudgetTooSmall: sum and one token do not fit, or not as many as ``window`` asks for.
        BadInput: ``window`` is not positive, or there is no such format.
    """

    name = "running-sum"

    def set_up(self, *, window: int | None = None, dtype: str = "fp16") -> None:
        self.hold(window=window, dtype=dtype, rows=1, kind=np.dtype(np.float64))

    def absorb(self, summary: Summary, first: int, values: Float32) -> Summary:
        """Add the values one after another, so that it matters not where a stream is cut."""
        if not len(values):
            return summary
        terms = np.vstack([summary, values.astype(np.float64)])
        total: Summary = np.add.accumulate(terms, axis=0)[-1:]
        return total

    def combine(self, weighed: Weighed, summary: Summary) -> Float64:
        """The rule itself."""
        sums = weighed.inside @ weighed.values
        sums += weighed.own[:, None] * weighed.own_values
        if weighed.outside:
            sums += weighed.unit[:, None] * summary
        return np.asarray(sums / weighed.total()[:, None])


ENTRY = CatalogEntry(
    RunningSum,
    summary="the last W tokens and the sum of all older values",
    source="ours: exact for the unmasked sliding window of Haris & Onak 2025, eq. 20",
    budgets=EVICTS + ", beside the sum",
    attention="unmasked-window",
)
