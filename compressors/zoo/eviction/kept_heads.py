"""What the prefill methods share that keep rows head by head: a message, a tail, exact attention.

After the prefill each (layer, head) keeps rows of K and V of its own choice, in fp16.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....errors import PluginFailure
from ....reductions import attention
from ...kit.blockwise import Own
from ...kit.prefill import Prefill
from ...plugin.contract import Float32

Indices = NDArray[np.int64]
Half = NDArray[np.float16]
_COUNT_BYTES = 4


@dataclass(frozen=True)
class Rows:
    """What one head keeps: K float16[t, d_k] and V float16[t, d_v]; of the last row how often.

    ``times`` is 1 but for a row that stands for many: its weight counts so often.
    """

    K: Half
    V: Half
    times: float = 1.0


class KeptHeads(Prefill):
    """A prefill method whose heads keep rows. Subclasses give :meth:`keep` and, beforehand or in
    the message, how many rows each head has.

    State: the rows of every head, fp16, one head after another; before them, where
    :meth:`counts` does not know them beforehand, how many there are, 4 bytes a head. Where it does
    and the prompt was shorter than announced, empty rows hold NaN.
    """

    layout = "heads"

    def set_up(self) -> None:
        super().set_up()
        shape = self.shape
        self.heads = list(np.ndindex(shape.layers, shape.kv_heads))
        self.row_bytes = 2 * (shape.d_k + shape.d_v)

    # -- what a subclass says --------------------------------------------------------------------

    @abstractmethod
    def keep(self, Q: Float32, K: Float32, V: Float32) -> list[Rows]:
        """The rows of every head, in order, for a prefill [n, layers, heads, d]."""

    def counts(self) -> list[int] | None:
        """How many rows each head keeps, if that is public; None: the message says so."""
        return None

    def head_bytes(self) -> int:
        """Bytes of the message before the rows, beside the counts (:meth:`write_head`)."""
        return 0

    def write_head(self, kept: list[Rows]) -> bytes:
        """What else the message must say of the rows."""
        return b""

    def read_head(self, head: bytes, counts: list[int]) -> tuple[list[int], list[float]]:
        """The counts, and for each head how often its last row counts."""
        return counts, [1.0] * len(counts)

    # -- the contract ----------------------------------------------------------------------------

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """Exact attention of every head over its rows and the tail: [m, layers, heads, d_v]."""
        out = np.empty((len(Q), *self._axes, self.shape.d_v), dtype=np.float32)
        for (l, h), rows in zip(self.heads, self._rows(self.closed()), strict=True):
            tail = [(k[:, l, h], v[:, l, h]) for k, v in self._tail]
            K = np.concatenate([rows.K.astype(np.float32), *(k for k, _ in tail)])
            V = np.concatenate([rows.V.astype(np.float32), *(v for _, v in tail)])
            q = Q[:, l, h]
            mine = None if own is None else (own[0][:, l, h], own[1][:, l, h])
            if rows.times != 1:
                # A row that stands for N tokens has N times its weight: one more coordinate, 1 in
                # the query and ln N in the key, adds ln N to its score.
                extra = np.zeros((len(K), 1), np.float32)
                extra[len(rows.K) - 1] = np.log(rows.times)
                K = np.concatenate([K, extra], axis=1)
                q = np.concatenate([q, np.ones((len(q), 1), np.float32)], axis=1)
                if mine is not None:
                    wide = np.concatenate([mine[0], np.zeros((len(q), 1), np.float32)], axis=1)
                    mine = wide, mine[1]
            if mine is None:
                out[:, l, h] = attention.block_outputs(q, K, V)
            else:
                out[:, l, h] = attention.next_outputs(q, *mine, K, V)
        return out

    def tokens_held(self) -> float:
        """How many tokens of the prefill a head holds, the mean over heads.

        A row that stands for several is none of them.
        """
        rows = self._rows(self.closed())
        return sum(len(r.K) - (r.times != 1) for r in rows) / len(rows)

    @property
    def _axes(self) -> tuple[int, int]:
        return self.shape.layers, self.shape.kv_heads

    # -- the message -----------------------------------------------------------------------------

    def write(self, Q: Float32, K: Float32, V: Float32) -> bytes:
        """Counts where they are not known beforehand, then the rows of every head."""
        kept = self.keep(Q, K, V)
        counts = b""
        if self.counts() is None:
            counts = b"".join(len(r.K).to_bytes(_COUNT_BYTES, "little") for r in kept)
        else:
            kept = [self._filled(r, c) for r, c in zip(kept, self._room(kept), strict=True)]
        rows = b"".join(r.K.tobytes() + r.V.tobytes() for r in kept)
        return counts + self.write_head(kept) + rows

    def read(self, message: bytes) -> None:
        """Raise PluginFailure if the message has another length."""
        self._rows(message)

    def _room(self, kept: list[Rows]) -> list[int]:
        return self.counts() or []

    def _filled(self, rows: Rows, count: int) -> Rows:
        empty = [(0, count - len(rows.K)), (0, 0)]
        K, V = (np.pad(X, empty, constant_values=np.nan) for X in (rows.K, rows.V))
        return Rows(K, V, rows.times)

    def _rows(self, message: bytes) -> list[Rows]:
        counts, at = self.counts(), 0
        if counts is None:
            at = _COUNT_BYTES * len(self.heads)
            words = np.frombuffer(message[:at].ljust(at, b"\0"), "<u4")
            counts = [int(word) for word in words]
        head = message[at : at + self.head_bytes()]
        counts, times = self.read_head(head, counts)
        at += self.head_bytes()
        if at + self.row_bytes * sum(counts) != len(message):
            raise PluginFailure(
                f"A message of {len(message)} bytes is not one of {self.name}: build Alice and Bob "
                "from the same public parameters."
            )
        found = []
        for count, often in zip(counts, times, strict=True):
            parts = []
            for d in (self.shape.d_k, self.shape.d_v):
                part = np.frombuffer(message, np.float16, count * d, at).reshape(count, d)
                parts.append(part)
                at += part.nbytes
            full = ~np.isnan(parts[0][:, 0])
            parts = [part[full] for part in parts]
            found.append(Rows(parts[0], parts[1], often))
        return found


def rows_at(K: Float32, V: Float32, at: Indices) -> Rows:
    """The rows of one head at some tokens, in fp16."""
    return Rows(K[at].astype(np.float16), V[at].astype(np.float16))


def causal_weights(Q: Float32, K: Float32, first: int = 0) -> Float32:
    """Softmax weights of queries ``first`` and on over the tokens up to each: float32[m, n]."""
    scores = Q[first:] @ K.T
    for row, later in zip(scores, range(first + 1, len(Q) + 1), strict=True):
        row[later:] = -np.inf
    scores -= scores.max(axis=1, keepdims=True)
    weights: Float32 = np.exp(scores, out=scores)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights
