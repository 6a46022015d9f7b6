"""The Index reduction (Theorems 6 and 8): random bits in the values, read back by one query each.

Alice's secret is x in {0,1}^{n x d_v}. Her stream has q = 0, the public keys k_i, and row i of x
as the value v_i. For row i Bob appends (C k_i, 0, 0) to a copy of her state and reads row i of x
off the output, coordinate by coordinate (Remark 7). At a scale C where the margin condition holds
for all i (``margins``), **any** algorithm whose answers meet the guarantee gives him every bit, so
its state carries n d_v (1 - h(error)) bits (``bounds``).

Everything is about the float32 numbers that are really sent: the keys, the query fl(C k_i), the
thresholds. How the scale is chosen, "tight" above all, is in ``scale``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .keys.base import KeyRows, KeySet
from .margins import Condition, condition
from .reduction import ByCoordinate, Public
from .scale import choose_scale, float32_queries, sent_interference

Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]

#: as many age buckets as the evidence looks at; fewer tokens would leave one empty
MIN_TOKENS = 16


class OnKeys(ByCoordinate):
    """What hard families on one key set share, with a row of the secret for each token."""

    keys: KeySet
    scale: float

    @property
    def n(self) -> int:
        """Data tokens."""
        return self.keys.n

    @property
    def tokens(self) -> int:
        """n, as :class:`~kvbarrier.reductions.reduction.Reduction` calls it."""
        return self.keys.n

    @property
    def rows(self) -> int:
        """n: every token's value is a row of the secret."""
        return self.keys.n

    @property
    def d_k(self) -> int:
        """The dimension of the keys."""
        return self.keys.d

    @cached_property
    def _known(self) -> tuple[Floats, Floats]:
        return np.full(self.n, np.nan), np.full(self.n, np.nan)

    def _measured(self, at: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """S'_i and a_i of the queries sent, remembered row by row."""
        interference, own = self._known
        new = np.unique(at[np.isnan(own[at])])
        if len(new):
            interference[new], own[new] = sent_interference(self.keys, self.scale, new)
        return interference[at], own[at]


@dataclass(frozen=True)
class IndexReduction(OnKeys):
    """One hard instance. Make it with :meth:`build`; the bare constructor checks nothing.

    Attributes:
        keys: the public keys, float32[n, d].
        d_v: bits per token, the width of a value.
        values: "01" or "pm1" (a bit b is sent as 2b - 1).
        eta: the relative tolerance, or None.
        gamma: the additive tolerance, or None (exactly one of the two is given).
        scale: C; scores are <q, k>, with no 1/sqrt(d).
    """

    keys: KeySet
    d_v: int
    values: str = "01"
    eta: float | None = 0.5
    gamma: float | None = None
    scale: float = 1.0

    @classmethod
    def build(
        cls,
        keys: KeySet,
        d_v: int,
        *,
        values: str = "01",
        eta: float | None = 0.5,
        gamma: float | None = None,
        scale: str | float = "tight",
    ) -> IndexReduction:
        """Check the hypotheses, and find a scale at which every key has its margin.

        ``scale``: "tight" (ours: exact), "closed" (ours: from the closest pair of keys), "paper"
        (Theorem 8's, for values 01 and eta, where its eps < 1/2), or a number.

        Raises BadInput for n < 16, d < 2, d_v < 1 or a tolerance outside its range; NoScale where
        no scale, or not the one given, separates every key, or float32 cannot hold it.

        >>> from .keys import make
        >>> round(IndexReduction.build(make("kerdock", None, 64), 64).scale, 3)
        10.041
        """
        rule = condition(values, eta, gamma)
        _check_sizes(keys, d_v)
        return cls(keys, d_v, values, eta, gamma, choose_scale(keys, rule, scale))

    @property
    def width(self) -> int:
        """d_v bits in a row."""
        return self.d_v

    @property
    def secret_bits(self) -> int:
        """n d_v."""
        return self.keys.n * self.d_v

    @property
    def condition(self) -> Condition:
        """The margin condition in force: M01, M+-, A01 or A+-."""
        return condition(self.values, self.eta, self.gamma)

    def public(self) -> Public:
        """What compressors are told: everything but the secret."""
        tolerance = {"eta": self.eta} if self.eta is not None else {"gamma": self.gamma}
        told = {
            "reduction": "index",
            "values": self.values,
            **tolerance,
            "scale": self.scale,
            "softmax_scale": 1.0,
            "attention": "softmax",
        }
        return Public(told, keys=KeyRows(self.keys))

    # -- Alice -----------------------------------------------------------------------------------

    def encode_values(self, x: NDArray[np.uint8]) -> Float32:
        """uint8[n, d_v] of bits -> float32[n, d_v]: x itself, or 2x - 1 for "pm1"."""
        plain = np.asarray(x).astype(np.float32)
        return plain if self.values == "01" else 2 * plain - 1

    def stream(self, x: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Alice's triples for x, uint8[n, d_v]: float32 Q = 0 [n, d], K [n, d], V [n, d_v]."""
        self.check_secret(x)
        return self.part(x, slice(None))

    def part(self, x: NDArray[np.uint8], tokens: slice) -> tuple[Float32, Float32, Float32]:
        """These tokens of :meth:`stream`, in arrays of their own; no other key is computed.

        >>> from .keys import make
        >>> hard = IndexReduction.build(make("bch", 64, 16), 16)
        >>> x = np.ones((64, 16), dtype=np.uint8)
        >>> whole, part = hard.stream(x), hard.part(x, slice(32, 48))
        >>> all(np.array_equal(a[32:48], b) for a, b in zip(whole, part, strict=True))
        True
        """
        K = self.keys.rows_at(np.arange(*tokens.indices(self.n)))
        return np.zeros_like(K), K, self.encode_values(x[tokens])

    # -- Bob -------------------------------------------------------------------------------------

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the rows asked (all by default): float32 fl(C k_i), 0, 0.

        Shapes [m, d], [m, d], [m, d_v].
        """
        Q = float32_queries(self.keys, self.scale, self._at(rows))
        return Q, np.zeros_like(Q), np.zeros((len(Q), self.d_v), dtype=np.float32)

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """Float32[m]: bit (i, j) is 1 iff coordinate j of the output for row i is greater."""
        at = self._at(rows)
        cut = self.condition.threshold(*self._measured(at))
        return cut.astype(np.float32)

    def demands(self, rows: ArrayLike | None = None) -> Floats:
        """Float64[m]: the demand of each row's margin condition; separated iff below 1."""
        at = self._at(rows)
        return self.condition.demand(*self._measured(at))


def _check_sizes(keys: KeySet, d_v: int) -> None:
    if keys.n < MIN_TOKENS:
        raise BadInput(
            f"The Index reduction needs n >= {MIN_TOKENS} data tokens, one for each age "
            f"bucket, not {keys.n}: use more keys."
        )
    if keys.d < 2:
        raise BadInput(
            f"The theorem needs d >= 2, not d = {keys.d}: on a line at most two keys can stand out."
        )
    if d_v < 1:
        raise BadInput(f"A value needs d_v >= 1 coordinates, not {d_v}.")
