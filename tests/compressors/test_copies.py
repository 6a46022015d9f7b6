"""Every question is answered from its own copy of one snapshot, and the message is read once."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from kvbarrier.compressors.plugin import packing
from kvbarrier.compressors.plugin.adapters import adapt
from kvbarrier.compressors.plugin.contract import Compressor, Shape

SHAPE = Shape(6, 4, 3)
RNG = np.random.default_rng(5)
STREAM = tuple(RNG.standard_normal((6, 4 if name != "v" else 3), dtype="f4") for name in "qkv")
NEXT = tuple(RNG.standard_normal((5, 4 if name != "v" else 3), dtype="f4") for name in "qkv")


class Spoils:
    """Writes in place into state of every plain kind, and answers with all of it."""

    def __init__(self, shape):
        self.total = np.zeros(3, dtype=np.float32)  # of a shape that a fresh instance knows
        self.rows, self.ring, self.named = [], deque(maxlen=4), {}
        self.deep, self.seen, self.raw = ([np.zeros(1)], 0), set(), bytearray()

    def append(self, q, k, v):
        if self.rows:
            self.rows[0] += 1.0
            self.ring[0] *= 2.0
        self.total += v
        self.rows.append(v.copy())
        self.ring.append(k.copy())
        self.named.setdefault("sums", [np.zeros(3)])[0] += v
        self.deep[0][0] += k.sum()
        self.deep = (self.deep[0], self.deep[1] + 1)
        self.seen.add(len(self.rows))
        self.raw += b"x"

    def attend(self, q):
        sizes = len(self.seen) + len(self.raw) + self.deep[1] + self.deep[0][0].item()
        rows = sum(self.rows) + self.named["sums"][0] + float(sum(self.ring).sum())
        return (self.total + rows + sizes).astype(np.float32)


class SpoilsSub(Spoils, Compressor):
    def __init__(self, shape, budget_bits=None, seed=0, public=None):
        Compressor.__init__(self, shape, budget_bits, seed, public)
        Spoils.__init__(self, shape)


class RestoresItself(Spoils):
    """State that only its own ``restore`` knows how to make."""

    restored = 0

    def save(self):
        return packing.pack_difference(self, RestoresItself(SHAPE))

    def restore(self, message):
        RestoresItself.restored += 1
        packing.unpack_difference(self, message)


def row_by_row(bob, message, questions):
    """What the contract says, in its words: a fresh instance for each, restored from the bytes."""
    answers = []
    for q, k, v in zip(*questions, strict=True):
        twin = bob.fresh()
        twin.restore(message)
        twin.append(q, k, v)
        answers.append(twin.attend(q))
    return np.stack(answers)


@pytest.mark.parametrize("thing", [Spoils, SpoilsSub, RestoresItself])
def test_each_row_has_its_own_copy_and_the_message_is_read_once(thing, monkeypatch):
    alice, bob = (adapt(thing)(SHAPE, None, 0, {}) for _ in range(2))
    alice.extend(*STREAM)
    message = alice.save()
    bob.restore(message)
    expected = row_by_row(bob, message, NEXT)
    read = []
    parse = packing.parse_tree
    monkeypatch.setattr(packing, "parse_tree", lambda text: read.append(1) or parse(text))
    RestoresItself.restored = 0
    assert np.array_equal(bob.next_outputs(*NEXT), expected)
    # Whose restore is its own is restored for every row: how to copy it is not for us to know.
    assert (len(read), RestoresItself.restored) == ((5, 5) if thing is RestoresItself else (1, 0))
    assert bob.save() == message
