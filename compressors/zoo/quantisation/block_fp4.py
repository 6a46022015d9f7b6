"""MXFP4 and NVFP4: 4-bit floats in small blocks, each block with a scale of 8 bits."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, did_you_mean
from ...catalog_entry import CatalogEntry
from ...plugin.contract import Float32
from .coded_tokens import Bytes, Codec, CodedTokens, pack, unpack

_E2M1 = np.dtype(ml_dtypes.float4_e2m1fn)
_E4M3 = np.dtype(ml_dtypes.float8_e4m3fn)
#: the numbers of the 16 codes: a sign, two bits of exponent, one of mantissa
_POSITIVE = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
VALUES = np.concatenate([_POSITIVE, -_POSITIVE])
LARGEST, _LARGEST_SCALE = np.float32(6), np.float32(448)
_EXPONENT, _BIAS = 2, 127
FORMATS = {"mxfp4": 32, "nvfp4": 16}


@dataclass(frozen=True)
class BlockFP4Codec:
    """Blocks of numbers as s c, c one of ``VALUES``, to nearest with ties to even.

    * mxfp4 (OCP Microscaling Formats 1.0): blocks of 32, s = 2^(floor(log2 max |x|) - 2), a byte.
    * nvfp4: blocks of 16, s = g e4m3(max |x| / (6 g)), with g = max |x| of the row / (6 * 448) in
      fp32, so that no scale of a block is too large for e4m3.

    The last block of a row may be shorter.

    Attributes:
        d: numbers in a row.
        kind: "mxfp4" or "nvfp4".
    """

    d: int
    kind: str

    @property
    def blocks(self) -> int:
        """Blocks in a row."""
        return -(-self.d // FORMATS[self.kind])

    @property
    def row_bytes(self) -> int:
        """A byte a block and 4 bits a number; of nvfp4 an fp32 scale as well."""
        return (4 if self.kind == "nvfp4" else 0) + self.blocks + -(-self.d // 2)

    def encode(self, X: Float32) -> Bytes:
        """uint8[m, row_bytes]."""
        size = FORMATS[self.kind]
        padded = np.pad(X, [(0, 0), (0, self.blocks * size - self.d)])
        blocks = padded.reshape(len(X), self.blocks, size)
        head, scales = (self._powers if self.kind == "mxfp4" else self._levels)(blocks)
        Y = np.divide(
            blocks, scales[..., None], out=np.zeros_like(blocks), where=scales[..., None] > 0
        )
        codes = np.clip(Y, -LARGEST, LARGEST).astype(_E2M1).view(np.uint8)
        return np.concatenate([head, pack(codes.reshape(len(X), -1)[:, : self.d], 4)], axis=1)

    def _powers(self, blocks: Float32) -> tuple[Bytes, Float32]:
        _, exponents = np.frexp(np.abs(blocks).max(axis=2))  # max |x| = f 2^e with 1/2 <= f < 1
        head = np.clip(exponents - 1 - _EXPONENT + _BIAS, 0, 2 * _BIAS).astype(np.uint8)
        return head, _power(head)

    def _levels(self, blocks: Float32) -> tuple[Bytes, Float32]:
        tops = np.abs(blocks).max(axis=2)
        whole = (tops.max(axis=1) / (LARGEST * _LARGEST_SCALE)).astype(np.float32)[:, None]
        ratios = np.divide(tops, LARGEST * whole, out=np.zeros_like(tops), where=whole > 0)
        levels = np.minimum(ratios, _LARGEST_SCALE).astype(_E4M3)
        head = np.concatenate([whole.view(np.uint8), levels.view(np.uint8)], axis=1)
        return head, whole * levels.astype(np.float32)

    def decode(self, codes: Bytes) -> Float32:
        """float32[m, d]."""
        if self.kind == "mxfp4":
            scales, rest = _power(codes[:, : self.blocks]), codes[:, self.blocks :]
        else:
            whole = np.ascontiguousarray(codes[:, :4]).view(np.float32)
            levels = np.ascontiguousarray(codes[:, 4 : 4 + self.blocks]).view(_E4M3)
            scales, rest = whole * levels.astype(np.float32), codes[:, 4 + self.blocks :]
        numbers = VALUES[unpack(rest, 4, self.d)]
        rows: Float32 = numbers * np.repeat(scales, FORMATS[self.kind], axis=1)[:, : self.d]
        return rows


def _power(head: NDArray[np.uint8]) -> Float32:
    return np.ldexp(np.float32(1), head.astype(np.int32) - _BIAS)


class BlockFP4(CodedTokens):
    """NVFP4 and MXFP4 caches: 4-bit floats (e2m1) with a scale for every 16 or 32 numbers.

    State: scales, a byte a block, of nvfp4 an fp32 number a row as well; and 4 bits a number.

    Args:
        format: "nvfp4" or "mxfp4" ("nvfp4").
        k_format, v_format: of keys and of values (as ``format``).

    Raises:
        BudgetTooSmall: the tokens do not fit.
        BadInput: there is no such format, or a number is NaN or does not fit fp16.

    Mechanisms:
        e2m1 numbers to nearest, ties to even: implemented.
        mxfp4, blocks of 32 with a power of two: implemented, as in the OCP specification.
        nvfp4, blocks of 16 with an e4m3 scale: implemented.
        second scale of nvfp4 in fp32: adapted, one a row; the format has one a tensor, which a
            stream does not know in time.
        rotation before rounding, which engines add: left out, hadamard-int has it.
    """

    name = "block-fp4"

    def set_up(
        self, *, format: str = "nvfp4", k_format: str | None = None, v_format: str | None = None
    ) -> None:
        self.bits = (k_format or format, v_format or format)
        for one in (format, *self.bits):
            if one not in FORMATS:
                raise BadInput(f"There is no format '{one}'.{did_you_mean(str(one), FORMATS)}")
        super().set_up()

    def codecs(self) -> tuple[Codec, Codec]:
        """One for keys and one for values."""
        keys, values = self.bits
        return BlockFP4Codec(self.shape.d_k, keys), BlockFP4Codec(self.shape.d_v, values)


ENTRY = CatalogEntry(
    BlockFP4,
    summary="every token as 4-bit floats, with a scale of 8 bits for 16 or 32 numbers",
    source="Rouhani et al. 2023, OCP Microscaling Formats Specification 1.0 (MXFP4); "
    "NVIDIA 2024, NVFP4",
    budgets="at d = 64 from 17/64 (mxfp4, or 5/16 of nvfp4)",
    assumes="the numbers of a block are of like size",
    broken_by="one large number in a block",
)
