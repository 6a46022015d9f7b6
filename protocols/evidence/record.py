"""The counts of one message: the one form they have from the game to the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field


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
