"""Theorems BC and BD: the iff from both sides in mpmath, the bounds against exact fractions."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import mpmath
import numpy as np
import pytest
from kvbarrier.reductions import keys
from kvbarrier.reductions.index import IndexReduction
from kvbarrier.reductions.keys.base import KeySet
from kvbarrier.reductions.rounding import CAPPED, EAGER, TYPES, Arithmetic, certified, extremes
from kvbarrier.reductions.scale import sent_interference

NUMPY = {"fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16}
BITS = {"fp32": 24, "fp16": 11, "bf16": 8}


def largest_score_error(game: IndexReduction, i: int, y: float, z: float) -> float:
    """By bisection, the x up to which (R) holds for token i."""
    interference, own = sent_interference(game.keys, game.scale, np.array([i]))
    cut, low, high = float(game.thresholds([i])[0]), 0.0, 20.0
    for _ in range(60):
        x = (low + high) / 2
        top, bottom = extremes(interference, own, [x], y, z, game.values)
        low, high = (x, high) if top[0] <= cut < bottom[0] else (low, x)
    return low


def worst_answers(game: IndexReduction, i: int, x: float, y: float, z: float):
    """By the definition, in mpmath: for each bit the answer that is moved furthest the other way.

    Other tokens all have the other bit and scores x higher, token i's is x lower, Bob's own is 0.
    """
    q = [mpmath.mpf(float(c)) for c in game.queries([i])[0][0]]
    scores = [sum(a * mpmath.mpf(float(b)) for a, b in zip(q, k, strict=True)) for k in
              game.keys.rows]  # fmt: skip
    weights = [mpmath.exp(s + (-x if l == i else x)) for l, s in enumerate(scores)]
    least = 0 if game.values == "01" else -1
    for bit in (0, 1):
        own, other = (1, least) if bit else (least, 1)
        total = sum(weights) + 1
        exact = (own * weights[i] + other * (sum(weights) - weights[i])) / total
        lost = min(z, (sum(weights) - weights[i]) / total)
        yield bit, exact + (1 - 2 * bit) * (y * abs(exact) + lost)


@pytest.mark.parametrize("how", [{"eta": 0.5}, {"eta": None, "gamma": 0.2},
                                 {"eta": 0.5, "values": "pm1"}])  # fmt: skip
@pytest.mark.parametrize("name", TYPES)
def test_every_bit_just_inside_and_one_misread_just_outside(name, how):
    game = IndexReduction.build(keys.make("jl", 24, 16, seed=3), 1, **how)
    y, z = Arithmetic(name).answer_error(game.n + 1)
    for i in (0, 11, 23):
        edge = largest_score_error(game, i, y, z)
        assert 0.01 < edge < 20
        cut = mpmath.mpf(float(game.thresholds([i])[0]))
        inside = worst_answers(game, i, edge * (1 - 1e-6), y, z)
        assert all((answer > cut) == bool(bit) for bit, answer in inside)
        outside = worst_answers(game, i, edge * (1 + 1e-6), y, z)
        assert any((answer > cut) != bool(bit) for bit, answer in outside)


def rounded(x: Fraction, bits: int) -> Fraction:
    """To the nearest number of so many bits, ties to even, without a least one; exact."""
    if not x:
        return x
    exponent = 0
    scaled = abs(x)
    while scaled >= 2:
        scaled, exponent = scaled / 2, exponent + 1
    while scaled < 1:
        scaled, exponent = scaled * 2, exponent - 1
    whole = round(scaled * 2 ** (bits - 1))
    return (1 if x > 0 else -1) * Fraction(whole, 2 ** (bits - 1)) * Fraction(2) ** exponent


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("name", TYPES)
def test_scores_that_are_rounded_everywhere_stay_within_x(name, eager):
    """An engine in fractions: each rounding by hand, in the order of eager attention or fused."""
    p, coins = BITS[name], np.random.default_rng(5)
    d, worst = 12, 0.0
    root = rounded(Fraction(float(np.sqrt(d))), 24)
    for _ in range(60):
        q, k = (coins.standard_normal(d).astype(np.float32) for _ in range(2))
        # All products of one sign: nothing hides an error.
        k = np.copysign(k, q)
        exact = sum(Fraction(float(a)) * Fraction(float(b)) for a, b in zip(q, k, strict=True))
        total = Fraction(0)
        for a, b in zip(q, k, strict=True):
            sent = rounded(rounded(root * Fraction(float(a)), 24), p)
            total = rounded(total + rounded(sent * rounded(Fraction(float(b)), p), 24), 24)
        total = rounded(total, p) if eager else total
        total = rounded(total / Fraction(float(np.sqrt(d))), p if eager else 24)
        bound = Arithmetic(name, EAGER if eager else 0).score_error([float(exact)], [0.0], d)
        share = float(abs(total - exact)) / float(bound[0])
        assert share <= 1
        worst = max(worst, share)
    # It is no empty bound: roundings of a random sign reach a good part of it.
    assert worst > 0.05


def close_pair(gap: float, n: int = 16) -> KeySet:
    """Unit keys: the axes, but for the second one, whose product with the first is 1 - gap."""
    rows = np.eye(n, dtype=np.float32)
    rows[1, :2] = 1 - gap, np.sqrt(gap * (2 - gap))
    return KeySet("pair", n, 0, rows)


def read_in(name: str, game: IndexReduction, x: np.ndarray, eager: bool) -> np.ndarray:
    """Attention with every number kept in the type; sums and softmax in float32."""
    kind = NUMPY[name]
    Q, _, _ = game.queries()
    _, K, V = game.stream(x)

    def kept(a):
        return np.asarray(a, dtype=np.float32).astype(kind).astype(np.float32)

    scores = np.hstack([kept(Q) @ kept(K).T, np.zeros((game.n, 1), np.float32)])
    scores = kept(scores) if eager else scores
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = kept(weights / weights.sum(axis=1, keepdims=True))
    return game.decode(kept(weights[:, :-1] @ kept(V)))


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_a_type_reads_keys_that_it_tells_apart_and_no_others(name, eager):
    unit, x = TYPES[name][0], np.random.default_rng(1).integers(0, 2, (16, 8)).astype(np.uint8)
    x[0], x[1] = 0, 1
    arithmetic = Arithmetic(name, EAGER if eager else 0)
    # Just outside: 1 - gap rounds to 1. Float32 tells the two apart, and so does the theorem.
    tight = IndexReduction.build(close_pair(unit / 4), 8, eta=0.5)
    assert not certified(tight, arithmetic)[:2].any()
    assert (read_in("fp32", tight, x, eager) == x).all()
    assert (read_in(name, tight, x, eager)[0] != x[0]).any()
    # Inside: as far apart as the worst roundings can move scores, and the scale that this takes.
    gap = 5 * (2 + arithmetic.score_roundings) * unit
    safe = IndexReduction.build(close_pair(gap), 8, eta=0.5, scale=12 / gap)
    # The axes alone: there the cut can be below the numbers that float32 has.
    assert certified(safe, arithmetic)[:2].all()
    assert (read_in(name, safe, x, eager) == x).all()


@pytest.mark.parametrize("name", TYPES)
def test_what_the_engines_table_plays_is_certified(name):
    """Kerdock keys at d = 64 and 256, jl keys at 128, eager and fused: no bit hangs on the type."""
    for d in (64, 256):
        game = IndexReduction.build(keys.make("kerdock", 512, d), d, eta=0.5)
        for roundings in (0, EAGER):
            assert certified(game, Arithmetic(name, roundings)).all()
        # Capped scores of 8 are off by 8 - 50 tanh(8/50) = .067, and rounded three times more.
        assert certified(game, Arithmetic(name, CAPPED, cap=50.0)).all()
    jl = IndexReduction.build(keys.make("jl", 512, 128), 128, eta=0.5)
    assert certified(jl, Arithmetic(name, EAGER)).all()


def test_what_bf16_cannot_promise():
    """A cap at 4096 tokens: x = .42, and (R) holds to .294. fp16 is certified, bf16 is not."""
    game = IndexReduction.build(keys.make("kerdock", 4096, 64), 64, eta=0.5)
    capped = {name: certified(game, Arithmetic(name, CAPPED, cap=50.0), [0])[0] for name in TYPES}
    assert capped == {"fp32": True, "fp16": True, "bf16": False}


def test_a_grain_counts_where_entries_are_small():
    fine, coarse = Arithmetic("fp16"), Arithmetic("fp16", grain=2.0**-14)
    # |q|_1 + |k|_1 = 100 in d = 64: half a grain is 2^-15, so 100/2^15 = .00305 more.
    more = coarse.score_error([8.0], [100.0], 64) - fine.score_error([8.0], [100.0], 64)
    assert more[0] == pytest.approx(100 * 2.0**-15, rel=0.01)


def test_the_table_of_the_theory():
    """The least tolerance that a type leaves: certified there, and not a hundredth below it."""
    text = (Path(__file__).parents[2] / "docs" / "theory-dtypes.md").read_text()
    made = keys.make("kerdock", 4096, 64)
    for word, roundings in (("fused", 0), ("eager", EAGER)):
        line = next(line for line in text.splitlines() if line.startswith(f"| {word}"))
        said = re.findall(r"(\.\d+) at (?:C = )?([\d.]+)", line)
        for name, (eta, scale) in zip(TYPES, said, strict=True):
            for factor, holds in ((1.005, True), (0.99, False)):
                game = IndexReduction.build(made, 64, eta=float(eta) * factor)
                assert certified(game, Arithmetic(name, roundings), [0])[0] == holds
            assert abs(game.scale - float(scale)) < 0.01
