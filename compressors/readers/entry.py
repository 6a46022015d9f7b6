"""What the catalog says of one algorithm that reads."""

from __future__ import annotations

from dataclasses import dataclass

from ..docstring import parameters
from .contract import Adaptive


@dataclass(frozen=True)
class ReaderEntry:
    """One algorithm that ships with us.

    Attributes:
        name: as on the command line.
        cls: its class. The parameters are in the docstring, or in that of the class it builds on.
        summary: what it reads, in a line.
        source: who it is by, or what it controls.
        control: it knows the game's streams, so its result is known beforehand.
    """

    name: str
    cls: type[Adaptive]
    summary: str
    source: str
    control: bool = False

    @property
    def adaptive(self) -> bool:
        """Whether it chooses as it reads; else it has a plan."""
        return not hasattr(self.cls, "plan")

    @property
    def params(self) -> dict[str, str]:
        """Its parameters, each with its meaning (and its default)."""
        return parameters(self.cls)
