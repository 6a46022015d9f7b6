"""Where wrong bits lie: the simplest place that beats chance, and what is read there.

A place is a product of factors: rows (by token number, place in the batch of questions, sequence,
distance from a cut), layers, heads, channels; or a set of diagonals of token number modulo m
against channel group. The search is greedy: of all axes the one place is taken that explains most
(:mod:`.places`), if it beats chance (:mod:`.relabelling`, where the proof is); then the search goes
on inside it. What it means where something is named, and where nothing is: docs/theory-map.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .effects import Effect, Part, effect_of
from .places import Choice, Places, choices, likelihood, ranges_of, said
from .reading import Reading
from .relabelling import log2_evidence, pieces

LEVEL = 0.99
"""At most 1 % of the caches without any such place have one named."""

ROWS = ("tokens", "questions", "sequences", "cut", "within")
COLUMNS = ("layers", "heads", "channels")
TESTS = len(ROWS) + len(COLUMNS) + 3
"""Along so many axes something may be named: these, diagonals, the bits' value, the effect."""
GROUPS = (8, 16, 32)
HALF = 0.4
"""From this share of wrong bits on a place is called lost."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
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
        value: 0 or 1 if (nearly) only zeros or ones are misread, or None.
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

    >>> secret = np.random.default_rng(0).integers(0, 2, (512, 1, 1, 64), dtype=np.uint8)
    >>> said = secret.copy()
    >>> said[256:259] = 0
    >>> print(localise([Reading(np.arange(512), secret, said, n=512)]).sentence)
    Lost: tokens 256-258, all channels: always reads 0. Elsewhere no bit is wrong.
    """
    wrong = sum(int(one.wrong.sum()) for one in readings)
    asked = sum(one.secret.size for one in readings)
    base = Description("none", "", len(readings), wrong, asked, level)
    if wrong == 0:
        return replace(base, sentence=f"No bit of {asked:,} is wrong.", outside=(0, asked))
    return _Search(readings, level, parameters).described(base)


@dataclass
class _Factor:
    """A place along one axis. ``alone``: it was chosen by whole rows, or by whole columns."""

    choice: Choice
    alone: bool


@dataclass
class _Place:
    """A product of factors, by axis, or diagonals with their own bits."""

    factors: dict[str, _Factor] = field(default_factory=dict)
    blocks: Blocks | None = None


class _Search:
    """The wrong bits of all messages, row after row, and the places found in them."""

    def __init__(self, readings: Sequence[Reading], level: float, parameters: Sequence[int]) -> None:
        self.readings = readings
        self.parameters = parameters
        self.spare = (1.0 - level) / TESTS
        self.needed = -math.log2(self.spare)
        shape = readings[0].secret.shape[1:]
        self.shape: tuple[int, ...] = shape
        sizes = [len(one.tokens) for one in readings]
        self.message: Ints = np.repeat(np.arange(len(readings)), sizes)
        self.wrong: NDArray[np.float32] = np.concatenate(
            [one.wrong.reshape(len(one.tokens), -1) for one in readings]
        ).astype(np.float32)
        self.rows: dict[str, tuple[Ints, Ints]] = {}  # axis: its values, and each row's place there
        for axis, numbers in self._row_numbers().items():
            values, place = np.unique(numbers, return_inverse=True)
            if len(values) > 1:
                self.rows[axis] = values.astype(np.int64), place.reshape(-1)
        self.order: Ints = np.concatenate([one.tokens for one in readings])

    def _row_numbers(self) -> dict[str, Ints]:
        tokens = np.concatenate([one.tokens for one in self.readings])
        numbers = {"tokens": tokens, "within": tokens}
        places = [
            np.arange(len(one.tokens)) if one.questions is None else one.questions
            for one in self.readings
        ]
        question = np.concatenate(places)
        # Asked in the order of the stream, a row's question is its token.
        if (question != tokens).any():
            numbers["questions"] = question
        if any(one.sequences is not None for one in self.readings):
            none = [np.zeros(len(one.tokens), dtype=np.int64) for one in self.readings]
            given = [one.sequences for one in self.readings]
            numbers["sequences"] = np.concatenate(
                [n if g is None else g for n, g in zip(none, given, strict=True)]
            )
        return numbers

    # ------------------------------------------------------------------ the search

    def found(self) -> _Place:
        """The place: greedy, then each factor once more with the others as its context."""
        place = _Place()
        for _ in range(len(ROWS) + len(COLUMNS)):
            best: tuple[float, str, Choice] | None = None
            for axis in (*self.rows, *COLUMNS):
                if axis in place.factors or (axis == "within") != self._inside(axis, place):
                    continue
                for choice in self._choices(axis, place):
                    if best is not None and choice.gain <= best[0]:
                        break
                    if self._beats_chance(axis, choice, place):
                        best = choice.gain, axis, choice
                        break
            if best is None:
                break
            others = COLUMNS if best[1] in ROWS else ROWS
            alone = not any(name in place.factors for name in others)
            place.factors[best[1]] = _Factor(best[2], alone)
        if not place.factors:
            place.blocks = self._diagonals()
            return place
        return self._again(place)

    def _inside(self, axis: str, place: _Place) -> bool:
        """Token numbers are searched twice: the second time inside the tokens found."""
        return axis == "within" and "tokens" in place.factors

    def _again(self, place: _Place) -> _Place:
        """What was found first was seen through all the rest: look again, inside the others."""
        better = _Place(dict(place.factors))
        for axis in place.factors:
            rest = _Place({k: f for k, f in better.factors.items() if k != axis})
            if axis == "within" or not rest.factors:
                continue
            for choice in self._choices(axis, rest):
                if self._beats_chance(axis, choice, rest):
                    if not (choice.inside == better.factors[axis].choice.inside).all():
                        better.factors[axis] = _Factor(choice, False)
                    break
        if better.factors == place.factors:
            return place
        kept = all(
            self._beats_chance(axis, one.choice, _Place(
                {k: f for k, f in better.factors.items() if k != axis}))
            for axis, one in better.factors.items()
        )  # fmt: skip
        return better if kept else place

    def rows_of(self, place: _Place) -> Bools:
        """bool[rows]: the rows of a place."""
        inside = np.ones(len(self.wrong), dtype=bool)
        for axis in self.rows:
            if axis in place.factors:
                inside &= place.factors[axis].choice.inside[self.rows[axis][1]]
        return inside

    def columns_of(self, place: _Place) -> tuple[Bools, Bools, Bools]:
        """The layers, heads and channels of a place, a mask each."""
        masks = [
            place.factors[axis].choice.inside if axis in place.factors else np.ones(size, bool)
            for axis, size in zip(COLUMNS, self.shape, strict=True)
        ]
        return masks[0], masks[1], masks[2]

    def _flat(self, place: _Place) -> NDArray[np.float32]:
        a, b, c = self.columns_of(place)
        return (a[:, None, None] & b[:, None] & c).reshape(-1).astype(np.float32)

    def _by_row(self, place: _Place) -> Floats:
        return np.asarray(self.wrong @ self._flat(place), dtype=np.float64)

    def _by_label(self, axis: str, place: _Place, block: Ints) -> Floats:
        """Wrong bits by block of rows and label of a column axis, the other columns in context."""
        blocks = int(block.max(initial=-1)) + 1
        sums = np.zeros((blocks, self.wrong.shape[1]))
        order = np.flatnonzero(block >= 0)
        order = order[np.argsort(block[order], kind="stable")]
        starts = np.flatnonzero(np.diff(block[order], prepend=-1))
        sums[block[order][starts]] = np.add.reduceat(
            self.wrong[order], starts, axis=0, dtype=np.float64
        )
        number = COLUMNS.index(axis)
        masked = (sums * self._flat(place)).reshape(blocks, *self.shape)
        rest = tuple(1 + i for i in range(3) if i != number)
        return np.asarray(masked.sum(axis=rest))

    def _choices(self, axis: str, place: _Place) -> list[Choice]:
        rows = self.rows_of(place)
        if axis in self.rows:
            values, at = self.rows[axis]
            bits = float(self._flat(place).sum())
            k = np.bincount(at[rows], weights=self._by_row(place)[rows], minlength=len(values))
            a = bits * np.bincount(at[rows], minlength=len(values)).astype(np.float64)
        else:
            number = COLUMNS.index(axis)
            values = np.arange(self.shape[number])
            block = np.where(rows, 0, -1)
            k = self._by_label(axis, place, block)[0]
            a = np.full(len(k), rows.sum() * self._flat(place).sum() / len(k))
        here = a > 0
        return [
            replace(one, inside=_spread(one.inside, here))
            for one in choices(values[here], k[here], a[here], self.parameters)
        ]

    # ------------------------------------------------------------------ against chance

    def _beats_chance(self, axis: str, choice: Choice, place: _Place) -> bool:
        bits = 1.0 + choice.bits
        for name, factor in place.factors.items():
            free = factor.alone and (name in ROWS) != (axis in ROWS)
            bits += 0.0 if free else 1.0 + factor.choice.bits
        rows = self.rows_of(place)
        if axis in self.rows:
            counts, present = self._in_messages(self._by_row(place), rows)
            chosen, _ = self._in_messages(choice.inside[self.rows[axis][1]].astype(float), rows)
            return log2_evidence(counts, chosen > 0, present) >= bits + self.needed
        block = pieces(self.message, self.order, rows)
        counts = self._by_label(axis, place, block)
        chosen = np.broadcast_to(choice.inside, counts.shape)
        return log2_evidence(counts, chosen) >= bits + self.needed

    def _in_messages(self, values: Floats, rows: Bools) -> tuple[Floats, Bools]:
        """Row by row to float64[messages, rows of one], and which of these there are."""
        sizes = np.bincount(self.message, minlength=len(self.readings))
        place = np.arange(len(self.message)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        table, present = np.zeros((len(sizes), sizes.max())), np.zeros((len(sizes), sizes.max()), bool)
        table[self.message[rows], place[rows]] = values[rows]
        present[self.message[rows], place[rows]] = True
        return table, present

    def _diagonals(self) -> Blocks | None:
        """Token number modulo m against channel group, where neither alone explains anything."""
        width = self.shape[2]
        whole = _Place()
        rows = self.rows_of(whole)
        block = pieces(self.message, self.order, rows)
        channel = np.arange(self.wrong.shape[1]) % width
        best: tuple[float, Blocks] | None = None
        pairs = [
            (m, g) for g in GROUPS for m in (2, 4, 8, 16, 32)
            if width % g == 0 and m <= width // g and 4 * m <= len(self.order)
        ]  # fmt: skip
        bits = 1.0 + math.log2(max(1, len(pairs))) + 1.0
        for m, g in pairs:
            # counts[block, s]: wrong bits where group = token + s, modulo m.
            of_group = np.zeros((self.wrong.shape[1], m), dtype=np.float32)
            of_group[np.arange(len(channel)), (channel // g) % m] = 1.0
            by_group = self.wrong @ of_group
            shift = (np.arange(m)[None, :] - self.order[:, None]) % m
            counts = np.zeros((int(block.max()) + 1, m))
            np.add.at(counts, (block[:, None], shift), by_group)
            total = counts.sum(axis=0)
            asked = self.wrong.size / m
            for equal in (True, False):
                s = int(np.argmax(total) if equal else np.argmin(total))
                k = total[s] if equal else total.sum() - total[s]
                a = asked if equal else asked * (m - 1)
                score = float(likelihood(k, a, float(total.sum()), asked * m))
                if not np.isfinite(score) or (best is not None and score <= best[0]):
                    continue
                chosen = np.zeros(counts.shape, dtype=bool)
                chosen[:, s] = True
                evidence = log2_evidence(counts, chosen if equal else ~chosen)
                if evidence >= bits + math.log2(m) + self.needed:
                    best = score, Blocks(m, g, s, equal)
        return None if best is None else best[1]

    # ------------------------------------------------------------------ in words

    def described(self, base: Description) -> Description:
        """What was found, with its effect, as a description."""
        place = self.found()
        if place.blocks is not None:
            return self._of_blocks(base, place.blocks)
        rows, flat = self.rows_of(place), self._flat(place) > 0
        k = int(self.wrong[rows][:, flat].sum())
        a = int(rows.sum() * flat.sum())
        effect = self._effect(place, rows)
        value = self._value(place, rows, effect)
        named = {axis: self._named(axis, place) for axis in ROWS if axis in self.rows}
        columns = {axis: self._named(axis, place) for axis in COLUMNS}
        tokens = named.get("tokens")
        if "within" in place.factors:
            tokens = self._both(place)
        kind = "place" if place.factors or value is not None else (
            "everywhere" if k >= HALF * a or effect.name in ("copied", "displaced", "exchanged")
            else "diffuse"
        )  # fmt: skip
        one = replace(
            base, kind=kind, effect=effect.name, source=effect.source, value=value,
            tokens=tokens, questions=named.get("questions"), sequences=named.get("sequences"),
            cut=named.get("cut"), layers=columns["layers"], heads=columns["heads"],
            channels=columns["channels"], inside=(k, a),
            outside=(base.wrong - k, base.asked - a),
        )  # fmt: skip
        return replace(one, sentence=_sentence(one, effect, self.shape))

    def _named(self, axis: str, place: _Place) -> Places | None:
        if axis not in place.factors:
            return None
        choice = place.factors[axis].choice
        values = self.rows[axis][0] if axis in self.rows else np.arange(len(choice.inside))
        numbers = tuple(int(v) for v in values[choice.inside])
        return Places(numbers, _words(axis, numbers, values, choice))

    def _both(self, place: _Place) -> Places:
        values = self.rows["tokens"][0]
        first, second = place.factors["tokens"].choice, place.factors["within"].choice
        both = first.inside & second.inside
        numbers = tuple(int(v) for v in values[both])
        if first.period is None and second.period is None:
            return Places(numbers, said(numbers))
        of_both = [
            _words("tokens", tuple(int(v) for v in values[one.inside]), values, one)
            for one in sorted((first, second), key=lambda one: one.period is None)
        ]
        return Places(numbers, f"{of_both[0]} among {of_both[1]}")

    def _parts(self, place: _Place, rows: Bools) -> list[Part]:
        layers, heads, channels = self.columns_of(place)
        return [
            Part(one, rows[self.message == number], layers, heads, channels)
            for number, one in enumerate(self.readings)
        ]

    def _effect(self, place: _Place, rows: Bools) -> Effect:
        return effect_of(self._parts(place, rows), self.spare)

    def _value(self, place: _Place, rows: Bools, effect: Effect) -> int | None:
        """0 or 1 if nearly all misread bits are zeros or ones, and that beats chance."""
        block = pieces(self.message, self.order, rows)
        flat = self._flat(place) > 0
        secret = np.concatenate([one.secret.reshape(len(one.tokens), -1) for one in self.readings])
        ones = (self.wrong[:, flat] * secret[:, flat]).sum(axis=1, dtype=np.float64)
        both = self.wrong[:, flat].sum(axis=1, dtype=np.float64)
        some = block >= 0
        counts = np.stack([
            np.bincount(block[some], weights=(both - ones)[some]),
            np.bincount(block[some], weights=ones[some]),
        ], axis=1)  # fmt: skip
        share = counts[:, 1].sum() / max(counts.sum(), 1.0)
        value = 1 if share >= 0.95 else 0 if share <= 0.05 else None
        if value is None:
            return None
        chosen = np.zeros(counts.shape, dtype=bool)
        chosen[:, value] = True
        bits = 1.0 + sum(1.0 + factor.choice.bits for factor in place.factors.values())
        return value if log2_evidence(counts, chosen) >= bits + self.needed else None

    def _of_blocks(self, base: Description, blocks: Blocks) -> Description:
        width = self.shape[2]
        group = np.arange(self.wrong.shape[1]) % width // blocks.group % blocks.modulo
        same = (self.order[:, None] + blocks.shift) % blocks.modulo == group[None, :]
        inside = same if blocks.equal else ~same
        k, a = int(self.wrong[inside].sum()), int(inside.sum())
        share = 100 * k / a
        one = replace(base, kind="place", effect="misread", blocks=blocks, inside=(k, a),
                      outside=(base.wrong - k, base.asked - a))  # fmt: skip
        words = f"Misread: {blocks.words()}: {share:.2g} % of their bits are wrong."
        return replace(one, sentence=f"{words} {_elsewhere(one)}")


def _spread(inside: Bools, here: Bools) -> Bools:
    whole = np.zeros(len(here), dtype=bool)
    whole[here] = inside
    return whole


def _words(axis: str, numbers: tuple[int, ...], values: Ints, choice: Choice) -> str:
    noun = {"within": "tokens", "questions": "questions", "cut": "tokens"}.get(axis, axis)
    if choice.period is not None:
        m, residues = choice.period
        if len(residues) == 1:
            return f"{noun} whose number modulo {m} is {residues[0]}"
        return f"{noun} {said(residues)} of every {m}"
    left = sorted({int(v) for v in values} - set(numbers))
    if axis in ("tokens", "questions", "channels") and len(ranges_of(left)) < len(ranges_of(numbers)):
        return f"all {noun} but {said(left)}"
    if len(numbers) == 1:
        return f"{noun[:-1]} {numbers[0]}"
    return f"{noun} {said(numbers)}"


def _sentence(one: Description, effect: Effect, shape: Sequence[int]) -> str:
    """The description in words."""
    where = [p.words for p in (one.tokens, one.questions, one.sequences, one.cut) if p is not None]
    if one.heads is not None and one.layers is None and shape[0] > 1:
        where.append(f"{one.heads.words} of every layer")
    else:
        where += [p.words for p in (one.heads, one.layers) if p is not None]
    if one.channels is not None:
        where.append(one.channels.words)
    elif one.tokens is not None or not where:
        where.append("all channels")
    k, a = one.inside
    only = "" if one.value is None else f" Only {'ones' if one.value else 'zeros'} are misread."
    if one.kind == "diffuse":
        return (
            f"Diffuse: {one.wrong:,} of {one.asked:,} bits are wrong, and no place beats "
            f"chance (level {one.level:g})."
        )
    if one.kind == "everywhere":
        return f"Everywhere alike: every token {effect.words}."
    head = "Lost" if k >= HALF * a or effect.name in ("stuck", "flipped", "copied") else "Misread"
    rest = f" {_elsewhere(one)}" if one.outside[1] else ""
    if effect.name == "stuck":
        only = ""
    return f"{head}: {', '.join(where)}: {effect.words}.{only}{rest}"


def _elsewhere(one: Description) -> str:
    k, a = one.outside
    return "Elsewhere no bit is wrong." if k == 0 else f"Elsewhere {k:,} of {a:,} bits are wrong."
