"""What the zoo's points say: about the limit, about evictions, about each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...protocols.evidence.verdicts import LEVEL
from ...runs.points import judge_rows
from ...runs.ranking import Point, error_at
from ...runs.rows import BatchRow, prefixes
from ..kit.experiment import Judgement, claim, judge
from ..kit.planted import none_below_fano, none_impossible
from .measure import AT, HELD, POINTS, ROWS, TWINS

if TYPE_CHECKING:
    import pandas as pd

CLOSE = 0.005
#: Who ranks tokens by the length of their values drops those with the fewest ones: where a token is
#: gone Bob reads ones, so he errs more than half of the time. Seen when it joined the table.
BY_VALUES = ("expected-attention",)


@claim("leaderboard.possible", "Theorem 23", "ours", ROWS)
def possible(rows: list[BatchRow]) -> Judgement:
    """No algorithm's charged memory is impossible on any of the six families of streams, where that
    of a cheat without an error is.
    """
    return none_impossible(rows)


@claim("leaderboard.fano", "Theorem 5", "ours", ROWS)
def fano(rows: list[BatchRow]) -> Judgement:
    """No row beats Fano: no interval lies below M/N = 1 - h(e), on any stream, where that of a
    cheat without an error does.
    """
    return none_below_fano(rows)


@claim("leaderboard.eviction", "observation", "ours", ROWS, HELD, preregistered=False)
def eviction(rows: list[BatchRow], held: pd.DataFrame) -> Judgement:
    """Whatever a policy keeps that does not look at the values, holding a share f of the tokens
    leaves error (1 - f)/2 on the hard stream.
    """
    share = {row["cell"]: row["held"] / row["n"] for _, row in held.iterrows()}
    off, gaps, names, looks = [], [], set(), [0.0]
    for run in prefixes(rows).values():
        if run and run[0].cell in share:
            error = judge_rows(run, LEVEL).bit_error
            expected = (1 - share[run[0].cell]) / 2
            if run[0].compressor in BY_VALUES:
                looks.append(error.estimate - expected)
                continue
            gaps.append(abs(error.estimate - expected))
            names.add(run[0].compressor)
            if not error.low <= expected <= error.high:
                off.append(run[0].compressor)
    far = max(gaps)
    return judge(
        far <= CLOSE and not off,
        f"{len(gaps)} points of {len(names)} algorithms; largest distance from the value {far:.4f} "
        f"(allowed {CLOSE:g}); intervals ({LEVEL:.0%}) that miss it: {', '.join(off) or 'none'}. "
        f"Apart: {', '.join(BY_VALUES)}, up to {max(looks):.4f} above it",
    )


@claim("leaderboard.heavy-hitters", "observation", "ours", POINTS)
def heavy_hitters(points: list[Point]) -> Judgement:
    """Where few tokens are attended to, H2O is ahead of a uniform sample of tokens."""
    return _ahead("h2o", [p for p in points if p["stream"] == "heavy-hitters"])


def _ahead(name: str, here: list[Point]) -> Judgement:
    """Is it ahead of a uniform sample where its own assumption holds?"""
    sample = error_at([p for p in here if p["compressor"] == "reservoir"], AT)
    one = error_at([p for p in here if p["compressor"] == name], AT)
    if sample is None or one is None:
        return judge(False, f"no point of {name} or reservoir within {AT} of the 16-bit cache")
    low, high = sample["bit_error"]["low"], one["bit_error"]["high"]
    return judge(
        high < low,
        f"{one['messages']} messages each at {AT} of the cache: {name} errs "
        f"{one['bit_error']['estimate']:.3f} (at most {high:.3f}), a uniform sample "
        f"{sample['bit_error']['estimate']:.3f} (at least {low:.3f}); intervals at {LEVEL:.0%}",
    )


@claim("leaderboard.recency", "observation", "ours", POINTS)
def recency(points: list[Point]) -> Judgement:
    """Where only recent tokens are asked for, a window is ahead of a uniform sample."""
    return _ahead("sliding-window", [p for p in points if p["stream"] == "recency"])


@claim("leaderboard.twins", "observation", "ours", TWINS)
def twins(pairs: pd.DataFrame) -> Judgement:
    """No two rows are one algorithm: on a random stream with Gaussian queries whoever holds what
    another holds answers differently.

    Who holds the same as another must answer differently, or is the same algorithm.
    """
    echoes = pairs[pairs["answers"]]
    said = [f"{row['one']} and {row['other']}" for _, row in pairs.iterrows() if not row["answers"]]
    same = [f"{row['one']} and {row['other']}" for _, row in echoes.iterrows()]
    return judge(
        echoes.empty,
        f"one random stream, 64 queries; the same answers: {', '.join(same) or 'none'}; the same "
        f"memory and other answers: {', '.join(said) or 'none'}",
    )
