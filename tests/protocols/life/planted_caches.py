"""Small caches with every operation, and the same with one fault each; see ``test_planted``."""

from __future__ import annotations

import numpy as np

WINDOW, SPARE = 12, 4


def softmax_rows(q, K, V):
    """q [.., d], K and V [.., m, d]: the exact attention output, zeros over no row."""
    if K.shape[-2] == 0:
        return np.zeros((*q.shape[:-1], V.shape[-1]), np.float32)
    scores = np.einsum("...md,...d->...m", K, q)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("...m,...md->...d", weights, V).astype(np.float32)


class Rows:
    """A growing cache of whole rows; a batch leads all arrays."""

    def __init__(self, shape):
        self.shape = shape
        self.K, self.V = self.empty(shape.d_k), self.empty(shape.d_v)

    def empty(self, d):
        batch = () if self.shape.sequences is None else (self.shape.sequences,)
        return np.zeros((*batch, 0, d), np.float32)

    @property
    def length(self):
        return self.K.shape[-2]

    def append(self, q, k, v):
        self.K = np.concatenate([self.K, k[..., None, :]], axis=-2)
        self.V = np.concatenate([self.V, v[..., None, :]], axis=-2)

    def attend(self, q):
        return softmax_rows(q, self.K, self.V)

    def crop(self, tokens):
        self.K, self.V = self.K[..., :tokens, :], self.V[..., :tokens, :]

    def drop(self, begin, end):
        keep = np.r_[:begin, end : self.length]
        self.K, self.V = self.K[..., keep, :], self.V[..., keep, :]

    def select(self, indices):
        self.K, self.V = self.K[indices], self.V[indices]

    def fork(self):
        twin = type(self)(self.shape)
        twin.__dict__.update(self.__dict__)
        return twin

    def reset(self):
        self.__init__(self.shape)

    def shift(self, by):
        pass


class Static:
    """A buffer of fixed size, written in place; a chunk at once."""

    def __init__(self, shape):
        self.shape = shape
        room = shape.tokens + shape.extra
        self.K = np.zeros((room, shape.d_k), np.float32)
        self.V = np.zeros((room, shape.d_v), np.float32)
        self.length = 0

    def append(self, q, k, v):
        self.extend(q[None], k[None], v[None])

    def extend(self, Q, K, V):
        at = slice(self.length, self.length + len(K))
        self.K[at], self.V[at] = K, V
        self.length += len(K)

    def attend(self, q):
        return softmax_rows(q, self.K[: self.length], self.V[: self.length])

    def crop(self, tokens):
        self.length = tokens

    def drop(self, begin, end):
        for rows in (self.K, self.V):
            rows[begin : self.length - end + begin] = rows[end : self.length].copy()
        self.length -= end - begin

    def fork(self):
        twin = type(self)(self.shape)
        twin.K, twin.V, twin.length = self.K.copy(), self.V.copy(), self.length
        return twin

    def reset(self):
        self.length = 0


class Ring:
    """The last WINDOW tokens in a ring with SPARE more rows, so that so many can be taken back."""

    def __init__(self, shape):
        self.shape = shape
        self.size = WINDOW + SPARE
        self.K = np.zeros((self.size, shape.d_k), np.float32)
        self.V = np.zeros((self.size, shape.d_v), np.float32)
        self.count = self.high = 0

    def append(self, q, k, v):
        at = self.count % self.size
        self.K[at], self.V[at] = k, v
        self.count += 1
        self.high = max(self.high, self.count)

    def held(self):
        return np.arange(max(0, self.count - WINDOW), self.count) % self.size

    def attend(self, q):
        return softmax_rows(q, self.K[self.held()], self.V[self.held()])

    def crop(self, tokens):
        if max(0, tokens - WINDOW) < self.high - self.size:
            raise ValueError("the oldest rows are overwritten")
        self.count = tokens

    def reset(self):
        self.count = self.high = 0


class Turned:
    """Keys are turned by their positions; a shift moves the positions and turns lazily."""

    def __init__(self, shape):
        self.shape = shape
        self.K, self.V, self.positions = [], [], []
        self.pending = 0

    def turn(self, x, position):
        """One row by one position, or all rows by theirs."""
        angle = 0.3 * np.asarray(position)[..., None]
        a, b = np.split(np.asarray(x), 2, axis=-1)
        c, s = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        return np.concatenate([c * a - s * b, s * a + c * b], axis=-1)

    def append(self, q, k, v):
        self.settle()
        position = self.positions[-1] + 1 if self.positions else 0
        self.K.append(self.turn(k, position))
        self.V.append(v)
        self.positions.append(position)

    def settle(self):
        if self.pending and self.K:
            self.K = list(self.turn(self.K, self.pending))
        self.pending = 0

    def attend(self, q):
        self.settle()
        d_k, d_v = self.shape.d_k, self.shape.d_v
        K = np.reshape(self.K, (-1, d_k)).astype(np.float32)
        V = np.reshape(self.V, (-1, d_v)).astype(np.float32)
        return softmax_rows(q, self.turn(K, -np.array(self.positions, int)), V)

    def shift(self, by):
        self.positions = [p + by for p in self.positions]
        self.pending += by

    def crop(self, tokens):
        del self.K[tokens:], self.V[tokens:], self.positions[tokens:]


class Residual:
    """Whole blocks of 4 in one array, the newest up to 3 apart."""

    def __init__(self, shape):
        self.shape = shape
        batch = () if shape.sequences is None else (shape.sequences,)
        self.blocks = [np.zeros((*batch, 0, d), np.float32) for d in (shape.d_k, shape.d_v)]
        self.rest = []

    def append(self, q, k, v):
        self.rest.append((k.copy(), v.copy()))
        if len(self.rest) == 4:
            self.flush()

    def flush(self):
        for part in (0, 1):
            new = np.stack([one[part] for one in self.rest], axis=-2)
            self.blocks[part] = np.concatenate([self.blocks[part], new], axis=-2)
        self.rest = []

    def rows(self):
        parts = []
        for part in (0, 1):
            new = [one[part][..., None, :] for one in self.rest]
            parts.append(np.concatenate([self.blocks[part], *new], axis=-2))
        return parts

    def attend(self, q):
        return softmax_rows(q, *self.rows())

    def crop(self, tokens):
        K, V = self.rows()
        whole = tokens // 4 * 4
        self.blocks = [K[..., :whole, :], V[..., :whole, :]]
        self.rest = [(K[..., t, :], V[..., t, :]) for t in range(whole, tokens)]

    def select(self, indices):
        self.blocks = [rows[indices] for rows in self.blocks]
        self.rest = [(k[indices], v[indices]) for k, v in self.rest]

    def fork(self):
        twin = type(self)(self.shape)
        twin.blocks, twin.rest = list(self.blocks), list(self.rest)
        return twin

    def reset(self):
        self.__init__(self.shape)


class Whole:
    """All heads at once."""

    layout = "heads"

    def __init__(self, shape):
        self.shape = shape
        self.rows = [[] for _ in range(shape.layers * shape.kv_heads)]

    def append(self, q, k, v):
        d_k, d_v = k.shape[-1], v.shape[-1]
        for row, a, b in zip(self.rows, k.reshape(-1, d_k), v.reshape(-1, d_v), strict=True):
            row.append((a.copy(), b.copy()))

    def attend(self, q):
        out = []
        for row, one in zip(self.rows, q.reshape(-1, q.shape[-1]), strict=True):
            K = np.array([k for k, _ in row], np.float32).reshape(-1, self.shape.d_k)
            V = np.array([v for _, v in row], np.float32).reshape(-1, self.shape.d_v)
            out.append(softmax_rows(one, K, V))
        return np.stack(out).reshape(*q.shape[:-1], -1)

    def crop(self, tokens):
        for row in self.rows:
            del row[tokens:]


HEALTHY = (Rows, Static, Ring, Turned, Residual, Whole)


# -- one fault each ------------------------------------------------------------------------------


class StaleRows(Static):
    """Attention goes on over the rows that crop took back, up to the highest ever written."""

    def __init__(self, shape):
        super().__init__(shape)
        self.high = 0

    def extend(self, Q, K, V):
        super().extend(Q, K, V)
        self.high = max(self.high, self.length)

    def attend(self, q):
        return softmax_rows(q, self.K[: self.high], self.V[: self.high])

    def drop(self, begin, end):
        super().drop(begin, end)
        self.high = self.length

    def reset(self):
        self.length = self.high = 0


class WrappedCrop(Ring):
    """Crop does not see that the oldest rows are overwritten."""

    def crop(self, tokens):
        self.count = tokens


class KeepsLength(Rows):
    """Crop leaves the count of tokens by which values are found."""

    def __init__(self, shape):
        super().__init__(shape)
        self.count = 0
        self.values = self.V

    def append(self, q, k, v):
        super().append(q, k, v)
        self.values = np.concatenate([self.values, v[..., None, :]], axis=-2)
        self.count += 1

    def attend(self, q):
        return softmax_rows(q, self.K, self.values[..., self.count - self.length : self.count, :])

    drop = select = property(lambda self: (_ for _ in ()).throw(AttributeError()))


class SharedFork(Static):
    """The fork writes into the arrays of the other."""

    def fork(self):
        twin = type(self)(self.shape)
        twin.K, twin.V, twin.length = self.K, self.V, self.length
        return twin


class KeysOnly(Rows):
    """Select permutes keys and leaves values."""

    def select(self, indices):
        self.K = self.K[indices]
        self.V = self.V[[i % len(self.V) for i in range(len(indices))]]


class KeptBuffer(Residual):
    """Reset forgets the newest tokens."""

    def reset(self):
        self.blocks = [rows[..., :0, :] for rows in self.blocks]
        if self.shape.sequences is not None:
            self.__init__(self.shape)


class TurnsValues(Turned):
    """Shift turns values as well."""

    def shift(self, by):
        super().shift(by)
        self.V = [self.turn(v, by) for v in self.V]


class LostPending(Turned):
    """A state saved between a shift and the next token forgets that keys are still to be turned."""

    def save(self):
        import json

        rows = [[float(x) for x in k] for k in self.K], [[float(x) for x in v] for v in self.V]
        return json.dumps([*rows, self.positions]).encode()

    def restore(self, message):
        import json

        K, V, self.positions = json.loads(message)
        self.K, self.V = ([np.array(x, np.float32) for x in rows] for rows in (K, V))


class LateRaise(Static):
    """Crop cuts the buffer as well, and the next token has no place."""

    def crop(self, tokens):
        super().crop(tokens)
        self.K, self.V = self.K[:tokens], self.V[:tokens]

    def append(self, q, k, v):
        self.K[self.length], self.V[self.length] = k, v
        self.length += 1

    extend = property(lambda self: (_ for _ in ()).throw(AttributeError()))


class ReturnsCount(Rows):
    """Crop returns how many were taken back."""

    def crop(self, tokens):
        gone = self.length - tokens
        super().crop(tokens)
        return gone


class ForksNothing(Rows):
    """Fork copies and forgets to return."""

    def fork(self):
        super().fork()


class InclusiveDrop(Rows):
    """Drop takes one too many."""

    def drop(self, begin, end):
        super().drop(begin, min(end + 1, self.length))


class DropsKeysOnly(Static):
    """Keys close up, values stay where they are."""

    def drop(self, begin, end):
        V = self.V.copy()
        super().drop(begin, end)
        self.V = V


class ChunkFromZero(Static):
    """A chunk is written from the beginning."""

    def extend(self, Q, K, V):
        if len(K) > 1:
            self.K[: len(K)], self.V[: len(V)] = K, V
            self.length = max(self.length + len(K), len(K))
        else:
            super().extend(Q, K, V)


class RestoredFromZero(Ring):
    """A restored ring lies from 0 on, and appending goes on at the old place."""

    def save(self):
        held = self.held()
        count = np.array([self.count], np.int64)
        return count.tobytes() + self.K[held].tobytes() + self.V[held].tobytes()

    def restore(self, message):
        self.count = self.high = int(np.frombuffer(message[:8], np.int64)[0])
        m = min(self.count, WINDOW)
        rows = np.frombuffer(message[8:], np.float32)
        self.K[:m] = rows[: m * self.shape.d_k].reshape(m, self.shape.d_k)
        self.V[:m] = rows[m * self.shape.d_k :].reshape(m, self.shape.d_v)


class CropOfNothing(Rows):
    """rows[:-0] is empty: a crop that takes nothing back takes all."""

    def crop(self, tokens):
        gone = self.length - tokens
        self.K, self.V = self.K[..., :-gone, :], self.V[..., :-gone, :]


class ForgetsRest(Residual):
    """Fork leaves the newest tokens behind."""

    def fork(self):
        twin = super().fork()
        twin.rest = []
        return twin


class OneHead(Whole):
    """Crop crops the first head."""

    def crop(self, tokens):
        del self.rows[0][tokens:]


class SelectsRest(Residual):
    """Select reorders the newest tokens and not the blocks."""

    def select(self, indices):
        self.blocks = [rows[[i % len(rows) for i in range(len(indices))]] for rows in self.blocks]
        self.rest = [(k[indices], v[indices]) for k, v in self.rest]


class ResetKeepsLength(Static):
    """Reset clears the rows, and goes on behind them."""

    def __init__(self, shape):
        super().__init__(shape)
        self.begin = 0

    def reset(self):
        self.begin = self.length - 1 if self.length else 0

    def attend(self, q):
        return softmax_rows(q, self.K[self.begin : self.length], self.V[self.begin : self.length])

    crop = drop = fork = property(lambda self: (_ for _ in ()).throw(AttributeError()))


class HalfRefused(Rows):
    """Drop raises where it cannot, after it has begun."""

    def drop(self, begin, end):
        if self.length > 9:
            self.V = self.V[..., : begin + 1, :]
            self.K = self.K[..., : begin + 1, :]
            raise NotImplementedError("only short caches")
        super().drop(begin, end)


PLANTED = {
    HalfRefused: (
        "lost",
        "drop",
        r"append 10, drop 0 1: drop raised .*, and yet tokens 1-9 are lost",
    ),
    StaleRows: ("ghosts", "crop", r"append 2, crop 0: token 1 still answers, though it is gone"),
    WrappedCrop: ("lost|ghosts", "crop", r"append 1\d, crop \d+: .*token \d+ still answers"),
    KeepsLength: ("moved", "crop", r"all tokens answer 1 place away"),
    SharedFork: ("ghosts|lost", "fork", r"instance"),
    KeysOnly: ("lost|moved", "select", r"answer"),
    KeptBuffer: ("ghosts", "reset", r"token 0 still answers"),
    TurnsValues: ("lost", "shift", r"all tokens are lost"),
    LostPending: ("lost", "save", r"shift \d+, save: all tokens are lost"),
    LateRaise: ("late", "crop", r"raised"),
    ReturnsCount: ("late", "crop", r"crop returned a int: it must change the cache itself"),
    ForksNothing: ("late", "fork", r"fork returned None: it must return another ForksNothing"),
    InclusiveDrop: ("lost", "drop", r"append 2, drop 0 1: all tokens are lost"),
    DropsKeysOnly: ("moved", "drop", r"append 2, drop 0 1: all tokens answer 1 place away"),
    ChunkFromZero: ("lost", "extend", r"extend 2: .*lost"),
    RestoredFromZero: ("lost", "save", r"lost"),
    CropOfNothing: ("lost", "crop", r"append 1, crop 1: all tokens are lost"),
    ForgetsRest: ("lost", "fork", r"append 1, fork: all tokens of instance 1 are lost"),
    OneHead: ("ghosts", "crop", r"append 1, crop 0: token 0 still answers"),
    SelectsRest: ("lost|moved", "select", r"answer"),
    ResetKeepsLength: ("ghosts", "reset", r"append 1, reset: token 0 still answers"),
}
"""Each fault with its outcome, the operation to name, and what the sentence says."""
