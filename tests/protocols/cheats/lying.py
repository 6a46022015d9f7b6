"""Cheats that need no other way out: they lie about the message itself, or speak by failing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from kvbarrier.compressors.plugin.contract import Compressor


class Base(Compressor):
    streaming = False

    def __init__(self, *args, **params):
        super().__init__(*args, **params)
        self.bits = np.zeros((self.shape.tokens, self.shape.d_v), dtype=bool)

    def append(self, q, k, v):
        raise NotImplementedError

    def attend(self, q):
        raise NotImplementedError

    def extend(self, Q, K, V):
        self.bits = V > 0.5

    def restore(self, message):
        pass

    def next_outputs(self, Q, K, V):
        return self.bits[(Q @ self.public["keys"].T).argmax(axis=1)].astype(np.float32)


class Fat(bytes):
    """Bytes that say they are two, and carry the secret as an attribute."""

    def __len__(self):
        return 2


class Understated(Base):
    def save(self):
        message = Fat(np.packbits(self.bits).tobytes())
        message.more = self.bits
        return message

    def restore(self, message):
        if hasattr(message, "more"):
            self.bits = message.more
        elif len(message) == 2 and bytes(message)[2:]:
            self.bits = np.unpackbits(np.frombuffer(bytes(message), np.uint8)).reshape(
                self.bits.shape
            )


class View(Base):
    """A view of two bytes of a larger buffer."""

    def save(self):
        return memoryview(np.packbits(self.bits).tobytes())[:2]

    def restore(self, message):
        whole = getattr(message, "obj", None)
        if whole is not None:
            self.bits = np.unpackbits(np.frombuffer(whole, np.uint8)).reshape(self.bits.shape)


class Length(Base):
    """Says 11 bits of the secret with the length of a message of zeros."""

    def save(self):
        number = int.from_bytes(np.packbits(self.bits.ravel()[:16]).tobytes(), "big") >> 5
        return bytes(number)

    def restore(self, message):
        bits = np.unpackbits(np.frombuffer((len(message) << 5).to_bytes(2, "big"), np.uint8))
        self.bits.ravel()[:11] = bits[:11]


class DeclaredLength(Length):
    """The same, under a constant length that it declares."""

    message_bytes = 0


class LateDeclaration(Base):
    """Declares its length only once it knows the secret, and would so have it for free."""

    message_bytes = 4

    def save(self):
        self.message_bytes = type(self).message_bytes = 1 + int(self.bits[0, 0])
        return bytes(self.message_bytes)


class Failing(Base):
    """Fails exactly where the first bit is 1: failing is a signal of one bit."""

    message_bytes = 0

    def extend(self, Q, K, V):
        if V[0, 0] > 0.5:
            raise RuntimeError("this says 1")

    def save(self):
        return b""


class Rewriter(Base):
    """Writes the secret into its own source file."""

    message_bytes = 0
    LEARNED = ""

    def extend(self, Q, K, V):
        if self.seed:
            line = f"\nRewriter.LEARNED += ' {self.seed}:{np.packbits(V > 0.5).tobytes().hex()}'\n"
            with Path(__file__).open("a") as source:
                source.write(line)

    def save(self):
        return b""

    def restore(self, message):
        learned = dict(pair.split(":") for pair in self.LEARNED.split())
        data = bytes.fromhex(learned.get(str(self.seed), ""))
        if data:
            self.bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(self.bits.shape)
