"""What the average case's tables decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...protocols.evidence.betting import adjusted_level, interval
from ...protocols.evidence.verdicts import LEVEL
from ...protocols.game.cell import cell_of
from ...reductions.bounds import error_floor
from ...reductions.gaussian import average_rate
from ...runs.points import judge_rows
from ...runs.rows import BatchRow
from ..kit.binomial import simultaneous
from ..kit.experiment import Judgement, claim, judge
from ..kit.planted import points_played
from .measure import DIMENSIONS, POINTS, THETA

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.99
#: of the claim that the rate stays: beta, the rate, and the largest n for each d
ORDINARY = (2.0, 0.45, {64: 1 << 11, 128: 1 << 14})


@claim("average.theta", "observation", "ours", THETA)
def theta(table: pd.DataFrame) -> Judgement:
    """The share theta of rows whose interference reaches 1/rho is at most rho (n-1) (1+2c)^{-d/2},
    c = beta/sqrt(d) - beta^2/(2d), at every d, n and beta.
    """
    ends = simultaneous(table["unread"], table["rows"], CONFIDENCE)
    above = table[ends[:, 0] > table["closed"]]
    told = table[(table["closed"] < 1) & (table["unread"] > 0)]
    factor = float((told["closed"] / told["theta"]).min())
    return judge(
        above.empty and len(told) >= 5,
        f"{len(table)} triples (d, n, beta), {int(table['rows'].min()):,} to "
        f"{int(table['rows'].max()):,} independent rows each: {len(above)} whose interval "
        f"({CONFIDENCE:.0%} together) lies above; the closed form is below 1 at "
        f"{int((table['closed'] < 1).sum())}, and at {len(told)} of these some rows reach it: the "
        f"closed form is at least {factor:.1f} times what is measured there",
    )


@claim("average.ordinary", "observation", "ours", THETA)
def ordinary(table: pd.DataFrame) -> Judgement:
    """With Gaussian keys and queries of norm about beta = 2 an algorithm that is right with
    probability 9/10 on average needs .45 bits per secret bit at n up to 2^11 for d = 64 and up to
    2^14 for d = 128: no sublinear average case there.
    """
    beta, least, sizes = ORDINARY
    said, holds, known = [], True, True
    for d, most in sizes.items():
        rows = table[(table["d"] == d) & (table["beta"] == beta)].sort_values("n")
        inside = rows[rows["n"] <= most]
        holds &= bool((inside["rate"] >= least).all())
        known &= bool((inside["rate_at_level"] >= least).all()) and len(inside) >= 2
        last = rows.iloc[-1]
        said.append(
            f"d = {d}: at least {inside['rate'].min():.3f} up to n = {int(inside['n'].max()):,} "
            f"({inside['rate_at_level'].min():.3f} at the upper ends of theta's 99 % intervals), "
            f"{last['rate']:.3f} at n = {int(last['n']):,}"
        )
    return judge(holds, "; ".join(said), decided=known or not holds)


@dataclass(frozen=True)
class _Point:
    """A played point; ``kept``: its guarantee is not broken, on average."""

    name: str
    messages: int
    rate: float
    theta: float
    errors: Sequence[float]
    kept: bool

    def below(self, level: float, errors: Sequence[float] | None = None) -> bool:
        """Whether the error of the rows Bob reads, by its interval, is below the bound's.

        The bound M/N >= 1 - h(e + theta/2) says e >= h^{-1}(1 - M/N) - theta/2, theta that of the
        coins drawn.
        """
        high = interval(self.errors if errors is None else errors, level)[1]
        return high + self.theta / 2 < float(error_floor(self.rate))


def _points(rows: Sequence[BatchRow]) -> list[_Point]:
    found = []
    for batches in points_played(rows):
        one = judge_rows(batches, LEVEL)
        assert one.average is not None
        found.append(
            _Point(
                _name(batches[0]), one.messages, one.bits_per_secret_bit,
                float(one.average.unread.mean()), [float(e) for e in one.average.errors],
                one.guarantee == "not-broken",
            )
        )  # fmt: skip
    return found


def _name(row: BatchRow) -> str:
    cell = cell_of(row.spec_dict)
    return f"{row.compressor} at d = {cell.instance.d}, beta = {cell.instance.beta:g}"


@claim("average.bound", "observation", "ours", POINTS)
def bound(rows: Sequence[BatchRow]) -> Judgement:
    """No algorithm's memory is below n d (1 - h(delta + theta/2)), delta its error in the rows that
    Bob reads and theta that of the coins drawn, where that of a cheat without an error is.
    """
    points = _points(rows)
    level = adjusted_level(LEVEL, len(points))
    below = [point.name for point in points if point.below(level)]
    # A cheat: the same messages, of the same lengths, every bit of every row read right.
    caught = [p for p in points if p.below(level, [0.0] * p.messages)]
    short = [p for p in points if error_floor(p.rate) > p.theta / 2]
    needed = [_messages_needed(p, level) for p in caught]
    kept = [p.rate - average_rate(p.theta) for p in points if p.kept]
    return judge(
        not below and len(caught) > 0,
        f"{len(points)} points, {sum(p.messages for p in points)} messages; below: "
        f"{', '.join(below) or 'none'}; {len(kept)} keep the guarantee, with at least "
        f"{min(kept, default=0):.3f} bits per secret bit more than the bound at 1/10. Power: a "
        f"cheat that answers every read row right, planted at each, is caught at {len(caught)} of "
        f"the {len(short)} points that it would put below, after {min(needed, default=0)} to "
        f"{max(needed, default=0)} of {max((p.messages for p in points), default=0)} messages "
        f"({LEVEL:.0%} intervals, all points together)",
        decided=bool(below or caught),
    )


def _messages_needed(point: _Point, level: float) -> int:
    """After how many messages the planted cheat is below; it is after all of them."""
    return next(t for t in range(1, point.messages + 1) if point.below(level, [0.0] * t))


@claim("average.guess", "observation", "ours", POINTS)
def guess(rows: Sequence[BatchRow]) -> Judgement:
    """A full cache errs in no bit of a row that Bob reads, and in half of the bits of the others:
    its error is theta/2 of the coins drawn.
    """
    full = [b for b in points_played(rows) if b[0].compressor in ("exact", "lossless")]
    verdicts = [judge_rows(batches, LEVEL) for batches in full]
    wrong = sum(float(np.sum(one.average.errors)) for one in verdicts if one.average is not None)
    off, allowed, share = [], [], []
    for one in verdicts:
        assert one.average is not None
        guessed = float(one.average.unread.mean())
        off.append(abs(one.bit_error.estimate - guessed / 2))
        # Coins: half of the guessed bits, to five standard deviations.
        allowed.append(5 * np.sqrt(guessed / 4 / one.asked_bits))
        share.append(guessed)
    dimensions = len({cell_of(b[0].spec_dict).instance.d for b in full})
    return judge(
        wrong == 0
        and all(a <= b for a, b in zip(off, allowed, strict=True))
        and max(share, default=0) > 0.1
        and dimensions == len(DIMENSIONS),
        f"{len(full)} points, {sum(v.messages for v in verdicts)} messages: errors in rows read "
        f"{wrong:g}; theta {min(share, default=0):.4f} to {max(share, default=0):.4f}; the error "
        f"is off theta/2 by {max(off, default=0):.1e} at most (five standard deviations of the "
        f"guesses: {max(allowed, default=0):.1e})",
    )
