"""Control: every secret bit and nothing else.

No compressor without errors has fewer charged bits: an errorless code for N uniform bits needs N
bits on average (docs/theory.md, Theorem A, e = 0), and here exactly N = n d_v are charged (up to
the last byte).
The experiment's point (1, 0); anything to the left of it without error is impossible.
"""

from __future__ import annotations

import numpy as np

from ...catalog_entry import CatalogEntry
from .keyed import Bits, KeyedControl


class Lossless(KeyedControl):
    """The secret bits, packed, eight to a byte."""

    name = "lossless"
    declares = ("keeps=all",)

    def size_bytes(self) -> int:
        """ceil(n d_v / 8)."""
        return -(-self.secret_bits // 8)

    def encode(self, bits: Bits) -> Bits:
        """Eight bits to a byte."""
        return np.packbits(bits)

    def decode(self, message: Bits) -> Bits:
        """And back."""
        return np.unpackbits(message, count=self.secret_bits)


ENTRY = CatalogEntry(
    Lossless,
    summary="every secret bit, and nothing else: no error at charged bits = secret bits",
    source="control: the least memory of any errorless compressor (theory: H(x) = n d)",
    budgets="1/32 at d_k = d_v: one bit of memory a secret bit",
    attention="any",
    control=True,
)
