"""Faults that a plain stream of bits does not show, planted: healthy, or fault=True.

Each class is a whole cache, after an idea of a public report; test_rarer.py says what an
examination must name.
"""

from __future__ import annotations

import numpy as np
from planted import Rows, soft


class Rollback:
    """Slots with crop; faulty: crop lowers the length, and the place to write stays."""

    def __init__(self, shape, fault=False):
        self.fault, self.n, self.at = fault, 0, 0
        slots = 2 * (shape.tokens + shape.extra)
        self.K = np.zeros((slots, shape.d_k), np.float32)
        self.V = np.zeros((slots, shape.d_v), np.float32)

    def append(self, q, k, v):
        self.K[self.at], self.V[self.at] = k, v
        self.n, self.at = self.n + 1, self.at + 1

    def crop(self, tokens):
        self.n = tokens
        if not self.fault:
            self.at = tokens

    def attend(self, q):
        return soft(self.K[: self.n], self.V[: self.n], q)


class RingAfterSinks:
    """Sinks and a ring; faulty: the ring's cell is n mod window, not (n - sinks) mod window."""

    def __init__(self, shape, sinks=4, window=60, fault=False):
        self.sinks, self.window, self.fault, self.n = sinks, window, fault, 0
        self.K = np.zeros((sinks + window, shape.d_k), np.float32)
        self.V = np.zeros((sinks + window, shape.d_v), np.float32)

    def append(self, q, k, v):
        size = self.sinks + self.window
        past = self.n if self.fault else self.n - self.sinks
        at = self.n if self.n < size else self.sinks + past % self.window
        self.K[at], self.V[at] = k, v
        self.n += 1

    def attend(self, q):
        m = min(self.n, self.sinks + self.window)
        return soft(self.K[:m], self.V[:m], q)


class HeadScales:
    """int8 with a scale for each layer and head; faulty: the scale is that of head `layer`."""

    layout = "heads"

    def __init__(self, shape, fault=False):
        self.fault = fault
        self.K, self.codes, self.scales = [], [], []

    def append(self, q, k, v):
        scale = np.maximum(np.abs(v).max(axis=-1, keepdims=True), 1e-8) / 127
        self.K.append(np.array(k))
        self.codes.append(np.round(v / scale).astype(np.int8))
        self.scales.append(scale.astype(np.float32))

    def attend(self, q):
        K, codes, scales = (np.array(x, np.float32) for x in (self.K, self.codes, self.scales))
        if self.fault:
            layers, heads = scales.shape[1:3]
            scales = np.stack([scales[:, l, [l % heads] * heads] for l in range(layers)], axis=1)
        V = codes * scales
        group = q.shape[1] // K.shape[2]
        out = np.empty((*q.shape[:2], V.shape[-1]), np.float32)
        for l, h in np.ndindex(*q.shape[:2]):
            out[l, h] = soft(K[:, l, h // group], V[:, l, h // group], q[l, h])
        return out


class OddNibble:
    """4-bit codes of two tokens share a byte; faulty: a lone last token is read wrongly."""

    def __init__(self, shape, fault=False):
        self.fault = fault
        self.K, self.packed, self.ranges = [], [], []

    def append(self, q, k, v):
        low, step = v.min(), max(float(np.ptp(v)), 1e-8) / 15
        code = np.round((v - low) / step).astype(np.uint8)
        if len(self.K) % 2:
            self.packed[-1] = self.packed[-1] | (code << 4)
        else:
            self.packed.append(code)
        self.K.append(np.array(k))
        self.ranges.append(np.array([low, step], np.float32))

    def attend(self, q):
        packed, ranges = np.array(self.packed), np.array(self.ranges)
        codes = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1, packed.shape[1])
        n = len(self.K)
        if self.fault and n % 2:
            codes[n - 1] = codes[n]
        return soft(self.K, codes[:n] * ranges[:, 1:] + ranges[:, :1], q)


class PartialGroup:
    """8 bits by channel in groups of 32 tokens; faulty: save leaves out a group in part."""

    def __init__(self, shape, group=32, fault=False):
        self.group, self.fault = group, fault
        self.done = np.zeros((0, shape.d_k + shape.d_v), np.float32)
        self.rest = np.zeros((0, shape.d_k + shape.d_v), np.float32)
        self.d_k = shape.d_k

    def append(self, q, k, v):
        self.rest = np.vstack([self.rest, np.concatenate([k, v]).astype(np.float32)])
        if len(self.rest) == self.group:
            low = self.rest.min(0)
            step = np.maximum(np.ptp(self.rest, axis=0), 1e-8) / 255
            self.done = np.vstack([self.done, np.round((self.rest - low) / step) * step + low])
            self.rest = self.rest[:0]

    def attend(self, q):
        rows = np.vstack([self.done, self.rest])
        return soft(rows[:, : self.d_k], rows[:, self.d_k :], q)

    def save(self):
        rest = self.rest[:0] if self.fault else self.rest
        return np.int64(len(rest)).tobytes() + np.vstack([self.done, rest]).astype("f4").tobytes()

    def restore(self, message):
        rest = int(np.frombuffer(message[:8], np.int64)[0])
        rows = np.frombuffer(message[8:], np.float32).reshape(-1, self.done.shape[1])
        self.done, self.rest = rows[: len(rows) - rest], rows[len(rows) - rest :]


class FirstScale:
    """8-bit values; faulty: the scale is calibrated by the first token, and kept."""

    def __init__(self, shape, fault=False):
        self.fault, self.scale = fault, None
        self.K, self.codes, self.scales = [], [], []

    def append(self, q, k, v):
        scale = max(float(np.abs(v).max()), 1e-8) / 127
        if self.fault:
            self.scale = scale = scale if self.scale is None else self.scale
        self.K.append(np.array(k))
        self.codes.append(np.clip(np.round(v / scale), -127, 127).astype(np.int8))
        self.scales.append(scale)

    def attend(self, q):
        V = np.array(self.codes, np.float32) * np.array(self.scales, np.float32)[:, None]
        return soft(self.K, V, q)


class ZeroInRange(Rows):
    """4 bits with an integer zero point; faulty: clipped to 0..15."""

    def append(self, q, k, v):
        step = max(float(np.ptp(v)), 1e-6) / 15
        zero = np.round(-float(v.min()) / step)
        if self.fault:
            zero = np.clip(zero, 0, 15)
        codes = np.clip(np.round(v / step) + zero, 0, 15)
        self.K.append(np.array(k))
        self.V.append(((codes - zero) * step).astype(np.float32))


class SharedPage:
    """Pages of 8 with a table and fork; faulty: the page that is not full is shared, not copied."""

    def __init__(self, shape, fault=False):
        self.shape, self.fault, self.n, self.pages = shape, fault, 0, []

    def append(self, q, k, v):
        if self.n % 8 == 0:
            self.pages.append(np.zeros((8, self.shape.d_k + self.shape.d_v), np.float32))
        self.pages[-1][self.n % 8] = np.concatenate([k, v])
        self.n += 1

    def attend(self, q):
        rows = np.vstack(self.pages)[: self.n]
        return soft(rows[:, : self.shape.d_k], rows[:, self.shape.d_k :], q)

    def fork(self):
        other = type(self)(self.shape, self.fault)
        other.n, other.pages = self.n, list(self.pages)
        if not self.fault and self.n % 8:
            other.pages[-1] = self.pages[-1].copy()
        return other

    def save(self):
        rows = np.vstack(self.pages)[: self.n] if self.n else np.zeros((0, 1), np.float32)
        return np.int64(self.n).tobytes() + rows.astype(np.float32).tobytes()

    def restore(self, message):
        self.n, self.pages = int(np.frombuffer(message[:8], np.int64)[0]), []
        width = self.shape.d_k + self.shape.d_v
        rows = np.frombuffer(message[8:], np.float32).reshape(-1, width)
        for begin in range(0, self.n, 8):
            page = np.zeros((8, width), np.float32)
            part = rows[begin : begin + 8]
            page[: len(part)] = part
            self.pages.append(page)


class BatchRows(Rows):
    """A batch with select; faulty: it permutes keys, and values stay."""

    def select(self, indices):
        self.K = [k[list(indices)] for k in self.K]
        if not self.fault:
            self.V = [v[list(indices)] for v in self.V]
        else:
            self.V = [v[np.arange(len(indices)) % len(v)] for v in self.V]

    def attend(self, q):
        K, V = np.array(self.K), np.array(self.V)
        if q.ndim == 1:
            return soft(K, V, q)
        return np.stack([soft(K[:, b], V[:, b], q[b]) for b in range(len(q))])


class BeamLayers(Rows):
    """All layers, with select; faulty: the beams are reordered in layer 0 only."""

    layout = "heads"

    def select(self, indices):
        indices = np.array(indices)
        for rows in (self.K, self.V):
            for i, x in enumerate(rows):
                new = x[indices]
                if self.fault:
                    new[:, 1:] = x[np.arange(len(indices)) % len(x), 1:]
                rows[i] = new

    def attend(self, q):
        K, V = np.array(self.K), np.array(self.V)
        heads = q.shape[-2]
        group = heads // K.shape[-2]
        out = np.empty((*q.shape[:-1], V.shape[-1]), np.float32)
        for at in np.ndindex(*q.shape[:-1]):
            source = (slice(None), *at[:-1], at[-1] // group)
            out[at] = soft(K[source], V[source], q[at])
        return out


class CropHeads:
    """All layers and heads, with crop; faulty: the last layer is not cropped."""

    layout = "heads"

    def __init__(self, shape, fault=False):
        self.fault = fault
        self.rows = [([], []) for _ in range(shape.layers)]

    def append(self, q, k, v):
        for (K, V), kl, vl in zip(self.rows, k, v, strict=True):
            K.append(np.array(kl))
            V.append(np.array(vl))

    def crop(self, tokens):
        last = len(self.rows) - 1
        for layer, (K, V) in enumerate(self.rows):
            if not (self.fault and layer == last and last):
                del K[tokens:], V[tokens:]

    def attend(self, q):
        group = q.shape[1] // self.rows[0][0][0].shape[0]
        return np.stack(
            [
                np.stack(
                    [soft(K[:, h // group], V[:, h // group], row[h]) for h in range(len(row))]
                )
                for (K, V), row in zip((map(np.array, rows) for rows in self.rows), q, strict=True)
            ]
        )


class KeepsOldest(Rows):
    """The last `window` tokens; faulty: when full, the newest but one goes."""

    def __init__(self, shape, window=40, fault=False):
        super().__init__(shape, fault)
        self.window = window

    def append(self, q, k, v):
        super().append(q, k, v)
        if len(self.K) > self.window:
            at = -2 if self.fault else 0
            del self.K[at], self.V[at]


class Swapped:
    """Keys at k_bits, values at v_bits; faulty: swapped."""

    def __init__(self, shape, k_bits=8, v_bits=3, fault=False):
        self.bits = (v_bits, k_bits) if fault else (k_bits, v_bits)
        self.K, self.V = [], []

    def append(self, q, k, v):
        for x, rows, bits in ((k, self.K, self.bits[0]), (v, self.V, self.bits[1])):
            low, step = x.min(), max(float(np.ptp(x)), 1e-8) / (2**bits - 1)
            codes = np.round((x - low) / step).astype(np.uint8)
            rows.append((codes, np.array([low, step], np.float32)))

    def attend(self, q):
        K, V = (self.rounded(rows) for rows in (self.K, self.V))
        return soft(K, V, q)

    @staticmethod
    def rounded(rows):
        codes, ends = map(np.array, zip(*rows, strict=True))
        return codes * ends[:, 1:] + ends[:, :1]


class Wraps128(Rows):
    """int8 codes; faulty: divided by max / 128, so that the largest number wraps to -128."""

    def append(self, q, k, v):
        step = np.float32(max(float(np.abs(v).max()), 1e-8) / (128 if self.fault else 127))
        codes = np.round(v / step).astype(np.int64).astype(np.int8)
        super().append(q, k, codes * step)


class FlushedTwice:
    """A residual of 32 rows; faulty: what is flushed stays in the residual for 16 tokens more."""

    def __init__(self, shape, residual=32, fault=False):
        self.residual, self.fault = residual, fault
        self.oldK, self.oldV, self.rk, self.rv = [], [], [], []

    def append(self, q, k, v):
        self.rk.append(np.array(k))
        self.rv.append(np.array(v))
        if len(self.rk) == self.residual:
            for _ in range(2 if self.fault else 1):
                self.oldK += [k.astype(np.float16) for k in self.rk]
                self.oldV += [v.astype(np.float16) for v in self.rv]
            self.rk, self.rv = [], []

    def attend(self, q):
        return soft([*self.oldK, *self.rk], [*self.oldV, *self.rv], q)


class Chunked(Rows):
    """Prefill in chunks of 32; faulty: the last token of all chunks but one is lost."""

    def extend(self, Q, K, V):
        for begin in range(0, len(K), 32):
            end = min(begin + 32, len(K))
            end -= self.fault and end < len(K)
            self.K += [np.array(k) for k in K[begin:end]]
            self.V += [np.array(v) for v in V[begin:end]]


class Bfloat(Rows):
    """Faulty: the normaliser is summed in bfloat16, where 256 + 1 is 256."""

    def attend(self, q):
        s = np.array(self.K) @ q
        w = np.exp(s - s.max()).astype(np.float32)
        total = w.sum()
        if self.fault:
            total = np.float32(0)
            for x in w:
                bits = np.array(total + x, np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
                total = bits.view(np.float32)[()]
        return w @ np.array(self.V) / total


class EqualKeys(Rows):
    """Faulty: rows are found by the hash of their key, so that equal keys have one row."""

    def append(self, q, k, v):
        if self.fault:
            for i, old in enumerate(self.K):
                if np.array_equal(old, k):
                    self.V[i] = np.array(v)
                    return
        super().append(q, k, v)


class ResetScales(Rows):
    """8 bits with the largest number so far for a scale; faulty: reset leaves the scale."""

    def __init__(self, shape, fault=False):
        super().__init__(shape, fault)
        self.top = 1e-8

    def append(self, q, k, v):
        self.top = max(self.top, float(np.abs(v).max()))
        step = np.float32(self.top / 127)
        super().append(q, k, np.round(v / step) * step)

    def reset(self):
        self.K, self.V = [], []
        if not self.fault:
            self.top = 1e-8


class Turned(Rows):
    """Keys are turned by their position; faulty: crop leaves the position of the next."""

    def __init__(self, shape, fault=False):
        super().__init__(shape, fault)
        self.position = 0

    @staticmethod
    def turned(k, by):
        a, b = np.split(np.asarray(k), 2, axis=-1)
        c, s = np.cos(by)[..., None], np.sin(by)[..., None]
        return np.concatenate([c * a - s * b, s * a + c * b], axis=-1)

    def append(self, q, k, v):
        super().append(q, self.turned(k, 0.7 * self.position).astype(np.float32), v)
        self.position += 1

    def crop(self, tokens):
        del self.K[tokens:], self.V[tokens:]
        if not self.fault:
            self.position = tokens

    def attend(self, q):
        return soft(self.turned(self.K, -0.7 * np.arange(len(self.K))), self.V, q)


class Grown:
    """A buffer that doubles, values stored [d, room]; faulty: it is reshaped, not copied."""

    def __init__(self, shape, fault=False):
        self.fault, self.room = fault, 64
        self.K, self.V = [], np.zeros((shape.d_v, 64), np.float32)

    def append(self, q, k, v):
        if len(self.K) == self.room:
            new = np.zeros((len(self.V), 2 * self.room), np.float32)
            if self.fault:
                new.reshape(-1)[: self.V.size] = self.V.reshape(-1)
            else:
                new[:, : self.room] = self.V
            self.V, self.room = new, 2 * self.room
        self.V[:, len(self.K)] = v
        self.K.append(np.array(k))

    def attend(self, q):
        return soft(self.K, self.V[:, : len(self.K)].T, q)


class CountByte(Rows):
    """Faulty: its message has the number of rows in one byte."""

    def save(self):
        n = len(self.K)
        head = np.array([n % 256 if self.fault else n], np.uint32).tobytes()
        return (
            head
            + np.array(
                [*map(np.concatenate, zip(self.K, self.V, strict=True))], np.float32
            ).tobytes()
        )

    def restore(self, message):
        n = int(np.frombuffer(message[:4], np.uint32)[0])
        rows = np.frombuffer(message[4:], np.float32)
        rows = rows.reshape(-1, self.d)[:n] if n else rows.reshape(0, self.d)
        self.K, self.V = [*rows[:, : self.d_k]], [*rows[:, self.d_k :]]

    def __init__(self, shape, fault=False):
        super().__init__(shape, fault)
        self.d_k, self.d = shape.d_k, shape.d_k + shape.d_v


class Remembers(Rows):
    """Answers by question are remembered; faulty: appending does not forget them."""

    def __init__(self, shape, fault=False):
        super().__init__(shape, fault)
        self.answered = {}

    def append(self, q, k, v):
        super().append(q, k, v)
        if not self.fault:
            self.answered = {}

    def attend(self, q):
        key = q.tobytes()
        if key not in self.answered:
            self.answered[key] = soft(self.K, self.V, q)
        return self.answered[key]

    def save(self):
        if not self.K:
            return b""
        return np.hstack([np.array(self.K), np.array(self.V)]).astype(np.float32).tobytes() + (
            np.int64(len(self.K)).tobytes()
        )

    def restore(self, message):
        if message:
            n = int(np.frombuffer(message[-8:], np.int64)[0])
            rows = np.frombuffer(message[:-8], np.float32).reshape(n, -1)
            half = rows.shape[1] // 2
            self.K, self.V = [*rows[:, :half]], [*rows[:, half:]]


class LayerBudget:
    """Layers share the budget; faulty: each takes a part of its own part."""

    layout = "heads"

    def __init__(self, shape, budget_bits=None, fault=False):
        from kvbarrier import tokens_within

        each = 32 * shape.layers * shape.kv_heads * (shape.d_k + shape.d_v)
        self.room = tokens_within(budget_bits, each * (shape.layers if fault else 1))
        self.K, self.V = [], []

    def append(self, q, k, v):
        self.K.append(np.array(k))
        self.V.append(np.array(v))
        del self.K[: -self.room], self.V[: -self.room]

    def attend(self, q):
        K, V = np.array(self.K), np.array(self.V)
        group = q.shape[1] // K.shape[2]
        out = np.empty((*q.shape[:2], V.shape[-1]), np.float32)
        for l, h in np.ndindex(*q.shape[:2]):
            out[l, h] = soft(K[:, l, h // group], V[:, l, h // group], q[l, h])
        return out


class SaysSeven(Rows):
    """Declares all tokens at 7 bits; faulty: one channel of every value is 0."""

    declares = ("keeps=all", "bits=7")

    def append(self, q, k, v):
        v = v.copy()
        if self.fault:
            v[5] = 0
        super().append(q, k.astype(np.float16), v.astype(np.float16))


class HeadMajor:
    """All layers and heads; faulty: its message has values by layer, and reads them by head."""

    layout = "heads"

    def __init__(self, shape, fault=False):
        self.fault = fault
        self.wide = (shape.layers, shape.kv_heads)
        self.d = (shape.d_k, shape.d_v)
        self.K = np.zeros((0, *self.wide, shape.d_k), np.float32)
        self.V = np.zeros((0, *self.wide, shape.d_v), np.float32)

    def append(self, q, k, v):
        self.K, self.V = np.concatenate([self.K, k[None]]), np.concatenate([self.V, v[None]])

    def attend(self, q):
        group = q.shape[1] // self.wide[1]
        out = np.empty((*q.shape[:2], self.d[1]), np.float32)
        for l, h in np.ndindex(*q.shape[:2]):
            out[l, h] = soft(self.K[:, l, h // group], self.V[:, l, h // group], q[l, h])
        return out

    def save(self):
        return self.K.astype(np.float32).tobytes() + self.V.astype(np.float32).tobytes()

    def restore(self, message):
        rows = np.frombuffer(message, np.float32)
        n = len(rows) // (self.wide[0] * self.wide[1] * sum(self.d))
        split = n * self.wide[0] * self.wide[1] * self.d[0]
        self.K = rows[:split].reshape(n, *self.wide, self.d[0])
        V = rows[split:]
        if self.fault:
            self.V = V.reshape(n, *self.wide[::-1], self.d[1]).transpose(0, 2, 1, 3)
        else:
            self.V = V.reshape(n, *self.wide, self.d[1])
