"""Johnson-Lindenstrauss constants: against closed forms, mpmath, and a plain simulation."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions import jl_lemmas as jl
from scipy.integrate import quad
from scipy.stats import chi2


def mp_norm_tail(eps: float, d: int) -> mpmath.mpf:
    """The chi-square tails from the incomplete gamma function."""
    half = mpmath.mpf(d) / 2
    lower = mpmath.gammainc(half, 0, half * (1 - mpmath.mpf(eps)), regularized=True)
    return lower + mpmath.gammainc(half, half * (1 + mpmath.mpf(eps)), regularized=True)


def polarised(eps: float, d: int, c: float) -> float:
    """Another route than the program's: (1+c)/2 Y - (1-c)/2 Y', adaptive quadrature over Y'."""

    def integrand(y: float) -> float:
        low, high = (((1 - c) * y + 2 * d * (c + shift)) / (1 + c) for shift in (-eps, eps))
        return float(chi2.pdf(y, d) * (chi2.cdf(low, d) + chi2.sf(high, d)))

    cuts = [0.0, *(d * share for share in (0.1, 0.4, 0.7, 1.0, 1.3, 1.7, 2.5, 5.0, 20.0))]
    return math.fsum(
        quad(integrand, a, b, epsabs=0, epsrel=1e-11, limit=200)[0]
        for a, b in itertools.pairwise(cuts)
    )


@pytest.mark.parametrize(("eps", "d"), [(0.1, 1), (0.5, 2), (0.3, 16), (0.5, 64), (0.9, 256)])
def test_norm_tail_against_mpmath(eps: float, d: int) -> None:
    assert jl.norm_tail(eps, d) == pytest.approx(float(mp_norm_tail(eps, d)), rel=1e-10)


@pytest.mark.parametrize(("eps", "d"), [(0.1, 16), (0.5, 64), (0.7, 96)])
@pytest.mark.parametrize("c", [0.0, -0.5, 0.9])
def test_product_tail_against_another_integral(eps: float, d: int, c: float) -> None:
    assert jl.product_tail(eps, d, c) == pytest.approx(polarised(eps, d, c), rel=1e-8)


@pytest.mark.parametrize("c", [0.0, 0.4, -0.4, 0.99, 0.9999])
@pytest.mark.parametrize("eps", [0.1, 0.5, 0.9])
def test_product_tail_at_two_dimensions_in_closed_form(eps: float, c: float) -> None:
    """d = 2: (1+c) E - (1-c) E' with standard exponentials, an asymmetric Laplace law.

    Pr[> x] = (1+c)/2 e^{-x/(1+c)} for x >= 0, and Pr[< x] = (1-c)/2 e^{x/(1-c)} for x <= 0.
    """

    def above(x: float) -> float:
        if x >= 0:
            return (1 + c) / 2 * math.exp(-x / (1 + c))
        return 1 - (1 - c) / 2 * math.exp(x / (1 - c))

    wanted = above(2 * (c + eps)) + 1 - above(2 * (c - eps))
    assert jl.product_tail(eps, 2, c) == pytest.approx(wanted, rel=1e-9)


def test_norm_tail_at_two_dimensions_in_closed_form() -> None:
    for eps in (0.1, 0.5, 0.9):
        wanted = 1 - math.exp(-(1 - eps)) + math.exp(-(1 + eps))
        assert jl.norm_tail(eps, 2) == pytest.approx(wanted, rel=1e-12)


def test_against_a_simulation() -> None:
    """A whole matrix times two vectors, none of the program's shortcuts."""
    draw = np.random.default_rng(7)
    u, v = np.zeros(5), np.zeros(5)
    u[0], v[0], v[1] = 1.0, 0.5, math.sqrt(0.75)
    matrices, d = 4000, 16
    A = draw.standard_normal((matrices, d, 5)) / math.sqrt(d)
    fu, fv = A @ u, A @ v
    norm = np.mean(np.abs((fu * fu).sum(axis=1) - 1) > 0.5)
    product = np.mean(np.abs((fu * fv).sum(axis=1) - 0.5) > 0.5)
    for seen, exact in ((norm, jl.norm_tail(0.5, d)), (product, jl.product_tail(0.5, d, 0.5))):
        assert abs(seen - exact) < 5 * math.sqrt(exact * (1 - exact) / matrices)


def test_the_stated_bounds_are_above_the_exact_laws() -> None:
    for d, eps in itertools.product((1, 2, 3, 8, 64, 512), (0.01, 0.2, 0.5, 2 / 3, 0.99)):
        assert jl.norm_tail(eps, d) <= jl.norm_bound(eps, d)
        for c in (-1.0, -0.3, 0.0, 0.7, 1.0):
            assert jl.product_tail(eps, d, c) <= jl.product_bound(eps, d)


def test_one_tail_where_the_proof_is_sharpest() -> None:
    """Each of the two chi-square tails is below the one-sided bound, not only their sum."""
    for d, eps in itertools.product((1, 4, 64), (0.1, 0.5, 0.9)):
        half = mpmath.mpf(d) / 2
        lower = mpmath.gammainc(half, 0, half * (1 - eps), regularized=True)
        upper = mpmath.gammainc(half, half * (1 + eps), regularized=True)
        assert max(lower, upper) <= jl.one_tail(eps, d)


def test_the_tails_of_the_union_by_listing_them() -> None:
    for n in (1, 2, 3, 7):
        listed = [("norm", i, side) for i in range(n) for side in "<>"]
        listed += [
            (sign, pair, side)
            for pair in itertools.combinations(range(n), 2)
            for sign in "+-"
            for side in "<>"
        ]
        assert jl.tails(n) == len(listed) == 2 * n * n


@pytest.mark.parametrize("n", [2, 16, 512, 10**6])
@pytest.mark.parametrize("eps", [0.1, 0.25, 0.45])
def test_the_constant_is_two_and_four_ln_two_mends_it(n: int, eps: float) -> None:
    """exp(-3 ln n) = n^-3 exactly, and 2 n^2 of them are 2/n; 4 ln 2 halves each."""
    lemma = jl.union_failure(n, eps, jl.dimension(n, eps))
    mended = jl.union_failure(n, eps, jl.dimension(n, eps, 4 * math.log(2)))
    assert lemma == pytest.approx(float(Fraction(2 * n**2, n**3)), rel=1e-12)
    assert mended == pytest.approx(float(Fraction(n**2, n**3)), rel=1e-12)


def test_the_lemma_s_dimension_by_hand() -> None:
    # 12 ln 512 / (1/4 - 1/8) = 96 * 6.2383 = 598.88; with 4 ln 2 more, 8 * 2.7726 = 22.18 more
    assert jl.dimension(512, 0.5) == pytest.approx(96 * math.log(512), rel=1e-15)
    assert jl.dimension(512, 0.5, 4 * math.log(2)) == pytest.approx(621.06, abs=0.01)


def test_certified_points_invert_the_dimension() -> None:
    # exp(64/96) = 1.948, exp(128/96) = 3.794, exp(256/96) = 14.39, exp(512/96) = 207.1
    wanted = {64: 1.948, 128: 3.794, 256: 14.39, 512: 207.1}
    for d, n in wanted.items():
        assert jl.certified_points(d) == pytest.approx(n, rel=5e-4)
        assert jl.certified_points(d) == max(jl.certified_points(d, e / 100) for e in range(1, 51))
    for d, eps in ((2000, 0.2), (600, 0.5)):
        n = jl.certified_points(d, eps)
        assert jl.dimension(math.floor(n), eps) <= d < jl.dimension(math.ceil(n), eps)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("d", [16, 64, 100, 128])
def test_existing_points_are_the_most(d: int, exact: bool) -> None:
    norm, product = (jl.norm_tail, jl.product_tail) if exact else (jl.norm_bound, jl.product_bound)

    def failure(n: int) -> float:
        return n * norm(0.5, d) + math.comb(n, 2) * product(0.5, d)

    n = jl.existing_points(d, exact=exact)
    assert failure(n) < 1 <= failure(n + 1)


def test_hypotheses_are_quoted() -> None:
    for eps, d in ((0.0, 8), (1.0, 8), (0.5, 0)):
        for function in (jl.norm_bound, jl.norm_tail, jl.product_bound, jl.product_tail):
            with pytest.raises(BadInput, match="need 0 < eps < 1 and d >= 1"):
                function(eps, d)
    with pytest.raises(BadInput, match=r"must lie in \[-1, 1\], not 1.5"):
        jl.product_tail(0.5, 8, 1.5)
    with pytest.raises(BadInput, match="Lemma 3 needs n >= 1 and 0 < eps < 1"):
        jl.dimension(0, 0.5)
    for d, eps in ((0, 0.5), (8, 0.6), (8, 0.0)):
        with pytest.raises(BadInput, match="margin needs eps < 1/2"):
            jl.certified_points(d, eps)


def test_tails_that_underflow_are_refused() -> None:
    with pytest.raises(BadInput, match="too small for float64"):
        jl.existing_points(200_000, exact=False)
