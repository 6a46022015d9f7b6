"""One row of a results file: one batch of one cell, every message's counts in order.

Sums cannot feed an e-process, so lists stay lists: compact JSON inside a CSV field. JSON escapes
line ends, so a row is one physical line and a torn row is exactly a last line without its end.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadInput, ResultsConflict
from ..protocols.evidence.record import MessageRecord
from ..protocols.game.coins import COMMITTED_KEYS
from ..protocols.game.instance import compact

SCHEMA = 3
COLUMNS = (
    "schema", "instance", "cell", "source", "batch", "spec", "key", "isolation", "streaming",
    "wrong", "wrong_by_age", "asked", "asked_by_age", "secret", "charged", "payload", "failed",
    "seconds", "versions", "host", "wrong_by_row", "declares", "wrong_by_place",
)  # fmt: skip
SCHEMAS = {1: COLUMNS[:-3], 2: COLUMNS[:-2], 3: COLUMNS}
"""The columns of every schema that can be read.

Schema 1 counts no bits by row; schemas 1 and 2 count none by place, and know no declaration.
"""

Key = tuple[str, str, int]
Counts16 = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class BatchRow:
    """One batch. ``instance``, ``cell``, ``source``: the three ids; ``batch``: its index in the
    cell.

    ``spec``: canonical JSON of the cell. ``key``: name of a committed key, or hex of the fresh key.
    ``wrong_by_age``, ``asked_by_age``: bits, one tuple of 16 a message. ``secret``: secret bits
    of a message. ``charged`` bits, ``payload`` bytes and ``failed`` (None or one sentence): one a
    message. ``versions`` and ``host``: JSON of what computed the row; with ``seconds`` and
    ``isolation`` they are not compared when files are merged. ``wrong_by_row``: the wrong bits of
    each row asked, one text a message (``protocols.evidence.row_counts``), or None if they were not
    counted, as in files of schema 1. ``wrong_by_place``: the wrong bits of the batch by channel, by
    layer and head (layer after layer), and by the secret bit's value (zeros, ones), a text each,
    without its messages that failed; None if they were not counted. ``said``: of each message what
    was read, packed, or None (``MessageRecord.said``); it is in no file and in no comparison.
    ``declares``: the words of the declaration that it was played under, or None; no part of its
    ids, and not compared, for what is played does not depend on it. ``ghosts``: of each message how
    many tokens answer that are gone, or None (``MessageRecord.ghosts``); it is in no file and in no
    comparison.
    """

    instance: str
    cell: str
    source: str
    batch: int
    spec: str
    key: str
    isolation: str
    streaming: bool
    wrong_by_age: Counts16
    asked_by_age: Counts16
    secret: int
    charged: tuple[int, ...]
    payload: tuple[int, ...]
    failed: tuple[str | None, ...]
    seconds: float
    versions: str
    host: str
    wrong_by_row: tuple[str, ...] | None = None
    declares: tuple[str, ...] | None = None
    wrong_by_place: tuple[str, str, str] | None = None
    said: tuple[bytes | None, ...] | None = field(default=None, compare=False, repr=False)
    ghosts: tuple[int | None, ...] | None = field(default=None, compare=False)

    @property
    def id(self) -> Key:
        """What a row is a row of: (cell, source, batch)."""
        return (self.cell, self.source, self.batch)

    @property
    def size(self) -> int:
        """How many messages."""
        return len(self.charged)

    @property
    def wrong(self) -> tuple[int, ...]:
        """Wrong bits of each message."""
        return tuple(map(sum, self.wrong_by_age))

    @property
    def asked(self) -> tuple[int, ...]:
        """Asked bits of each message."""
        return tuple(map(sum, self.asked_by_age))

    @property
    def master_key(self) -> bytes:
        """The 32 bytes that the row's secrets and coins were drawn from.

        Raises BadInput if the row's key is not valid.
        """
        if self.key in COMMITTED_KEYS:
            return COMMITTED_KEYS[self.key]
        try:
            return bytes.fromhex(self.key)
        except ValueError:
            known = ", ".join(COMMITTED_KEYS)
            raise BadInput(
                f"The row's key '{self.key[:40]}' is neither a key in hexadecimal digits nor the "
                f"name of a committed one ({known})."
            ) from None

    @property
    def spec_dict(self) -> dict[str, Any]:
        """The cell's spec as plain data."""
        spec: dict[str, Any] = json.loads(self.spec)
        return spec

    @property
    def compressor(self) -> str:
        """The target's name, for sentences."""
        return str(self.spec_dict.get("target", self.cell))

    def messages(self) -> list[MessageRecord]:
        """The messages in order."""
        columns = zip(
            self.wrong_by_age, self.asked_by_age, self.charged, self.payload, self.failed,
            self.wrong_by_row or (None,) * self.size, strict=True,
        )  # fmt: skip
        return [
            MessageRecord(wrong, asked, charged, payload, failed, wrong_by_row=by_row)
            for wrong, asked, charged, payload, failed, by_row in columns
        ]

    def counts(self) -> tuple[Any, ...]:
        """What must be equal when the same batch is played again: not times, hosts or sentences."""
        failed = tuple(sentence is not None for sentence in self.failed)
        return (
            self.instance, self.spec, self.key, self.streaming, self.wrong_by_age,
            self.asked_by_age, self.secret, self.charged, self.payload, failed,
        )  # fmt: skip

    def line(self) -> str:
        """The row as one line of CSV, with its line end."""
        values = (
            SCHEMA, self.instance, self.cell, self.source, self.batch, self.spec, self.key,
            self.isolation, "yes" if self.streaming else "no", compact(self.wrong),
            compact(self.wrong_by_age), compact(self.asked), compact(self.asked_by_age),
            self.secret, compact(self.charged), compact(self.payload), compact(self.failed),
            f"{self.seconds:.6f}", self.versions, self.host, compact(self.wrong_by_row),
            compact(self.declares), compact(self.wrong_by_place),
        )  # fmt: skip
        line = csv_line(values)
        if line.count("\n") != 1 or "\r" in line:
            raise ValueError("a results row must be one line")
        return line


def csv_line(values: Sequence[Any]) -> str:
    """One line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


HEADERS = [csv_line(columns) for columns in SCHEMAS.values()]
HEADER = HEADERS[-1]


def union(*collections: Sequence[BatchRow]) -> list[BatchRow]:
    """Merge rows: the union over (cell, source, batch), in the order of these ids.

    Idempotent, commutative and associative: of rows with equal counts the one with the smallest
    line stays (they differ in times, hosts and declarations only), and of a row with counts by row
    or by place and one without the former. Raises ResultsConflict if the counts differ.
    """
    merged: dict[Key, BatchRow] = {}
    for row in (row for rows in collections for row in rows):
        known = merged.setdefault(row.id, row)
        if known is row:
            continue
        refuse_conflict(known, row)
        merged[row.id] = min(known, row, key=_least)
    return [merged[id_] for id_ in sorted(merged)]


def _least(row: BatchRow) -> tuple[bool, bool, str]:
    return (row.wrong_by_row is None, row.wrong_by_place is None, row.line())


def refuse_conflict(known: BatchRow, row: BatchRow) -> None:
    """Raise ResultsConflict, in one sentence, unless two rows of one batch have equal counts."""
    by_row = {one.wrong_by_row for one in (known, row)} - {None}
    by_place = {one.wrong_by_place for one in (known, row)} - {None}
    if known.counts() == row.counts() and len(by_row) <= 1 and len(by_place) <= 1:
        return
    where = f"batch {row.batch} of cell {row.cell} ({row.compressor})"
    if known.key != row.key:
        raise ResultsConflict(
            f"{where} was drawn twice, from two different keys. These are two independent "
            "attacks: keep them in separate files."
        )
    raise ResultsConflict(
        f"{where} was played twice on the same secrets with different counts: "
        f"'{row.compressor}' is not deterministic. Let it draw all its random numbers from "
        "self.rng(t), and start a new file."
    )


def prefixes(rows: Sequence[BatchRow]) -> dict[tuple[str, str], list[BatchRow]]:
    """The longest contiguous run of batches 0, 1, 2, ... of every (cell, source).

    Verdicts read these, whatever order the batches finished in.
    """
    batches: dict[tuple[str, str], dict[int, BatchRow]] = {}
    for row in rows:
        batches.setdefault((row.cell, row.source), {})[row.batch] = row
    return {id_: prefix(found) for id_, found in batches.items()}


def newest(rows: Sequence[BatchRow]) -> list[BatchRow]:
    """The rows of each cell's newest code: an experiment run again with other code counts once."""
    source = {row.cell: row.source for row in rows}
    return [row for row in rows if row.source == source[row.cell]]


def prefix(batches: Mapping[int, BatchRow]) -> list[BatchRow]:
    """The longest contiguous run of batches 0, 1, 2, ..."""
    run: list[BatchRow] = []
    while len(run) in batches:
        run.append(batches[len(run)])
    return run
