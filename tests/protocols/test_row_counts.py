"""Counts by row as text: exact both ways, short, and refused when they are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kvbarrier.errors import BadInput
from kvbarrier.protocols.evidence.row_counts import (
    counts_of,
    row_errors,
    sums_of,
    text_of,
)

counts = st.lists(st.just(0) | st.integers(0, 70) | st.integers(0, 10**9), max_size=80)


@given(counts)
def test_counts_come_back(values: list[int]) -> None:
    text = text_of(values)
    assert counts_of(text).tolist() == values
    assert text.isascii()
    assert not set(text) & set(' ,"\\\n')


@given(st.lists(counts, min_size=1, max_size=8))
def test_texts_are_summed_each_by_itself(messages: list[list[int]]) -> None:
    sums, lengths = sums_of(list(map(text_of, messages)))
    assert sums.tolist() == list(map(sum, messages))
    assert lengths.tolist() == list(map(len, messages))


def test_the_text_by_hand() -> None:
    # Digits, then capitals from 10, then small letters from 36; 61 is z.
    assert text_of([0, 1, 9, 10, 35, 36, 61, 62, 100, 0, 0, 700]) == "019AZaz(62)(100)00(700)"
    assert text_of([1, *[0] * 3, 1, *[0] * 4, 1]) == "10001[4]1"
    assert text_of([0] * 512) == "[512]"
    assert text_of([]) == ""
    assert counts_of("00[2]0").tolist() == [0] * 5  # whoever wrote it


def test_a_lost_row_of_64_bits_costs_a_character() -> None:
    rng = np.random.default_rng(0)
    kept = np.arange(1024) >= 512
    lost = np.where(kept, 0, rng.binomial(64, 0.5, size=1024))
    # Half of the rows are lost, none of their 512 coins of 64 bits reached 62, and one run ends it.
    assert len(text_of(lost)) == 512 + len("[512]")


@pytest.mark.parametrize(
    "text",
    ["-", "3,4", "[", "(x)", "[99999999999]", "é", "0\n", "\n", "(1[2]3)", "[\u0663]", "\ud800"],
)
def test_what_is_no_text_of_counts_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="how many bits of each row are wrong"):
        counts_of(text)
    with pytest.raises(ValueError, match="how many bits of each row are wrong"):
        sums_of(["0", text])
    with pytest.raises(ValueError, match="how many bits of each row are wrong"):
        sums_of([text, "0(64)[4]"])


def test_a_number_does_not_go_on_in_the_next_text() -> None:
    with pytest.raises(ValueError, match="how many bits of each row are wrong"):
        sums_of(["(1", "2)"])


def test_a_sum_beyond_the_integers_is_refused_and_does_not_wrap() -> None:
    with pytest.raises(ValueError, match=r"beyond 2\^62"):
        sums_of(["(999999999999999)" * 20_000])


@given(st.text("01Zz()[]\n", max_size=12))
def test_sums_are_refused_exactly_where_counts_are(text: str) -> None:
    try:
        counts = counts_of(text)
    except ValueError:
        with pytest.raises(ValueError, match="how many bits"):
            sums_of(["7", text, "7"])
    else:
        assert [found.tolist() for found in sums_of(["7", text, "7"])] == [
            [7, int(counts.sum()), 7], [1, len(counts), 1]
        ]  # fmt: skip


def test_errors_stand_at_the_rows_that_were_asked() -> None:
    rows = [np.array([0, 3]), np.array([1, 3])]
    errors = row_errors(["48", "0G"], n=4, row_bits=16, rows=rows)
    np.testing.assert_array_equal(errors, [[0.25, np.nan, np.nan, 0.5], [np.nan, 0.0, np.nan, 1.0]])
    with pytest.raises(BadInput, match="Message 0 counts the wrong bits of 3 rows, where 2 rows"):
        row_errors(["123"], n=4, row_bits=16, rows=rows)
    with pytest.raises(BadInput, match="rows of 2 bits were asked"):
        row_errors(["13"], n=2, row_bits=2)


def test_counts_are_shared_and_cannot_be_changed() -> None:
    counts = counts_of("12")
    with pytest.raises(ValueError, match="read-only"):
        counts[0] = 5
    assert counts_of("12").tolist() == [1, 2]
