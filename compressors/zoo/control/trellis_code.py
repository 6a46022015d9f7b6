"""Control: a trellis source coder of rate 1/2, which hugs the rate-distortion bound.

The secret is read as one word of N bits and replaced by the nearest codeword of a convolutional
code of rate 1/2, found by Viterbi's algorithm (Viterbi and Omura 1974, Trellis encoding of
memoryless discrete-time sources with a fidelity criterion); its N/2 input bits are the message. A
longer memory m comes nearer to the bound: with Shannon's D(1/2) = .11003 (1 - h(D) = 1/2),

    states 2^m    4       16       64         256
    generators    (5,7)   (23,35)  (133,171)  (561,753)   octal, largest free distance
    distortion    .1385   .1307    .1253      .1203

against 1/4 by time sharing. The bit left over where N is odd is kept as it is, and with it any
share p of the secret that is asked for: rate (1 + p)/2, distortion (1 - p) D, the line from the
code's point to (1, 0).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import BadInput
from ....reductions.jit import njit
from ...catalog_entry import CatalogEntry
from .keyed import Bits, KeyedControl

#: states -> generators, the newest bit of the register on top
GENERATORS = {4: (0o5, 0o7), 16: (0o23, 0o35), 64: (0o133, 0o171), 256: (0o561, 0o753)}


class TrellisCode(KeyedControl):
    """The nearest codeword of a convolutional code; a batch algorithm, coded at the end.

    Args:
        states: of the trellis, 4, 16, 64 or 256.
        plain: the share of the secret, from its end, that is kept as it is, in [0, 1].

    Raises:
        BadInput: another number of states, another share.
    """

    name = "trellis-code"
    streaming = False

    def set_up(self, *, states: int = 256, plain: float = 0.0) -> None:
        if states not in GENERATORS:
            known = ", ".join(map(str, GENERATORS))
            raise BadInput(f"A trellis has {known} states, not {states!r}.")
        if not isinstance(plain, int | float) or not 0.0 <= plain <= 1.0:
            raise BadInput(f"A share of the secret lies in [0, 1]: plain = {plain!r} does not.")
        self.states, self.plain = int(states), float(plain)
        super().set_up()

    @property
    def memory(self) -> int:
        """m, the input bits that a state remembers."""
        return self.states.bit_length() - 1

    def _symbols(self) -> Bits:
        symbols: Bits = step_symbols(self.memory, *GENERATORS[self.states])
        return symbols

    @property
    def pairs(self) -> int:
        """Pairs of bits that the trellis has a bit for; the bits after them are kept."""
        return (self.secret_bits - round(self.plain * self.secret_bits)) // 2

    def size_bytes(self) -> int:
        """A bit for each pair, and the bits that are kept, in whole bytes."""
        return -(-(self.secret_bits - self.pairs) // 8)

    def encode(self, bits: Bits) -> Bits:
        """The inputs of the nearest codeword, then the bits that are kept."""
        pairs = self.pairs
        words = (2 * bits[: 2 * pairs : 2] + bits[1 : 2 * pairs : 2]).astype(np.uint8)
        choices = np.empty((pairs, self.states), dtype=np.uint8)
        inputs = np.empty(pairs, dtype=np.uint8)
        nearest(words, self._symbols(), self.memory, choices, inputs)
        return np.packbits(np.concatenate([inputs, bits[2 * pairs :]]))

    def decode(self, message: Bits) -> Bits:
        """The codeword, then the bits that are kept."""
        pairs = self.pairs
        kept = np.unpackbits(message, count=self.secret_bits - pairs)
        words = np.empty(pairs, dtype=np.uint8)
        codeword(kept[:pairs], self._symbols(), self.memory, words)
        both = np.stack([words >> 1, words & 1], axis=1).reshape(-1)
        return np.concatenate([both, kept[pairs:]])


# The code: the register holds m + 1 bits, the newest on top: r = (u << m) | s, s the last m input
# bits. A step puts out the parities of r & g_0 and r & g_1, and the next state is r >> 1.


@njit(cache=True, nogil=True, error_model="numpy")
def step_symbols(m: Any, g0: Any, g1: Any) -> Any:
    """What each register content puts out: uint8[2^(m+1)], 2 parity(r & g0) + parity(r & g1)."""
    symbols = np.zeros(1 << (m + 1), np.uint8)
    for r in range(1 << (m + 1)):
        first, second = 0, 0
        for bit in range(m + 1):
            first ^= (r >> bit) & (g0 >> bit) & 1
            second ^= (r >> bit) & (g1 >> bit) & 1
        symbols[r] = 2 * first + second
    return symbols


@njit(cache=True, nogil=True, error_model="numpy")
def step(metric: Any, even: Any, odd: Any, fresh: Any, choice: Any) -> None:
    """One word: the least distance of each state, from its two neighbours, and which it was.

    A loop by itself, because as a part of the larger one it is not vectorised.

    Args:
        metric: int32[2^m], the distances before.
        even, odd: int32[2^m], what it costs to come from the even and from the odd neighbour.
        fresh, choice: int32[2^m] and uint8[2^m], written.
    """
    half = len(metric) >> 1
    for low in range(half):
        zero, one = metric[2 * low] + even[low], metric[2 * low + 1] + odd[low]
        fresh[low], choice[low] = min(zero, one), one < zero
        high = half + low
        zero, one = metric[2 * low] + even[high], metric[2 * low + 1] + odd[high]
        fresh[high], choice[high] = min(zero, one), one < zero


@njit(cache=True, nogil=True, error_model="numpy")
def nearest(words: Any, symbols: Any, m: Any, choices: Any, inputs: Any) -> Any:
    """The input bits whose codeword is nearest to the words, by Viterbi's algorithm.

    Starts in state 0, ends anywhere. Of equal paths the one whose older bit is 0 survives, and the
    lowest of equal end states wins.

    Args:
        words: uint8[T], two source bits each, 2 x_0 + x_1.
        symbols: uint8[2^(m+1)] of :func:`step_symbols`.
        m: memory; 2^m states.
        choices: uint8[T, 2^m], written: the older bit of each survivor.
        inputs: uint8[T], written.

    Returns the distance in bits.
    """
    states = 1 << m
    far = 1 << 30
    # What it costs, at each word, to come into a state from its even and from its odd neighbour.
    even, odd = np.empty((4, states), np.int32), np.empty((4, states), np.int32)
    for word in range(4):
        for new in range(states):
            register = (new >> (m - 1) << m) | ((new << 1) & (states - 1))
            apart = int(symbols[register]) ^ word
            even[word, new] = (apart & 1) + (apart >> 1)
            apart = int(symbols[register | 1]) ^ word
            odd[word, new] = (apart & 1) + (apart >> 1)
    metric = np.full(states, far, np.int32)
    metric[0] = 0
    fresh = np.empty(states, np.int32)
    for t in range(words.shape[0]):
        step(metric, even[words[t]], odd[words[t]], fresh, choices[t])
        metric, fresh = fresh, metric
    state = 0
    for s in range(states):
        if metric[s] < metric[state]:
            state = s
    best = metric[state]
    for t in range(words.shape[0] - 1, -1, -1):
        inputs[t] = state >> (m - 1)
        state = ((state << 1) & (states - 1)) | int(choices[t, state])
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def codeword(inputs: Any, symbols: Any, m: Any, words: Any) -> None:
    """The codeword of input bits uint8[T], into words uint8[T], two bits each."""
    state = 0
    for t in range(inputs.shape[0]):
        register = (int(inputs[t]) << m) | state
        words[t] = symbols[register]
        state = register >> 1


ENTRY = CatalogEntry(
    TrellisCode,
    summary="the nearest codeword of a trellis: error .120 at half of the secret's bits",
    source="Viterbi, Omura 1974 (trellis source coding); Shannon 1959 (rate distortion)",
    budgets="half of what lossless needs",
    attention="any",
    control=True,
)
