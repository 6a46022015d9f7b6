"""The leaderboard's arithmetic, gaps and twins."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from kvbarrier.compressors import catalog
from kvbarrier.experiments.leaderboard import measure as leaderboard
from kvbarrier.experiments.leaderboard import twins
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs.ranking import error_at, ranking, recovered


def point(name: str, error: float, rate: float, ratio: float | None = None) -> dict:
    return {
        "compressor": name,
        "bit_error": {"estimate": error},
        "bits_per_secret_bit": rate,
        "charged_bits": int(1000 * rate),
        "compression_ratio": 32 / rate if rate and ratio is None else ratio,
    }


def test_recovered_bits_are_fanos() -> None:
    # 1 - h(.11) = .50008..., the textbook half-rate point of the binary symmetric source.
    assert recovered(point("a", 0.11, 0.5)) == pytest.approx(1.0002, abs=1e-4)
    assert recovered(point("a", 0, 2)) == 0.5
    assert recovered(point("a", 0.5, 2)) == recovered(point("a", 0.6, 2)) == 0
    assert recovered(point("a", 0.5, 0)) == 0


def test_the_ranking_takes_everybodys_best() -> None:
    points = [point("a", 0, 4), point("b", 0, 2), point("a", 0, 1.5), point("c", 0.5, 1)]
    assert [(name, best["bits_per_secret_bit"]) for name, best in ranking(points)] == [
        ("a", 1.5), ("b", 2), ("c", 1),
    ]  # fmt: skip


def test_the_error_at_a_budget_is_the_least_within_it() -> None:
    points = [point("a", 0.4, 4), point("a", 0.2, 8), point("a", 0.1, 16)]
    assert error_at(points, Fraction(1, 4))["bit_error"]["estimate"] == 0.2
    assert error_at(points, Fraction(1, 16)) is None
    assert error_at([point("z", 0.5, 0, math.inf)], Fraction(1, 64)) is not None


def test_every_algorithm_is_played_at_every_budget_it_can_meet() -> None:
    cells, gaps = leaderboard.living("quick")
    hard = [c for c in cells if leaderboard.stream_of(leaderboard._variant(c.instance)) == "hard"]
    refused = {(gap["compressor"], gap["budget"]) for gap in gaps if gap["stream"] == "hard"}
    for one in leaderboard.entries():
        own = [cell for cell in hard if cell.target == one.name]
        assert own, one.name
        if one.control:
            continue
        if one.settings:
            assert len(own) >= 5, one.name
            continue
        for budget in leaderboard.BUDGETS:
            played = any(cell.budget == budget for cell in own)
            assert played != ((one.name, str(budget)) in refused), (one.name, budget)
    for gap in gaps:
        assert gap["minimum_bits"] > 0
        assert str(gap["minimum_bits"]) in gap["sentence"]


def test_the_zoo_is_on_it() -> None:
    names = {one.name for one in leaderboard.entries()}
    zoo = {name for name in catalog.names() if catalog.family(name) in leaderboard_zoo()}
    assert zoo <= names


def leaderboard_zoo() -> tuple[str, ...]:
    from kvbarrier.compressors.zoo import ZOO

    return ZOO


def test_held_tokens_are_counted_without_bobs() -> None:
    # A window of W = 32 tokens in fp16 holds 31 once Bob's has come.
    cell = Cell(Index(n=64, d=16), "sliding-window", budget=Fraction(1, 2))
    [row] = leaderboard.held(cell)
    assert (row["held"], row["n"]) == (31, 64)
    assert leaderboard.held(Cell(Index(n=64, d=16), "zero")) == []


def test_one_algorithm_under_two_names_is_reported() -> None:
    window, sinks = catalog.entry("sliding-window"), catalog.entry("streaming-llm")
    assert twins.twins((window, sinks)) == []
    [found] = twins.twins((window, catalog.entry("top-k")))
    assert (found["held"], found["answers"]) == (True, False)
    from dataclasses import replace

    # A StreamingLLM without sinks is a window by another name.
    bare = replace(sinks, settings=({"sinks": 0, "window": 128},))
    [found] = twins.twins((window, bare))
    assert (found["held"], found["answers"]) == (True, True)
