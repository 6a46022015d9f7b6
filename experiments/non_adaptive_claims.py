"""What the tables of ``experiments.non_adaptive`` decide."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..reductions.hiding import error_line, minimax_error
from .binomial import clopper_pearson
from .experiment import Claim, Judgement, judge
from .tables import read_table

PATTERNS, GAME, TIME, CELLS, CACHES = (
    f"non-adaptive-{name}.csv" for name in ("patterns", "game", "time", "cells", "caches")
)
RANDOM = ("sampling", "minimax")
SLOPE = 0.02
CONFIDENCE = 0.99


def _family(number: int) -> float:
    """The confidence of each of so many intervals that hold together at ``CONFIDENCE``."""
    return 1 - (1 - CONFIDENCE) / max(number, 1)


def _below(rows: Any, values: Iterable[float]) -> list[str]:
    """The readers whose interval lies below their value, ``reader at f``."""
    level = _family(len(rows))
    return [
        f"{row.name_} at f = {row.f:.3f}"
        for row, value in zip(rows.itertuples(), values, strict=True)
        if clopper_pearson(row.wrong, row.trials, level)[1] < value
    ]


def _seen(rows: Any, values: Iterable[float]) -> int:
    """At how many points a reader without an error, planted at each, would lie below its value."""
    # At f = 1 the line is 0, and nothing is below it.
    return len(_below(rows.assign(wrong=0), values))


def _trials(rows: Any) -> str:
    # The points share their streams; inside a point trials are independent.
    return f"{len(rows)} points of {int(rows['trials'].min())} independent trials each"


def _line(folder: Path) -> Judgement:
    game = read_table(folder, GAME)
    off = float((game["least"] - game["least_formula"]).abs().max())
    table = read_table(folder, PATTERNS).rename(columns={"pattern": "name_"})
    rows = table[table["name_"].isin(RANDOM)]
    below = _below(rows, rows["f"].map(error_line))
    uniform = rows[rows["name_"] == "sampling"]
    level = _family(len(uniform))
    ends = [clopper_pearson(r.wrong, r.trials, level) for r in uniform.itertuples()]
    on = sum(
        low <= error_line(f) <= high for (low, high), f in zip(ends, uniform["f"], strict=True)
    )
    return judge(
        off < 1e-9 and not below and on == len(uniform),
        f"all plans for up to {game['places'].max()} places: least error less (1-f)/2 at most "
        f"{off:.0e}; {_trials(rows)} of uniform readers; below the line: "
        f"{', '.join(below) or 'none'}, where a reader without an error is at "
        f"{_seen(rows, rows['f'].map(error_line))}; uniform sampling's interval holds the line at "
        f"{on} of {len(uniform)} shares (exact binomial, {CONFIDENCE:.0%} together)",
    )


def _patterns(folder: Path) -> Judgement:
    table = read_table(folder, PATTERNS).rename(columns={"pattern": "name_"})
    rows = table[~table["name_"].isin(RANDOM)]
    lines = rows["f"].map(error_line)
    below, seen = _below(rows, lines), _seen(rows, lines)
    gap = float((rows["error"] - lines).abs().max())
    blind = rows[(rows["rarest_wrong"] == rows["rarest"]) & (rows["f"] < 1)]
    return judge(
        not below,
        f"{_trials(rows)} of {rows['name_'].nunique()} patterns; below the line: "
        f"{', '.join(below) or 'none'} (exact binomial, {CONFIDENCE:.0%} together), where a reader "
        f"without an error is at {seen}; farthest from it {gap:.3f}; {len(blind)} points err in "
        "every trial on the index they read least",
        decided=bool(below or seen),
    )


def _minimax(folder: Path) -> Judgement:
    game, table = read_table(folder, GAME), read_table(folder, PATTERNS)
    off = float((game["value"] - game["formula"]).abs().max())
    prior = float((game["prior"] - game["prior_formula"]).abs().max())
    groups = ("plain", "hidden", "rarest")
    level = _family(len(groups) * len(table))
    # Below: all three errors are below the line. Attained: none is away from it.
    below, attained, played = [], 0, table[table["pattern"] == "minimax"]
    seen = 0
    for row in table.itertuples():
        ends = [
            clopper_pearson(getattr(row, f"{group}_wrong"), getattr(row, group), level)
            for group in groups
        ]
        line = minimax_error(row.f_max)
        if max(high for _, high in ends) < line:
            below.append(f"{row.pattern} at f = {row.f:.3f}")
        seen += all(clopper_pearson(0, getattr(row, group), level)[1] < line for group in groups)
        if row.pattern == "minimax":
            attained += all(low <= line <= high for low, high in ends)
    return judge(
        max(off, prior) < 1e-9 and not below and attained == len(played) > 0,
        f"program against formula: {len(game)} games of up to {game['places'].max()} places, "
        f"largest difference {max(off, prior):.0e}; worst case below the line: "
        f"{', '.join(below) or 'none'} of {len(table)} points, where a reader without an error is "
        f"at {seen}; the optimal reader's errors on D_0, on random and on the rarest D_i hold it "
        f"at {attained} of {len(played)} shares ({_trials(played)}; exact binomial, "
        f"{CONFIDENCE:.0%} together)",
    )


def _time(folder: Path) -> Judgement:
    from scipy.stats import norm

    table = read_table(folder, TIME)
    table = table[table["family"] == "token"]
    criteria = table.groupby("criterion", sort=False)
    z = float(norm.ppf(1 - 0.05 / 2 / len(criteria)))
    inside, outside, parts = True, False, []
    for criterion, rows in criteria:
        x = np.log(rows["places"].to_numpy(dtype=float))
        weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        slope = float(weights @ np.log(rows["reads"].to_numpy()))
        half = z * float(np.sqrt((weights**2) @ (rows["relative_error"].to_numpy() ** 2)))
        inside &= abs(slope - 1) + half <= SLOPE
        outside |= abs(slope - 1) - half > SLOPE
        share = float((rows["reads"] / rows["places"]).mean())
        parts.append(
            f"{criterion}: slope {slope:.4f} ± {half:.4f}, {share:.3f} (n-1) reads "
            f"(theory {float(rows['exact'].iloc[0]):.3f})"
        )
    span = f"n-1 = {int(table['places'].min())} to {int(table['places'].max())}"
    trials = int(table["trials"].sum())
    return judge(
        inside,
        f"{span}, {trials} independent trials, intervals of 95 % together; {'; '.join(parts)}",
        decided=inside or outside,
    )


def _coordinate(folder: Path) -> Judgement:
    table = read_table(folder, CELLS)
    row = table[(table["reader"] == "one-coordinate") & (table["f"] == 1)].iloc[0]
    high = clopper_pearson(row["wrong"], row["trials"], CONFIDENCE)[1]
    cells = 2 * row["n"] * row["d"]
    return judge(
        row["wrong"] == 0 and row["reads"] == row["n"] - 1,
        f"{int(row['reads'])} coordinate reads, n = {int(row['n'])}, of {int(cells)} cells of K "
        f"and V; {int(row['wrong'])} errors in {int(row['trials'])} independent trials (error "
        f"below {high:.4f} at {CONFIDENCE:.0%})",
    )


def _cells(folder: Path) -> Judgement:
    from scipy.stats import norm

    cells, time = read_table(folder, CELLS), read_table(folder, TIME)
    single = cells[(cells["reader"] == "key-cells") & (cells["coordinates"] == 1)].iloc[0]
    low = clopper_pearson(single["wrong"], single["trials"], CONFIDENCE)[0]
    rows = time[time["family"] == "cell"]
    z = float(norm.ppf(1 - (1 - CONFIDENCE) / 2 / len(rows)))
    half = z * rows["relative_error"] * rows["share"]
    holds = bool(((rows["reads"] / rows["places"] - rows["exact"]).abs() <= half).all())
    listed = ", ".join(
        f"{int(r.places)}: {r.reads / r.places:.3f} ± {h:.3f}"
        for r, h in zip(rows.itertuples(), half, strict=True)
    )
    return judge(
        holds and low > 0.1,
        f"share needed by number of cells {listed} (theory .8; {CONFIDENCE:.0%} together, "
        f"{int(rows['trials'].sum())} independent trials); one coordinate of every key, n-1 reads: "
        f"error {single['error']:.3f}, above {low:.3f}",
    )


def _caches(folder: Path) -> Judgement:
    table = read_table(folder, CACHES)
    row = table[table["compressor"] == "largest key"].iloc[0]
    high = clopper_pearson(row["wrong"], row["trials"], CONFIDENCE)[1]
    line = error_line(min(1.0, float(row["memory"])))
    return judge(
        row["wrong"] == 0 and high < line,
        f"{int(row['wrong'])} errors in {int(row['trials'])} independent trials (error below "
        f"{high:.4f} at {CONFIDENCE:.0%}) with {int(row['charged_bits'])} bits, "
        f"{100 * row['memory']:.1f} % of a 16-bit cache; a reader of such a share errs {line:.3f}",
    )


def _claim(name: str, about: str, statement: str, source: Any, data: Any, check: Any) -> Claim:
    return Claim(f"nonadaptive.{name}", about, statement, source, data, check)


CLAIMS = (
    _claim(
        "line",
        "Theorem 19",
        "No plan has error below (1-f)/2 on D_0 against a random D_i, f the share of the n-1 "
        "hideable indices it reads (all plans for few indices, played ones for many), and uniform "
        "sampling lies on it",
        "reconstructed",
        (GAME, PATTERNS),
        _line,
    ),
    _claim(
        "minimax",
        "observation",
        "The minimax error over D_0 and every D_i is (1-f)/(2-f): the linear program for small n "
        "agrees with the formula, and uniform sampling attains it",
        "ours",
        (GAME, PATTERNS),
        _minimax,
    ),
    _claim(
        "time",
        "Theorem 2",
        "The reads needed for success 9/10 grow linearly in n (slope within .02 of 1)",
        "reconstructed",
        (TIME,),
        _time,
    ),
    _claim(
        "patterns",
        "Theorem 27",
        "Window, sinks, strided, fixed, block and random patterns lie on or above the line, at "
        "their own f",
        "reconstructed",
        (PATTERNS,),
        _patterns,
    ),
    _claim(
        "coordinate",
        "observation",
        "In the family of Appendix H as reconstructed here one coordinate a token decides: n - 1 "
        "coordinate reads suffice for success 1, so from it Omega(n) coordinates follow and not "
        "Omega(n d)",
        "ours",
        (CELLS,),
        _coordinate,
    ),
    _claim(
        "cells",
        "observation",
        "In the family D_ij one cell of (n-1) d is hidden, and the reads needed for success 9/10 "
        "are a constant share of (n-1) d",
        "ours",
        (CELLS, TIME),
        _cells,
    ),
    _claim(
        "caches",
        "observation",
        "The theorem does not speak of compressors: a cache of the largest key, which reads "
        "everything, separates D_0 from every D_i with one token and the mean of the others",
        "ours",
        (CACHES,),
        _caches,
    ),
)
