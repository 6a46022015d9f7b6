from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline.sliding_window import SlidingWindow
from kvbarrier.compressors.zoo.eviction.tova import TOVA
from kvbarrier.reductions.attention import attention

from tests.naive.scored_eviction import persistent


def column(*numbers):
    return np.array(numbers, dtype=np.float32)[:, None]


def test_the_last_query_alone_decides():
    # Scores of the third query are 1, 0, 1: B leaves. Those of the fourth are -1, -1, 0 for A, C
    # and D: of A and C, equal, the older one. Those of the fifth are 0, 0, -3: E itself leaves.
    Q, K = column(1, -1, 1, -1, 3, 0), column(1, 0, 1, 0, -1, 0)
    K[2:5, 0] = [1, 0, -1]
    V = column(*range(6))
    one = TOVA(Shape(6, 1, 1), size=3)
    for t, held in ((3, [0, 2, 3]), (4, [2, 3, 4])):
        one.extend(Q[one_seen(one) : t + 1], K[one_seen(one) : t + 1], V[one_seen(one) : t + 1])
        assert one.kept()[1].ravel().tolist() == held
    one.append(Q[5], K[5], V[5])
    assert one.kept()[1].ravel().tolist() == [2, 3, 5]


def one_seen(one):
    """Tokens taken in: the values count them."""
    return 0 if not one.filled else int(one.kept()[1].max()) + 1


@pytest.mark.parametrize("seen", [9, 10, 11, 40])
def test_without_queries_it_is_a_window(seen):
    rng = np.random.default_rng(0)
    Q, K, V = rng.standard_normal((3, 40, 8)).astype(np.float32)
    one, window = TOVA(Shape(40, 8, 8), size=10), SlidingWindow(Shape(40, 8, 8), window=10)
    for each in (one, window):
        each.extend(0 * Q[:seen], K[:seen], V[:seen])
    assert one.next_outputs(Q, K, V) == pytest.approx(window.next_outputs(Q, K, V), abs=1e-5)


def test_what_queries_attend_to_is_kept_and_only_if_they_show_it():
    Q, K, V = persistent()
    exact = attention(Q[-1], K, V)
    errors = []
    for one, queries in (
        (TOVA(Shape(64, 16, 16), size=16), Q),
        (TOVA(Shape(64, 16, 16), size=16), 0 * Q),
        (SlidingWindow(Shape(64, 16, 16), window=16), Q),
    ):
        one.extend(queries[:-1], K[:-1], V[:-1])
        errors.append(np.abs(one.next_outputs(Q[-1:], K[-1:], V[-1:])[0] - exact).max())
    assert errors[0] < 0.01
    assert min(errors[1:]) > 0.2
