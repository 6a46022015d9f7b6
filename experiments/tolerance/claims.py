"""What the adversary's worst answers and the compressors' own errors say about the implication."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kit.experiment import Judgement, claim, judge
from .measure import COMPRESSORS, PAPER, ROWS, STEP, WORST, D

if TYPE_CHECKING:
    import pandas as pd

#: what plain sums may be off by
ROUNDING = 1e-12


@claim("tolerance.exact", "Theorem 6", "reconstructed", PAPER)
def exact(table: pd.DataFrame) -> Judgement:
    """With the paper's scale C = ln(n+1)/(1-2 eps) (reconstructed), where eps < 1/2, every bit read
    off an exact output at the threshold 1/2 is right.
    """
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


@claim("tolerance.relative", "Theorem 8", "reconstructed", WORST)
def relative(worst: pd.DataFrame) -> Judgement:
    """At the exact scale (ours) and above, the worst error within (1 +- eta) on the worst context
    flips no bit.
    """
    table = _about(worst, ("M01",))
    holds, says = _no_flip(table)
    etas = ", ".join(f"{eta:g}" for eta in sorted(table["tolerance"].unique()))
    return judge(holds, f"{says}; {_key_sets(table)}, eta = {etas}")


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


def _key_sets(table: pd.DataFrame) -> str:
    sets = table.groupby(["keys", "seed"]).ngroups
    draws = int(table.loc[table["keys"] == "jl", "seed"].nunique())
    return f"all tokens of {sets} key sets ({draws} independent jl draws)"


@claim("tolerance.sharp", "observation", "ours", WORST)
def sharp(worst: pd.DataFrame) -> Judgement:
    """Just below the exact scale the worst error within (1 +- eta) flips a bit: the margin
    condition is sharp.
    """
    table = _about(worst, ("M01",))
    holds, says = _flipped(table)
    return judge(holds, f"{says}, and there no threshold would do; {_key_sets(table)}")


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


@claim("tolerance.signs", "observation", "ours", WORST)
def signs(worst: pd.DataFrame) -> Judgement:
    """With values -1, +1 the exact scale does not depend on eta, and is sharp."""
    table = _about(worst, ("M+-",))
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


@claim("tolerance.additive", "observation", "ours", WORST)
def additive(worst: pd.DataFrame) -> Judgement:
    """The additive conditions A01 and A+- are sharp: no flip at the exact scale, a flip just
    below.
    """
    table = _about(worst, ("A01", "A+-"))
    safe, says = _no_flip(table)
    sharp, flipped = _flipped(table)
    return judge(safe and sharp, f"{says}; {flipped}; {_key_sets(table)}")


@claim("tolerance.row", "Remark 7", "reconstructed", ROWS)
def row(table: pd.DataFrame) -> Judgement:
    """One output decodes the whole row: at the exact scale all d bits of a row are right at once
    under the worst error.
    """
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


@claim("tolerance.implication", "observation", "ours", COMPRESSORS)
def implication(table: pd.DataFrame) -> Judgement:
    """Every compressor whose measured relative error stays within eta on all queries answers every
    bit right.
    """
    kept = table[table["largest"] <= table["eta"]]
    wrong = int(kept["wrong"].sum())
    within = int(table["wrong_within"].sum())
    return judge(
        wrong == 0 and within == 0 and len(kept) > 0,
        f"{wrong} wrong of {int(kept['answers'].sum()):,} bits for the {len(kept)} of {len(table)} "
        f"settings whose largest error is within eta; over all settings {within} wrong bits behind "
        f"{int(table['within'].sum()):,} answers within eta; {_messages(table)}",
    )


def _messages(table: pd.DataFrame) -> str:
    return f"the same {int(table['messages'].min())} independent messages for every setting"


@claim("tolerance.converse", "observation", "ours", COMPRESSORS)
def converse(table: pd.DataFrame) -> Judgement:
    """Some compressors answer every bit right although their measured error exceeds eta: the
    implication has no converse.
    """
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
