r"""Planted families: Index streams with the structure that compressors rely on (ours).

On the Index game's own stream all tokens are alike, so all evictions of a share f of them err
alike, (1-f)/2. Here the structure is there. Alice's n tokens, N = rows * d secret bits:

* ``heavy-hitters``: n Index keys. n/8 tokens at public random positions among the first 7n/8 are
  *heavy* and carry the rows of the secret; the *light* others carry public random bits. A heavy
  token's query is C times its own key, a light one's C times the key of a random heavy token up to
  it (0 where there is none). Each heavy token is attended to when it comes, light ones hardly.
* ``recency``: the last n/8 tokens carry the secret, the others public random bits; q_t = C k_t.
* ``clusters``: m = n/16 unit centres c_i and 16 tokens a cluster, in public random order. A token's
  key is (c_i + delta u)/|c_i + delta u|, u a public random unit vector, its value row i of the
  secret, its query 0. Clusters are numbered by the age of their first token.

Bob asks for row i with q = C k_i, k_i the key of its token or the centre of its cluster.

**The margin (ours).** Let W_i be the sum of e^{<q,k_l>} over the tokens l that carry row i, S_i
that over all others. Bob's token adds 1, so D_i = W_i + S_i + 1 is public and coordinate j of the
exact output is (x_ij W_i + sum_{l not of i} v_lj e^{<q,k_l>}) / D_i. All v_lj are 0 or 1, whether
they are secret or public. So it is at most S_i/D_i for a 0 and at least W_i/D_i for a 1: an error
within (1 +- eta) cannot make them meet if (1+eta) S_i < (1-eta) W_i, condition M01 of ``margins``
with S' = S_i/W_i and a = ln W_i, and the threshold is its. For ``clusters`` both extremes are
attained (all other rows 1, or 0), so "if" is "iff". In the other two families public bits are what
they are and only fewer contexts occur: it is Index's condition at the rows asked, sufficient.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, did_you_mean
from . import keys as families
from .index import MIN_TOKENS, OnKeys
from .keys.base import KeySet
from .margins import condition
from .planted_scale import RowMargins
from .scale import float32_queries

Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: tokens of the stream for one row of the secret
SHARES = {"heavy-hitters": 8, "clusters": 16, "recency": 8}
FAMILIES = tuple(SHARES)
#: how far a cluster's keys are from its centre, before they are made unit
DELTA = 0.1

_COINS = {"places": 1, "bits": 2, "attended": 3, "order": 4, "noise": 5}


def _coins(purpose: str) -> np.random.Generator:
    """Public coins: the same in every run, different for every purpose."""
    key = np.array([_COINS[purpose], 0x706C616E746564], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


@dataclass(frozen=True, eq=False)
class PlantedReduction(OnKeys):
    """One instance. Make it with :meth:`build`; the bare constructor checks nothing.

    Attributes:
        family: one of ``FAMILIES``.
        keys: the stream's keys, float32[n, d].
        asked: the keys or centres that Bob's queries are multiples of.
        row_of: int64[n], the row of the secret that a token carries, -1 where it is public.
        eta: the relative tolerance.
        scale: C.
    """

    family: str
    keys: KeySet
    asked: KeySet
    row_of: Ints
    eta: float
    scale: float

    @classmethod
    def build(
        cls,
        family: str,
        n: int,
        d: int,
        *,
        keys_name: str = "jl",
        keys_seed: int = 0,
        eta: float = 0.5,
        scale: str | float = "tight",
    ) -> PlantedReduction:
        """Plant the structure, and find a scale at which each row asked has its margin.

        ``scale``: "tight" (ours: exact), "closed" (ours: from the closest pair), "paper" (Theorem
        8's for n keys where its eps < 1/2; not for clusters) or a number.

        Raises BadInput for another family, an n that is no multiple of its share or leaves fewer
        than 16 rows, d < 2, eta outside [0, 1); NoScale as the Index reduction.

        >>> hard = PlantedReduction.build("clusters", 256, 64)
        >>> hard.tokens, hard.rows, hard.width
        (256, 16, 64)
        """
        condition("01", eta, None)
        if family not in FAMILIES:
            hint = did_you_mean(str(family), FAMILIES)
            raise BadInput(f"There is no planted family '{family}'.{hint}")
        n, d, share = operator.index(n), operator.index(d), SHARES[family]
        if n % share or n // share < MIN_TOKENS:
            raise BadInput(
                f"The {family} family needs one row of the secret for every {share} tokens, "
                f"and at least {MIN_TOKENS} rows, one for each age bucket: n must be a "
                f"multiple of {share} and at least {share * MIN_TOKENS}, not {n}."
            )
        if d < 2:
            raise BadInput(f"The theorem needs d >= 2, not d = {d}.")
        m = n // share
        made = families.make(keys_name, m if family == "clusters" else n, d, keys_seed)
        if family == "clusters":
            made, asked, row_of = _clustered(made, share)
        else:
            row_of = np.full(n, -1)
            ranks = np.argsort(_coins("places").random(n - m), kind="stable")
            places = np.sort(ranks[:m]) if family == "heavy-hitters" else np.arange(n - m, n)
            row_of[places] = np.arange(m)
            asked = KeySet(made.name, d, keys_seed, made.rows[places])
        margins = RowMargins(made, asked, row_of, condition("01", eta, None))
        return cls(family, made, asked, row_of, eta, margins.choose(scale))

    @property
    def d_v(self) -> int:
        """d."""
        return self.keys.d

    @property
    def rows(self) -> int:
        """n/8 or n/16 rows of the secret, the oldest first."""
        return self.asked.n

    @property
    def width(self) -> int:
        """d bits in a row."""
        return self.keys.d

    @property
    def margins(self) -> RowMargins:
        """Who carries which row, under M01."""
        return RowMargins(self.keys, self.asked, self.row_of, condition("01", self.eta, None))

    @cached_property
    def known_values(self) -> Float32:
        """float32[n, d]: the public bits, and 0 where a token carries a row of the secret."""
        bits = _coins("bits").random((self.tokens, self.d_v)) < 0.5
        return (bits & (self.row_of < 0)[:, None]).astype(np.float32)

    def public(self) -> dict[str, Any]:
        """What compressors are told: everything but the secret.

        For clusters ``secret_of_token`` has the row that each token carries, and ``secret_tokens``
        the first token of each.
        """
        first = np.unique(self.row_of, return_index=True)[1][-self.rows :]
        told: dict[str, Any] = {
            "reduction": self.family,
            "attention": "softmax",
            "keys": self.keys.rows,
            "values": "01",
            "eta": self.eta,
            "scale": self.scale,
            "softmax_scale": 1.0,
            "secret_tokens": first.astype(np.int64),
        }
        if self.family == "clusters":
            return told | {"secret_of_token": self.row_of, "centres": self.asked.rows}
        return told | {"known_values": self.known_values}

    # -- Alice -----------------------------------------------------------------------------------

    def stream(self, x: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Alice's triples for x, uint8[rows, d]: float32 Q, K and V, each [n, d]."""
        self.check_secret(x)
        V = self.known_values.copy()
        secret = self.row_of >= 0
        V[secret] = np.asarray(x)[self.row_of[secret]]
        return self._alices.copy(), self.keys.rows, V

    @cached_property
    def _alices(self) -> Float32:
        """Alice's queries, float32[n, d]."""
        attended = self.attended
        Q = float32_queries(self.keys, self.scale, np.maximum(attended, 0))
        Q[attended < 0] = 0
        return Q

    @cached_property
    def attended(self) -> Ints:
        """int64[n]: the token whose key a query of Alice's is C times, -1 where it is 0."""
        n = self.tokens
        if self.family == "clusters":
            return np.full(n, -1)
        if self.family == "recency":
            return np.arange(n)
        heavy = np.flatnonzero(self.row_of >= 0)
        upto = np.cumsum(self.row_of >= 0)
        drawn = heavy[(_coins("attended").random(n) * upto).astype(np.int64)]
        return np.where(upto == 0, -1, np.where(self.row_of >= 0, np.arange(n), drawn))

    # -- Bob -------------------------------------------------------------------------------------

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the rows asked (all by default): float32 fl(C k_i), 0, 0, [m, d]."""
        Q = float32_queries(self.asked, self.scale, self._at(rows))
        return Q, np.zeros_like(Q), np.zeros_like(Q)

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """Float32[m]: bit (i, j) is 1 iff coordinate j of the output for row i is greater."""
        others, weight = (measured[self._at(rows)] for measured in self._sent)
        return self.margins.condition.threshold(others, weight).astype(np.float32)

    def demands(self, rows: ArrayLike | None = None) -> Floats:
        """Float64[m]: rho S_i / W_i; a row is separated if it is below 1."""
        others, weight = (measured[self._at(rows)] for measured in self._sent)
        return self.margins.condition.demand(others, weight)

    @cached_property
    def _sent(self) -> tuple[Floats, Floats]:
        """S_i/W_i and ln W_i of the float32 queries that are really sent."""
        margins = self.margins
        return margins.interference(margins.sent(self.scale), margins.all)


def _clustered(made: KeySet, size: int) -> tuple[KeySet, KeySet, Ints]:
    """From m keys: the stream's keys around them, the unit centres by age, each token's centre."""
    m, d = made.n, made.d
    centres = made.rows / np.linalg.norm(made.rows.astype(np.float64), axis=1, keepdims=True)
    drawn = np.repeat(np.arange(m), size)
    drawn = drawn[np.argsort(_coins("order").random(m * size), kind="stable")]
    _, first = np.unique(drawn, return_index=True)
    order = np.argsort(first)
    centres = centres[order].astype(np.float32)
    row_of = np.argsort(order)[drawn]
    noise = _coins("noise").standard_normal((m * size, d))
    keys = centres[row_of] + DELTA * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    name = f"{made.name} clusters"
    return (
        KeySet(name, d, made.seed, keys.astype(np.float32)),
        KeySet(made.name, d, made.seed, centres),
        row_of,
    )
