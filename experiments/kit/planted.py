"""Claims that none is caught, with their power: what could have been, and is when it is planted.

A claim of the form "none is impossible" holds on every table of points at which nothing could be
seen. So it counts the points at which a cheat without an error would be (:mod:`..protocols.power`),
plants one at each, the point's own messages with every asked bit right, and judges the whole table
again. Where there is no such point the claim is undecided; where a planted cheat is not seen, the
judge is broken and the claim fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...protocols.evidence.evidence import family_ledger
from ...protocols.evidence.power import interval_catches
from ...protocols.evidence.verdicts import LEVEL, PointVerdict
from ...runs.points import judge_rows
from ...runs.rows import BatchRow, newest, prefixes
from .experiment import Judgement, judge

Batches = list[BatchRow]


def without_errors(batches: Batches) -> Batches:
    """The same messages of the same lengths, every asked bit right: what a side memory is for."""
    none = tuple(0 for _ in batches[0].wrong_by_age[0])
    return [
        replace(row, wrong_by_age=tuple(none for _ in row.wrong_by_age), wrong_by_row=None)
        for row in batches
    ]


def points_played(rows: Sequence[BatchRow]) -> list[Batches]:
    """The contiguous batches of each point of a table, of its newest code."""
    return [batches for batches in prefixes(newest(rows)).values() if batches]


def none_impossible(rows: Sequence[BatchRow]) -> Judgement:
    """Is no point's charged memory impossible, by the ledger of all points together?"""
    played = points_played(rows)
    found = [judge_rows(batches, LEVEL) for batches in played]
    family = family_ledger([one.ledger for one in found])
    seen = [at for at, one in enumerate(found) if one.power.catches(line=family.line)]
    caught = sum(_named(found, at, judge_rows(without_errors(played[at]))) for at in seen)
    short = sum(not one.ledger.blind for one in found)
    floors = [_share_of_the_floor(found[at], family.line) for at in seen]
    return judge(
        family.verdict != "impossible" and caught == len(seen),
        f"{_counted(found)}; the family's surprise peaks at {family.peak:.1f} bits, "
        f"convicted at 40. Power: a cheat without an error would be named at {len(seen)} of the "
        f"{short} points that send fewer bits than the secret has; planted at each: {caught} named"
        + (f"; one that errs {min(floors):.3f} of Fano's error would be as well" if floors else ""),
        decided=family.verdict == "impossible" or bool(seen),
    )


def _named(found: Sequence[PointVerdict], at: int, cheat: PointVerdict) -> bool:
    """Whether the family names the point at which a cheat takes the place of what was found."""
    planted = family_ledger([one.ledger for one in (*found[:at], cheat, *found[at + 1 :])])
    return planted.verdict == "impossible" and at in planted.named


def _share_of_the_floor(one: PointVerdict, line: float) -> float:
    error = one.power.error(line)
    assert error is not None
    return error / one.error_floor


def none_below_fano(rows: Sequence[BatchRow]) -> Judgement:
    """Does no point's interval lie below M/N = 1 - h(e)?"""
    played = points_played(rows)
    found = [judge_rows(batches, LEVEL) for batches in played]
    below = [
        batches[0].compressor for batches, one in zip(played, found, strict=True) if _below(one)
    ]
    seen = [
        at
        for at, one in enumerate(found)
        if interval_catches(one.messages, one.bits_per_secret_bit, LEVEL)
    ]
    caught = sum(_below(judge_rows(without_errors(played[at]))) for at in seen)
    return judge(
        not below and caught == len(seen),
        f"{_counted(found)}; below the curve: {', '.join(below) or 'none'}. Power: the interval of "
        f"a cheat without an error would lie below it at {len(seen)} points; planted at each: "
        f"{caught} seen",
        decided=bool(below or seen),
    )


def _below(one: PointVerdict) -> bool:
    return one.bit_error.high < one.error_floor


def _counted(found: Sequence[PointVerdict]) -> str:
    return f"{len(found)} points, {sum(one.messages for one in found)} messages"
