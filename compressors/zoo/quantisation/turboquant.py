"""TurboQuant: a random rotation gives every coordinate one known law, so one codebook fits all."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...catalog_entry import CatalogEntry
from ...plugin.contract import Float32
from .coded_tokens import Bytes, Codec, WholeBits, pack, product, unpack
from .lloyd_max import codebook, nearest

#: the bits that there are levels for, most first
LADDER = (8, 6, 5, 4, 3, 2, 1)
_KEYS, _VALUES, _SKETCH = 0, 1, 2


@functools.cache
def coordinate_codebook(d: int, bits: int) -> NDArray[np.float64]:
    """Lloyd-Max levels of a coordinate of a uniform unit vector in R^d: float64[2^bits].

    Its density is (1 - x^2)^((d-3)/2) on [-1, 1] up to a constant (their Lemma 1).

    >>> (coordinate_codebook(64, 1) * 64**0.5).round(3).tolist()  # a Gaussian's: +-.798
    [-0.801, 0.801]
    """
    if bits == 0:
        return np.zeros(1)
    return codebook(lambda x: (d - 3) / 2 * np.log1p(-x * x), -1.0, 1.0, 1 << bits)


@dataclass(frozen=True)
class MSECodec:
    """Their Algorithm 1: a length, and b bits for each coordinate of the rotated direction.

    Attributes:
        turn: float32[d, d], a rotation.
        bits: b.
        scale: what is kept for the length |x|, with y the turned direction and c its code:
            "length", |x|; "norm", |x|/|c|, so that what is decoded has the length of x; "unbiased",
            |x|/<y, c>, so that its product with x is |x|^2 and its mean over rotations is x.
    """

    turn: Float32
    bits: int
    scale: str = "length"

    @property
    def d(self) -> int:
        """Numbers in a row."""
        return len(self.turn)

    @property
    def row_bytes(self) -> int:
        """An fp16 length and b d bits."""
        return 2 + -(-self.bits * self.d // 8)

    def encode(self, X: Float32) -> Bytes:
        """uint8[m, row_bytes]."""
        lengths, Y = directions(X, self.turn)
        symbols = self.symbols(Y)
        if self.scale != "length":
            levels = self.levels(symbols)
            other = Y if self.scale == "unbiased" else levels
            dots = (levels * other).sum(axis=1)
            base = dots if self.scale == "unbiased" else np.sqrt(dots)
            lengths = np.divide(lengths, base, out=np.zeros_like(lengths), where=base > 0)
        return np.concatenate([_halves(lengths), symbols], axis=1)

    def decode(self, codes: Bytes) -> Float32:
        """float32[m, d]."""
        rows: Float32 = _read_halves(codes[:, :2]) * (self.levels(codes[:, 2:]) @ self.turn.T)
        return rows

    def symbols(self, Y: Float32) -> Bytes:
        """The coded coordinates of directions: uint8[m, ceil(b d / 8)]."""
        if self.bits == 0:
            return np.empty((len(Y), 0), np.uint8)
        return pack(nearest(coordinate_codebook(self.d, self.bits), Y), self.bits)

    def levels(self, codes: Bytes) -> Float32:
        """What coded coordinates stand for: float32[m, d]."""
        if self.bits == 0:
            return np.zeros((len(codes), self.d), np.float32)
        book = coordinate_codebook(self.d, self.bits).astype(np.float32)
        levels: Float32 = book[unpack(codes, self.bits, self.d)]
        return levels


@dataclass(frozen=True)
class InnerProductCodec:
    """Their Algorithm 2: b - 1 bits as :class:`MSECodec`, and a 1-bit sketch of what it leaves.

    With r the residual of a direction y and S Gaussian, sqrt(pi/2)/d |r| S^T sign(S r) has mean r,
    so inner products with what is decoded are unbiased.

    Attributes:
        turn: float32[d, d], a rotation.
        sketch: float32[d, d], S.
        bits: b, at least 1.
    """

    turn: Float32
    sketch: Float32
    bits: int

    @property
    def _rough(self) -> MSECodec:
        return MSECodec(self.turn, self.bits - 1)

    @property
    def row_bytes(self) -> int:
        """Two fp16 lengths, (b - 1) d bits and d signs."""
        d = len(self.turn)
        return 4 + -(-(self.bits - 1) * d // 8) + -(-d // 8)

    def encode(self, X: Float32) -> Bytes:
        """uint8[m, row_bytes]."""
        rough = self._rough
        lengths, Y = directions(X, self.turn)
        symbols = rough.symbols(Y)
        rest = Y - rough.levels(symbols)
        parts = [
            _halves(lengths),
            _halves(np.linalg.norm(rest, axis=1)),
            symbols,
            pack(product(rest, self.sketch.T) > 0, 1),
        ]
        return np.concatenate(parts, axis=1)

    def decode(self, codes: Bytes) -> Float32:
        """float32[m, d]."""
        rough, d = self._rough, len(self.turn)
        cut = 4 + -(-rough.bits * d // 8)
        levels = rough.levels(codes[:, 4:cut])
        signs = 2 * unpack(codes[:, cut:], 1, d).astype(np.float32) - 1
        rest: Float32 = _read_halves(codes[:, 2:4]) * (signs @ self.sketch)
        turned: Float32 = (levels + np.float32(np.sqrt(np.pi / 2) / d) * rest).astype(np.float32)
        rows: Float32 = _read_halves(codes[:, :2]) * (turned @ self.turn.T)
        return rows


def directions(X: Float32, turn: Float32) -> tuple[Float32, Float32]:
    """Lengths, float32[m], and turned unit rows, float32[m, d]; a zero row stays zero."""
    lengths: Float32 = np.linalg.norm(X, axis=1).astype(np.float32)
    safe = np.where(lengths > 0, lengths, 1)[:, None]
    return lengths, product((X / safe).astype(np.float32), turn)


def _halves(lengths: Float32) -> Bytes:
    return lengths.astype(np.float16)[:, None].view(np.uint8)


def _read_halves(codes: Bytes) -> Float32:
    return np.ascontiguousarray(codes).view(np.float16).astype(np.float32)


class TurboQuant(WholeBits):
    """TurboQuant (Zandieh, Daliri, Hadian, Mirrokni 2025, arXiv 2504.19874).

    A row is a length and a direction; the direction is turned by a public random rotation, after
    which each coordinate has the law of a uniform unit vector's, and is coded by that law's
    Lloyd-Max quantiser. Values are coded for the squared error (Algorithm 1), keys for inner
    products (Algorithm 2: one bit less, and a sign of a Gaussian sketch of the residual).

    State: fp16 lengths (two for a key), and b bits a number.

    Args:
        bits: b, 1 to 6 or 8; by default the most that fit the budget, or 4.
        k_bits, v_bits: b of a key's number and of a value's (as ``bits``).
        norm_correction: values are decoded at their own length: what is kept is the length over
            that of the coded direction (false, as in the paper).

    Raises:
        BudgetTooSmall: the tokens do not fit, at these bits or at 1.
        BadInput: there are no such bits, or a number is NaN or does not fit fp16.

    Mechanisms:
        random rotation: implemented.
        optimal scalar quantisers for the Beta law of coordinates: implemented.
        lengths kept apart: implemented.
        norm correction of published codes: implemented, for values; a key's residual has its own.
        inner-product variant with a 1-bit sketch of the residual: implemented, for keys.
        outlier channels at more bits: left out, the paper's experiments use them on real models to
            reach fractional rates.
        entropy coding of the symbols: left out, as in the paper, which mentions it.
    """

    name = "turboquant"
    known = rungs = LADDER

    def set_up(
        self,
        *,
        bits: int | None = None,
        k_bits: int | None = None,
        v_bits: int | None = None,
        norm_correction: bool = False,
    ) -> None:
        self.scale = "norm" if norm_correction else "length"
        super().set_up(bits=bits, k_bits=k_bits, v_bits=v_bits)

    def codecs(self) -> tuple[Codec, Codec]:
        """Rotations and the sketch from public coins."""
        d_k, d_v = self.shape.d_k, self.shape.d_v
        sketch = self.rng(_SKETCH).standard_normal((d_k, d_k)).astype(np.float32)
        k_bits, v_bits = self.bits
        keys = InnerProductCodec(self.turn(_KEYS, d_k), sketch, k_bits)
        return keys, MSECodec(self.turn(_VALUES, d_v), v_bits, self.scale)


ENTRY = CatalogEntry(
    TurboQuant,
    summary="every token turned at random, and a few bits a coordinate by one codebook",
    source="Zandieh, Daliri, Hadian, Mirrokni 2025, TurboQuant: Online Vector Quantization "
    "with Near-optimal Distortion Rate",
    budgets="at d = 64 from 7/64 (1 bit a number) to 35/64 (8 bits)",
    assumes="nothing about the data: the rotation makes every row the same",
    broken_by="fewer bits than a bit of the secret needs: an error of |v|^2 D_b a value",
    settings=tuple({"bits": b} for b in (1, 2, 3, 4, 5, 6, 8)),
)
