"""Plug-ins that are each wrong in one way; the name of a class is what check must say."""

from __future__ import annotations

import os
import time

import numpy as np
from kvbarrier import Compressor
from kvbarrier.compressors.zoo.baseline.exact import Exact


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
    """Listens to the budget, and reckons with half of what a token takes."""

    def __init__(self, shape, budget_bits):
        super().__init__(shape)
        self.room = budget_bits // (8 * (shape.d_k + shape.d_v))

    def append(self, q, k, v):
        super().append(q, k, v)
        del self.K[: -self.room], self.V[: -self.room]


class IgnoresBudget(Good):
    """An ordinary cache, which has heard of budgets and has none."""

    def __init__(self, shape, budget_bits):
        super().__init__(shape)


class FailsAtBudget(Good):
    def __init__(self, shape, budget_bits):
        super().__init__(shape)
        assert budget_bits >= shape.cache_bits_16, "too small"


class ScaledScores(Good):
    def scores(self, q):
        return super().scores(q) / np.sqrt(len(q))


class SendsPublic(Good):
    """A rotation made on the first token, when a fresh instance has none."""

    def append(self, q, k, v):
        self.rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))[0]
        super().append(q, k, v)


class Buffered:
    """Slots made beforehand, of which few are used, behind a header: what most engines have."""

    slots = 256

    def __init__(self, shape):
        self.shape = shape
        self.rows = self.empty()
        self.count = 0

    def empty(self):
        return np.zeros((self.slots, self.shape.d_k + self.shape.d_v), dtype=np.float16)

    def append(self, q, k, v):
        self.rows[self.count] = np.concatenate([k, v])
        self.count += 1

    def attend(self, q):
        rows = self.rows[: self.count].astype(np.float32)
        s = rows[:, : len(q)] @ q
        w = np.exp(s - s.max())
        return w @ rows[:, len(q) :] / w.sum()

    def save(self):
        return b"KV01" + self.count.to_bytes(4, "little") + self.rows.tobytes() + b"end."

    def restore(self, message):
        self.count = int.from_bytes(message[4:8], "little")
        rows = np.frombuffer(message[8:-4], dtype=np.float16)
        self.rows = rows.reshape(self.slots, -1).copy()


class BufferedOnes(Buffered):
    """Empty slots that are not empty."""

    def empty(self):
        return super().empty() + np.float16(0.1)


class BufferedRecords(Buffered):
    """Empty slots that each hold a scale, zeros and a name."""

    def empty(self):
        rows = super().empty()
        rows[:, 0], rows[:, -3:] = 1.0, (2.0, 3.0, 4.0)
        return rows


class PublicBehindSlots(Buffered):
    """A table that a fresh instance has as well, behind empty slots."""

    def save(self):
        return super().save() + np.random.default_rng(0).bytes(256)

    def restore(self, message):
        super().restore(message[:-256])


HEARD = []


class GlobalState(Good):
    """A module global that is never cleared."""

    def append(self, q, k, v):
        self.K.append(np.float16(0))
        HEARD.append((k.copy(), v.copy()))

    def attend(self, q):
        K, V = (np.array(rows) for rows in zip(*HEARD, strict=True))
        w = np.exp(K @ q - (K @ q).max())
        return w @ V / w.sum()


class GlobalGenerator(Good):
    """A generator of the class: seeded, and shared by all instances."""

    rng = np.random.default_rng(0)

    def append(self, q, k, v):
        super().append(q, k, v + self.rng.random(v.shape))


class GlobalCounter(Good):
    """Seeds with the number of the instance."""

    made = 0

    def __init__(self, shape):
        super().__init__(shape)
        GlobalCounter.made += 1
        self.noise = np.random.default_rng(GlobalCounter.made).random(shape.d_v)

    def append(self, q, k, v):
        super().append(q, k, v + self.noise)


class ClockSeed(Good):
    """Chance that two instances of one process have in common."""

    noise = np.random.default_rng().random()

    def append(self, q, k, v):
        super().append(q, k, v + self.noise)


class ExtendForgets(Good):
    """An extend that is right from nothing, and wrong from anything else."""

    def extend(self, Q, K, V):
        self.K, self.V = [], []
        for q, k, v in zip(Q, K, V, strict=True):
            self.append(q, k, v)


class ExtendRaises(Good):
    def extend(self, Q, K, V):
        raise RuntimeError("one at a time, please")


class ExtendIsScaled(Good):
    def extend(self, Q, K, V):
        for q, k, v in zip(Q, K / 4, V, strict=True):
            self.append(q, k, v)


class ReturnsNone(Good):
    def attend(self, q):
        super().attend(q)


class AppendOfTwo(Good):
    """No fault: it needs no query."""

    def append(self, k, v):
        super().append(None, k, v)


class AppendOfOne(Good):
    def append(self, k):
        super().append(None, k, k)


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


class ForgetsWhereAsked(Exact):
    """One of ours, but for its ``attend``, which leaves the newest channels out."""

    def attend(self, q):
        answer = super().attend(q).copy()
        answer[-8:] = 0
        return answer
