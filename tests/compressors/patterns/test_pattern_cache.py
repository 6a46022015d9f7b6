"""The caches of sparse attention patterns: what is kept, and what an answer depends on."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape, charged_bits
from kvbarrier.compressors.readers.patterns import BigBird as BigBirdReads
from kvbarrier.compressors.zoo.pattern.big_bird import BigBird
from kvbarrier.compressors.zoo.pattern.sparse_transformer_fixed import SparseTransformerFixed
from kvbarrier.compressors.zoo.pattern.sparse_transformer_strided import SparseTransformerStrided
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention

SHAPE = Shape(tokens=64, d_k=16, d_v=16, extra=3)
TOKEN = 16 * 32
KINDS = [SparseTransformerStrided, SparseTransformerFixed, BigBird]
kinds = pytest.mark.parametrize("cls", KINDS)


def stream(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((3, n, 16)).astype(np.float32)


def holding(tokens):
    return 64 + tokens * TOKEN


def test_strided_by_hand():
    # Of 64 tokens the strides 3, 4, 5 read 21 + 2, 16 + 3 and 12 + 4: with room for 20 it is 4,
    # and query 64 reads its last four and 56, 52, ..., 0.
    one = SparseTransformerStrided(SHAPE, holding(20))
    assert one.tokens.tolist() == [*range(0, 60, 4), *range(60, 64)]
    # 2 sqrt(n) - 1 of n = l^2 tokens, and no fewer: the paper's O(n sqrt(n)) for all queries.
    assert len(SparseTransformerStrided(SHAPE, holding(15)).tokens) == 15


def test_fixed_by_hand():
    # Blocks of 8: the last one, and of each of the seven others the last c = (24 - 8) // 7 = 2.
    one = SparseTransformerFixed(SHAPE, holding(24))
    summaries = [t for block in range(0, 56, 8) for t in (block + 6, block + 7)]
    assert one.tokens.tolist() == [*summaries, *range(56, 64)]
    # c = 1 is the least: l + n/l - 1 = 15 tokens.
    assert len(SparseTransformerFixed(SHAPE, holding(15)).tokens) == 15


def test_big_bird_by_hand():
    # Room for 30 tokens: three blocks of eight, one of each kind.
    seen = set()
    for seed in range(40):
        tokens = BigBird(SHAPE, holding(30), seed).tokens
        assert tokens[:8].tolist() == list(range(8))
        assert tokens[-8:].tolist() == list(range(56, 64))
        block = tokens[8:16]
        assert (np.diff(block) == 1).all()
        assert block[0] % 8 == 0
        seen.add(int(block[0]) // 8)
    assert seen == {1, 2, 3, 4, 5, 6}
    reads = BigBirdReads().choose(64, 30, 5)
    assert BigBird(SHAPE, holding(30), 5).tokens.tolist() == sorted(reads)


@kinds
def test_the_answer_is_softmax_over_what_is_read(cls):
    Q, K, V = stream(65)
    one = cls(SHAPE, holding(30))
    one.extend(Q[:64], K[:64], V[:64])
    rows = [*one.tokens, 64]
    wanted = attention(Q[64], K[rows].astype(np.float16), V[rows].astype(np.float16))
    assert one.next_outputs(Q[64:], K[64:], V[64:])[0] == pytest.approx(wanted, abs=1e-5)
    one.append(Q[64], K[64], V[64])
    assert one.attend(Q[64]) == pytest.approx(wanted, abs=1e-5)


@kinds
def test_it_is_exact_where_only_the_pattern_matters_and_wrong_where_it_does_not(cls):
    Q, K, V = stream(65)
    Q[64], K[64] = 4, 0
    errors = []
    one = cls(SHAPE, holding(30))
    other = np.setdiff1d(np.arange(64), one.tokens)
    for heavy in (one.tokens, other):
        K[:64] = -1
        K[heavy] = 0.5
        one = one.fresh()
        one.extend(Q[:64], K[:64], V[:64])
        got = one.next_outputs(Q[64:], K[64:], V[64:])[0]
        errors.append(np.abs(got - attention(Q[64], K, V)).max())
    assert errors[0] < 0.01
    assert errors[1] > 0.2


@kinds
@pytest.mark.parametrize("cut", [0, 1, 9, 63, 64, 65, 67])
@pytest.mark.parametrize("budget", [holding(30), None])
def test_a_stream_may_be_cut_anywhere(cls, cut, budget):
    Q, K, V = stream(67)
    whole, looped, first = (cls(SHAPE, budget, 3) for _ in range(3))
    whole.extend(Q, K, V)
    for triple in zip(Q, K, V, strict=True):
        looped.append(*triple)
    first.extend(Q[:cut], K[:cut], V[:cut])
    second = first.fresh()
    second.restore(first.save())
    assert second.save() == first.save()
    second.extend(Q[cut:], K[cut:], V[cut:])
    assert whole.save() == looped.save() == second.save()
    assert (whole.attend(Q[0]) == second.attend(Q[0])).all()


@kinds
@pytest.mark.parametrize("taken", [20, 63, 64, 66])
def test_a_batch_of_questions_is_the_loop(cls, taken):
    one = cls(SHAPE, holding(30), 3)
    one.extend(*stream(taken))
    before = one.save()
    Q, K, V = stream(9, seed=5)
    got = one.next_outputs(Q, K, V)
    assert got == pytest.approx(Compressor.next_outputs(one, Q, K, V), abs=1e-5)
    thresholds = np.linspace(-0.5, 0.5, 9).astype(np.float32)
    assert (one.next_bits(Q, K, V, thresholds) == (got > thresholds[:, None])).all()
    assert one.save() == before


@kinds
@pytest.mark.parametrize("part", [1 / 4, 1 / 2, 3 / 4, 1, 2])
def test_the_budget_holds(cls, part):
    budget = int(part * SHAPE.cache_bits_16)
    one = cls(SHAPE, budget)
    one.extend(*stream(64))
    assert len(one.save()) == one.message_bytes
    assert charged_bits(one.message_bytes, one.message_bytes) <= budget
    assert part < 1 or len(one.tokens) == 64


@kinds
def test_the_least_budget_that_is_named_works(cls):
    for budget in (0, 70, holding(1)):
        with pytest.raises(BudgetTooSmall) as caught:
            cls(SHAPE, budget)
    assert len(cls(SHAPE, caught.value.minimum_bits).tokens) > 0
    with pytest.raises(BudgetTooSmall):
        cls(SHAPE, caught.value.minimum_bits - 1)


@kinds
def test_no_room_beyond_the_shape_and_nothing_that_is_no_number(cls):
    one = cls(SHAPE, holding(30))
    Q, K, V = stream(68)
    with pytest.raises(BadInput, match="64 tokens and 3 more"):
        one.extend(Q, K, V)
    V[1, 1] = np.nan
    with pytest.raises(BadInput):
        one.extend(Q[:5], K[:5], V[:5])
    assert one.save() == one.fresh().save()


@kinds
@pytest.mark.parametrize("tokens", [1, 2, 7])
def test_a_short_stream_is_kept_whole(cls, tokens):
    assert cls(Shape(tokens, 16, 16)).tokens.tolist() == list(range(tokens))
