"""Faults of the kinds that public reports tell of, planted in small caches: healthy, or fault=True.

Each class is a whole cache. The docstring says what is planted; test_planted.py says what an
examination must name.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np


def stacked(rows):
    """The rows as one float32 array; those in a list by their bytes, three times as fast."""
    if type(rows) is list and rows and rows[0].dtype == np.float32:
        with suppress(BufferError, TypeError):  # a row that does not lie in one piece
            data = b"".join(rows)
            if len(data) == len(rows) * rows[0].nbytes:
                return np.frombuffer(data, np.float32).reshape(len(rows), *rows[0].shape)
    return np.asarray(rows, np.float32)


def soft(K, V, q):
    s = stacked(K) @ q
    w = np.exp(s - s.max())
    return (w @ stacked(V) / w.sum()).astype(np.float32)


class Rows:
    """Keeps copies of all rows."""

    def __init__(self, shape, fault=False):
        self.fault = fault
        self.K, self.V = [], []

    def append(self, q, k, v):
        self.K.append(np.array(k))
        self.V.append(np.array(v))

    def attend(self, q):
        return soft(self.K, self.V, q)


class PageEdge(Rows):
    """Pages of 16: the page table starts the new page one token late (old row overwritten)."""

    def __init__(self, shape, fault=False):
        self.fault, self.n = fault, 0
        self.K = np.zeros((shape.tokens + shape.extra + 16, shape.d_k), np.float32)
        self.V = np.zeros((shape.tokens + shape.extra + 16, shape.d_v), np.float32)

    def append(self, q, k, v):
        at = self.n - 1 if self.fault and self.n % 16 == 0 and self.n else self.n
        self.K[at], self.V[at] = k, v
        self.n += 1

    def attend(self, q):
        return soft(self.K[: self.n], self.V[: self.n], q)


class ResidualFlush:
    """Residual of 32 rows in full, float16 behind: the flush drops the newest of its rows."""

    def __init__(self, shape, residual=32, fault=False):
        self.residual, self.fault = residual, fault
        self.oldK, self.oldV, self.rk, self.rv = [], [], [], []

    def append(self, q, k, v):
        self.rk.append(np.array(k))
        self.rv.append(np.array(v))
        if len(self.rk) == 2 * self.residual:
            flushed = self.residual - 1 if self.fault else self.residual
            self.oldK += [k.astype(np.float16) for k in self.rk[:flushed]]
            self.oldV += [v.astype(np.float16) for v in self.rv[:flushed]]
            self.rk, self.rv = self.rk[self.residual :], self.rv[self.residual :]

    def attend(self, q):
        return soft([*self.oldK, *self.rk], [*self.oldV, *self.rv], q)


class WindowShort(Rows):
    """The last `window` tokens; the faulty one keeps one fewer."""

    def __init__(self, shape, window=48, fault=False):
        self.room = window - fault
        self.K, self.V = [], []

    def append(self, q, k, v):
        self.K = [*self.K, np.array(k)][-self.room :]
        self.V = [*self.V, np.array(v)][-self.room :]


class Sinks:
    """First `sinks` and last `window`; faulty: once the ring wraps it writes over the sinks."""

    def __init__(self, shape, sinks=4, window=60, fault=False):
        self.sinks, self.window, self.fault, self.n = sinks, window, fault, 0
        self.K = np.zeros((sinks + window, shape.d_k), np.float32)
        self.V = np.zeros((sinks + window, shape.d_v), np.float32)

    def append(self, q, k, v):
        size = self.sinks + self.window
        if self.n < size:
            at = self.n
        elif self.fault:
            at = self.n % size
        else:
            at = self.sinks + (self.n - self.sinks) % self.window
        self.K[at], self.V[at] = k, v
        self.n += 1

    def attend(self, q):
        m = min(self.n, self.sinks + self.window)
        return soft(self.K[:m], self.V[:m], q)


class InverseScale:
    """int8 with the inverse of the step stored in float16, which overflows for small values."""

    def __init__(self, shape, fault=False):
        self.type = np.float16 if fault else np.float32
        self.kc, self.ki, self.vc, self.vi = [], [], [], []

    def append(self, q, k, v):
        for x, codes, inverses in ((k, self.kc, self.ki), (v, self.vc, self.vi)):
            with np.errstate(over="ignore"):
                inverse = self.type(127 / max(float(np.abs(x).max()), 1e-6))
            scaled = np.round(x * np.float32(127 / max(float(np.abs(x).max()), 1e-6)))
            codes.append(scaled.astype(np.int8))
            inverses.append(inverse)

    def attend(self, q):
        K, V = (
            np.array(c, np.float32) / np.array(i, np.float32)[:, None]
            for c, i in ((self.kc, self.ki), (self.vc, self.vi))
        )
        return soft(K, V, q)


class ZeroPoint:
    """8 bits with a zero point; faulty: it is stored without its sign."""

    def __init__(self, shape, fault=False):
        self.fault = fault
        self.kc, self.ks, self.vc, self.vs = [], [], [], []

    def append(self, q, k, v):
        for x, codes, scales in ((k, self.kc, self.ks), (v, self.vc, self.vs)):
            low, step = float(x.min()), max(float(np.ptp(x)), 1e-8) / 255
            codes.append(np.round((x - low) / step).astype(np.uint8))
            kept = abs(low) if self.fault and codes is self.vc else low
            scales.append(np.array([step, kept], np.float32))

    def attend(self, q):
        K, V = (
            np.array(c, np.float32) * np.array(s)[:, :1] + np.array(s)[:, 1:]
            for c, s in ((self.kc, self.ks), (self.vc, self.vs))
        )
        return soft(K, V, q)


class LastGroup(Rows):
    """8 bits in groups of 24 channels; faulty: the last group, which is not full, stays 0."""

    def __init__(self, shape, group=24, fault=False):
        self.group, self.fault = group, fault
        self.K, self.V = [], []

    def rounded(self, x):
        out = np.zeros_like(x)
        whole = len(x) // self.group * self.group if self.fault else len(x)
        for begin in range(0, whole, self.group):
            part = x[begin : begin + self.group]
            step = max(float(np.abs(part).max()), 1e-8) / 127
            out[begin : begin + self.group] = np.round(part / step) * step
        return out

    def append(self, q, k, v):
        self.K.append(np.array(k))
        self.V.append(self.rounded(np.array(v)))


class Doubled(Rows):
    """Faulty: the token that fills a block of 16 is stored twice."""

    def append(self, q, k, v):
        for _ in range(2 if self.fault and len(self.K) % 16 == 15 else 1):
            super().append(q, k, v)


class Pairs(Rows):
    """Faulty: values are written one row behind their keys (row 0 of the buffer is never used)."""

    def __init__(self, shape, fault=False):
        super().__init__(shape, fault)
        self.width = shape.d_v

    def attend(self, q):
        V = [np.zeros(self.width, np.float32), *self.V[:-1]] if self.fault else self.V
        return soft(self.K, V, q)


class ChannelOrder(Rows):
    """Values are packed as low and high halves of channels; faulty: read interleaved."""

    def attend(self, q):
        V = np.array(self.V)
        if self.fault:
            V = V.reshape(len(V), 2, -1).transpose(0, 2, 1).reshape(len(V), -1)
        return soft(self.K, V, q)


class Buffer(Rows):
    """Faulty: keeps the arrays that it is given, which their owner writes over."""

    def append(self, q, k, v):
        self.K.append(k if self.fault else k.copy())
        self.V.append(v if self.fault else v.copy())


class Mutates(Rows):
    """Faulty: scales the key in place for its own scores."""

    def append(self, q, k, v):
        if self.fault:
            k *= np.float32(1.0000005)
        super().append(q, k, v)


class Tiled(Rows):
    """Grouped queries; faulty: KV heads are tiled where they should be repeated."""

    layout = "heads"

    def __init__(self, shape, fault=False):
        self.fault, self.heads = fault, shape.heads
        self.K, self.V = [], []

    def attend(self, q):
        K, V = np.array(self.K), np.array(self.V)
        kv = K.shape[2]
        out = np.empty((*q.shape[:2], V.shape[-1]), np.float32)
        for layer, head in np.ndindex(*q.shape[:2]):
            source = head % kv if self.fault else head // (q.shape[1] // kv)
            out[layer, head] = soft(K[:, layer, source], V[:, layer, source], q[layer, head])
        return out


class SharedLayers(Rows):
    """Faulty: the values of all layers go into the buffer of the last."""

    layout = "heads"

    def append(self, q, k, v):
        self.K.append(np.array(k))
        v = np.array(v)
        if self.fault:
            v[:] = v[-1]
        self.V.append(v)

    def attend(self, q):
        K, V = np.array(self.K), np.array(self.V)
        out = np.empty(q.shape[:-1] + V.shape[-1:], np.float32)
        for layer, head in np.ndindex(*q.shape[:2]):
            out[layer, head] = soft(K[:, layer, head], V[:, layer, head], q[layer, head])
        return out


class Decode(Rows):
    """Faulty: after a prompt by extend, the next appended token takes the place of its last."""

    def __init__(self, shape, fault=False):
        super().__init__(shape, fault)
        self.prompt = False

    def extend(self, Q, K, V):
        self.K += [np.array(k) for k in K]
        self.V += [np.array(v) for v in V]
        self.prompt = len(self.K) > 0

    def append(self, q, k, v):
        if self.fault and self.prompt:
            del self.K[-1], self.V[-1]
        self.prompt = False
        super().append(q, k, v)


class ForgetsPosition(Rows):
    """Ring of 40; faulty: its restore starts writing at row 0 again."""

    def __init__(self, shape, size=40, fault=False):
        self.size, self.fault, self.n, self.at = size, fault, 0, 0
        self.shape = shape
        self.K = np.zeros((size, shape.d_k), np.float32)
        self.V = np.zeros((size, shape.d_v), np.float32)

    def append(self, q, k, v):
        self.K[self.at], self.V[self.at] = k, v
        self.n, self.at = self.n + 1, (self.at + 1) % self.size

    def attend(self, q):
        m = min(self.n, self.size)
        return soft(self.K[:m], self.V[:m], q)

    def save(self):
        return np.array([self.n, self.at]).tobytes() + self.K.tobytes() + self.V.tobytes()

    def restore(self, message):
        self.n, self.at = (int(i) for i in np.frombuffer(message[:16], np.int64))
        rows = np.frombuffer(message[16:], np.float32)
        split = self.K.size
        self.K[:] = rows[:split].reshape(self.K.shape)
        self.V[:] = rows[split:].reshape(self.V.shape)
        if self.fault and self.n > self.size:
            self.at = 0


class Crop(Rows):
    """Has crop; faulty: it crops keys and leaves the values."""

    def crop(self, tokens):
        del self.K[tokens:]
        if not self.fault:
            del self.V[tokens:]

    def attend(self, q):
        return soft(self.K, self.V[-len(self.K) :], q)


class Reset(Rows):
    """Has reset; faulty: the first four rows stay."""

    def reset(self):
        kept = 4 if self.fault else 0
        del self.K[kept:], self.V[kept:]


class KeyScales:
    """int8 keys with a scale for 16 channels; faulty: the scales of a token are read reversed."""

    def __init__(self, shape, fault=False):
        self.fault, self.codes, self.scales, self.V = fault, [], [], []

    def append(self, q, k, v):
        parts = np.array_split(np.array(k), max(1, len(k) // 16))
        scales = [max(float(np.abs(p).max()), 1e-8) / 127 for p in parts]
        self.codes.append(
            np.concatenate([np.round(p / s) for p, s in zip(parts, scales, strict=True)]).astype(
                np.int8
            )
        )
        self.scales.append(np.array(scales, np.float32))
        self.V.append(np.array(v))

    def attend(self, q):
        codes, scales = np.array(self.codes, np.float32), np.array(self.scales)
        if self.fault:
            scales = scales[:, ::-1]
        sizes = [len(p) for p in np.array_split(np.zeros(codes.shape[1]), scales.shape[1])]
        return soft(codes * np.repeat(scales, sizes, axis=1), self.V, q)


class StaleKeys(Rows):
    """Every 64 tokens it copies its keys into a larger buffer; faulty: shifted by one row."""

    def append(self, q, k, v):
        super().append(q, k, v)
        if self.fault and len(self.K) == 64:
            self.K = [*self.K[1:], self.K[0]]


class LastRow(Rows):
    """next_outputs in rows; faulty: from row 8 on it takes row 7's query."""

    def next_outputs(self, Q, K, V):
        rows = []
        for r, (k, v) in enumerate(zip(K, V, strict=True)):
            q = Q[min(r, 7)] if self.fault else Q[r]
            rows.append(soft([*self.K, k], [*self.V, v], q))
        return np.array(rows)


class ZeroRange(Rows):
    """4 bits between the extremes of a token; faulty: where the range is 0 it stores 0."""

    def append(self, q, k, v):
        low, step = v.min(), np.ptp(v) / np.float32(15)
        if step:
            v = np.round((v - low) / step) * step + low
        elif self.fault:
            v = np.zeros_like(v)
        self.K.append(np.array(k))
        self.V.append(np.array(v, np.float32))


class Unsigned(Rows):
    """8-bit codes of values; faulty: clipped at 0."""

    def append(self, q, k, v):
        step = max(float(np.abs(v).max()), 1e-8) / 127
        codes = np.round(v / step)
        super().append(q, k, (np.maximum(codes, 0) if self.fault else codes) * np.float32(step))


class HalfBudget(Rows):
    """Keeps what fits into the budget; faulty: it counts bytes as bits."""

    def __init__(self, shape, budget_bits=None, fault=False):
        from kvbarrier import tokens_within

        each = 32 * (shape.d_k + shape.d_v) * (8 if fault else 1)
        self.room = tokens_within(budget_bits, each)
        self.K, self.V = [], []

    def append(self, q, k, v):
        self.K.append(np.array(k))
        self.V.append(np.array(v))
        del self.K[: -self.room], self.V[: -self.room]


class NeverEngages:
    """`bits` for all but the newest 16; faulty: the condition compares with the whole capacity."""

    def __init__(self, shape, bits=4, fault=False):
        self.levels = 2**bits - 1
        self.limit = shape.tokens + shape.extra if fault else 16
        self.codes, self.ranges, self.K, self.V = [], [], [], []

    def append(self, q, k, v):
        self.K.append(np.array(k))
        self.V.append(np.array(v))
        if len(self.K) > self.limit:
            for rows in (self.K, self.V):
                row = rows.pop(0)
                low, step = row.min(), max(float(np.ptp(row)), 1e-8) / self.levels
                self.codes.append(np.round((row - low) / step).astype(np.uint8))
                self.ranges.append(np.array([step, low], np.float32))

    def attend(self, q):
        old = [c * r[0] + r[1] for c, r in zip(self.codes, self.ranges, strict=True)]
        return soft([*old[::2], *self.K], [*old[1::2], *self.V], q)


class EveryFourth(Rows):
    """Faulty: while it packs two words of four tokens, the last of each four is not written."""

    def append(self, q, k, v):
        super().append(q, k, v)
        if self.fault and len(self.K) % 4 == 0:
            self.V[-1] = np.zeros_like(v)


class SaysExact(Rows):
    """Declares exact; faulty: values go through float16."""

    declares = ("exact",)

    def append(self, q, k, v):
        super().append(q, k, v.astype(np.float16) if self.fault else v)


class SaysWindow(Rows):
    """Declares the last 32; faulty: it keeps 30."""

    declares = ("keeps=last:32", "bits=32")

    def append(self, q, k, v):
        super().append(q, k, v)
        del self.K[: -30 if self.fault else -32], self.V[: -30 if self.fault else -32]


class Slots(Rows):
    """Room for `slots` tokens, and no more; faulty: the last slot is never read."""

    def __init__(self, shape, slots=50, fault=False):
        self.fault, self.n = fault, 0
        self.K = np.zeros((slots, shape.d_k), np.float32)
        self.V = np.zeros((slots, shape.d_v), np.float32)

    def append(self, q, k, v):
        self.K[self.n], self.V[self.n] = k, v
        self.n += 1

    def attend(self, q):
        m = min(self.n, len(self.K) - self.fault)
        return soft(self.K[:m], self.V[:m], q)


class Refuses(Rows):
    """Its constructor wants at most 128 tokens; faulty: it forgets every tenth."""

    def __init__(self, shape, fault=False):
        if shape.tokens > 128:
            raise ValueError("at most 128 tokens")
        super().__init__(shape, fault)

    def append(self, q, k, v):
        if self.fault and len(self.K) % 10 == 9:
            k, v = 0 * k, 0 * v
        super().append(q, k, v)
