"""Control: a covering code, two perfect codes at rate-distortion with bit errors.

The secret is cut into blocks of N_c bits; each is replaced by the nearest codeword of a linear code
[N_c, k_c], of which the k_c information bits are kept (Shannon 1959: coding with a distortion
measure). Both codes here are perfect: every word has exactly one codeword within t errors, so with
a uniform secret the distance to it is weighted by the balls' shells,

    D = sum_{w<=t} w C(N_c, w) / (2^{N_c - k_c} N_c):
        Hamming [7,4], t = 1:   7 / (8 * 7)          = 1/8,    rate 4/7   = .571
        Golay  [23,12], t = 3:  5842 / (2048 * 23)   = .12402, rate 12/23 = .522

(23 + 2*253 + 3*1771 = 5842), against .214 and .239 by time sharing. The bits left over when the
blocks are cut are kept as they are. Both codes are cyclic (generators x^3 + x + 1 and
x^11 + x^9 + x^7 + x^6 + x^5 + x + 1; Golay 1949), here in systematic form: information bits first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, did_you_mean
from ...catalog_entry import CatalogEntry
from .keyed import Bits, KeyedControl


@dataclass(frozen=True)
class PerfectCode:
    """A perfect binary cyclic code in systematic form.

    Attributes:
        length, dimension, radius: N_c, k_c and t.
        parity: uint8[k_c, N_c - k_c]; a codeword is (u, u parity).
        leaders: uint8[2^(N_c - k_c), N_c]; for each syndrome the one error of weight <= t.
    """

    length: int
    dimension: int
    radius: int
    parity: Bits
    leaders: Bits

    @classmethod
    def cyclic(cls, length: int, generator: int, radius: int) -> PerfectCode:
        """Build it from the generator polynomial, whose bits are the coefficients."""
        checks = generator.bit_length() - 1
        dimension = length - checks
        parity = np.zeros((dimension, checks), dtype=np.uint8)
        for row in range(dimension):
            # Information bit u_row stands for x^(length - 1 - row); its parity is the remainder.
            rest = _remainder(1 << (length - 1 - row), generator)
            parity[row] = [rest >> (checks - 1 - c) & 1 for c in range(checks)]
        leaders = np.zeros((1 << checks, length), dtype=np.uint8)
        code = cls(length, dimension, radius, parity, leaders)
        for weight in range(1, radius + 1):
            for where in combinations(range(length), weight):
                error = np.zeros(length, dtype=np.uint8)
                error[list(where)] = 1
                leaders[code.syndromes(error)] = error
        return code

    def syndromes(self, words: Bits) -> NDArray[np.int64]:
        """The syndromes of words uint8[..., N_c], each as a number below 2^(N_c - k_c)."""
        given = words[..., self.dimension :]
        checks = (words[..., : self.dimension] @ self.parity + given) & 1
        weights = 1 << np.arange(checks.shape[-1] - 1, -1, -1, dtype=np.int64)
        numbers: NDArray[np.int64] = checks.astype(np.int64) @ weights
        return numbers

    def nearest(self, words: Bits) -> Bits:
        """The information bits of the nearest codewords: uint8[..., k_c]."""
        informed = self.leaders[self.syndromes(words)] ^ words
        return informed[..., : self.dimension]

    def codewords(self, information: Bits) -> Bits:
        """The codewords of information bits uint8[..., k_c]: uint8[..., N_c]."""
        return np.concatenate([information, (information @ self.parity) & 1], axis=-1)


def _remainder(word: int, generator: int) -> int:
    while (shift := word.bit_length() - generator.bit_length()) >= 0:
        word ^= generator << shift
    return word


@cache
def perfect_code(name: str) -> PerfectCode:
    """``"hamming"`` [7,4] or ``"golay"`` [23,12].

    Raises:
        BadInput: another name.

    >>> code = perfect_code("golay")
    >>> code.length, code.dimension, int(code.leaders.sum())
    (23, 12, 5842)
    """
    if name == "hamming":
        return PerfectCode.cyclic(7, 0b1011, 1)
    if name == "golay":
        return PerfectCode.cyclic(23, 0b101011100011, 3)
    raise BadInput(f"there is no code '{name}'.{did_you_mean(name, ['golay', 'hamming'])}")


class CoveringCode(KeyedControl):
    """The nearest codeword of every block of secret bits; a batch algorithm, coded at the end.

    Args:
        code: ``"golay"`` or ``"hamming"``.
    """

    name = "covering-code"
    streaming = False

    def set_up(self, *, code: str = "golay") -> None:
        self.code = perfect_code(code)
        super().set_up()

    def _blocks(self) -> tuple[int, int]:
        return divmod(self.secret_bits, self.code.length)

    def size_bytes(self) -> int:
        """k_c bits a block, and the bits left over, in whole bytes."""
        blocks, left = self._blocks()
        return -(-(blocks * self.code.dimension + left) // 8)

    def encode(self, bits: Bits) -> Bits:
        """Information bits of the nearest codewords, then the bits left over."""
        blocks, _ = self._blocks()
        cut = blocks * self.code.length
        information = self.code.nearest(bits[:cut].reshape(blocks, self.code.length))
        return np.packbits(np.concatenate([information.reshape(-1), bits[cut:]]))

    def decode(self, message: Bits) -> Bits:
        """The codewords, then the bits left over."""
        blocks, left = self._blocks()
        cut = blocks * self.code.dimension
        kept = np.unpackbits(message, count=cut + left)
        words = self.code.codewords(kept[:cut].reshape(blocks, self.code.dimension))
        return np.concatenate([words.reshape(-1), kept[cut:]])


ENTRY = CatalogEntry(
    CoveringCode,
    summary="the nearest codeword of a perfect code: less error than time sharing",
    source="Shannon 1959 (rate distortion); Hamming 1950, Golay 1949",
    budgets="12/23 (golay) or 4/7 (hamming) of what lossless needs",
    attention="any",
    control=True,
)
