"""What is handed over belongs to whoever handed it over.

*Not changed.* The arrays given to append, extend, attend and next_outputs are the same afterwards.
*Taken as they are.* Read-only arrays and views with strides hold the same numbers, so the answers
are the same. *Copied or kept.* The contract lets a cache keep the arrays (the game does not touch
them again), but an engine writes the next token into the same buffer: then a cache that kept
references answers with the newest token for all. That is a note: no attack can show it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....compressors.plugin.contract import Compressor
from ...evidence.places import named
from ..bench import Bench, Stream, real_valued, stream
from ..fault import Fault, whole
from ..probes import told
from .same import differing

TITLE = "inputs: kept, changed, refused"
TOKENS = 24


def law(bench: Bench) -> Iterator[Fault]:
    """Read-only and strided inputs, buffers that are overwritten, inputs before and after."""
    one = stream(TOKENS, real_valued(TOKENS))
    straight = bench.read(bench.fed(one), one, range(TOKENS))
    changed = list(_changed(bench, one))
    yield from changed
    if changed:
        return
    for words, compressor in _others(bench, one):
        if isinstance(compressor, str):
            yield Fault("refuses-inputs", f"{words}: {compressor}", operation=words)
            return
        away = np.flatnonzero(differing(straight, bench.read(compressor, one, range(TOKENS))))
        if len(away):
            yield Fault(
                "refuses-inputs",
                f"with {words}, {named('token', away)} answer differently.",
                tokens=whole(away), operation=words,
            )  # fmt: skip
            return
    if bench.streaming:
        away = np.flatnonzero(
            differing(straight, bench.read(_reused(bench, one), one, range(TOKENS)))
        )
        if len(away):
            yield Fault(
                "keeps-arrays",
                f"it keeps the arrays of append: written over afterwards, {named('token', away)} "
                "of "
                f"{TOKENS} answer differently.",
                tokens=whole(away), operation="append",
                reproduction=("append the tokens from one buffer each for q, k and v",
                              f"ask for token {away[0]}"),
            )  # fmt: skip


def _others(bench: Bench, one: Stream) -> Iterator[tuple[str, Compressor | str]]:
    wide = [np.repeat(a, 2, axis=-1)[..., ::2] for a in (one.keys, one.values)]
    fixed = [a.copy() for a in (one.keys, one.values)]
    for array in fixed:
        array.setflags(write=False)
    for words, (keys, values) in (("read-only arrays", fixed), ("strided arrays", wide)):
        try:
            yield words, bench.fed(Stream(keys, values, one.scale))
        except Exception as error:
            yield words, told(error)


def _changed(bench: Bench, one: Stream) -> Iterator[Fault]:
    keys, values = one.keys.copy(), one.values.copy()
    mine = Stream(keys, values, one.scale)
    compressor = bench.fed(mine)
    queries = mine.questions(range(4))
    before = queries.copy()
    bench.answers(compressor, queries, values.shape[-1])
    for name, was, now in (
        ("k", one.keys, keys),
        ("v", one.values, values),
        ("q", before, queries),
    ):
        rows = np.flatnonzero((was != now).any(axis=1))
        if len(rows):
            door = "attend" if name == "q" else "append"
            yield Fault(
                "changes-inputs",
                f"{door} writes into its argument {name}: row {rows[0]} is another afterwards.",
                operation=door,
            )


def _reused(bench: Bench, one: Stream) -> Compressor:
    compressor = bench.build(bench.shape(len(one)))
    q, k, v = (np.empty_like(part[0]) for part in one.part(0, 1))
    for new in zip(*one.part(0, len(one)), strict=True):
        for buffer, numbers in zip((q, k, v), new, strict=True):
            buffer[...] = numbers
        compressor.append(q, k, v)
        for buffer in (q, k, v):
            buffer[...] = 7
    return compressor
