"""A low-rank cache: keys and values of the prefill as coordinates in their leading subspaces."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from ....errors import BudgetTooSmall, PluginFailure
from ....reductions import attention
from ...catalog_entry import CatalogEntry
from ...kit.blockwise import Own
from ...kit.prefill import Prefill, halved
from ...kit.state import check_fits, to_storage
from ...kit.token_cache import whole
from ...plugin.contract import Float32

Float64 = NDArray[np.float64]
_FP16 = np.dtype(np.float16)
_RANKS = np.dtype("<u2")


class LowRank(Prefill):
    """Eigen Attention (Saxena, Saha, Choudhary, Roy 2024, Attention in Low-Rank Space for KV Cache
    Compression, arXiv 2408.05646).

    Keys are projected on the r_k leading singular directions of keys and queries together, values
    on the r_v leading ones of the values: K ~ (K U) U^T, V ~ (V W) W^T. The answer is exact softmax
    attention over these rows and over tokens that come after the prefill, which are kept whole.

    State: K U and V W, fp16[n, r]; U and W, fp16[d, r]; and where the data choose r_k and r_v,
    these two in 4 bytes. A matrix whose two factors would be no smaller is kept itself, so full
    rank is exact up to fp16. A message of a budget is filled up with zeros to one length.

    Args:
        rank: r_k and r_v; by default what the budget holds, or full rank without one.
        queries: the keys' directions are those of keys and queries, not of the keys alone.

    Raises:
        BudgetTooSmall: rank 1, or ``rank``, does not fit.
        BadInput: ``rank`` is not a whole number from 1 on.

    Mechanisms:
        one basis for keys and queries, by SVD: implemented.
        a basis for values, by SVD: implemented.
        the basis of the keys alone, for rotary models: implemented, ``queries=False``.
        ranks by one threshold for keys and values on the cumulative singular values: adapted, the
            largest threshold that fits the budget, and then what still fits; the paper lowers it
            in steps until the error of the layer's output reaches a bound.
        bases from calibration data: adapted, they come from the prefill and are in the message,
            because the game has no training data.
        bases merged into the weights: not meaningful here, the game has no weights.
        later tokens in the same bases: adapted, Bob's are kept whole, as after every prefill here.
        as many dimensions in every head of a layer: not meaningful here, there is one head.
        fine-tuning afterwards: not meaningful here, the game has no weights.
        quantisation of the coordinates: left out, other compressors do that.
    """

    name = "low-rank"

    def set_up(self, *, rank: int | None = None, queries: bool = True) -> None:
        super().set_up()
        shape, budget_bits = self.shape, self.budget_bits
        self.queries = queries
        rank = None if rank is None else whole(rank, "rank", 1)
        whole_cache = self._bytes(shape.d_k, shape.d_v)
        room = sys.maxsize if budget_bits is None else budget_bits // 8
        #: r_k and r_v where they are known beforehand
        self.ranks: tuple[int, int] | None = None
        if rank is not None or room >= whole_cache:
            r = max(shape.d_k, shape.d_v) if rank is None else rank
            self.ranks = min(r, shape.d_k), min(r, shape.d_v)
            self.message_bytes = self._bytes(*self.ranks)
        else:
            self.message_bytes = room
        least = self._bytes(*(self.ranks or (1, 1))) + self._head
        if room < least:
            raise BudgetTooSmall(self.name, budget_bits or 0, 8 * least)
        self.held = self._nothing()

    # -- the contract ----------------------------------------------------------------------------

    def read(self, message: bytes) -> None:
        """Multiply the factors out. Raises PluginFailure if they are none of this compressor's."""
        self.held = self._read(message)

    def kept(self) -> tuple[Float32, Float32]:
        """K, V as the factors say, and the tail: float32[t, d_k], float32[t, d_v]."""
        self.open()
        return self.with_tail(*self.held)

    # -- batched doors ---------------------------------------------------------------------------

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """Exact attention over the rows that the factors say, and the tail: float32[m, d_v]."""
        if own is None:
            return attention.block_outputs(Q, *self.kept())
        return attention.next_outputs(Q, *own, *self.kept())

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """``next_outputs(Q, K, V) > thresholds[:, None]``, with the dominance test."""
        self.check(Q, K, V)
        return attention.next_bits(Q, halved(K), halved(V), *self.kept(), thresholds)

    def check(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Raise BadInput for a NaN or infinite number, or a row too long for fp16."""
        # A coordinate is at most as long as its vector.
        for block, dtype in ((Q, np.dtype(np.float32)), (K, _FP16), (V, _FP16)):
            lengths = np.linalg.norm(np.asarray(block, dtype=np.float64), axis=1)
            check_fits(lengths, dtype, self.name)

    # -- the message -----------------------------------------------------------------------------

    @property
    def _head(self) -> int:
        return 0 if self.ranks else 2 * _RANKS.itemsize

    def _factored(self, d: int, r: int) -> bool:
        n = self.shape.tokens
        return r * (n + d) < n * d

    def _bytes(self, r_k: int, r_v: int) -> int:
        """Of both matrices at these ranks."""
        n = self.shape.tokens
        sides = ((self.shape.d_k, r_k), (self.shape.d_v, r_v))
        return 2 * sum(min(r * (n + d), n * d) for d, r in sides)

    def _nothing(self) -> tuple[Float32, Float32]:
        d_k, d_v = self.shape.d_k, self.shape.d_v
        return np.empty((0, d_k), np.float32), np.empty((0, d_v), np.float32)

    def write(self, Q: Float32, K: Float32, V: Float32) -> bytes:
        """Ranks where the data choose them, then bases and coordinates."""
        directions = [
            singular_directions(np.concatenate([K, Q]) if self.queries else K),
            singular_directions(V),
        ]
        ranks = self.ranks or self._chosen([values for values, _ in directions])
        out = [] if self.ranks else [np.array(ranks, dtype=_RANKS).tobytes()]
        # A prompt shorter than announced leaves empty rows.
        empty = [(0, self.shape.tokens - len(K)), (0, 0)]
        for X, (_, basis), r in zip((K, V), directions, ranks, strict=True):
            rows = X
            if self._factored(X.shape[1], r):
                rounded = basis[:, :r].astype(np.float16)
                rows = X @ basis[:, :r].astype(np.float32)
                out.append(rounded.tobytes())
            stored = to_storage(rows, _FP16, self.name)
            out.append(np.pad(stored, empty, constant_values=np.nan).tobytes())
        return b"".join(out).ljust(self.message_bytes or 0, b"\0")

    def _chosen(self, values: list[Float64]) -> tuple[int, int]:
        """r_k and r_v: directions by what share of the singular values comes before them."""
        room = (self.message_bytes or 0) - self._head
        ranks = [0, 0]
        for side in by_threshold(values):
            ranks[side] += 1
            if self._bytes(max(ranks[0], 1), max(ranks[1], 1)) > room:
                ranks[side] -= 1
        return ranks[0], ranks[1]

    def _read(self, message: bytes) -> tuple[Float32, Float32]:
        ranks, at = self.ranks, self._head
        if len(message) != self.message_bytes:
            raise PluginFailure(_WRONG.format(len(message)))
        if ranks is None:
            r_k, r_v = (int(r) for r in np.frombuffer(message[:at], _RANKS))
            ranks = r_k, r_v
            if not (0 < r_k <= self.shape.d_k and 0 < r_v <= self.shape.d_v) or (
                at + self._bytes(*ranks) > len(message)
            ):
                raise PluginFailure(_WRONG.format(len(message)))

        def take(*shape: int) -> Float32:
            nonlocal at
            part = np.frombuffer(message, np.float16, shape[0] * shape[1], at).reshape(shape)
            at += part.nbytes
            return part.astype(np.float32)

        read = []
        for d, r in zip((self.shape.d_k, self.shape.d_v), ranks, strict=True):
            basis = take(d, r) if self._factored(d, r) else None
            rows = take(self.shape.tokens, d if basis is None else r)
            rows = rows[~np.isnan(rows[:, 0])]
            read.append(rows if basis is None else rows @ basis.T)
        return read[0], read[1]


_WRONG = (
    "A message of {} bytes is not one of low-rank: build Alice and Bob from the same public "
    "parameters."
)


def singular_directions(X: Float32) -> tuple[Float64, Float64]:
    """The singular values of X, float64[d] in descending order, and right singular vectors [d, d].

    >>> values, vectors = singular_directions(np.diag([1.0, 3.0]).astype(np.float32))
    >>> values.round(6).tolist(), abs(vectors[:, 0]).round(6).tolist()
    ([3.0, 1.0], [0.0, 1.0])
    """
    wide = X.astype(np.float64)
    squares, vectors = np.linalg.eigh(wide.T @ wide)
    return np.sqrt(np.maximum(squares[::-1], 0)), vectors[:, ::-1]


def by_threshold(values: list[Float64]) -> list[int]:
    """Which matrix each direction is of, as a falling threshold on both would take them last.

    The rank of a matrix at a threshold e is how many directions have less than the share e of the
    sum of its singular values before them.

    >>> by_threshold([np.array([3.0, 1.0]), np.array([2.0, 2.0])])
    [0, 1, 1, 0]
    """
    before = []
    for side, own in enumerate(values):
        share = own / (own.sum() or 1.0)
        before += [(float(e), side) for e in np.cumsum(share) - share]
    return [side for _, side in sorted(before)]


ENTRY = CatalogEntry(
    LowRank,
    summary="keys and values as coordinates in their leading singular directions",
    source="Saxena et al. 2024, Eigen Attention: Attention in Low-Rank Space for KV Cache "
    "Compression",
    budgets="from one direction of each: at d = 64 and 1024 tokens 1/60",
    assumes="keys and values near a subspace of few dimensions",
    broken_by="near-orthogonal keys and independent values, which fill every dimension",
)
