"""The families D_0, D_i, D_ij, and the game played on them."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions import hiding
from kvbarrier.reductions.indistinguishability import CellFamily, TokenFamily, acceptable

SIZES = [(2, 1, 0.5), (9, 4, 0.5), (33, 8, 0.1), (257, 16, 0.9)]


def naive_attention(q, K, V):
    weights = [math.exp(math.fsum(a * b for a, b in zip(q, k, strict=True))) for k in K.tolist()]
    total = math.fsum(weights)
    return [math.fsum(w * v for w, v in zip(weights, column, strict=True)) / total
            for column in V.T.tolist()]  # fmt: skip


@pytest.mark.parametrize("make", [TokenFamily, CellFamily])
@pytest.mark.parametrize(("n", "d", "eta"), SIZES)
def test_the_closed_outputs_are_exact_attention(make, n: int, d: int, eta: float) -> None:
    family = make(n, d, eta)
    for place in (None, 0, family.places // 2, family.places - 1):
        q, K, V = family.stream(place)
        assert q.tolist() == [1.0] * d
        assert naive_attention(q, K, V) == pytest.approx([family.output(place)] * d, rel=3e-5)


@pytest.mark.parametrize("make", [TokenFamily, CellFamily])
@pytest.mark.parametrize(("n", "d", "eta"), SIZES)
def test_no_output_is_acceptable_for_d_0_and_for_another(make, n, d, eta) -> None:
    family = make(n, d, eta)
    low, high = sorted([family.output(None), family.output(0)])
    assert (1 + eta) * low < (1 - eta) * high
    for x in np.geomspace(low / 4, 4 * high, 200):
        both = [acceptable(family, place, np.full(d, x)) for place in (None, 0)]
        assert not all(both)


@pytest.mark.parametrize("eta", [0.1, 0.5, 0.9])
def test_the_conditions_are_sharp(eta: float) -> None:
    n, nudge = 17, 1e-9
    B = (1 + 3 * eta) / (1 - eta)
    # With B the intervals touch, exactly: (1+eta) * 1 = (1-eta) (B+1)/2.
    assert (1 + eta) == pytest.approx((1 - eta) * (B + 1) / 2, rel=1e-14)
    TokenFamily(n, 2, eta, B * (1 + nudge))
    with pytest.raises(BadInput, match=r"B > \(1\+3 eta\)/\(1-eta\)"):
        TokenFamily(n, 2, eta, B * (1 - nudge))
    w = 1 - (1 - eta) * (n - 1) / ((1 + eta) * n)
    assert (1 + eta) * (1 - w) / (n - 1) == pytest.approx((1 - eta) / n, rel=1e-12)
    CellFamily(n, 2, eta, w + nudge)
    with pytest.raises(BadInput, match=r"< w < 1"):
        CellFamily(n, 2, eta, w - nudge)


def test_the_weight_of_the_hidden_token_is_one_half() -> None:
    q, K, _ = TokenFamily(100, 8).stream(3)
    weights = np.exp(K.astype(float) @ q.astype(float))
    assert weights[3] / weights.sum() == pytest.approx(0.5, abs=1e-6)


def test_the_newest_token_is_public() -> None:
    for family in (TokenFamily(9, 3), CellFamily(9, 3)):
        _, K0, V0 = family.stream(None)
        for place in range(family.places):
            _, K, V = family.stream(place)
            assert (K[-1] == K0[-1]).all()
            assert (V[-1] == V0[-1]).all()
            assert (K != K0).any()


def test_who_can_tell() -> None:
    token, cell = TokenFamily(4, 2), CellFamily(4, 2)
    keys, values = np.zeros((2, 4, 2), dtype=bool)
    keys[0, 1] = values[2, 0] = keys[3] = True
    assert token.seen(keys, values).tolist() == [True, False, True]
    assert cell.seen(keys, values).tolist() == [False, True, False, False, False, False]
    # D_i and D_0 have equal keys at n = 2.
    assert not TokenFamily(2, 1).seen(np.ones((2, 1), bool), np.zeros((2, 1), bool)).any()


@pytest.mark.parametrize("places", range(1, 7))
def test_the_program_finds_the_formula(places: int) -> None:
    for reads in range(places + 1):
        f = Fraction(reads, places)
        value, prior = hiding.minimax_program(places, reads)
        assert value == pytest.approx(float(1 / (2 - f)), abs=1e-9)
        assert prior == pytest.approx(float((1 - f) / (2 - f)), abs=1e-9)
        assert hiding.game_value(float(f)) + hiding.minimax_error(float(f)) == pytest.approx(1)


@pytest.mark.parametrize("places", [1, 2, 3, 5])
def test_the_line_at_prior_one_half_by_enumeration(places: int) -> None:
    """Every set and both answers: none errs less than (1-f)/2, one errs that."""
    for reads in range(places + 1):
        mean = []
        for read in combinations(range(places), reads):
            for says_0 in (True, False):
                on_i = sum(i not in read and says_0 for i in range(places))
                mean.append(Fraction(not says_0, 2) + Fraction(on_i, 2 * places))
        assert min(mean) == Fraction(places - reads, 2 * places)
        assert float(min(mean)) == pytest.approx(hiding.error_line(reads / places))
        assert hiding.least_error(places, reads) == pytest.approx(float(min(mean)))


def test_all_or_nothing_beats_the_minimax_line_of_its_mean() -> None:
    """Why that line is one for the largest f: read all with probability f, else guess."""
    read_all = hiding._outcomes(4, 4)[:, 0]
    read_none = hiding._outcomes(4, 0).mean(axis=1)
    for f in (0.25, 0.5, 0.75):
        worst = 1 - (f * read_all + (1 - f) * read_none).min()
        assert worst == hiding.error_line(f) < hiding.minimax_error(f)


def test_what_success_costs() -> None:
    assert hiding.share_needed(0.9) == pytest.approx(4 / 5)
    assert hiding.share_needed(0.9, worst_case=True) == pytest.approx(8 / 9)
    assert hiding.share_needed(2 / 3, worst_case=True) == pytest.approx(1 / 2)
    for P in (0.5, 0.7, 1.0):
        assert 1 - hiding.error_line(hiding.share_needed(P)) == pytest.approx(P)
        assert hiding.game_value(hiding.share_needed(P, worst_case=True)) == pytest.approx(P)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: TokenFamily(1, 4), "give n >= 2"),
        (lambda: CellFamily(4, 0), "give d >= 1"),
        (lambda: TokenFamily(8, 4, 1.0), r"needs 0 < eta < 1"),
        (lambda: CellFamily(8, 4, 0.5, 1.0), "< w < 1"),
        (lambda: hiding.error_line(1.5), "share of the places"),
        (lambda: hiding.share_needed(0.4), r"in \[1/2, 1\], not 0.4"),
        (lambda: hiding.minimax_program(11, 1), "1 to 10"),
        (lambda: hiding.minimax_program(4, 5), "0 to 4"),
        (lambda: hiding.least_error(4, -1), "0 to 4"),
    ],
)
def test_errors_say_what_to_do(call, part: str) -> None:
    with pytest.raises(BadInput, match=part):
        call()
