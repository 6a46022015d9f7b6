"""A results file loaded: ``read_results`` against pandas, which only splits and converts cells."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from kvbarrier.protocols.evidence.row_counts import text_of
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.instance import compact
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs.results import read_results, write_results
from kvbarrier.runs.rows import BatchRow
from paired import middle, ratio, rounds

N, D, MESSAGES = 512, 64, 16
KINDS = {
    "one cell, counts by row": (2000, True),
    "two batches a cell, counts by row": (2, True),
    "two batches a cell, none (as the gallery has them)": (2, False),
}
"""Batches a cell, and whether the wrong bits of each row asked are there."""


def rows(count: int, batches: int, by_row: bool):
    """Rows of a cache that lost its older half: random counts, so that no row is another's copy."""
    rng = np.random.default_rng(0)
    for k in range(count):
        cell = Cell(Index(n=N, d=D), "h2o", (("setting", k // batches),))
        wrong = np.zeros((MESSAGES, N), dtype=np.int64)
        wrong[:, : N // 2] = rng.binomial(D, 0.45, (MESSAGES, N // 2))
        total = int(wrong.sum())
        places = rng.multinomial(total, [1 / D] * D), [total], [total, 0]
        yield BatchRow(
            instance=cell.instance.id, cell=cell.id, source="feedc0de00000000",
            batch=k % batches, spec=compact(cell.spec()), key="experiments", isolation="inline",
            streaming=True,
            wrong_by_age=tuple(map(tuple, wrong.reshape(MESSAGES, 16, -1).sum(axis=2).tolist())),
            asked_by_age=((N // 16 * D,) * 16,) * MESSAGES, secret=N * D,
            charged=(1048320,) * MESSAGES, payload=(131040,) * MESSAGES,
            failed=(None,) * MESSAGES, seconds=float(rng.uniform(0.05, 0.2)),
            versions='{"kvbarrier":"0.5.0","numba":"0.68.1","numpy":"2.4.6","python":"3.11.7"}',
            host='{"cpu":"AMD EPYC/25/17/1","machine":"x86_64","system":"Linux"}',
            wrong_by_row=tuple(map(text_of, wrong)) if by_row else None,
            wrong_by_place=tuple(map(text_of, places)) if by_row else None,
        )  # fmt: skip


def measure(kind: str, number: int, count: int) -> dict[str, float]:
    """Bytes and microseconds a row, and how many times as long as pandas."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.csv"
        write_results(path, rows(number, *KINDS[kind]))
        assert len(read_results(path)) == len(pd.read_csv(path)) == number
        taken = rounds(
            {"ours": lambda: read_results(path), "pandas": lambda: pd.read_csv(path)}, count
        )
        return {
            "bytes": path.stat().st_size / number,
            "pandas": 1e6 * middle(taken["pandas"]) / number,
            "ours": 1e6 * middle(taken["ours"]) / number,
            "x": ratio(taken, "ours", "pandas"),
        }
