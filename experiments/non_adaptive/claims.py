"""What the tables of non-adaptive readers decide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...reductions.hiding import error_line, minimax_error
from ..kit.binomial import clopper_pearson
from ..kit.experiment import Judgement, claim, judge
from .measure import ADAPTIVE, CACHES, CELLS, GAME, PATTERNS, PLANS, STATES, TIME

if TYPE_CHECKING:
    import pandas as pd

RANDOM = ("sampling", "minimax")
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


@claim("nonadaptive.line", "Theorem 19", "reconstructed", GAME, PATTERNS)
def line(game: pd.DataFrame, table: pd.DataFrame) -> Judgement:
    """No plan has error below (1-f)/2 on D_0 against a random D_i, f the share of the n-1 hideable
    indices it reads (all plans for few indices, played ones for many), and uniform sampling lies on
    it.
    """
    off = float((game["least"] - game["least_formula"]).abs().max())
    table = table.rename(columns={"pattern": "name_"})
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


@claim("nonadaptive.minimax", "observation", "ours", GAME, PATTERNS)
def minimax(game: pd.DataFrame, table: pd.DataFrame) -> Judgement:
    """The minimax error over D_0 and every D_i is (1-f)/(2-f): the linear program for small n
    agrees with the formula, and uniform sampling attains it.
    """
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


#: How far apart the two criteria's shares are: what a share must be known to, to be one of them.
APART = 8 / 9 - 4 / 5


def _needed(rows: Any) -> tuple[bool, bool, str]:
    """Is the share of places needed the theory's, at every size, and is it known well enough?

    At ``CONFIDENCE``, all sizes together.
    """
    from scipy.stats import norm

    z = float(norm.ppf(1 - (1 - CONFIDENCE) / 2 / len(rows)))
    half = z * rows["relative_error"] * rows["share"]
    off = (rows["share"] - rows["exact"]).abs()
    parts = []
    for criterion, some in rows.groupby("criterion", sort=False):
        listed = ", ".join(
            f"{int(r.places)}: {r.share:.3f} ± {half[r.Index]:.3f}" for r in some.itertuples()
        )
        parts.append(f"{criterion} (theory {some['exact'].iloc[0]:.3f}) {listed}")
    return bool((off <= half).all()), bool((half < APART).all()), "; ".join(parts)


@claim("nonadaptive.time", "Theorem 2", "reconstructed", TIME)
def time(table: pd.DataFrame) -> Judgement:
    """Uniform readers, which no plan beats, need .8 (n-1) reads for success 9/10 at prior 1/2 and
    8/9 (n-1) in the worst case, at every n; that a share of n is linear in n is no finding.
    """
    rows = table[table["family"] == "token"]
    holds, known, listed = _needed(rows)
    return judge(
        holds and len(rows) >= 2,
        f"share of the n-1 tokens needed, by n-1: {listed}; {CONFIDENCE:.0%} together, "
        f"{int(rows['trials'].sum())} independent trials",
        decided=known or not holds,
    )


def _shortfall(trials: int, line: float, level: float) -> float:
    """By how little below the line an error of so many trials is seen to be there; 1 for never."""
    found = [line - wrong / trials for wrong in range(trials)
             if clopper_pearson(wrong, trials, level)[1] < line]  # fmt: skip
    return min(found, default=1.0)


@claim("nonadaptive.patterns", "Theorem 27", "reconstructed", PATTERNS)
def patterns(table: pd.DataFrame) -> Judgement:
    """Window, sinks, strided, fixed, block and random patterns lie on or above the line at their
    own f: right on D_0, and never on a D_i whose changed token they do not read.
    """
    table = table.rename(columns={"pattern": "name_"})
    rows = table[~table["name_"].isin(RANDOM)]
    below = _below(rows, rows["f"].map(error_line))
    level = _family(len(rows))
    short = [_shortfall(r.trials, error_line(r.f), level) for r in rows.itertuples()]
    right, plain = int(rows["unseen_right"].sum()), int(rows["plain_wrong"].sum())
    blind = rows[(rows["rarest_wrong"] == rows["rarest"]) & (rows["f"] < 1)]
    return judge(
        not below and right == 0 and plain == 0,
        f"{_trials(rows)} of {rows['name_'].nunique()} patterns: {right} right in "
        f"{int(rows['unseen'].sum()):,} trials on a D_i whose token was not read, {plain} wrong in "
        f"{int(rows['plain'].sum()):,} on D_0; below the line: {', '.join(below) or 'none'} (exact "
        f"binomial, {CONFIDENCE:.0%} together: {min(short):.3f} to {max(short):.3f} below would be "
        f"seen); {len(blind)} points err in every trial on the index they read least",
        # At f = 1 the line is 0: nothing can be below it.
        decided=min(short) < 1 or bool(below) or right + plain > 0,
    )


@claim("nonadaptive.coordinate", "observation", "ours", CELLS)
def coordinate(table: pd.DataFrame) -> Judgement:
    """In the family of Appendix H as reconstructed here one coordinate a token decides: n - 1
    coordinate reads suffice for success 1, so from it Omega(n) coordinates follow and not Omega(n
    d).
    """
    row = table[(table["reader"] == "one-coordinate") & (table["f"] == 1)].iloc[0]
    high = clopper_pearson(row["wrong"], row["trials"], CONFIDENCE)[1]
    cells = 2 * row["n"] * row["d"]
    return judge(
        row["wrong"] == 0 and row["reads"] == row["n"] - 1,
        f"{int(row['reads'])} coordinate reads, n = {int(row['n'])}, of {int(cells)} cells of K "
        f"and V; {int(row['wrong'])} errors in {int(row['trials'])} independent trials (error "
        f"below {high:.4f} at {CONFIDENCE:.0%})",
    )


@claim("nonadaptive.cells", "observation", "ours", CELLS, TIME)
def cells(cells: pd.DataFrame, time: pd.DataFrame) -> Judgement:
    """In the family D_ij one cell of (n-1) d is hidden, and success 9/10 takes .8 (n-1) d reads of
    single coordinates at prior 1/2 and 8/9 (n-1) d in the worst case.
    """
    single = cells[(cells["reader"] == "key-cells") & (cells["coordinates"] == 1)].iloc[0]
    low = clopper_pearson(single["wrong"], single["trials"], CONFIDENCE)[0]
    rows = time[time["family"] == "cell"]
    holds, known, listed = _needed(rows)
    return judge(
        holds and low > 0.1 and rows["criterion"].nunique() == 2,
        f"share of the (n-1) d cells needed, by their number: {listed}; {CONFIDENCE:.0%} together, "
        f"{int(rows['trials'].sum())} independent trials; one coordinate of every key, n-1 reads: "
        f"error {single['error']:.3f}, above {low:.3f}",
        decided=known or not holds,
    )


@claim("nonadaptive.plan", "Definition 18", "reconstructed", PLANS)
def plan(table: pd.DataFrame) -> Judgement:
    """What a non-adaptive algorithm reads is a function of sizes and coins: its plan is the same on
    D_0 and every D_i, and a reader that lets the data have a say in it, or widens it once there are
    data, is refused.
    """
    honest, late, modest = (table[table["kind"] == kind] for kind in ("honest", "late", "modest"))
    differ, streams = int(honest["differ"].sum()), int(honest["streams"].sum())
    got_by = late[late["refused"] < late["streams"]]
    return judge(
        differ == 0 and got_by.empty and len(late) >= 3 and bool((modest["share"] == 1).all()),
        f"{differ} of {streams:,} plans of {len(honest)} readers differ from that of the same "
        f"coins on D_0; refused on all streams: {len(late) - len(got_by)} of {len(late)} readers "
        f"({', '.join(late['reader'])}) that ask for cells they chose later; one that plans all "
        f"and asks for {int(modest['asked'].iloc[0])} cells has f = {modest['share'].iloc[0]:g}",
    )


@claim("nonadaptive.adaptive", "observation", "ours", ADAPTIVE)
def adaptive(table: pd.DataFrame) -> Judgement:
    """Choosing each cell after the last one does not help a reader without a state: on a D_i
    outside the cells that it reads on D_0 with the same coins it walks the same way and errs, so no
    adaptive reader has error below (1-f)/2, f its share on D_0.
    """
    rows = table.rename(columns={"pattern": "name_"})
    lines = rows["f"].map(error_line)
    below, seen = _below(rows, lines), _seen(rows, lines)
    right, strayed = (
        int(rows["unseen_right"].sum()),
        int((rows["unseen"] - rows["unseen_walked"]).sum()),
    )
    level = _family(len(rows))
    short = [
        _shortfall(r.trials, line, level) for r, line in zip(rows.itertuples(), lines, strict=True)
    ]
    return judge(
        not below and right == 0 and strayed == 0 and rows["name_"].nunique() >= 5 and seen > 0,
        f"{_trials(rows)} of {rows['name_'].nunique()} adaptive readers "
        f"({', '.join(dict.fromkeys(rows['name_']))}): {right} right and {strayed} on another way "
        f"in {int(rows['unseen'].sum()):,} trials on a D_i outside the walk on D_0; below the "
        f"line: {', '.join(below) or 'none'}, where a reader without an error is at {seen} points "
        f"(exact binomial, {CONFIDENCE:.0%} together: {min(short):.3f} to {max(short):.3f} below "
        "would be seen)",
        decided=seen > 0 or bool(below) or right + strayed > 0,
    )


@claim("nonadaptive.state", "observation", "ours", STATES, TIME)
def state(table: pd.DataFrame, time: pd.DataFrame) -> Judgement:
    """The theorem is about having no state: with the address of one token, log2 n bits of a pass
    over the stream, one read answers the family, and with one token and a mean none, where without
    a state .8 (n-1) reads are needed.
    """
    address = table[table["state"] == "address"]
    mean = table[table["state"] != "address"]
    small = bool((address["state_bits"] <= np.ceil(np.log2(address["n"]))).all())
    numbers = mean["state_bits"] / (32 * mean["d"])
    none = time[(time["family"] == "token") & (time["criterion"] == "prior 1/2")]
    needed = none.set_index("n")["reads"]
    sizes = [n for n in address["n"] if n in needed.index]
    wrong = int(table["wrong"].sum())
    return judge(
        wrong == 0
        and small
        and bool((address["reads"] == 1).all() and (mean["reads"] == 0).all())
        and len(sizes) >= 2
        and bool((numbers <= 8).all()),
        f"{wrong} errors in {int(table['trials'].sum())} trials; "
        + "; ".join(
            f"n = {n}: no state, {needed[n]:.0f} reads; "
            f"{int(address.set_index('n')['state_bits'][n])} bits, 1 read; "
            f"{int(mean.set_index('n')['state_bits'][n])} bits, none"
            for n in sizes
        ),
    )


@claim("nonadaptive.caches", "observation", "ours", CACHES)
def caches(table: pd.DataFrame) -> Judgement:
    """The theorem does not speak of compressors: a cache of the largest key, which reads
    everything, separates D_0 from every D_i with one token and the mean of the others.
    """
    row = table[table["compressor"] == "largest key"].iloc[0]
    high = clopper_pearson(row["wrong"], row["trials"], CONFIDENCE)[1]
    line = error_line(min(1.0, float(row["memory"])))
    return judge(
        row["wrong"] == 0 and high < line,
        f"{int(row['wrong'])} errors in {int(row['trials'])} independent trials (error below "
        f"{high:.4f} at {CONFIDENCE:.0%}) with {int(row['charged_bits'])} bits, "
        f"{100 * row['memory']:.1f} % of a 16-bit cache; a reader of such a share errs {line:.3f}",
    )
