"""Attention to the k highest scores over a kept cache: an algorithm built on sparsity.

Such algorithms are exact, or nearly, where each attention row has few heavy entries. The hard
instance keeps that promise, so they answer it well from a full cache; what they do not save there
is memory (Haris & Onak 2025, Corollary 16).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ....reductions import attention
from ....reductions.blas import one_thread
from ....reductions.jit import njit
from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.blockwise import Own
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from .sliding_window import SlidingWindow

#: scores in a block of rows: 4 MiB of float32
_BLOCK = 1 << 20


class TopKAttention(SlidingWindow):
    """The last W tokens, as many as the budget holds; a query attends to its k highest scores.

    Softmax over the scores that are not below the k-th highest, Bob's own token among them. Scores
    equal to the k-th highest all count, so that the answer does not depend on the order of the
    slots; more than k tokens may then be attended to. k = 1 returns the best match's value, and
    k >= W is the masked window. Most recent tokens, because a budget must be met somehow and top-k
    itself forgets nothing; with the whole cache it forgets nothing at all.

    Args:
        k: how many scores count.
        window: W; by default as many as the budget holds.
        dtype: fp32, fp16, bf16 or fp8.

    Raises:
        BudgetTooSmall: not one token fits, or not as many as ``window`` asks for.
        BadInput: ``k`` or ``window`` is not positive, or there is no such format.
    """

    name = "top-k"

    def set_up(self, *, k: int = 8, window: int | None = None, dtype: str = "fp16") -> None:
        self.k = whole(k, "k", 1)
        super().set_up(window=window, dtype=dtype)

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """Top-k attention over what is held and each row's own token: float32[m, d_v]."""
        return _outputs(Q, own, *self.kept(), self.k)

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if triple r came next; its token pushes the oldest out."""
        own, kept = self.beside(K, V)
        return _outputs(Q, own, *kept, self.k)

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        bits: NDArray[np.bool_] = self.next_outputs(Q, K, V) > thresholds[:, None]
        return bits


def _outputs(Q: Float32, own: Own, K: Float32, V: Float32, k: int) -> Float32:
    """Top-k attention of every query over the rows of K, V and, if given, its own token."""
    if k >= len(K) + (own is not None):
        if own is None:
            return attention.block_outputs(Q, K, V)
        return attention.next_outputs(Q, *own, K, V)
    Q, K, V = (np.ascontiguousarray(a, dtype=np.float32) for a in (Q, K, V))
    out = np.empty((len(Q), V.shape[1]), dtype=np.float32)
    step = max(1, _BLOCK // (len(K) + 1))
    with one_thread, np.errstate(over="ignore", invalid="ignore"):
        scores, values = np.empty(0, dtype=np.float32), V[:0]
        if own is not None:
            scores = np.einsum("ij,ij->i", Q, own[0], dtype=np.float32)
            values = np.ascontiguousarray(own[1], dtype=np.float32)
        for first in range(0, len(Q), step):
            rows = slice(first, first + step)
            S = Q[rows] @ K.T
            if not (np.isfinite(S).all() and np.isfinite(scores).all()):
                raise BadInput("A score <q, k> is not finite in float32: keep numbers smaller.")
            attend_to_highest(S, scores[rows], values[rows], V, k, out[rows])
    return out


@njit(cache=True, nogil=True)
def attend_to_highest(S: Any, own: Any, own_V: Any, V: Any, k: Any, out: Any) -> None:
    """Softmax over every score that is not below the row's k-th highest; ties at it all count.

    Args:
        S: float32[m, t], scores with the stored tokens.
        own: float32[m], score with the row's own token; float32[0] where there is none.
        own_V: float32[m, d_v], its value; float32[0, d_v] where there is none.
        V: float32[t, d_v], stored values.
        k: from 1 on; with fewer tokens than k, all count.
        out: float32[m, d_v], written. Weights and sums are float64.
    """
    m, t = S.shape
    d_v = out.shape[1]
    best = np.empty(k, np.float32)  # ascending: best[0] is the k-th highest so far
    sums = np.empty(d_v, np.float64)
    for r in range(m):
        best[:] = np.float32(-np.inf)
        lowest = best[0]
        for j in range(t + 1):
            if j == t:
                if len(own) == 0:
                    break
                score = own[r]
            else:
                score = S[r, j]
            if score > lowest:
                at = 0
                while at + 1 < k and best[at + 1] < score:
                    best[at] = best[at + 1]
                    at += 1
                best[at] = score
                lowest = best[0]
        top = np.float64(best[k - 1])
        total = 0.0
        sums[:] = 0.0
        if len(own) and own[r] >= lowest:
            total = math.exp(np.float64(own[r]) - top)
            for c in range(d_v):
                sums[c] = total * np.float64(own_V[r, c])
        for j in range(t):
            if S[r, j] >= lowest:
                weight = math.exp(np.float64(S[r, j]) - top)
                total += weight
                for c in range(d_v):
                    sums[c] += weight * np.float64(V[j, c])
        for c in range(d_v):
            out[r, c] = sums[c] / total


ENTRY = CatalogEntry(
    TopKAttention,
    summary="the last tokens, of which each query attends to its k highest scores",
    source="an algorithm built on sparsity, as in Haris & Onak 2025, Corollary 16",
    budgets=EVICTS,
)
