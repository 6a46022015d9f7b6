"""Algorithm 1: its plain twin with the same coins, the law of its draws, and its mean."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.paper.algorithm_1 import Algorithm1
from kvbarrier.errors import BadInput
from kvbarrier.reductions.attention import sliding_window_attention
from scipy import stats

N, W, D = 60, 9, 4


def triples(n=N, seed=0, scale=1.5):
    rng = np.random.default_rng(seed)
    Q, K, V = (rng.standard_normal((n, D)).astype(np.float32) for _ in "qkv")
    return np.float32(scale) * Q, K, V


def build(n=N, **changes):
    given = {"seed": 3, "window": W, "copies": 5, "means": 3, "dtype": "fp32"} | changes
    return Algorithm1(Shape(n, D, D), **given)


def plain(one, Q, K, V, q, copies, means):
    """The algorithm token by token and copy by copy, as its docstring says, over K, V."""
    t = len(K)
    answers = []
    for copy in range(copies * means):
        held, turn = 0, 0
        while True:
            u = 1.0 - one.rng(2 * turn + 1).random(copies * means)[copy]
            following = int((held + 1) / u)
            if following >= t - W:
                break
            held, turn = following, turn + 1
        weights = np.exp(K[-W:].astype(float) @ q.astype(float))
        u = one.rng(2 * t).random(copies * means)[copy] * (weights.sum() + t - W)
        drawn, line = None, 0.0
        for l in range(W):
            line += weights[l]
            if u < line:
                drawn = V[t - W + l]
                break
        answers.append((V[held] if drawn is None else drawn).astype(float))
    return np.median(np.reshape(answers, (means, copies, D)).mean(axis=1), axis=0)


@pytest.mark.parametrize("t", [10, 11, 30, 60])
def test_it_is_the_plain_algorithm(t):
    Q, K, V = triples()
    one = build()
    one.extend(Q[:t], K[:t], V[:t])
    for q in Q[:5]:
        assert one.attend(q) == pytest.approx(plain(one, Q, K[:t], V[:t], q, 5, 3), abs=1e-6)
    assert one.next_outputs(Q[:1], Q[:1], V[:1])[0] == pytest.approx(
        plain(one, Q, np.vstack([K[:t], Q[:1]]), np.vstack([V[:t], V[:1]]), Q[0], 5, 3), abs=1e-6
    )


@pytest.mark.parametrize("t", [1, 5, 9])
def test_it_is_exact_while_nothing_is_outside(t):
    Q, K, V = triples()
    one = build(copies=1, means=1)
    one.extend(Q[:t], K[:t], V[:t])
    want = sliding_window_attention(Q[0], K[:t], V[:t], W, masked=False)
    assert one.attend(Q[0]) == pytest.approx(want, abs=1e-6)


def test_reservoirs_hold_every_token_equally_often():
    for outside in (1, 2, 7, 40):
        counts = np.bincount(build(copies=20_000, means=1).holders(outside), minlength=outside)
        assert len(counts) == outside
        assert outside == 1 or stats.chisquare(counts).pvalue > 1e-3


def test_a_reservoir_changes_to_the_newest_or_not_at_all():
    one = build(copies=500)
    before = one.holders(1)
    for outside in range(2, 40):
        after = one.holders(outside)
        assert ((after == before) | (after == outside - 1)).all()
        before = after


def test_a_token_is_answered_with_its_own_weight():
    # One-hot values: the mean of the samples is the frequency of every token.
    n, copies = 30, 40_000
    rng = np.random.default_rng(1)
    K = rng.standard_normal((n, 3)).astype(np.float32)
    V = np.eye(n, dtype=np.float32)
    one = Algorithm1(Shape(n, 3, n), seed=8, window=W, copies=copies, dtype="fp32")
    one.extend(K, K, V)
    q = np.float32(2) * K[-1]
    law = sliding_window_attention(q, K, V, W, masked=False)
    counts = np.rint(one.attend(q).astype(float) * copies)
    # Samples that share no coin: chi^2 at 29 degrees of freedom; a swap of two tokens is seen.
    assert stats.chisquare(counts, law * copies).pvalue > 1e-3
    swapped = law.copy()
    swapped[[0, -1]] = law[[-1, 0]]
    assert stats.chisquare(counts, swapped * copies).pvalue < 1e-6


def test_coins_come_from_the_seed():
    Q, K, V = triples()
    answers = []
    for seed in (3, 3, 4):
        one = build(seed=seed, copies=1, means=1)
        one.extend(Q, K, V)
        answers.append(one.attend(Q[0]).tolist())
    assert answers[0] == answers[1] != answers[2]


def test_memory_shares_one_window():
    one = build(copies=7, means=5, dtype="fp16")
    assert one.message_bytes == 8 + 2 * (2 * W * D + 35 * D)


@pytest.mark.parametrize("name", ["copies", "means"])
def test_what_is_refused(name):
    with pytest.raises(BadInput, match=name):
        build(**{name: 0})
