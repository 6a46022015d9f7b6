"""The rows of the referee's table, declared without importing any engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EngineRow:
    """One setting of one engine in the table.

    Attributes:
        target: ``hf:dynamic``, ``kvpress:KnormPress``, ...: what ``attack`` takes.
        params: its parameters.
        note: what a reader has to know, one short sentence; may be empty.
        distribution: the package whose work is judged (its name on PyPI).
        declared: the share of the 16-bit cache that its author's setting promises; None if unknown.
        keeps: the share of the tokens that an eviction keeps whole; None without eviction.
        reads: whether the Bob who only reads the message is played as well.
        streams: whether the row is also played token by token.
        layers, heads: the least numbers that the setting needs.
        shown: in the picture; the table has all rows.
        game: fields of the instance that are not the table's own, plain data.
        half: the parameter that makes it keep half of the tokens, if it is a number of them; its
            value here is for 512 (:meth:`params_at`).
    """

    target: str
    params: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    distribution: str = ""
    declared: float | None = None
    keeps: float | None = None
    reads: bool = True
    streams: bool = False
    layers: int = 1
    heads: int = 1
    shown: bool = True
    game: Mapping[str, Any] = field(default_factory=dict)
    half: str = ""

    def params_at(self, n: int) -> dict[str, Any]:
        """Its parameters for a stream of n tokens.

        >>> EngineRow("a:b", {"window": 252, "sinks": 4}, half="window").params_at(4096)
        {'window': 2044, 'sinks': 4}
        """
        more = {self.half: self.params[self.half] + (n - 512) // 2} if self.half else {}
        return {**self.params, **more}
