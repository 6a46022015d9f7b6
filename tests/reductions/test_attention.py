"""The definitions, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions.attention import attention, sliding_window_attention


def test_two_tokens_are_a_logistic():
    # Scores a and b, values 0 and 1: the output is 1 / (1 + e^{a - b}).
    for a, b in [(0.0, 0.0), (1.0, -2.0), (30.0, 31.5)]:
        got = attention([1.0], [[a], [b]], [[0.0], [1.0]])
        assert got[0] == pytest.approx(1 / (1 + np.exp(a - b)), rel=1e-14)


def test_a_zero_query_averages():
    V = np.arange(12.0).reshape(6, 2)
    assert attention(np.zeros(3), np.ones((6, 3)), V) == pytest.approx([5.0, 6.0])


def test_scores_have_no_square_root_of_d():
    # d = 4, k = ones: <q, k> = ln 3 exactly when q = ln(3)/4 ones; weights 3 : 1.
    q = np.full(4, np.log(3) / 4)
    got = attention(q, [np.ones(4), np.zeros(4)], [[1.0], [0.0]])
    assert got[0] == pytest.approx(0.75, rel=1e-14)


def test_huge_scores_do_not_overflow():
    got = attention([1.0], [[1e5], [1e5 - np.log(2)], [-1e5]], [[3.0], [0.0], [100.0]])
    assert got[0] == pytest.approx(2.0, rel=1e-9)


def stream(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(d), rng.standard_normal((n, d)), rng.standard_normal((n, d))


def test_masked_window_is_attention_over_the_last_tokens():
    q, K, V = stream(9, 3)
    for W in (1, 4, 9, 20):
        weights = np.exp(K[-W:] @ q)
        want = weights @ V[-W:] / weights.sum()
        assert sliding_window_attention(q, K, V, W) == pytest.approx(want, rel=1e-12)


def test_unmasked_window_gives_every_older_token_weight_one():
    # theory: o = (sum_in e^{s_l} v_l + sum_out v_l) / (Z + n - W).
    q, K, V = stream(9, 3)
    for W in (1, 4, 9, 20):
        inside = slice(max(0, 9 - W), 9)
        weights = np.exp(K[inside] @ q)
        older = V[: max(0, 9 - W)]
        want = (weights @ V[inside] + older.sum(axis=0)) / (weights.sum() + len(older))
        got = sliding_window_attention(q, K, V, W, masked=False)
        assert got == pytest.approx(want, rel=1e-12)


def test_nothing_to_attend_to_is_refused():
    none = np.empty((0, 2))
    with pytest.raises(BadInput, match="append a token"):
        attention([1.0, 1.0], none, none)
    with pytest.raises(BadInput, match="append a token"):
        sliding_window_attention([1.0, 1.0], none, none, 3, masked=False)
    with pytest.raises(BadInput, match="at least one token"):
        sliding_window_attention([1.0], [[1.0]], [[1.0]], 0)
