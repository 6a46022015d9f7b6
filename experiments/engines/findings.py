"""What a reader of the referee's table has to be told, in words, setting by setting."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...compressors.engines.findings import APART, of_errors, of_memories
from ..kit.tables import read_table
from .measure import TABLE

#: standard deviations that a sample of rows may err by
DEVIATIONS = 3


def deviation(error: Any, lines: Any) -> Any:
    """The standard deviation of a line's bit error that asking for a sample of rows makes.

    Of R rows drawn from all without replacement. A row that is gone is half wrong, so of a row's
    error the mean is e and the variance e (1/2 - e), and of the mean of R it is that times
    (1 - R/all) / R. Of a table's columns as of one line; 0 where all rows were asked.

    >>> line = {"n": 2048, "d": 64, "layers": 1, "heads": 1, "messages": 2, "asked": 65536}
    >>> round(float(deviation(0.25, line)), 4)  # sqrt(1/16 * 3/4 / 1024)
    0.0068
    """
    rows = lines["asked"] / (lines["d"] * lines["layers"] * lines["heads"])
    unseen = 1 - rows / (lines["n"] * lines["messages"])
    return np.sqrt(np.maximum(error * (0.5 - error), 0) * unseen / rows)


@dataclass
class Setting:
    """One setting with all its lines: by (basis, Bob) those that were played.

    ``failed``: the sentences of those that were not.
    """

    target: str
    params: Mapping[str, Any]
    feed: str
    distribution: str
    note: str
    lines: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def main(self) -> Mapping[str, Any]:
        """The line that its memories are read off: literal, by asking."""
        return self.lines.get(("literal", "asks")) or next(iter(self.lines.values()))

    @property
    def name(self) -> str:
        """The target with its parameters, as ``attack`` takes them, and the feed if streamed."""
        query = "&".join(f"{name}={value}" for name, value in self.params.items())
        fed = ", streamed" if self.feed == "stream" else ""
        return self.target + (f"?{query}" if query else "") + fed

    def error(self, basis: str, bob: str) -> float | None:
        """The bit error of one line; None where it was not played."""
        line = self.lines.get((basis, bob))
        return None if line is None else float(line["bit_error"])

    def findings(self) -> list[str]:
        """The sentences, the most serious first."""
        if not self.lines:
            return self.failed[:1]
        said = {name: _number(self.main.get(name)) for name in SHARES}
        asks, reads, rotated = (
            self.error(*way)
            for way in (("literal", "asks"), ("literal", "reads"), ("rotated", "asks"))
        )
        said["beside"] = _number(self.main.get("beside"))
        memories = of_memories(said, _text(self.main.get("beside_is")))
        spread = max(deviation(line["bit_error"], line) for line in self.lines.values())
        apart = APART + DEVIATIONS * math.sqrt(2) * spread
        return [*memories, *of_errors(asks, reads, rotated, apart), *self.failed[:1]]


#: the memories of a line, in the order of the table
SHARES = ("declared", "claimed", "logical", "resident", "side", "wire", "constant")


def settings(folder: Path, table: str = TABLE) -> list[Setting]:
    """All settings of a table in ``folder``, in its order."""
    found: dict[tuple[str, str, str], Setting] = {}
    for line in read_table(folder, table).to_dict("records"):
        key = (line["target"], line["params"], line["feed"])
        one = found.setdefault(
            key,
            Setting(
                line["target"], json.loads(line["params"]), line["feed"],
                _text(line["distribution"]), _text(line["note"]),
            ),
        )  # fmt: skip
        if _text(line["failed"]):
            one.failed.append(_text(line["failed"]))
        else:
            one.lines[line["basis"], line["bob"]] = line
    return list(found.values())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
