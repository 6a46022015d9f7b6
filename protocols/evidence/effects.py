"""What is read where bits are wrong: nothing, a constant, the opposite, or another place's values.

**Copies.** If what is read at N numbers does not depend on the secret at N other places, it agrees
with that secret in Bin(N, 1/2) of them, for the secret's bits are fair and independent. Pr[share >=
.9] <= exp(-.32 N) (Hoeffding), and a copy is named only where that, times the number of sources
tried, is at most the level's share. Nothing else here is a test: of a place that beats chance
(:mod:`.relabelling`) it says how often its zeros and its ones are misread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .record import Reading

Bools = NDArray[np.bool_]
Floats = NDArray[Any]

AGREE = 0.9
ROWS = 512
"""Of so many rows of a message it is asked which other rows they answer with."""


@dataclass(frozen=True)
class Effect:
    """``name``: "absent", "stuck", "flipped", "copied", "displaced", "exchanged", "misread".

    ``words`` follow "tokens 3-5": of a copy or displacement as their verb. ``source`` is plain
    data: the head, layer, token, sequence, displacement, or the channel read in the place of each.
    """

    name: str
    words: str
    source: dict[str, int | list[int]] | None = None


@dataclass(frozen=True)
class Part:
    """Of one message what lies in a place: rows and a mask of layers, heads, channels."""

    reading: Reading
    rows: Bools
    layers: Bools
    heads: Bools
    channels: Bools

    def of(self, bits: NDArray[np.uint8]) -> Floats:
        """The bits of the place as -1 and 1, float32[rows, layers, heads, channels]."""
        some = bits[self.rows][:, self.layers][:, :, self.heads][..., self.channels]
        return np.asarray(2.0 * some - 1.0, dtype=np.float32)


def effect_of(parts: Sequence[Part], spare: float) -> Effect:
    """What is read in a place. ``spare``: the probability that a copy may be named by chance."""
    ones = zeros = wrong_ones = wrong_zeros = 0
    for part in parts:
        secret, said = part.of(part.reading.secret), part.of(part.reading.said)
        ones += int((secret > 0).sum())
        zeros += int((secret < 0).sum())
        wrong_ones += int(((secret > 0) & (said < 0)).sum())
        wrong_zeros += int(((secret < 0) & (said > 0)).sum())
    of_ones, of_zeros = wrong_ones / max(ones, 1), wrong_zeros / max(zeros, 1)
    if of_ones > AGREE and of_zeros > AGREE:
        return Effect("flipped", "every bit is read as its opposite")
    for value, hit, other in ((0, of_ones, of_zeros), (1, of_zeros, of_ones)):
        if hit > AGREE and other < 1.0 - AGREE:
            return Effect("stuck", f"every bit is read as {value}", {"value": value})
    if of_ones + of_zeros > 0.2:
        for find in (_other_head, _other_layer, _other_row, _other_channel):
            found = find(parts, spare / 4)
            if found is not None:
                return found
    if abs(of_ones + of_zeros - 1.0) < 0.2:
        # What is read does not depend on the secret, be it a coin or mostly one of the values.
        return Effect("absent", "half of the bits are wrong")
    share = (wrong_ones + wrong_zeros) / max(ones + zeros, 1)
    return Effect("misread", f"{100 * share:.2g} % of the bits are wrong")


def _sure(agreement: Floats, number: Floats, tried: float, spare: float) -> Bools:
    with np.errstate(invalid="ignore"):
        enough = 2.0 * (AGREE - 0.5) ** 2 * number >= math.log(max(tried, 1.0) / spare)
    return np.asarray(enough & (agreement >= AGREE))


def _matched(parts: Sequence[Part], axis: int, spare: float) -> tuple[list[int], list[int]] | None:
    """For the chosen labels of an axis (1 layers, 2 heads, 3 channels) the labels they answer with.

    None unless most chosen labels have one, none of them its own.
    """
    masks = (parts[0].layers, parts[0].heads, parts[0].channels)
    chosen = np.flatnonzero(masks[axis - 1])
    size = len(masks[axis - 1])
    if size < 2 or len(chosen) == 0:
        return None
    agree = np.zeros((len(chosen), size))
    number = 0
    for part in parts:
        own = [part.layers, part.heads, part.channels]
        said = part.of(part.reading.said)
        own[axis - 1] = np.ones(size, dtype=bool)
        wide = Part(part.reading, part.rows, *own).of(part.reading.secret)
        said = np.moveaxis(said, axis, 0).reshape(len(chosen), -1)
        wide = np.moveaxis(wide, axis, 0).reshape(size, -1)
        agree += said @ wide.T
        number += said.shape[1]
    if number == 0:
        return None
    share = 0.5 + agree / (2.0 * number)
    share[np.arange(len(chosen)), chosen] = 0.0
    best = share.argmax(axis=1)
    sure = _sure(share.max(axis=1), np.full(len(chosen), float(number)), share.size, spare)
    if sure.sum() < max(1, math.ceil(AGREE * len(chosen))):
        return None
    return chosen[sure].tolist(), best[sure].tolist()


def _labels(parts: Sequence[Part], axis: int, name: str, spare: float) -> Effect | None:
    found = _matched(parts, axis, spare)
    if found is None:
        return None
    here, there = found
    if len(set(there)) == 1:
        return Effect("copied", f"answer with {name} {there[0]}'s values", {name: there[0]})
    steps = {b - a for a, b in zip(here, there, strict=True)}
    if len(steps) == 1:
        step = steps.pop()
        side = "after" if step > 0 else "before"
        words = f"answer with the values of the {name} {abs(step)} {side} their own"
    else:
        pairs = ", ".join(f"{a} with {b}'s" for a, b in list(zip(here, there, strict=True))[:4])
        words = f"answer with other {name}s' values: {pairs}{', ...' if len(here) > 4 else ''}"
    return Effect("exchanged", words, {name: there})


def _other_head(parts: Sequence[Part], spare: float) -> Effect | None:
    return _labels(parts, 2, "head", spare)


def _other_layer(parts: Sequence[Part], spare: float) -> Effect | None:
    return _labels(parts, 1, "layer", spare)


def _other_channel(parts: Sequence[Part], spare: float) -> Effect | None:
    return _labels(parts, 3, "channel", spare)


def _other_row(parts: Sequence[Part], spare: float) -> Effect | None:
    """Another token's row: one for all, one some places away, or the same token's elsewhere."""
    parts = [_sample(part) for part in parts]
    n = max(part.reading.n for part in parts)
    most = 1 + max(int(_sequences(part.reading).max(initial=0)) for part in parts)
    first = parts[0]
    width = int(first.layers.sum() * first.heads.sum() * first.channels.sum())
    rows = sum(int(part.rows.sum()) for part in parts)
    if width == 0 or rows == 0:
        return None
    # Sums of agreement and numbers of pairs (row asked, source), by kind of source.
    step, token, sequence = np.zeros((2, 2 * n + 1)), np.zeros((2, n)), np.zeros((2, most))
    for part in parts:
        reading, of = part.reading, _sequences(part.reading)
        whole = replace(part, rows=np.ones(len(reading.tokens), dtype=bool))
        asked = part.of(reading.said).reshape(-1, width)
        share = 0.5 + asked @ whole.of(reading.secret).reshape(-1, width).T / (2.0 * width)
        away = reading.tokens[None, :] - reading.tokens[part.rows][:, None]
        same = of[None, :] == of[part.rows][:, None]
        other, across = same & (away != 0), ~same & (away == 0)
        for weight, total in ((share, 0), (None, 1)):
            near = same if weight is None else np.where(same, weight, 0.0)
            step[total] += np.bincount((away + n).ravel(), near.ravel(), 2 * n + 1)
            one = (other if weight is None else np.where(other, weight, 0.0)).sum(axis=0)
            token[total] += np.bincount(reading.tokens, one, n)
            if most > 1:
                far = (across if weight is None else np.where(across, weight, 0.0)).sum(axis=0)
                sequence[total] += np.bincount(of, far, most)
    step[:, n] = 0
    tried = 2 * n + 1 + n + most
    # How many bits of the secret each source has: a row that answers for many is still one row.
    for kind, (sums, number), bits in (
        ("step", step, step[1] * width),
        ("token", token, np.full(n, float(len(parts) * width))),
        ("sequence", sequence, sequence[1] * width / max(1, most - 1)),
    ):
        share = np.where(number > 0, sums / np.maximum(number, 1), 0.0)
        # A few rows that chance has beside one another are no displacement of all.
        sure = _sure(share, bits, tried, spare) & (number >= rows / 2)
        if sure.any():
            at = int(np.argmax(np.where(sure, share, 0.0)))
            if kind == "step":
                places = "place" if abs(at - n) == 1 else "places"
                side = "later" if at > n else "earlier"
                words = f"answer with the row {abs(at - n)} {places} {side}"
                return Effect("displaced", words, {"step": at - n})
            return Effect(
                "copied",
                f"answer with {kind} {at}'s {'row' if kind == 'token' else 'rows'}",
                {kind: at},
            )
    return None


def _sample(part: Part) -> Part:
    """At most :data:`ROWS` of its rows, evenly spread: what holds for a place holds for these."""
    here = np.flatnonzero(part.rows)
    rows = np.zeros(len(part.rows), dtype=bool)
    rows[here[np.unique(np.linspace(0, len(here) - 1, min(ROWS, len(here))).astype(int))]] = True
    return replace(part, rows=rows)


def _sequences(reading: Reading) -> NDArray[np.int64]:
    none = np.zeros(len(reading.tokens), dtype=np.int64)
    return none if reading.sequences is None else reading.sequences
