"""Index on visual autoregression: n d bits in the earlier maps of a pyramid (arXiv 2503.14881).

A visual autoregressive model (VAR) writes a picture as square token maps of growing side, all
tokens of a map at once. The follow-up's abstract states Omega(n^2 d) bits for n the side of the
last map and d = Omega(log n), by Index and Johnson-Lindenstrauss keys; its construction was not at
hand, so this one is ours. It is Index with n = Theta(side^2) tokens, except that Bob's tokens come
as a block.

**Alice** has all maps but the last: n tokens with public keys k_l, and the rows of the secret x in
{0,1}^{n x d} as values. **Bob** appends the last map, b = side^2 zero tokens, and each of its b
queries is C k_i for some i: he reads b rows of x at once, and starts from Alice's message again for
the next b.

**The exact margin (ours).** All b tokens of the block have key and value 0, so each adds e^0 = 1 to
the denominator of each query and nothing to the numerator. With a_i = C|k_i|^2 and S_i the
interference, coordinate j of the exact output is (x_ij e^{a_i} + sum_{l != i} x_lj e^{s_l}) / D_i,
D_i = e^{a_i} + S_i + b, public. Over all contexts it is at most S_i/D_i for a 0 and at least
e^{a_i}/D_i for a 1, both attained. So errors within (1 +- eta) keep them apart **iff**
(1+eta) S_i < (1-eta) e^{a_i}: condition M01 of ``margins``, from which b has cancelled. Only the
threshold sqrt((1-eta^2) S_i e^{a_i}) / D_i knows b. An additive error would see b, through D_i; it
is refused.

**How many bits** (ours). n is the sum of the earlier maps' squares. If the last side is at most r
times the one before it, n d >= (side/r)^2 d; if every side is at least r' > 1 times the one before
it, n d <= side^2 d / (r'^2 - 1). So Theta(side^2 d) holds for pyramids in which neighbouring sides
have ratios bounded both ways. Without that it need not: in the pyramid 1, side there is one earlier
token.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from . import keys as families
from .index import MIN_TOKENS, OnKeys
from .keys.base import KeySet
from .margins import condition
from .scale import choose_scale, float32_queries

Float32 = NDArray[np.float32]
Ints = NDArray[np.int64]

#: the sides of VAR's maps for pictures of 256 x 256 (Tian et al. 2024, the published model)
PYRAMID = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)


def earlier_tokens(sides: Sequence[int]) -> int:
    """Tokens of all maps but the last.

    >>> earlier_tokens(PYRAMID)
    424
    """
    return sum(side * side for side in sides[:-1])


def cut_pyramid(n: int, sides: Sequence[int] = PYRAMID) -> tuple[int, ...]:
    """The pyramid cut after the map that follows n earlier tokens.

    BadInput where no map follows n tokens, naming the n that there are.

    >>> cut_pyramid(30)
    (1, 2, 3, 4, 5)
    """
    cuts = {
        total: tuple(sides[: k + 2])
        for k, total in enumerate(itertools.accumulate(side * side for side in sides[:-1]))
    }
    usable = [total for total in cuts if total >= MIN_TOKENS]
    if n not in usable:
        raise BadInput(
            "Alice has the maps before the last one. For the pyramid "
            f"{', '.join(map(str, sides))} n must be one of {', '.join(map(str, usable))}, not "
            f"{n}."
        )
    return cuts[n]


@dataclass(frozen=True, eq=False)
class VisualReduction(OnKeys):
    """One hard instance. Make it with :meth:`build`; the bare constructor checks nothing.

    Attributes:
        keys: the earlier maps' public keys, float32[n, d].
        sides: the maps' sides, the last one Bob's.
        eta: the relative tolerance.
        scale: C.
    """

    keys: KeySet
    sides: tuple[int, ...]
    eta: float
    scale: float

    @classmethod
    def build(
        cls,
        *,
        n: int,
        d: int,
        keys_name: str = "kerdock",
        keys_seed: int = 0,
        eta: float = 0.5,
        scale: str | float = "tight",
        pyramid: Sequence[int] = PYRAMID,
    ) -> VisualReduction:
        """Take n keys of a family, and a scale at which each stands out.

        ``n`` tokens lie before the last map of ``pyramid``, or of a part of it from its first map
        on. ``scale``: "tight" (ours: exact), "closed" (ours: from the closest pair), "paper"
        (Theorem 8's, where its eps < 1/2), or a number.

        Raises BadInput for an n that no map follows, d < 2 or eta outside [0, 1); NoScale as the
        Index reduction.

        >>> hard = VisualReduction.build(n=424, d=64)
        >>> hard.block, hard.rows * hard.width
        (256, 27136)
        """
        rule = condition("01", eta, None)
        sides = cut_pyramid(n, pyramid)
        if d < 2:
            raise BadInput(f"The theorem needs d >= 2, not d = {d}.")
        keys = families.make(keys_name, n, d, keys_seed)
        return cls(keys, sides, eta, choose_scale(keys, rule, scale))

    @property
    def block(self) -> int:
        """b, the tokens of the last map."""
        return self.sides[-1] ** 2

    @property
    def extra(self) -> int:
        """The same: the block is appended at once."""
        return self.block

    @property
    def d_v(self) -> int:
        """d."""
        return self.keys.d

    @property
    def width(self) -> int:
        """d bits a row."""
        return self.keys.d

    def public(self) -> dict[str, Any]:
        """What compressors are told: everything but the secret."""
        return {
            "reduction": "visual",
            "attention": "softmax",
            "keys": self.keys.rows,
            "values": "01",
            "eta": self.eta,
            "scale": self.scale,
            "softmax_scale": 1.0,
        }

    def stream(self, x: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Alice's triples for x, uint8[n, d]: float32 Q = 0, K, V, each [n, d]."""
        self.check_secret(x)
        return np.zeros_like(self.keys.rows), self.keys.rows, np.asarray(x).astype(np.float32)

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the rows asked: float32 fl(C k_i), 0, 0, each [m, d]."""
        Q = float32_queries(self.keys, self.scale, self._at(rows))
        return Q, np.zeros_like(Q), np.zeros_like(Q)

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """Float32[m]: sqrt((1-eta^2) S') / (1 + S' + b e^-a); a bit is 1 iff it is above."""
        S, own = self._measured(self._at(rows))
        cut = np.sqrt((1 - self.eta**2) * S) / (1 + S + self.block * np.exp(-own))
        return np.asarray(cut, dtype=np.float32)
