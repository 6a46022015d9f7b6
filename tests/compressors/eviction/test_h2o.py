from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline.sliding_window import SlidingWindow
from kvbarrier.compressors.zoo.eviction.h2o import H2O
from kvbarrier.reductions.attention import attention

from tests.naive.scored_eviction import persistent

TWO = np.log(np.float32(2))


def column(*numbers):
    return np.array(numbers, dtype=np.float32)[:, None]


def test_scores_of_a_stream_by_hand():
    # Weights 2 and 1, as <q, k> is ln 2 or 0: A alone; A 2/3, B 1/3; A 2/5, B 1/5, C 2/5.
    # So A = 1 + 2/3 + 2/5 = 31/15, B = 1/3 + 1/5 = 8/15, C = 2/5 = 6/15: C leaves for D, though
    # the last query preferred it to B. With one recent token C is that one, and B leaves.
    Q, K = column(TWO, TWO, TWO, 0), column(1, 0, 1, 0)
    V = column(0, 1, 2, 3)
    for recent, left in ((0.0, [0, 1, 3]), (0.5, [0, 2, 3])):
        one = H2O(Shape(3, 1, 1), size=3, recent=recent)
        one.extend(Q[:3], K[:3], V[:3])
        assert one.state["score"] == pytest.approx([31 / 15, 8 / 15, 6 / 15], abs=1e-6)
        one.append(Q[3], K[3], V[3])
        assert one.kept()[1].ravel().tolist() == left
        assert one.attend(Q[3]) == pytest.approx([np.mean(left)])


@pytest.mark.parametrize("size", [2, 9, 16])
def test_without_queries_it_keeps_the_first_and_the_last(size):
    # Token j has the sum of 1/min(t + 1, S) over t >= j, which falls with j.
    one = H2O(Shape(64, 1, 1), size=size)
    n = 40
    one.extend(np.zeros((n, 1)), np.ones((n, 1)), np.arange(n)[:, None])
    recent = (size - 1) // 2
    # The newest, the recent ones, the heavy ones, and the one that leaves next.
    wanted = [*range(size - 2 - recent + 1), *range(n - recent - 1, n)]
    assert one.kept()[1].ravel().tolist() == wanted


def test_all_recent_is_a_window():
    rng = np.random.default_rng(0)
    Q, K, V = rng.standard_normal((3, 40, 8)).astype(np.float32)
    one = H2O(Shape(40, 8, 8), size=10, recent=1)
    window = SlidingWindow(Shape(40, 8, 8), window=10)
    one.extend(Q, K, V)
    window.extend(Q, K, V)
    assert (one.kept()[0] == K[30:].astype(np.float16)).all()
    assert one.next_outputs(Q, K, V) == pytest.approx(window.next_outputs(Q, K, V), abs=1e-5)


def test_heavy_hitters_are_kept_and_only_if_queries_show_them():
    Q, K, V = persistent()
    exact = attention(Q[-1], K, V)
    errors = []
    for one, queries in (
        (H2O(Shape(64, 16, 16), size=16), Q),
        (H2O(Shape(64, 16, 16), size=16), 0 * Q),
        (SlidingWindow(Shape(64, 16, 16), window=16), Q),
    ):
        one.extend(queries[:-1], K[:-1], V[:-1])
        errors.append(np.abs(one.next_outputs(Q[-1:], K[-1:], V[-1:])[0] - exact).max())
    assert errors[0] < 0.01
    assert min(errors[1:]) > 0.2
