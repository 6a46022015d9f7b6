"""QJL: a key as the signs of a random sketch, and a length."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ....errors import BadInput
from ...catalog_entry import CatalogEntry
from ...kit.key_value_bits import in_words
from ...kit.min_max import quantise, restore
from ...kit.token_cache import whole
from ...plugin.contract import Float32, Shape, public_coins
from .coded_tokens import Bytes, Codec, CodedTokens, pack, product, unpack

_SKETCH = 0
_VALUE_BITS = range(1, 9)


@dataclass(frozen=True)
class SignCodec:
    """sign(S k) and |k|, decoded as the vector whose inner products are QJL's estimator.

    For s ~ N(0, I), E[<s, q> sign(<s, k>)] = sqrt(2/pi) <q, k>/|k| (their Lemma 3.1), so

        k' = sqrt(pi/2)/m |k| S^T sign(S k),       E <q, k'> = <q, k>,

    and the variance of <q, k'> is at most pi/2 |q|^2 |k|^2 / m.

    Attributes:
        sketch: float32[m, d], S.
    """

    sketch: Float32

    @functools.cached_property
    def _turned(self) -> Float32:
        """S^T in the order of its rows, float32[d, m]."""
        return np.ascontiguousarray(self.sketch.T)

    @property
    def row_bytes(self) -> int:
        """An fp16 length and m signs."""
        return 2 + -(-len(self.sketch) // 8)

    def encode(self, X: Float32) -> Bytes:
        """uint8[t, row_bytes]."""
        lengths = np.linalg.norm(X, axis=1).astype(np.float16)[:, None].view(np.uint8)
        return np.concatenate([lengths, pack(product(X, self._turned) > 0, 1)], axis=1)

    def decode(self, codes: Bytes) -> Float32:
        """k', float32[t, d]."""
        m = len(self.sketch)
        lengths = np.ascontiguousarray(codes[:, :2]).view(np.float16).astype(np.float32)
        signs = 2 * unpack(codes[:, 2:], 1, m).astype(np.float32) - 1
        rows: Float32 = np.float32(np.sqrt(np.pi / 2) / m) * lengths * (signs @ self.sketch)
        return rows


@dataclass(frozen=True)
class MinMaxCodec:
    """Round to nearest between a row's minimum and maximum, with an fp16 scale and zero.

    Attributes:
        d: numbers in a row.
        bits: 1 to 8 a number.
    """

    d: int
    bits: int

    @property
    def row_bytes(self) -> int:
        """Scale, zero and the codes."""
        return 4 + -(-self.d * self.bits // 8)

    def encode(self, X: Float32) -> Bytes:
        """uint8[t, row_bytes]."""
        if not len(X):
            return np.empty((0, self.row_bytes), np.uint8)
        scale, zero, codes = quantise(X[:, None], self.bits)
        parts = [np.ascontiguousarray(part).view(np.uint8) for part in (scale, zero)]
        return np.concatenate([*parts, codes[:, 0]], axis=1)

    def decode(self, codes: Bytes) -> Float32:
        """float32[t, d]."""
        scale, zero = (
            np.ascontiguousarray(codes[:, at : at + 2]).view(np.float16) for at in (0, 2)
        )
        packed = np.ascontiguousarray(codes[:, None, 4:])
        return restore(scale, zero, packed, self.bits, self.d)[:, 0]


class QJL(CodedTokens):
    """QJL (Zandieh, Daliri, Han 2024, 1-Bit Quantized JL Transform, arXiv 2406.03482).

    A key is the signs of m Gaussian projections and its length: no scale, no zero. A score is
    estimated without bias from the signs and the unrounded query. Values are rounded per token.

    State: fp16 lengths, m bits a key; fp16 scale and zero and ``v_bits`` a number of the value.

    Args:
        m: projections (4 d_k, or with a budget what it holds beside the values).
        k_bits: projections for each of a key's numbers, m/d_k: another way to give m.
        v_bits: 1 to 8 a number of the value (2, or with a budget the most of 8, 4, 2 and 1 that
            leave a key 4 d_k projections).

    Raises:
        BudgetTooSmall: the values and 8 projections do not fit, or not ``m``.
        BadInput: ``m`` is not positive or given twice, there are no such bits, or a number does not
            fit fp16.

    Mechanisms:
        signs of a Gaussian sketch and a length: implemented.
        unbiased asymmetric estimator, the query unrounded: implemented.
        per-token rounding of values: implemented.
        outlier channels of keys sketched apart: left out, real models' keys have them.
        orthogonalised sketch: left out, the estimate is proved for Gaussian rows.
        recent tokens in full precision: left out, the authors' code keeps some; here every token
            is treated alike.
    """

    name = "qjl"

    def set_up(
        self, *, m: int | None = None, k_bits: float | None = None, v_bits: int | None = None
    ) -> None:
        shape, budget_bits = self.shape, self.budget_bits
        if v_bits is not None and v_bits not in _VALUE_BITS:
            raise BadInput(f"A number has {in_words(_VALUE_BITS)} bits, not {v_bits!r}.")
        if k_bits is not None:
            m = self._projections_of(k_bits, m)
        self.m = 4 * shape.d_k if m is None else whole(m, "m", 1)
        self.v_bits = 2 if v_bits is None else v_bits
        if budget_bits is not None and m is None:
            self._share_out(shape, budget_bits, v_bits)
        super().set_up()
        # A sketch promises no token anything.
        self.declares = {"bytes": self.declares["bytes"]}

    def _projections_of(self, k_bits: float, m: int | None) -> int:
        """m of so many projections a number."""
        if m is not None:
            raise BadInput("k_bits is m/d_k: give one of them.")
        if k_bits * self.shape.d_k < 1:
            raise BadInput(f"k_bits gives a key at least one projection, not {k_bits!r}.")
        return round(k_bits * self.shape.d_k)

    def _share_out(self, shape: Shape, budget_bits: int, v_bits: int | None) -> None:
        """The most bits of a value that leave a key 4 d_k projections, else 2, else 1."""
        if v_bits is None:
            for bits, least in ((8, 4 * shape.d_k), (4, 4 * shape.d_k), (2, 8), (1, 8)):
                self.v_bits = bits
                if self._projections(shape, budget_bits) >= least:
                    break
        self.m = max(8, self._projections(shape, budget_bits))

    def _projections(self, shape: Shape, budget_bits: int) -> int:
        """How many signs a key may have: a multiple of 8."""
        values = MinMaxCodec(shape.d_v, self.v_bits).row_bytes
        return 8 * ((budget_bits // 8 - 4) // max(1, shape.tokens) - values - 2)

    def codecs(self) -> tuple[Codec, Codec]:
        """The sketch, from public coins, and the rounding of values."""
        keys = _sketched(self.seed, self.m, self.shape.d_k)
        return keys, MinMaxCodec(self.shape.d_v, self.v_bits)


@functools.lru_cache(16)
def _sketched(seed: int, m: int, d: int) -> SignCodec:
    """Drawn once for both players in one process."""
    sketch = public_coins(seed, _SKETCH).standard_normal((m, d)).astype(np.float32)
    sketch.flags.writeable = False
    return SignCodec(sketch)


ENTRY = CatalogEntry(
    QJL,
    summary="the signs of a random sketch of each key and its length; values at a few bits",
    source="Zandieh, Daliri, Han 2024, QJL: 1-Bit Quantized JL Transform for KV Cache "
    "Quantization with Zero Overhead",
    budgets="from about 1/16: the values at 1 bit, and 8 projections",
    assumes="scores of a few nats: their error grows with |q| |k|/sqrt(m)",
    broken_by="a long query, on keys that few projections do not tell apart",
    settings=tuple({"m": m} for m in (32, 64, 128, 256, 512, 1024)),
)
