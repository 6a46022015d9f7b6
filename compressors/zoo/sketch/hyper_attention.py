"""HyperAttention: one block of keys sorted by a hash, and a uniform sample of all others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ...catalog_entry import CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from .full_cache import Float64, FullCache, softmax_over

Int64 = NDArray[np.int64]


class HyperAttention(FullCache):
    """HyperAttention (Han, Jayaram, Karbasi, Mirrokni, Woodruff, Zandieh 2023, arXiv 2310.05869).

    "HyperAttention: Long-context Attention in Near-Linear Time". A key's hash are the signs of
    ``projections`` Gaussian projections, read as a Gray code, so that buckets beside one another
    differ in one sign (sortLSH, their Definition 1). Keys sorted by hash are cut into blocks of
    ``block``. A query reads the block where its own hash falls with weight 1; of the rest it reads
    those among ``samples`` uniform draws, with weight n/samples a draw, in numerator and
    denominator. With ``block`` >= n it is exact.

    It saves time, not memory: the whole cache is the message. State: K then V, of every token.
    Projections and draws are public coins. The draws depend on the number of tokens and not on the
    query, as in the authors' code.

    Args:
        block: keys of a block, b (32).
        samples: draws for the rest (32); 0 reads the block alone.
        projections: signs of a hash, from 1 to 30 (7, as in the authors' code).
        dtype: fp32, fp16, bf16 or fp8 (the widest in the budget).

    Raises:
        BudgetTooSmall: the whole cache does not fit.
        BadInput: a parameter outside its range.

    Mechanisms:
        sortLSH with Hamming-sorted buckets: implemented.
        blocks of sorted queries meet blocks of sorted keys: adapted, one query has no order of its
            own, so it meets the block at the middle of where its hash falls; the last block is
            moved back so that all have the same size.
        uniform sampling of columns for the denominator: adapted, without the caps of their
            Algorithm 2, which the authors' code leaves out as well.
        sampling by the values' norms for the product with V: adapted, uniform, and the same draws
            as the denominator's, as in the authors' code.
        recursion for causal masks: not meaningful here, a query comes last and sees every token.
        exact attention below a least length: not meaningful here, its memory is the same.
    """

    name = "hyper-attention"

    def set_up(
        self, *, block: int = 32, samples: int = 32, projections: int = 7, dtype: str | None = None
    ) -> None:
        self.block = whole(block, "block", 1)
        self.samples = whole(samples, "samples", 0)
        self.projections = whole(projections, "projections", 1)
        if projections > 30:
            raise BadInput(f"A hash has at most 30 projections, not {projections}.")
        super().set_up(dtype=dtype)
        coins = self.rng(0)
        self.directions = coins.standard_normal((self.shape.d_k, self.projections))
        self.draws = coins.random(self.samples)

    def ranks(self, X: Float64) -> Int64:
        """The places of the rows' buckets in the order of a Gray code: int64[len(X)]."""
        code = ((X @ self.directions > 0) @ (1 << np.arange(self.projections))).astype(np.int64)
        for shift in (1, 2, 4, 8, 16):
            code ^= code >> shift
        return code

    def prepare(self, K: Float64) -> tuple[Int64, Int64]:
        """The stored tokens in order of hash, and their ranks."""
        ranks = self.ranks(K)
        order = np.argsort(ranks, kind="stable")
        return order, ranks[order]

    def weigh(self, Q: Float64, S: Float64, prepared: Any, own: Float64 | None) -> Float32:
        """Weight e^s in the block, e^s n/samples a draw outside it."""
        n = S.shape[1]
        if self.block >= n:
            return softmax_over(S, np.ones(S.shape, dtype=np.float32))
        drawn = np.bincount((self.draws * n).astype(np.int64), minlength=n)
        counts = np.empty(S.shape, dtype=np.float32)
        counts[:] = drawn * (n / max(1, self.samples))
        np.put_along_axis(counts, self._blocks(Q, prepared, own), np.float32(1.0), axis=1)
        return softmax_over(S, counts)

    def _blocks(self, Q: Float64, prepared: tuple[Int64, Int64], own: Float64 | None) -> Int64:
        """The tokens of each query's block: int64[m, block]; the own token has the last index."""
        order, ranks = prepared
        n = len(order)
        asked = self.ranks(Q)
        low = np.searchsorted(ranks, asked, side="left")
        high = np.searchsorted(ranks, asked, side="right")
        inserted = np.full(len(Q), n)
        if own is not None:
            mine = self.ranks(own)
            inserted = np.searchsorted(ranks, mine, side="right")
            low, high = low + (mine < asked), high + (mine <= asked)
            order = np.append(order, n)
            n += 1
        middle = np.minimum((low + high) // 2, n - 1)
        first = np.minimum(middle // self.block * self.block, n - self.block)
        places = first[:, None] + np.arange(self.block)
        # Beyond the place where the own token stands, the stored ones have moved up by one.
        stored: Int64 = order[places - (places > inserted[:, None])]
        if own is not None:
            stored[places == inserted[:, None]] = n - 1
        return stored


ENTRY = CatalogEntry(
    HyperAttention,
    summary="every token; a query reads one block of a hash order and a uniform sample",
    source="Han, Jayaram, Karbasi, Mirrokni, Woodruff, Zandieh 2023, HyperAttention: "
    "Long-context Attention in Near-Linear Time",
    budgets="1/2 in fp8, 1 in fp16, 2 in fp32: it saves time, not memory",
    assumes="large scores hash alike, and the rest is flat",
    broken_by="a part of the query that no key has: same scores, another bucket",
    settings=tuple({"block": b, "samples": b} for b in (8, 16, 32, 64, 128, 256)),
)
