"""What a stranger's function asks for, by name: arguments are offered, and the taken ones given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .contract import Compressor

OFFERED = ("shape", "budget_bits", "seed", "public")
"""What every constructor is offered; any other name is a parameter of the plug-in's own."""


@dataclass(frozen=True)
class Signature:
    """Which arguments a callable takes by name; ``anything`` when it takes ``**kwargs``."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    anything: bool

    @staticmethod
    def leading(function: Callable[..., Any], count: int) -> list[str]:
        """The names of the first parameters by position; ``*args`` stands for any number."""
        try:
            found = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            return ["*args"] * count
        by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = [p.name for p in found if p.kind in by_position][:count]
        if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in found):
            names += ["*args"] * (count - len(names))
        return names

    @classmethod
    def of(cls, function: Callable[..., Any], skip: int = 0) -> Signature:
        """Read it; ``skip`` leading parameters are given by position."""
        try:
            found = list(inspect.signature(function).parameters.values())[skip:]
        except (TypeError, ValueError):
            return cls((), (), True)
        named = [p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        return cls(
            tuple(p.name for p in named),
            tuple(p.name for p in named if p.default is p.empty),
            any(p.kind is p.VAR_KEYWORD for p in found),
        )

    @classmethod
    def of_constructor(cls, thing: type) -> Signature:
        """Read a class's ``__init__``; of a class without one, its ``__new__``.

        Where the ``__init__`` is our base class's, its own parameters are those of ``set_up``.
        """
        if thing.__init__ is object.__init__:  # type: ignore[misc]
            own_new = any("__new__" in vars(base) for base in thing.__mro__[:-1])
            return cls.of(thing) if own_new else cls((), (), False)
        if thing.__init__ is Compressor.__init__:  # type: ignore[misc]
            own = cls.of(thing.set_up, skip=1)  # type: ignore[attr-defined]
            silent = thing.set_up is Compressor.set_up  # type: ignore[attr-defined]
            return cls(
                (*OFFERED, *own.names), ("shape", *own.required), own.anything and not silent
            )
        return cls.of(thing.__init__, skip=1)  # type: ignore[misc]

    def pick(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of ``given`` that the callable takes."""
        return {k: v for k, v in given.items() if self.anything or k in self.names}

    def without(self, name: str) -> Signature:
        """The same less one name."""
        names, required = (
            tuple(n for n in group if n != name) for group in (self.names, self.required)
        )
        return Signature(names, required, self.anything)
