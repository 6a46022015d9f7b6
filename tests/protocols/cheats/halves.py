"""Batch algorithms that pass for streaming: where the stream is cut, the message holds next to
nothing, and the second half of the stream is told of the first by another way."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import relay
from kvbarrier.compressors.plugin.contract import Compressor

PAGE = mmap.mmap(-1, 1 << 16)  # shared by all that the importing process forks
HELD = {}


def hide_page(seed, data):
    PAGE[: 12 + len(data)] = seed.to_bytes(8, "big") + len(data).to_bytes(4, "big") + data


def find_page(seed):
    size = int.from_bytes(PAGE[8:12], "big")
    return PAGE[12 : 12 + size] if PAGE[:8] == seed.to_bytes(8, "big") else b""


def hide_in_locks(seed, data):
    """Until the Alice of another batch has taken them over."""
    HELD[seed] = relay.Locks()
    HELD[seed].speak(np.unpackbits(np.frombuffer(data, np.uint8)))


def home(seed):
    return Path.home() / f"kvcheat-{seed}"


WAYS = {
    "global": (HELD.__setitem__, lambda seed: HELD.pop(seed, b"")),
    "locks": (hide_in_locks, lambda seed: np.packbits(relay.Locks().hear(512)).tobytes()),
    "page": (hide_page, find_page),
    "home": (
        lambda seed, data: home(seed).write_bytes(data),
        lambda seed: home(seed).read_bytes() if home(seed).exists() else b"",
    ),
}


class Halves(Compressor):
    """Keeps the oldest ``keep`` rows of bits."""

    def __init__(self, shape, budget_bits=None, seed=0, public=None, way="page"):
        super().__init__(shape, budget_bits, seed, public)
        self.hide, self.find = WAYS[way]
        self.keep = min(shape.tokens, budget_bits // shape.d_v)
        self.rows = np.zeros((0, shape.d_v), dtype=bool)

    def append(self, q, k, v):
        raise NotImplementedError

    def attend(self, q):
        raise NotImplementedError

    def extend(self, Q, K, V):
        self.rows = np.concatenate([self.rows, V > 0.5])

    def save(self):
        if len(self.rows) < self.shape.tokens:
            self.hide(self.seed, np.packbits(self.rows).tobytes())
            return bytes([len(self.rows)])
        return np.packbits(self.rows[: self.keep]).tobytes()

    def restore(self, message):
        data, length = message, self.keep
        if len(message) == 1:
            data, length = self.find(self.seed), message[0]
        bits = np.unpackbits(np.frombuffer(data, np.uint8)).astype(bool)
        bits.resize((length, self.shape.d_v), refcheck=False)
        self.rows = bits

    def next_outputs(self, Q, K, V):
        at = (Q @ self.public["keys"].T).argmax(axis=1)
        rows = np.zeros((self.shape.tokens, self.shape.d_v), dtype=np.float32)
        rows[: len(self.rows)] = self.rows
        return rows[at]


class LateHalf(Halves):
    """Declares the length for its second half once it knows the first, so that it costs nothing."""

    def __init__(self, shape, budget_bits=None, seed=0, public=None, way="page"):
        super().__init__(shape, budget_bits, seed, public, way)
        first = self.find(seed)
        self.message_bytes = 1 + first[0] if first else 1

    def save(self):
        message = super().save()
        return message if len(message) == 1 else bytes(self.message_bytes)
