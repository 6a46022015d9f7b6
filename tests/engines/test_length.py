"""What the engines' table shows to change with the length changes in NumPy too."""

from __future__ import annotations

from pathlib import Path

import pytest
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs.attack import attack

PLUGINS = Path(__file__).with_name("length_plugins.py")


@pytest.mark.parametrize(
    ("name", "basis", "keys", "short", "long"),
    [
        ("Clipped", "rotated", "jl", 0.078, 0.152),
        ("HalfChannels", "literal", "jl", 0.446, 0.494),
        ("Polar", "literal", "kerdock", 0.1266, 0.0316),
    ],
)
def test_the_error_changes_with_the_length(
    name: str, basis: str, keys: str, short: float, long: float
) -> None:
    errors = []
    for n in (512, 2048):
        report = attack(
            f"{PLUGINS}:{name}", instance=Index(n=n, d=64, basis=basis, keys=keys, rows=256),
            budgets=[None], messages=1, isolation="inline",
        )  # fmt: skip
        (point,) = report.points
        errors.append(point["bit_error"]["estimate"])
    # The means of eight runs. The bits of a row go together: of 256 rows an error deviates by .009.
    assert errors == pytest.approx([short, long], abs=0.04)
