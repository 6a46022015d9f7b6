"""What a reader of the referee's table has to be told, in words, setting by setting."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..kit.tables import read_table
from .measure import TABLE

#: shares of the cache and errors further apart than this are told
APART = 0.02


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
        found = [*self._memory(), *self._bobs()]
        return found + self.failed[:1]

    def _memory(self) -> list[str]:
        said = {name: _number(self.main[name]) for name in _SHARES}
        found = []
        wire, declared = said["wire"], said["declared"]
        if declared is not None and wire is not None and wire > declared + APART:
            found.append(f"declared {declared:.3g}, real bytes {wire:.3g}")
        if said["resident"] is not None and said["resident"] > (said["logical"] or 0) + APART:
            found.append(
                f"{said['resident']:.2f} stays in memory behind tensors that show "
                f"{said['logical']:.2f}"
            )
        if said["side"] is not None and said["side"] > APART:
            found.append(f"{said['side']:.2f} more is parked on modules")
        return found

    def _bobs(self) -> list[str]:
        asks, reads = self.error("literal", "asks"), self.error("literal", "reads")
        rotated = self.error("rotated", "asks")
        found = []
        if asks is not None and reads is not None and asks - reads > APART:
            found.append(f"hides and does not free: {asks:.3f} by asking, {reads:.3f} by reading")
        if asks is not None and reads is not None and reads - asks > APART:
            found.append("its rows cannot be read off the message as they are")
        if asks is not None and rotated is not None and abs(rotated - asks) > APART:
            found.append(f"the basis decides: {asks:.3f} literal, {rotated:.3f} rotated")
        return found


_SHARES = ("declared", "claimed", "logical", "resident", "side", "wire")


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
