"""Tables that an experiment fills from independent tasks, resumable task by task.

A finished task's rows go at once into a file of parts beside the table; when all are there the
table is written in one step and the parts are removed. A run that is stopped anywhere goes on with
the tasks that are missing, and ends with the same bytes.
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

from ..errors import BadInput
from ..files import replaced
from .locking import locked, sentences

if TYPE_CHECKING:
    import pandas as pd

    from .experiment import Run

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
    """Fill the tables of ``job.folder`` that are not there yet; ``stage`` is who makes progress.

    Tasks of all tables are submitted together, so that no worker waits for a table's last task.
    ``finish`` makes a table's rows from its tasks' results, where they are not the rows themselves.

    Raises:
        BadInput: another run is filling the same tables.
    """
    missing = {key: tasks for key, tasks in tables.items() if not _there(job.folder, key)}
    if not missing:
        return
    job.folder.mkdir(parents=True, exist_ok=True)
    parts = _Parts(job.folder / f"{stage}.parts")
    with locked(parts.path):
        parts.load()
        work = {key: [_name(task) for task in tasks] for key, tasks in missing.items()}
        todo: dict[str, Task] = {
            name: task
            for key, tasks in missing.items()
            for name, task in zip(work[key], tasks, strict=True)
            if name not in parts.done
        }
        futures: dict[Future[Any], str] = {
            job.executor.submit(function, *arguments): name
            for name, (function, arguments) in todo.items()
        }
        total = len({name for names in work.values() for name in names})
        job.progress(stage, total - len(todo), total)
        for future in as_completed(futures):
            parts.add(futures[future], future.result())
            job.progress(stage, len(parts.done), total)
        for key, names in work.items():
            results = [parts.done[name] for name in names]
            if finish and key in finish:
                results = finish[str(key)](results)
            _write(job.folder, key, results)
        parts.path.unlink(missing_ok=True)


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


def _there(folder: Path, key: str | tuple[str, ...]) -> bool:
    return all((folder / name).exists() for name in _names(key))


def _write(folder: Path, key: str | tuple[str, ...], results: list[Any]) -> None:
    if isinstance(key, str):
        rows = [row for one in results for row in (one if isinstance(one, list) else [one])]
        write_table(folder / key, rows)
        return
    for place, name in enumerate(key):
        write_table(folder / name, [row for result in results for row in result[place]])


class _Parts:
    """Results by task, one JSON line each below a line that names the code that made them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, Any] = {}

    def load(self) -> None:
        """Read what an earlier run finished; what other code made, or a torn line, is dropped."""
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        kept = b""
        for number, line in enumerate(lines):
            try:
                name, result = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n") or (number == 0 and result != _code()):
                break
            kept += line
            if number:
                self.done[name] = result
        with sentences(self.path, "written"):
            self.path.write_bytes(kept or self._line("code", _code()))

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
    text = f"{function.__module__}.{function.__qualname__}{arguments!r}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@cache
def _code() -> str:
    """The digest of every module that can have a part in a result."""
    root = Path(__file__).resolve().parents[1]
    rooms = ("reductions", "compressors", "protocols", "experiments")
    total = hashlib.sha256()
    for path in sorted(path for room in rooms for path in (root / room).rglob("*.py")):
        total.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return total.hexdigest()[:24]
