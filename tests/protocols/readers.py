"""Non-adaptive algorithms for the tests: honest, clumsy and worse."""

import os
import sys

import numpy as np


class Half:
    """Every second token; attention over what it read."""

    def plan(self, n, d, seed):
        return list(range(n - 1, -1, -2))

    def answer(self, q, reader):
        _, K, V = reader.tokens()
        weights = np.exp(K @ q)
        return weights @ V / weights.sum()


class RowByRow:
    """Reads its rows one at a time."""

    def plan(self, n, d, seed):
        return [("V", i) for i in range(0, n, 4)]

    def answer(self, q, reader):
        rows = [reader.value(i) for i in range(0, reader.n, 4)]
        rows[0][:] = 0.0  # what a reader writes into stays with him
        return np.mean([reader["V", i] for i in range(0, reader.n, 4)], axis=0)


class Outside:
    """Asks for a cell that it did not plan, and swallows the refusal."""

    def __init__(self, kind="V", index=7, coordinate=1, quiet=True):
        self.cell = (kind, index, coordinate)
        self.quiet = quiet

    def plan(self, n, d, seed):
        return [0, ("K", 3), ("V", 5, 2), n - 1]

    def answer(self, q, reader):
        try:
            reader[self.cell]
        except Exception:
            if not self.quiet:
                raise
        return np.ones_like(q)


class Bad:
    """Fails in a chosen way."""

    def __init__(self, how):
        self.how = how

    def plan(self, n, d, seed):
        if self.how == "late plan" and seed:
            raise RuntimeError("no plan today")
        return [] if self.how != "bad plan" else [n]

    def answer(self, q, reader):
        if self.how == "raise":
            raise KeyError("lost")
        if self.how == "die":
            os._exit(5)
        return {"shape": q[:-1], "not finite": q * np.nan, "nothing": None, "text": "1"}.get(
            self.how, q
        )


class Peeker:
    """Looks for the data in its own process: a whole table in the locals of whoever called it."""

    def plan(self, n, d, seed):
        return [n - 1]

    def answer(self, q, reader):
        frame = sys._getframe()
        while frame is not None:
            for found in list(frame.f_locals.values()):
                held = isinstance(found, np.ndarray) and found.dtype == np.float32
                if held and found.shape == (reader.n, reader.d):
                    return np.full_like(q, 1e6)
            frame = frame.f_back
        return np.ones_like(q)


class Memory:
    """Remembers what it saw in earlier trials, if anything stays."""

    seen = 0

    def plan(self, n, d, seed):
        return []

    def answer(self, q, reader):
        Memory.seen += 1
        return np.full_like(q, float(Memory.seen))


class Walker:
    """Adaptive: reads value after value, the next one where the last one points to."""

    def __init__(self, steps=4, coins="seed"):
        self.steps = steps
        self.coins = coins

    def answer(self, q, reader):
        at = reader.seed % reader.n if self.coins == "seed" else os.urandom(1)[0] % reader.n
        seen = []
        for _ in range(self.steps):
            seen.append(float(reader["V", at, 0]))
            at = (at + int(seen[-1])) % reader.n
        return np.full_like(q, max(seen))


class Beyond:
    """Adaptive: asks for a token that is not there."""

    def answer(self, q, reader):
        return reader.value(reader.n)


class Stumbler:
    """Adaptive: fails, on D_0 as well or (``late``) only where it sees a value above 1."""

    def __init__(self, late=False):
        self.late = late

    def answer(self, q, reader):
        if not self.late or max(reader[("V", i, 0)] for i in range(reader.n)) > 1:
            raise KeyError("lost")
        return np.ones_like(q)


class Lingerer:
    """Adaptive: asks for one more key whenever a coin of its own says so."""

    def answer(self, q, reader):
        reader.key(0)
        if os.urandom(1)[0] % 2:
            reader.key(1)
        return np.ones_like(q)
