"""Where bits are wrong, and how: as plain data and as a sentence in plain English."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .effects import Effect
from .places import Choice, Places, ranges_of, spans

HALF = 0.4
"""From this share of wrong bits on a place is called lost."""
LEVEL = 0.99
"""At most 1 % of the caches without any such place have one named."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Blocks:
    """Diagonals: the channel group c // ``group``, and the token number plus ``shift``, modulo m.

    The place is where they are ``equal``, or where they are not.
    """

    modulo: int
    group: int
    shift: int
    equal: bool

    def words(self) -> str:
        """As the subject of a sentence."""
        number = f"number plus {self.shift}" if self.shift else "number"
        return (
            f"the values of tokens whose {number} modulo {self.modulo} is "
            f"{'' if self.equal else 'not '}the channel group (of {self.group} channels)"
        )


@dataclass(frozen=True)
class Description:
    """Where bits are wrong, and how.

    Attributes:
        kind: "none" (no wrong bit), "place" (the places below beat chance), "diffuse" (wrong bits
            here and there, no place beats chance), "everywhere" (all is lost alike).
        sentence: all of it in plain English.
        messages, wrong, asked: what it rests on; bits.
        level: the confidence; a single one, over everything that could have been named.
        tokens, questions, sequences, layers, heads, channels: None where the whole axis is meant.
        cut: tokens after the cut of their message (negative: before it), or None.
        blocks: diagonals, or None.
        value: 0 or 1 if most of the misread bits are zeros or ones, or None.
        effect: "absent", "stuck", "flipped", "copied", "displaced", "exchanged", "misread", or None
            where nothing is wrong; ``source`` says what is read instead.
        inside, outside: (wrong, asked) bits in the place and elsewhere.
    """

    kind: str
    sentence: str
    messages: int
    wrong: int
    asked: int
    level: float = LEVEL
    tokens: Places | None = None
    questions: Places | None = None
    sequences: Places | None = None
    cut: Places | None = None
    layers: Places | None = None
    heads: Places | None = None
    channels: Places | None = None
    blocks: Blocks | None = None
    value: int | None = None
    effect: str | None = None
    source: dict[str, int | list[int]] | None = None
    inside: tuple[int, int] = (0, 0)
    outside: tuple[int, int] = (0, 0)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        axes = ("tokens", "questions", "sequences", "cut", "layers", "heads", "channels")
        places = {name: getattr(self, name) for name in axes}
        return {
            "kind": self.kind,
            "sentence": self.sentence,
            "messages": self.messages,
            "wrong_bits": self.wrong,
            "asked_bits": self.asked,
            "level": self.level,
            **{name: place and place.as_dict() for name, place in places.items()},
            "blocks": self.blocks and {
                "modulo": self.blocks.modulo, "group": self.blocks.group,
                "shift": self.blocks.shift, "equal": self.blocks.equal,
            },
            "value": self.value,
            "effect": self.effect,
            "source": self.source,
            "inside": {"wrong_bits": self.inside[0], "asked_bits": self.inside[1]},
            "outside": {"wrong_bits": self.outside[0], "asked_bits": self.outside[1]},
        }  # fmt: skip


def words_of(axis: str, numbers: tuple[int, ...], values: Ints, choice: Choice) -> str:
    """The places of an axis in words; ``values`` are all that there are."""
    if axis == "cut":
        return _from_cut(numbers, values)
    noun = {"within": "tokens"}.get(axis, axis)
    if choice.period is not None:
        m, residues = choice.period
        if len(residues) == 1:
            return f"{noun} whose number modulo {m} is {residues[0]}"
        return f"{noun} {spans(residues)} of every {m}"
    left = sorted({int(v) for v in values} - set(numbers))
    if axis in ("tokens", "questions", "channels") and len(ranges_of(left)) < len(
        ranges_of(numbers)
    ):
        return f"all {noun} but {spans(left)}"
    if len(numbers) == 1:
        return f"{noun[:-1]} {numbers[0]}"
    return f"{noun} {spans(numbers)}"


def _from_cut(numbers: tuple[int, ...], values: Ints) -> str:
    """Tokens counted from the cut of their stream, in words."""
    after = [number for number in numbers if number >= 0]
    before = [-number for number in reversed(numbers) if number < 0]
    parts = []
    for side, some, first, whole in (
        ("before", before, 1, int((values < 0).sum())),
        ("after", after, 0, int((values >= 0).sum())),
    ):
        if some and len(some) == whole:
            parts.append(f"all tokens {side} the cut")
        elif some and some == list(range(first, first + len(some))):
            edge = "last" if side == "before" else "first"
            number = f"{edge} token" if len(some) == 1 else f"{edge} {len(some)} tokens"
            parts.append(f"the {number} {side} the cut")
        elif some:
            parts.append(f"tokens {spans(some)} {side} the cut")
    return " and ".join(parts)


def sentence_of(one: Description, effect: Effect, shape: Sequence[int]) -> str:
    """The description in words."""
    mostly = []
    if one.value is not None and effect.name != "stuck":
        mostly = [f"Mostly {'ones' if one.value else 'zeros'} are misread."]
    if one.kind == "diffuse":
        text = (
            f"Diffuse: {one.wrong:,} of {one.asked:,} bits are wrong, and no place beats chance "
            f"(level {one.level:g})."
        )
        return " ".join([text, *mostly])
    where = [p.words for p in (one.tokens, one.questions, one.sequences, one.cut) if p is not None]
    if one.heads is not None and one.layers is None and shape[0] > 1:
        where.append(f"{one.heads.words} of every layer")
    elif one.heads is not None and one.layers is not None:
        where.append(f"{one.heads.words} of {one.layers.words}")
    else:
        where += [p.words for p in (one.heads, one.layers) if p is not None]
    copied = effect.name in ("copied", "displaced", "exchanged")
    if one.channels is not None:
        where.append(one.channels.words)
    elif one.tokens is not None and not copied:
        where.append("all channels")
    k, a = one.inside
    rest = mostly + ([elsewhere(one)] if one.outside[1] else [])
    if copied:
        subject = ", ".join(where) or "all tokens"
        verb = effect.words
        if len(where) == 1 and _single(one):
            verb = verb.replace("answer", "answers", 1)
        text = f"{subject[0].upper()}{subject[1:]} {verb}."
    elif one.kind == "everywhere":
        text = f"Everywhere alike: {effect.words}."
    else:
        head = "Lost" if k >= HALF * a or effect.name in ("stuck", "flipped") else "Misread"
        text = f"{head}: {', '.join(where) or 'everywhere'}: {effect.words}."
    return " ".join([text, *rest])


def _single(one: Description) -> bool:
    named = [p for p in (one.tokens, one.sequences, one.layers, one.heads, one.channels) if p]
    return len(named) == 1 and len(named[0].numbers) == 1 and "whose" not in named[0].words


def elsewhere(one: Description) -> str:
    """How many bits are wrong outside the place."""
    k, a = one.outside
    return "Elsewhere no bit is wrong." if k == 0 else f"Elsewhere {k:,} of {a:,} bits are wrong."
