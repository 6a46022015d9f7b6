"""The runs of ``fano`` and ``jl``: resumable, reproducible, and their small helpers."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from kvbarrier.experiments.fano import measure as fano
from kvbarrier.experiments.jl import measure as jl
from kvbarrier.experiments.jl.claims import reached
from kvbarrier.experiments.kit import binomial
from kvbarrier.experiments.kit.run import Run
from kvbarrier.experiments.registry import get
from kvbarrier.figures import fano as fano_figure
from kvbarrier.figures import jl as jl_figure
from kvbarrier.runs.executors import SerialExecutor

SMALL = {"matrices": 2000, "tails_d": (16,), "draws": 2, "longest": 32, "tried": 64,
         "tried_draws": 1}  # fmt: skip


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fano.TRIES, "quick", 1)
    monkeypatch.setattr(fano, "BITS", (1, 2, 3))
    monkeypatch.setattr(fano, "N", 6)
    monkeypatch.setitem(jl.SIZES, "quick", SMALL)
    monkeypatch.setitem(jl.UNION_SIZES, "quick", ((8, 0.5),))
    monkeypatch.setattr(jl, "HEAD_DIMENSIONS", (16, 64))
    monkeypatch.setattr(jl, "KERDOCK", (16, 64))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "picture"), [("fano", fano_figure.picture), ("jl", jl_figure.picture)]
)
def test_a_run_is_taken_up_where_it_was_left(name: str, picture, tmp_path: Path) -> None:
    experiment = get(name)
    job = Run(tmp_path, "quick", SerialExecutor())
    experiment.run(job)
    tables = {path: path.read_bytes() for path in tmp_path.glob("*.csv")}
    assert {p.name for p in tables} == {name for c in experiment.claims for name in c.data}
    gone = sorted(tables)[-1]
    gone.unlink()
    stamps = {path: path.stat().st_mtime_ns for path in tables if path != gone}
    experiment.run(job)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.csv")} == tables
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    for image in ("a.png", "b.png"):
        picture(tmp_path, tmp_path / image)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_simultaneous_intervals_are_clopper_and_pearson_s() -> None:
    """k = 0 and k = T in closed form; k = 3 of 10 at 97.5 % each: scipy's exact interval."""
    from scipy.stats import binomtest

    found = binomial.simultaneous([0, 10, 3, 3], [10, 10, 10, 10], 0.9)
    tail = 0.1 / 8
    assert found[0] == pytest.approx([0.0, 1 - tail**0.1])
    assert found[1] == pytest.approx([tail**0.1, 1.0])
    exact = binomtest(3, 10).proportion_ci(1 - 2 * tail, "exact")
    assert found[2] == pytest.approx([exact.low, exact.high])


def test_a_dimension_is_reached_when_every_draw_stays_below() -> None:
    table = pd.DataFrame(
        {"d": [8, 8, 16, 16, 32, 32, 64, 64], "e": [0.9, 0.4, 0.4, 0.3, 0.6, 0.1, 0.5, 0.2]}
    )
    assert reached(table, "e", 0.5) == 64  # one draw is above again at 32
    assert reached(table, "e", 0.9) == 8
    assert reached(table, "e", 0.4) == math.inf


def test_tails_do_not_depend_on_how_many_chunks_follow() -> None:
    one, two = (jl.tails(4, chunks) for chunks in (1, 2))
    assert all(a["exceeded"] <= b["exceeded"] for a, b in zip(one, two, strict=True))
    # norms move more often than any product of the unit pairs, whose spread is sqrt((1+c^2)/d)
    by = {(r["quantity"], r["inner"], r["eps"]): r["exceeded"] for r in two}
    assert by["norm", 1.0, 0.5] > by["product", 0.9, 0.5] > by["product", 0.0, 0.5]


def test_the_largest_key_set_is_the_largest_that_is_separated() -> None:
    from kvbarrier.errors import NoScale
    from kvbarrier.reductions import keys, margins, scale

    rule = margins.condition("01", jl.ETA, None)
    n = jl._largest(6, 256, 3)
    assert 16 <= n < 256
    scale.choose_scale(keys.make("jl", n, 6, 3), rule, jl.QUERY_NORM)
    with pytest.raises(NoScale):
        scale.choose_scale(keys.make("jl", round(n * 2**0.5), 6, 3), rule, jl.QUERY_NORM)
    assert jl._largest(2, 16, 3) == 0
