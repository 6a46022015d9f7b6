"""The points of results files, each with the file, the batches and the computer it comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..protocols.game.coins import COMMITTED_KEYS
from .points import told
from .results import read_results
from .rows import BatchRow, union


@dataclass(frozen=True)
class Source:
    """A results file: its path as given, its day of change (UTC), SHA-256, and number of rows."""

    path: str
    day: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class Reported:
    """A point and what repeats it.

    One of ``files``, ``cell`` and a batch below ``batches`` are the arguments of ``kvbarrier
    replay``; the first file holds batch 0.
    ``key``: the name of a committed key, or "fresh". ``computers``: the versions and facts of every
    host that played a batch, as plain data. ``declared``: the declaration's sentence, or None.
    """

    point: dict[str, Any]
    files: tuple[str, ...]
    cell: str
    batches: int
    key: str
    computers: tuple[dict[str, Any], ...]
    declared: str | None


def reported(paths: Sequence[Path]) -> tuple[list[Reported], list[Source]]:
    """Read and merge results files.

    Raises BadInput for what is not a results file, ResultsConflict where two disagree.
    """
    tables = {path: read_results(path) for path in dict.fromkeys(paths)}
    home = {row.id: str(path) for path, rows in reversed(tables.items()) for row in rows}
    found = [
        Reported(
            point=point,
            files=tuple(dict.fromkeys(home[row.id] for row in run)),
            cell=run[0].cell,
            batches=len(run),
            key=run[0].key if run[0].key in COMMITTED_KEYS else "fresh",
            computers=_computers(run),
            declared=None if declared is None else declared.sentence,
        )
        for run, declared, point in told(union(*tables.values()))
    ]
    return found, [_source(path, len(rows)) for path, rows in tables.items()]


def _computers(run: Sequence[BatchRow]) -> tuple[dict[str, Any], ...]:
    """Of every batch, each once."""
    known = dict.fromkeys((row.versions, row.host) for row in run)
    return tuple({"versions": json.loads(v), "host": json.loads(h)} for v, h in known)


def _source(path: Path, rows: int) -> Source:
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Source(str(path), f"{changed:%Y-%m-%d}", digest, rows)
