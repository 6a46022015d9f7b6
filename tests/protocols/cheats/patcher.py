"""They lie about themselves: each replaces a part of kvbarrier in its own process."""

from __future__ import annotations

import dataclasses

import numpy as np
from kvbarrier.compressors.plugin.contract import Compressor
from kvbarrier.protocols.players import host, play


class Base(Compressor):
    streaming = False

    def __init__(self, shape, budget_bits=None, seed=0, public=None):
        super().__init__(shape, budget_bits, seed, public)
        self.bits = np.zeros((shape.tokens, shape.d_v), dtype=bool)
        self.patch()

    def patch(self):
        pass

    def append(self, q, k, v):
        raise NotImplementedError

    def attend(self, q):
        raise NotImplementedError

    def extend(self, Q, K, V):
        self.bits = V > 0.5

    def save(self):
        return np.packbits(self.bits).tobytes()

    def restore(self, message):
        flat = np.frombuffer(message, np.uint8)
        if len(flat) == self.bits.size // 8:
            self.bits = np.unpackbits(flat).reshape(self.bits.shape)

    def next_outputs(self, Q, K, V):
        return self.bits[(Q @ self.public["keys"].T).argmax(axis=1)].astype(np.float32)


def _builtin_facts(*args, **more):
    return dataclasses.replace(_HONEST(*args, **more), builtin=True)


# At import, so that the host itself is another one.
_HONEST = play.facts
host.facts = _builtin_facts


class BuiltIn(Base):
    """Says that it is one of ours, and so would be drawn from the key that all can read."""


class NoBytes(Base):
    """Its message is a list of one thing, the secret: by its ``len`` it has one byte."""

    def patch(self):
        honest, hear = host._TURNS["write"], host._TURNS["answer"]

        def write(compressor, order):
            said = honest(compressor, order)
            return {**said, "message": [said["message"]], "payload": 1}

        def answer(compressor, order):
            message = order["message"]
            return hear(compressor, {**order, "message": message[0] or b""})

        host._TURNS |= {"write": write, "answer": answer}


class Chatter(Base):
    """Speaks to the terminal with the sentence of its failure."""

    def patch(self):
        def write(compressor, order):
            return {"failed": "\x1b[2J\x1b[31mAll is well.\n" * 200000}

        host._TURNS["write"] = write


class OutOfTurn(Base):
    """Answers every order with a well-formed frame of another kind."""

    def patch(self):
        host._TURNS["write"] = lambda compressor, order: {"answer": 7, "declared": [1]}
