"""The Index game's streams in all their variants: layers and heads, Alice's queries, the basis.

The secret bits are always values' bits and Bob always asks for tokens. What varies is public, so
Bob's bound is what it was: it counts secret bits against message bits and knows nothing of how the
stream looks (Theorem 5). What varies is which compressor has a hard time.

**Layers and heads.** A token has a key and a value in each of L layers and H heads, so the secret
has L H n d bits. Every head has the same n keys, in a public order of its own: each head's exact
margins are those of the one key set, and no head's key at a time step tells another's.

**Alice's queries** q_t, which score-based eviction lives on (the reduction's own are zero):

* ``zero``: all scores tie.
* ``gaussian``: public Gaussian queries of norm C in expectation of its square, like Bob's.
* ``self``: q_t = C k_t, every token attends to itself.
* ``decoy``: one set is attended to so that another is evicted. The victims are the tokens of one
  age bucket, the eighth; q_t = C k_j with j a public random token up to t outside it. A policy that
  keeps what was attended to drops the victims first, whatever its budget below 15/16 of the tokens.

**The basis.** ``literal`` is the reduction's: values 0 and 1 coordinate by coordinate. ``rotated``
multiplies all keys by one public random rotation and all values by another; Bob turns his query
and the output back. Keys keep their inner products (the scale is found for the float32 numbers that
are sent). Values: the output for rotated values is the rotated output, so every statement about
*bits* stands. What turns is the guarantee: an error of (1 +- eta) a coordinate in the rotated basis
is no such error in the literal one, while an error that is small in the Euclidean norm is the same
in both. So a rotated basis tests another guarantee than the literal one: ||error||_2 at most gamma,
or eta min_j |o_ij| with o_i the unrotated output. Then every coordinate of it is within the
tolerance once Bob has turned it back, whatever the rotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .index import IndexReduction
from .keys.base import KeyRows, KeySet
from .reduction import ByCoordinate, Public

Float32 = NDArray[np.float32]
Indices = NDArray[np.int64]

QUERIES = ("zero", "gaussian", "self", "decoy")
BASES = ("literal", "rotated")

#: the victims of ``decoy``: one of sixteen age buckets, neither old enough for a sink nor recent
VICTIM_BUCKET, BUCKETS = 7, 16

_COINS = {"order": 1, "gaussian": 2, "decoy": 3, "keys": 4, "values": 5}


def _coins(purpose: str, number: int = 0) -> np.random.Generator:
    """Public coins: the same in every run, different for every purpose and head."""
    key = np.array([_COINS[purpose], number], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def rotation(d: int, purpose: str) -> NDArray[np.float64]:
    """A public random rotation of R^d, float64[d, d]: Haar, from Gaussian coins (Mezzadri 2007).

    ``purpose``: "keys" or "values", which are turned independently.

    >>> R = rotation(8, "keys")
    >>> bool(np.allclose(R @ R.T, np.eye(8)))
    True
    """
    q, r = np.linalg.qr(_coins(purpose).standard_normal((d, d)))
    turned: NDArray[np.float64] = q * np.sign(np.diag(r))
    return turned


def rotated_keys(keys: KeySet) -> KeySet:
    """The key set turned by the public rotation and rounded to float32; it has no spectrum."""
    rows = (keys.rows.astype(np.float64) @ rotation(keys.d, "keys")).astype(np.float32)
    return KeySet(keys.name, keys.d, keys.seed, rows)


def victims(n: int) -> Indices:
    """The tokens that ``decoy`` has evicted: those t with 16 t // n = 7.

    >>> victims(32).tolist()
    [14, 15]
    """
    return np.flatnonzero(BUCKETS * np.arange(n) // n == VICTIM_BUCKET)


@dataclass(frozen=True)
class StreamFamily(ByCoordinate):
    """Variants of one Index instance. Its keys are already turned where ``basis`` is "rotated".

    Attributes:
        index: the reduction of one head.
        layers, heads: L and H.
        queries: Alice's, one of ``QUERIES``.
        basis: "literal" or "rotated".
    """

    index: IndexReduction
    layers: int = 1
    heads: int = 1
    queries_of_alice: str = "zero"
    basis: str = "literal"

    def __post_init__(self) -> None:
        if self.layers < 1 or self.heads < 1:
            raise BadInput(
                "The numbers of layers and heads must be 1 or more, not "
                f"{self.layers} and {self.heads}."
            )

    @property
    def scale(self) -> float:
        """C, that of the one key set."""
        return self.index.scale

    @property
    def tokens(self) -> int:
        """n data tokens."""
        return self.index.n

    @property
    def rows(self) -> int:
        """n: a row is what one token hides in all its heads."""
        return self.index.n

    @property
    def width(self) -> int:
        """L H d_v bits in a row."""
        return self.layers * self.heads * self.index.d_v

    @property
    def d_k(self) -> int:
        """The dimension of a head's keys."""
        return self.index.d_k

    @property
    def d_v(self) -> int:
        """The dimension of a head's values."""
        return self.index.d_v

    @property
    def coordinates(self) -> bool:
        """Whether a bit is a comparison of one output coordinate with the row's threshold."""
        return self.basis == "literal"

    @cached_property
    def order(self) -> Indices:
        """int64[n, L H]: which key of the set a head has at a time step; the first head's is t."""
        n = self.index.n
        orders = [np.arange(n)]
        orders += [_coins("order", h).permutation(n) for h in range(1, self.layers * self.heads)]
        return np.stack(orders, axis=1)

    @cached_property
    def turn(self) -> NDArray[np.float64] | None:
        """The rotation of values, or None."""
        return rotation(self.index.d_v, "values") if self.basis == "rotated" else None

    def public(self) -> Public:
        """What compressors are told: everything but the secret."""
        told = self.index.public() | {"queries": self.queries_of_alice}
        if self.turn is not None:
            told |= {"basis": "rotated", "value_rotation": self.turn.astype(np.float32)}
        return told.but(keys=KeyRows(self.index.keys, self._shaped(self.order)))

    def _keys(self, at: Indices) -> Float32:
        """The keys of these numbers, int64[m, L H] -> float32[m, L H, d_k]."""
        return self.index.keys.rows_at(at.ravel()).reshape(*at.shape, self.index.d_k)

    def _shaped(self, rows: NDArray[Any]) -> NDArray[Any]:
        """[m, L H, ...] as the game sends it: [m, ...] for one head, else [m, L, H, ...]."""
        if self.layers * self.heads == 1:
            return rows[:, 0]
        return rows.reshape(len(rows), self.layers, self.heads, *rows.shape[2:])

    # -- Alice -----------------------------------------------------------------------------------

    def stream(self, x: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Alice's float32 Q, K and V for x, uint8[n, L H d_v]; axes as in :meth:`_shaped`."""
        self.check_secret(x)
        return self.part(x, slice(None))

    def part(self, x: NDArray[np.uint8], tokens: slice) -> tuple[Float32, Float32, Float32]:
        """These tokens of :meth:`stream`, in arrays of their own; no other key is computed."""
        order = self.order[tokens]
        V = self.index.encode_values(np.asarray(x[tokens]).reshape(*order.shape, self.index.d_v))
        if self.turn is not None:
            V = (V.astype(np.float64) @ self.turn).astype(np.float32)
        K = self._keys(order)
        Q = np.zeros_like(K) if self._alices is None else self._alices[tokens].copy()
        return self._shaped(Q), self._shaped(K), self._shaped(V)

    @cached_property
    def _alices(self) -> Float32 | None:
        """Alice's queries, float32[n, L H, d_k]; None where they are zero."""
        shape = (*self.order.shape, self.index.d_k)
        if self.queries_of_alice == "zero":
            return None
        if self.queries_of_alice == "gaussian":
            drawn: Float32 = _coins("gaussian").standard_normal(shape).astype(np.float32)
            return drawn * np.float32(self.scale / np.sqrt(self.index.d_k))
        attended = self._attended()
        every = np.arange(self.index.n)
        Q = self.index.queries(every)[0]
        found: Float32 = Q[np.take_along_axis(self.order, attended, axis=0)]
        return found

    def _attended(self) -> Indices:
        """Which token each query attends to, int64[n, L H], never a later one."""
        n, heads = self.order.shape
        every = np.tile(np.arange(n)[:, None], (1, heads))
        if self.queries_of_alice == "self":
            return every
        decoys = np.setdiff1d(np.arange(n), victims(n))
        upto = np.searchsorted(decoys, np.arange(n), side="right")
        # The first token is a decoy (16 t // n = 0), so there always is one up to t.
        drawn = _coins("decoy").random((n, heads)) * upto[:, None]
        return decoys[drawn.astype(np.int64)]

    # -- Bob -------------------------------------------------------------------------------------

    def _at(self, rows: ArrayLike | None) -> Indices:
        at = np.arange(self.index.n) if rows is None else np.asarray(rows, dtype=np.int64)
        return self.order[at]

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the tokens asked: float32 fl(C k) in every head, 0, 0."""
        at = self._at(rows)
        Q = self.index.queries(at.ravel())[0].reshape(*at.shape, self.index.d_k)
        V = np.zeros((*at.shape, self.index.d_v), dtype=np.float32)
        return self._shaped(Q), self._shaped(np.zeros_like(Q)), self._shaped(V)

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """float32[m], or [m, L, H]: each head's threshold for its key."""
        at = self._at(rows)
        cut: Float32 = self._shaped(self.index.thresholds(at.ravel()).reshape(at.shape))
        return cut

    def decode(self, outputs: ArrayLike, rows: ArrayLike | None = None) -> NDArray[np.uint8]:
        """Outputs of the tokens asked -> uint8[m, L H d_v]; a nan is read as 0."""
        found = np.asarray(outputs, dtype=np.float32)
        if self.turn is not None:
            found = (found.astype(np.float64) @ self.turn.T).astype(np.float32)
        bits = found > self.thresholds(rows)[..., None]
        return bits.reshape(len(found), -1).astype(np.uint8)
