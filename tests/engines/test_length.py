"""What the engines' table shows to change with the length changes in NumPy too."""

from __future__ import annotations

from pathlib import Path

import pytest
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs.attack import attack

PLUGINS = Path(__file__).with_name("length_plugins.py")


@pytest.mark.parametrize(
    ("name", "basis", "short", "long"),
    [("Clipped", "rotated", 0.08, 0.17), ("HalfChannels", "literal", 0.45, 0.5)],
)
def test_the_error_grows_with_the_length(name: str, basis: str, short: float, long: float) -> None:
    errors = []
    for n in (512, 2048):
        report = attack(
            f"{PLUGINS}:{name}", instance=Index(n=n, d=64, basis=basis, rows=48),
            budgets=[None], messages=1, isolation="inline",
        )  # fmt: skip
        (point,) = report.points
        errors.append(point["bit_error"]["estimate"])
    # The bits of a row go together: 48 rows whose errors deviate by .1 and less.
    assert errors == pytest.approx([short, long], abs=0.03)
