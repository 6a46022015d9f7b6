"""What became of one message: its counts, from the game to the verdict, and the bits read.

Whoever asks knows the secret (an examination does; in a game the referee does, Bob never), so a
wrong bit has a place: token, layer, head, channel. That is the ground of every map of what is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MessageRecord:
    """What became of one message; a results row keeps it column by column.

    Attributes:
        wrong_by_age: wrong bits in each of the 16 age buckets, the oldest first.
        asked_by_age: asked bits in each.
        charged_bits: what the message costs, in bits (``channel.charged_bits``); of a stream that
            was cut, the larger of its two messages; 64 if it failed.
        payload_bytes: the message without the framing of the default ``save``; 0 if it failed.
        failed: None, or one sentence. Then all asked bits were guessed with the harness's coins.
        soft: of a Bob who says how sure he is, the zeros and ones asked for in each bin of that
            (:mod:`.soft_ledger`); no part of a results file, for playing again gives it again.
        wrong_by_row: wrong bits of each row asked, in order (:mod:`.row_counts`); None if not
            counted.
        wrong_by_place: wrong bits by channel, by layer and head, and by the secret bit's value, a
            text each (:mod:`.row_counts`); None if not counted, or of a message that failed.
        said: the bits read for the rows asked, packed eight to a byte (row, layer, head, channel),
            of the first messages of a cell: what a map is made of. No part of a results file.
        ghosts: of a game with a schedule, how many tokens still answer that are gone; None if not
            looked at. Outside the ledger, and no part of a results file.
    """

    wrong_by_age: tuple[int, ...]
    asked_by_age: tuple[int, ...]
    charged_bits: int
    payload_bytes: int
    failed: str | None
    soft: tuple[tuple[int, int], ...] = ()
    wrong_by_row: str | None = None
    wrong_by_place: tuple[str, str, str] | None = None
    said: bytes | None = field(default=None, compare=False, repr=False)
    ghosts: int | None = field(default=None, compare=False)

    @property
    def wrong(self) -> int:
        """Wrong bits."""
        return sum(self.wrong_by_age)

    @property
    def asked(self) -> int:
        """Asked bits."""
        return sum(self.asked_by_age)


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
