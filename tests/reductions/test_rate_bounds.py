"""Bounds on symbol error and squared error, against brute force, a primal and known numbers."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kvbarrier.errors import BadInput
from kvbarrier.reductions.bounds import error_floor, fano_rate
from kvbarrier.reductions.rate_bounds import (
    LLOYD_MAX,
    SCALAR_GAP,
    dither_mse_floor,
    dither_rate,
    dual_rate,
    gaussian_mse_rate,
    grid_mse_floor,
    grid_mse_floors,
    grid_mse_rate,
    mse_time_sharing,
    optimal_guesses,
    requantised,
    symbol_error_floor,
    symbol_rate,
    symbol_time_sharing,
    uniform_mse_rate,
)

LEVELS = st.sampled_from([2, 3, 4, 16, 50, 256])

# -- symbol error --------------------------------------------------------------------------------


@given(st.floats(0, 1))
def test_two_levels_are_fanos_line(error: float) -> None:
    assert symbol_rate(error, 2) == pytest.approx(fano_rate(error), abs=1e-12)
    assert symbol_error_floor(error, 2) == pytest.approx(error_floor(error), abs=1e-7)


@given(st.floats(1e-9, 1 - 1e-9), st.integers(1, 8))
def test_the_rate_is_the_formula_of_theory(e: float, b: int) -> None:
    """b - h(e) - e log2(2^b - 1)."""
    h = -e * math.log2(e) - (1 - e) * math.log2(1 - e)
    assert symbol_rate(e, 2**b) == pytest.approx(b - h - e * math.log2(2**b - 1), abs=1e-9)


@given(st.floats(0, 9), LEVELS)
def test_the_floor_is_the_inverse(rate: float, levels: int) -> None:
    floor = symbol_error_floor(rate, levels)
    assert 0 <= floor <= 1 - 1 / levels
    if 0 < rate < math.log2(levels):
        assert symbol_rate(floor, levels) == pytest.approx(rate, abs=1e-12 * max(1, 1 / rate))
        assert floor <= symbol_time_sharing(rate, levels) + 1e-12


def best_codes(levels: int, guesses: list[float], loss, messages: int) -> float:
    """The least mean loss per number over all decoders with so many messages, for two numbers."""
    secrets = list(itertools.product(range(levels), repeat=2))
    words = list(itertools.product(guesses, repeat=2))
    table = np.array([
        [sum(map(loss, x, y)) / 2 for x in secrets] for y in words
    ])  # fmt: skip
    return min(
        float(table[list(code)].min(axis=0).mean())
        for code in itertools.combinations(range(len(words)), messages)
    )


@pytest.mark.parametrize(("levels", "messages"), [(3, 1), (3, 2), (3, 3), (3, 5), (3, 8), (4, 4)])
def test_no_code_for_two_numbers_beats_the_symbol_bound(levels: int, messages: int) -> None:
    """All decoders, the encoder being the best for each; the rate is half of log2 messages."""
    best = best_codes(levels, list(range(levels)), lambda x, y: x != y, messages)
    rate = math.log2(messages) / 2
    assert symbol_rate(best, levels) <= rate + 1e-12
    assert symbol_error_floor(rate, levels) <= best + 1e-12


def test_the_symbol_bound_is_met_at_its_ends() -> None:
    for levels in (2, 4, 16, 256):
        assert symbol_rate(0, levels) == math.log2(levels)
        assert symbol_rate(1 - 1 / levels, levels) == 0
        assert symbol_error_floor(-1, levels) == 1 - 1 / levels
        assert symbol_error_floor(math.log2(levels), levels) == 0
        # a wrong number that is sure to be wrong tells something again
        assert symbol_rate(1, levels) == pytest.approx(math.log2(levels / (levels - 1)))


# -- squared error -------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [4, 16, 256])
def test_requantising_is_a_quarter_bit_above_the_dither_bound(levels: int) -> None:
    """.2546 = 1/2 log2(2 pi e/12) at every number of bits, and its errors by listing the cells."""
    assert pytest.approx(0.2546, abs=5e-5) == SCALAR_GAP
    b = levels.bit_length() - 1
    for c in range(b + 1):
        s = levels >> c
        x = np.arange(levels)
        middle = x // s * s + (s - 1) / 2
        mse, symbol, bit = requantised(levels, c)
        assert mse == pytest.approx(float(np.mean((x - middle) ** 2)))
        assert c - dither_rate(mse, levels) == pytest.approx(min(c, SCALAR_GAP))
        guess = x // s * s  # the cell's lowest level
        assert symbol == np.mean(guess != x)
        wrong = [(u ^ (u >> 1) ^ v ^ (v >> 1)).bit_count() for u, v in zip(x, guess, strict=True)]
        assert bit == pytest.approx(np.mean(wrong) / b)


@pytest.mark.parametrize("messages", [1, 2, 3])
def test_no_code_for_two_numbers_beats_the_squared_bounds(messages: int) -> None:
    """Three levels, guesses at every half step in both numbers: 25 words."""
    best = best_codes(3, [0, 0.5, 1, 1.5, 2], lambda x, y: (x - y) ** 2, messages)
    rate = math.log2(messages) / 2
    assert grid_mse_rate(best, 3) <= rate + 1e-9
    assert dither_mse_floor(rate, 3) <= grid_mse_floor(rate, 3) <= best + 1e-9


@pytest.mark.parametrize("levels", [2, 4, 16])
def test_no_scalar_quantiser_beats_the_squared_bounds(levels: int) -> None:
    """The best cells for L messages are runs: all ways to cut 0 .. B-1, each run at its mean."""
    for messages in range(2, min(levels, 5)):
        best = math.inf
        for cuts in itertools.combinations(range(1, levels), messages - 1):
            runs = np.split(np.arange(levels), cuts)
            best = min(best, sum(float(np.var(run)) * len(run) for run in runs) / levels)
        assert grid_mse_rate(best, levels) <= math.log2(messages)
        assert grid_mse_floor(math.log2(messages), levels) <= best


def blahut_arimoto(levels: int, slope: float) -> tuple[float, float]:
    """A real channel, so a point (D, R) on or above R(D): guesses at 1/16 steps."""
    x, y = np.arange(levels)[:, None], np.linspace(0, levels - 1, 16 * (levels - 1) + 1)
    d = (x - y) ** 2
    A = np.exp(-slope * d)
    q = np.full(len(y), 1 / len(y))
    for _ in range(4000):
        q = q * (A / (A @ q)[:, None]).mean(axis=0)
    W = A * q / (A @ q)[:, None]
    r = W.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.where(W > 0, W * np.log2(W / r), 0).sum() / levels
    return float((W * d).sum() / levels), float(information)


@pytest.mark.parametrize(("levels", "slope"), [(2, 3.0), (4, 1.0), (16, 0.09), (16, 0.5), (16, 2)])
def test_the_squared_bound_is_the_rate_distortion_function(levels: int, slope: float) -> None:
    """Below what a channel achieves, by less than a thousandth of a bit."""
    D, R = blahut_arimoto(levels, slope)
    assert R - 1e-3 < grid_mse_rate(D, levels) <= R + 1e-9
    floor = grid_mse_floor(R, levels)
    assert D * (1 - 2e-3) < floor <= D * (1 + 1e-9)


def test_numbers_of_theory() -> None:
    """Theory C3: four bits, D = .951 and 4.477 (2.032 there is for guesses among the levels)."""
    assert grid_mse_rate(0.951, 16) == pytest.approx(2.032, abs=1.5e-3)
    assert grid_mse_rate(4.477, 16) == pytest.approx(0.987, abs=1.5e-3)
    assert grid_mse_rate(0.951, 16) > dither_rate(0.951, 16) + 0.1


@given(st.floats(0.3, 60), st.floats(0.3, 60))
def test_more_error_costs_less(one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert dither_rate(low, 16) >= dither_rate(high, 16)
    assert dither_mse_floor(dither_rate(low, 16), 16) == pytest.approx(low, rel=1e-9) or (
        dither_rate(low, 16) == 0
    )


def test_the_squared_bound_at_its_ends() -> None:
    assert (grid_mse_rate(0, 16), grid_mse_rate(21.25, 16)) == (4, 0)
    assert (grid_mse_floor(4, 16), grid_mse_floor(0, 16)) == (0, 21.25)
    assert (mse_time_sharing(0, 16), mse_time_sharing(4, 16)) == (21.25, 0)
    assert symbol_time_sharing(0, 16) == 15 / 16
    curve = [grid_mse_rate(D, 4) for D in (0.001, 0.01, 0.1, 0.4, 0.8, 1.2)]
    assert curve == sorted(curve, reverse=True)
    assert curve[0] > 1.98
    # both lines start at the variance, and time sharing is never below the bound
    for rate in (0.5, 1, 2, 3, 3.8):
        assert grid_mse_floor(rate, 16) < mse_time_sharing(rate, 16)


# -- the dual ------------------------------------------------------------------------------------


@given(
    st.sampled_from([2, 4, 8]), st.floats(0, 30), st.floats(0, 1), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_any_law_and_slope_give_a_bound(levels, slope, D, seed) -> None:
    """Hamming distortion, whose R(D) is Fano's bound (Shannon 1959) up to 1 - 1/B."""
    q = np.random.default_rng(seed).dirichlet(np.full(levels, 0.3)) + 1e-12
    D = min(D, 1 - 1 / levels)
    assert dual_rate(1 - np.eye(levels), q, slope, D) <= symbol_rate(D, levels) + 1e-9


@pytest.mark.parametrize("levels", [2, 4, 16])
def test_the_dual_is_fano_at_the_right_slope(levels: int) -> None:
    for e in (0.01, 0.2, 0.5 - 1e-3):
        slope = math.log((1 - e) * (levels - 1) / e)
        even = np.full(levels, 1 / levels)
        bound = dual_rate(1 - np.eye(levels), even, slope, e)
        assert bound == pytest.approx(symbol_rate(e, levels), abs=1e-12)
        found = optimal_guesses(np.exp(-slope * (1 - np.eye(levels))))
        np.testing.assert_allclose(found, even, atol=1e-9)


# -- references ----------------------------------------------------------------------------------


def lloyd(bits: int) -> float:
    """Lloyd's iteration for N(0,1): cells around points, points at the means of cells."""
    density = lambda t: math.exp(-t * t / 2) / math.sqrt(2 * math.pi)  # noqa: E731
    points = np.linspace(-2, 2, 1 << bits)
    for _ in range(3000):
        edges = [-40.0, *((points[1:] + points[:-1]) / 2), 40.0]
        mass = np.diff([0.5 * (1 + math.erf(t / math.sqrt(2))) for t in edges])
        points = -np.diff([density(t) for t in edges]) / mass
    return float(1 - mass @ points**2)


@pytest.mark.parametrize(("bits", "gap"), [(1, 0.27), (2, 0.455), (3, 0.572), (4, 0.641)])
def test_lloyd_max_quantisers_of_a_gaussian(bits: int, gap: float) -> None:
    assert LLOYD_MAX[bits] == pytest.approx(lloyd(bits), rel=5e-4)
    assert bits - gaussian_mse_rate(LLOYD_MAX[bits]) == pytest.approx(gap, abs=1e-3)


def test_continuous_laws() -> None:
    """A c-bit quantiser of U[0,1] has D = 4^-c/12; N(0,4) at D = 1 costs a bit."""
    for c in (1, 2, 4, 8):
        assert c - uniform_mse_rate(4.0**-c / 12) == pytest.approx(SCALAR_GAP, abs=1e-12)
    assert gaussian_mse_rate(1.0, 4.0) == 1
    assert (gaussian_mse_rate(5.0, 4.0), uniform_mse_rate(1.0)) == (0, 0)
    assert gaussian_mse_rate(0.0) == uniform_mse_rate(0.0) == math.inf
    # a fine grid is the continuous law: D in units of the range
    assert dither_rate(256**2 * 1e-3, 256) == pytest.approx(uniform_mse_rate(1e-3), abs=2e-3)


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: symbol_rate(1.1, 4), r"must lie in \[0, 1\]"),
        (lambda: symbol_rate(math.nan, 4), r"must lie in \[0, 1\]"),
        (lambda: symbol_rate(0.1, 1), "at least 2 levels"),
        (lambda: symbol_error_floor(math.nan, 4), "not nan"),
        (lambda: symbol_time_sharing(2.5, 4), "0 to log2 B = 2"),
        (lambda: mse_time_sharing(-1, 4), "0 to log2 B = 2"),
        (lambda: dither_rate(-1, 4), "number >= 0"),
        (lambda: grid_mse_rate(math.nan, 4), "number >= 0"),
        (lambda: grid_mse_floor(math.nan, 4), "not nan"),
        (lambda: requantised(12, 1), "B = 2.b levels"),
        (lambda: requantised(16, 5), "0 to b bits"),
        (lambda: gaussian_mse_rate(0.1, 0.0), "positive number"),
        (lambda: dual_rate(np.eye(2), np.ones(2), -1.0, 0.1), "slope >= 0"),
        (lambda: dual_rate(np.eye(2), np.ones(2), 1.0, math.nan), "distortion >= 0"),
        (lambda: dual_rate(np.eye(2), np.array([1.0, -1.0]), 1.0, 0.1), "a law of guesses"),
    ],
)
def test_bad_input_says_what_was_expected(call, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        call()


def test_import_needs_numpy_only() -> None:
    code = (
        "import sys, kvbarrier.reductions.rate_bounds, kvbarrier.reductions.alphabet;"
        "heavy = {'numba', 'scipy', 'pandas', 'matplotlib', 'mpmath', 'llvmlite'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("levels", [4, 16])
def test_many_floors_are_bounds_too(levels: int) -> None:
    """Below the optimised ones, by a few per cent; above the dither's; the ends are exact."""
    rates = [k / 4 for k in range(4 * (levels.bit_length() - 1) + 1)]
    many = grid_mse_floors(rates, levels)
    assert (many[0], many[-1]) == ((levels**2 - 1) / 12, 0)
    for rate, floor in list(zip(rates, many, strict=True))[1:-1]:
        best = grid_mse_floor(rate, levels)
        assert 0.9 * best < floor <= best * (1 + 1e-3)
        assert floor >= dither_mse_floor(rate, levels)
    with pytest.raises(BadInput, match="nan"):
        grid_mse_floors([1.0, math.nan], levels)
