"""Attention to the k highest scores over a kept cache: an algorithm built on sparsity.

Such algorithms are exact, or nearly, where each attention row has few heavy entries. The hard
instance keeps that promise, so they answer it well from a full cache; what they do not save there
is memory (Haris & Onak 2025, Corollary 16).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ....reductions import attention
from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import Float32, Shape
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

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        *,
        k: int = 8,
        window: int | None = None,
        dtype: str = "fp16",
    ) -> None:
        self.k = whole(k, "k", 1)
        super().__init__(shape, budget_bits, seed, public, window=window, dtype=dtype)

    def attend(self, q: Float32) -> Float32:
        """Top-k attention over what is held: float32[d_v].

        Raises:
            BadInput: nothing was appended yet.
        """
        output: Float32 = _outputs(np.asarray(q)[None], None, *self.kept(), self.k)[0]
        return output

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if triple r came next; its token pushes the oldest out."""
        own, kept = self._next(K, V)
        return _outputs(Q, own, *kept, self.k)

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """``next_outputs(Q, K, V) > thresholds[:, None]``."""
        bits: NDArray[np.bool_] = self.next_outputs(Q, K, V) > thresholds[:, None]
        return bits

    def block_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """The block (K, V) appended to a copy, then every q answered: float32[m, d_v]."""
        twin = self.twin()
        twin.extend(Q, K, V)
        return _outputs(Q, None, *twin.kept(), self.k)


def _outputs(
    Q: Float32, own: tuple[Float32, Float32] | None, K: Float32, V: Float32, k: int
) -> Float32:
    """Top-k attention of every query over the rows of K, V and, if given, its own token."""
    from ....reductions.attention_tiles import one_thread
    from .topk_kernels import attend_to_highest

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


ENTRY = CatalogEntry(
    "top-k",
    TopKAttention,
    summary="the last tokens, of which each query attends to its k highest scores",
    source="an algorithm built on sparsity, as in Haris & Onak 2025, Corollary 16",
    budgets=EVICTS,
)
