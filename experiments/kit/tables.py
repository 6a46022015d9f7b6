"""Tables that an experiment fills from independent tasks, resumable task by task.

A finished task's rows go at once into a file of parts beside the table; when all are there the
table is written in one step and the parts are removed. A run that is stopped anywhere goes on with
the tasks that are missing, and ends with the same bytes.

Beside each table lies its mark, a hidden file with the digest of what made it: of the tasks, their
arguments and so the scale, and of the code that they reach (``compressors.plugin.code_identity``).
A table stands as long as that is what would make it today; after an edit of the code it is made
again.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...compressors.plugin.code_identity import identity_of_modules
from ...errors import BadInput
from ...files import locked, replaced, sentences

if TYPE_CHECKING:
    import pandas as pd

    from .run import Run

Row = dict[str, Any]
Task = tuple[Callable[..., Any], tuple[Any, ...]]
"""A module-level function and its arguments: plain data, or dataclasses of plain data."""

Tables = Mapping[str | tuple[str, ...], Sequence[Task]]
"""By table the tasks that fill it, in the order of its rows. A task returns a row or a list of
rows; under a tuple of names it returns a tuple, for each table a list of rows."""


def fill(
    job: Run,
    stage: str,
    tables: Tables,
    finish: Mapping[str, Callable[[list[Any]], list[Row]]] | None = None,
) -> None:
    """Fill the tables of ``job.folder`` that today's code has not made; ``stage`` makes progress.

    Tasks of all tables are submitted together, so that no worker waits for a table's last task.
    ``finish`` makes a table's rows from its tasks' results, where they are not the rows themselves.

    Raises:
        BadInput: another run is filling the same tables.
    """
    marks = {key: _mark(tasks, (finish or {}).get(str(key))) for key, tasks in tables.items()}
    missing = {
        key: tasks for key, tasks in tables.items() if not _stands(job.folder, key, marks[key])
    }
    if not missing:
        return
    job.folder.mkdir(parents=True, exist_ok=True)
    parts = _Parts(job.folder / f"{stage}.parts")
    with locked(parts.path):
        work = {key: [_name(task) for task in tasks] for key, tasks in missing.items()}
        parts.load({name for names in work.values() for name in names})
        todo: dict[str, Task] = {
            name: task
            for key, tasks in missing.items()
            for name, task in zip(work[key], tasks, strict=True)
            if name not in parts.done
        }
        total = len({name for names in work.values() for name in names})
        job.progress(stage, total - len(todo), total)

        def land(future: Future[Any], name: str) -> None:
            parts.add(name, future.result())
            job.progress(stage, len(parts.done), total)

        futures: dict[Future[Any], str] = {}
        for name, (function, arguments) in todo.items():
            future = job.executor.submit(function, *arguments)
            if future.done():  # in this very process: what comes after may be interrupted
                land(future, name)
            else:
                futures[future] = name
        for future in as_completed(futures):
            land(future, futures[future])
        for key, names in work.items():
            results = [parts.done[name] for name in names]
            if finish and key in finish:
                results = finish[str(key)](results)
            _write(job.folder, key, results, marks[key])
        parts.path.unlink(missing_ok=True)


def make(job: Run, name: str, rows: Callable[..., list[Row]], *arguments: Any) -> None:
    """Write the table of ``rows(job, *arguments)``, unless today's code has made it already."""
    mark = _mark([(rows, (job.scale, *arguments))])
    if not _stands(job.folder, name, mark):
        _write(job.folder, name, rows(job, *arguments), mark)


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows with equal keys as a CSV table, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """Read one of an experiment's CSV tables; BadInput where it is missing."""
    import pandas as pd

    try:
        return pd.read_csv(folder / name)
    except FileNotFoundError:
        raise BadInput(f"There is no table {folder / name}: run the experiment first.") from None


def _names(key: str | tuple[str, ...]) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else key


def _mark(tasks: Sequence[Task], finish: Callable[..., Any] | None = None) -> str:
    """The digest of what makes a table: every task by its code and arguments, in their order."""
    made = [_name(task) for task in tasks] + ([] if finish is None else [_name((finish, ()))])
    return hashlib.sha256("\n".join([_code(__name__), *made]).encode()).hexdigest()[:24]


def _mark_of(table: Path) -> Path:
    return table.with_name(f".{table.name}.made-by")


def _stands(folder: Path, key: str | tuple[str, ...], mark: str) -> bool:
    """Whether the tables are there and made by what would make them now."""
    tables = [folder / name for name in _names(key)]
    return all(
        table.exists() and _mark_of(table).exists() and _mark_of(table).read_text() == mark
        for table in tables
    )


def _write(folder: Path, key: str | tuple[str, ...], results: list[Any], mark: str) -> None:
    for place, name in enumerate(_names(key)):
        parts = results if isinstance(key, str) else [result[place] for result in results]
        rows = [row for one in parts for row in (one if isinstance(one, list) else [one])]
        write_table(folder / name, rows)
        # The table first: stopped in between, the table is made again.
        _mark_of(folder / name).write_text(mark)


class _Parts:
    """Results by task, one JSON line each; a task's name says which code made the result."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, Any] = {}

    def load(self, wanted: set[str]) -> None:
        """Read what an earlier run finished; what other code made, or a torn line, is dropped."""
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        kept = b""
        for line in lines:
            try:
                name, result = json.loads(line)
            except ValueError:
                break
            if line.endswith(b"\n") and name in wanted:
                kept += line
                self.done[name] = result
        with sentences(self.path, "written"):
            self.path.write_bytes(kept)

    def add(self, name: str, result: Any) -> None:
        """Keep a result, through JSON as when it is read again, so that both runs end alike."""
        line = self._line(name, result)
        with sentences(self.path, "written"), self.path.open("ab") as file:
            file.write(line)
        self.done[name] = json.loads(line)[1]

    @staticmethod
    def _line(name: str, result: Any) -> bytes:
        return json.dumps([name, result], default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's own; floats survive JSON bit for bit."""
    return value.tolist()


def _name(task: Task) -> str:
    function, arguments = task
    code = _code(function.__module__)
    text = f"{code} {function.__module__}.{function.__qualname__}{arguments!r}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@cache
def _code(module: str) -> str:
    """The digest of a module and of all that its imports reach."""
    return identity_of_modules([module])
