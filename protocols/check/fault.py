"""What a law found: the code of its kind, the sentence of what happened here, and the places."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing found, in plain data.

    Attributes:
        code: of its kind (``kinds.KINDS``).
        detail: what happened here, in a sentence.
        tokens, channels, heads, layers: the places, each in increasing order; None is all of them,
            or that the finding has no such place.
        operation: after which operation, in words.
        reproduction: the shortest sequence that shows it, one step each.
    """

    code: str
    detail: str
    tokens: tuple[int, ...] | None = None
    channels: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    layers: tuple[int, ...] | None = None
    operation: str | None = None
    reproduction: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for the pipe and for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, said: dict[str, Any]) -> Fault:
        """The same back."""
        places = {name: None if said.get(name) is None else tuple(said[name]) for name in PLACES}
        steps = tuple(said.get("reproduction", ()))
        rest = {name: said.get(name) for name in ("code", "detail", "operation")}
        return cls(**rest, **places, reproduction=steps)  # type: ignore[arg-type]


PLACES = ("tokens", "channels", "heads", "layers")


def whole(numbers: Iterable[Any]) -> tuple[int, ...]:
    """Plain increasing integers."""
    return tuple(sorted({int(n) for n in numbers}))
