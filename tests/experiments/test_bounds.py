"""What the sampled check of the constructions measures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kvbarrier.experiments.bounds import measure as bounds
from kvbarrier.reductions import keys
from kvbarrier.reductions.attention import attention


def test_sampled_outputs_are_attention_over_the_two_worst_contexts(monkeypatch):
    monkeypatch.setattr(bounds, "_BLOCK", 5 * 16)  # several blocks, the last of them short
    made, at, C = keys.make("kerdock", 64, 16), np.array([0, 3, 4, 63]), 6.5
    outputs, interference = bounds.sampled_outputs(made, C, at)
    K = np.vstack([made.rows, np.zeros(16)])
    for r, i in enumerate(at):
        for bit in (0, 1):
            values = np.full((65, 1), 1.0 - bit)
            values[i], values[64] = bit, 0.0
            want = attention(C * made.rows[i], K, values)[0]
            assert outputs[r, bit] == pytest.approx(want, rel=1e-6)
    # Two blocks of 32 keys: one opposite, 30 orthogonal, 16 each at +-1/4.
    by_hand = math.exp(-2 * C) + 30 * math.exp(-C)
    by_hand += 16 * (math.exp(-0.75 * C) + math.exp(-1.25 * C))
    assert interference == pytest.approx(np.full(4, by_hand), rel=1e-9)


def test_misread_moves_both_bits_both_ways():
    # Exact outputs 1 and 3, eta = 1/2: the allowed ends are 1.5 and 1.5, the geometric mean.
    outputs, cut = np.array([[1.0, 3.0]]), np.array([1.5])
    assert bounds.misread(outputs, cut, 0.999, (1, -1)) == 0
    assert bounds.misread(outputs, cut, 1.001, (1, -1)) == 2
    assert bounds.misread(outputs, cut, 1.001, (-1, -1)) == 1
    assert bounds.misread(outputs, cut, 1.001) == 0


@pytest.mark.parametrize("change", [0.999, 1.001])
def test_a_threshold_a_thousandth_off_is_seen(change, monkeypatch):
    rule = bounds.condition

    def off(*arguments):
        made = rule(*arguments)
        right = type(made).threshold
        monkeypatch.setattr(type(made), "threshold", lambda self, *s: change * right(self, *s))
        return made

    monkeypatch.setattr(bounds, "condition", off)
    row = bounds.measured("kerdock", 64, None, None)
    assert row["misread_inside"] > 0


def test_no_known_set_is_below_the_least_range_and_hypercubes_are_not_far_above():
    [row] = bounds.ranges(2, 6)  # 64 points of a circle
    # The circle's own root by the first neighbours, 2 rho e^{-R(1 - cos)} = 1, is .1 % off.
    assert row["logit_range"] == pytest.approx(math.log(6) / (1 - math.cos(math.pi / 32)), rel=5e-3)
    assert 1 < row["logit_range"] / row["least"] < 1.03
