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
import io
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from ..errors import BadInput
from ..files import locked, replaced, sentences
from . import faults
from .rows import COLUMNS, HEADER, HEADERS, SCHEMA, BatchRow, Key, refuse_conflict


class ResultsWarning(UserWarning):
    """A results file was repaired: a torn last line was cut."""


def read_results(path: Path | str) -> list[BatchRow]:
    """Read a results file without changing it: its rows in file order, a torn last line left out.

    Lines that repeat the header are skipped, so files joined with ``cat`` can be read. Warns
    (ResultsWarning) of a torn last line. Raises BadInput for what is not a results file and for
    another schema, ResultsConflict if one batch is there twice with different counts.
    """
    path = Path(path)
    with sentences(path, "read"):
        data = path.read_bytes()
    return _parse(path, data)[0]


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
        with open(self._fd, "rb", closefd=False) as file:
            data = file.read()
        rows, self._end, self._header = _parse(self.path, data)
        super().__init__(rows)
        if self._end < len(data):
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


def _parse(path: Path, data: bytes) -> tuple[list[BatchRow], int, str]:
    """The rows of a file's bytes, how many of the bytes are whole lines, and the last header."""
    end = data.rfind(b"\n") + 1
    if end == 0 and not any(header.encode().startswith(data) for header in HEADERS):
        raise BadInput(_not_ours(path, ""))
    from .row_reading import bad_line, parse_line

    # Lists of thousands of messages outgrow the csv module's default limit.
    csv.field_size_limit(2**31 - 1)
    rows: dict[Key, BatchRow] = {}
    header = HEADER
    for number, coded in enumerate(io.BytesIO(data[:end]), start=1):
        try:
            line = coded.decode().replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise BadInput(_not_ours(path, "")) from None
        if line in HEADERS:
            header = line
            continue
        if number == 1:
            raise BadInput(_not_ours(path, line))
        try:
            row = parse_line(line[:-1])
        except RecursionError:
            raise bad_line(path.name, number, "it is nested too deeply") from None
        except KeyError as why:
            raise bad_line(path.name, number, f"{why} is missing") from None
        except (ValueError, TypeError, AttributeError, csv.Error) as why:
            raise bad_line(path.name, number, why) from None
        known = rows.setdefault(row.id, row)
        if known is not row:
            refuse_conflict(known, row)
    if end < len(data):
        warnings.warn(
            f"{path}: the last line is torn (the run that wrote it was cut off) and is ignored.",
            ResultsWarning,
            stacklevel=3,
        )
    return list(rows.values()), end, header


def _not_ours(path: Path, first: str) -> str:
    if first.split(",")[0] == COLUMNS[0]:
        return (
            f"{path} has the columns of a results schema later than {SCHEMA}: read it with the "
            "version of kvbarrier that wrote it, or use a new file."
        )
    return f"{path} is not a results file: name another file, or a new one."
