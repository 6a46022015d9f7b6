"""What was read back of one message, number by number: the ground of every map of what is lost.

Whoever asks knows the secret (an examination does; in a game the referee does, Bob never), so a
wrong bit has a place: token, layer, head, channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Reading:
    """The secret of the rows asked, and the bits read for them.

    Attributes:
        tokens: int64[m], which token each row is: its number in the stream, from 0.
        secret: uint8[m, layers, heads, d_v], the bits (of values with several bits a number the
            last axis is d_v times the bits, most significant first).
        said: uint8, of the same shape: what was read.
        answers: float32 of the shape [m, layers, heads, d_v], the attention outputs, or None where
            only bits came back.
        n: how many tokens the stream has.
        questions: int64[m], the place of each row's question in the batch it was asked in, where it
            may matter; None if it is not to be told apart from the token.
        sequences: int64[m], the sequence of a batch that each row belongs to; None if there is one.
        cut: after how many tokens the stream was cut (saved, restored elsewhere, gone on with);
            None if it was not.

    >>> zeros, ones = np.zeros((2, 1, 1, 3), np.uint8), np.eye(2, 3, dtype=np.uint8)[:, None, None]
    >>> one = Reading(np.arange(2), zeros, ones, n=2)
    >>> one.wrong.sum(axis=(1, 2, 3)).tolist()
    [1, 1]
    """

    tokens: NDArray[np.int64]
    secret: NDArray[np.uint8]
    said: NDArray[np.uint8]
    n: int
    answers: NDArray[np.float32] | None = None
    questions: NDArray[np.int64] | None = None
    sequences: NDArray[np.int64] | None = None
    cut: int | None = None

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """bool[m, layers, heads, d_v]: where what was read is not the secret."""
        return np.asarray(self.said != self.secret)
