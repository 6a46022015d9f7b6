"""Which algorithms coincide: the same memory, or the same answers, on one random stream.

Two names for one thing would fill a leaderboard with echoes. Every algorithm of one head is given
the same stream of Gaussian tokens with Gaussian queries, and half of the 16-bit cache (or the
middle setting of its own knob); what it then *holds* and what it *answers* are compared with
everybody else's. Caches of whole tokens hold rows, compared as sets; the others their message.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compressors.catalog_entry import CatalogEntry
from ...compressors.kit.softmax_cache import SoftmaxCache
from ...compressors.plugin.contract import Compressor, Float32, Shape
from ...compressors.targets import resolve
from ...errors import BudgetTooSmall
from ..kit.tables import Row

SHAPE = Shape(tokens=256, d_k=16, d_v=16)
BUDGET = Fraction(1, 2)
QUESTIONS = 64
#: answers nearer than this are equal but for the order of additions
EQUAL = 1e-4
_SEED = 2025


def twins(entries: tuple[CatalogEntry, ...]) -> list[Row]:
    """The pairs that coincide: one, other, and whether held and answers are the same."""
    played = {one.name: _play(one) for one in entries}
    found = []
    for a, b in combinations([name for name, what in played.items() if what is not None], 2):
        (held_a, said_a), (held_b, said_b) = played[a], played[b]  # type: ignore[misc]
        same = held_a == held_b
        answers = bool(np.abs(said_a - said_b).max() < EQUAL)
        if same or answers:
            found.append({"one": a, "other": b, "held": same, "answers": answers})
    return found


def _play(entry: CatalogEntry) -> tuple[object, Float32] | None:
    """What an algorithm holds after the stream, and its answers; None: the budget is too small."""
    params = dict(entry.settings[len(entry.settings) // 2]) if entry.settings else {}
    budget = None if entry.settings else int(BUDGET * SHAPE.cache_bits_16)
    try:
        one = resolve(entry.name).factory(SHAPE, budget, _SEED, {}, **params)
    except BudgetTooSmall:
        return None
    one.extend(*_stream())
    q = np.random.default_rng(_SEED + 1).standard_normal((QUESTIONS, SHAPE.d_k), dtype=np.float32)
    zero = np.zeros_like(q)
    return _held(one), one.next_outputs(q, zero, np.zeros((QUESTIONS, SHAPE.d_v), np.float32))


def _stream() -> tuple[Float32, Float32, Float32]:
    rng = np.random.default_rng(_SEED)
    Q, K = rng.standard_normal((2, SHAPE.tokens, SHAPE.d_k), dtype=np.float32)
    return Q, K, rng.standard_normal((SHAPE.tokens, SHAPE.d_v), dtype=np.float32)


def _held(one: Compressor) -> object:
    if not isinstance(one, SoftmaxCache):
        return one.save()
    rows: NDArray[Any] = np.concatenate(one.kept(), axis=1)
    return frozenset(row.tobytes() for row in rows)
