"""Caches in which one more token may change the others: Bob's batch, part by part.

Where tokens share scales, the token that completes a group changes its neighbours. Rows of a batch
whose own tokens do the same to the others are answered together.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...reductions import attention
from ..plugin.contract import Float32
from .softmax_cache import SoftmaxCache

Pair = tuple[Float32, Float32]
#: rows of a batch; their own tokens as rows beside the others, or None where they are among them;
#: the other tokens
Part = tuple[NDArray[np.int64] | slice, Pair | None, Pair]


class GroupedCache(SoftmaxCache):
    """Subclasses give :meth:`parts`."""

    @abstractmethod
    def parts(self, K: Float32, V: Float32) -> Iterable[Part]:
        """The parts of a batch of tokens, as ``append`` would hold them."""

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if triple r came next, held as ``append`` would."""
        out = np.empty((len(Q), self.shape.d_v), dtype=np.float32)
        for rows, own, kept in self.parts(K, V):
            if own is None:
                out[rows] = attention.block_outputs(Q[rows], *kept)
            else:
                out[rows] = attention.next_outputs(Q[rows], own[0], own[1], *kept)
        return out

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """``next_outputs(Q, K, V) > thresholds[:, None]``, with the dominance test."""
        bits = np.empty((len(Q), self.shape.d_v), dtype=np.bool_)
        for rows, own, kept in self.parts(K, V):
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
