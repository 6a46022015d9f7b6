"""Kissing configurations and evenly spread keys, against what is published about them."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions import keys
from kvbarrier.reductions.index import IndexReduction
from kvbarrier.reductions.interference import coherence, query_interference, tight_scale
from kvbarrier.reductions.keys.circle import circle_points, sphere_points
from kvbarrier.reductions.keys.kissing import NORMS, SIZES, golay_words, integer_vectors

# How many minimal vectors have which cosine with a given one (Conway & Sloane 1999, ch. 4, and
# table 4.13 for the Leech lattice); listed from -1 to 1/2.
COSINES = {
    2: {-2: 1, -1: 2, 1: 2},
    3: {-2: 1, -1: 4, 0: 2, 1: 4},
    4: {-2: 1, -1: 8, 0: 6, 1: 8},
    8: {-4: 1, -2: 56, 0: 126, 2: 56},
    16: {-8: 1, -4: 280, -2: 1024, 0: 1710, 2: 1024, 4: 280},
    24: {-32: 1, -16: 4600, -8: 47104, 0: 93150, 8: 47104, 16: 4600},
}
# Exact scales at eta = 1/2, from the counts above with mpmath.
SCALES = {3: 5.0603, 4: 6.4190, 8: 10.2743, 16: 13.7033, 24: 19.2280}


@pytest.fixture(scope="module")
def leech() -> np.ndarray:
    return integer_vectors(24)


@pytest.mark.parametrize("d", [2, 3, 4, 8, 16, 24])
def test_kissing_configurations_are_the_published_ones(d: int, leech: np.ndarray) -> None:
    x = leech if d == 24 else integer_vectors(d)
    assert len(x) == SIZES[d] == len({row.tobytes() for row in x.astype(np.int8)})
    assert set((x * x).sum(axis=1).tolist()) == {NORMS[d]}
    # d = 24: rows of each of the three shapes, whose automorphisms reach the others.
    probes = x[[0, 1104, 98256, -1]] if d == 24 else x[:: max(1, len(x) // 100)]
    for row in probes.astype(np.float64) @ x.T.astype(np.float64):
        values, counts = np.unique(row.astype(int), return_counts=True)
        found = dict(zip(values.tolist(), counts.tolist(), strict=True))
        assert found.pop(NORMS[d]) == 1
        assert found == COSINES[d]


def test_golays_code_has_its_weights() -> None:
    weights = Counter(golay_words().sum(axis=1).tolist())
    assert weights == {0: 1, 8: 759, 12: 2576, 16: 759, 24: 1}


def test_leech_vectors_obey_the_lattices_congruences(leech: np.ndarray) -> None:
    """Conway & Sloane ch. 4, (134): x = m mod 2, sum = 4m mod 8, x = i + 2 codeword mod 4."""
    x = leech[::97]
    m = x[:, 0] % 2
    assert ((x - m[:, None]) % 2 == 0).all()
    assert ((x.sum(axis=1) - 4 * m) % 8 == 0).all()
    words = {word.tobytes() for word in golay_words().astype(np.int8)}
    halves = ((x - m[:, None]) // 2 % 2).astype(np.int8)
    assert all(half.tobytes() in words for half in halves)


def test_leech_keys_are_the_lattices_turned(leech: np.ndarray) -> None:
    """The rows are the integer vectors up to an isometry, in numbers that float32 has."""
    rows = keys.make("kissing", None, 24).rows.astype(np.float64)
    assert set(np.abs(rows).ravel().tolist()) == {0, 0.25, 0.5, 1}
    for i in (0, 1104, 98256, -1):
        np.testing.assert_array_equal(32 * (rows @ rows[i]), leech @ leech[i])


@pytest.mark.parametrize("d", [3, 4, 8, 16, 24])
def test_kissing_spectrum_is_that_of_the_float32_rows(d: int) -> None:
    made = keys.make("kissing", None, d)
    assert made.spectrum is not None
    assert coherence(made) == 0.5
    # Products of float32 numbers, and these sums of a few equal ones, are exact in float64.
    rows = made.rows.astype(np.float64)
    for i in (0, made.n // 2):
        inner = Counter(Fraction(value) for value in (rows @ rows[i]).tolist())
        assert inner.pop(made.spectrum.norm2) == 1
        assert dict(made.spectrum.counts) == inner
    assert tight_scale(made, 1 / 3) == pytest.approx(SCALES[d], abs=1e-4)


@pytest.mark.parametrize("d", [8, 16])
def test_kissing_queries_stay_multiples_of_their_keys(d: int) -> None:
    """What the spectrum is allowed for: the interference of the float32 queries, row by row."""
    made = keys.make("kissing", None, d)
    reduction = IndexReduction.build(made, d)
    Q = reduction.queries()[0].astype(np.float64)
    at = np.arange(0, made.n, max(1, made.n // 50))
    met = query_interference(Q[at], at, made.rows.astype(np.float64))
    measured, _ = reduction._measured(at)
    np.testing.assert_allclose(met, measured, rtol=1e-12)
    assert (reduction.demands() < 1).all()


def test_kissing_prefixes_and_refusals() -> None:
    assert keys.default_n("kissing", 8) == 240
    part, whole = keys.make("kissing", 100, 8), keys.make("kissing", None, 8)
    assert part.spectrum is None
    assert (part.rows == whole.rows[:100]).all()
    hexagon = keys.make("kissing", None, 2).rows.astype(np.float64)
    assert coherence(hexagon) == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(BadInput, match="d = 2, 3, 4, 8, 16 or 24, not 5"):
        keys.make("kissing", None, 5)
    with pytest.raises(BadInput, match="d = 2, 3, 4, 8, 16 or 24, not 64"):
        keys.default_n("kissing", 64)
    with pytest.raises(BadInput, match="only 24 kissing keys of dimension 4, not 25"):
        keys.make("kissing", 25, 4)


def test_circle_and_sphere_are_unit_even_and_padded() -> None:
    gaps = np.linalg.norm(np.diff(circle_points(12), axis=0), axis=1)
    np.testing.assert_allclose(gaps, 2 * math.sin(math.pi / 12), rtol=1e-14)
    sphere = sphere_points(500)
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 1, rtol=1e-14)
    assert np.linalg.norm(sphere.mean(axis=0)) < 1e-2
    # The nearest pair stays within a factor 2 of the hexagonal packing's distance.
    nearest = np.sort(sphere @ sphere.T, axis=1)[:, -2].max()
    assert math.sqrt(2 - 2 * nearest) > 0.5 * math.sqrt(8 * math.pi / math.sqrt(3) / 500)
    for name, own in (("circle", 2), ("sphere", 3)):
        made = keys.make(name, 32, 8)
        assert made.rows.shape == (32, 8)
        assert not made.rows[:, own:].any()
        with pytest.raises(BadInput, match=f"need {own} coordinates, not {own - 1}"):
            keys.make(name, 32, own - 1)


def test_the_circle_of_1024_is_separated_in_float32() -> None:
    reduction = IndexReduction.build(keys.make("circle", 1024, 2), 2)
    closed = math.log(6) * 1024**2 / (2 * math.pi**2)
    assert reduction.scale == pytest.approx(closed, rel=0.01)
    assert (reduction.demands() < 1).all()
