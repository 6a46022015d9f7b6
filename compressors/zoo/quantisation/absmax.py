"""Integers or fp8 of a scale of their own token and head: the formats that engines offer first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from ....errors import BadInput
from ...catalog_entry import CatalogEntry
from ...plugin.contract import Float32
from .coded_tokens import Bytes, Codec, WholeBits, pack, unpack

_E4M3 = np.dtype(ml_dtypes.float8_e4m3fn)
_LARGEST = 448.0


@dataclass(frozen=True)
class AbsmaxCodec:
    """x as s c, with s = max |x| / L in fp32 and c = x/s to nearest: one scale a row.

    L is the largest code: 2^(b-1) - 1 of b-bit integers, 448 of e4m3. So |x - s c| <= s/2 of
    integers, and of e4m3 it is at most 2^-4 |x|, or s 2^-10 where x is that small.

    Attributes:
        d: numbers in a row.
        bits: b, 2 to 8.
        floats: codes are e4m3fn floats; b is 8.
    """

    d: int
    bits: int
    floats: bool = False

    @property
    def row_bytes(self) -> int:
        """An fp32 scale and b d bits."""
        return 4 + -(-self.bits * self.d // 8)

    @property
    def _largest(self) -> float:
        return _LARGEST if self.floats else float((1 << (self.bits - 1)) - 1)

    def encode(self, X: Float32) -> Bytes:
        """uint8[m, row_bytes]."""
        top = np.abs(X).max(axis=1, initial=0)
        scales = (top / np.float32(self._largest)).astype(np.float32)[:, None]
        Y = np.divide(X, scales, out=np.zeros_like(X), where=scales > 0)
        Y = np.clip(Y, -self._largest, self._largest)
        if self.floats:
            codes = Y.astype(_E4M3).view(np.uint8)
        else:
            codes = pack(np.rint(Y) + self._largest, self.bits)
        return np.concatenate([scales.view(np.uint8), codes], axis=1)

    def decode(self, codes: Bytes) -> Float32:
        """float32[m, d]."""
        scales = np.ascontiguousarray(codes[:, :4]).view(np.float32)
        if self.floats:
            numbers = _BYTES.take(codes[:, 4:])
        else:
            symbols = unpack(codes[:, 4:], self.bits, self.d)
            numbers = symbols.astype(np.float32) - np.float32(self._largest)
        rows: Float32 = scales * numbers
        return rows


_BYTES = np.arange(256, dtype=np.uint8).view(_E4M3).astype(np.float32)


class Absmax(WholeBits):
    """int8, int4 and fp8 caches: every number over the largest of its token and head.

    What serving engines call int8, int4 or fp8 KV caches with a scale for each token and head,
    computed as the token comes. Symmetric: there is no zero point.

    State: an fp32 scale a row, and b bits a number.

    Args:
        bits: b, 2 to 8; by default the most of 8, 4, 3 and 2 that fit the budget, or 8.
        k_bits, v_bits: b of a key's number and of a value's (as ``bits``).
        fp8: numbers of 8 bits are e4m3 floats instead of integers (false).

    Raises:
        BudgetTooSmall: the tokens do not fit, at these bits or at 2.
        BadInput: there are no such bits, ``fp8`` with fewer bits in both, or a number is NaN or
            does not fit fp16.

    Mechanisms:
        scale of each token and head from its largest magnitude: implemented.
        integers to nearest, symmetric: implemented.
        e4m3 floats: implemented.
        one scale for a layer, calibrated beforehand: left out, engines offer it beside this one.
    """

    name = "absmax"
    known = range(2, 9)
    rungs = (8, 4, 3, 2)
    otherwise = 8

    def set_up(
        self,
        *,
        bits: int | None = None,
        k_bits: int | None = None,
        v_bits: int | None = None,
        fp8: bool = False,
    ) -> None:
        self.fp8 = fp8
        super().set_up(bits=bits, k_bits=k_bits, v_bits=v_bits)
        if self.bits[0] == 2:
            # Of two bits three levels are left, and keys of three levels promise no token anything.
            self.declares = {"bytes": self.declares["bytes"]}

    def fit(self, ladder: Sequence[tuple[int, int]]) -> None:
        if self.fp8 and 8 not in ladder[0]:
            raise BadInput("fp8 numbers have 8 bits: give keys or values 8 bits, or leave fp8 out.")
        super().fit(ladder)

    def codec(self, d: int, bits: int, which: int) -> Codec:
        """Floats of 8 bits if they are asked for, else integers."""
        return AbsmaxCodec(d, bits, self.fp8 and bits == 8)


ENTRY = CatalogEntry(
    Absmax,
    summary="every token as int8, int4 or fp8 numbers of one scale a token and head",
    source="what engines call int8, int4 and fp8 caches (e4m3: OCP 8-bit Floating Point 2023)",
    budgets="at d = 64 from 5/32 (2 bits a number) to 17/32 (8 bits)",
    assumes="no number of a token is much larger than its others",
    broken_by="one large number a token, which makes the step large",
)
