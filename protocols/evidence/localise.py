"""Where wrong bits lie: the simplest place that beats chance, and what is read there.

A place is a product of factors: rows (by token number, place in the batch of questions, sequence,
distance from a cut), layers, heads, channels; or a set of diagonals of token number modulo m
against channel group. :mod:`.search` finds it; here it is put in words, with what is read there.
What it means where something is named, and where nothing is: docs/theory-map.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import BadInput
from .diagonals import Blocks, inside_of
from .effects import Effect, Part, effect_of
from .places import Places, likelihood, spans, words_of
from .record import Reading
from .relabelling import log2_evidence, pieces
from .search import COLUMNS, ROWS, Bools, Floats, Place, Search

__all__ = ["LEVEL", "Blocks", "Description", "Places", "Reading", "localise"]

HALF = 0.4
"""From this share of wrong bits on a place is called lost."""
LEVEL = 0.99
"""At most 1 % of the caches without any such place have one named."""
MOSTLY = 0.8
"""The share of zeros or ones among the misread bits from which on they are named."""


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


def localise(
    readings: Sequence[Reading], level: float = LEVEL, parameters: Sequence[int] = ()
) -> Description:
    """The simplest description of where bits are wrong that beats chance, at confidence ``level``.

    ``readings``: one a message, all with the same layers, heads and channels. ``parameters``:
    integers of the cache (a block, a window, a group), whose residues are tried too and cost less.
    With probability at least ``level`` nothing is named along an axis that does not matter.

    Raises BadInput for a level outside (0, 1), and readings whose layers, heads or channels differ.

    >>> import numpy as np
    >>> secret = np.random.default_rng(0).integers(0, 2, (512, 1, 1, 64), dtype=np.uint8)
    >>> said = secret.copy()
    >>> said[:256] = 0
    >>> print(localise([Reading(np.arange(512), secret, said, n=512)]).sentence)
    Lost: tokens 0-255, all channels: every bit is read as 0. Elsewhere no bit is wrong.
    """
    if not 0.0 < level < 1.0:
        raise BadInput(f"A level of {level} is not a probability: give one above 0 and below 1.")
    shapes = sorted({one.secret.shape[1:] for one in readings})
    if len(shapes) > 1:
        raise BadInput(
            f"Readings with layers, heads and channels {shapes[0]} and {shapes[1]} have no map in "
            "common: give those of one shape."
        )
    wrong = sum(int(one.wrong.sum()) for one in readings)
    asked = sum(one.secret.size for one in readings)
    base = Description("none", "", len(readings), wrong, asked, level)
    if wrong == 0:
        return replace(base, sentence=f"No bit of {asked:,} is wrong.", outside=(0, asked))
    return described(Search(readings, level, parameters), base)


def described(search: Search, base: Description) -> Description:
    """What was found, with its effect, as a description."""
    place = search.found()
    if place.blocks is not None:
        return _of_blocks(search, base, place.blocks)
    rows, flat = search.rows_of(place), search.flat(place) > 0
    only_cut = None if "cut" in place.factors else _only_cut(search)
    if only_cut is not None:
        rows &= np.array([one.cut is not None for one in search.readings])[search.message]
    k = int(search.wrong[rows][:, flat].sum())
    a = int(rows.sum() * flat.sum())
    effect = _effect(search, place, rows)
    value = _value(search, place, rows)
    named = {axis: _named(search, axis, place) for axis in ROWS if axis in search.rows}
    columns = {axis: _named(search, axis, place) for axis in COLUMNS}
    tokens = named.get("tokens")
    if "within" in place.factors:
        tokens = _both(search, place)
    kind = "place" if place.factors or only_cut else (
        "everywhere" if k >= HALF * a or effect.name in ("copied", "displaced", "exchanged")
        else "diffuse"
    )  # fmt: skip
    one = replace(
        base, kind=kind, effect=effect.name, source=effect.source, value=value,
        tokens=tokens, questions=named.get("questions"), sequences=named.get("sequences"),
        cut=named.get("cut") or only_cut, layers=columns["layers"], heads=columns["heads"],
        channels=columns["channels"], inside=(k, a),
        outside=(base.wrong - k, base.asked - a),
    )  # fmt: skip
    return replace(one, sentence=sentence_of(one, effect, search.shape))


def _named(search: Search, axis: str, place: Place) -> Places | None:
    if axis not in place.factors:
        return None
    choice = place.factors[axis].choice
    values = search.rows[axis][0] if axis in search.rows else np.arange(len(choice.inside))
    numbers = tuple(int(v) for v in values[choice.inside])
    return Places(numbers, words_of(axis, numbers, values, choice))


def _both(search: Search, place: Place) -> Places:
    """Tokens that were searched twice, in words: "tokens 9-15 of every 16, from 25 to 127"."""
    values = search.rows["tokens"][0]
    first, second = place.factors["tokens"].choice, place.factors["within"].choice
    both = first.inside & second.inside
    numbers = tuple(int(v) for v in values[both])
    periodic, other = (first, second) if second.period is None else (second, first)
    run = np.diff(np.flatnonzero(both[periodic.inside])).max(initial=1) == 1
    if periodic.period is None or other.period is not None or not run:
        return Places(numbers, f"tokens {spans(numbers)}")
    named = tuple(int(v) for v in values[periodic.inside])
    words = words_of("tokens", named, values, periodic)
    return Places(numbers, f"{words}, from {numbers[0]} to {numbers[-1]}")


def _only_cut(search: Search) -> Places | None:
    """Messages are exchangeable too: are those worse whose stream was cut?"""
    wrong = np.array([[float(one.wrong.sum()) for one in search.readings]])
    asked = np.array([[float(one.wrong.size) for one in search.readings]])
    cut = np.array([[one.cut is not None for one in search.readings]])
    if not np.isfinite(likelihood(wrong[cut].sum(), asked[cut].sum(), wrong.sum(), asked.sum())):
        return None
    if log2_evidence(wrong / asked * asked.max(), cut) < 1.0 + search.needed:
        return None
    return Places((), "the messages whose stream was cut")


def _parts(search: Search, place: Place, rows: Bools) -> list[Part]:
    layers, heads, channels = search.columns_of(place)
    return [
        Part(one, rows[search.message == number], layers, heads, channels)
        for number, one in enumerate(search.readings)
    ]


def _effect(search: Search, place: Place, rows: Bools) -> Effect:
    return effect_of(_parts(search, place, rows), search.spare)


def _value(search: Search, place: Place, rows: Bools) -> int | None:
    """0 or 1 if most of the misread bits are zeros or ones, and that beats chance."""
    block = pieces(search.message, search.order, search.total, rows)
    flat = search.flat(place) > 0
    secret = np.concatenate([one.secret.reshape(len(one.tokens), -1) for one in search.readings])
    ones = (search.wrong[:, flat] * secret[:, flat]).sum(axis=1, dtype=np.float64)
    both = search.wrong[:, flat].sum(axis=1, dtype=np.float64)
    some = block >= 0
    counts: Floats = np.stack([
        np.bincount(block[some], weights=(both - ones)[some]),
        np.bincount(block[some], weights=ones[some]),
    ], axis=1).astype(np.float64)  # fmt: skip
    share = counts[:, 1].sum() / max(counts.sum(), 1.0)
    value = 1 if share >= MOSTLY else 0 if share <= 1.0 - MOSTLY else None
    if value is None:
        return None
    chosen = np.zeros(counts.shape, dtype=bool)
    chosen[:, value] = True
    # The place follows from where bits are wrong: the secret turned into its opposite, in a
    # piece as a whole, has the same. So its own bits cost nothing here.
    return value if log2_evidence(counts, chosen) >= 1.0 + search.needed else None


def _of_blocks(search: Search, base: Description, blocks: Blocks) -> Description:
    inside = inside_of(blocks, search.order, search.wrong.shape[1], search.shape[2])
    k, a = int(search.wrong[inside].sum()), int(inside.sum())
    share = 100 * k / a
    one = replace(base, kind="place", effect="misread", blocks=blocks, inside=(k, a),
                  outside=(base.wrong - k, base.asked - a))  # fmt: skip
    head = "Lost" if share >= 100 * HALF else "Misread"
    words = f"{head}: {blocks.words()}: {share:.2g} % of their bits are wrong."
    return replace(one, sentence=f"{words} {elsewhere(one)}")


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
