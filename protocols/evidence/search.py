"""The search for the place of wrong bits: greedy, one axis at a time, each against chance.

Of all axes the one place is taken that explains most (:mod:`.places`), if it beats chance
(:mod:`.relabelling`, where the proof is); then the search goes on inside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .diagonals import Blocks, diagonals
from .places import Choice, choices
from .record import Reading
from .relabelling import log2_evidence, pieces

ROWS = ("tokens", "questions", "sequences", "cut", "within")
COLUMNS = ("layers", "heads", "channels")
TESTS = len(ROWS) + len(COLUMNS) + 4
"""So much may be named: along these axes, diagonals, the bits' value, the cut messages, a copy."""
SHORT = 4
"""A run of fewer tokens than this is no pattern."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(eq=False)
class Factor:
    """A place along one axis. ``alone``: it was chosen by whole rows, or by whole columns."""

    choice: Choice
    alone: bool


@dataclass(eq=False)
class Place:
    """A product of factors, by axis, or diagonals with their own bits."""

    factors: dict[str, Factor] = field(default_factory=dict)
    blocks: Blocks | None = None


class Search:
    """The wrong bits of all messages, row after row, and the places found in them."""

    def __init__(
        self, readings: Sequence[Reading], level: float, parameters: Sequence[int]
    ) -> None:
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
        self.total: Floats = self.wrong.sum(axis=1, dtype=np.float64)
        self.rows: dict[str, tuple[Ints, Ints]] = {}  # axis: its values, and each row's place there
        for axis, (numbers, some) in self._row_numbers().items():
            values, place = np.unique(numbers[some], return_inverse=True)
            if len(values) > 1:
                all_rows = np.full(len(numbers), len(values))
                all_rows[some] = place.reshape(-1)
                self.rows[axis] = values.astype(np.int64), all_rows
        self.order: Ints = np.concatenate([one.tokens for one in readings])

    def _row_numbers(self) -> dict[str, tuple[Ints, Bools]]:
        """For every axis of rows each row's number, and which rows have one."""
        readings = self.readings
        tokens: Ints = np.concatenate([one.tokens for one in readings])
        every = np.ones(len(tokens), dtype=bool)
        sizes = [len(one.tokens) for one in readings]
        questions: Ints = np.concatenate([
            one.tokens if one.questions is None else one.questions for one in readings
        ])  # fmt: skip
        sequences: Ints = np.concatenate([
            np.zeros(len(one.tokens), np.int64) if one.sequences is None else one.sequences
            for one in readings
        ])  # fmt: skip
        cut: Ints = np.concatenate([one.tokens - (one.cut or 0) for one in readings])
        was_cut = np.repeat([one.cut is not None for one in readings], sizes)
        numbers = {"tokens": (tokens, every), "within": (tokens, every)}
        if (questions != tokens).any():
            numbers["questions"] = questions, every
        return numbers | {"sequences": (sequences, every), "cut": (cut, was_cut)}

    def _at(self, axis: str, choice: Choice) -> Bools:
        """bool[rows]: which rows a place along an axis of rows has."""
        return np.asarray(np.append(choice.inside, False)[self.rows[axis][1]])

    # ------------------------------------------------------------------ the search

    def found(self) -> Place:
        """The place: greedy, then each factor once more with the others as its context."""
        place = Place()
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
            place.factors[best[1]] = Factor(best[2], alone)
        if not place.factors:
            block = pieces(self.message, self.order, self.total, self.rows_of(place))
            place.blocks = diagonals(self.wrong, self.order, block, self.shape[2], self.needed)
            return place
        return self._again(place)

    def _inside(self, axis: str, place: Place) -> bool:
        """Token numbers are searched twice: the second time inside the tokens found."""
        return axis == "within" and "tokens" in place.factors

    def _again(self, place: Place) -> Place:
        """What was found first was seen through all the rest: look again, inside the others."""
        better = Place(dict(place.factors))
        for axis in place.factors:
            rest = Place({k: f for k, f in better.factors.items() if k != axis})
            if axis == "within" or not rest.factors:
                continue
            for choice in self._choices(axis, rest):
                if self._beats_chance(axis, choice, rest):
                    if not (choice.inside == better.factors[axis].choice.inside).all():
                        better.factors[axis] = Factor(choice, False)
                    break
        if all(better.factors[axis] is place.factors[axis] for axis in place.factors):
            return place
        kept = all(
            self._beats_chance(axis, one.choice, Place(
                {k: f for k, f in better.factors.items() if k != axis}))
            for axis, one in better.factors.items()
        )  # fmt: skip
        return better if kept else place

    def rows_of(self, place: Place) -> Bools:
        """bool[rows]: the rows of a place."""
        inside = np.ones(len(self.wrong), dtype=bool)
        for axis in self.rows:
            if axis in place.factors:
                inside &= self._at(axis, place.factors[axis].choice)
        return inside

    def columns_of(self, place: Place) -> tuple[Bools, Bools, Bools]:
        """The layers, heads and channels of a place, a mask each."""
        masks = [
            place.factors[axis].choice.inside if axis in place.factors else np.ones(size, bool)
            for axis, size in zip(COLUMNS, self.shape, strict=True)
        ]
        return masks[0], masks[1], masks[2]

    def flat(self, place: Place) -> NDArray[np.float32]:
        """float32[columns]: 1 where a row's bit is in the place's layers, heads and channels."""
        a, b, c = self.columns_of(place)
        return (a[:, None, None] & b[:, None] & c).reshape(-1).astype(np.float32)

    def _by_row(self, place: Place) -> Floats:
        return np.asarray(self.wrong @ self.flat(place), dtype=np.float64)

    def _by_label(self, axis: str, place: Place, block: Ints) -> Floats:
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
        masked = (sums * self.flat(place)).reshape(blocks, *self.shape)
        rest = tuple(1 + i for i in range(3) if i != number)
        return np.asarray(masked.sum(axis=rest))

    def _choices(self, axis: str, place: Place) -> list[Choice]:
        rows, beyond = self.rows_of(place), (0.0, 0.0)
        if axis in self.rows:
            values, at = self.rows[axis]
            bits, V = float(self.flat(place).sum()), len(values)
            k: Floats = np.bincount(
                at[rows], weights=self._by_row(place)[rows], minlength=V + 1
            ).astype(np.float64)
            a: Floats = bits * np.bincount(at[rows], minlength=V + 1).astype(np.float64)
            beyond = float(k[V]), float(a[V])
            k, a = k[:V], a[:V]
        else:
            number = COLUMNS.index(axis)
            values = np.arange(self.shape[number])
            block = np.where(rows, 0, -1)
            k = self._by_label(axis, place, block)[0]
            a = np.full(len(k), rows.sum() * self.flat(place).sum() / len(k))
        here = a > 0
        found = choices(values[here], k[here], a[here], self.parameters, beyond)
        if axis in self.rows and axis != "sequences":
            found = [one for one in found if _plain(one, k[here], a[here])]
        return [replace(one, inside=_spread(one.inside, here)) for one in found]

    # ------------------------------------------------------------------ against chance

    def _beats_chance(self, axis: str, choice: Choice, place: Place) -> bool:
        """With all other factors as the context, or with those alone that cost nothing."""
        free = {
            name: factor for name, factor in place.factors.items()
            if factor.alone and (name in ROWS) != (axis in ROWS)
        }  # fmt: skip
        paid = [f.choice.bits for name, f in place.factors.items() if name not in free]
        needed = self.needed + 2.0 + choice.bits
        if self._evidence(axis, choice, Place(free)) >= needed:
            return True
        if axis in self.rows and self._together(axis, choice, place, Place(free)):
            return True
        if not paid:
            return False
        return self._evidence(axis, choice, place) >= needed + sum(1.0 + bits for bits in paid)

    def _together(self, axis: str, choice: Choice, place: Place, free: Place) -> bool:
        """All factors of rows as one set of rows: it beats chance, and by as much what it was."""
        before = {name: f for name, f in place.factors.items() if name in ROWS}
        if not before:
            return False
        counts, present = self._in_messages(self._by_row(free), self.rows_of(Place()))
        old = self.rows_of(Place(before))
        new = old & self._at(axis, choice)
        was, now = (
            log2_evidence(counts, self._in_messages(rows.astype(float), rows)[0] > 0, present)
            for rows in (old, new)
        )
        bits = self.needed + 2.0 + choice.bits
        whole = bits + sum(1.0 + factor.choice.bits for factor in before.values())
        return now >= whole and now - was >= bits

    def _evidence(self, axis: str, choice: Choice, place: Place) -> float:
        rows = self.rows_of(place)
        if axis in self.rows:
            counts, present = self._in_messages(self._by_row(place), rows)
            chosen, _ = self._in_messages(self._at(axis, choice).astype(float), rows)
            return log2_evidence(counts, chosen > 0, present)
        block = pieces(self.message, self.order, self.total, rows)
        counts = self._by_label(axis, place, block)
        return log2_evidence(counts, np.broadcast_to(choice.inside, counts.shape))

    def _in_messages(self, values: Floats, rows: Bools) -> tuple[Floats, Bools]:
        """Row by row to float64[messages, rows of one], and which of these there are."""
        sizes = np.bincount(self.message, minlength=len(self.readings))
        place = np.arange(len(self.message)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        table, present = (
            np.zeros((len(sizes), sizes.max())),
            np.zeros((len(sizes), sizes.max()), bool),
        )
        table[self.message[rows], place[rows]] = values[rows]
        present[self.message[rows], place[rows]] = True
        return table, present


def _plain(choice: Choice, wrong: Floats, asked: Floats) -> bool:
    """Long runs or a period; single tokens only if they are lost.

    The keys are the same in all messages, so a quantiser may misread some tokens more than others
    and be honest. It loses none of them: half of a lost token's bits are wrong.
    """
    ends = np.flatnonzero(
        np.diff(choice.inside, prepend=~choice.inside[:1], append=~choice.inside[-1:])
    )
    runs = np.diff(ends)
    if choice.period is not None or runs.min() >= SHORT:
        return True
    k, a = float(wrong[choice.inside].sum()), float(asked[choice.inside].sum())
    return k / a >= 0.5 - 1.0 / math.sqrt(a)  # two standard deviations of a coin


def _spread(inside: Bools, here: Bools) -> Bools:
    whole = np.zeros(len(here), dtype=bool)
    whole[here] = inside
    return whole
