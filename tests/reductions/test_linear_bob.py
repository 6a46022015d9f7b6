"""The linear Bob: exact tolerances against brute force and closed forms, and what he reads."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kvbarrier.errors import BadInput, NoScale
from kvbarrier.protocols.evidence.nulls import null_of
from kvbarrier.protocols.evidence.verdicts import judge_adversaries, judge_point
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.coins import COMMITTED_KEYS
from kvbarrier.protocols.game.index_game import play_batch
from kvbarrier.protocols.game.instance import Instance
from kvbarrier.protocols.game.instances import Index, LinearIndex, instance_of
from kvbarrier.reductions.attention import attention, next_outputs
from kvbarrier.reductions.index import IndexReduction
from kvbarrier.reductions.keys import KeySet, make
from kvbarrier.reductions.linear_bob import (
    LinearBob,
    average_case_error,
    average_case_scale,
    average_case_z,
    linear_decoder,
    mixing_matrix,
    separation,
)


def mixing(keys, C: float) -> np.ndarray:
    rows = keys.rows.astype(np.float64)
    return mixing_matrix(C * rows, rows)


def spherical(n: int, d: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def additive_tolerance(R: np.ndarray, A: np.ndarray) -> float:
    """min_i (P_ii - sum_{m != i} |P_im|) / (2 |r_i|_1); for A^-1 that is gamma*."""
    P = np.abs(R @ A)
    return float(((2 * np.diag(R @ A).clip(0) - P.sum(axis=1)) / (2 * np.abs(R).sum(axis=1))).min())


def relative_tolerance(R: np.ndarray, A: np.ndarray) -> float:
    """eta* of A^-1: min_i 1/(2 sum_m T_im - T_ii), T = |R| A."""
    T = np.abs(R) @ A
    return float((1 / (2 * T.sum(axis=1) - np.diag(T))).min())


def orthonormal_tolerance(n: int, C: float) -> float:
    """(O): a (a + n) / (2 (a + 2n - 2)(a + n + 1)), a = e^C - 1."""
    a = math.expm1(C)
    return a * (a + n) / (2 * (a + 2 * n - 2) * (a + n + 1))


# -- the matrix ----------------------------------------------------------------------------------


def test_a_row_of_the_matrix_is_the_softmax_with_bobs_token() -> None:
    """By the definition of attention: values e_l give the weights."""
    rows = spherical(7, 3, 1)
    A = mixing_matrix(2.5 * rows, rows)
    for i in range(7):
        K, V = np.vstack([rows, np.zeros(3)]), np.vstack([np.eye(7), np.zeros(7)])
        assert attention(2.5 * rows[i], K, V) == pytest.approx(A[i], abs=1e-12)


def test_exact_attention_leaks_every_bit_at_a_low_temperature() -> None:
    keys, C = make("jl", 64, 64), 0.5
    A = mixing(keys, C)
    x = np.random.default_rng(0).integers(0, 2, (64, 64))
    # no single answer tells: the two values of a bit move it by less than the others do
    single = (A @ x > A.sum(axis=1)[:, None] / 2) != x
    assert single.mean() > 0.2
    assert (np.rint(linear_decoder(A) @ (A @ x)) == x).all()


# -- tolerances ----------------------------------------------------------------------------------


@given(
    n=st.integers(2, 4),
    seed=st.integers(0, 10**6),
    allowed=st.floats(0.0, 0.6),
    relative=st.booleans(),
    noise=st.sampled_from([0.0, 0.05]),
)
@settings(max_examples=60, deadline=None)
def test_the_extremes_are_those_of_all_secrets_and_all_errors(
    n: int, seed: int, allowed: float, relative: bool, noise: float
) -> None:
    """Every x in {0,1}^n, every corner of the errors: a linear form is extreme at corners."""
    rows = spherical(n, 3, seed)
    A = mixing_matrix(3.0 * rows, rows)
    R = linear_decoder(A, noise)
    high, low = separation(R, A, **{"eta" if relative else "gamma": allowed})
    zeros, ones = np.full(n, -np.inf), np.full(n, np.inf)
    for x in itertools.product((0, 1), repeat=n):
        o = A @ np.array(x)
        for signs in itertools.product((-1, 1), repeat=n):
            error = allowed * np.array(signs) * (o if relative else 1.0)
            said = R @ (o + error)
            zeros = np.where(np.array(x) == 0, np.maximum(zeros, said), zeros)
            ones = np.where(np.array(x) == 1, np.minimum(ones, said), ones)
    assert high == pytest.approx(zeros, abs=1e-9)
    assert low == pytest.approx(ones, abs=1e-9)


@pytest.mark.parametrize(("n", "C"), [(1, 3.0), (2, 0.1), (16, 1.0), (16, 4.0), (64, 2.0)])
def test_the_closed_form_of_orthonormal_keys(n: int, C: float) -> None:
    """Against mpmath's inverse at 50 digits."""
    with mpmath.workdps(50):
        E = mpmath.matrix(n, n)
        for i in range(n):
            for l in range(n):
                E[i, l] = mpmath.exp(C) if i == l else 1
        D = mpmath.exp(C) + n  # n - 1 others and Bob's own
        inverse = E**-1
        rows = [sum(abs(inverse[i, l]) * D for l in range(n)) for i in range(n)]
        want = float(mpmath.mpf(1) / 2 / max(rows))
    assert orthonormal_tolerance(n, C) == pytest.approx(want, rel=1e-12)
    A = mixing_matrix(C * np.eye(n), np.eye(n))
    assert additive_tolerance(linear_decoder(A), A) == pytest.approx(want, rel=1e-9)


def test_the_tolerance_is_about_a_over_4n() -> None:
    n, C = 10**6, 4.0
    assert orthonormal_tolerance(n, C) == pytest.approx(math.expm1(C) / (4 * n), rel=1e-3)


@pytest.mark.parametrize(
    ("n", "C", "gamma"),
    [(64, 4.0, 0.12), (256, 4.0, 0.027), (64, 2.0, 0.013), (256, 2.0, 0.0016)],
)
def test_random_keys_of_the_theory(n: int, C: float, gamma: float) -> None:
    A = mixing(make("jl", n, 64), C)
    assert additive_tolerance(linear_decoder(A), A) == pytest.approx(gamma, rel=0.05)


def test_one_answer_a_bit_is_the_decoder_that_is_the_identity() -> None:
    """R = I: A01's e^C - S > 2 gamma D, and M01's e^C > rho S."""
    rows = spherical(12, 4, 3)
    C = 5.0
    E = np.exp(C * rows @ rows.T)
    own, S = np.diag(E), E.sum(axis=1) - np.diag(E)
    A = mixing_matrix(C * rows, rows)
    gamma = ((own - S) / (2 * (own + S + 1))).min()
    assert additive_tolerance(np.eye(12), A) == pytest.approx(gamma, rel=1e-9)
    # e^C = rho S at eta = (e^C - S) / (e^C + S)
    eta = (own - S) / (own + S)
    for i in range(12):
        if 0 < eta[i] < 1:
            for moved, apart in ((eta[i] - 1e-6, True), (eta[i] + 1e-6, False)):
                high, low = separation(np.eye(12), A, eta=moved)
                assert (high[i] < low[i]) == apart


def test_tolerances_are_where_separation_ends() -> None:
    A = mixing(make("jl", 32, 16), 4.0)
    R = linear_decoder(A)
    for name, limit in (
        ("gamma", additive_tolerance(R, A)),
        ("eta", relative_tolerance(R, A)),
    ):
        assert limit > 0
        for factor, held in ((1 - 1e-6, True), (1 + 1e-6, False)):
            high, low = separation(R, A, **{name: factor * limit})
            assert bool((high < low).all()) == held


def test_the_ridge_is_the_least_mean_square_estimate() -> None:
    """Its error covariance I/4 - R A/4 is the Schur complement of the joint covariance."""
    rows, s = spherical(6, 3, 8), 0.03
    A = mixing_matrix(1.0 * rows, rows)
    R = linear_decoder(A, s)
    joint = np.block([[np.eye(6) / 4, A.T / 4], [A / 4, A @ A.T / 4 + s**2 * np.eye(6)]])
    conditional = np.linalg.inv(np.linalg.inv(joint)[:6, :6])
    assert np.eye(6) / 4 - R @ A / 4 == pytest.approx(conditional, abs=1e-9)
    # with noisy answers it beats the inverse, which multiplies the noise
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2, (6, 4000))
    o = A @ x + s * rng.normal(size=x.shape)
    errors = [
        ((0.5 + decoder @ (o - A.sum(axis=1)[:, None] / 2) > 0.5) != x).mean()
        for decoder in (R, linear_decoder(A))
    ]
    assert errors[0] < errors[1] - 0.02


# -- average case --------------------------------------------------------------------------------


@pytest.mark.parametrize(("C", "error"), [(4.0, 0.245), (5.0, 0.045), (6.0, 1.7e-5)])
def test_average_case_errors_of_kerdock_keys(C: float, error: float) -> None:
    z = average_case_z(make("kerdock", 4096, 64), C)
    assert average_case_error(z).max() == pytest.approx(error, rel=0.02)


def test_the_average_case_error_is_met_and_hoeffding_holds() -> None:
    keys, C = make("jl", 256, 32), 4.0
    A, z = mixing(keys, C), average_case_z(keys, C)
    x = np.random.default_rng(2).integers(0, 2, (256, 600))
    cut = (A.sum(axis=1) / 2)[:, None]  # (e^C + S) / 2D
    wrong = (A @ x > cut) != x
    # mean of 256 predictions, 600 columns: the standard deviation is below .0015
    assert wrong.mean() == pytest.approx(float(average_case_error(z).mean()), abs=0.008)
    assert (wrong.mean(axis=1) <= np.exp(-(z**2) / 2) + 0.05).all()


def test_the_average_case_scale_grows_as_half_the_logarithm() -> None:
    keys = make("kerdock", 4096, 64)
    C = average_case_scale(keys, 0.01)
    assert average_case_error(average_case_z(keys, C)).max() == pytest.approx(0.01, rel=1e-4)
    assert IndexReduction.build(keys, 64, eta=0.0).scale > C + 3
    with pytest.raises(BadInput, match="must lie in"):
        average_case_scale(keys, 0.3)


# -- in the game's form --------------------------------------------------------------------------


@pytest.mark.parametrize("values", ["01", "pm1"])
@pytest.mark.parametrize("gamma", [0.0, 0.01])
def test_every_bit_at_half_the_scale_under_the_worst_additive_error(
    values: str, gamma: float
) -> None:
    keys = make("jl", 64, 64)
    bob = LinearBob.build(keys, 64, values=values, gamma=gamma)
    alone = IndexReduction.build(keys, 64, values=values, eta=None, gamma=gamma)
    assert bob.scale < alone.scale / 2
    x = np.random.default_rng(3).integers(0, 2, (64, 64)).astype(np.uint8)
    _, K, V = bob.stream(x)
    outputs = next_outputs(*bob.queries(), K, V)
    assert (bob.decode(outputs) == x).all()
    worst = int((bob.bounds[0] - bob.bounds[1]).argmax())
    signs = np.sign(bob.decoder[worst])[:, None]
    pushed = outputs + gamma * signs * np.where(x[worst] == 0, 1, -1)
    assert (bob.decode(pushed)[worst] == x[worst]).all()
    if gamma:  # and a little further it breaks, at that very token
        pushed = outputs + 1.01 * gamma * signs * np.where(x[worst] == 0, 1, -1)
        assert (bob.decode(pushed)[worst] != x[worst]).all()


def test_the_tight_scale_is_where_separation_begins() -> None:
    keys = make("jl", 64, 64)
    for options in ({"gamma": 0.02}, {"eta": 0.5}):
        bob = LinearBob.build(keys, 8, **options)
        assert bob.separated
        assert LinearBob.build(keys, 8, scale=bob.scale, **options).scale == bob.scale
        with pytest.raises(NoScale, match="use a larger scale"):
            LinearBob.build(keys, 8, scale=bob.scale * 0.999, **options)


def test_relative_errors_within_eta_are_read() -> None:
    bob = LinearBob.build(make("jl", 64, 64), 16, eta=0.5)
    x = np.random.default_rng(4).integers(0, 2, (64, 16)).astype(np.uint8)
    _, K, V = bob.stream(x)
    outputs = next_outputs(*bob.queries(), K, V)
    for rule in (
        np.where(x == 1, 0.5, 1.5),
        np.where(np.random.default_rng(5).random(x.shape) < 0.5, 0.5, 1.5),
    ):
        assert (bob.decode(outputs * rule) == x).all()


def test_estimates_are_the_bits_for_exact_answers() -> None:
    for values in ("01", "pm1"):
        bob = LinearBob.build(make("jl", 32, 16), 5, values=values, gamma=0.05)
        x = np.random.default_rng(6).integers(0, 2, (32, 5)).astype(np.uint8)
        _, _, V = bob.stream(x)
        assert bob.estimates(bob.mixing @ V) == pytest.approx(x, abs=1e-6)


def test_holes_are_filled_and_rows_must_be_all() -> None:
    bob = LinearBob.build(make("jl", 32, 16), 4, gamma=0.05)
    outputs = np.full((32, 4), np.nan)
    outputs[3] = np.inf
    assert not bob.decode(outputs).any()
    assert (bob.decode(np.zeros((32, 4)), np.arange(32)) == 0).all()
    with pytest.raises(BadInput, match="needs all rows"):
        bob.decode(np.zeros((2, 4)), [0, 1])
    with pytest.raises(BadInput, match="got answers of shape"):
        bob.estimates(np.zeros((2, 4)))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"gamma": 0.1, "eta": 0.5}, "exactly one of eta"),
        ({"gamma": 0.5}, "gamma < 0.5"),
        ({"eta": 0.5, "values": "pm1"}, "near 0 does not bound the error of the sum"),
        ({"gamma": 0.1, "scale": "closed"}, "'tight' or a positive number, not closed"),
        ({"gamma": 0.1, "scale": -1.0}, "'tight' or a positive number, not -1"),
    ],
)
def test_hypotheses_are_quoted(options: dict, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        LinearBob.build(make("jl", 32, 16), 4, **options)


def test_too_many_and_equal_keys_are_refused() -> None:
    with pytest.raises(BadInput, match="at most 1024 equations, not n = 1025"):
        LinearBob.build(make("jl", 1025, 16), 4, gamma=0.1)
    rows = make("jl", 32, 16).rows
    twice = KeySet("jl", 16, 0, np.vstack([rows[:31], rows[:1]]))
    with pytest.raises(NoScale, match="are equal"):
        LinearBob.build(twice, 4, gamma=0.1)
    with pytest.raises(NoScale, match="condition number"):
        linear_decoder(np.full((3, 3), 0.25))


# -- in the game ---------------------------------------------------------------------------------

KEY = COMMITTED_KEYS["regress"]
ADDITIVE = {"n": 64, "d": 32, "eta": None, "gamma": 0.01}


def wrong_bits(instance: Instance, target: str, isolation: str = "inline") -> list[int]:
    records = play_batch(Cell(instance, target, batch_size=3), KEY, 0, isolation).records
    assert [r.failed for r in records] == [None] * 3
    assert {r.asked for r in records} == {instance.n * instance.d}
    return [r.wrong for r in records]


@pytest.mark.parametrize("values", ["01", "pm1"])
def test_the_linear_bob_reads_full_caches_at_a_lower_temperature(values: str) -> None:
    linear = instance_of({**ADDITIVE, "values": values, "bob": "linear"})
    alone = instance_of({**ADDITIVE, "values": values})
    assert linear.build().scale < 0.6 * alone.build().scale
    for target in ("exact", "lossless"):
        assert wrong_bits(linear, target) == [0, 0, 0]
    assert wrong_bits(linear, "exact", "process") == [0, 0, 0]
    assert abs(sum(wrong_bits(linear, "zero")) / (3 * 64 * 32) - 0.5) < 0.05


def test_ids_and_secrets_of_the_default_do_not_know_of_bob() -> None:
    default, linear = Index(n=64, d=32), LinearIndex(n=64, d=32)
    assert "bob" not in default.spec()
    assert linear.spec()["bob"] == "linear"
    assert default.id != linear.id
    assert (default.coordinates, linear.coordinates) == (True, False)


@pytest.mark.parametrize(
    "other",
    [
        {"rows": 16},
        {"reduction": "visual", "n": 30},
        {"basis": "rotated"},
        {"heads": 2},
        {"levels": 4},
    ],
)
def test_the_linear_bob_plays_the_plain_game_alone(other: dict) -> None:
    with pytest.raises(
        BadInput,
        match=r"^The (visual reduction has no --bob|linear Bob (has no --|reads all rows))",
    ):
        instance_of({"n": 64, "d": 32, "bob": "linear", **other})
    with pytest.raises(BadInput, match="Did you mean 'linear'"):
        instance_of({"n": 64, "d": 32, "bob": "liner"})


def test_the_best_of_both_are_two_verdicts() -> None:
    """Half of the tokens evicted: broken by both, each by its own e-value and for its own null."""
    points, nulls = [], []
    for bob in ("threshold", "linear"):
        instance = instance_of({**ADDITIVE, "bob": bob})
        nulls.append(null_of(instance))
        half = Cell(instance, "sliding-window", budget=Fraction(1, 2), batch_size=12)
        points.append(
            judge_point(
                play_batch(half, KEY, 0, "inline").records,
                n=64,
                row_bits=32,
                cache_bits=instance.shape.cache_bits_16,
            )
        )
    found = judge_adversaries(points, nulls)
    assert [one.null.name for one in found] == ["coordinate", "all-at-once"]
    for one, point in zip(found, points, strict=True):
        assert one.guarantee == "broken"
        assert one.bit_error.level == pytest.approx(0.95)
        wealth = point.process.broken_process()
        assert wealth[one.decided_after - 1] >= -math.log(0.05) > wealth[one.decided_after - 2]
