"""What the methods share that save time and not memory: every token held, a few of them read."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ....reductions.blas import one_thread
from ....reductions.memo import remembered
from ...kit.blockwise import Own
from ...plugin.contract import Float32
from ..baseline.exact import Exact

Float64 = NDArray[np.float64]

#: scores of a block of rows: 1 MiB of float64, which a core's own cache holds
_BLOCK = 1 << 17
#: of several blocks so many are kept for the next message, 16 MiB
_SMALL = 1 << 21


class FullCache(Exact):
    """Every token, K and V in one storage format; which ones a query reads is the subclass's.

    Such methods spare time. Their memory is the whole cache, so the budgets they can meet are
    those of the whole cache: 1/2 in fp8, 1 in fp16, 2 in fp32. Scores are computed for all tokens
    here and most of them thrown away, because memory is what the game counts.

    Scores and hashes are float64: a choice made by them is then the same in a batch and alone.

    Args:
        dtype: fp32, fp16, bf16 or fp8; by default the widest of fp32, fp16, fp8 in the budget, and
            fp16 without one.

    Raises:
        BudgetTooSmall: the tokens do not fit the budget in this format (or in fp8).
        BadInput: there is no such format.
    """

    def set_up(self, *, dtype: str | None = None) -> None:
        if self.budget_bits is None and dtype is None:
            dtype = "fp16"
        super().set_up(dtype=dtype)
        # Every token is held, and which ones a query reads is chance: nothing is promised of them.
        self.declares = {"bits": 8 * self.state["k"].dtype.itemsize}

    # -- what a subclass says --------------------------------------------------------------------

    def prepare(self, K: Float64) -> Any:
        """What is computed once of the stored keys and passed to :meth:`weigh`."""
        return None

    @abstractmethod
    def weigh(self, Q: Float64, S: Float64, prepared: Any, own: Float64 | None) -> Float32:
        """What each token's value weighs in each answer, up to a factor a row.

        Args:
            Q: float64[m, d_k].
            S: float64[m, n], scores with every token; where ``own`` is given the last column is
                the score with the row's own token.
            prepared: what :meth:`prepare` returned, of the stored keys alone.
            own: float64[m, d_k], the rows' own keys, the newest token; or None.

        Returns float32[m, n], with a positive number in each row.
        """

    # -- the contract ----------------------------------------------------------------------------

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        return self.answers(Q, self.beside(K, V)[0])

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        bits: NDArray[np.bool_] = self.next_outputs(Q, K, V) > thresholds[:, None]
        return bits

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """The answers from the tokens that each query reads: float32[m, d_v]."""
        K, V = self.kept()
        t, n = len(K), len(K) + (own is not None)
        if n == 0:
            raise BadInput("Attention over no token has no value: append a token first.")
        keys, queries = K.astype(np.float64), np.asarray(Q, dtype=np.float64)
        own_keys = None if own is None else own[0].astype(np.float64)
        out = np.empty((len(queries), self.shape.d_v), dtype=np.float32)
        step = max(1, _BLOCK // n)
        with one_thread, np.errstate(over="ignore", invalid="ignore"):
            prepared = self.prepare(keys)
            several = own_keys is not None and _BLOCK < len(queries) * n <= _SMALL
            known = _known_scores(queries, keys, own_keys) if several else None
            for first in range(0, len(queries), step):
                rows = slice(first, first + step)
                mine = None if own_keys is None else own_keys[rows]
                S = _scores(queries[rows], keys, mine) if known is None else known[rows]
                if not np.isfinite(S).all():
                    raise BadInput("A score <q, k> is not finite: keep NaN out, numbers smaller.")
                W = self.weigh(queries[rows], S, prepared, mine)
                sums = W[:, :t] @ V
                if own is not None:
                    sums += W[:, t:] * own[1][rows]
                out[rows] = sums / W.sum(axis=1, dtype=np.float32)[:, None]
        return out


def _scores(Q: Float64, K: Float64, own: Float64 | None) -> Float64:
    """Scores with every token, and last with the row's own: float64[m, n], to be read only."""
    t = len(K)
    S = np.empty((len(Q), t + (own is not None)))
    S[:, :t] = Q @ K.T
    if own is not None:
        S[:, t] = np.einsum("ij,ij->i", Q, own)
    return S


#: in a game the keys are the same in many messages, and Bob's questions are
_known_scores = remembered(most=1 << 22)(_scores)


def softmax_over(S: Float64, counts: NDArray[Any]) -> Float32:
    """``counts`` e^S, up to a factor a row: float32[m, n]; where a count is 0 a score is not read.

    >>> softmax_over(np.log([[1.0, 2.0, 9.0]]), np.array([[1, 3, 0]])).tolist()
    [[0.5, 3.0, 0.0]]
    """
    read = np.where(counts > 0, S, -np.inf)
    read -= read.max(axis=1, keepdims=True)
    weights = np.exp(read.astype(np.float32))
    weights *= counts
    return weights


def highest(S: Float64, k: int) -> NDArray[np.bool_]:
    """Where the k largest scores of each row are: bool[m, n]; of equal scores the earlier is in.

    >>> highest(np.array([[0.0, 2.0, 1.0, 2.0, 2.0]]), 2).tolist()
    [[False, True, False, True, False]]
    """
    n = S.shape[1]
    if k >= n:
        return np.ones(S.shape, dtype=np.bool_)
    kth = np.partition(S, n - k, axis=1)[:, n - k, None]
    inside = kth < S
    level = kth == S
    missing = k - inside.sum(axis=1)
    several = level.sum(axis=1) > missing
    if several.any():
        level[several] &= np.cumsum(level[several], axis=1) <= missing[several, None]
    both: NDArray[np.bool_] = inside | level
    return both
