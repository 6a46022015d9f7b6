"""What all caches share that answer with exact attention over the rows they hold."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...reductions import attention, stored
from ..plugin.contract import Float32
from .blockwise import Blockwise, Own

Pair = tuple[Float32, Float32]
#: rows of a batch; their own tokens as rows beside the others, or None where they are among them or
#: not kept; the other tokens
Part = tuple[NDArray[np.int64] | slice, Own, tuple[stored.Rows, stored.Rows]]


class SoftmaxCache(Blockwise):
    """Exact attention (Haris & Onak 2025, eq. 1-2) over the keys and values that are held.

    Rows of a batch whose own tokens do the same to what is held are answered together. Subclasses
    give :meth:`kept` and :meth:`parts`.
    """

    @abstractmethod
    def kept(self) -> Pair:
        """K, V as they are held: float32[t, d_k], float32[t, d_v]."""

    @abstractmethod
    def parts(self, Q: Float32, K: Float32, V: Float32) -> Iterable[Part]:
        """The parts of a batch of triples, each held as ``append`` would hold it."""

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        if own is None:
            return attention.block_outputs(Q, *self.kept())
        return attention.next_outputs(Q, *own, *self.kept())

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        out = np.empty((len(Q), self.shape.d_v), dtype=np.float32)
        for rows, own, kept in self.parts(Q, K, V):
            if own is None:
                out[rows] = attention.block_outputs(Q[rows], *kept)
            else:
                out[rows] = attention.next_outputs(Q[rows], *own, *kept)
        return out

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """``next_outputs(Q, K, V) > thresholds[:, None]``, with the dominance test."""
        bits = np.empty((len(Q), self.shape.d_v), dtype=np.bool_)
        for rows, own, kept in self.parts(Q, K, V):
            k, v = own if own is not None else (None, None)
            bits[rows] = attention.next_bits(Q[rows], k, v, *kept, thresholds[rows])
        return bits

    def by_token(self, K: Float32, V: Float32) -> Iterator[Part]:
        """A part for every distinct token: a copy to which it was appended."""
        tokens: NDArray[Any] = np.concatenate([K, V], axis=1)
        distinct, which = np.unique(tokens, axis=0, return_inverse=True)
        for i, token in enumerate(distinct):
            k, v = token[None, : self.shape.d_k], token[None, self.shape.d_k :]
            twin = self.twin()
            twin.extend(k, k, v)
            yield np.flatnonzero(which.ravel() == i), None, twin.kept()
