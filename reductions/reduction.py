"""What the game asks of a family of hard streams: Alice's stream, Bob's questions, his decoder.

A secret is a table of bits, ``rows`` rows of ``width`` bits in order of age. Each row is asked for
by one query; all its bits are read off one output (Remark 7). A :class:`ManyQuestions` asks several
times for a row, each time of a copy of the state of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .keys.base import KeyRows

Float32 = NDArray[np.float32]


class Public(Mapping[str, Any]):
    """What compressors are told of a game: ``told`` as it is, and what is made when it is read.

    The keys of 2^20 tokens take 256 MiB at d = 64, and few compressors look at them.

    >>> public = Public({"values": "01"}, keys=lambda: [[1.0, 0.0]])
    >>> sorted(public), public["keys"], (public | {"keys": None})["keys"]
    (['keys', 'values'], [[1.0, 0.0]], None)
    """

    def __init__(self, told: Mapping[str, Any], **made: Callable[[], Any]) -> None:
        self._told = dict(told)
        self._made = made

    def __getitem__(self, name: str) -> Any:
        return self._made[name]() if name in self._made else self._told[name]

    def __contains__(self, name: object) -> bool:
        return name in self._told or name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter({**self._told, **self._made})

    def __len__(self) -> int:
        return len({**self._told, **self._made})

    def __or__(self, others: Mapping[str, Any]) -> Public:
        """The same with other entries, as they are."""
        left = {name: make for name, make in self._made.items() if name not in others}
        return Public({**self._told, **others}, **left)

    def but(self, **made: Callable[[], Any]) -> Public:
        """The same with entries that are made otherwise."""
        return Public(self._told, **{**self._made, **made})

    def told(self) -> dict[str, Any]:
        """The entries as plain data; keys that a code computes as what makes them."""
        told = {name: make.told() for name, make in self._made.items() if type(make) is KeyRows}
        return {name: self[name] if told.get(name) is None else told[name] for name in self}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Public:
        """What was told so."""
        keys = told.get("keys")
        if not isinstance(keys, dict):
            return cls(told)
        from .keys import make

        return cls(told, keys=KeyRows(make(*keys["made"]), keys["order"]))


class Reduction(Protocol):
    """A hard family at a scale where every bit stands out."""

    @property
    def scale(self) -> float:
        """C; Bob's query is C times a direction that is public."""

    @property
    def tokens(self) -> int:
        """Data tokens of Alice's stream."""

    @property
    def extra(self) -> int:
        """How many tokens Bob appends, at most, to one copy of the state."""

    @property
    def d_k(self) -> int:
        """Dimension of the stream's keys and queries."""

    @property
    def d_v(self) -> int:
        """Dimension of the stream's values."""

    @property
    def rows(self) -> int:
        """Rows of the secret, at least 16 (an age bucket each)."""

    @property
    def width(self) -> int:
        """Bits in a row."""

    @property
    def block(self) -> int:
        """How many questions are asked of one copy of the state.

        1: every question has its own. b: b questions come at once, as a block whose b tokens are
        appended before the first is answered.
        """

    def public(self) -> Mapping[str, Any]:
        """What compressors are told: everything but the secret.

        Under ``keys`` the stream's keys, float32[tokens, d_k]; under ``attention`` the rule that
        answers are held to: "softmax", "unmasked-window" (with ``window``) or "tensor".
        ``redrawn`` is there where every message has keys of its own (:class:`Redrawn`): ``keys``
        are then the message's. ``secret_tokens``, int64, names the tokens whose values are secret,
        where not all are; ``known_values``, float32[tokens, d_v], then has the others' (and 0 at
        the secret ones).
        """

    def stream(self, x: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Alice's Q, K [tokens, d_k] and V [tokens, d_v], float32, for x, uint8[rows, width]."""

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the secret rows asked, all by default: [m, d_k], [m, d_k], [m, d_v]."""

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """Float32[m]: a bit of the row is 1 iff its coordinate of the output is greater."""

    def decode(self, outputs: ArrayLike, rows: ArrayLike | None = None) -> NDArray[np.uint8]:
        """Outputs [m, d_v] for the rows asked -> uint8[m, width]; a nan is read as 0."""


class ByCoordinate:
    """What most families share: one question a row, each bit one coordinate of the answer."""

    @property
    def block(self) -> int:
        """1: every question is asked of a copy of the state of its own."""
        return 1

    @property
    def extra(self) -> int:
        """1: Bob appends one token to a copy."""
        return 1

    def check_secret(self: Reduction, x: ArrayLike) -> None:
        """BadInput unless x has the shape of the secret."""
        if np.shape(x) != (self.rows, self.width):
            raise BadInput(
                f"The secret has shape {np.shape(x)}: give bits[{self.rows}, {self.width}]."
            )

    def decode(
        self: Reduction, outputs: ArrayLike, rows: ArrayLike | None = None
    ) -> NDArray[np.uint8]:
        """Outputs [m, d_v] for the rows asked -> uint8[m, width]; a nan is read as 0."""
        found = np.asarray(outputs, dtype=np.float32)[:, : self.width]
        return (found > self.thresholds(rows)[:, None]).astype(np.uint8)

    def _at(self: Reduction, rows: ArrayLike | None) -> NDArray[np.int64]:
        """The rows asked, all by default."""
        return np.arange(self.rows) if rows is None else np.asarray(rows, dtype=np.int64)


class InParts(Reduction, Protocol):
    """A family whose stream can be had in parts: then a long one is never there as a whole."""

    def part(self, x: NDArray[np.uint8], tokens: slice) -> tuple[Float32, Float32, Float32]:
        """These tokens of ``stream(x)``, in arrays of their own."""


class ManyQuestions(Reduction, Protocol):
    """A family whose rows take several questions each.

    ``queries`` returns m ``questions_per_row`` triples for m rows, row after row; ``decode`` reads
    as many outputs, [m questions_per_row, d_v], together.
    """

    @property
    def questions_per_row(self) -> int:
        """How many questions each row takes."""


class Redrawn(Reduction, Protocol):
    """A family whose public part is drawn anew for each message, from the message's public coins.

    Players are built from the same coins, so both have it, and it cannot depend on the secret.
    """

    def of_message(self, seed: int) -> Reduction:
        """The hard stream of the message with these public coins."""


def of_message(reduction: Reduction, seed: int) -> Reduction:
    """The stream that a message plays: the reduction itself, but for a :class:`Redrawn`."""
    draw = getattr(reduction, "of_message", None)
    return reduction if draw is None else draw(seed)


def questions_per_row(reduction: Reduction) -> int:
    """How many questions each row of a reduction takes: 1, but for a :class:`ManyQuestions`."""
    return int(getattr(reduction, "questions_per_row", 1))
