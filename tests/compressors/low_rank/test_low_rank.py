"""The low-rank cache: its ranks, its error beside Eckart and Young's, and what it relies on."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.low_rank.low_rank import LowRank, by_threshold, singular_directions
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure
from kvbarrier.reductions.attention import attention

SHAPE = Shape(tokens=64, d_k=16, d_v=16)
WHOLE = SHAPE.cache_bits_16


def stream(n=64, seed=0, d=16, rank=None):
    rng = np.random.default_rng(seed)
    blocks = [rng.standard_normal((n, d)) for _ in range(3)]
    if rank is not None:
        blocks = [X[:, :rank] @ rng.standard_normal((rank, d)) / rank**0.5 for X in blocks]
    return [X.astype(np.float32) for X in blocks]


@pytest.mark.parametrize("params", [{}, {"rank": 3}, {"budget_bits": WHOLE // 3}])
def test_a_saved_state_answers_as_its_owner(params):
    Q, K, V = stream()
    one = LowRank(SHAPE, **params)
    one.extend(Q, K, V)
    message = one.save()
    assert len(message) == one.message_bytes
    twin = one.fresh()
    twin.restore(message)
    assert twin.save() == message
    assert (twin.attend(Q[0]) == one.attend(Q[0])).all()
    loop = one.fresh()
    for row in zip(Q, K, V, strict=True):
        loop.append(*row)
    assert loop.save() == message
    with pytest.raises(PluginFailure):
        twin.restore(message + b"\0")


@pytest.mark.parametrize("held", [64, 40, 0])
def test_batched_doors_answer_as_the_loop(held):
    Q, K, V = stream()
    one = LowRank(SHAPE, WHOLE // 3)
    one.extend(Q[:held], K[:held], V[:held])
    before = one.save()
    got, loop = one.next_outputs(Q, K, V), Compressor.next_outputs(one, Q, K, V)
    assert got == pytest.approx(loop, abs=2e-6)
    theta = np.quantile(got, 0.5, axis=1).astype(np.float32)
    assert (one.next_bits(Q, K, V, theta) == (got > theta[:, None])).all()
    got, loop = one.block_outputs(Q, K, V), Compressor.block_outputs(one, Q, K, V)
    assert got == pytest.approx(loop, abs=2e-6)
    assert one.save() == before


def test_later_tokens_are_kept_whole_and_are_not_saved():
    Q, K, V = stream(70)
    one = LowRank(SHAPE, rank=2)
    one.extend(Q, K, V)
    k, v = one.kept()
    assert k.shape == (70, 16)
    assert (k[64:] == K[64:].astype(np.float16)).all()
    assert (v[64:] == V[64:].astype(np.float16)).all()
    expected = attention(Q[0], np.vstack([k, K[:1]]), np.vstack([v, V[:1]]))
    assert one.block_outputs(Q[:1], K[:1], V[:1])[0] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(PluginFailure, match="later"):
        one.save()


@pytest.mark.parametrize("part", [1 / 64, 1 / 9, 1 / 4, 1 / 2, 0.99, 1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_budget_is_kept_and_used(part, seed):
    # One rank of one matrix is n + d numbers of 16 bits; the two ranks are 4 bytes.
    budget, column, least = int(WHOLE * part), 16 * (64 + 16), 2 * 16 * (64 + 16) + 32
    if budget < least:
        with pytest.raises(BudgetTooSmall) as caught:
            LowRank(SHAPE, budget)
        assert caught.value.minimum_bits == least
        budget = least
    one = LowRank(SHAPE, budget)
    one.extend(*stream(seed=seed))
    assert len(one.save()) == one.message_bytes <= budget // 8
    if budget >= WHOLE:
        assert one.message_bytes == WHOLE // 8
        return
    r_k, r_v = (int(r) for r in np.frombuffer(one.save()[:4], "<u2"))
    cost = 8 * one._bytes(r_k, r_v)
    assert budget - column < cost + 32 <= budget
    rank = budget // (2 * column)
    assert 8 * (LowRank(SHAPE, budget, rank=rank).message_bytes or 0) == 2 * rank * column
    if rank < 12:  # from 13 on two factors would be no smaller than their matrix
        with pytest.raises(BudgetTooSmall) as caught:
            LowRank(SHAPE, budget, rank=rank + 1)
        assert caught.value.minimum_bits == 2 * (rank + 1) * column


def test_full_rank_is_exact_up_to_fp16():
    Q, K, V = stream()
    for one in (LowRank(SHAPE), LowRank(SHAPE, WHOLE), LowRank(SHAPE, rank=16)):
        one.extend(Q, K, V)
        k, v = one.kept()
        assert (k == K.astype(np.float16)).all()
        assert (v == V.astype(np.float16)).all()
        assert 8 * len(one.save()) == WHOLE


def test_the_error_is_that_of_the_best_matrix_of_its_rank():
    # Eckart and Young 1936: no matrix of rank r is nearer than the root of the sum of the other
    # squared singular values, and the projection on the leading directions reaches it.
    Q, K, V = stream()
    for rank in (1, 4, 9):
        one = LowRank(SHAPE, rank=rank, queries=False)
        one.extend(Q, K, V)
        for X, got in zip((K, V), one.kept(), strict=True):
            best = np.sqrt((np.linalg.svd(X, compute_uv=False)[rank:] ** 2).sum())
            assert np.linalg.norm(got - X) == pytest.approx(best, rel=1e-3)
            assert np.linalg.matrix_rank(got, tol=1e-3) == rank


def test_ranks_come_from_one_threshold():
    # By hand: shares (1/2, 1/4, 1/4) have 0, 1/2 and 3/4 before them, shares (7/10, 2/10, 1/10)
    # have 0, 7/10 and 9/10. At a threshold of 0.6 the ranks are 2 and 1, at 0.72 they are 2, 2.
    values = [np.array([4.0, 2.0, 2.0]), np.array([7.0, 2.0, 1.0])]
    assert by_threshold(values) == [0, 1, 0, 1, 0, 1]
    # Keys of one direction and values of many: the values get the ranks.
    Q, K, V = stream()
    one = LowRank(SHAPE, WHOLE // 3)
    one.extend(K[:, :1] * K[:1], K[:, :1] * K[:1], V)
    r_k, r_v = np.frombuffer(one.save()[:4], "<u2")
    assert r_k < 2 < r_v
    one = LowRank(SHAPE, WHOLE // 3)
    one.extend(0 * Q, 0 * K, V)  # no singular value but 0
    assert one.attend(Q[0]) == pytest.approx(one.kept()[1].mean(axis=0), abs=1e-6)


def test_queries_keep_directions_that_keys_hardly_have():
    # Keys are 0.5 long in the direction e_0 and 2 in e_1, queries 8 in e_0 and 0 in e_1. At rank
    # 1 the keys alone choose e_1, where every score is 0; with queries e_0, and scores are right.
    signs = np.tile([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], (16, 1))
    K, Q = np.zeros((2, 64, 16), np.float32)
    K[:, :2] = signs * [0.5, 2.0]
    Q[:, 0] = 8
    V = stream()[2]
    one, other = LowRank(SHAPE, rank=1), LowRank(SHAPE, rank=1, queries=False)
    for each in (one, other):
        each.extend(Q, K, V)
    assert one.kept()[0] @ Q[0] == pytest.approx(K @ Q[0], rel=2e-3)
    assert np.abs(other.kept()[0] @ Q[0]).max() < 1e-3


def test_it_does_well_on_streams_of_low_rank_and_not_on_others():
    def error(rank):
        Q, K, V = stream(rank=rank, seed=5)
        one = LowRank(SHAPE, WHOLE * 2 // 5)
        one.extend(Q, K, V)
        exact = np.array([attention(q, K, V) for q in Q])
        return np.abs([one.attend(q) for q in Q] - exact).mean()

    assert error(3) < 2e-3
    assert error(None) > 0.1


def test_directions_of_fewer_tokens_than_dimensions():
    X = stream(5)[0]
    values, vectors = singular_directions(X)
    assert values[:5] == pytest.approx(np.linalg.svd(X, compute_uv=False), rel=1e-6)
    assert np.abs(values[5:]).max() < 1e-5
    assert vectors.T @ vectors == pytest.approx(np.eye(16), abs=1e-12)


def test_bad_input_is_refused():
    Q, K, V = stream(2)
    for value in (np.nan, np.inf, 7e4):
        X = K.copy()
        X[1, 1] = value
        one = LowRank(SHAPE)
        for block in ((Q, X, V), (Q, K, X)):
            with pytest.raises(BadInput):
                one.extend(*block)
            with pytest.raises(BadInput):
                one.next_outputs(*block)
        assert one._count == 0
    for rank in (0, 2.5):
        with pytest.raises(BadInput, match="rank"):
            LowRank(SHAPE, rank=rank)
    with pytest.raises(BadInput):
        LowRank(SHAPE).attend(Q[0])
    wrong = LowRank(SHAPE, WHOLE // 3)
    with pytest.raises(PluginFailure):
        wrong.restore(b"\xff" * (wrong.message_bytes or 0))
