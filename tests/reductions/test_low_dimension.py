"""Certified tokens under a norm budget; nets and clusters; SubGen's promised sizes."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions import keys, subgen_bounds
from kvbarrier.reductions import low_dimension as low
from kvbarrier.reductions.covering import (
    clusters,
    clusters_limit,
    covering_limit,
    greedy_net,
    largest_diameter,
    lattice_cover,
)
from kvbarrier.reductions.interference import relative_interference


def test_circle_interference_is_a_sum_of_bessel_functions() -> None:
    """sum_l e^{R cos(2 pi l/n)} = n sum_k I_{kn}(R), all integers k: the Fourier series."""
    for n, R in ((5, 2.0), (12, 9.0), (33, 100.0)):
        total = n * (mpmath.besseli(0, R) + 2 * sum(mpmath.besseli(k * n, R) for k in range(1, 9)))
        expected = float(total * mpmath.exp(-R)) - 1
        assert low.circle_interference(n, R) == pytest.approx(expected, rel=1e-12)


def test_circle_tokens_are_the_largest_certified() -> None:
    for R in (0.3, 5.0, 77.0, 2000.0):
        for eta in (0.0, 0.5, 0.9):
            rho, n = (1 + eta) / (1 - eta), low.circle_tokens(R, eta)
            assert n == 1 or rho * low.circle_interference(n, R) < 1
            assert rho * low.circle_interference(n + 1, R) >= 1
    sums = [low.circle_interference(n, 3.0) for n in range(1, 200)]
    assert (np.diff(sums) > 0).all()  # the monotonicity that bisection needs


def test_the_estimate_on_the_circle_is_sharp() -> None:
    for R in (1e3, 1e5, 1e7):
        for eta in (0.5, 0.9):
            assert low.circle_tokens(R, eta) == pytest.approx(low.circle_estimate(R, eta), rel=0.02)


def test_sphere_tokens_are_certified_and_below_the_packing_limit() -> None:
    n = low.sphere_tokens(60.0)
    assert 3 * low.sphere_interference(n, 60.0) < 1 <= 3 * low.sphere_interference(n + 1, 60.0)
    assert n < low.packing_limit(3, 60.0)
    rows = keys.make("sphere", n, 3).rows
    assert float(relative_interference(rows, 60.0).max()) == pytest.approx(
        low.sphere_interference(n, 60.0), rel=1e-3
    )


def test_packing_limit_against_closed_forms() -> None:
    """Caps of radius a are a/pi of a circle and (1 - cos a)/2 of a sphere."""
    for R in (3.0, 40.0, 5000.0):
        half = math.acos(1 - math.log(3) / R) / 2
        assert low.packing_limit(2, R) == pytest.approx(math.pi / half, rel=1e-9)
        assert low.packing_limit(3, R) == pytest.approx(2 / (1 - math.cos(half)), rel=1e-9)
    assert low.packing_limit(4, 0.5) == 1.0
    # The hexagon is certified at its tight scale: 6 <= limit; the kissing numbers likewise.
    for d, R in ((2, 3.6395), (3, 5.0603), (8, 10.2743), (24, 19.23)):
        assert {2: 6, 3: 12, 8: 240, 24: 196560}[d] <= low.packing_limit(d, R)


def test_certified_prefix_is_what_adding_one_by_one_finds() -> None:
    rows = keys.make("jl", 300, 10, seed=3).rows
    n = low.certified_prefix(rows, 10.0)
    assert 2 < n < 300

    def demand(m: int) -> float:
        return 3 * float(relative_interference(rows[:m], 10.0).max())

    assert demand(n) < 1 <= demand(n + 1)
    assert low.certified_prefix(rows[:n], 10.0) == n
    assert low.certified_prefix(rows[:1], 10.0) == 1


def test_random_rate_against_a_grid() -> None:
    u = np.linspace(0, 1, 2_000_001)[:-1]
    for beta in (0.5, 1.0, 2.0):
        phi = (beta * u + 0.5 * np.log1p(-u * u)).max()
        assert low.random_rate(beta) == pytest.approx(beta - phi, abs=1e-9)


def test_hypercube_budget_tends_to_its_estimate() -> None:
    for d in (3, 8, 20):
        S = (1 + math.exp(-2 * low.hypercube_budget(d) / d)) ** d - 1
        assert pytest.approx(1 / 3, rel=1e-9) == S
    # rho = 3 at eta = 1/2: (d/2) ln(d / ln(4/3))
    estimate = {d: d / 2 * math.log(d / math.log(4 / 3)) for d in (3, 30, 300)}
    ratio = [low.hypercube_budget(d) / R for d, R in estimate.items()]
    assert abs(ratio[2] - 1) < abs(ratio[0] - 1) < 0.05
    assert ratio[2] == pytest.approx(1, abs=1e-3)


def test_refusals_of_budgets() -> None:
    with pytest.raises(BadInput, match="positive number of nats, not 0"):
        low.circle_tokens(0.0)
    with pytest.raises(BadInput, match="eta < 1"):
        low.circle_tokens(1.0, 1.0)
    with pytest.raises(BadInput, match="d >= 2 and eta > 0"):
        low.packing_limit(2, 1.0, 0.0)
    with pytest.raises(BadInput, match="normalise the rows"):
        low.certified_prefix([[1, 1]], 1.0)


# -- covering --------------------------------------------------------------------------------------


def ball(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, d))
    return points / np.linalg.norm(points, axis=1, keepdims=True) * rng.random((n, 1)) ** (1 / d)


def test_a_greedy_net_is_separated_and_covers() -> None:
    points = ball(400, 3)
    centres, owner = greedy_net(points, 0.4)
    net = points[centres]
    distances = np.linalg.norm(net[:, None] - net[None], axis=2) + 9 * np.eye(len(net))
    assert distances.min() > 0.4
    assert np.linalg.norm(points - net[owner], axis=1).max() <= 0.4
    assert len(net) <= covering_limit(0.4, 3)


def test_the_line_is_covered_by_its_exact_number() -> None:
    """In one dimension a greedy net from the left takes every first point beyond eps."""
    points = np.linspace(-1, 1, 2001)[:, None]
    assert len(greedy_net(points, 0.5)[0]) == 4  # -1, -.499, .002, .503
    assert covering_limit(0.5, 1) == 5


@pytest.mark.parametrize("reading", ["radius", "diameter"])
def test_clusters_obey_their_reading(reading: str) -> None:
    points = ball(500, 2, seed=1)
    centres, owner = clusters(points, 0.5, reading)
    assert len(centres) <= clusters_limit(0.5, 2, reading)
    diameter = largest_diameter(points, owner)
    assert diameter <= (0.5 if reading == "diameter" else 1.0)
    if reading == "radius":
        assert diameter > 0.5  # so the readings differ
    pairs = [np.linalg.norm(a - b) for c in np.unique(owner) for a in points[owner == c]
             for b in points[owner == c]]  # fmt: skip
    assert diameter == pytest.approx(max(pairs), rel=1e-12)


def test_refusals_of_covers() -> None:
    with pytest.raises(BadInput, match="0 < eps <= 1"):
        covering_limit(1.5, 2)
    with pytest.raises(BadInput, match="Did you mean 'radius'"):
        clusters_limit(0.5, 2, "radios")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="radius >= 0"):
        greedy_net([[0.0]], -1.0)


# -- SubGen's promises -----------------------------------------------------------------------------


def test_subgen_sizes() -> None:
    assert subgen_bounds.key_samples(0.5, 0.25, 2.0, 1000, 1.0) == math.ceil(
        4 * math.e * math.log(1000)
    )
    assert subgen_bounds.value_samples(0.25, 3, 2.0) == 96
    # Theorem 15 at delta = 1, d = 2: 9 clusters.
    t, s = (subgen_bounds.key_samples(1, 1, 1, 100), subgen_bounds.value_samples(1, 2))
    assert subgen_bounds.unit_ball_words(1, 1, 1, 100, 2) == 9 * (2 * t + 3) + 4 * s + 2
    # No more clusters than tokens.
    assert subgen_bounds.unit_ball_words(1, 0.01, 1, 50, 4) == subgen_bounds.memory_words(
        50, subgen_bounds.key_samples(1, 0.01, 1, 50), subgen_bounds.value_samples(1, 4), 4, 4
    )


def test_refusals_of_subgens_hypotheses() -> None:
    with pytest.raises(BadInput, match="0 < eps <= 1, not 2"):
        subgen_bounds.key_samples(2.0, 0.1, 1.0, 10)
    with pytest.raises(BadInput, match="norm at most r > 0"):
        subgen_bounds.key_samples(0.5, 0.1, 0.0, 10)


@pytest.mark.parametrize(
    ("d", "R"), [(1, 0.7), (2, 3.0), (3, 40.0), (5, 5.0), (64, 9.0), (128, 0.01)]
)
def test_the_mean_weight_is_its_integral(d: int, R: float) -> None:
    """E over the cosine, whose density is proportional to (1-u^2)^((d-3)/2); d = 1 has u = +-1."""
    if d == 1:
        mean = (1 + mpmath.exp(-2 * R)) / 2
    else:
        # u = cos t takes away the ends' singularities: sin(t)^(d-2) dt
        weight = mpmath.quad(lambda t: mpmath.sin(t) ** (d - 2), [0, mpmath.pi / 2, mpmath.pi])
        total = mpmath.quad(
            lambda t: mpmath.exp(R * (mpmath.cos(t) - 1)) * mpmath.sin(t) ** (d - 2),
            [0, 0.1, 0.5, mpmath.pi / 2, mpmath.pi],
        )
        mean = total / weight
    assert low.log_mean_weight(d, R) == pytest.approx(float(mpmath.log(mean)), rel=1e-9)


def test_no_set_has_a_smaller_mean_weight_than_the_uniform_one() -> None:
    """The lemma behind the upper limit, on sets far from uniform and on tight ones."""
    rng = np.random.default_rng(0)
    sets = [
        rng.normal(size=(n, d)) + shift for n, d in ((3, 2), (40, 3), (7, 8)) for shift in (0, 1)
    ]
    sets += [keys.make("circle", 64, 2).rows, keys.make("kissing", None, 8).rows]
    for rows in sets:
        unit = rows.astype(float) / np.linalg.norm(rows, axis=1, keepdims=True)
        for R in (0.5, 4.0, 11.0):
            mean = float(np.exp(R * (unit @ unit.T - 1)).mean())
            assert math.log(mean) >= low.log_mean_weight(unit.shape[1], R) - 1e-9


@pytest.mark.parametrize("eta", [0.0, 0.5, 0.9])
def test_certified_sets_lie_between_the_two_limits(eta: float) -> None:
    for R in (2.0, 20.0, 300.0):
        n = low.circle_tokens(R, eta)
        assert low.surely_certified(2, R, eta) <= n < low.most_certified(2, R, eta)
    for d in (6, 10):
        n = max(
            low.certified_prefix(keys.make("jl", 512, d, s).rows, float(d), eta) for s in (0, 1)
        )
        assert n < low.most_certified(d, float(d), eta)
    # 1/(4 rho m) of (1 + 1/rho)/m, up to rounding to whole tokens
    rho = (1 + eta) / (1 - eta)
    ratio = low.most_certified(16, 20.0, eta) / low.surely_certified(16, 20.0, eta)
    assert ratio == pytest.approx(4 * (1 + rho), rel=2e-2)


def test_the_least_range_is_the_inverse() -> None:
    for n, d in ((2, 2), (100, 3), (4096, 64)):
        R = low.least_range(n, d)
        assert low.most_certified(d, R * (1 - 1e-9)) <= n <= low.most_certified(d, R * (1 + 1e-9))
    # d = 2: m ~ 1/sqrt(2 pi R), so n = (4/3) sqrt(2 pi R)
    assert low.least_range(10**6, 2) == pytest.approx((0.75e6) ** 2 / (2 * math.pi), rel=1e-3)
    with pytest.raises(BadInput, match="No budget certifies 9 unit keys in dimension 1"):
        low.least_range(9, 1)


@pytest.mark.parametrize(("d", "eps"), [(1, 0.3), (2, 0.5), (3, 0.4), (4, 0.5)])
def test_a_lattice_covers_the_ball_and_a_part_of_it_does_not(d: int, eps: float) -> None:
    centres = lattice_cover(d, eps)
    assert np.linalg.norm(centres, axis=1).max() <= 1 + 1e-12
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4000, d))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points[::2] *= rng.random((2000, 1)) ** (1 / d)
    gaps = np.sqrt(np.square(points[:, None] - centres).sum(axis=2))
    assert gaps.min(axis=1).max() <= eps * (1 + 1e-12)
    # Without a quarter of the balls some point is left.
    assert gaps[:, 3 * len(centres) // 4 :].min(axis=1).max() > eps
    assert math.ceil(eps**-d) <= len(centres) <= covering_limit(eps, d)


def test_covers_of_the_line_are_the_least() -> None:
    assert [len(lattice_cover(1, eps)) for eps in (1.0, 0.5, 0.4, 0.25)] == [1, 2, 3, 4]
