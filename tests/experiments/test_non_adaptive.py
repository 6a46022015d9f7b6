"""What the non-adaptive experiment can see, and its readers of single cells."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from kvbarrier.compressors.readers.controls import KeyCells
from kvbarrier.experiments.non_adaptive.claims import _shortfall
from kvbarrier.experiments.non_adaptive.measure import time_row
from kvbarrier.protocols.players.reader import AskingReader, Cells
from kvbarrier.reductions.indistinguishability import CellFamily


def test_the_shortfall_is_the_least_error_that_an_interval_puts_below_the_line():
    # 10 trials, line 1/2: the upper end of k wrong is below 1/2 iff Pr[Bin(10, 1/2) <= k] < .025,
    # half of what is left of 95 %. Pr[<= 1] = 11/1024 is, Pr[<= 2] = 56/1024 is not.
    assert (
        sum(comb(10, k) for k in (0, 1)) / 1024 < 0.025 < sum(comb(10, k) for k in range(3)) / 1024
    )
    assert _shortfall(10, 0.5, 0.95) == pytest.approx(0.5 - 1 / 10)
    assert _shortfall(3, 0.1, 0.95) == 1.0


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_cells_in_the_worst_case_say_d_0_with_probability_1_over_2_minus_f(share):
    family = CellFamily(9, 4)
    q, K, V = family.stream(None)
    reader, said_0 = KeyCells(share, otherwise=family.output(0)), 0
    for seed in range(2000):
        plan = reader.plan(9, 4, seed)
        cells = Cells(plan, K, V)
        answer = reader.answer(q, AskingReader(plan, seed, cells.ask))
        assert answer[0] in (np.float32(family.output(None)), np.float32(family.output(0)))
        said_0 += answer[0] == np.float32(family.output(None))
    p = 1 / (2 - share)
    assert abs(said_0 / 2000 - p) < 5 * (p * (1 - p) / 2000) ** 0.5


def test_what_is_seen_is_answered_exactly_all_the_same():
    family = CellFamily(9, 4)
    q, K, V = family.stream(7)
    reader = KeyCells(1.0, otherwise=family.output(0))
    plan = reader.plan(9, 4, 0)
    answer = reader.answer(q, AskingReader(plan, 0, Cells(plan, K, V).ask))
    assert answer == pytest.approx(np.full(4, family.output(7)), rel=1e-5)


def test_the_worst_case_of_the_cells_needs_eight_ninths_and_the_prior_four_fifths():
    worst, prior = (time_row("key-cells", "cell", 33, 2, case, 150) for case in (True, False))
    assert (worst["exact"], prior["exact"]) == (pytest.approx(8 / 9), pytest.approx(4 / 5))
    for row in (worst, prior):
        assert abs(row["share"] - row["exact"]) < 4 * row["relative_error"] * row["share"]
