"""Secrets in keys and values: the exact conditions, the adversary at their edge, the decoders."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kvbarrier.compressors.plugin.contract import Compressor
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import BadInput, NoScale
from kvbarrier.protocols.evidence.ledger import surprise_bits
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.coins import COMMITTED_KEYS
from kvbarrier.protocols.game.index_game import play_batch
from kvbarrier.protocols.game.instance import Instance
from kvbarrier.protocols.game.instances import Index, KeyPayload, instance_of
from kvbarrier.reductions.attention import attention, next_outputs
from kvbarrier.reductions.key_payload import KeyPayloadReduction
from kvbarrier.reductions.payload_margins import (
    address_keys,
    interference_limit,
    least_reference,
    payload_cuts,
    payload_levels,
)


def secret(hard: KeyPayloadReduction, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (hard.rows, hard.width)).astype(np.uint8)


def levels_of(hard: KeyPayloadReduction, x: np.ndarray) -> np.ndarray:
    """The levels' numbers, from the stream itself: y = (2g - L + 1) / 2^{b-1}."""
    y = hard.stream(x)[1][:, hard.addresses.d :]
    return np.rint((y * 2 ** (hard.b - 1) + 2**hard.b - 1) / 2).astype(int)


def adversary(hard: KeyPayloadReduction, x: np.ndarray, rows: np.ndarray, eta: float) -> np.ndarray:
    """Exact float32 outputs, each moved by eta away from what it says, as far as is allowed."""
    _, K, V = hard.stream(x)
    outputs = next_outputs(*hard.queries(rows), K, V).reshape(len(rows), -1, hard.d)
    cuts = np.arange(2**hard.b - 1)
    above = (levels_of(hard, x)[rows][:, :, None] > cuts).reshape(len(rows), -1)
    outputs[:, 0] *= np.where(x[rows, : hard.d] == 1, 1 - eta, 1 + eta)
    outputs[:, 1:, 0] *= np.where(above, 1 + eta, 1 - eta)
    return outputs.reshape(-1, hard.d)


# -- what must be reached ------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.3, 0.8])
def test_8192_value_bits_and_6144_key_bits_survive_the_worst_allowed_error(eta: float) -> None:
    hard = KeyPayloadReduction.build(n=256, d=32, eta=eta)
    # d_a = 8: 256 * 32 and 256 * (32 - 8)
    assert (hard.bits_in_values, hard.bits_in_keys, hard.width) == (8192, 6144, 56)
    x, rows = secret(hard), np.arange(256)
    _, K, V = hard.stream(x)
    outputs = next_outputs(*hard.queries(), K, V)
    assert (hard.decode(outputs) == x).all()
    assert (hard.decode(adversary(hard, x, rows, eta)) == x).all()


def test_six_bits_a_coordinate_at_constant_eta() -> None:
    hard = KeyPayloadReduction.build(n=64, d=12, b=6, eta=0.5)
    assert (hard.payload, hard.questions_per_row, hard.bits_in_keys) == (6, 1 + 6 * 63, 64 * 6 * 6)
    x, rows = secret(hard), np.arange(64)
    _, K, V = hard.stream(x)
    assert (hard.decode(next_outputs(*hard.queries(), K, V)) == x).all()
    moved = adversary(hard, x, rows, 0.5)
    assert (hard.decode(moved, rows) == x).all()
    assert (hard.decode(moved, rows, x) == x).all()


def test_a_bit_is_one_answer_when_those_above_it_are_told() -> None:
    """b = 2, levels 0 to 3, Gray 00, 01, 11, 10: the cut in the middle, then the one beside y."""
    hard = KeyPayloadReduction.build(n=16, d=5, b=2)  # a payload of one coordinate
    x = secret(hard)
    gray = {(0, 0): 0, (0, 1): 1, (1, 1): 2, (1, 0): 3}
    level = np.array([gray[tuple(row)] for row in x[:, 5:].tolist()])
    above = level[:, None] > np.arange(3)
    cut = hard.thresholds().reshape(16, 4)
    for wrong in itertools.product((False, True), repeat=3):
        heard = above ^ np.array(wrong)
        outputs = np.full((16, 4, 5), np.nan, dtype=np.float32)
        outputs[:, 1:, 0] = np.where(heard, cut[:, 1:] / 2, cut[:, 1:] * 2)
        off = (hard.decode(outputs.reshape(-1, 5), told=x) != x)[:, 5:]
        # the first bit asks cut 1, the second cut 0 below it and cut 2 above
        assert (off[:, 0] == wrong[1]).all()
        assert (off[:, 1] == np.where(level >= 2, wrong[2], wrong[0])).all()
        # without help a wrong first answer sends him to the other half
        alone = hard.decode(outputs.reshape(-1, 5))[:, 5:]
        found = 2 * heard[:, 1] + np.where(heard[:, 1], heard[:, 2], heard[:, 0])
        assert [gray[tuple(row)] for row in alone.tolist()] == found.tolist()


def test_the_ledger_stands_when_the_bits_above_are_told() -> None:
    """All 2^6 secrets of three levels, one charged bit, the better of two messages: E 2^s <= 1."""
    hard = KeyPayloadReduction.build(n=16, d=7, b=2)
    rng = np.random.default_rng(3)
    cube = np.array(list(itertools.product((0, 1), repeat=6)), dtype=np.uint8)
    secrets = np.hstack([np.zeros((64, 7), dtype=np.uint8), cube])
    cut = np.tile(hard.thresholds([0])[:, None], (1, 7))
    for _ in range(10):
        messages = np.where(rng.random((2, len(cut), 7)) < 0.5, cut / 2, cut * 2)
        values = []
        for x in secrets:
            read = [hard.decode(outputs, [0], x[None]) for outputs in messages]
            wrong = min(int((bits != x)[:, 7:].sum()) for bits in read)
            values.append(2 ** surprise_bits(6, 1, wrong))
        assert np.mean(values) <= 1 + 1e-12


@pytest.mark.parametrize("b", [1, 2, 3, 6])
def test_failures_cost_a_bit_each_and_not_a_number(b: int) -> None:
    """Answers wrong with probability 1/10: so are bits, where votes of all cuts lost up to .31."""
    hard = KeyPayloadReduction.build(n=64, d=12, b=b, eta=0.3)
    x, rng = secret(hard), np.random.default_rng(4)
    _, K, V = hard.stream(x)
    exact = next_outputs(*hard.queries(), K, V)
    cut = hard.thresholds()[:, None]
    lies = np.where(exact > cut, 0 * exact, 2 * cut)
    said = np.where(rng.random(cut.shape) < 0.1, lies, exact)
    off = (hard.decode(said, told=x) != x)[:, 12:]
    # 64 * 6 * b independent answers, four standard deviations
    assert off.mean() == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / (64 * 6 * b)))


def test_a_search_without_help_may_err_b_times_as_often() -> None:
    """An algorithm right with probability 9/10 on every question, and as unlucky as may be.

    b = 2, y the second level of four: it errs on the middle cut, or on the lowest, or on the
    highest and the middle, each with probability 1/10 or less, and no question more often.
    """
    hard = KeyPayloadReduction.build(n=16, d=5, b=2)
    x = np.zeros((16, 7), dtype=np.uint8)
    x[:, 6] = 1  # Gray 01: level 1
    cut = hard.thresholds().reshape(16, 4)
    wrong = {"alone": 0.0, "told": 0.0}
    events = {(False, True, True): 0.1, (True, False, False): 0.1, (False, False, False): 0.8}
    for flips, chance in events.items():
        heard = (np.array([True, False, False]) ^ np.array(flips))[None]
        outputs = np.full((16, 4, 5), 0, dtype=np.float32)
        outputs[:, 1:, 0] = np.where(heard, cut[:, 1:] / 2, cut[:, 1:] * 2)
        for name, known in (("alone", None), ("told", x)):
            off = (hard.decode(outputs.reshape(-1, 5), told=known) != x)[:, 5:]
            wrong[name] += chance * float(off.mean())
    # each question fails in .1: cut 0 in one event, cuts 1 and 2 in the other
    assert wrong["told"] == pytest.approx(0.1)
    assert wrong["alone"] == pytest.approx(0.15)


def worst(hard: KeyPayloadReduction, i: int, j: int, cut: int, above: bool) -> float:
    """The exact output of a payload question on its worst stream, by the definition."""
    levels = payload_levels(hard.b)
    y = np.full((hard.rows, hard.payload), levels[0 if above else -1])
    y[i, j] = levels[cut + above]
    K = np.hstack([hard.addresses.rows, y]).astype(np.float64)
    V = np.full((hard.rows, hard.d), float(above))
    q, k, v = hard.ask(*(np.array([number]) for number in (i, j, cut)))
    return float(attention(q[0], np.vstack([K, k]), np.vstack([V, v]))[0])


@pytest.mark.parametrize(
    ("n", "d", "b", "eta", "outside"),
    [
        (256, 32, 1, 0.3, 0.3005),
        (256, 32, 1, 0.8, 0.8005),
        (100, 32, 1, 0.5, 0.501),
        (16, 8, 1, 0.0, 0.0005),
        (32, 8, 3, 0.5, 0.501),
        (64, 12, 6, 0.5, 0.505),
    ],
)
def test_the_lowest_cut_holds_just_inside_eta_and_fails_just_outside(
    n: int, d: int, b: int, eta: float, outside: float
) -> None:
    hard = KeyPayloadReduction.build(n=n, d=d, b=b, eta=eta)
    broken = []
    for i in {0, n // 3, n - 1}:
        j = hard.payload - 1
        for cut in range(2**b - 1):
            low, high = (worst(hard, i, j, cut, above) for above in (False, True))
            theta = float(hard.thresholds([i])[1 + cut])
            # inside: the two moved outputs lie on their sides of the cut
            assert (1 + eta) * high < theta < (1 - eta) * low
            if (1 + outside) * high > theta > (1 - outside) * low:
                broken.append(cut)
    # M is largest at the lowest cut, and there, for some token, nothing is left over
    assert 0 in broken


@pytest.mark.parametrize(("b", "eta"), [(1, 0.5), (2, 0.0), (3, 0.3)])
def test_cuts_are_the_geometric_means_of_the_moved_worst_outputs(b: int, eta: float) -> None:
    hard = KeyPayloadReduction.build(n=20, d=8, b=b, eta=eta)
    for i, cut in itertools.product((0, 11), range(2**b - 1)):
        low, high = (worst(hard, i, 1, cut, above) for above in (False, True))
        theta = float(hard.thresholds([i])[1 + cut])
        assert theta == pytest.approx(math.sqrt((1 - eta) * low * (1 + eta) * high), rel=1e-6)


def test_the_value_question_is_sharp() -> None:
    eta, sides = 0.5, []
    for allowed in (0.5, 0.5005):
        hard = KeyPayloadReduction.build(n=256, d=32, eta=eta)
        theta = float(hard.thresholds([77])[0])
        q, k, v = (a[0] for a in hard.queries([77]))
        for bit in (0, 1):
            x = np.full((256, hard.width), 1 - bit, dtype=np.uint8)
            x[77] = bit
            _, K, V = hard.stream(x)
            o = attention(q, np.vstack([K, k]), np.vstack([V, v]))[0]
            sides.append(o * (1 - allowed) > theta if bit else o * (1 + allowed) < theta)
    assert sides == [True, True, False, False]


# -- the conditions ------------------------------------------------------------------------------


@given(
    b=st.integers(1, 3),
    eta=st.fractions(0, Fraction(9, 10), max_denominator=40),
    odds=st.fractions(1, 60, max_denominator=20),
    reference=st.fractions(1, 900, max_denominator=9),
    digits=st.integers(1, 9),
    power=st.integers(0, 9),
)
@settings(max_examples=150, deadline=None)
def test_the_root_is_where_the_moved_outputs_meet_at_some_cut(
    b: int, eta: Fraction, odds: Fraction, reference: Fraction, digits: int, power: int
) -> None:
    """Exact fractions: outputs of all cuts against the closed root."""
    S = Fraction(digits, 10) * Fraction(1, odds) ** power
    L = 2**b
    held, ratio = True, Fraction(10**9)
    for cut in range(L - 1):
        # weights over the reference's, in powers of the odds: half a step is one power
        t = 2 * (cut + 1) - L
        most, least = odds ** (L - 1 - t) * S, S / odds ** (L - 1 + t)
        low = reference / (1 + 1 / odds + most)
        high = (reference + odds + least) / (1 + odds + least)
        held &= (1 + eta) * high < (1 - eta) * low
        ratio = min(ratio, (1 - eta) * low / ((1 + eta) * high))
    assume(abs(float(ratio) - 1) > 1e-9)
    rho = float((1 + eta) / (1 - eta))
    limit = interference_limit(rho, float(odds), float(reference), b)
    assert (float(S) * float(odds) ** (2 * L - 3) < limit) == held


def test_nothing_is_read_at_odds_of_rho_or_a_small_reference() -> None:
    assert interference_limit(3.0, 3.0, 1e9, 1) == 0.0
    # V = rho zeta / (zeta - rho) = 4.5 at zeta = 9
    assert interference_limit(3.0, 9.0, 4.5, 1) == 0.0
    assert interference_limit(3.0, 9.0, 4.51, 1) > 0.0
    assert least_reference(3.0, 2.0) == math.inf


@pytest.mark.parametrize(("n", "C"), [(2**8, 13.23), (2**10, 17.67)])
def test_the_value_scale_is_the_hypercubes(n: int, C: float) -> None:
    """C = c* d_a, c* = -1/2 ln((1 + 1/rho)^{1/d_a} - 1): theory's table, eta = 1/2."""
    hard = KeyPayloadReduction.build(n=n, d=16)
    d_a = n.bit_length() - 1
    assert hard.scale == pytest.approx(-0.5 * d_a * math.log((4 / 3) ** (1 / d_a) - 1), rel=1e-5)
    assert round(hard.scale, 2) == C


def test_the_key_scale_is_the_root_of_the_binomial_sum() -> None:
    hard = KeyPayloadReduction.build(n=256, d=32, eta=0.5)
    asked = hard.question
    odds = math.exp(asked.beta)
    # (1 + e^{-2c'})^8 - 1 = sigma* / zeta at b = 1, up to the room of 2^-12 or so
    limit = interference_limit(3.0, odds, asked.reference, 1) / odds
    exact = -0.5 * math.log((1 + limit) ** (1 / 8) - 1)
    assert exact < asked.scale < exact * (1 + 1e-3)
    assert odds > 3
    assert asked.reference >= 32 * least_reference(3.0, odds)


@pytest.mark.parametrize(
    ("n", "d", "b", "eta", "over"), [(256, 32, 1, 0.5, 1.04), (1024, 64, 2, 0.8, 1.005)]
)
def test_the_logit_range_is_near_the_least(n: int, d: int, b: int, eta: float, over: float) -> None:
    """By a scan of zeta and V, with the closed S' of a whole hypercube."""
    hard = KeyPayloadReduction.build(n=n, d=d, b=b, eta=eta)
    rho, d_a, L = (1 + eta) / (1 - eta), n.bit_length() - 1, 2**b
    ranges = []
    for odds in rho * np.geomspace(1.01, 40, 400):
        limit = interference_limit(rho, odds, 1e12, b) / odds ** (2 * L - 3)
        c = -0.5 * math.log(math.expm1(math.log1p(limit) / d_a))
        ranges.append(c * d_a + (L - 1) * math.log(odds))
    assert min(ranges) < hard.logit_range < over * min(ranges)


def test_the_levels_are_exact_and_the_cuts_halfway() -> None:
    for b in range(1, 9):
        levels, cuts = payload_levels(b).astype(np.float64), payload_cuts(b).astype(np.float64)
        assert (np.diff(levels) == 2.0 ** (2 - b)).all()
        assert levels[-1] == -levels[0] == 2 - 2.0 ** (1 - b)
        assert (cuts - levels[:-1] == 2.0 ** (1 - b)).all()
        assert not set(cuts.tolist()) & set(levels.tolist())


def test_addresses_are_distinct_and_their_spectrum_exact() -> None:
    keys = address_keys(32)
    assert keys.spectrum is not None
    for i in (0, 7, 31):
        products = np.delete(keys.rows @ keys.rows[i], i)
        assert sorted(products) == [
            float(p) for p, count in keys.spectrum.counts for _ in range(count)
        ]
    assert len({row.tobytes() for row in address_keys(100).rows}) == 100


# -- the secret ----------------------------------------------------------------------------------


def test_the_bound_is_near_what_any_state_needs() -> None:
    """N(2d - log2 N) against log2 of the multisets of N one-bit pairs, counted with integers."""
    hard = KeyPayloadReduction.build(n=256, d=32)
    enough = math.log2(math.comb(4**32 + 255, 256))
    assert hard.secret_bits == 256 * (64 - 8) == 14336
    assert 14699 < enough < 14701
    # the gap: N log2 e = 369.3, less log2 sqrt(2 pi N) = 5.3
    assert enough - hard.secret_bits == pytest.approx(256 * math.log2(math.e) - 5.3, abs=0.1)


def test_a_row_is_the_value_and_the_gray_coded_payload() -> None:
    hard = KeyPayloadReduction.build(n=16, d=6, b=2)
    x = np.zeros((16, 10), dtype=np.uint8)
    x[3] = [1, 0, 1, 1, 0, 0, 1, 1, 1, 0]
    Q, K, V = hard.stream(x)
    assert not Q.any()
    assert V[3].tolist() == [1, 0, 1, 1, 0, 0]
    # address 3 = bits 1, 1, 0, 0; Gray 11 is level 2 and 10 level 3 of -1.5, -.5, .5, 1.5
    assert K[3].tolist() == [1, 1, -1, -1, 0.5, 1.5]
    assert K[0].tolist() == [-1, -1, -1, -1, -1.5, -1.5]


def test_a_nan_is_a_zero_and_level_zero() -> None:
    hard = KeyPayloadReduction.build(n=16, d=6, b=2)
    outputs = np.full((hard.questions_per_row, 6), np.nan)
    assert not hard.decode(outputs, [5]).any()


def test_only_the_rows_asked_are_asked() -> None:
    hard = KeyPayloadReduction.build(n=64, d=12, b=2)
    whole, some = hard.queries(), hard.queries([9, 2])
    for every, two in zip(whole, some, strict=True):
        blocks = every.reshape(64, hard.questions_per_row, 12)
        assert (two.reshape(2, -1, 12) == blocks[[9, 2]]).all()
    assert (hard.thresholds([9, 2]) == hard.thresholds().reshape(64, -1)[[9, 2]].reshape(-1)).all()


def test_public_things_do_not_have_the_keys() -> None:
    public = KeyPayloadReduction.build(n=16, d=8).public()
    assert "keys" not in public
    assert public["addresses"].shape == (16, 4)
    assert public["payload_levels"].tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ({"n": 15}, "n >= 16 data tokens, one for each age bucket, not 15"),
        ({"d": 5}, "take 5 coordinates of a key, so d = 5 leaves none"),
        ({"b": 0}, "1 to 8 bits per coordinate, not 0"),
        ({"b": 9}, "1 to 8 bits per coordinate, not 9"),
        ({"eta": 1.0}, r"choose eta in \[0, 1\)"),
        ({"scale": 3.0}, "computes its three scales itself"),
    ],
)
def test_hypotheses_are_quoted(bad: dict, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        KeyPayloadReduction.build(**{"n": 32, "d": 8, **bad})


def test_what_float32_cannot_hold_and_memory_cannot_is_said() -> None:
    with pytest.raises(NoScale, match="too coarse for 8 payload bits"):
        KeyPayloadReduction.build(n=256, d=64, b=8, eta=0.9)
    hard = KeyPayloadReduction.build(n=512, d=64, b=6)
    with pytest.raises(BadInput, match="512 rows of 3466 questions do not fit"):
        hard.queries()
    assert len(hard.queries([0])[0]) == 3466
    with pytest.raises(BadInput, match=r"give bits\[512, 394\]"):
        hard.stream(np.zeros((512, 64), np.uint8))


# -- in the game ---------------------------------------------------------------------------------

KEY = COMMITTED_KEYS["regress"]
GAME = KeyPayload(n=48, d=12)
TWO_BITS = KeyPayload(n=32, d=10, key_bits=2, eta=0.25)


def played(instance: Instance, target: str, isolation: str = "inline", **cell: object) -> list:
    records = play_batch(Cell(instance, target, batch_size=4, **cell), KEY, 0, isolation).records
    assert [r.failed for r in records] == [None] * 4
    return list(records)


@pytest.mark.parametrize("instance", [GAME, TWO_BITS])
def test_exact_attention_gives_keys_and_values_away(instance: Instance) -> None:
    d_a = (instance.n - 1).bit_length()
    bits = instance.n * (instance.d + (instance.d - d_a) * instance.key_bits)
    assert instance.secret_rows * instance.row_bits == bits
    for target in ("exact", "lossless"):
        for record in played(instance, target):
            assert (record.wrong, record.asked) == (0, bits)
    assert {r.charged_bits for r in played(instance, "lossless")} == {8 * -(-bits // 8)}
    assert played(instance, "exact", "process") == played(instance, "exact")


def test_half_of_the_bits_is_an_error_of_a_quarter_and_none_a_half() -> None:
    bits = GAME.secret_rows * GAME.row_bits
    half = Fraction(bits // 2, GAME.shape.cache_bits_16)
    records = played(GAME, "time-sharing", budget=half)
    assert sum(r.wrong for r in records) / (4 * bits) == pytest.approx(0.25, abs=0.04)
    # the oldest tokens are kept whole, the newest not at all
    assert all(r.wrong_by_age[0] == 0 for r in records)
    wrong = sum(r.wrong for r in played(GAME, "zero")) / (4 * bits)
    assert wrong == pytest.approx(0.5, abs=0.05)


def test_a_cache_that_forgets_keys_alone_is_found_out() -> None:
    """Values at 16 bits and keys at 1: at b = 2 a coordinate's low bit is lost."""
    records = played(TWO_BITS, "exact")
    lost = played(TWO_BITS, f"{__file__}:SignKeys", "process")
    assert sum(r.wrong for r in records) == 0
    # of 10 + 2 * 5 bits a row the Gray code's second, |y| > 1, is guessed: 5/20 * 1/2
    share = sum(r.wrong for r in lost) / sum(r.asked for r in lost)
    assert 0.09 < share < 0.16


class SignKeys(Compressor):
    """Exact attention over keys whose payload is cut to its sign."""

    def __init__(self, *args, **params):
        super().__init__(*args, **params)
        self.K, self.V = [], []

    def append(self, q, k, v):
        payload = 5
        whole = k[payload:].any() and np.abs(k[payload:]).min() > 0
        cut = np.concatenate([k[:payload], np.sign(k[payload:])]) if whole else k
        self.K.append(cut.astype(np.float32))
        self.V.append(v)

    def attend(self, q):
        return attention(q, np.array(self.K), np.array(self.V)).astype(np.float32)


def test_controls_know_bobs_reference_from_a_token() -> None:
    hard = GAME.build()
    x = secret(hard)
    Q, K, V = hard.stream(x)
    control = resolve("lossless").factory(GAME.shape, None, 0, hard.public())
    order = np.random.default_rng(2).permutation(48)
    control.extend(Q[order], K[order], V[order])
    assert (control.bits == x).all()
    rest = control.fresh()
    rest.restore(control.save())
    q, k, v = (a[1] for a in hard.queries([5]))
    rest.append(q, k, v)
    assert (rest.bits == x).all()
    whole = attention(q, np.vstack([K, k]), np.vstack([V, v]))
    assert rest.attend(q) == pytest.approx(whole, rel=1e-5)


def test_sampled_rows_and_what_is_refused() -> None:
    sampled = KeyPayload(n=48, d=12, rows=16)
    for record in played(sampled, "lossless"):
        assert record.asked_by_age == (12 + 6,) * 16
        assert record.wrong == 0
    payload = {"n": 48, "d": 12, "reduction": "key-payload"}
    with pytest.raises(BadInput, match="The key-payload reduction has no --keys hypercube"):
        instance_of(payload | {"keys": "hypercube"})
    with pytest.raises(BadInput, match="has no --key-bits 1, which is for --reduction key-payload"):
        instance_of({"n": 48, "d": 12, "key_bits": 1})
    with pytest.raises(BadInput, match="1 to 8 bits per coordinate, not 0"):
        KeyPayload(n=48, d=12, key_bits=0).build()
    with pytest.raises(BadInput, match=r"The key-payload reduction has no --gamma 0\.1"):
        instance_of(payload | {"eta": None, "gamma": 0.1})
    with pytest.raises(BadInput, match="ask fewer rows"):
        KeyPayload(n=512, d=64, key_bits=6).build()
    assert KeyPayload(n=512, d=64, key_bits=6, rows=16).build()


def test_ids() -> None:
    """Theirs say the payload's bits, nobody else's do."""
    assert KeyPayload(n=48, d=12, key_bits=1) == GAME
    assert GAME.spec()["key_bits"] == 1
    assert not {"key_bits", "bob"} & set(Index(n=48, d=12).spec())
