"""The Index game on a model's own keys: bits in the values of the tokens that they certify (ours).

``own_keys`` has the theorem. Alice's stream is (0, k_l, v_l), l = 1..n, with the keys of a head in
the order of its tokens. The rows of the tokens of I are secret; the others are context, with public
random bits for values, so that no cache can tell them apart by their contents. For token i of I Bob
appends (q_i, 0, 0) with the query found for it, |q_i| <= r, and reads its row by thresholds
(``margins``): these hold for every content of the context, so they hold for this one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, NoScale
from .index import MIN_TOKENS
from .own_keys import OwnTokens
from .reduction import ByCoordinate

Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: public coins of the context's values
_COINS = np.array([1, 0x6F776E6B657973], dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class OwnKeysReduction(ByCoordinate):
    """One instance. Make it with :meth:`build`; the bare constructor checks nothing.

    Attributes:
        head: the keys, with the best query for each token.
        d_v: bits of a row, the width of a value.
    """

    head: OwnTokens
    d_v: int

    @classmethod
    def build(cls, head: OwnTokens, d_v: int) -> OwnKeysReduction:
        """Raise BadInput for fewer than 16 certified tokens, NoScale where float32 scores fail.

        The latter is the prudence of ``scale.check_float32``: no score may be off by ln(2)/2.

        >>> from .own_keys import own_tokens
        >>> hard = OwnKeysReduction.build(own_tokens(np.eye(20, 20, dtype="f4"), 9.0), 8)
        >>> hard.tokens, hard.rows, hard.width
        (20, 20, 8)
        """
        count = int(head.certified.sum())
        if count < MIN_TOKENS:
            raise BadInput(
                f"At norm {head.norm:.4g} these keys certify {count} of {head.n} tokens, and the "
                f"game needs {MIN_TOKENS}, one for each age bucket: give a larger --norm."
            )
        largest = float(np.linalg.norm(head.keys.astype(np.float64), axis=1).max())
        error = head.norm * largest * (head.keys.shape[1] + 2) * 2.0**-24
        if error >= math.log(2) / 2:
            raise NoScale(
                f"At norm {head.norm:.4g} a float32 score of these keys can be wrong by "
                f"{error:.3g} nats, which uses up the margin: give a smaller --norm."
            )
        return cls(head, d_v)

    @property
    def scale(self) -> float:
        """R: Bob's queries are at most so long, and most are exactly so."""
        return self.head.norm

    @property
    def tokens(self) -> int:
        """n data tokens."""
        return self.head.n

    @property
    def d_k(self) -> int:
        """The dimension of the keys."""
        return int(self.head.keys.shape[1])

    @cached_property
    def secret(self) -> Ints:
        """int64[rows]: the tokens of I, the oldest first."""
        return np.flatnonzero(self.head.certified)

    @property
    def rows(self) -> int:
        """|I| rows of the secret."""
        return len(self.secret)

    @property
    def width(self) -> int:
        """d_v bits in a row."""
        return self.d_v

    @cached_property
    def known_values(self) -> Float32:
        """float32[n, d_v]: the public values of the context, 0 at the secret tokens."""
        coins = np.random.Generator(np.random.Philox(key=_COINS))
        known = self._values(coins.random((self.tokens, self.d_v)) < 0.5)
        known[self.secret] = 0
        return known

    def public(self) -> dict[str, Any]:
        """What compressors are told: everything but the secret."""
        rule = self.head.rule
        tolerance = {"gamma" if rule.name.startswith("A") else "eta": rule.tolerance}
        return {
            "reduction": "own-keys",
            "attention": "softmax",
            "keys": self.head.keys,
            "values": "pm1" if rule.name.endswith("+-") else "01",
            **tolerance,
            "scale": self.scale,
            "softmax_scale": 1.0,
            "secret_tokens": self.secret,
            "known_values": self.known_values,
        }

    def _values(self, bits: NDArray[Any]) -> Float32:
        plain = bits.astype(np.float32)
        return 2 * plain - 1 if self.head.rule.name.endswith("+-") else plain

    # -- Alice -----------------------------------------------------------------------------------

    def stream(self, x: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Alice's triples for x, uint8[rows, d_v]: float32 Q = 0 [n, d], K [n, d], V [n, d_v]."""
        self.check_secret(x)
        V = self.known_values.copy()
        V[self.secret] = self._values(np.asarray(x))
        return np.zeros_like(self.head.keys), self.head.keys, V

    # -- Bob -------------------------------------------------------------------------------------

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the rows asked (all by default): float32 q_i, 0, 0."""
        Q = self.head.queries[self._at(rows)]
        return Q, np.zeros_like(Q), np.zeros((len(Q), self.d_v), dtype=np.float32)

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """Float32[m]: bit (i, j) is 1 iff coordinate j of the output for row i is greater."""
        at = self._at(rows)
        cut = self.head.rule.threshold(self.head.interference[at], self.head.own[at])
        return cut.astype(np.float32)

    def demands(self, rows: ArrayLike | None = None) -> Floats:
        """Float64[m]: the demand of each row's margin condition; below 1 for all of them."""
        at = self._at(rows)
        return self.head.rule.demand(self.head.interference[at], self.head.own[at])

    def _at(self, rows: ArrayLike | None) -> Ints:
        """The tokens of some rows."""
        return self.secret if rows is None else self.secret[np.asarray(rows, dtype=np.int64)]
