"""The implication behind Theorems 6 and 8: an answer within the tolerance gives Bob every bit.

Two ways. The adversary of ``reductions.adversary`` uses up the whole tolerance on the worst
streams, at scales around the exact one, in float64. And compressors of the catalog play the game,
each answer compared with exact attention: their largest relative error stands beside their bit
error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..kit.experiment import Claim, Experiment, Judgement, Run, judge
from ..kit.tables import Tables, fill, read_table
from . import tables
from .tables import STEP, Keys, Tolerance

if TYPE_CHECKING:
    import pandas as pd

PAPER, WORST, ROWS, COMPRESSORS = (
    f"tolerance-{name}.csv" for name in ("paper", "worst", "rows", "compressors")
)
ETAS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
TOLERANCES = (
    *(Tolerance("01", eta=eta) for eta in ETAS),
    *(Tolerance("pm1", eta=eta) for eta in ETAS),
    *(Tolerance("01", gamma=gamma) for gamma in (0.01, 0.1, 0.2, 0.3, 0.4, 0.45)),
    *(Tolerance("pm1", gamma=gamma) for gamma in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9)),
)
ROW_TOLERANCES = (
    Tolerance("01", eta=0.5), Tolerance("pm1", eta=0.5),
    Tolerance("01", gamma=0.1), Tolerance("pm1", gamma=0.1),
)  # fmt: skip
# For signs eta drops out of the scale, so the largest is the hardest test of the implication.
PLAYED = (*(Tolerance("01", eta=eta) for eta in (0.1, 0.5, 0.9)), Tolerance("pm1", eta=0.9))


@dataclass(frozen=True)
class Grid:
    """The sizes of a scale."""

    sizes: tuple[tuple[int, int], ...]  # (n, d) at the paper's scale
    draws: int  # of random keys
    n: int
    messages: int  # at the paper's scale and for rows
    played: int  # messages a compressor


GRIDS = {
    "quick": Grid(((64, 256), (64, 512), (64, 1024), (256, 1024)), 4, 256, 8, 16),
    "full": Grid(((64, 256), (64, 512), (256, 1024), (1024, 2048)), 16, 1024, 32, 64),
}
D = 64
#: what plain sums may be off by
ROUNDING = 1e-12


def run(job: Run) -> None:
    """Fill the four tables; one that is already there is left alone."""
    grid = GRIDS[job.scale]
    job.folder.mkdir(parents=True, exist_ok=True)
    kinds = [(name, n, d) for name in ("jl-raw", "jl") for n, d in grid.sizes] * grid.draws
    # Keys of another size with the same seed begin with the same coins: every draw has its own.
    random = [Keys(name, n, d, seed) for seed, (name, n, d) in enumerate(kinds)]
    sets = [Keys("jl", grid.n, D, seed) for seed in range(grid.draws)]
    sets += [Keys("hypercube", grid.n, D), Keys("kerdock", grid.n, D)]
    subjects = [(s, sets[0], t) for t in PLAYED for s in tables.subjects(grid.n)]
    rows = [(k, t, grid.messages) for k in sets for t in ROW_TOLERANCES]
    plan: Tables = {
        COMPRESSORS: [(tables.compressor_rows, (*s, grid.played)) for s in subjects],
        PAPER: [(tables.paper_rows, (k, grid.messages)) for k in random],
        WORST: [(tables.worst_rows, (k, t)) for k in sets for t in TOLERANCES],
        ROWS: [(tables.row_rows, task) for task in rows],
    }
    fill(job, "tolerance", plan)


# -- claims ------------------------------------------------------------------------------------


def _paper_is_right(folder: Path) -> Judgement:
    table = read_table(folder, PAPER)
    wrong = int(table["wrong"].sum() + table["wrong_worst"].sum())
    outside = int(((table["worst_0"] > table["delta"]) | (table["worst_1"] < table["Delta"])).sum())
    met = bool((table["eps"] < 0.5).all())
    random, worst = int(table["asked"].sum()), int(2 * table["n"].sum())
    return judge(
        wrong == 0 and outside == 0 and met,
        f"{table['seed'].nunique()} independent key draws, eps {table['eps'].min():.2f} to "
        f"{table['eps'].max():.2f}; {wrong} wrong of {random:,} bits of random secrets and "
        f"{worst:,} worst cases; outputs beyond delta or Delta in {outside} draws",
    )


def _about(table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    return table[table["condition"].isin(names)]


def _no_flip(table: pd.DataFrame) -> tuple[bool, str]:
    """Is no bit flipped at the scale and above, and do plain sums have all demands below 1 there?

    By more than 1e-12, which plain sums of a few hundred terms have for rounding: a scale is 1e-9
    above its root.
    """
    above = table[table["ratio"] >= 1.0]
    flips, room = int(above["flips"].sum()), 1 - above["demand"]
    says = (
        f"{flips} flips in {int(above['bits'].sum()):,} worst cases at and above the exact scale, "
        f"where plain sums of correctly rounded products leave {room.min():.0e} or more"
    )
    return flips == 0 and bool((room.dropna() > ROUNDING).all()), says


def _flipped(table: pd.DataFrame) -> tuple[bool, str]:
    """Does every instance have a flipped bit, and a token that no threshold reads, just below?

    And a demand above 1 by plain sums: the answers and the scale could share an error.
    """
    below = table[(table["ratio"] > 1 - 2 * STEP) & (table["ratio"] < 1.0)]
    cases = table.groupby(["keys", "seed", "condition", "tolerance"]).ngroups
    flipped = (below["flips"] > 0) & (below["unreadable"] > 0)
    over = below["demand"] - 1
    says = (
        f"{int(flipped.sum())} of {cases} instances have a flip at 1 - {STEP:g} times that scale, "
        f"where plain sums are above by {over.min():.0e} or more"
    )
    return int((flipped & (over > ROUNDING)).sum()) == cases == len(below), says


def _safe(folder: Path) -> Judgement:
    table = _about(read_table(folder, WORST), ("M01",))
    holds, says = _no_flip(table)
    etas = ", ".join(f"{eta:g}" for eta in sorted(table["tolerance"].unique()))
    return judge(holds, f"{says}; {_key_sets(table)}, eta = {etas}")


def _sharp(folder: Path) -> Judgement:
    table = _about(read_table(folder, WORST), ("M01",))
    holds, says = _flipped(table)
    return judge(holds, f"{says}, and there no threshold would do; {_key_sets(table)}")


def _signs(folder: Path) -> Judgement:
    table = _about(read_table(folder, WORST), ("M+-",))
    safe, says = _no_flip(table)
    sharp, flipped = _flipped(table)
    columns = table.groupby(["keys", "seed", "ratio"])[["exact_scale", "flips"]]
    differ = int((columns.nunique() > 1).to_numpy().sum())
    etas = ", ".join(f"{eta:g}" for eta in sorted(table["tolerance"].unique()))
    return judge(
        safe and sharp and differ == 0,
        f"scale and flips differ between eta = {etas} at {differ} of {columns.ngroups} scales; "
        f"{says}; {flipped}; {_key_sets(table)}",
    )


def _additive(folder: Path) -> Judgement:
    table = _about(read_table(folder, WORST), ("A01", "A+-"))
    safe, says = _no_flip(table)
    sharp, flipped = _flipped(table)
    return judge(safe and sharp, f"{says}; {flipped}; {_key_sets(table)}")


def _key_sets(table: pd.DataFrame) -> str:
    sets = table.groupby(["keys", "seed"]).ngroups
    draws = int(table.loc[table["keys"] == "jl", "seed"].nunique())
    return f"all tokens of {sets} key sets ({draws} independent jl draws)"


def _whole_rows(folder: Path) -> Judgement:
    table = read_table(folder, ROWS)
    at, below = (table[table["ratio"] == 1.0], table[table["ratio"] < 1.0])
    missed = int((at["rows"] - at["rows_right"]).sum())
    worst = below[below["context"] == "complement"]
    # Every tolerance and context is asked about the same secrets of a key set.
    secrets = int(at.groupby(["keys", "seed"])["streams"].first().sum())
    fallen = int((worst["wrong_worst_row"] == D).sum())
    return judge(
        missed == 0,
        f"{int(at['rows_right'].sum()):,} of {int(at['rows'].sum()):,} rows right as a whole at "
        f"the exact scale, on {secrets} independent secrets; at 1 - "
        f"{STEP:g} times it the worst row has all its {D} bits wrong at once in {fallen} of "
        f"{len(worst)} instances",
    )


def _implied(folder: Path) -> Judgement:
    table = read_table(folder, COMPRESSORS)
    kept = table[table["largest"] <= table["eta"]]
    wrong = int(kept["wrong"].sum())
    within = int(table["wrong_within"].sum())
    return judge(
        wrong == 0 and within == 0 and len(kept) > 0,
        f"{wrong} wrong of {int(kept['answers'].sum()):,} bits for the {len(kept)} of {len(table)} "
        f"settings whose largest error is within eta; over all settings {within} wrong bits behind "
        f"{int(table['within'].sum()):,} answers within eta; {_messages(table)}",
    )


def _no_converse(folder: Path) -> Judgement:
    table = read_table(folder, COMPRESSORS)
    beyond = table[(table["largest"] > table["eta"]) & (table["wrong"] == 0)]
    far = beyond.loc[(beyond["largest"] / beyond["eta"]).idxmax()] if len(beyond) else None
    example = "" if far is None else (
        f"; {far['compressor']} {far['params']} is off by {far['largest']:.2f} at "
        f"eta = {far['eta']:g} and has 0 wrong of {int(far['answers']):,} bits"
    )  # fmt: skip
    return judge(
        len(beyond) > 0,
        f"{len(beyond)} of {len(table)} settings have an error above eta and no wrong bit{example}"
        f"; {_messages(table)}",
    )


def _messages(table: pd.DataFrame) -> str:
    return f"the same {int(table['messages'].min())} independent messages for every setting"


EXPERIMENT = Experiment(
    name="tolerance",
    title="The worst answers that a tolerance allows, and the errors of real compressors",
    run=run,
    claims=(
        Claim(
            "tolerance.exact",
            "Theorem 6",
            "With the paper's scale C = ln(n+1)/(1-2 eps) (reconstructed), where eps < 1/2, every "
            "bit read off an exact output at the threshold 1/2 is right",
            "reconstructed",
            (PAPER,),
            _paper_is_right,
        ),
        Claim(
            "tolerance.relative",
            "Theorem 8",
            "At the exact scale (ours) and above, the worst error within (1 +- eta) on the worst "
            "context flips no bit",
            "reconstructed",
            (WORST,),
            _safe,
        ),
        Claim(
            "tolerance.sharp",
            "observation",
            "Just below the exact scale the worst error within (1 +- eta) flips a bit: the margin "
            "condition is sharp",
            "ours",
            (WORST,),
            _sharp,
        ),
        Claim(
            "tolerance.signs",
            "observation",
            "With values -1, +1 the exact scale does not depend on eta, and is sharp",
            "ours",
            (WORST,),
            _signs,
        ),
        Claim(
            "tolerance.additive",
            "observation",
            "The additive conditions A01 and A+- are sharp: no flip at the exact scale, a flip "
            "just below",
            "ours",
            (WORST,),
            _additive,
        ),
        Claim(
            "tolerance.row",
            "Remark 7",
            "One output decodes the whole row: at the exact scale all d bits of a row are right at "
            "once under the worst error",
            "reconstructed",
            (ROWS,),
            _whole_rows,
        ),
        Claim(
            "tolerance.implication",
            "observation",
            "Every compressor whose measured relative error stays within eta on all queries "
            "answers every bit right",
            "ours",
            (COMPRESSORS,),
            _implied,
        ),
        Claim(
            "tolerance.converse",
            "observation",
            "Some compressors answer every bit right although their measured error exceeds eta: "
            "the implication has no converse",
            "ours",
            (COMPRESSORS,),
            _no_converse,
        ),
    ),
    minutes={"quick": 0.3, "full": 15},
)
