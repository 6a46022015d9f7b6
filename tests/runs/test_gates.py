"""Gates: parsing, selection, and the point that is larger than its budget."""

from __future__ import annotations

from fractions import Fraction

import pytest
from kvbarrier.cli.options import budgets
from kvbarrier.errors import BadInput
from kvbarrier.runs.gates import parse_gate


def point(error: float, budget: object, over: bool = False, **params: object) -> dict:
    return {
        "compressor": "mine",
        "bit_error": {"estimate": error, "low": error - 0.01, "high": error + 0.01},
        "budget": budget,
        "over_budget": over,
        "params": params,
        "ledger": {"verdict": "not-excluded", "surprise_bits": -5.0},
        "guarantee": {"verdict": "broken"},
        "failed": 0,
        "bits_per_secret_bit": 8.0,
        "compression_ratio": 4.0,
    }


POINTS = [point(0.05, Fraction(1, 2)), point(0.2, Fraction(1, 4), window=128)]


@pytest.mark.parametrize(
    ("text", "failures"),
    [
        ("bit_error<=0.1 @ budget=0.5", 0),
        ("bit_error<=0.1 @ budget=1/4", 1),
        ("bit_error<=0.1", 1),
        ("bit_error.high<=0.055 @ budget=0.5", 1),
        ("bit_error.low >= 1/25", 0),
        ("guarantee==not-broken", 2),
        ("guarantee!=undecided @ window=128", 0),
        ("compression_ratio>=4 @ window=128, budget=0.25", 0),
    ],
)
def test_gates_hold_or_fail_point_by_point(text: str, failures: int) -> None:
    assert len(parse_gate(text).judge(POINTS)) == failures


@pytest.mark.parametrize(
    ("text", "low", "high", "verdict"),
    [
        ("bit_error<=0.1", 0.02, 0.1, "holds"),
        ("bit_error<0.1", 0.02, 0.1, "undecided"),
        ("bit_error<=0.1", 0.02, 0.3, "undecided"),
        ("bit_error<=0.1", 0.11, 0.3, "fails"),
        ("bit_error>=0.1", 0.02, 0.3, "undecided"),
        ("bit_error>=0.1", 0.1, 0.3, "holds"),
        ("bit_error>0.1", 0.02, 0.09, "fails"),
        ("bit_error==0.1", 0.02, 0.3, "undecided"),
        ("bit_error!=0.1", 0.02, 0.3, "undecided"),
        ("bit_error!=0.1", 0.2, 0.3, "holds"),
        ("bit_error==0.1", 0.2, 0.3, "fails"),
        ("bit_error==0", 0.0, 0.0, "holds"),
        ("bit_error.estimate<=0.1", 0.02, 0.3, "holds"),
        ("bit_error.high<=0.1", 0.02, 0.3, "fails"),
    ],
)
def test_an_interval_across_the_threshold_is_undecided_and_fails(
    text: str, low: float, high: float, verdict: str
) -> None:
    one = point(0.0, None) | {"bit_error": {"estimate": 0.09, "low": low, "high": high}}
    failures = parse_gate(text).judge([one])
    assert len(failures) == (verdict != "holds")
    assert ["undecided: measured 0.09" in f for f in failures] == [verdict == "undecided"] * len(
        failures
    )


def test_a_point_without_a_budget_is_selected_as_free() -> None:
    gate = parse_gate("bit_error<=0.1 @ budget=free")
    assert gate.judge([point(0.2, None), point(0.3, Fraction(1, 2))]) == [
        f"{gate.text}: measured bit_error = 0.2"
    ]


def test_a_message_over_its_budget_does_not_stand_at_that_budget() -> None:
    failures = parse_gate("bit_error<=0.1 @ budget=0.5").judge([point(0.0, 0.5, over=True)])
    assert failures == ["bit_error<=0.1 @ budget=0.5: the message is larger than the budget allows"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("bit_eror<=0.1", "Did you mean 'bit_error'"),
        ("bit_error", "must be METRIC<=NUMBER"),
        ("bit_error<=low", "not a number"),
        ("bit_error<=1/0", "not a number"),
        ("bit_error<=1e400", "not a number"),
        ("bit_error<=1e9999999999", "not a number"),
        ("guarantee<=broken", "by == or !="),
        ("bit_error<=0.1 @ budget", "write name=value"),
    ],
)
def test_a_bad_gate_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        parse_gate(text)


def test_a_gate_that_matches_no_point_is_bad_input() -> None:
    with pytest.raises(BadInput, match="no point matches"):
        parse_gate("bit_error<=0.1 @ budget=1/8").judge(POINTS)


def test_a_gap_fails_the_gate_that_selects_it() -> None:
    gap = {"budget": 0.125, "params": {}, "sentence": "cannot live in 10 bits"}
    failures = parse_gate("bit_error<=0.4 @ budget=1/8").judge(POINTS, [gap])
    assert failures == ["bit_error<=0.4 @ budget=1/8: cannot live in 10 bits"]
    assert parse_gate("bit_error<=0.3").judge(POINTS, [gap]) == []


def test_a_gate_on_a_setting_that_is_not_played_is_refused_before_play() -> None:
    settings = [{"budget": 0.5, "params": {}}]
    parse_gate("bit_error<=0.1 @ budget=1/2").check(settings)
    with pytest.raises(BadInput, match="no point matches"):
        parse_gate("bit_error<=0.1 @ budget=1/4").check(settings)


@pytest.mark.parametrize("budget", ["1e400", "1e9999999999", "1/0"])
def test_a_gate_selects_nothing_by_a_number_beyond_floats(budget: str) -> None:
    """As exact fractions such powers of ten are computed for hours."""
    with pytest.raises(BadInput, match="no point matches"):
        parse_gate(f"bit_error<=0.1 @ budget={budget}").check(POINTS)


@pytest.mark.parametrize(
    "text", ["1e400", "1e-400", "1e9999999999", "1e-9999999999", "2.0000000000000001"]
)
def test_a_budget_beyond_floats_is_refused_at_once(text: str) -> None:
    with pytest.raises(BadInput, match=r"is not a number|must be in"):
        budgets((text,))
