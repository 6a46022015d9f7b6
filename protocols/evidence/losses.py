"""Wrong bits token by token and channel by channel, over all messages: what a picture shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .record import Reading


@dataclass(frozen=True)
class Losses:
    """Joint counts.

    Attributes:
        wrong: int64[n, layers, heads, channels], wrong bits.
        asked: int64[n], how often each token was asked for.
        messages: how many there were.
        marks: (token, what happened after so many tokens), to be marked.
    """

    wrong: NDArray[np.int64]
    asked: NDArray[np.int64]
    messages: int
    marks: tuple[tuple[int, str], ...] = ()

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> Losses:
        """Count, over messages with the same layers, heads and channels; cuts are marked.

        >>> secret = np.zeros((3, 1, 1, 2), np.uint8)
        >>> said = secret.copy()
        >>> said[1] = 1
        >>> Losses.of([Reading(np.arange(3), secret, said, n=3, cut=2)] * 2).wrong[:, 0, 0].tolist()
        [[0, 0], [2, 2], [0, 0]]
        """
        n = max(max(one.n, 1 + int(one.tokens.max(initial=-1))) for one in readings)
        wrong = np.zeros((n, *readings[0].secret.shape[1:]), dtype=np.int64)
        asked = np.zeros(n, dtype=np.int64)
        for one in readings:
            np.add.at(wrong, one.tokens, one.wrong)
            np.add.at(asked, one.tokens, 1)
        cuts = sorted({one.cut for one in readings if one.cut is not None})
        return cls(wrong, asked, len(readings), tuple((cut, "cut") for cut in cuts))

    @property
    def share(self) -> NDArray[np.float64]:
        """float64[n, layers, heads, channels], NaN where a token was not asked for."""
        asked = self.asked[:, None, None, None].astype(np.float64)
        return np.asarray(self.wrong / np.where(asked > 0, asked, np.nan))

    @property
    def bits(self) -> tuple[int, int]:
        """(wrong, asked) bits in all."""
        return int(self.wrong.sum()), int(self.asked.sum()) * int(np.prod(self.wrong.shape[1:]))
