"""Points: judged once, with the cell that was played, and the same from rows alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs import points
from kvbarrier.runs.attack import attack

ONE = Index(n=32, d=16, keys="hypercube")


def test_every_point_of_an_attack_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, judged = points.judge_point, []

    def counted(records: Any, **sizes: Any) -> Any:
        judged.append(records)
        return judge(records, **sizes)

    monkeypatch.setattr(points, "judge_point", counted)
    report = attack(
        "quantized", instance=ONE, others=[replace(ONE, basis="rotated")], budgets=[None],
        params={"bits": 2}, messages=4,
    )  # fmt: skip
    assert len(report.together) == 2  # one a null
    assert len(report.points) == len(judged) == 2


def test_a_file_alone_says_of_a_point_what_the_attack_said() -> None:
    report = attack("zero", instance=ONE, budgets=[None], messages=4)
    rows = [row for outcome in report.outcomes for row in outcome.rows]
    (said,) = report.points
    beside = {name: said[name] for name in ("scale", "map")}  # of the play, not of the file
    assert [said] == [point | beside for point in points.points_of(rows)]


def test_equal_rows_are_judged_once_and_others_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table's claims and pictures read it again and again."""
    report = attack("zero", instance=ONE, budgets=[None], messages=6)
    rows = [row for outcome in report.outcomes for row in outcome.rows]
    judge, judged = points.judge_point, []

    def counted(records: Any, **sizes: Any) -> Any:
        judged.append(records)
        return judge(records, **sizes)

    monkeypatch.setattr(points, "judge_point", counted)
    first = points.judge_rows(rows)
    (again,) = points.points_of([replace(row) for row in rows])
    assert again["bit_error"] == first.as_dict()["bit_error"]
    assert len(judged) == 1
    right = tuple((0,) * 16 for _ in rows[0].wrong_by_age)
    better = [replace(rows[0], wrong_by_age=right, wrong_by_row=None), *rows[1:]]
    assert points.judge_rows(better).wrong_bits < first.wrong_bits
    assert points.judge_rows(rows, 0.99).bit_error.high > first.bit_error.high
    assert len(judged) == 3
