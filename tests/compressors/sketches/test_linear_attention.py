from __future__ import annotations

import math

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.sketch.linear_attention import LinearAttention
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention

SHAPE = Shape(tokens=64, d_k=16, d_v=8)
LEAST = 32 * (1 + 16 * 9)


def stream(n, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    return [(size * rng.standard_normal((n, d))).astype(np.float32) for d in (16, 16, 8)]


def test_cut_anywhere_gives_the_same_message():
    Q, K, V = stream(64)
    whole, loop, cut = (LinearAttention(SHAPE) for _ in range(3))
    whole.extend(Q, K, V)
    for row in zip(Q, K, V, strict=True):
        loop.append(*row)
    cut.extend(Q[:23], K[:23], V[:23])
    other = cut.fresh()
    other.restore(cut.save())
    other.extend(Q[23:], K[23:], V[23:])
    assert whole.save() == loop.save() == other.save()
    assert len(whole.save()) == whole.message_bytes


@pytest.mark.parametrize("held", [0, 40])
def test_batched_doors_answer_as_the_loop(held):
    Q, K, V = stream(64, size=4)
    one = LinearAttention(SHAPE)
    one.extend(Q[:held], K[:held], V[:held])
    before = one.save()
    assert one.next_outputs(Q, K, V) == pytest.approx(
        Compressor.next_outputs(one, Q, K, V), abs=5e-5
    )
    assert one.block_outputs(Q, K, V) == pytest.approx(
        Compressor.block_outputs(one, Q, K, V), abs=5e-5
    )
    assert one.save() == before


@pytest.mark.parametrize("share", [64, 16, 8, 2, 1])
def test_the_sums_fit_the_budget_or_it_says_so(share):
    budget = SHAPE.cache_bits_16 // share
    if budget < LEAST:
        with pytest.raises(BudgetTooSmall) as caught:
            LinearAttention(SHAPE, budget)
        assert caught.value.minimum_bits == LEAST
        budget = LEAST
    assert 8 * LinearAttention(SHAPE, budget).message_bytes == LEAST <= budget


def test_bad_numbers_are_refused():
    Q, K, V = stream(2)
    V[1, 0] = np.inf
    with pytest.raises(BadInput):
        LinearAttention(SHAPE).extend(Q, K, V)
    with pytest.raises(BadInput):
        LinearAttention(SHAPE).attend(Q[0])


def test_two_tokens_by_hand():
    # phi(q) = (2, 1/e). phi(k_1) = (1, 1), phi(k_2) = (4, 1/e^2): weights 2 + 1/e, 8 + 1/e^3.
    one = LinearAttention(Shape(tokens=2, d_k=2, d_v=1))
    q = np.float32([1, -1])
    one.append(q, np.float32([0, 0]), np.float32([1]))
    one.append(q, np.float32([3, -2]), np.float32([0]))
    first, second = 2 + math.exp(-1), 8 + math.exp(-3)
    assert one.attend(q)[0] == pytest.approx(first / (first + second), rel=1e-6)


def test_it_is_the_quadratic_form_of_equation_4():
    Q, K, V = stream(64)
    one = LinearAttention(SHAPE)
    one.extend(Q, K, V)
    phi = [np.where(X > 0, X + 1, np.exp(X)).astype(np.float64) for X in (Q, K)]
    weights = phi[0] @ phi[1].T
    wanted = weights @ V / weights.sum(axis=1, keepdims=True)
    assert np.array([one.attend(q) for q in Q]) == pytest.approx(wanted, abs=1e-5)


def test_it_reads_disjoint_features_and_no_softmax_peaks():
    # Keys 30 e_i - 30: feature i is e^0 = 1 and the others are e^-30, so that each value has a
    # feature of its own and a query of the same kind reads it.
    V = np.sign(stream(16)[2])
    K = (30 * np.eye(16) - 30).astype(np.float32)
    own = LinearAttention(SHAPE)
    own.extend(K, K, V)
    assert np.array([own.attend(k) for k in K]) == pytest.approx(V, abs=1e-6)
    # Keys 6 e_i: softmax reads the value, linear attention smears it.
    K = (6 * np.eye(16)).astype(np.float32)
    smeared = LinearAttention(SHAPE)
    smeared.extend(K, K, V)
    exact = np.array([attention(k, K, V) for k in K])
    assert np.abs(exact - V).max() < 1e-3
    assert np.abs(np.array([smeared.attend(k) for k in K]) - V).mean() > 0.3
