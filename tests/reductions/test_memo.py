"""Results found again by the bytes of arrays."""

from __future__ import annotations

import numpy as np
from kvbarrier.reductions.memo import Memo, remembered


def test_it_knows_equal_arrays_and_no_others():
    memo = Memo(1 << 12)
    x = np.array([[1.0, 0.0], [np.nan, 2.0]], dtype=np.float32)
    memo.keep([x], "x", 0)
    assert memo.find([x.copy()]) == "x"
    for other in (
        x.reshape(4, 1),  # another shape
        x.view(np.int32),  # another type of the same bytes
        np.array([[1.0, -0.0], [np.nan, 2.0]], dtype=np.float32),  # equal numbers, other bytes
        np.array([[1.0, 0.0], [np.nan, 3.0]], dtype=np.float32),
    ):
        assert memo.find([other]) is None
    assert memo.find([x, x]) is None
    assert memo.find([]) is None


def test_it_holds_copies():
    memo, x = Memo(1 << 12), np.zeros(4)
    memo.keep([x], "zeros", 0)
    x[2] = 1.0
    assert memo.find([x]) is None
    assert memo.find([np.zeros(4)]) == "zeros"


def test_the_longest_unused_goes_first_and_what_is_too_large_is_not_held():
    memo = Memo(most=100)
    arrays = [np.full(4, i, dtype=np.float32) for i in range(3)]  # 16 bytes each
    for i, x in enumerate(arrays[:2]):
        memo.keep([x], i, size=24)  # 40 with its result
    assert memo.find([arrays[0]]) == 0  # so that 1 is the longest unused
    memo.keep([arrays[2]], 2, size=24)  # 120 > 100
    assert [memo.find([x]) for x in arrays] == [0, None, 2]
    memo.keep([arrays[1]], 1, size=85)  # 101 > 100
    assert [memo.find([x]) for x in arrays] == [0, None, 2]


def test_a_remembered_function_is_computed_once_for_equal_arguments():
    asked = []

    @remembered(most=1 << 12)
    def total(x, by):
        asked.append(by)
        return float(x.sum()) * by

    x = np.arange(6.0).reshape(3, 2)
    column = np.arange(12.0).reshape(3, 2, 2)[:, 0]  # a view with gaps
    assert [total(x, 2), total(x.copy(), 2), total(x, 3), total(x + 1, 2)] == [30, 30, 45, 42]
    assert [total(column, 2), total(np.ascontiguousarray(column), 2)] == [54, 54]
    assert asked == [2, 3, 2, 2]
    x[0] = 7.0
    assert total(x, 2) == 56
