"""The claims of ``low-dimension`` on tables that cannot tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kvbarrier.experiments.low_dimension.claims import exponential
from kvbarrier.experiments.low_dimension.measure import RANDOM


@pytest.mark.parametrize(
    ("bend", "verdict"), [(0.02, "holds"), (0.0, "undecided"), (-0.02, "fails")]
)
def test_growth_is_judged_by_the_interval_of_its_curvature(
    bend: float, verdict: str, tmp_path: Path
) -> None:
    """ln(bits/d) = d/2 + bend d^2 + noise, alike above and below: no interval excludes bend = 0."""
    noise = np.random.Generator(np.random.Philox(1)).normal(scale=0.5, size=(8, 6))
    rows = [
        {"d": d, "R": float(d), "draw": draw, "rate": 0.6,
         "bits": d * np.exp(d / 2 + bend * d * d + noise[draw, at])}
        for at, d in enumerate(range(6, 18, 2)) for draw in range(8)
    ]  # fmt: skip
    mirrored = [
        {**row, "draw": row["draw"] + 8,
         "bits": (row["d"] * np.exp(row["d"] / 2 + bend * row["d"] ** 2)) ** 2 / row["bits"]}
        for row in rows
    ]  # fmt: skip
    pd.DataFrame(rows + mirrored).to_csv(tmp_path / RANDOM, index=False)
    assert exponential.check(tmp_path).verdict == verdict
