"""Algorithm 2 of Haris & Onak on a whole cache: values drawn by lazy Gumbel sampling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....reductions.jit import njit
from ....reductions.lazy_gumbel import draw_lazily
from ...catalog_entry import CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from .full_cache import Float64, FullCache, highest

_MASK = (1 << 64) - 1


class Algorithm2(FullCache):
    """Lazy Gumbel sampling (Haris & Onak 2025, Appendix E, Algorithm 2, reconstructed).

    The sampler is Mussmann, Levy, Ermon 2017, "Fast amortized inference and learning in log-linear
    models with randomly perturbed approximate inference". A draw perturbs the k largest scores with
    Gumbel numbers and of all others only those that might still win; the winner has exactly the law
    softmax(K q), whatever the scores (proof in ``reductions.lazy_gumbel``). The answer is the mean
    of the ``draws`` drawn values: unbiased, with variance Var_softmax(v)/draws a coordinate.

    It saves time where an index finds the k largest, not memory: any token may be asked for, so the
    whole cache is the message. (In one dimension it does save memory: theory, section 16.)
    State: K then V, of every token. The coins are public, and the same for every query.

    Args:
        draws: values in the mean (16).
        k: size of the top set (the square root of the number of tokens, rounded down).
        dtype: fp32, fp16, bf16 or fp8 (the widest in the budget).

    Raises:
        BudgetTooSmall: the whole cache does not fit.
        BadInput: ``draws`` or ``k`` is not positive, or there is no such format.

    Mechanisms:
        lazy Gumbel sampling: implemented.
        index of the k largest scores: adapted, found by computing all scores.
        mean of independent draws: implemented.
    """

    name = "algorithm-2"

    def set_up(self, *, draws: int = 16, k: int | None = None, dtype: str | None = None) -> None:
        self.samples = whole(draws, "draws", 1)
        self.k = None if k is None else whole(k, "k", 1)
        super().set_up(dtype=dtype)

    def weigh(self, Q: Float64, S: Float64, prepared: Any, own: Float64 | None) -> Float32:
        """How often each token was drawn."""
        n = S.shape[1]
        inside = highest(S, math.isqrt(n) if self.k is None else self.k)
        W = np.zeros(S.shape, dtype=np.float32)
        count_winners(S, inside, np.uint64(self.seed & _MASK), self.samples, W)
        return W


@njit(cache=True, nogil=True, error_model="numpy")
def count_winners(S: Any, inside: Any, seed: Any, draws: Any, W: Any) -> None:
    """How often each token of each row is drawn, in ``draws`` draws with the same coins a row.

    Args:
        S: float64[m, n], finite scores.
        inside: bool[m, n], the row's top set, not empty.
        seed: uint64, the coins.
        draws: how many.
        W: float32[m, n], zeros; the counts are added.
    """
    m, n = S.shape
    winners, lazies = np.empty(draws, np.int64), np.empty(draws, np.int64)
    top, outside = np.empty(n, np.int64), np.empty(n, np.int64)
    for r in range(m):
        a = b = 0
        for t in range(n):
            if inside[r, t]:
                top[a] = t
                a += 1
            else:
                outside[b] = t
                b += 1
        draw_lazily(S[r], top[:a], outside[:b], seed, winners, lazies)
        for i in range(draws):
            W[r, winners[i]] += np.float32(1.0)


ENTRY = CatalogEntry(
    Algorithm2,
    summary="every token; the mean of values drawn from the softmax by lazy Gumbel sampling",
    source="Haris & Onak 2025, Algorithm 2 (reconstructed); Mussmann, Levy, Ermon 2017",
    budgets="1/2 in fp8, 1 in fp16, 2 in fp32: it saves time, not memory",
    assumes="nothing: its draws are exact for every stream",
    broken_by="nothing: it keeps all; few draws err where the softmax is not one token's",
    settings=tuple({"draws": m} for m in (1, 2, 4, 8, 16, 32)),
)
