from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline.sliding_window import SlidingWindow
from kvbarrier.compressors.zoo.eviction.scissorhands import Scissorhands
from kvbarrier.reductions.attention import attention

from tests.naive.scored_eviction import persistent, scissorhands

TWO = np.log(np.float32(2))


def column(*numbers):
    return np.array(numbers, dtype=np.float32)[:, None]


@pytest.mark.parametrize(("history", "held"), [(1, [2, 4, 5]), (3, [3, 4, 5])])
def test_the_window_of_queries_by_hand(history, held):
    # Below the average, S = 3 and m = 1:
    #   query 1: A 2/3, B 1/3                  B
    #   query 2: A 2/5, B 1/5, C 2/5           B; B leaves for D
    #   query 3: A 1/4, C 1/4, D 1/2           A, C; A, the older one, leaves for E
    #   query 4: C 2/4, D 1/4, E 1/4           D, E
    # In the last query alone D and E are below, and D leaves for F. In the last three C, D and E
    # once each, and C leaves.
    Q, K = column(TWO, TWO, TWO, -TWO, TWO, 0), column(1, 0, 1, 0, 0, 0)
    V = column(*range(6))
    one = Scissorhands(Shape(6, 1, 1), size=3, recent=0, history=history)
    one.extend(Q[:5], K[:5], V[:5])
    assert one.kept()[1].ravel().tolist() == [2, 3, 4]
    one.append(Q[5], K[5], V[5])
    assert one.kept()[1].ravel().tolist() == held


def test_the_papers_parameters():
    # r = 10, w = 400, m = half of the budget, which is S - 1.
    one = Scissorhands(Shape(2048, 8, 8), size=1001)
    assert (one.recent, one.history, one.drop) == (10, 400, 500)


@pytest.mark.parametrize("history", [17, 20, 29, 30, 100])
def test_a_counter_or_a_ring_of_bits_is_the_same_window(history):
    # m = 29: up to there a counter that begins w queries before a drop, beyond it a ring.
    rng = np.random.default_rng(history)
    Q, K = rng.standard_normal((2, 300, 8)).astype(np.float16).astype(np.float32)
    V = np.arange(300, dtype=np.float32)[:, None]
    one = Scissorhands(Shape(300, 8, 1), size=60, drop=0.5, recent=3, history=history)
    assert one.drop == 29
    assert (len(one.state["counts"]) > 0) == (history <= 29)
    for t in range(0, 300, 50):
        one.extend(Q[t : t + 50], K[t : t + 50], V[t : t + 50])
        held, _ = scissorhands(Q[: t + 50], K[: t + 50], 60, 3, 29, history)
        assert one.kept()[1].ravel().tolist() == held


def test_half_leaves_at_once():
    one = Scissorhands(Shape(64, 1, 1), size=11)
    held = []
    for t in range(30):
        one.append(np.zeros(1), np.ones(1), np.full(1, t))
        held.append(one.filled)
    assert held == [*range(1, 12), *[7, 8, 9, 10, 11] * 3, 7, 8, 9, 10]


def test_recent_tokens_stay():
    # Key 1, then from token 8 on -1, which each query finds unimportant: 8 three times, 9 twice,
    # 10 once. Two leave for token 11: those, or if three are recent the two oldest of no count.
    K = np.full((20, 1), -1, np.float32)
    K[:8] = 1
    Q, V = np.full((20, 1), 3, np.float32), np.arange(20.0, dtype=np.float32)[:, None]
    for recent, held in ((0, [*range(8), 10, 11]), (3, [*range(2, 12)])):
        one = Scissorhands(Shape(20, 1, 1), size=11, drop=0.2, recent=recent, history=20)
        one.extend(Q[:12], K[:12], V[:12])
        assert one.kept()[1].ravel().tolist() == held


def test_pivotal_tokens_persist_and_only_if_queries_show_them():
    Q, K, V = persistent()
    exact = attention(Q[-1], K, V)
    errors = []
    for one, queries in (
        (Scissorhands(Shape(64, 16, 16), size=16, recent=2), Q),
        (Scissorhands(Shape(64, 16, 16), size=16, recent=2), 0 * Q),
        (SlidingWindow(Shape(64, 16, 16), window=16), Q),
    ):
        one.extend(queries[:-1], K[:-1], V[:-1])
        errors.append(np.abs(one.next_outputs(Q[-1:], K[-1:], V[-1:])[0] - exact).max())
    assert errors[0] < 0.01
    assert min(errors[1:]) > 0.2
