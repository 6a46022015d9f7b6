"""Caches that declare what they hold, honest ones and others; plain NumPy, nothing of the zoo."""

from collections import deque

import numpy as np


class Softmax:
    """Exact attention over ``rows()``, lists of keys and values."""

    def __init__(self, shape):
        self.shape = shape
        self.tokens = []

    def append(self, q, k, v):
        self.tokens.append((k, v))

    def rows(self):
        return zip(*self.tokens, strict=True)

    def attend(self, q):
        K, V = (np.array(rows, dtype=np.float32) for rows in self.rows())
        weights = np.exp(K @ q - (K @ q).max())
        return weights @ V / weights.sum()


class Whole(Softmax):
    declares = ("exact", "bits=32")


class Window(Softmax):
    """The last ``has`` tokens, where ``says`` are declared."""

    def __init__(self, shape, says=8, has=None):
        self.declares = {"keeps": f"last:{says}"}
        self.tokens = deque(maxlen=has or says)


class Sinks(Softmax):
    """The first two and the last six; ``skip`` is how many of the first are not kept."""

    declares = ("keeps=first:2,last:6",)

    def __init__(self, shape, skip=0):
        super().__init__(shape)
        self.skip = skip
        self.seen = 0

    def append(self, q, k, v):
        self.seen += 1
        if self.seen > self.skip:
            self.tokens.append((k, v))
        if len(self.tokens) > 8 - self.skip:
            del self.tokens[2 - self.skip]


class Forgets(Softmax):
    """Every token, but number 17 has the row of number 16 once there are more than ``beyond``."""

    declares = ("keeps=all",)

    def __init__(self, shape, beyond=100):
        super().__init__(shape)
        self.beyond = beyond

    def append(self, q, k, v):
        super().append(q, k, v)
        if len(self.tokens) == self.beyond + 1:
            self.tokens[17] = self.tokens[16]


class Share(Softmax):
    """Every other token of the data, and all of Bob's."""

    declares = ("keeps=share:0.5",)

    def __init__(self, shape, seed, less=0):
        super().__init__(shape)
        order = np.random.default_rng(seed).permutation(shape.tokens)
        # Half of n + 1 tokens, one of them Bob's own.
        self.kept = {int(t) for t in order[: (shape.tokens + 1) // 2 - less]}
        self.seen = 0

    def append(self, q, k, v):
        if self.seen in self.kept or self.seen >= self.shape.tokens:
            self.tokens.append((k, v))
        self.seen += 1


class Quantised(Softmax):
    """Every row rounded to 2^bits levels between its least and its greatest number, packed.

    ``turned``: by a fixed rotation first. ``lost`` is a token whose value is zeros.
    """

    def __init__(self, shape, bits=2, turned=False, lost=-1):
        super().__init__(shape)
        # Two float32 numbers a row, beside its codes.
        self.declares = {"keeps": "all", "bits": bits + 64 / shape.d_k}
        self.bits, self.lost = bits, lost
        turn = np.linalg.qr(np.random.default_rng(0).standard_normal((shape.d_k, shape.d_k)))[0]
        self.turn = turn.astype(np.float32) if turned else np.eye(shape.d_k, dtype=np.float32)
        self.sent = []

    def append(self, q, k, v):
        if len(self.sent) == 2 * self.lost:
            v = 0 * v
        for row in (k, v):
            x = row @ self.turn
            low = np.float32(x.min())
            step = np.float32((x.max() - low) / (2**self.bits - 1)) or np.float32(1)
            codes = np.rint((x - low) / step).astype(np.uint8)
            self.sent.append((low, step, codes))

    def rows(self):
        X = [
            (low + codes * step).astype(np.float32) @ self.turn.T for low, step, codes in self.sent
        ]
        return X[::2], X[1::2]

    def save(self):
        ends = np.float32([one[:2] for one in self.sent]).tobytes()
        codes = np.array([one[2] for one in self.sent], dtype=np.uint8)[..., None]
        return ends + np.packbits(np.unpackbits(codes, axis=-1)[..., -self.bits :]).tobytes()

    def restore(self, message):
        d, bits = self.shape.d_k, self.bits
        rows = len(message) // (8 + d * bits // 8)
        ends = np.frombuffer(message, np.float32, count=2 * rows).reshape(rows, 2)
        packed = np.unpackbits(np.frombuffer(message, np.uint8, offset=8 * rows))
        codes = packed.reshape(rows, d, bits) @ (1 << np.arange(bits)[::-1])
        self.sent = [(*end, code) for end, code in zip(ends, codes, strict=True)]


class Packed(Softmax):
    """Four bits a number, one for each code byte's half, with a header of ``header`` bytes.

    Two-valued numbers need one bit; so four are ample, and the header is a constant.
    """

    declares = ("keeps=all", "bits=4")

    def __init__(self, shape, header=0, width=4):
        super().__init__(shape)
        self.header, self.width = header, width

    def save(self):
        if not self.tokens:
            return b""
        X = np.array(self.tokens, dtype=np.float32)
        ends = np.float32([X[:, 0].min(), X[:, 0].max()]).tobytes()
        codes = np.stack([X[:, 0] > 0, X[:, 1] > 0.5], axis=1)
        wide = np.zeros((*codes.shape, self.width), dtype=np.uint8)
        wide[..., 0] = codes
        return bytes(self.header) + ends + np.packbits(wide).tobytes()

    def restore(self, message):
        self.tokens = []
        if not message:
            return
        low, high = np.frombuffer(message, np.float32, count=2, offset=self.header)
        bits = np.unpackbits(np.frombuffer(message, np.uint8, offset=self.header + 8))
        codes = bits.reshape(-1, 2, self.shape.d_k, self.width)[..., 0]
        for k, v in codes:
            key = np.where(k, high, low).astype(np.float32)
            self.tokens.append((key, v.astype(np.float32)))


class Unpacked(Softmax):
    """Three bits declared, float32 sent."""

    declares = ("keeps=all", "bits=3")


class Nothing(Softmax):
    """Bob's own token, and four bits a number are declared of all."""

    declares = ("keeps=all", "bits=4")

    def __init__(self, shape):
        self.tokens = deque(maxlen=1)


class Newest(Nothing):
    """The last six."""

    def __init__(self, shape):
        self.tokens = deque(maxlen=6)


class Recent(Softmax):
    """The last six, and nothing declared."""

    def __init__(self, shape):
        self.tokens = deque(maxlen=6)


class Crops(Softmax):
    """Every token; a crop takes ``more`` tokens than it should."""

    declares = ("keeps=all", "bits=32")

    def __init__(self, shape, more=0):
        super().__init__(shape)
        self.more = more

    def crop(self, tokens):
        del self.tokens[max(0, tokens - self.more) :]


class Padded(Softmax):
    """Exact, in float32, and every message as long as the longest; says 2 bits a number."""

    declares = ("bits=2",)

    def save(self):
        K, V = (np.array(rows, np.float32).tobytes() for rows in self.rows())
        return len(self.tokens).to_bytes(8, "little") + (K + V).ljust(1 << 16, b"\0")

    def restore(self, message):
        n, d = int.from_bytes(message[:8], "little"), self.shape.d_k
        both = np.frombuffer(message[8 : 8 + 8 * n * d], np.float32).reshape(2, n, d)
        self.tokens = list(zip(*both, strict=True))


class ByLength(Softmax):
    """Exact, in float32; says other bits of shorter streams, and ``honest`` ones or too few."""

    def __init__(self, shape, honest=False):
        super().__init__(shape)
        few = 2 if shape.tokens > 20 else 2.5
        self.declares = {"bits": 32 + few if honest else few}

    def save(self):
        extra = int(self.declares["bits"] - 32) * len(self.tokens) * self.shape.d_k // 4
        return Padded.save(self)[: 8 + 8 * len(self.tokens) * self.shape.d_k] + bytes(max(0, extra))

    restore = Padded.restore
