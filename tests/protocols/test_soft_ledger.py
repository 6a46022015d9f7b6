"""The soft ledger: an e-value by enumeration, KT in exact fractions, what confidence is worth."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kvbarrier.errors import BadInput
from kvbarrier.protocols.evidence.ledger import family_ledger, ledger, surprise_bits
from kvbarrier.protocols.evidence.soft_ledger import (
    EDGES,
    bin_of,
    counts_by_bin,
    kt_bits,
    soft_ledger,
)
from kvbarrier.reductions.keys import make
from kvbarrier.reductions.linear_bob import linear_decoder, mixing_matrix


def ledger_of(scores, bits, charged, *, secret_bits: int, edges=EDGES):
    """The soft ledger of Bob's real numbers, sorted into bins."""
    counts = [
        counts_by_bin(bin_of(np.ravel(score), edges), np.ravel(x).astype(int), len(edges) + 2)
        for score, x in zip(scores, bits, strict=True)
    ]
    return soft_ledger(counts, charged, secret_bits=secret_bits)


def kt_in_turn(bits: list[int], seen: tuple[int, int] = (0, 0)) -> Fraction:
    """The estimator bit after bit: (count + 1/2) / (seen + 1)."""
    counts, q = list(seen), Fraction(1)
    for bit in bits:
        q *= Fraction(2 * counts[bit] + 1, 2 * (sum(counts) + 1))
        counts[bit] += 1
    return q


@given(st.lists(st.integers(0, 1), max_size=14))
def test_kt_is_the_product_of_its_predictions_in_any_order(bits: list[int]) -> None:
    q = kt_in_turn(bits)
    assert q == kt_in_turn(bits[::-1]) == kt_in_turn(sorted(bits))
    assert kt_bits(sum(bits), len(bits) - sum(bits)) == pytest.approx(math.log2(q), abs=1e-12)


def test_kt_is_a_probability_of_sequences() -> None:
    total = sum(math.comb(9, k) * 2 ** float(kt_bits(k, 9 - k)) for k in range(10))
    assert total == pytest.approx(1, abs=1e-12)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=10),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=10),
)
def test_bins_go_on_from_message_to_message(first: list, second: list) -> None:
    counts = [
        counts_by_bin(*np.array(message, dtype=np.int64).reshape(-1, 2).T, 3)
        for message in (first, second)
    ]
    # Each message's bits, charged nothing: s = N + log2 of the probability given to them.
    sizes = np.cumsum([len(first), len(second)])
    path = soft_ledger(counts, [0, 0], secret_bits=1).path - sizes
    logs = [path[0], path[1] - path[0]]
    both = [first, first + second]
    wholes = [
        math.prod(kt_in_turn([x for b, x in seen if b == bin_]) for bin_ in range(3))
        for seen in both
    ]
    assert logs[0] == pytest.approx(math.log2(wholes[0]), abs=1e-9)
    assert logs[1] == pytest.approx(math.log2(wholes[1] / wholes[0]), abs=1e-9)


@given(seed=st.integers(0, 10**6), bits=st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_the_e_value_has_mean_at_most_one_for_any_encoder(seed: int, bits: int) -> None:
    """All 2^N secrets of a random encoder, decoder and prefix-free code: sum of 2^s over 2^N."""
    rng = np.random.default_rng(seed)
    lengths = [1, 2, 3, 4, 4]  # Kraft: 1/2 + 1/4 + 1/8 + 1/16 + 1/16 = 1
    message = rng.integers(0, 5, 2**bits)
    scores = rng.normal(size=(5, bits))  # Bob's real answers to each message
    # the encoder may be as good as it likes: take each secret's best message
    cube = np.array(list(itertools.product((0, 1), repeat=bits)))
    if seed % 2:
        message = ((2 * cube - 1) @ scores.T - np.array(lengths)).argmax(axis=1)
    values = [
        2.0
        ** ledger_of(
            [scores[m]], [x], [lengths[m]], secret_bits=bits, edges=(-0.5, 0.0, 0.5)
        ).surprise
        for x, m in zip(cube, message, strict=True)
    ]
    assert np.mean(values) <= 1 + 1e-12


def test_a_cheat_in_the_future_would_be_seen_here() -> None:
    """The enumeration can fail: a score that knows x is no function of the message."""
    values = []
    for x in itertools.product((0, 1), repeat=8):
        values.append(2.0 ** ledger_of([x], [x], [0], secret_bits=8, edges=(0.5,)).surprise)
    assert np.mean(values) > 1


def test_confidence_is_worth_what_the_hard_ledger_misses() -> None:
    """Half of N bits known and half guessed, m = N/4: soft N/4, hard N(1 - h(1/4)) - N/4 < 0."""
    rng = np.random.default_rng(5)
    N = 4000
    x = rng.integers(0, 2, N)
    known = np.arange(N) < N // 2
    said = np.where(known, x, rng.integers(0, 2, N))
    wrong = int((said != x).sum())
    score = np.where(known, 2.0 * x - 1, 0.0)
    soft = ledger_of([score], [x], [N // 4], secret_bits=N)
    hard = surprise_bits(N, N // 4, wrong)
    assert hard < 0
    # three bins of about N/4, N/4, N/2 bits: 1/2 log2 n + 1 each, at most
    assert N / 4 - 3 * (0.5 * math.log2(N) + 1) <= soft.surprise <= N / 4
    assert soft.verdict == "impossible"
    assert not soft.blind


def test_two_bins_are_nearly_the_hard_ledger() -> None:
    rng = np.random.default_rng(6)
    N, m = 5000, 2000
    x = rng.integers(0, 2, N)
    said = x ^ (rng.random(N) < 0.1)
    hard = ledger([N], [m], [int((said != x).sum())], secret_bits=N, row_bits=1)
    soft = ledger_of([said], [x], [m], secret_bits=N, edges=(0.5,))
    assert abs(soft.surprise - hard.surprise) < 2 * (0.5 * math.log2(N) + 1)


def test_nothing_known_is_never_evidence() -> None:
    rng = np.random.default_rng(7)
    bits = [rng.integers(0, 2, 200) for _ in range(20)]
    scores = [rng.normal(size=200) for _ in range(20)]
    soft = ledger_of(scores, bits, [0] * 20, secret_bits=200)
    assert len(soft.path) == 20
    assert soft.peak == soft.path.max() < 8
    assert soft.verdict == "not-excluded"


def test_a_charge_of_the_whole_secret_is_blind() -> None:
    assert ledger_of([[9.0]], [[1]], [1], secret_bits=1).blind
    assert not ledger_of([[9.0]], [[1]], [0], secret_bits=1).blind
    empty = ledger_of([], [], [], secret_bits=1)
    assert (empty.surprise, len(empty.path)) == (0.0, 0)


def test_bins() -> None:
    edges = (-1.0, 0.0, 1.0)
    assert bin_of([-9, -1, -0.5, 0, 1, 9, np.nan, np.inf], edges).tolist() == [
        0, 1, 1, 2, 3, 3, 4, 3,
    ]  # fmt: skip


def test_bad_input_is_told() -> None:
    with pytest.raises(BadInput, match="must increase"):
        bin_of([0.0], (1.0, 0.0))


def test_linear_equations_and_confidence_convict_what_single_answers_let_through() -> None:
    """64 x 64 bits in answers with errors of .01 at C = 2, from a message that charges 2000."""
    keys = make("jl", 64, 64)
    A = mixing_matrix(2.0 * keys.rows, keys.rows)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (64, 64))
    errors = A @ x + 0.01 * rng.normal(size=x.shape) - A.sum(axis=1)[:, None] / 2
    single = errors / np.diag(A)[:, None]
    together = linear_decoder(A, 0.01) @ errors
    hard = [surprise_bits(x.size, 2000, int(((z > 0) != x).sum())) for z in (single, together)]
    soft = [
        ledger_of([z], [x], [2000], secret_bits=x.size, edges=(-0.4, -0.2, 0.0, 0.2, 0.4))
        for z in (single, together)
    ]
    # alone, confidence is worth hundreds of bits and does not convict; equations do
    assert hard[0] + 200 < soft[0].surprise < 0
    assert soft[1].verdict == "impossible"
    assert min(hard[1], soft[1].surprise) > 2000
    # A family of both is convicted by the average of their e-values: log2 2 bits less.
    assert family_ledger(soft).peak == pytest.approx(soft[1].surprise - 1)
