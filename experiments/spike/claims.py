"""What Bob's outputs say about the scales: ours, the closed form's, the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..kit.experiment import Judgement, claim, judge
from .measure import TABLE

if TYPE_CHECKING:
    import pandas as pd

# Float32 attention errs by about C (d + 2) 2^-24 in a score, so by 2e-4 in an output at C = 26.
ROUNDING = 1e-3


@claim("spike.bounds", "Theorem 6", "ours", TABLE)
def bounds(table: pd.DataFrame) -> Judgement:
    """Every output lies within the exact bounds from S_i(C)."""
    excess = max(
        float((table["max_0"] - table["exact_bound_0"]).max()),
        float((table["exact_bound_1"] - table["min_1"]).max()),
    )
    asked = int((table["messages"] * table["n"] * table["d"]).sum())
    return judge(
        excess <= ROUNDING,
        f"{asked:,} outputs at {len(table)} scales; largest excess over the bound {excess:.1e} "
        f"(float32 rounding allowed: {ROUNDING:g})",
    )


@claim("spike.decodes", "Theorem 8", "ours", TABLE)
def decodes(table: pd.DataFrame) -> Judgement:
    """At the tight scale and above Bob makes no error on exact attention."""
    above = table[table["scale"] >= table["tight_scale"]]
    worst = float(above["bit_error"].max())
    messages = int(above["messages"].sum())
    return judge(worst == 0.0, f"largest bit error {worst:g} in {messages} messages at C >= tight")


@claim("spike.transition", "observation", "ours", TABLE)
def transition(table: pd.DataFrame) -> Judgement:
    """With the threshold for eta = 1/2 the measured error falls from above 1/10 to below 1/100, and
    stays there, before the tight scale.
    """
    parts, holds = [], True
    for name, rows in table.groupby("d", sort=False):
        cold = rows[rows["error_low"] > 0.1]["scale"].max()
        last = rows[rows["bit_error"] >= 0.01]["scale"].max()
        sure = rows[rows["scale"] > last]["scale"].min()
        tight = float(rows["tight_scale"].iloc[0])
        holds &= bool(0 < cold < sure <= tight)
        parts.append(
            f"d = {name}: error > .1 up to C = {cold:.2f}, measured < .01 from {sure:.2f} on, "
            f"tight {tight:.2f}"
        )
    return judge(holds, "; ".join(parts))


@claim("spike.order", "observation", "ours", TABLE)
def order(table: pd.DataFrame) -> Judgement:
    """tight scale <= closed form <= the paper's scale, where that exists."""
    parts, holds = [], True
    for name, rows in table.groupby("d", sort=False):
        first = rows.iloc[0]
        tight, closed, paper = first["tight_scale"], first["closed_scale"], first["paper_scale"]
        holds &= bool(tight <= closed and not paper < closed)
        says = f"{paper:.2f}" if np.isfinite(paper) else f"none (eps = {first['eps']:.2f} >= 1/2)"
        parts.append(f"d = {name}: tight {tight:.2f}, closed form {closed:.2f}, paper's {says}")
    return judge(holds, "; ".join(parts))
