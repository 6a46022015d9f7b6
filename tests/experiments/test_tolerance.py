"""What the tolerance experiment measures, on instances small enough to see through."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from kvbarrier.experiments.tolerance import measure
from kvbarrier.experiments.tolerance.measure import STEP, Keys, Subject, Tolerance
from kvbarrier.reductions.attention import attention
from kvbarrier.reductions.index import IndexReduction

SMALL = Keys("jl", 32, 16)
HALF = Tolerance("01", eta=0.5)


def test_the_weights_are_the_definition_with_bobs_token():
    reduction = IndexReduction.build(SMALL.make(), 16)
    weights = measure._sent_weights(reduction)
    K = np.vstack([reduction.keys.rows, np.zeros(16)])
    V = np.vstack([np.eye(32), np.zeros(32)])
    for i in (0, 31):
        want = attention(reduction.queries()[0][i], K, V)
        assert weights[i] == pytest.approx(want, rel=1e-10)


def test_an_exact_cache_is_within_and_right():
    [row] = measure.compressor_rows(Subject("exact", (("dtype", "fp32"),)), SMALL, HALF, 3)
    assert row["largest"] < 1e-5
    assert row["within"] == row["answers"] == 3 * 32 * 16
    assert row["wrong"] == row["wrong_within"] == 0
    assert row["charged_bits"] == 32 * 32 * 32


def test_always_0_is_off_by_exactly_1_and_errs_on_the_ones():
    [row] = measure.compressor_rows(Subject("zero"), SMALL, HALF, 3)
    assert row["largest"] == row["upper_decile"] == 1.0
    assert row["within"] == row["wrong_within"] == 0
    ones = sum(int(measure.secrets(f"{SMALL} 01", m, 32, 16).sum()) for m in range(3))
    assert row["wrong"] == ones


def test_the_best_match_alone_is_right_and_far_off():
    [row] = measure.compressor_rows(Subject("top-k", (("k", 1),)), SMALL, HALF, 2)
    assert row["wrong"] == 0
    # It answers 0 where the exact output of a 0 is a little above.
    assert row["largest"] == 1.0


def test_rows_fall_as_a_whole_just_below_the_exact_scale():
    rows = measure.row_rows(Keys("kerdock", 32, 16), HALF, 2)
    seen = {(row["context"], row["ratio"]): row for row in rows}
    assert seen["complement", 1.0]["rows_right"] == 2
    assert seen["complement", 1 - STEP]["rows_right"] == 0
    assert seen["complement", 1 - STEP]["wrong_worst_row"] == 16
    assert seen["random", 1.0]["rows_right"] == seen["random", 1.0]["rows"] == 64


def test_the_papers_scale_is_above_the_exact_one():
    [row] = measure.paper_rows(Keys("jl-raw", 16, 256), 1)
    assert row["paper_scale"] > row["exact_scale"]
    assert row["delta"] + row["Delta"] == pytest.approx(1.0)
    assert row["worst_0"] < row["delta"] < 0.5 < row["Delta"] < row["worst_1"]
    assert row["wrong"] == row["wrong_worst"] == 0


def test_worst_rows_change_at_1_and_nowhere_else_where_tokens_are_alike():
    rows = measure.worst_rows(Keys("hypercube", 32, 8), Tolerance("pm1", gamma=0.5))
    assert [row["flips"] for row in rows] == [64 if row["ratio"] < 1 else 0 for row in rows]


@pytest.mark.parametrize(
    "tolerance",
    [HALF, Tolerance("pm1", eta=0.5), Tolerance("01", gamma=0.1), Tolerance("pm1", gamma=0.1)],
)
def test_plain_sums_agree_with_mpmath_on_exact_products(tolerance):
    rule, C = tolerance.rule, 5.25
    rows = [[Fraction(float(x)) for x in row] for row in SMALL.make().rows]

    def score(mine, other):
        product = sum(a * b for a, b in zip(mine, other, strict=True))
        return mpmath.mpf(product.numerator) / product.denominator

    demands = []
    with mpmath.workdps(40):
        for mine in rows:
            own = score(mine, mine)
            scores = [score(mine, other) for other in rows if other is not mine]
            others = sum(mpmath.exp(C * (one - own)) for one in scores)
            zero = mpmath.exp(-C * own)
            total = 1 + others + zero
            # The moved extremes over D_i, from the definition of each guarantee.
            e, signed = rule.tolerance, tolerance.values == "pm1"
            low, high = (others - 1, 1 - others) if signed else (others, mpmath.mpf(1))
            if tolerance.eta is not None and not signed:
                demands.append((1 + e) * low / ((1 - e) * high))
            elif tolerance.eta is not None:
                demands.append(others)
            else:
                # (low + g D < high - g D), rearranged to S' and the zero token against 1
                g = e if signed else 2 * e
                demands.append((others * (1 + g) + g * zero) / (1 - g))
                meets = low + e * total >= high - e * total
                assert meets == (demands[-1] >= 1)
    assert measure.largest_demand(SMALL, rule, C) == pytest.approx(float(max(demands)), rel=1e-14)


def test_an_error_that_scale_and_answers_would_share_is_seen(monkeypatch):
    """Gaps a thousandth too large in all of ``interference``: flips alone would call it sharp."""
    from kvbarrier.reductions import interference

    right = interference.gap_blocks

    def wrong(queries, own, keys):
        for rows, gaps in right(queries, own, keys):
            yield rows, 1.001 * gaps

    monkeypatch.setattr(interference, "gap_blocks", wrong)
    monkeypatch.setattr(
        interference,
        "_root",
        lambda gaps, *rest, root=interference._root: root(1.001 * gaps, *rest),
    )
    row = next(r for r in measure.worst_rows(SMALL, HALF) if r["ratio"] == 1.0)
    assert row["demand"] > 1 + 1e-4
    assert row["flips"] > 0
