"""The results store: an append-only CSV, one row a batch, safe against crashes and second writers.

* A row is appended by one write and one fsync: an appended row is never lost.
* A torn last line (no line end) is cut with one warning; all lines before it are kept.
* A lock beside the file refuses a second writer, at once and with a sentence.
* A failed append (a full disk) is rolled back and reported in one sentence.
* Files merge by union over (cell, source, batch): see :func:`.rows.union`.
* A file of an older schema is read; new rows follow below a second header, as if two files had been
  joined with ``cat``.
"""

from __future__ import annotations

import csv
import gc
import io
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO, Self

from ..errors import BadInput
from ..files import locked, replaced, sentences
from . import faults
from .rows import COLUMNS, HEADER, HEADERS, SCHEMA, BatchRow, Key, refuse_conflict

BLOCK = 1 << 20
"""Bytes of lines that are read together."""
_HEADERS = {header.encode(): header for header in HEADERS}
_SCHEMA = f"{COLUMNS[0]},".encode()


class ResultsWarning(UserWarning):
    """A results file was repaired: a torn last line was cut."""


def read_results(path: Path | str) -> list[BatchRow]:
    """Read a results file without changing it: its rows in file order, a torn last line left out.

    Lines that repeat the header are skipped, so files joined with ``cat`` can be read. Warns
    (ResultsWarning) of a torn last line. Raises BadInput for what is not a results file and for
    another schema, ResultsConflict if one batch is there twice with different counts.
    """
    path = Path(path)
    with sentences(path, "read"), path.open("rb", BLOCK) as file:
        return _parse(path, file)[0]


def write_results(path: Path | str, rows: Iterable[BatchRow]) -> None:
    """Write rows to a new file, or replace one, in a single step: never a partial file."""
    path = Path(path)
    with locked(path), sentences(path, "written"):
        with replaced(path, _move) as partial, sentences(path, "written"):
            fd = os.open(partial, os.O_WRONLY)
            try:
                faults.write(fd, "".join([HEADER, *(row.line() for row in rows)]).encode())
                faults.fsync(fd)
            finally:
                os.close(fd)
        faults.fsync_folder(path.parent)


def _move(partial: Path, path: Path) -> None:
    with sentences(path, "written"):
        faults.replace(partial, path)


class Results:
    """Rows in memory: what a run needs of a store. ``rows`` are in the order of arrival.

    ``where`` names the place for sentences; it is empty for rows that end with the process.
    """

    where = ""

    def __init__(self, rows: Iterable[BatchRow] = ()) -> None:
        self.rows: list[BatchRow] = []
        self._known: dict[Key, BatchRow] = {}
        for row in rows:
            Results.append(self, row)

    def append(self, row: BatchRow) -> None:
        """Add a row. Raises ResultsConflict if its batch exists with different counts."""
        if self._is_new(row):
            self._remember(row)

    def batches(self, cell: str, source: str) -> dict[int, BatchRow]:
        """The rows of one cell and source by batch index."""
        return {row.batch: row for row in self.rows if (row.cell, row.source) == (cell, source)}

    def _is_new(self, row: BatchRow) -> bool:
        known = self._known.get(row.id)
        if known is not None:
            refuse_conflict(known, row)
        return known is None

    def _remember(self, row: BatchRow) -> None:
        self.rows.append(row)
        self._known[row.id] = row


class ResultsFile(Results):
    """A results file open for appending; a context manager that holds the file's lock.

    Opening creates the file and its folder if necessary, and cuts a torn last line. ``rows`` are
    its rows in file order. Raises BadInput at once if another process has it open.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        self.path = Path(path)
        self.where = str(path)
        self._fd = -1
        self._end = 0
        self._header = HEADER
        self._lock: Any = None

    def __enter__(self) -> Self:
        lock = locked(self.path)
        lock.__enter__()
        self._lock = lock
        try:
            with sentences(self.path, "opened"):
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
                self._load()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._lock is not None:
            self._lock.__exit__(None, None, None)
            self._lock = None

    def _load(self) -> None:
        with open(self._fd, "rb", BLOCK, closefd=False) as file:
            rows, self._end, self._header = _parse(self.path, file)
        super().__init__(rows)
        if self._end < os.fstat(self._fd).st_size:
            os.ftruncate(self._fd, self._end)
            faults.fsync(self._fd)
        if self._end == 0:
            self._append(HEADER.encode())
            self._header = HEADER
            faults.fsync_folder(self.path.parent)

    def append(self, row: BatchRow) -> None:
        """Append one row, durably. A batch that exists already must have equal counts.

        Raises ResultsConflict if it does not, StorageFailed (a full disk) with nothing written.
        """
        if self._is_new(row):
            with sentences(self.path, "written"):
                missing = "" if self._header == HEADER else HEADER
                self._append((missing + row.line()).encode())
            self._header = HEADER
            self._remember(row)

    def _append(self, data: bytes) -> None:
        try:
            faults.write(self._fd, data)
            faults.fsync(self._fd)
        except BaseException:
            # Half a row must not stay before the next one.
            self._roll_back()
            raise
        self._end += len(data)

    def _roll_back(self) -> None:
        try:
            os.ftruncate(self._fd, self._end)
        except OSError:
            # Then nothing may follow it: the next open finds a torn last line and cuts it.
            os.close(self._fd)
            self._fd = -1


def _parse(path: Path, file: BinaryIO) -> tuple[list[BatchRow], int, str]:
    """The rows of a file, how many of its bytes are whole lines, and the last header."""
    rows: dict[Key, BatchRow] = {}
    header, number, end = HEADER, 1, 0
    ahead = _blocks(file)
    with _uncollected():
        while lines := next(ahead, b""):
            if not lines.endswith(b"\n"):
                if number == 1 and not any(one.startswith(lines) for one in _HEADERS):
                    raise BadInput(_not_ours(path, b""))
                warnings.warn(
                    f"{path}: the last line is torn (the run that wrote it was cut off) and is "
                    "ignored.",
                    ResultsWarning,
                    stacklevel=3,
                )
                break
            known = lines.startswith(_SCHEMA) and _HEADERS.get(lines.replace(b"\r\n", b"\n"))
            found: list[BatchRow] | None = []
            if known:
                header = known
            elif number == 1:
                raise BadInput(_not_ours(path, lines))
            else:
                found = _rows(path, number, lines)
            if found is None:
                ahead = chain(_parts(lines), ahead)
                continue
            for row in found:
                first = rows.setdefault(row.id, row)
                if first is not row:
                    refuse_conflict(first, row)
            number += len(found) or 1
            end += len(lines)
    return list(rows.values()), end, header


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles: what is made of a file is kept, and holds none."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            # All objects are old now: the next search for young cycles does not visit the rows.
            gc.freeze()
            gc.unfreeze()
        if collects:
            gc.enable()


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """All lines in order: the first and a torn last one alone, others by the block."""
    size = 0
    while block := file.read(size) + file.readline():
        size = BLOCK
        end = block.rfind(b"\n") + 1
        yield from filter(None, (block[:end], block[end:]))


def _parts(lines: bytes) -> Iterable[bytes]:
    """Lines that are not all rows: between headers, or else each by itself."""
    every = list(io.BytesIO(lines))
    headers = [k for k, line in enumerate(every) if line.startswith(_SCHEMA)]
    bounds = sorted({0, *headers, *(k + 1 for k in headers), len(every)})
    parts = [b"".join(every[a:b]) for a, b in pairwise(bounds)]
    return parts if headers else every


def _rows(path: Path, number: int, lines: bytes) -> list[BatchRow] | None:
    """The rows of the lines from a number on; None if some of several are not rows.

    Raises BadInput for one line that is no row.
    """
    from .row_reading import WRONG, bad_line, read_lines

    # Lists of thousands of messages outgrow the csv module's default limit.
    csv.field_size_limit(2**31 - 1)
    try:
        return read_lines(lines)
    except WRONG as wrong:
        why: object = wrong
    if lines.find(b"\n") + 1 < len(lines):
        return None
    if isinstance(why, UnicodeDecodeError):
        raise BadInput(_not_ours(path, b""))
    if isinstance(why, RecursionError):
        why = "it is nested too deeply"
    if isinstance(why, KeyError):
        why = f"{why} is missing"
    raise bad_line(path.name, number, why)


def _not_ours(path: Path, first: bytes) -> str:
    if first.startswith(_SCHEMA):
        return (
            f"{path} has the columns of a results schema later than {SCHEMA}: read it with the "
            "version of kvbarrier that wrote it, or use a new file."
        )
    return f"{path} is not a results file: name another file, or a new one."
