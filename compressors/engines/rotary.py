"""A rotary embedding that is alive: what shows whether a cache is right about positions.

The carriers neutralise the rotary embedding, so they are blind to positions: a cache that forgets
tokens and keeps its length answers every question. Here the model keeps one. Pair r of a key's or a
query's coordinates is turned by the angle p w_r at position p,

    w_r = 2.5 * 2^(-2r/d),   r = 0 .. d/2 - 1,   1.25 < w_r <= 2.5,

so that the score of a query with a key that stands one place off is |q||k| times the mean of
cos(w_r), about -.28: whoever is asked one place off finds nothing.

The player turns back what the model will turn: a key that is fed at position p goes in as
R(-p) k, a query at position P as R(-P) q. A cache that is right about positions then has the scores
<R(P) R(-P) q, R(p) R(-p) k> = <q, k>, and one that is wrong about the distance of two tokens by
``delta`` has <q, R(delta) k>.

A token that an engine moves, as a context shift does, keeps the turn: it is R(s) k after it moved
by s. A question is for the token whose key it scores highest with, so it is turned by that token's
s. The keys are public. Which scale separates keys of which some are turned is not known: Theorem
6's certificate is for the keys as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..plugin.contract import Float32

THETA = 2.0
SPEED = 2.5


@dataclass(frozen=True)
class Rotary:
    """The rotary embedding of a model.

    Attributes:
        d: coordinates of a head, even.
        pairs: which coordinates turn together: ``halves`` r and r + d/2, ``neighbours`` 2r and
            2r + 1.
    """

    d: int
    pairs: Literal["halves", "neighbours"] = "halves"

    def turned(self, rows: Any, places: Any) -> Float32:
        """Return rows [.., d] as the model turns them at ``places``, which broadcast with [..].

        >>> one = Rotary(2)
        >>> bool(np.allclose(one.turned([1.0, 0.0], 1), [np.cos(2.5), np.sin(2.5)]))
        True
        >>> bool(np.allclose(one.turned(one.turned([3.0, 4.0], 7), -7), [3.0, 4.0]))
        True
        """
        x = np.asarray(rows, dtype=np.float64)
        half = self.d // 2
        angles = np.multiply.outer(places, SPEED * THETA ** (-np.arange(half) / half))
        if self.pairs == "halves":
            a, b = x[..., :half], x[..., half:]
        else:
            a, b = x[..., 0::2], x[..., 1::2]
        cos, sin = np.cos(angles), np.sin(angles)
        out = np.empty(np.broadcast_shapes(x.shape, (*angles.shape[:-1], self.d)))
        into = (out[..., :half], out[..., half:])
        if self.pairs == "neighbours":
            into = (out[..., 0::2], out[..., 1::2])
        into[0][...] = a * cos - b * sin
        into[1][...] = a * sin + b * cos
        return out.astype(np.float32)


class Turns:
    """Who was moved by how much: what a question must know about the token that it is for.

    Every key that was ever fed has an entry: the place where it stands, and how far an operation
    moved it since it was fed. A forgotten token keeps both, as it is asked for as well.
    """

    def __init__(self) -> None:
        self._keys: list[Float32] = []
        self._place = np.empty(0, dtype=np.int64)
        self._moved = np.empty(0, dtype=np.int64)
        self._alive = np.empty(0, dtype=bool)

    def copy(self) -> Turns:
        """Return another, which goes its own way."""
        twin = Turns()
        twin._keys = list(self._keys)
        twin._place, twin._moved = self._place.copy(), self._moved.copy()
        twin._alive = self._alive.copy()
        return twin

    def feed(self, K: Float32, first: int) -> None:
        """Tokens were appended from place ``first`` on; float32[m, sequences, layers, heads, d]."""
        m, sequences = K.shape[:2]
        self._keys += list(np.asarray(K, dtype=np.float32).reshape(m * sequences, -1))
        places = np.repeat(np.arange(first, first + m), sequences)
        self._place = np.concatenate([self._place, places])
        self._moved = np.concatenate([self._moved, np.zeros_like(places)])
        self._alive = np.concatenate([self._alive, np.ones(len(places), dtype=bool)])

    def forget(self, begin: int, end: int | None = None) -> None:
        """The tokens at places begin .. end - 1, or all from ``begin`` on, are gone."""
        gone = (self._place >= begin) & (end is None or self._place < end)
        self._alive &= ~gone

    def move(self, begin: int, by: int) -> None:
        """The tokens at places from ``begin`` on now stand ``by`` further."""
        here = self._alive & (self._place >= begin)
        self._place[here] += by
        self._moved[here] += by

    def asked(self, Q: Float32) -> Any:
        """How far each query's token was moved: int64[..] for Q float32[.., layers, heads, d]."""
        rows = np.shape(Q)[:-3]
        if not self._moved.any():
            return np.zeros(rows, dtype=np.int64)
        scores = np.reshape(Q, (int(np.prod(rows)), -1)) @ np.array(self._keys).T
        return self._moved[scores.argmax(axis=1)].reshape(rows)

    def pack(self) -> list[Any]:
        """Plain data."""
        return [np.array(self._keys, dtype="<f4").tobytes(), len(self._keys),
                self._place.tolist(), self._moved.tolist(), self._alive.tolist()]  # fmt: skip

    @staticmethod
    def unpack(data: list[Any]) -> Turns:
        """What ``pack`` made."""
        made, (keys, count, place, moved, alive) = Turns(), data
        if count:
            made._keys = list(np.frombuffer(keys, dtype="<f4").reshape(count, -1))
        made._place, made._moved = np.array(place, np.int64), np.array(moved, np.int64)
        made._alive = np.array(alive, bool)
        return made
