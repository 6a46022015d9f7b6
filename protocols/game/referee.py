"""The harness at the Index game: it draws secrets, carries messages, asks, and counts."""

from __future__ import annotations

import hashlib
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.contract import Float32
from ...errors import HarnessFault
from ...reductions.reduction import Reduction, of_message, questions_per_row
from ..evidence.record import MessageRecord, Reading
from ..evidence.row_counts import text_of
from ..players.channel import FAILED_CHARGE, Message, charged_bits
from ..players.play import Facts, PlayerFault, Table, Triples
from ..players.seat import Seat
from . import coins
from .cell import Cell
from .instance import rows_of, schedule_of

if TYPE_CHECKING:
    from ..life.schedule import Schedule

MAPPED = 8
"""Of so many messages of a cell the answers are kept, while the process lives: for its map."""


PART = 1 << 18
"""Numbers of the keys in one part of a stream: 1 MiB of them."""

LONG = 1 << 24
"""Bytes from which on a message waits in a file."""


class Parcel:
    """The bytes of a message; a long one waits in a file, so that a batch needs room for one.

    Sixteen messages of 2^20 tokens are 4 GiB. The file has no name, so nobody can open it; what is
    handed over is held against the digest that was taken when the message was charged. One that is
    ``alone`` in its batch never waits.

    >>> len(Parcel(b"abc")), Parcel(b"abc").open()
    (3, b'abc')
    """

    def __init__(self, message: Message, alone: bool = False) -> None:
        self._length = len(message)
        self._digest: bytes | None = None
        if self._length < LONG or alone:
            # A player's memory is let go.
            self._bytes = message if isinstance(message, bytes) else bytes(message)
        else:
            self._digest, self._bytes = hashlib.sha256(message).digest(), b""
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (it goes with the parcel)
            weakref.finalize(self, self._file.close)
            left = memoryview(message)
            while left:
                left = left[self._file.write(left) :]

    def __len__(self) -> int:
        return self._length

    def open(self) -> Message:
        """The message; of one that waited the file's own pages.

        Raises:
            HarnessFault: the file has other bytes than were written.
        """
        if self._digest is None:
            return self._bytes
        size = os.fstat(self._file.fileno()).st_size
        message = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
        if hashlib.sha256(message).digest() != self._digest:
            raise HarnessFault(
                "A message that waited in a temporary file is not what was written there."
            )
        return memoryview(message)


@dataclass(frozen=True)
class Sent:
    """What Alice handed over for one message, its charged bits and payload bytes.

    ``declared`` is the length that her instance declared before it saw anything, or None.
    """

    message: Parcel
    charged: int
    payload: int
    declared: int | None = None


class Referee:
    """Of one cell under one master key.

    ``outputs`` keeps what Bob's compressor answered; what is only a ``rehearsal`` counts for
    nothing. ``together``: one Bob is asked all rows of a sample, whoever he is.
    """

    def __init__(
        self, cell: Cell, key: bytes, *, outputs: bool = False, rehearsal: bool = False,
        together: bool = False,
    ) -> None:  # fmt: skip
        self._rehearsal, self._together = rehearsal, together
        self._instance = cell.instance
        self._alone = cell.batch_size == 1
        self._reduction = cell.instance.build()
        self._id = cell.instance.id
        self._key = key
        self._asked: dict[int, NDArray[np.int64]] = {}
        self._ghosts: dict[int, int | None] = {}
        self._bins: dict[int, NDArray[np.int64]] = {}
        self._outputs: dict[int, Float32] | None = {} if outputs else None

    def _hard(self, number: int) -> Reduction:
        """The stream of one message."""
        return of_message(self._reduction, coins.public_seed(self._key, self._id, number))

    def _secret(self, number: int) -> NDArray[np.uint8]:
        shape = self._reduction.rows, self._reduction.width
        bits = coins.secret_bits(self._key, self._id, number, shape[0] * shape[1])
        return bits.reshape(shape)

    def _schedule(self, number: int) -> dict[str, Any] | None:
        schedule = schedule_of(self._instance, self._key, number)
        return None if schedule is None else schedule.as_dict()

    def cut(self, facts: Facts, number: int) -> int | None:
        """After how many tokens a message's stream is cut; None where it is not."""
        # A schedule has operations between tokens, and saves where it says.
        if not facts.streaming or self._instance.schedule is not None:
            return None
        return coins.cut_point(self._key, self._id, number, self._reduction.tokens)

    def alice(
        self, alice: Seat, table: Table, facts: Facts, number: int, half: Sent | None = None,
        account: bool = False,
    ) -> Sent | str:  # fmt: skip
        """Have Alice write one message; a str is a fault.

        Of a stream that is cut she writes the first half, or after that ``half`` the second. With
        ``account`` an engine's memories are taken, where the stream is whole.
        """
        at = self.cut(facts, number)
        begin, end = (0, at or self._reduction.tokens)
        if half is not None:
            begin, end = end, self._reduction.tokens
        try:
            declared = self._begin(alice, table, number, "Alice")
            if half is not None and declared != half.declared:
                return (
                    f"Alice: message_bytes was {half.declared} and is {declared} in a fresh "
                    "process: it must not change."
                )
            # Drawn only now: the instance stands, and with it the length that it declares.
            earlier = None if half is None else half.message.open()
            parts = self._parts(facts, number, begin, end)
            triples = next(parts)
            for following in parts:
                alice.feed(triples, earlier)
                triples, earlier = following, None
            whole = account and (at is None or half is not None)
            message, payload = alice.write(triples, earlier, self._schedule(number), whole)
        except PlayerFault as fault:
            return str(fault)
        if declared is not None and len(message) != declared:
            return (
                f"Alice: save returned {len(message)} bytes, declared were "
                f"message_bytes = {declared}."
            )
        charged = max(charged_bits(len(message), declared), 0 if half is None else half.charged)
        return Sent(
            Parcel(message, self._alone), charged, max(0, min(payload, len(message))), declared
        )

    def _parts(self, facts: Facts, number: int, begin: int, end: int) -> Iterator[Triples]:
        """The tokens begin .. end - 1 of a stream, in the parts in which they are handed over."""
        hard, x = self._hard(number), self._secret(number)
        if not hasattr(hard, "part"):
            q, k, v = (part[begin:end].copy() for part in hard.stream(x))
            yield q, k, v
            return
        size = end - begin
        if facts.streaming and self._instance.schedule is None:
            size = max(1, PART // (self._instance.layers * self._instance.heads * hard.d_k))
        for first in range(begin, end, size):
            yield hard.part(x, slice(first, min(first + size, end)))

    def bob(
        self, bob: Seat, table: Table, facts: Facts, number: int, s: Sent
    ) -> NDArray[np.uint8] | str:
        """Bob's bits for the rows asked of a message, uint8[rows, width]; a str is a fault."""
        schedule = schedule_of(self._instance, self._key, number)
        if schedule is not None:
            return self._bob_after(bob, table, number, s, schedule)
        rows, hard = self._rows(number), self._hard(number)
        q, k, v = hard.queries(rows)
        asked = len(rows) * questions_per_row(self._reduction)
        block = self._reduction.block
        # Comparing inside the kernel is for plain rows, whose bits are the output's coordinates.
        kept = self._outputs is not None
        plain = facts.batched and self._instance.coordinates and not kept
        thresholds = hard.thresholds(rows) if plain else None
        # A stranger's next_outputs would see which rows were drawn, and the two-term bound needs
        # answers that do not depend on it: each row of a sample is asked of a Bob of its own.
        apart = not (facts.builtin or self._together) and len(rows) < self._reduction.rows
        size = questions_per_row(self._reduction) if apart else asked
        answers, message = [], s.message.open()
        try:
            for first in range(0, asked, size):
                # The last block is as long as the others: its last question is asked again.
                whole = np.arange(first, first + -(-size // block) * block)
                padded = np.minimum(whole, first + size - 1)
                self._begin(bob, table, number, "Bob")
                some = bob.answer(message, (q[padded], k[padded], v[padded]), thresholds, block)
                answers.append(some if plain else some[:size])
        except PlayerFault as fault:
            return str(fault)
        said = np.concatenate(answers)
        if self._outputs is not None:
            self._outputs[number] = said
        if thresholds is None:
            if self._instance.bob == "linear":
                self._bins[number] = self._bins_of(said)
            if self._instance.reduction == "key-payload":
                said = self._decoded_below(said, rows, self._secret(number)[rows])
            else:
                said = hard.decode(said, rows)
        return np.asarray(said, dtype=np.uint8).reshape(len(rows), -1)

    def _bins_of(self, outputs: NDArray[Any]) -> NDArray[np.int64]:
        """Of a linear Bob: the bin of the soft ledger that the score of every bit is in."""
        from ...reductions.linear_bob import LinearBob
        from ..evidence.soft_ledger import bin_of

        assert isinstance(self._reduction, LinearBob)
        return bin_of(self._reduction.scores(outputs))

    def _decoded_below(
        self, outputs: NDArray[Any], rows: NDArray[np.int64], secret: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Each bit of a key as he reads it who is told those above it in its number."""
        from ...reductions.key_payload import KeyPayloadReduction

        assert isinstance(self._reduction, KeyPayloadReduction)
        return self._reduction.decode(outputs, rows, secret)

    def _begin(self, seat: Seat, table: Table, number: int, role: str) -> int | None:
        seed = coins.public_seed(self._key, self._id, number)
        return seat.begin(table, seed, role, self._rehearsal)

    def _rows(self, number: int) -> NDArray[np.int64]:
        if number not in self._asked:
            self._asked[number] = rows_of(self._instance, self._key, number)
        return self._asked[number]

    def _bob_after(
        self, bob: Seat, table: Table, number: int, s: Sent, schedule: Schedule
    ) -> NDArray[np.uint8] | str:
        """Bob's bits for the survivors; the tokens that are gone are asked as well, uncounted."""
        from .schedules import Questions

        questions = Questions(self._reduction, schedule)
        try:
            self._begin(bob, table, number, "Bob")
            outputs = bob.answer(s.message.open(), questions.triples, None, 1)
        except PlayerFault as fault:
            return str(fault)
        self._ghosts[number] = questions.ghosts(outputs, self._secret(number))
        return questions.bits(outputs)

    def record(self, number: int, s: Sent | str, a: NDArray[np.uint8] | str) -> MessageRecord:
        """Count one message."""
        rows = self._rows(number)
        n, d = self._reduction.rows, self._reduction.width
        bits = a
        if isinstance(bits, str):
            guesses = coins.guess_bits(self._key, self._id, number, len(rows) * d)
            bits = guesses.reshape(len(rows), d)
        secret = self._secret(number)[rows]
        places = bits != secret
        wrong = places.sum(axis=1)
        ages = coins.bucket_of(rows, n)
        wrong_by_age = np.bincount(ages, weights=wrong, minlength=coins.AGE_BUCKETS)
        asked_by_age = d * np.bincount(ages, minlength=coins.AGE_BUCKETS)
        played = None if isinstance(a, str) or isinstance(s, str) else s
        return MessageRecord(
            wrong_by_age=tuple(int(w) for w in wrong_by_age),
            asked_by_age=tuple(int(w) for w in asked_by_age),
            charged_bits=played.charged if played else FAILED_CHARGE,
            payload_bytes=played.payload if played else 0,
            failed=a if isinstance(a, str) else None,
            soft=self._soft(number, played is not None),
            wrong_by_row=text_of(wrong),
            wrong_by_place=self._by_place(rows, places, secret) if played else None,
            said=np.packbits(bits).tobytes() if played and number < MAPPED else None,
            ghosts=self._ghosts.get(number),
        )

    def _by_place(
        self, rows: NDArray[np.int64], places: NDArray[np.bool_], secret: NDArray[np.uint8]
    ) -> tuple[str, str, str]:
        heads = self._instance.layers * self._instance.heads
        by_column = self._instance.placed(rows, places)[1].sum(axis=0).reshape(heads, -1)
        ones = int((places & (secret > 0)).sum())
        values = [int(places.sum()) - ones, ones]
        return text_of(by_column.sum(axis=0)), text_of(by_column.sum(axis=1)), text_of(values)

    def reading(self, number: int, bits: NDArray[np.uint8]) -> Reading:
        """What was read of one message, place by place, with the outputs that were kept."""
        instance, rows = self._instance, self._rows(number)
        kept = (self._outputs or {}).get(number)
        # A rotated answer has no channels, what the linear Bob reads is no one answer, and of all
        # layers' answers one is read where some slide.
        own = (instance.basis, instance.bob, instance.every) == ("literal", "threshold", None)
        tokens, secret = instance.placed(rows, self._secret(number)[rows])
        return Reading(
            tokens=tokens,
            secret=secret,
            said=instance.placed(rows, bits)[1],
            n=self._reduction.tokens,
            answers=kept.reshape(secret.shape) if own and kept is not None else None,
        )

    def _soft(self, number: int, played: bool) -> tuple[tuple[int, int], ...]:
        if self._instance.bob != "linear":
            return ()
        from ..evidence.soft_ledger import EDGES, counts_by_bin

        bits = self._secret(number)[self._rows(number)].astype(np.int64).ravel()
        # Of a message that failed nothing is known: all its bits are in one bin.
        bins = self._bins[number].ravel() if played else np.zeros_like(bits)
        counts = counts_by_bin(bins, bits, len(EDGES) + 2)
        return tuple((int(zeros), int(ones)) for zeros, ones in counts)
