"""What all caches share that answer with exact attention over the rows they hold."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import numpy as np

from ...reductions import attention
from ..plugin.contract import Compressor, Float32


class SoftmaxCache(Compressor):
    """Exact attention (Haris & Onak 2025, eq. 1-2) over the keys and values that are held."""

    @abstractmethod
    def kept(self) -> tuple[Float32, Float32]:
        """K, V as they are held: float32[t, d_k], float32[t, d_v]."""

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Take one triple; q is not needed."""
        self.extend(np.asarray(q)[None], np.asarray(k)[None], np.asarray(v)[None])

    def attend(self, q: Float32) -> Float32:
        """Exact attention over what is held: float32[d_v].

        Raises:
            BadInput: nothing was appended yet.
        """
        output: Float32 = attention.block_outputs(np.asarray(q)[None], *self.kept())[0]
        return output

    def block_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """The block (K, V) appended to a copy, then every q answered: float32[m, d_v]."""
        twin = self.twin()
        twin.extend(Q, K, V)
        return attention.block_outputs(Q, *twin.kept())

    def twin(self) -> Self:
        """A copy, made as Bob makes it."""
        twin = self.fresh()
        twin.restore(self.save())
        return twin
