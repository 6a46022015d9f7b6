"""What the tables of visual autoregression decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kit.experiment import Judgement, claim, judge
from ..kit.half_size import half_size_errs
from ..kit.played import Played
from .measure import CUT, MODELS, PLAYED, SHAPES, SIDES

if TYPE_CHECKING:
    import pandas as pd

    from ...runs.rows import BatchRow

TOLERANCE = 0.1
Point = dict[str, Any]


@claim("visual.decodes", "follow-up 2503.14881", "ours", Played(PLAYED))
def decodes(points: list[Point]) -> Judgement:
    """Blocks of queries, each as large as the last map, decode all earlier maps of the pyramid
    without error at eta = 1/2.
    """
    chosen = [p for p in points if p["compressor"] == "exact"]
    wrong, asked = (sum(p[f"{what}_bits"] for p in chosen) for what in ("wrong", "asked"))
    sizes = ", ".join(map(str, sorted({int(p["n"]) for p in chosen})))
    formats = ", ".join(dict.fromkeys(str(p["params"]["dtype"]) for p in chosen))
    return judge(
        bool(chosen) and wrong == 0,
        f"{sum(p['messages'] for p in chosen)} messages, n = {sizes} tokens before the last map, "
        f"the full cache in {formats}: {wrong} wrong of {asked:,} bits",
    )


@claim("visual.rejects", "observation", "ours", Played(PLAYED, list))
def rejects(rows: list[BatchRow]) -> Judgement:
    """A message of half the secret's size errs above 1/10 on the pyramid."""
    return half_size_errs(rows)


@claim("visual.memory", "follow-up 2503.14881", "reconstructed", SIDES)
def memory(table: pd.DataFrame) -> Judgement:
    """For pyramids of one shape the certified bits grow as the square of the side of the last map
    (slope within .1 of 2).
    """
    families = (*SHAPES, MODELS, CUT)
    found = {name: slope(table[table["family"] == name]) for name in families}
    wrong, asked = int(table["wrong_bits"].sum()), int(table["asked_bits"].sum())
    holds = wrong == 0 and all(abs(found[name] - 2) <= TOLERANCE for name in SHAPES)
    listed = "; ".join(f"{name} {value:.3f}" for name, value in found.items())
    return judge(
        holds,
        f"slopes: {listed}; {wrong} wrong of {asked:,} bits in {int(table['messages'].sum())} "
        "messages; the last two change their shape with size and are not judged",
    )


def slope(part: Any) -> float:
    """Least-squares slope of ln(certified bits) against ln(side); nan where one is 0."""
    if (part["certified_bits"] <= 0).any():
        return float("nan")
    return float(np.polyfit(np.log(part["side"]), np.log(part["certified_bits"]), 1)[0])
