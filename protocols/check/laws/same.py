"""One stream, many doors: whatever way it comes in and is asked, the answers are the same.

*Law.* A streaming algorithm is a map from the state and the next triple to the next state. So the
append loop, ``extend`` on all, on pieces and on pieces after appends, and save, restore and going
on at any cut, are the same composition of maps, and must answer alike: with equal public coins
bit for bit but for the order of float additions. Row r of ``next_outputs`` and ``block_outputs``
are defined by the loops. Nothing is said of what is lost: an honest loss is the same through each
door. A batch algorithm (``streaming = False``) has only one way in, so of it only the ways of
asking and a restore after the whole are tried.

Values are of both signs and lie on no quantiser's grid, keys are distinct: two states that differ
in a token answer differently to its key. Tokens are named by that.

Asking is no step of the stream: where ``attend`` leaves the message as it is, a cache that is asked
after every token ends as one that was asked nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....compressors.plugin.contract import Compressor, Float32
from ...evidence.places import named
from ..bench import EXTRA, LONGEST, Bench, Stream, real_valued, stream
from ..fault import Fault, whole
from ..probes import has_own

TITLE = "the doors agree"
SHORT = 97
MOST_ASKED = 24
TOLERANCE = 1e-3
ROWS = 48


@dataclass(frozen=True)
class Way:
    """A way for n tokens into a cache: ``play`` leaves it as if they had been appended."""

    code: str
    words: str
    steps: tuple[str, ...]
    n: int
    play: Callable[[Bench, Stream], Compressor]


def law(bench: Bench) -> Iterator[Fault]:
    """Each way in against the append loop, then each way of asking against the other."""
    if bench.streaming:
        yield from ways_in(bench)
    else:
        yield from after_restore(bench)
    yield from rows(bench)


def ways_in(bench: Bench) -> Iterator[Fault]:
    """extend, pieces and cuts against the append loop; one finding a code."""
    own = has_own(bench.build(bench.shape(8)), "extend")
    ways = [*(_extends(bench) if own else ()), *_cuts(bench)]
    if bench.asking_is_free:
        ways.append(_asked_between(min(SHORT, bench.most)))
    usual: dict[int, tuple[Stream, Compressor]] = {}
    said: set[str] = set()
    for way in ways:
        if way.code in said or way.n > bench.most:
            continue
        if way.n not in usual:
            one = stream(way.n, real_valued(way.n))
            usual[way.n] = one, bench.fed(one)
        one, straight = usual[way.n]
        other = way.play(bench, one)
        tokens = _asked(way.n)
        if not _apart(bench, one, straight, other, tokens).any():
            continue
        said.add(way.code)
        yield _told(bench, way, one, straight, other)


def _asked_between(n: int) -> Way:
    def play(bench: Bench, one: Stream) -> Compressor:
        compressor = bench.build(bench.shape(n))
        questions = one.questions(range(n))
        for t in range(n):
            bench.append(compressor, one, t, t + 1)
            for token in {t, t // 2}:
                compressor.attend(questions[token])
        return compressor

    words = f"after {n} appends with questions between them"
    steps = ("append 1", "ask for token 0", f"append {n - 1}, with questions between")
    return Way("asking-changes-it", words, steps, n, play)


def _asked(n: int) -> list[int]:
    """The newest and the oldest, and others evenly between."""
    return sorted({0, 1, n - 1, n - 2, *range(0, n, max(1, n // MOST_ASKED))})


def _apart(
    bench: Bench, one: Stream, a: Compressor, b: Compressor, tokens: Sequence[int]
) -> NDArray[np.bool_]:
    return differing(bench.read(a, one, tokens), bench.read(b, one, tokens))


def differing(a: Float32, b: Float32) -> NDArray[np.bool_]:
    """bool[m]: the rows that differ by more than the order of float32 additions explains."""
    away = np.abs(a - b) > TOLERANCE * (1 + np.abs(a))
    return np.asarray(away.reshape(len(a), -1).any(axis=1))


def _told(bench: Bench, way: Way, one: Stream, a: Compressor, b: Compressor) -> Fault:
    everything = list(range(way.n))
    usual, now = (bench.read(c, one, everything) for c in (a, b))
    moved = np.flatnonzero(differing(usual, now))
    truth = one.values
    before, after = (np.abs(r - truth).max(axis=1) < 0.5 for r in (usual, now))
    lost, kept = (np.flatnonzero(m) for m in (before & ~after, ~before & after))
    error = [np.abs(r - truth).mean(axis=1) for r in (usual, now)]
    worse = np.flatnonzero(error[1] > 3 * error[0] + 0.02)
    tokens = worse if len(worse) else (lost if len(lost) else moved)
    channels = np.flatnonzero((np.abs(usual - now)[tokens] > 0.05).any(axis=0))
    one_token = len(tokens) == 1
    whole_rows = len(channels) in (0, truth.shape[1])
    parts = [
        f"{way.words}, {named('token', tokens)} "
        + (
            f"do{'es' * one_token} not answer"
            if set(tokens) <= set(lost)
            else f"answer{'s' * one_token} differently"
        )
        + ("" if whole_rows else f" in {named('channel', channels)}")
    ]
    if len(kept):
        parts.append(f"{named('token', kept)} answer, which by append are lost")
    parts.append(
        f"their error is {error[1][tokens].mean():.2g} for {error[0][tokens].mean():.2g} by append"
    )
    return Fault(
        way.code,
        f"{'; '.join(parts)} ({len(moved)} of {way.n} answers differ).",
        tokens=whole(tokens),
        channels=None if whole_rows else whole(channels),
        operation=way.words,
        reproduction=(*way.steps, f"ask for token {int(tokens[0])}: not as by append"),
    )


def _extends(bench: Bench) -> Iterator[Way]:
    def pieces(n: int, cuts: Sequence[int], looped: bool = False) -> Callable[..., Compressor]:
        def play(bench: Bench, one: Stream) -> Compressor:
            compressor = bench.build(bench.shape(n))
            for i, (begin, end) in enumerate(zip([0, *cuts], [*cuts, n], strict=True)):
                if looped and i % 2:
                    bench.append(compressor, one, begin, end)
                else:
                    compressor.extend(*one.part(begin, end))
            return compressor

        return play

    def way(n: int, cuts: Sequence[int], words: str, looped: bool = False) -> Way:
        edges = list(zip([0, *cuts], [*cuts, n], strict=True))
        steps = tuple(
            f"{'append' if looped and i % 2 else 'extend by'} {b - a}"
            for i, (a, b) in enumerate(edges)
        )
        steps = steps if len(steps) <= 4 else (*steps[:3], "and so on")
        return Way("extend-differs", words, steps, n, pieces(n, cuts, looped))

    n = SHORT
    yield way(n, (), f"after one extend by {n}")
    yield way(n, range(7, n, 7), "after extends by 7 each")
    yield way(n, (1,), "after extends by 1 and by 96")
    yield way(n, (37, 61), "after an extend by 37, 24 appends and another extend", looped=True)
    yield way(n, (64,), "after an extend by 64 and appends", looped=True)
    for size in bench.sizes[-4:]:
        n = min(2 * size + 3, LONGEST)
        if size > 8 and n > size + 1:
            yield way(n, (), f"after one extend by {n}")
            for first in (size - 1, size, size + 1):
                yield way(n, (first,), f"after an extend by {first} and appends", looped=True)
            yield way(n, range(size, n, size), f"after extends by {size} each")


def _cuts(bench: Bench) -> Iterator[Way]:
    def restored(cuts: Sequence[int]) -> Callable[..., Compressor]:
        def play(bench: Bench, one: Stream) -> Compressor:
            shape = bench.shape(len(one))
            compressor, at = bench.build(shape), 0
            for cut in cuts:
                bench.append(compressor, one, at, cut)
                message = compressor.save()
                compressor, at = bench.build(shape), cut
                compressor.restore(message)
            bench.append(compressor, one, at, len(one))
            return compressor

        return play

    def way(cuts: Sequence[int], n: int) -> Way:
        words = "after a restore at " + " and ".join(map(str, cuts)) + f" and {n - cuts[-1]} more"
        steps, at = [], 0
        for cut in cuts:
            steps += [f"append {cut - at}", "save, restore"]
            at = cut
        return Way("cut-differs", words, (*steps, f"append {n - at}"), n, restored(cuts))

    short = min(SHORT, bench.most)
    for cut in (1, 16, 33, 64, 96):
        if cut < short:
            yield way((cut,), short)
    if short == SHORT:
        yield way((21, 50, 90), SHORT)
    for size in reversed(bench.sizes[-6:]):
        if 4 * size <= LONGEST:
            yield way((3 * size + size // 2 + 2,), 4 * size)
        if size > 8 and 2 * size <= LONGEST:
            yield way((size + 1,), 2 * size)
            yield way((size + size // 3, 2 * size - 1), 2 * size)
        elif size > 8 and size + 4 <= LONGEST:
            yield way((size - 1,), min(LONGEST, size + 43))


def after_restore(bench: Bench) -> Iterator[Fault]:
    """A batch algorithm: the whole, save, restore, and a few tokens of Bob's."""
    n, more = min(ROWS, bench.most), 5
    one = stream(n + more, real_valued(n + more))
    shape = bench.shape(n)
    straight = bench.fed(one.first(n), shape)
    other = bench.copy(straight)
    for compressor in (straight, other):
        bench.append(compressor, one, n, n + more)
    way = Way("cut-differs", f"after a restore at {n} and {more} more",
              (f"extend by {n}", "save, restore", f"append {more}"), n + more,
              lambda *_: other)  # fmt: skip
    if _apart(bench, one, straight, other, range(n + more)).any():
        yield _told(bench, way, one, straight, other)


def rows(bench: Bench) -> Iterator[Fault]:
    """The author's next_outputs and block_outputs, row by row, against the loops over copies."""
    n = min(ROWS, bench.most)
    compressor = bench.fed(stream(n, real_valued(n)), bench.shape(n))
    one = stream(n, real_valued(n))
    if has_own(compressor, "next_outputs"):
        yield from _one_by_one(compressor, one)
    if has_own(compressor, "block_outputs"):
        m = 9
        queries = one.questions(range(0, n, n // m))[:m]
        block = stream(m, real_valued(m, seed=5), seed=5)
        asked = (queries, block.keys, block.values)
        expected = Compressor.block_outputs(compressor, *asked)
        given = np.asarray(compressor.block_outputs(*asked))
        away = np.flatnonzero(differing(np.asarray(expected), given))
        if len(away):
            yield Fault(
                "batch-differs",
                f"block_outputs with {m} tokens after {n}: {named('row', away)} of {m} differ from "
                f"extend and attend by up to {np.abs(expected - given).max():.3g}.",
                operation="block_outputs",
                reproduction=(f"append {n}", f"block_outputs with {m} rows",
                              f"row {away[0]} is not what extend and attend answer"),
            )  # fmt: skip


def _one_by_one(compressor: Compressor, one: Stream) -> Iterator[Fault]:
    n = len(one)
    queries, zero = one.questions(range(n)), np.zeros_like(one.keys)
    nothing = np.zeros_like(one.values)
    expected = np.asarray(Compressor.next_outputs(compressor, queries, zero, nothing))
    order = np.roll(np.arange(n), 5)[:EXTRA]
    found: dict[int, list[int]] = {}
    for rows_of in (np.arange(n), order):
        given = np.asarray(
            compressor.next_outputs(queries[rows_of], zero[rows_of], nothing[rows_of])
        )
        for row in np.flatnonzero(differing(expected[rows_of], given)):
            found.setdefault(int(row), []).append(int(rows_of[row]))
    if not found:
        return
    tokens = whole(t for group in found.values() for t in group)
    right = [r for r in range(n) if r not in found]
    which = "every row differs" if not right else f"{named('row', right)} are right"
    which = which.replace("row 0 are", "row 0 is")
    first = min(found)
    missed = sorted(set(range(n)) - {int(t) for r, t in enumerate(np.arange(n)) if r in found})
    yield Fault(
        "batch-differs",
        f"next_outputs with {n} rows: {named('row', list(found))} do not answer as append and "
        "attend "
        f"do; {which}. Asked in order, all tokens are hit but {named('token', missed)}."
        if missed
        else f"next_outputs with {n} rows: {which}: not as append and attend answer.",
        tokens=whole(int(r) for r in found) if missed else tokens,
        operation="next_outputs",
        reproduction=(f"append {n}", f"next_outputs with {n} rows, row t asks for token t",
                      f"row {first}: not as append and attend answer"),
    )  # fmt: skip
