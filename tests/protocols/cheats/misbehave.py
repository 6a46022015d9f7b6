"""An honest plug-in that goes wrong in one way per message, as its ``plan`` parameter says.

``plan`` is "seed=way;seed=way;..."; the ways of Alice are taken in ``extend``, those of Bob (their
names begin with "bob-") in ``next_outputs``. Seeds that are not named behave.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time

import numpy as np
from kvbarrier.compressors.plugin.contract import Compressor


def do(way):
    if way == "raise":
        raise ValueError("no such\nluck")
    if way == "exit":
        os._exit(7)
    if way == "sys-exit":
        sys.exit("bye")
    if way == "segv":
        ctypes.string_at(0)
    if way == "hang":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        while True:
            time.sleep(60)
    if way == "memory":
        hoard = []
        while True:
            hoard.append(np.ones(1 << 20))
    if way == "print":
        for _ in range(2000):
            print("x" * 400)
            print("y" * 400, file=sys.stderr)
            os.write(1, b"z" * 400)
    if way == "close":
        os.closerange(0, 4096)
    if way == "twin":
        os.fork()
    if way == "brood":
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                time.sleep(300)
    if way == "kill-host":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(300)
    if way == "stray":
        for fd in range(3, 64):
            with contextlib.suppress(OSError):
                os.write(fd, b"\x00" * 7 + b"\x04junk and more junk")


class Misbehave(Compressor):
    streaming = False

    def __init__(self, shape, budget_bits=None, seed=0, public=None, plan=""):
        super().__init__(shape, budget_bits, seed, public)
        ways = dict(step.split("=") for step in plan.split(";") if step)
        self.way = ways.get(str(seed), "")
        self.message_bytes = shape.tokens * shape.d_v // 8

    def append(self, q, k, v):
        raise NotImplementedError

    def attend(self, q):
        raise NotImplementedError

    def extend(self, Q, K, V):
        self.bits = V > 0.5
        do(self.way)

    def save(self):
        message = np.packbits(self.bits).tobytes()
        return {"short": message[:-1], "list": [1], "none": None}.get(self.way, message)

    def restore(self, message):
        shape = (self.shape.tokens, self.shape.d_v)
        self.bits = np.unpackbits(np.frombuffer(message, np.uint8)).reshape(shape)

    def next_outputs(self, Q, K, V):
        out = self.bits[(Q @ self.public["keys"].T).argmax(axis=1)].astype(np.float32)
        way = self.way.removeprefix("bob-") if self.way.startswith("bob-") else ""
        do(way)
        if way == "nan":
            out[3, 1] = np.nan
        if way == "infinity":
            out[0, 0] = np.inf
        if way == "shape":
            return out[:, :-1]
        if way == "ragged":
            return [[0.0], [1.0, 2.0]]
        if way == "ints":
            return out.astype(np.int64)
        if way == "objects":
            return out.astype(object)
        if way == "double":
            return out.astype(np.float64)
        return out
