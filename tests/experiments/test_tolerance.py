"""What the tolerance experiment measures, on instances small enough to see through."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.experiments import tolerance_tables as tables
from kvbarrier.experiments.tolerance_tables import STEP, Keys, Subject, Tolerance
from kvbarrier.reductions.attention import attention
from kvbarrier.reductions.index import IndexReduction

SMALL = Keys("jl", 32, 16)
HALF = Tolerance("01", eta=0.5)


def test_the_weights_are_the_definition_with_bobs_token():
    reduction = IndexReduction.build(SMALL.make(), 16)
    weights = tables._sent_weights(reduction)
    K = np.vstack([reduction.keys.rows, np.zeros(16)])
    V = np.vstack([np.eye(32), np.zeros(32)])
    for i in (0, 31):
        want = attention(reduction.queries()[0][i], K, V)
        assert weights[i] == pytest.approx(want, rel=1e-10)


def test_an_exact_cache_is_within_and_right():
    [row] = tables.compressor_rows(Subject("exact", (("dtype", "fp32"),)), SMALL, HALF, 3)
    assert row["largest"] < 1e-5
    assert row["within"] == row["answers"] == 3 * 32 * 16
    assert row["wrong"] == row["wrong_within"] == 0
    assert row["charged_bits"] == 32 * 32 * 32


def test_always_0_is_off_by_exactly_1_and_errs_on_the_ones():
    [row] = tables.compressor_rows(Subject("zero"), SMALL, HALF, 3)
    assert row["largest"] == row["upper_decile"] == 1.0
    assert row["within"] == row["wrong_within"] == 0
    ones = sum(int(tables.secrets(f"{SMALL} 01", m, 32, 16).sum()) for m in range(3))
    assert row["wrong"] == ones


def test_the_best_match_alone_is_right_and_far_off():
    [row] = tables.compressor_rows(Subject("top-k", (("k", 1),)), SMALL, HALF, 2)
    assert row["wrong"] == 0
    # It answers 0 where the exact output of a 0 is a little above.
    assert row["largest"] == 1.0


def test_rows_fall_as_a_whole_just_below_the_exact_scale():
    rows = tables.row_rows(Keys("kerdock", 32, 16), HALF, 2)
    seen = {(row["context"], row["ratio"]): row for row in rows}
    assert seen["complement", 1.0]["rows_right"] == 2
    assert seen["complement", 1 - STEP]["rows_right"] == 0
    assert seen["complement", 1 - STEP]["wrong_worst_row"] == 16
    assert seen["random", 1.0]["rows_right"] == seen["random", 1.0]["rows"] == 64


def test_the_papers_scale_is_above_the_exact_one():
    [row] = tables.paper_rows(Keys("jl-raw", 16, 256), 1)
    assert row["paper_scale"] > row["exact_scale"]
    assert row["delta"] + row["Delta"] == pytest.approx(1.0)
    assert row["worst_0"] < row["delta"] < 0.5 < row["Delta"] < row["worst_1"]
    assert row["wrong"] == row["wrong_worst"] == 0


def test_worst_rows_change_at_1_and_nowhere_else_where_tokens_are_alike():
    rows = tables.worst_rows(Keys("hypercube", 32, 8), Tolerance("pm1", gamma=0.5))
    assert [row["flips"] for row in rows] == [64 if row["ratio"] < 1 else 0 for row in rows]
