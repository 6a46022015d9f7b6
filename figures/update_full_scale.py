"""Put a run at full scale into the gallery: the verdicts on its claims, and what it cost.

    /usr/bin/time -v kvbarrier experiments run spike --scale full --out results/full --workers 1
    python -m kvbarrier.figures.update_full_scale spike results/full 331.4 261

The numbers are CPU seconds, user and system together, and the peak of the memory in MiB. Lines of
an experiment that are there already are replaced; all stand in the order of the registry.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from ..experiments.registry import ENGINES, NAMES, get
from ..files import replaced

FULL = Path(__file__).resolve().parent / "gallery" / "full-scale"


def update(name: str, results: Path, cpu_seconds: float, peak_mib: int) -> None:
    """Judge an experiment's claims on the tables in ``results``, and write both files anew.

    Raises:
        BadInput: there is no such experiment, or a table is missing.
    """
    judged = [(claim.name, claim.check(results)) for claim in get(name).claims]
    _put("claims.csv", name, [[one, j.verdict, j.evidence] for one, j in judged])
    _put("cost.csv", name, [[name, f"{cpu_seconds:.1f}", str(peak_mib)]])


def _put(table: str, name: str, new: list[list[str]]) -> None:
    with (FULL / table).open(newline="") as file:
        head, *old = csv.reader(file)
    order = {key: i for i, one in enumerate((*NAMES, *ENGINES)) for key in _keys(one)}
    rows = [row for row in old if row[0] not in _keys(name)] + new
    with replaced(FULL / table) as partial, partial.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [head, *sorted(rows, key=lambda row: order[row[0]])]
        )


def _keys(name: str) -> list[str]:
    return [name, *(claim.name for claim in get(name).claims)]


if __name__ == "__main__":
    update(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
