"""Secrets in the keys as well: an address that all know, and a payload that Alice chooses (ours).

d = d_a + d_p. Key l is k_l = (A_l, y_l): A_l in {-1,1}^{d_a} are the bits of l, public, d_a =
ceil(log2 N); the payload y_l in Y^{d_p} is secret, and so is the value x_l in {0,1}^d. Y has L =
2^b levels (2g - L + 1)/2^{b-1}, g < L, all exact in float32; b = 1: y = +-1. Row l of the secret
is x_l and y_l (Gray code, as in ``alphabet``), so that the secret has

    N (d + d_p b) = N (2d - ceil(log2 N)) bits at b = 1,

K and V together. Write S'(c) = sum_{l != i} e^{c <A_l,A_i> - c d_a}; all 2^{d_a} addresses taken
it is (1 + e^{-2c})^{d_a} - 1 (``keys.hypercube``), and a prefix of them has less.

**Values.** Bob appends the zero token with q = (c A_i, 0). Scores do not see payloads, so this is
the Index reduction on the addresses: condition M01 of ``margins``,

    rho S'(c) < 1,    that is (1 + e^{-2c})^{d_a} - 1 < 1/rho,    rho = (1+eta)/(1-eta).      (V)

**Payloads.** Bob appends a *reference* (A_i, t e_j) with the value V e_1, asks with q = (c' A_i,
beta e_j), and reads off coordinate 1 whether y_ij is above the cut t, halfway between two levels:
the more weight token i draws from the reference, the less of V is left. It can be read, exactly,
**iff**

    zeta = e^{beta 2^{1-b}} > rho,   V > rho zeta/(zeta - rho),   S'(c') zeta^{2^{b+1}-3} < sigma*,

sigma* the root of a quadratic: ``payload_margins`` has the proof. As V, c' -> inf what is left is
beta > 2^{b-1} ln rho (levels reach 2 - 2^{1-b}), at *constant* eta, while values carry only the
logarithm of a logarithm of their range (``levels``): keys must be kept at a higher precision than
values.

**One answer a bit.** Let t_1, .., t_b be the cuts that a binary search for y_ij meets when nobody
errs; t_k follows from the k - 1 highest bits of y_ij. Bit k is "y_ij is above t_k", and Gray's code
adds the bit above it, modulo 2. So, *told the bits above*, Bob reads bit k off **one** answer:

    if each answer is within 1 +- eta with probability at least 1 - delta, each bit is wrong with
    probability at most delta, and the state has N (d + d_p b)(1 - h(delta)) bits at least.     (T)

*Proof.* For every x the question about t_k(x) is one question of one stream, whose answer is out
of tolerance with probability at most delta; average over x. Order the bits of a number from the
top; H(M) >= I(X; M) = sum_k I(X_k; M | X_<k) = sum_k (1 - H(X_k | M, X_<k)) and, as X_<k contains
the bits above, H(X_k | M, X_<k) <= h(delta_k) by Fano; h is concave.   []
(*Augmented Index*: Bob knows the bits before the one he wants. The ledger stands, since for each
message the guesses' errors tell x: in ``soft_ledger``'s proof Q_i(x_i | M, x_<i) may use them.)

What the guarantee does not give is delta for a number, nor for its bits found *without* help: after
one wrong answer the search asks about cuts that tell nothing of y_ij, so a bit may be wrong with
probability b delta. Nor do the answers to all 2^b - 1 cuts deserve a vote each: Bob asks for all
since his questions may not depend on x, and 2^b - 1 - b of them are not about this number's bits.

**How near to optimal.** Outputs are functions of the multiset of pairs (k, v), so for keys and
values of one bit a number no state needs more than log2 binom(4^d + N - 1, N) bits (and less than
one for rounding), nearly 2dN - log2 N!; the bound is N log2 e - O(log N) below, 1.44 bits a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .alphabet import symbols_of
from .index import MIN_TOKENS
from .keys.base import KeySet
from .keys.hypercube import address_bits
from .margins import condition
from .payload_margins import KeyQuestion, address_keys, payload_cuts, payload_levels
from .reduction import ByCoordinate
from .scale import choose_scale, sent_interference

Bits = NDArray[np.uint8]
Ints = NDArray[np.int64]
Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Triples = tuple[Float32, Float32, Float32]

#: queries that are made at once hold at most so many numbers, 256 MiB each of Q, K and V
MOST_NUMBERS = 1 << 26


@dataclass(frozen=True, eq=False)
class KeyPayloadReduction(ByCoordinate):
    """One hard instance. Make it with :meth:`build`; the bare constructor checks nothing.

    Attributes:
        addresses: the public parts of the keys, float32[N, d_a] of -1 and 1.
        d: the dimension of keys and of values.
        b: payload bits a coordinate.
        eta: the relative tolerance.
        value_scale: c of (V).
        question: c', beta and V of (K).
    """

    addresses: KeySet
    d: int
    b: int
    eta: float
    value_scale: float
    question: KeyQuestion

    @classmethod
    def build(
        cls, *, n: int, d: int, b: int = 1, eta: float = 0.5, scale: str | float = "tight"
    ) -> KeyPayloadReduction:
        """The smallest c, and c' for the zeta and V of the module docstring.

        Raises BadInput for n < 16, d <= ceil(log2 n), b outside 1..8, eta outside [0, 1) or another
        scale than "tight"; NoScale where float32 leaves no room.

        >>> hard = KeyPayloadReduction.build(n=256, d=32)
        >>> hard.bits_in_values, hard.bits_in_keys, round(hard.scale, 2)
        (8192, 6144, 13.23)
        """
        rule = condition("01", eta, None)
        payload_levels(b)
        if scale != "tight":
            raise BadInput(
                "The key-payload reduction computes its three scales itself: leave --scale at "
                f"'tight', not {scale!r}."
            )
        if n < MIN_TOKENS:
            raise BadInput(
                f"The key-payload reduction needs n >= {MIN_TOKENS} data tokens, one for each age "
                f"bucket, not {n}."
            )
        if d <= address_bits(n):
            raise BadInput(
                f"The addresses of n = {n} tokens take {address_bits(n)} coordinates of a key, "
                f"so d = {d} leaves none for a payload: use d > {address_bits(n)} or a smaller "
                "n."
            )
        addresses = address_keys(n)
        found = choose_scale(addresses, rule, "tight")
        return cls(addresses, d, b, eta, found, KeyQuestion.build(addresses, b, eta, d))

    @property
    def scale(self) -> float:
        """C = c d_a, the score of the value asked for (that of unit hypercube keys)."""
        return self.value_scale * self.addresses.d

    @property
    def tokens(self) -> int:
        """N data tokens."""
        return self.addresses.n

    @property
    def rows(self) -> int:
        """N: a row is all that is secret about a token."""
        return self.addresses.n

    @property
    def d_k(self) -> int:
        """d."""
        return self.d

    @property
    def d_v(self) -> int:
        """d."""
        return self.d

    @property
    def payload(self) -> int:
        """d_p = d - d_a, the secret coordinates of a key."""
        return self.d - self.addresses.d

    @property
    def width(self) -> int:
        """d bits of the value, then b bits for each coordinate of the payload."""
        return self.d + self.payload * self.b

    @property
    def bits_in_values(self) -> int:
        """N d."""
        return self.rows * self.d

    @property
    def bits_in_keys(self) -> int:
        """N (d - ceil(log2 N)) b."""
        return self.rows * self.payload * self.b

    @property
    def secret_bits(self) -> int:
        """Both together."""
        return self.bits_in_values + self.bits_in_keys

    @property
    def logit_range(self) -> float:
        """The largest score of any question, in nats."""
        asked = self.question
        payload = asked.scale * self.addresses.d + asked.beta * float(payload_levels(self.b)[-1])
        return max(self.scale, payload)

    @property
    def questions_per_row(self) -> int:
        """1 for the value, 2^b - 1 for each coordinate of the payload."""
        return 1 + self.payload * ((1 << self.b) - 1)

    def public(self) -> dict[str, Any]:
        """What compressors are told. There are no ``keys``, which are secret in part.

        ``addresses`` float32[N, d_a] is what of the keys is public, ``payload_levels`` float32[2^b]
        the alphabet of the rest.
        """
        return {
            "reduction": "key-payload",
            "attention": "softmax",
            "addresses": self.addresses.rows,
            "payload_levels": payload_levels(self.b),
            "values": "01",
            "eta": self.eta,
            "scale": self.scale,
            "softmax_scale": 1.0,
        }

    def stream(self, x: Bits) -> Triples:
        """Alice's triples for x, uint8[N, width]: float32 Q = 0, K, V, each [N, d]."""
        self.check_secret(x)
        levels = payload_levels(self.b)[symbols_of(np.asarray(x)[:, self.d :], 2**self.b)]
        K = np.hstack([self.addresses.rows, levels])
        return np.zeros_like(K), K, np.asarray(x)[:, : self.d].astype(np.float32)

    # -- Bob -------------------------------------------------------------------------------------

    def queries(self, rows: ArrayLike | None = None) -> Triples:
        """Row after row: the value's question, then coordinate by coordinate every cut, rising.

        Float32 Q, K and V, each [m questions_per_row, d]; BadInput as :meth:`check_asked`.
        """
        at = self._at(rows)
        self.check_asked(len(at))
        cuts = np.arange(2**self.b - 1)
        j, cut = np.repeat(np.arange(self.payload), len(cuts)), np.tile(cuts, self.payload)
        whole = np.zeros((3, len(at), self.questions_per_row, self.d), dtype=np.float32)
        whole[0, :, 0, : self.addresses.d] = np.float32(self.value_scale) * self.addresses.rows[at]
        ask = self.ask(np.repeat(at, len(j)), np.tile(j, len(at)), np.tile(cut, len(at)))
        whole[:, :, 1:] = np.reshape(ask, (3, len(at), len(j), self.d))
        Q, K, V = whole.reshape(3, -1, self.d)
        return Q, K, V

    def check_asked(self, rows: int) -> None:
        """BadInput if the questions for this many rows have over 2^26 numbers."""
        if rows * self.questions_per_row * self.d > MOST_NUMBERS:
            raise BadInput(
                f"{rows} rows of {self.questions_per_row} questions do not fit in memory: ask "
                "fewer rows (--rows), or use fewer payload bits."
            )

    def ask(self, rows: Ints, coordinates: Ints, cuts: Ints) -> Triples:
        """The triples of payload questions: row, coordinate below d_p, number of the cut.

        Float32, each [m, d]. The level is above the cut iff coordinate 0 of the output is below its
        threshold.
        """
        Q, K, V = np.zeros((3, len(rows), self.d), dtype=np.float32)
        every, d_a = np.arange(len(rows)), self.addresses.d
        K[:, :d_a] = self.addresses.rows[rows]
        Q[:, :d_a] = np.float32(self.question.scale) * K[:, :d_a]
        Q[every, d_a + coordinates] = np.float32(self.question.beta)
        K[every, d_a + coordinates] = payload_cuts(self.b)[cuts]
        V[:, 0] = np.float32(self.question.reference)
        return Q, K, V

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """Float32[m questions_per_row]: where each question's output is cut.

        A bit of the value is 1 iff its coordinate is greater; a payload is above its cut iff
        coordinate 0 is *smaller* than the geometric mean of the two moved outputs of (K).
        """
        at = self._at(rows)
        values = condition("01", self.eta, None).threshold(
            *sent_interference(self.addresses, self.value_scale, at)
        )
        payload = np.tile(self._cuts[at], (1, self.payload))
        return np.hstack([values[:, None], payload]).astype(np.float32).reshape(-1)

    def decode(
        self, outputs: ArrayLike, rows: ArrayLike | None = None, told: Bits | None = None
    ) -> Bits:
        """Outputs [m questions_per_row, d] for the rows asked -> uint8[m, width].

        ``told``: the rows' true bits, uint8[m, width], of which each bit is read with those *above*
        it in its number known (T). None: his own, which is a binary search. A nan is a bit 0 of a
        value, and a level not above its cut.
        """
        count = len(self._at(rows))
        answers = np.asarray(outputs, dtype=np.float32).reshape(count, self.questions_per_row, -1)
        cut = self.thresholds(rows).reshape(count, -1)
        values = (answers[:, 0] > cut[:, :1]).astype(np.uint8)
        above = (answers[:, 1:, 0] < cut[:, 1:]).reshape(count, self.payload, -1)
        known = None if told is None else symbols_of(np.asarray(told)[:, self.d :], 2**self.b)
        level = np.zeros((count, self.payload), dtype=np.int64)
        payload = np.empty((count, self.payload, self.b), dtype=np.uint8)
        last = np.zeros_like(level)
        for k in range(self.b):
            step = 1 << (self.b - 1 - k)
            heard = np.take_along_axis(above, (level + step - 1)[:, :, None], axis=2)[:, :, 0]
            # A bit of Gray's code is the sum of the number's bit and the one above it.
            payload[:, :, k] = heard ^ last
            last = heard.astype(np.int64) if known is None else known // step % 2
            level += step * last
        return np.hstack([values, payload.reshape(count, -1)])

    @cached_property
    def _cuts(self) -> Floats:
        """The payload's thresholds of every row and cut, float64[N, 2^b - 1]."""
        return self.question.thresholds(self.addresses, self.b, self.eta)
