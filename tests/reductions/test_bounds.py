"""Entropy, Fano, Hamming balls, codes: against mpmath, exact integers and exhaustive search."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions.bounds import (
    CODES,
    binary_entropy,
    compression_ratio_limit,
    error_floor,
    fano_rate,
    index_bound_bits,
    log2_ball,
    log2_binomial,
    no_hypercompression,
    time_sharing_error,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "reductions.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["entropies"], ids=lambda c: c["p"])
def test_entropy_and_fano(case: dict) -> None:
    p = float(Fraction(case["p"]))
    assert binary_entropy(p) == pytest.approx(float(case["h"]), rel=4e-15, abs=0)
    assert binary_entropy(1 - p) == pytest.approx(float(case["h"]), rel=1e-15, abs=2e-15)
    # 1 - h near p = 1/2 is as accurate as 1 - 2p is
    assert fano_rate(p) == pytest.approx(
        float(case["fano"]), rel=2e-10 if p > 0.49 else 4e-15, abs=0
    )


def test_entropy_at_the_ends() -> None:
    assert [binary_entropy(p) for p in (0.0, 0.5, 1.0)] == [0.0, 1.0, 0.0]
    assert [fano_rate(p) for p in (0.0, 0.5, 1.0)] == [1.0, 0.0, 1.0]
    # 1 - h((1-u)/2) = (u^2/2 + u^4/12 + ...) / ln 2, and p = 1/2 - 2^-30 is exact
    assert fano_rate(0.5 - 2**-30) == pytest.approx(2**-58 / (2 * math.log(2)), rel=1e-15, abs=0)


@pytest.mark.parametrize("case", GOLDEN["inverses"], ids=lambda c: c["rate"])
def test_error_floor_is_the_inverse(case: dict) -> None:
    floor = error_floor(float(Fraction(case["rate"])))
    assert floor == pytest.approx(float(case["error"]), rel=1e-12, abs=0)


def test_error_floor_outside_and_monotone() -> None:
    assert [error_floor(r) for r in (-1.0, 0.0, 1.0, 2.0)] == [0.5, 0.5, 0.0, 0.0]
    rates = [i / 997 for i in range(998)]
    floors = [error_floor(r) for r in rates]
    assert all(a > b for a, b in itertools.pairwise(floors))
    for rate, floor in zip(rates, floors, strict=True):
        assert fano_rate(floor) == pytest.approx(rate, abs=1e-14)
        assert floor <= (1 - rate) / 2  # below time sharing


@pytest.mark.parametrize("case", GOLDEN["balls"], ids=lambda c: f"{c['N']}-{c['k']}")
def test_balls_and_binomials(case: dict) -> None:
    N, k = case["N"], case["k"]
    assert log2_ball(N, k) == pytest.approx(float(case["ball"]), rel=1e-12, abs=1e-12)
    assert log2_binomial(N, k) == pytest.approx(float(case["binomial"]), rel=1e-12, abs=2e-10)


def test_small_balls_by_counting() -> None:
    for N in range(1, 9):
        for k in range(-1, N + 2):
            words = sum(w.bit_count() <= k for w in range(2**N))
            assert log2_ball(N, k) == (math.log2(words) if words else -math.inf)
            size = math.comb(N, k) if k >= 0 else 0
            assert log2_binomial(N, k) == (math.log2(size) if size else -math.inf)


def test_ball_is_continuous_where_the_method_changes() -> None:
    """Integers up to N = 2048, floats beyond: both in the same place at N = 2048 and 2049."""
    for k in (40, 600, 1023, 1024, 1400):
        exact = math.log2(sum(math.comb(2049, j) for j in range(k + 1)))
        assert log2_ball(2049, k) == pytest.approx(exact, rel=1e-13)


def test_no_hypercompression_against_every_code_of_four_bits() -> None:
    """All sets of 2^m reconstructions of 4 bits, the best encoder for each: the share of secrets
    within k errors never exceeds the bound, and meets it somewhere when k = 0."""
    words = range(16)
    for m, k in itertools.product((0, 1, 2), (0, 1, 2)):
        best = max(
            sum(any((x ^ c).bit_count() <= k for c in codebook) for x in words)
            for codebook in itertools.combinations(words, 2**m)
        )
        bound = 16 * 2 ** no_hypercompression(4, m, k)
        assert best <= bound * (1 + 1e-12)
        if k == 0:
            assert best == pytest.approx(bound)


def test_no_hypercompression_is_met_by_perfect_codes() -> None:
    assert no_hypercompression(7, 4, 1) == 0  # Hamming(7,4)
    assert no_hypercompression(23, 12, 3) == 0  # Golay
    assert no_hypercompression(23, 11, 3) == -1
    assert no_hypercompression(100, 200, 0) == 0
    # theory A2's example: half the bits and 5 % errors on N = 2048
    s = 2048 - 1024 - math.log2(2049) - log2_binomial(2048, 102)
    assert round(s) == 433
    assert no_hypercompression(2048, 1024, 102) < -433


def coset_leader_weights(checks: list[int], length: int, redundancy: int) -> Fraction:
    """Mean coset leader weight over the length; ``checks`` are the syndromes of the unit errors."""
    weight = {0: 0}
    for w in itertools.count(1):
        if len(weight) == 2**redundancy:
            break
        for places in itertools.combinations(checks, w):
            syndrome = 0
            for place in places:
                syndrome ^= place
            weight.setdefault(syndrome, w)
    return Fraction(sum(weight.values()), 2**redundancy * length)


def syndromes(name: str) -> tuple[list[int], int, int]:
    kind, (length, dimension) = (
        name.split("(")[0],
        (int(v) for v in name.split("(")[1].rstrip(")").split(",")),
    )
    redundancy = length - dimension
    if kind == "Hamming":
        return list(range(1, length + 1)), length, redundancy
    if kind == "repetition":
        return [1 << i for i in range(redundancy)] + [2**redundancy - 1], length, redundancy
    generator = 0xC75  # x^11+x^10+x^6+x^5+x^4+x^2+1, MacWilliams & Sloane ch. 16
    out, power = [], 1
    for _ in range(length):
        out.append(power)
        power = power << 1 if not power & 0x400 else (power << 1) ^ generator
    assert power == 1  # x^23 = 1: the code is cyclic
    return out, length, redundancy


@pytest.mark.parametrize("code", CODES, ids=lambda c: c.name)
def test_code_distortions_by_coset_leaders(code) -> None:
    checks, length, redundancy = syndromes(code.name)
    assert code.rate == Fraction(length - redundancy, length)
    assert code.distortion == coset_leader_weights(checks, length, redundancy)
    # between the Shannon limit and time sharing
    assert error_floor(float(code.rate)) < code.distortion < time_sharing_error(code.rate)


def test_published_distortions() -> None:
    by_name = {c.name: c.distortion for c in CODES}
    assert by_name["Hamming(7,4)"] == Fraction(1, 8)
    assert by_name["Golay(23,12)"] == Fraction(5842, 2048 * 23)


def test_time_sharing() -> None:
    assert time_sharing_error(Fraction(1, 3)) == Fraction(1, 3)
    assert isinstance(time_sharing_error(Fraction(1, 3)), Fraction)
    assert time_sharing_error(0.25) == 0.375
    with pytest.raises(BadInput, match=r"\[0, 1\]"):
        time_sharing_error(1.5)


def test_index_bound_and_compression_limit() -> None:
    """1 - h(1/10) = .5310044064, 1 - h(1/3) = log2 3 - 1 ... h(1/3) = log2 3 - 2/3."""
    assert index_bound_bits(1000) == pytest.approx(531.0044064, rel=1e-9)
    assert index_bound_bits(3, 2 / 3) == pytest.approx(5 - 3 * math.log2(3), rel=1e-9)
    assert index_bound_bits(77, 1.0) == 77
    assert index_bound_bits(77, 0.5) == 0
    # all n d_v bits, d_k = d_v: 16 bits and two numbers a bit
    assert compression_ratio_limit(512, 64, 64, index_bound_bits(512 * 64, 1.0)) == 32
    assert compression_ratio_limit(512, 64, 64, 0) == math.inf


@pytest.mark.parametrize(
    "call",
    [
        lambda: binary_entropy(-0.1),
        lambda: fano_rate(1.1),
        lambda: error_floor(math.nan),
        lambda: no_hypercompression(0, 1, 0),
        lambda: no_hypercompression(4, -1, 0),
        lambda: index_bound_bits(10, 0.4),
        lambda: compression_ratio_limit(0, 1, 1, 1),
    ],
)
def test_senseless_numbers_are_refused(call) -> None:
    with pytest.raises(BadInput):
        call()
