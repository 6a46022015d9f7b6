"""Interference, coherence and the tight scale, against mpmath, exact spectra and brute force."""

from __future__ import annotations

import functools
import json
import math
import time
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
from kvbarrier.errors import BadInput, NoScale
from kvbarrier.reductions import keys
from kvbarrier.reductions.interference import (
    closest_pair,
    coherence,
    max_deviation,
    relative_interference,
    tight_scale,
)
from kvbarrier.reductions.keys import KeySet
from kvbarrier.reductions.keys.hypercube import full_family_scale
from kvbarrier.reductions.margins import condition

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "reductions.json").read_text())


made_once = functools.cache(keys.make)


def rule_of(name: str, tolerance: float):
    eta, gamma = (tolerance, None) if name[0] == "M" else (None, tolerance)
    return condition("01" if name.endswith("01") else "pm1", eta, gamma)


def without_spectrum(made: KeySet) -> KeySet:
    return KeySet(made.name, made.d, made.seed, made.rows)


def mp_rows(made: KeySet) -> list[list[mpmath.mpf]]:
    return [[mpmath.mpf(float(v)) for v in row] for row in made.rows]


def mp_interference(rows: list[list[mpmath.mpf]], i: int, C: mpmath.mpf) -> mpmath.mpf:
    """sum_{l != i} e^{C <k_l,k_i>} / e^{C <k_i,k_i>}, term by term as it is written."""
    score = [mpmath.fdot(row, rows[i]) for row in rows]
    others = sum(mpmath.exp(C * s) for l, s in enumerate(score) if l != i)
    return others / mpmath.exp(C * score[i])


@pytest.mark.parametrize("name", ["jl", "jl-raw", "hypercube", "kerdock"])
def test_relative_interference_is_the_sum_it_says(name: str) -> None:
    made = keys.make(name, 40, 16, seed=2)
    with mpmath.workdps(30):
        rows = mp_rows(made)
        for C in (0.0, 0.7, 13.0):
            expected = [float(mp_interference(rows, i, mpmath.mpf(C))) for i in (0, 17, 39)]
            got = relative_interference(made.rows, C, [0, 17, 39])
            np.testing.assert_allclose(got, expected, rtol=1e-12)
            everything = relative_interference(made, C)
            np.testing.assert_allclose(everything[[0, 17, 39]], expected, rtol=1e-12)


def test_spectrum_and_rows_agree() -> None:
    for name, n, d in [("kerdock", 256, 16), ("hypercube", 128, 16)]:
        made = keys.make(name, n, d)
        np.testing.assert_allclose(
            relative_interference(made, 7.3), relative_interference(made.rows, 7.3), rtol=1e-12
        )
        assert coherence(made) == pytest.approx(coherence(made.rows), rel=1e-12)
        assert max_deviation(made) == pytest.approx(max_deviation(made.rows), rel=1e-12)
        assert closest_pair(made)[2] == closest_pair(without_spectrum(made))[2]


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    made = keys.make("jl-raw", 37, 24, seed=4)
    before = (
        relative_interference(made, 3.0),
        coherence(made),
        max_deviation(made),
        closest_pair(made),
        tight_scale(made, 0.25),
    )
    monkeypatch.setattr("kvbarrier.reductions.interference._BLOCK", 37 * 5)
    np.testing.assert_allclose(relative_interference(made, 3.0), before[0], rtol=1e-12)
    assert coherence(made) == pytest.approx(before[1], rel=1e-12)
    assert max_deviation(made) == pytest.approx(before[2], rel=1e-12)
    assert closest_pair(made) == before[3]
    assert tight_scale(made, 0.25) == pytest.approx(before[4], rel=1e-12)


def test_coherence_is_signed_and_ignores_lengths() -> None:
    made = keys.make("jl-raw", 30, 5, seed=1).rows.astype(np.float64)
    pairs = [
        float(np.dot(a, b) / (math.hypot(*a) * math.hypot(*b)))
        for i, a in enumerate(made)
        for b in made[:i]
    ]
    assert coherence(made) == pytest.approx(max(pairs), rel=1e-12)
    assert coherence(keys.make("kerdock", None, 64)) == 0.125
    assert coherence([[1.0, 0.0], [-1.0, 0.0]]) == -1.0


def test_max_deviation_counts_norms_and_signs() -> None:
    made = keys.make("jl-raw", 30, 40, seed=1).rows.astype(np.float64)
    worst = max(
        abs(float(np.dot(a, b)) - (i == l)) for i, a in enumerate(made) for l, b in enumerate(made)
    )
    assert max_deviation(made) == pytest.approx(worst, rel=1e-12)
    assert max_deviation([[1.5, 0.0], [0.0, 1.0]]) == 1.25  # |2.25 - 1|


# -- the tight scale -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOLDEN["scales"], ids=lambda c: "-".join(map(str, c.values())))
def test_tight_scale_of_explicit_families(case: dict) -> None:
    """mpmath roots of the exact spectra (tests/golden/reductions.py), all four conditions."""
    made = made_once(case["keys"], case["n"], case["d"])
    rule = rule_of(case["condition"], float(Fraction(case["tolerance"])))
    # hypercube entries are 1/sqrt(d_a) rounded to float32, so C moves by up to 2^-23
    loose = 1.5e-7 if case["keys"] == "hypercube" and case["d"] not in (4, 16) else 3e-9
    expected = float(case["scale"])
    assert tight_scale(made, rule.bound, rule.zero_token) == pytest.approx(expected, rel=loose)
    if made.n <= 512 or (made.n == 4096 and rule.name == "M01" and rule.tolerance == 0.5):
        found = tight_scale(without_spectrum(made), rule.bound, rule.zero_token)
        assert found == pytest.approx(expected, rel=loose)


def test_published_scales() -> None:
    """Theory B's table, three decimals."""
    kerdock = keys.make("kerdock", None, 64)
    found = [tight_scale(kerdock, (1 - eta) / (1 + eta)) for eta in (0, 0.5, 0.9)]
    assert [round(C, 3) for C in found] == [8.819, 10.041, 12.112]
    for d_a, row in [(8, (9.61, 13.23, 20.19)), (10, (13.17, 17.67, 26.35))]:
        rhos = (1.0, 3.0, 19.0)
        assert tuple(round(full_family_scale(d_a, rho), 2) for rho in rhos) == row
        cube = keys.make("hypercube", 2**d_a, d_a)
        for rho in rhos:
            assert tight_scale(cube, 1 / rho) == pytest.approx(
                full_family_scale(d_a, rho), rel=1.5e-7
            )


@pytest.mark.parametrize(
    ("name", "n", "d"),
    [("jl", 24, 6), ("jl-raw", 20, 30), ("hypercube", 21, 8), ("kerdock", 23, 16), ("jl", 16, 2)],
)
@pytest.mark.parametrize(
    ("bound", "zero"), [(1 / 3, 0.0), (1.0, 0.0), (1 / 19, 0.0), (0.25, 0.375)]
)
def test_tight_scale_of_rows_is_the_largest_root(
    name: str, n: int, d: int, bound: float, zero: float
) -> None:
    """Bisection for every key, exact gaps and correctly rounded sums; the scale is the largest."""
    made = keys.make(name, n, d, seed=11)
    rows = [[Fraction(float(v)) for v in row] for row in made.rows]
    roots = []
    for i, own in enumerate(rows):
        scores = [sum(a * b for a, b in zip(row, own, strict=True)) for row in rows]
        gaps = [(float(s - scores[i]), 1.0) for l, s in enumerate(scores) if l != i]
        gaps.append((-float(scores[i]), zero))
        low, high = 0.0, 2.0**12
        for _ in range(60):
            C = (low + high) / 2
            f = math.fsum(w * math.exp(C * g) for g, w in gaps)
            low, high = (C, high) if f >= bound else (low, C)
        roots.append(low)
    exact = max(roots)
    found = tight_scale(made, bound, zero)
    assert exact < found <= exact * (1 + 2e-9)
    f = relative_interference(made, found) + zero * np.exp(
        -found * np.square(made.rows, dtype=np.float64).sum(axis=1)
    )
    assert (f < bound).all()


def test_tight_scale_sees_the_key_that_is_worst_only_at_the_end() -> None:
    """One close pair matters at large C, a crowded key at small C: the active set must switch."""
    crowd = np.zeros((30, 40))
    crowd[:, :30] = np.eye(30) + 0.1  # inner products .37 with one another
    pair = np.zeros((2, 40))
    pair[:, 38:] = [[0.0, 1.0], [0.4359, 0.90]]  # .90 with each other, 0 with the crowd
    rows = np.concatenate([crowd, pair])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    made = KeySet("mine", 40, 0, rows.astype(np.float32))
    early = relative_interference(made, 1.0)
    assert early.argmax() < 30
    found = tight_scale(made, 0.3)
    assert relative_interference(made, found).argmax() >= 30
    assert relative_interference(made, found).max() < 0.3
    assert relative_interference(made, found * (1 - 1e-6)).max() > 0.3


def test_scale_of_4096_random_keys_takes_seconds_not_minutes() -> None:
    """Theory B: median REM estimate d (1 - sqrt(1 - 2 ln(rho N)/d)) is a lower guide, 9.4 here."""
    made = keys.make("jl", 4096, 64)
    start = time.process_time()
    found = tight_scale(made, 1 / 3)
    assert time.process_time() - start < 6  # about 1 s; a slow shared machine gets room
    guide = 64 * (1 - math.sqrt(1 - 2 * math.log(3 * 4096) / 64))
    assert guide < found < 1.25 * guide
    assert relative_interference(made, found).max() < 1 / 3
    assert relative_interference(made, found * (1 - 1e-7)).max() > 1 / 3


def test_two_dimensions_are_enough_without_a_norm_budget() -> None:
    """N keys on a circle: 2 sum_j e^{-C (1 - cos(2 pi j/N))} over half the circle = 1/3.

    Theory B's asymptotics ln(2 rho) N^2 / (2 pi^2) keep the two nearest neighbours only.
    """
    N = 64
    angles = np.arange(N) * (2 * np.pi / N)
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    low, high = 0.0, 1e4
    for _ in range(60):
        C = (low + high) / 2
        f = math.fsum(math.exp(-C * (1 - math.cos(a))) for a in angles[1:].tolist())
        low, high = (C, high) if f > 1 / 3 else (low, C)
    found = tight_scale(KeySet("circle", 2, 0, rows), 1 / 3)
    assert found == pytest.approx(low, rel=1e-4)  # float32 moves a gap of .0048 by up to 1e-7
    assert found == pytest.approx(math.log(6) * N**2 / (2 * math.pi**2), rel=5e-3)


# -- where no scale exists -----------------------------------------------------------------------


def test_equal_keys_are_named() -> None:
    rows = keys.make("jl", 20, 8).rows.copy()
    rows[13] = rows[4]
    with pytest.raises(NoScale, match=r"Keys 4 and 13 of mine .* are equal"):
        tight_scale(KeySet("mine", 8, 0, rows), 1 / 3)


def test_dominated_key_is_named() -> None:
    """<k_3,k_9> = 1.2 |k_9|^2: the longer key 3 outweighs key 9 at every C >= 0."""
    rows = keys.make("jl", 20, 64).rows.copy()
    rows[3] = 1.2 * rows[9]
    with pytest.raises(NoScale, match=r"Key 9 of jl-raw .* is dominated by key 3: .* 0\.2 "):
        tight_scale(KeySet("jl-raw", 64, 0, rows), 1.0)
    raw = keys.make("jl-raw", 512, 16)
    gram = raw.rows.astype(np.float64) @ raw.rows.T.astype(np.float64)
    gap = gram - np.diag(gram)[:, None]
    np.fill_diagonal(gap, -np.inf)
    i, l = np.unravel_index(gap.argmax(), gap.shape)
    with pytest.raises(NoScale, match=rf"Key {i} of jl-raw .* dominated by key {l}"):
        tight_scale(raw, 1 / 3)


def test_antipodal_keys_do_not_disturb() -> None:
    """Keys +-e_1, +-e_2: e^{-2C} + 2 e^{-C} = bound, so e^{-C} = sqrt(1 + bound) - 1."""
    rows = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=np.float32)
    found = tight_scale(KeySet("cross", 2, 0, rows), 0.5)
    assert found == pytest.approx(-math.log(math.sqrt(1.5) - 1), rel=2e-9)


@pytest.mark.parametrize(("bound", "zero"), [(0.0, 0.0), (1.5, 0.0), (0.5, -1.0), (0.5, math.inf)])
def test_tight_scale_refuses_other_equations(bound: float, zero: float) -> None:
    with pytest.raises(BadInput, match="0 < bound <= 1"):
        tight_scale(keys.make("jl", 16, 8), bound, zero)


def test_one_key_has_no_interference() -> None:
    with pytest.raises(BadInput, match="at least two keys"):
        tight_scale(keys.make("jl", 1, 8), 0.5)
    with pytest.raises(BadInput, match="n >= 2"):
        coherence([[1.0, 0.0]])
