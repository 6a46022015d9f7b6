"""The catalog entry of one compressor, and the rule of attention by which it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadInput
from ..reductions import REDUCTIONS
from .docstring import parameters
from .plugin.contract import Compressor

EVICTS = "any: fp16 tokens as many as fit"


@dataclass(frozen=True)
class CatalogEntry:
    """One compressor that ships with us.

    Attributes:
        cls: its class, which says its ``name``. The parameters, and what of its paper it
            implements, are in the docstring.
        summary: what it keeps, in a line.
        source: who it is by, or what it controls.
        budgets: which budgets make sense for it.
        attention: the rule that it answers: "softmax", "unmasked-window" or "tensor", or "any" if
            it stores bits and knows no tokens.
        control: its result is known in advance, so it tests the game, not itself.
        assumes: the structure in a stream that it relies on, in a few words.
        broken_by: the adversary's choice that removes this structure, in a few words.
        square: what of a stream's ingest grows with n^2 where the memory grows with n: "time",
            "time and memory", or "" for nothing. The experiment ``growth`` measures it.
        settings: its knob in the leaderboard where that is not the budget, parameters a setting;
            each is then played without a budget.
        own_size: fields of the leaderboard's instance that it changes (layers and heads, say).
        own_size_reason: why, where it does.
    """

    cls: type[Compressor]
    summary: str
    source: str
    budgets: str
    attention: str = "softmax"
    control: bool = False
    assumes: str = ""
    broken_by: str = ""
    square: str = ""
    settings: tuple[Mapping[str, Any], ...] = ()
    own_size: Mapping[str, Any] = field(default_factory=dict)
    own_size_reason: str = ""

    @property
    def name(self) -> str:
        """As on the command line."""
        return str(vars(self.cls)["name"])

    @property
    def params(self) -> dict[str, str]:
        """Its parameters, each with its meaning (and its default)."""
        return parameters(self.cls)

    def check_rule(self, public: Mapping[str, Any]) -> None:
        """Raise BadInput if the game that made ``public`` needs another rule."""
        asked = public.get("attention")
        plays = _PLAYED_BY.get(self.attention)
        if asked is None or plays is None or asked in plays:
            return
        *others, last = (name for rule in plays for name in REDUCTIONS_OF[rule])
        where = f"{', '.join(others)} or {last}" if others else last
        raise BadInput(
            f"{self.name} answers {_RULES[self.attention]}, but this game asks for "
            f"{_RULES.get(asked, asked)}: attack it with --reduction {where}."
        )


_RULES = {
    "softmax": "softmax attention",
    "unmasked-window": "the unmasked sliding window",
    "tensor": "tensor attention",
}
REDUCTIONS_OF = {
    rule: tuple(name for name, (asked, _) in REDUCTIONS.items() if asked == rule) for rule in _RULES
}
# Outside the window that reduction has zero tokens, of weight 1 under both rules.
_PLAYED_BY = {
    "softmax": ("softmax", "unmasked-window"),
    "unmasked-window": ("unmasked-window",),
    "tensor": ("tensor",),
}
