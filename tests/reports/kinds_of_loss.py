"""Honest lossy caches after ideas of the literature, of which an examination must say nothing."""

from __future__ import annotations

import numpy as np


def soft(K, V, q, counts=None):
    s = np.asarray(K, np.float32) @ q
    w = np.exp(s - s.max())
    if counts is not None:
        w = w * np.asarray(counts)
    return (w @ np.asarray(V, np.float32) / w.sum()).astype(np.float32)


class Rows:
    def __init__(self, shape, seed):
        self.K, self.V = [], []

    def append(self, q, k, v):
        self.K.append(np.array(k))
        self.V.append(np.array(v))

    def attend(self, q):
        return soft(self.K, self.V, q)


class Snap(Rows):
    """A prompt is cut to those that the last `window` queries see, pooled, and the window."""

    streaming = False

    def __init__(self, shape, window=16, kept=32):
        self.window, self.kept, self.K, self.V = window, kept, [], []

    def extend(self, Q, K, V):
        if not len(K):
            return
        n = len(K)
        keep = np.arange(n)
        if n > self.window + self.kept:
            s = Q[-self.window :] @ K[: -self.window].T
            w = np.exp(s - s.max(1, keepdims=True))
            score = (w / w.sum(1, keepdims=True)).sum(0)
            pooled = np.convolve(score, np.ones(5) / 5, "same")
            top = np.sort(np.argsort(-pooled, kind="stable")[: self.kept])
            keep = np.r_[top, np.arange(n - self.window, n)]
        self.K += list(np.array(K)[keep])
        self.V += list(np.array(V)[keep])


class HeavyHitters(Rows):
    """Heavy hitters by the weight that they have had, and the most recent."""

    def __init__(self, shape, heavy=32, recent=32):
        self.heavy, self.recent = heavy, recent
        self.K, self.V, self.score = [], [], []

    def append(self, q, k, v):
        self.K.append(np.array(k))
        self.V.append(np.array(v))
        self.score.append(0.0)
        s = np.array(self.K) @ q
        w = np.exp(s - s.max())
        self.score = list(np.array(self.score) + w / w.sum())
        if len(self.K) > self.heavy + self.recent:
            worst = int(np.argmin(self.score[: -self.recent]))
            del self.K[worst], self.V[worst], self.score[worst]


class ByScoreOfKeys(Rows):
    """Beyond `room` the token whose key is most like the mean of all keys goes (redundancy)."""

    def __init__(self, shape, seed, room=60):
        super().__init__(shape, seed)
        self.room = room

    def append(self, q, k, v):
        super().append(q, k, v)
        if len(self.K) > self.room:
            K = np.array(self.K[:-8])
            worst = int(np.argmax(K @ K.mean(0)))
            del self.K[worst], self.V[worst]


class Kivi:
    """2-bit: keys by channel, values by token, in groups of 32; a residual in float16."""

    def __init__(self, shape, seed, group=32, residual=64, bits=2):
        self.group, self.residual, self.levels = group, residual, 2**bits - 1
        self.oldK, self.oldV, self.rk, self.rv = [], [], [], []

    def rounded(self, x, axis):
        low = x.min(axis=axis, keepdims=True)
        step = np.maximum(np.ptp(x, axis=axis, keepdims=True), 1e-8) / self.levels
        return np.round((x - low) / step).astype(np.uint8), low, step

    def append(self, q, k, v):
        self.rk.append(k.astype(np.float16))
        self.rv.append(v.astype(np.float16))
        if len(self.rk) == self.residual + self.group:
            K = np.array(self.rk[: self.group], np.float32)
            V = np.array(self.rv[: self.group], np.float32)
            self.oldK.append(self.rounded(K, 0))
            self.oldV.append(self.rounded(V, 1))
            del self.rk[: self.group], self.rv[: self.group]

    def attend(self, q):
        parts = [[c * s + l for c, l, s in old] for old in (self.oldK, self.oldV)]
        K, V = (np.concatenate([*p, np.array(r, np.float32)]) if r or p else np.array(r)
                for p, r in zip(parts, (self.rk, self.rv), strict=True))  # fmt: skip
        return soft(K, V, q)


class Rotated3:
    """Random rotation, norm apart, 3-bit codebook of a Gaussian."""

    BOOK = np.array([-2.152, -1.344, -0.756, -0.245, 0.245, 0.756, 1.344, 2.152], np.float32)

    def __init__(self, shape, seed):
        rng = np.random.default_rng(seed)
        self.turn = {d: np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32)
                     for d in {shape.d_k, shape.d_v}}  # fmt: skip
        self.K, self.V = [], []

    def code(self, x):
        norm = np.linalg.norm(x) + 1e-12
        y = self.turn[len(x)] @ x * np.float32(np.sqrt(len(x)) / norm)
        return np.abs(y[:, None] - self.BOOK).argmin(1).astype(np.uint8), np.float32(norm)

    def back(self, rows):
        c, norm = map(np.array, zip(*rows, strict=True))
        d = c.shape[1]
        return self.BOOK[c] @ self.turn[d] * (norm / np.float32(np.sqrt(d)))[:, None]

    def append(self, q, k, v):
        self.K.append(self.code(k))
        self.V.append(self.code(v))

    def attend(self, q):
        return soft(self.back(self.K), self.back(self.V), q)


class LowRank:
    """Keys and values projected on `rank` fixed directions."""

    def __init__(self, shape, seed, rank=32):
        rng = np.random.default_rng(seed)
        self.P = {d: np.linalg.qr(rng.standard_normal((d, min(d, rank))))[0].astype(np.float32)
                  for d in {shape.d_k, shape.d_v}}  # fmt: skip
        self.K, self.V = [], []

    def append(self, q, k, v):
        self.K.append(k @ self.P[len(k)])
        self.V.append(v @ self.P[len(v)])

    def attend(self, q):
        d = len(self.V[0])
        P = next(p for p in self.P.values() if p.shape[1] == d)
        for width, p in self.P.items():
            if width != len(q) and p.shape[1] == d:
                P = p
        return P @ soft(self.K, self.V, q @ self.P[len(q)])


class Merging:
    """Beyond `room` the two neighbours with the most similar keys become one row, with a count."""

    def __init__(self, shape, seed, room=64):
        self.room, self.K, self.V, self.count = room, [], [], []

    def append(self, q, k, v):
        self.K.append(np.array(k))
        self.V.append(np.array(v))
        self.count.append(1.0)
        if len(self.K) > self.room:
            K = np.array(self.K)
            like = (K[:-1] * K[1:]).sum(1)
            i = int(like.argmax())
            a, b = self.count[i], self.count[i + 1]
            self.K[i] = (a * self.K[i] + b * self.K[i + 1]) / (a + b)
            self.V[i] = (a * self.V[i] + b * self.V[i + 1]) / (a + b)
            self.count[i] = a + b
            del self.K[i + 1], self.V[i + 1], self.count[i + 1]

    def attend(self, q):
        return soft(self.K, self.V, q, self.count)


class MergingNoCount(Merging):
    """The same, and a merged row counts once."""

    def attend(self, q):
        return soft(self.K, self.V, q)


class PairMerging:
    """Every 16 tokens, the older ones are merged in pairs (a half of the rows, exact newest)."""

    def __init__(self, shape, seed, block=16):
        self.block, self.K, self.V, self.rk, self.rv = block, [], [], [], []

    def append(self, q, k, v):
        self.rk.append(np.array(k))
        self.rv.append(np.array(v))
        if len(self.rk) == 2 * self.block:
            for rows, old in ((self.rk, self.K), (self.rv, self.V)):
                old += [(rows[i] + rows[i + 1]) / 2 for i in range(0, self.block, 2)]
                del rows[: self.block]

    def attend(self, q):
        return soft([*self.K, *self.rk], [*self.V, *self.rv], q)


class Product:
    """Product quantisation: 4 channels a code of 256 random centroids, norm apart."""

    def __init__(self, shape, seed):
        self.book = np.random.default_rng(seed).standard_normal((256, 4)).astype(np.float32)
        self.K, self.V = [], []

    def code(self, x):
        norm = np.linalg.norm(x) / np.sqrt(len(x)) + 1e-12
        parts = (x / norm).reshape(-1, 4)
        c = ((parts[:, None] - self.book) ** 2).sum(2).argmin(1).astype(np.uint8)
        return c, np.float32(norm)

    def append(self, q, k, v):
        self.K.append(self.code(k))
        self.V.append(self.code(v))

    def attend(self, q):
        K, V = ([self.book[c].ravel() * n for c, n in rows] for rows in (self.K, self.V))
        return soft(K, V, q)


class SmallKeysStay(Rows):
    """Beyond `room` the token with the largest key goes (low norms are attended to)."""

    def __init__(self, shape, seed, room=50):
        super().__init__(shape, seed)
        self.room = room

    def append(self, q, k, v):
        super().append(q, k, v)
        if len(self.K) > self.room:
            worst = int(np.argmax([np.linalg.norm(k) for k in self.K[:-1]]))
            del self.K[worst], self.V[worst]


class Streaming(Rows):
    """Sinks and a window that counts them."""

    def __init__(self, shape, sinks=4, window=64):
        self.sinks, self.window, self.K, self.V = sinks, window, [], []

    def append(self, q, k, v):
        self.K.append(np.array(k))
        self.V.append(np.array(v))
        if len(self.K) > self.window:
            del self.K[self.sinks], self.V[self.sinks]


class NvFour(Rows):
    """E2M1 numbers in blocks of 16 with an E4M3 scale."""

    GRID = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)

    def rounded(self, x):
        pad = -len(x) % 16
        b = np.pad(x, (0, pad)).reshape(-1, 16)
        scale = np.abs(b).max(1, keepdims=True) / 6 + 1e-12
        power = 2.0 ** (np.floor(np.log2(scale)) - 3)
        scale = (np.round(scale / power) * power).astype(np.float32)
        at = np.abs(np.abs(b / scale)[..., None] - self.GRID).argmin(-1)
        return (np.sign(b) * self.GRID[at] * scale).ravel()[: len(x)]

    def append(self, q, k, v):
        self.K.append(self.rounded(k))
        self.V.append(self.rounded(v))


class Delta(Rows):
    """4-bit differences from the row before as read, in closed loop; a fresh start every 16."""

    def append(self, q, k, v):
        for x, rows in ((k, self.K), (v, self.V)):
            before = rows[-1] if len(rows) % 16 else np.zeros_like(x)
            rest = x - before
            step = max(float(np.abs(rest).max()), 1e-8) / 7
            rows.append((before + np.round(rest / step) * np.float32(step)).astype(np.float32))


class TopK(Rows):
    """Attends to the 16 best rows of all."""

    def attend(self, q):
        K, V = np.array(self.K), np.array(self.V)
        best = np.argsort(-(K @ q), kind="stable")[:16]
        return soft(K[best], V[best], q)


class FirstFloats(Rows):
    """8-bit floats as they are (4 bits of exponent), largest 448."""

    def append(self, q, k, v):
        super().append(q, self.rounded(k), self.rounded(v))

    @staticmethod
    def rounded(x):
        x = np.clip(x, -448, 448)
        power = 2.0 ** np.maximum(np.floor(np.log2(np.abs(x) + 1e-30)) - 3, -9)
        return (np.round(x / power) * power).astype(np.float32)


class SignsRotated(Rotated3):
    """1 bit: the sign after a rotation, and the norm."""

    BOOK = np.array([-0.798, 0.798], np.float32)


class Buckets:
    """The newest 32, and 32 of the rest by reservoir sampling with weights."""

    def __init__(self, shape, seed, room=32):
        self.rng, self.room, self.seen = np.random.default_rng(seed), room, 0
        self.K, self.V, self.rk, self.rv = [], [], [], []

    def append(self, q, k, v):
        self.rk.append(np.array(k))
        self.rv.append(np.array(v))
        if len(self.rk) > self.room:
            k, v = self.rk.pop(0), self.rv.pop(0)
            self.seen += 1
            if len(self.K) < self.room:
                self.K.append(k)
                self.V.append(v)
            else:
                j = int(np.random.default_rng([7, self.seen]).integers(self.seen))
                if j < self.room:
                    self.K[j], self.V[j] = k, v

    def attend(self, q):
        many = max(1.0, self.seen / self.room)
        return soft([*self.K, *self.rk], [*self.V, *self.rv], q,
                    [many] * len(self.K) + [1.0] * len(self.rk))  # fmt: skip

    def save(self):
        rows = [np.hstack([np.array(a), np.array(b)]).astype("f4").tobytes()
                for a, b in ((self.K, self.V), (self.rk, self.rv)) if a]  # fmt: skip
        return np.array([self.seen, len(self.K), len(self.rk), self.d], "i8").tobytes() + b"".join(
            rows
        )

    def restore(self, message):
        self.seen, a, b, d = (int(x) for x in np.frombuffer(message[:32], "i8"))
        rows = np.frombuffer(message[32:], "f4").reshape(a + b, -1)
        self.K, self.V = list(rows[:a, :d]), list(rows[:a, d:])
        self.rk, self.rv = list(rows[a:, :d]), list(rows[a:, d:])

    @property
    def d(self):
        return len((self.rk or [[]])[0])
