"""Plug-ins that are each wrong in one way; the name of a class is what check must say."""

from __future__ import annotations

import os
import time

import numpy as np
from kvbarrier import Compressor


class Good:
    """Keeps everything; the others change one thing."""

    def __init__(self, shape):
        self.shape = shape
        self.K, self.V = [], []

    def append(self, q, k, v):
        self.K.append(np.array(k, dtype=np.float16))
        self.V.append(np.array(v, dtype=np.float16))

    def scores(self, q):
        return np.array(self.K, dtype=np.float32) @ q

    def attend(self, q):
        s = self.scores(q)
        w = np.exp(s - s.max())
        return w @ np.array(self.V, dtype=np.float32) / w.sum()


class GoodSubclass(Good, Compressor):
    """The same with our base class."""

    def __init__(self, shape, budget_bits=None, seed=0, public=None):
        Compressor.__init__(self, shape, budget_bits, seed, public)
        Good.__init__(self, shape)


class Raises(Good):
    def append(self, q, k, v):
        if len(self.K) == 30:
            raise RuntimeError("thirty is enough")
        super().append(q, k, v)


class WrongOutput(Good):
    def attend(self, q):
        return super().attend(q)[:1]


class WrongOutputType(Good):
    def attend(self, q):
        return super().attend(q).astype(str)


class NotFinite(Good):
    def attend(self, q):
        with np.errstate(all="ignore"):
            w = np.exp(self.scores(q))
            return w @ np.array(self.V, dtype=np.float32) / w.sum()


class NotDeterministic(Good):
    def append(self, q, k, v):
        super().append(q, k, v + np.random.default_rng().random(v.shape))


class ExtendDiffers(Good):
    def extend(self, Q, K, V):
        for q, k, v in zip(Q[::-1], K[::-1], V, strict=True):
            self.append(q, k, v)


class BatchDiffers(GoodSubclass):
    def next_outputs(self, Q, K, V):
        return np.stack([self.attend(q) for q in Q])


class AskingChangesIt(GoodSubclass):
    def next_outputs(self, Q, K, V):
        rows = []
        for q, k, v in zip(Q, K, V, strict=True):
            self.append(q, k, v)
            rows.append(self.attend(q))
        return np.stack(rows)


class RestoreDiffers(Good):
    def save(self):
        return np.array(self.K).tobytes()

    def restore(self, message):
        self.K = list(np.frombuffer(message, np.float16).reshape(-1, self.shape.d_k))
        self.V = [np.zeros(self.shape.d_v)] * len(self.K)


SEEN = []


class StateElsewhere(Good):
    """A module global: right in this process, while no other instance sees a stream."""

    def append(self, q, k, v):
        if not self.K:
            SEEN.clear()
        self.K.append(np.float16(0))
        SEEN.append((k.copy(), v.copy()))

    def attend(self, q):
        K, V = (np.array(rows) for rows in zip(*SEEN, strict=True))
        w = np.exp(K @ q - (K @ q).max())
        return w @ V / w.sum()


MEMO = {}


class StateInProcess(Good):
    """A module global under the message's own name: right as long as the process lives."""

    def save(self):
        name = np.array([np.sum(self.K), np.sum(self.V)]).tobytes()
        MEMO[name] = (list(self.K), list(self.V))
        return name

    def restore(self, message):
        K, V = MEMO[message]
        self.K, self.V = list(K), list(V)


class StateInFile(Good):
    """A file: right until another stream is saved."""

    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "kvbarrier-test-state.npz")

    def save(self):
        np.savez(self.path, K=self.K, V=self.V)
        return b"see the file"

    def restore(self, message):
        with np.load(self.path) as state:
            self.K, self.V = list(state["K"]), list(state["V"])


class CutDiffers(GoodSubclass):
    """Counts tokens, and forgets the count."""

    def __init__(self, shape, budget_bits=None, seed=0, public=None):
        super().__init__(shape, budget_bits, seed, public)
        self.count = 0

    def append(self, q, k, v):
        self.count += 1
        super().append(q, k, v * (2 if self.count == 20 else 1))

    def save(self):
        n, self.count = self.count, 0
        message = super().save()
        self.count = n
        return message


class NotPlain(Good):
    def append(self, q, k, v):
        self.coins = np.random.default_rng(0)
        super().append(q, k, v)


class BadMessage(Good):
    def save(self):
        return np.array([self.K, self.V])

    def restore(self, message):
        self.K, self.V = (list(part) for part in message)


class DeclaredLength(Good):
    message_bytes = 100


class OverBudget(Good):
    def __init__(self, shape, budget_bits):
        super().__init__(shape)


class ScaledScores(Good):
    def scores(self, q):
        return super().scores(q) / np.sqrt(len(q))


class SendsPublic(Good):
    """A rotation made on the first token, when a fresh instance has none."""

    def append(self, q, k, v):
        self.rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))[0]
        super().append(q, k, v)


class OtherShapes(Good):
    def attend(self, q):
        return super().attend(q) + np.zeros_like(q)


class NoBudget(Good):
    def __init__(self, shape, budget_bits):
        from kvbarrier import BudgetTooSmall

        super().__init__(shape)
        if budget_bits is not None and budget_bits < 3 * shape.cache_bits_16:
            raise BudgetTooSmall("greedy", budget_bits, 3 * shape.cache_bits_16)


class KnowsKeys(Good):
    """Raises on a key that is not public."""

    knows_keys = True

    def __init__(self, shape, public):
        super().__init__(shape)
        self.public = {key.tobytes() for key in public["keys"]}

    def append(self, q, k, v):
        assert not k.any() or len(self.K) >= self.shape.tokens or k.tobytes() in self.public
        super().append(q, k, v)


class Hangs(Good):
    def attend(self, q):
        while True:
            time.sleep(0.01)


class Crashes(Good):
    def attend(self, q):
        os.abort()


class Leaves(Good):
    def append(self, q, k, v):
        os._exit(0)


class EatsMemory(Good):
    def append(self, q, k, v):
        self.K.append(np.ones(1 << 28))


class SeveralHeads(Good):
    """Whole tokens, of which it only ever looks at the first head."""

    layout = "heads"

    def scores(self, q):
        return np.array(self.K, dtype=np.float32)[:, 0, 0] @ q[0, 0]

    def attend(self, q):
        s = self.scores(q)
        w = np.exp(s - s.max())
        return (w @ np.array(self.V, dtype=np.float32)[:, 0, 0] / w.sum())[None, None]
