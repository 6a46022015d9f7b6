"""RaBitQ: the corner, or the grid point, that is nearest in angle to a row turned at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...catalog_entry import CatalogEntry
from ...plugin.contract import Float32
from .coded_tokens import Bytes, Codec, WholeBits, pack, unpack
from .turboquant import LADDER, directions

#: how far the largest coordinate of a row reaches on the grid, of its half width
REACH = np.linspace(0.4, 1.15, 26, dtype=np.float32)
#: rows whose points are compared at a time: what they take stays in the processor's cache
BLOCK = 16


@dataclass(frozen=True)
class GridCodec:
    """The direction of a turned row as a point of a grid, and a factor.

    The grid has the 2^b points -(2^b - 1)/2, .., (2^b - 1)/2 on each axis. For several lengths t
    (``REACH``), c is the grid point nearest to t y, y the turned direction; the c with the least
    angle to y is kept, and the factor |x| / <y, c>. So <x, q> is estimated as the factor times
    <c, q>, turned: their estimator <c, q>/<c, y>, which is unbiased (Theorem 3.2). One bit: signs.

    Attributes:
        turn: float32[d, d], a rotation.
        bits: b.
    """

    turn: Float32
    bits: int

    @property
    def row_bytes(self) -> int:
        """An fp16 factor and b d bits."""
        return 2 + -(-self.bits * len(self.turn) // 8)

    def encode(self, X: Float32) -> Bytes:
        """uint8[m, row_bytes]."""
        lengths, Y = directions(X, self.turn)
        symbols, dots = np.empty(Y.shape, np.uint8), np.empty(len(Y), np.float32)
        for at in range(0, len(Y), BLOCK):
            part = slice(at, at + BLOCK)
            symbols[part], dots[part] = self._nearest(Y[part])
        factors = np.divide(lengths, dots, out=np.zeros_like(lengths), where=dots > 0)
        head = factors.astype(np.float16)[:, None].view(np.uint8)
        return np.concatenate([head, pack(symbols, self.bits)], axis=1)

    def _nearest(self, Y: Float32) -> tuple[Bytes, Float32]:
        """The point with the least angle for each row, as symbols, and its <y, c>."""
        half = 1 << (self.bits - 1)
        top = np.abs(Y).max(axis=1, initial=0)[:, None]
        reach = REACH[: len(REACH) if self.bits > 1 else 1, None, None]
        grown = half * reach * Y
        grown = np.divide(grown, top, out=np.zeros_like(grown), where=top > 0)
        found = np.clip(np.floor(grown) + half, 0, 2 * half - 1)
        points = found - (half - np.float32(0.5))
        products = (points * Y).sum(axis=2)
        best = (products / np.sqrt(np.square(points).sum(axis=2))).argmax(axis=0)
        rows = np.arange(len(Y))
        return found[best, rows].astype(np.uint8), products[best, rows]

    def decode(self, codes: Bytes) -> Float32:
        """float32[m, d]."""
        factors = np.ascontiguousarray(codes[:, :2]).view(np.float16).astype(np.float32)
        middle = np.float32(((1 << self.bits) - 1) / 2)
        points: Float32 = unpack(codes[:, 2:], self.bits, len(self.turn)).astype(np.float32)
        points -= middle
        rows: Float32 = factors * (points @ self.turn.T)
        return rows


class RaBitQ(WholeBits):
    """RaBitQ (Gao, Long 2024, 2405.12497) and its extension to more bits (Gao et al. 2025).

    State: an fp16 factor a row, and b bits a number.

    Args:
        bits: b, 1 to 8; by default the most that fit the budget, or 4.
        k_bits, v_bits: b of a key's number and of a value's (as ``bits``).

    Raises:
        BudgetTooSmall: the tokens do not fit, at these bits or at 1.
        BadInput: there are no such bits, or a number is NaN or does not fit fp16.

    Mechanisms:
        random rotation: implemented.
        signs, and the unbiased estimator with <c, y>: implemented.
        grid of b bits, the point with the least angle: adapted, the best of 26 lengths; the authors
            try all lengths at which a point changes.
        rows centred on a cluster's centre: left out, a cache has no clusters; the centre is 0.
        bounds of the error at query time: not meaningful here, nothing is searched.
    """

    name = "rabitq"
    rungs = LADDER

    def codec(self, d: int, bits: int, which: int) -> Codec:
        """A rotation from public coins."""
        return GridCodec(self.turn(which, d), bits)


ENTRY = CatalogEntry(
    RaBitQ,
    summary="every token turned at random and coded by the grid point of the least angle",
    source="Gao, Long 2024, RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error "
    "Bound; Gao et al. 2025, Practical and Asymptotically Optimal Quantization",
    budgets="at d = 64 from 5/64 (1 bit a number) to 33/64 (8 bits)",
    assumes="nothing about the data: the rotation makes every row the same",
    broken_by="fewer bits than a bit of the secret needs",
)
