"""The evidence against big integers, brute force over all secrets, and naive products."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from kvbarrier.protocols.evidence import evidence
from kvbarrier.protocols.evidence.betting import (
    ABOVE,
    BELOW,
    SHARES,
    log_wealth_above,
    log_wealth_below,
)
from kvbarrier.protocols.evidence.evidence import Guarantee, interval, ledger, surprise_bits
from kvbarrier.protocols.evidence.ledger import log_beta, look_bits, sampled_surprise_bits
from kvbarrier.protocols.evidence.worst import tail


def exact_surprise(N: int, m: int, k: int) -> float:
    """N - m - log2(N+1) - log2 C(N,k) with big integers; math.log2 takes them of any size."""
    return N - m - math.log2((N + 1) * math.comb(N, k))


@pytest.mark.parametrize(
    ("N", "m", "k"),
    [(1, 0, 0), (1, 0, 1), (8, 3, 8), (2048, 1024, 102), (100_000, 7, 50_000), (300_000, 0, 3)],
)
def test_surprise_is_the_formula(N: int, m: int, k: int) -> None:
    assert float(surprise_bits(N, m, k)) == pytest.approx(exact_surprise(N, m, k), abs=1e-6)


def test_surprise_of_the_worked_examples() -> None:
    # theory A2: N = 2048, 50 % of the bits and 5 % errors: 433; honest time sharing at 50 %: the
    # kept half is right and the rest is guessed, 512 wrong: -643.
    assert round(float(surprise_bits(2048, 1024, 102))) == 433
    assert round(float(surprise_bits(2048, 1024, 512))) == -643


def words(lengths: list[int]) -> bool:
    """Kraft: a prefix-free code with these lengths exists."""
    return sum(Fraction(1, 2**m) for m in lengths) <= 1


def expected_wealth(
    N: int, code: list[tuple[int, int]], lengths: list[int], past: tuple[int, int, int]
) -> Fraction:
    """E[2^s_T] / 2^s_{T-1} exactly, over all secrets of N bits.

    ``code[x]`` is (word, answers) for secret x; ``past`` the sums (asked, charged, wrong) so far.
    """

    def wealth(asked: int, charged: int, wrong: int) -> Fraction:
        return Fraction(2**asked, 2**charged * (asked + 1) * math.comb(asked, wrong))

    total = Fraction(0)
    for x, (word, answers) in enumerate(code):
        k = (x ^ answers).bit_count()
        after = wealth(past[0] + N, past[1] + lengths[word], past[2] + k)
        total += after / wealth(*past) / 2**N
    return total


def test_ledger_is_a_supermartingale_by_exhaustion() -> None:
    # All x of 5 bits, 300 random compressors with 5 words of a prefix-free code: answers are a
    # function of the word. Some bet on few words, some use the short word most: all must lose.
    lengths = [1, 2, 3, 4, 4]
    assert words(lengths)
    rng = np.random.default_rng(5)
    largest = Fraction(0)
    for _ in range(300):
        answers = rng.integers(0, 32, size=5)
        if rng.random() < 0.5:  # the best encoder for these answers: nearest, discounted by length
            chosen = [
                min(range(5), key=lambda w: (int(x ^ answers[w]).bit_count(), lengths[w]))
                for x in range(32)
            ]
        else:
            chosen = list(rng.integers(0, 5, size=32))
        code = [(int(w), int(answers[w])) for w in chosen]
        past = (int(rng.integers(0, 40)), int(rng.integers(0, 9)), 0)
        past = (past[0], past[1], int(rng.integers(0, past[0] + 1)))
        largest = max(largest, expected_wealth(5, code, lengths, past))
    assert largest <= 1
    # No word at all (m = 0) is the least favourable: a martingale, exactly.
    assert expected_wealth(5, [(0, 9)] * 32, [0], (7, 3, 2)) == 1


def test_failing_is_worth_its_charge() -> None:
    # A compressor that fails on half of all secrets adds one word of 64 bits to a code that is full
    # without it (16 words of 4 bits).
    code = [(x, x) if x < 16 else (16, 0) for x in range(32)]
    value = expected_wealth(5, code, [4] * 16 + [64], (0, 0, 0))
    # 16 secrets at 2^5 2^-4 / 6 each, the rest nearly nothing.
    assert value == pytest.approx(1 / 6, abs=1e-9)
    assert value <= 1 + Fraction(1, 2**64)


def test_ledger_reports_the_peak_over_prefixes() -> None:
    # Three perfect messages of 64 bits for 10, then one that costs 200 and knows nothing.
    entry = ledger([64] * 4, [10, 10, 10, 200], [0, 0, 0, 32], secret_bits=64, row_bits=8)
    expected = [exact_surprise(64 * t, 10 * t, 0) for t in (1, 2, 3)]
    expected.append(exact_surprise(256, 230, 32))
    np.testing.assert_allclose(entry.path, expected, atol=1e-9)
    assert entry.surprise == pytest.approx(expected[3])
    assert entry.peak == pytest.approx(expected[2])
    assert entry.verdict == "impossible"
    assert expected[3] < 40 < expected[0]


def test_ledger_is_blind_when_the_message_is_as_long_as_the_secret() -> None:
    assert ledger([64], [64], [0], secret_bits=64, row_bits=8).blind
    assert not ledger([64], [63], [0], secret_bits=64, row_bits=8).blind


def naive_sampled(N: int, m: int, x: float, R: int, share: float) -> float:
    """max over every k* of -log2 max(A, B) - 1, with the exact ball V(N, k*)."""
    best, ball = -math.inf, 0
    for k in range(N + 1):
        ball += math.comb(N, k)
        log_a = m - N + math.log2(ball)
        y = share * k / N
        kl = 0.0
        if x < y < 1:
            kl = (x * math.log2(x / y) if x else 0.0) + (1 - x) * math.log2((1 - x) / (1 - y))
        elif y >= 1 > x:
            kl = math.inf
        best = max(best, min(-log_a, R * kl) - 1)
    return best


@pytest.mark.parametrize(
    ("N", "m", "x", "R", "share"),
    [(512, 20, 0.0, 64, 1.0), (512, 256, 0.05, 40, 1.0), (512, 100, 0.0, 16, 0.8),
     (512, 600, 0.0, 64, 1.0), (512, 20, 0.5, 64, 1.0)],
)  # fmt: skip
def test_sampled_bound_never_exceeds_the_scan_over_k(
    N: int, m: int, x: float, R: int, share: float
) -> None:
    scan = naive_sampled(N, m, x, R, share)
    ours = float(sampled_surprise_bits(N, m, x, R, share))
    # V(N, k) <= 2^{N h(k/N)} costs at most log2(N+1) bits, and k* may fall between integers.
    assert ours <= scan + R * 8 / N
    assert ours >= scan - math.log2(N + 1) - R * 8 / N


def test_looks_cost_what_a_union_bound_costs() -> None:
    looks = np.arange(1, 100_000)
    assert float(np.sum(2.0 ** -look_bits(looks))) == pytest.approx(1.0, abs=1e-4)
    assert float(np.sum(2.0 ** -look_bits(looks))) <= 1.0


def test_sampled_rows_convict_a_long_lie_and_only_together_with_rows() -> None:
    # 16 of 64 rows asked, no error in 64 messages, at a quarter of the memory: impossible, though
    # the asked bits alone (exactly as many as are charged) never could.
    T, asked, secret = 64, 16 * 32, 64 * 32
    counts = ([asked] * T, [secret // 4] * T, [0] * T)
    blind = ledger(*counts, secret_bits=secret, row_bits=32)
    seen = ledger(*counts, secret_bits=secret, row_bits=32, shares=[0.25] * T)
    assert blind.peak < 0
    assert seen.verdict == "impossible"
    assert seen.surprise == blind.surprise
    # R = 16 T rows, none wrong. A stays small up to kappa with h(kappa) = 3/4, .2145, so the
    # bound comes close to -R log2(1 - kappa) = 356 from below; 1 bit for k*, 1 for two tools, 12
    # for looks.
    limit = -16 * T * math.log2(1 - 0.2145) - 2 - 12.02
    assert limit - 4 < seen.peak < limit


def test_unequal_sampling_is_discounted() -> None:
    # One age bucket sampled at half the rate of the others can hide its errors: share 1/2.
    T, asked, secret = 64, 16 * 32, 64 * 32
    counts = ([asked] * T, [secret // 4] * T, [0] * T)
    fair = ledger(*counts, secret_bits=secret, row_bits=32, shares=[0.25] * T)
    unfair = ledger(*counts, secret_bits=secret, row_bits=32, shares=[0.125] * T)
    never = ledger(*counts, secret_bits=secret, row_bits=32, shares=[0.0] * T)
    limit = -16 * T * math.log2(1 - 0.2145 / 2) - 14.02
    assert limit - 4 < unfair.peak < limit
    assert never.peak < 0 < unfair.peak < fair.peak
    # The worst message so far discounts all of them.
    once = ledger(*counts, secret_bits=secret, row_bits=32, shares=[0.25, 0.125] + [0.25] * 62)
    assert once.sampled_path is not None
    assert unfair.sampled_path is not None
    assert fair.sampled_path is not None
    assert once.sampled_path[0] == fair.sampled_path[0]
    np.testing.assert_array_equal(once.sampled_path[1:], unfair.sampled_path[1:])


def naive_wealth(e: list[float], m: float, side: str) -> float:
    total = 0.0
    for share, above, below in zip(SHARES, ABOVE, BELOW, strict=True):
        if side == "above":
            total += above * math.prod(1 + share / m * (x - m) for x in e)
        else:
            total += below * math.prod(1 - share / (1 - m) * (x - m) for x in e)
    return total


def test_wealth_is_the_mixture_of_products() -> None:
    rng = np.random.default_rng(8)
    e = rng.random((9, 3))
    for m in (0.1, 0.37, 0.9):
        for side, log_wealth in (("above", log_wealth_above), ("below", log_wealth_below)):
            ours = np.exp(log_wealth(e, m))
            for t, b in itertools.product(range(9), range(3)):
                assert ours[t, b] == pytest.approx(naive_wealth(list(e[: t + 1, b]), m, side))
    assert ABOVE.sum() == pytest.approx(1.0)
    assert BELOW.sum() == pytest.approx(1.0)


def test_a_bet_is_fair_at_the_border_for_every_share() -> None:
    # E[factor] = 1 exactly if E[e] = m: the two-point law e in {0, 1} is enough to pin the slope.
    for m in (0.1, 0.3):
        zero, one = np.exp(log_wealth_above([[0.0, 1.0]], m))[0]
        assert (1 - m) * zero + m * one == pytest.approx(1.0)
        zero, one = np.exp(log_wealth_below([[0.0, 1.0]], m))[0]
        assert (1 - m) * zero + m * one == pytest.approx(1.0)


def counts(errors: Any, asked: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    wrong = np.round(np.array(errors) * asked).astype(int)
    return wrong, np.full_like(wrong, asked)


def test_no_error_decides_in_32_messages() -> None:
    verdict, after = Guarantee.of(*counts([[0.0] * 16] * 40)).decide(0.95)
    # .8 (10/9)^t >= 20 first at t = 31: .8 * 26.22 = 20.97; at t = 30 it is 18.9 + .2 * small.
    assert (verdict, after) == ("not-broken", 31)


def test_a_guessed_bucket_decides_within_8_messages() -> None:
    for bucket in (0, 15):
        e = [0.0] * 16
        e[bucket] = 0.5
        verdict, after = Guarantee.of(*counts([e] * 10)).decide(0.95)
        # (.5 5^t + .1 (3^t + 2^t + 1.5^t + 1.25^t + 1.125^t)) / 16 is 4.2 at t = 3 and 20.2 at 4.
        assert (verdict, after) == ("broken", 4)


def test_one_good_bucket_is_not_enough_and_one_bad_one_is_too_much() -> None:
    # 15 buckets clean, one at exactly the border: neither verdict may fall.
    e = [0.0] * 15 + [0.1]
    assert Guarantee.of(*counts([e] * 256)).decide(0.95) == ("undecided", 256)


def test_broken_is_more_than_not_broken_whichever_falls_first() -> None:
    # Clean for 40 messages, then ruined: not-broken fell at 31, and does not stand against it.
    entry = Guarantee.of(*counts([[0.0] * 16] * 40 + [[0.5] * 16] * 60))
    # .1 (1 - c)^40 (1 + 4c)^k >= 20 first for c = 1/4: 1.0e-6 2^k >= 20 at k = 25.
    verdict, after = entry.decide(0.95)
    assert verdict == "broken"
    assert 40 + 20 < after <= 40 + 25
    assert entry.contradicted_after(0.95) == 31
    assert Guarantee.of(*counts([[0.0] * 16] * 40)).contradicted_after(0.95) is None


def row_wealth(e: list[float]) -> float:
    """A row's wealth above with plain products, NaN skipped."""
    return naive_wealth([x for x in e if not math.isnan(x)], 0.1, "above")


def test_rows_are_averaged_and_share_the_level_with_the_buckets() -> None:
    rng = np.random.default_rng(9)
    by_row = rng.random((7, 48)) * 0.4
    by_row[rng.random((7, 48)) < 0.5] = np.nan  # asked in some messages only
    wrong, asked = counts(rng.random((7, 16)) * 0.3)
    entry = Guarantee.of(wrong, asked, by_row)
    for t in range(7):
        rows = [row_wealth(list(by_row[: t + 1, r])) for r in range(48)]
        buckets = [naive_wealth(list((wrong / asked)[: t + 1, b]), 0.1, "above") for b in range(16)]
        expected = math.log(0.5 * np.mean(rows) + 0.5 * np.mean(buckets))
        assert entry.broken_process()[t] == pytest.approx(expected)
    assert entry.row_scores is not None
    np.testing.assert_allclose(np.exp(entry.row_scores), rows)
    # Without counts by row the buckets have the whole level.
    alone = Guarantee.of(wrong, asked)
    np.testing.assert_allclose(alone.broken_process(), entry.bucket_process())


@pytest.mark.parametrize("n", [16, 512, 3000])
def test_a_lost_row_is_found_whatever_the_number_of_rows(n: int) -> None:
    by_row = np.zeros((20, n))
    by_row[:, n // 2] = 0.5
    e = np.zeros((20, 16))
    e[:, 8] = 0.5 * 16 / n
    verdict, after = Guarantee.of(*counts(e, 10**6), by_row).decide(0.95)
    # At n = 16 row and bucket are one: (.5 5^t + .1 (3^t + 2^t + ...))/16 is 20.2 at t = 4. Else
    # the row is alone, .5 5^t/n/2: for 512 rows 7.6 at 6 and 38 at 7, for 3000 6.5 at 7, 33 at 8.
    assert verdict == "broken"
    assert after == {16: 4, 512: 7, 3000: 8}[n]


def test_a_bucket_that_is_never_asked_stays_undecided() -> None:
    wrong, asked = counts([[0.0] * 16] * 64)
    asked[:, 3] = 0
    entry = Guarantee.of(wrong, asked)
    assert entry.decide(0.95) == ("undecided", 64)
    np.testing.assert_allclose(entry.below[:, 3], 0.0, atol=1e-12)
    np.testing.assert_allclose(entry.above[:, 3], 0.0, atol=1e-12)


def test_every_bucket_may_reach_the_line_at_its_own_time() -> None:
    # Bucket 0 is clean for 33 messages and then errs; bucket 1 errs first. Their wealths are never
    # above 20 together, and need not be.
    e = np.zeros((60, 16))
    e[33:, 0] = 0.2
    e[:4, 1] = 0.2
    entry = Guarantee.of(*counts(e))
    assert (entry.below.min(axis=1) < math.log(20)).all()
    verdict, after = entry.decide(0.95)
    assert verdict == "not-broken"
    # Bucket 1: .8 (10/9)^35 (8/9)^4 = 19.95 at t = 39, and the other shares add .3.
    assert after == 39


def test_no_messages_decide_nothing() -> None:
    assert Guarantee.of([], []).decide() == ("undecided", 0)
    assert interval([]) == (0.0, 1.0)


def test_interval_inverts_both_mixtures() -> None:
    rng = np.random.default_rng(2)
    e = np.clip(rng.normal(0.2, 0.1, 60), 0, 1)
    low, high = interval(e, 0.9)
    inside, outside = [], []
    for p in np.linspace(0.001, 0.999, 500):
        above = naive_wealth(list(e), float(p), "above") < 2 / 0.1
        below = naive_wealth(list(e), float(p), "below") < 2 / 0.1
        (inside if above and below else outside).append(float(p))
    assert low == pytest.approx(min(inside), abs=2.1e-3)
    assert high == pytest.approx(max(inside), abs=2.1e-3)
    assert not any(low + 1e-9 < p < high - 1e-9 for p in outside)
    assert low <= e.mean() <= high


def test_interval_ignores_order_and_widens_with_the_level() -> None:
    rng = np.random.default_rng(3)
    e = rng.random(30)
    np.testing.assert_allclose(interval(rng.permutation(e)), interval(e), atol=1e-12)
    wide, narrow = interval(e, 0.99), interval(e, 0.8)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_interval_ends() -> None:
    assert interval([0.0] * 50)[0] == 0.0
    assert interval([1.0] * 50)[1] == 1.0
    # .8 (1/(1-p))^50 >= 40 at p = 1 - 50^(-1/50) = .0753 (other shares add a little less).
    assert interval([0.0] * 50)[1] == pytest.approx(1 - 50 ** (-1 / 50), abs=2e-3)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        interval([0.5], 1.0)


def test_selection_is_paid_for() -> None:
    strong = Guarantee.of(*counts([[0.5] + [0.0] * 15] * 5))
    weak = Guarantee.of(*counts([[0.0] * 16] * 5))
    alone = strong.broken_process()[-1]
    together = evidence.combine_broken([strong, weak, weak, weak])[-1]
    # Three adversaries that see nothing leave a quarter of the e-value, and next to nothing more.
    assert together == pytest.approx(alone - math.log(4), abs=0.02)
    assert evidence.adjusted_level(0.95, 4) == pytest.approx(0.9875)


def test_not_broken_needs_every_adversary() -> None:
    clean = Guarantee.of(*counts([[0.0] * 16] * 32))
    short = Guarantee.of(*counts([[0.0] * 16] * 30))
    assert evidence.combine_guarantees([clean, clean])[0] == "not-broken"
    assert evidence.combine_guarantees([clean, short])[0] == "undecided"
    assert evidence.combine_guarantees([]) == ("undecided", 0)


def test_an_adversary_that_stopped_keeps_its_value() -> None:
    stopped = Guarantee.of(*counts([[0.5] * 16] * 3))
    going = Guarantee.of(*counts([[0.1] * 16] * 20))
    process = evidence.combine_broken([stopped, going])
    assert len(process) == 20
    assert process[-1] == pytest.approx(
        np.logaddexp(stopped.broken_process()[-1], going.broken_process()[-1]) - math.log(2)
    )


def perfect(bits: int, charged: int, messages: int) -> evidence.Ledger:
    return ledger(
        [bits] * messages, [charged] * messages, [0] * messages, secret_bits=bits, row_bits=bits
    )


def test_family_is_convicted_by_its_average_and_names_its_cells() -> None:
    honest = ledger([64], [64], [0], secret_bits=64, row_bits=64)
    # 64 bits from 10: s = 64 - 10 - log2(65) = 47.98; one of 8 cells needs 43.
    guilty = perfect(64, 10, 1)
    family = evidence.family_ledger([honest] * 7 + [guilty])
    assert family.line == pytest.approx(43.0)
    assert family.named == (7,)
    assert family.verdict == "impossible"
    assert family.peak == pytest.approx(exact_surprise(64, 10, 0) - 3, abs=1e-6)


def test_family_can_be_convicted_without_naming_anyone() -> None:
    # Each cell of 8 at 64 - 17 - 6.02 = 40.98 bits: below 43 alone, 40.98 on average.
    family = evidence.family_ledger([perfect(64, 17, 1)] * 8)
    assert family.verdict == "impossible"
    assert family.named == ()


def test_family_of_lucky_cells_is_not_convicted() -> None:
    # One cell of 8 at 41.98 bits would be convicted alone; among 8 it is luck.
    assert perfect(64, 16, 1).verdict == "impossible"
    family = evidence.family_ledger([ledger([64], [64], [9], secret_bits=64, row_bits=64)] * 7
                                    + [perfect(64, 16, 1)])  # fmt: skip
    assert family.verdict == "not-excluded"
    assert family.named == ()


def test_family_counts_a_sampled_conviction() -> None:
    T, asked, secret = 64, 16 * 32, 64 * 32
    sampled = ledger(
        [asked] * T, [secret // 4] * T, [0] * T, secret_bits=secret, row_bits=32, shares=[0.25] * T
    )
    family = evidence.family_ledger([perfect(64, 64, 5), sampled])
    assert family.named == (1,)
    assert family.verdict == "impossible"


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 15, 31, 255])
@pytest.mark.parametrize("t", [0.0, 0.4, 2.0, 9.0])
def test_students_tail_is_the_incomplete_beta(degrees: int, t: float) -> None:
    """Pr[T > t] = I_x(v/2, 1/2) / 2 with x = v / (v + t^2), by mpmath."""
    x = mpmath.mpf(degrees) / (degrees + mpmath.mpf(t) ** 2)
    right = mpmath.betainc(mpmath.mpf(degrees) / 2, 0.5, 0, x, regularized=True) / 2
    assert tail(degrees, t) == pytest.approx(float(right), abs=1e-13)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (0.5, 2.5), (10**6, 3), (4e8, 6e8)])
def test_log_beta_is_mpmaths(a: float, b: float) -> None:
    assert float(log_beta(a, b)) == pytest.approx(float(mpmath.log(mpmath.beta(a, b))), abs=1e-5)
