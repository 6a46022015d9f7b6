"""The live rotary embedding against complex numbers, and the player's notes of who moved."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.engines.rotary import Rotary, Turns


def by_complex_numbers(x, place, pairs):
    """RoFormer: pair r as a + bi, times exp(i p w_r); w_r = 2.5 * 2^(-2r/d)."""
    d = len(x)
    w = 2.5 * 2.0 ** (-2 * np.arange(d // 2) / d)
    a, b = (x[: d // 2], x[d // 2 :]) if pairs == "halves" else (x[::2], x[1::2])
    z = (a + 1j * b) * np.exp(1j * place * w)
    out = np.empty(d)
    if pairs == "halves":
        out[: d // 2], out[d // 2 :] = z.real, z.imag
    else:
        out[::2], out[1::2] = z.real, z.imag
    return out


@pytest.mark.parametrize("pairs", ["halves", "neighbours"])
def test_turned(pairs):
    x = np.random.default_rng(0).standard_normal((3, 2, 8))
    places = np.array([[0, 5], [-3, 100], [7, 1]])
    turned = Rotary(8, pairs).turned(x, places)
    for at in np.ndindex(3, 2):
        assert turned[at] == pytest.approx(by_complex_numbers(x[at], places[at], pairs), abs=1e-6)


def test_one_place_off_finds_nothing():
    # The mean over r of cos(w_r): the sum itself, for d = 64.
    one = Rotary(64)
    k = np.random.default_rng(1).choice([-1, 1], 64) / 8
    wanted = np.cos(2.5 * 2.0 ** (-np.arange(32) / 32)).mean()
    assert wanted < -0.2
    assert float(one.turned(k, 1) @ k) == pytest.approx(wanted, abs=1e-6)


def test_who_moved_is_asked_where_it_stands():
    keys = np.eye(4, dtype=np.float32).reshape(4, 1, 1, 1, 4)
    turns = Turns()
    turns.feed(keys[:3], 0)  # tokens 0, 1, 2 at places 0, 1, 2
    turns.forget(1, 2)
    turns.move(2, -1)  # token 2 closes up
    turns.feed(keys[3:], 2)  # token 3 comes behind it
    twin = Turns.unpack(turns.copy().pack())
    for one in (turns, twin):
        assert one.asked(keys).ravel().tolist() == [0, 0, -1, 0]
    twin.move(0, 5)
    # Token 1 was gone before that.
    assert twin.asked(keys).ravel().tolist() == [5, 0, 4, 5]
    assert turns.asked(keys).ravel().tolist() == [0, 0, -1, 0]
