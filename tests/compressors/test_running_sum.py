"""The running sum is the rule itself, whatever door it is asked through and wherever it is cut."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.paper.algorithm_1 import Algorithm1
from kvbarrier.compressors.zoo.paper.running_sum import RunningSum
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure
from kvbarrier.reductions.attention import sliding_window_attention

KINDS = {"sum": (RunningSum, {}), "samples": (Algorithm1, {"copies": 3, "means": 3})}


def triples(n, d_k=6, d_v=3, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    made = [rng.standard_normal((n, d)).astype(np.float32) for d in (d_k, d_k, d_v)]
    made[0] *= np.float32(scale)
    return made


def build(kind, n=40, window=7, **changes):
    cls, params = KINDS[kind]
    return cls(
        Shape(n, 6, 3), **({"seed": 5, "window": window, "dtype": "fp32"} | params | changes)
    )


@pytest.mark.parametrize("window", [1, 7, 40, 41, 60])
def test_it_is_the_rule(window):
    Q, K, V = triples(40, scale=3)
    one = build("sum", window=window)
    for t in range(40):
        one.append(Q[t], K[t], V[t])
        want = sliding_window_attention(Q[t], K[: t + 1], V[: t + 1], window, masked=False)
        assert one.attend(Q[t]) == pytest.approx(want, abs=1e-6)


def test_means_are_means():
    # With q = 0 every token weighs 1: the output is the plain mean, here of small integers.
    V = np.arange(30, dtype=np.float32).reshape(10, 3) ** 2
    one = build("sum", window=4)
    zero = np.zeros((10, 6), np.float32)
    one.extend(zero, triples(10)[1], V)
    want = [Fraction(sum((3 * t + j) ** 2 for t in range(10)), 10) for j in range(3)]
    assert one.attend(zero[0]).tolist() == [float(np.float32(float(w))) for w in want]
    assert one.state["summary"].tolist() == [V[:6].sum(axis=0).tolist()]


def test_large_scores_do_not_overflow():
    Q, K, V = triples(40, scale=1e5)
    one = build("sum")
    one.extend(Q, K, V)
    for q in Q[:8]:
        want = sliding_window_attention(q, K, V, 7, masked=False)
        assert one.attend(q) == pytest.approx(want, abs=1e-6)
        assert np.isfinite(one.attend(-q)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16", "fp8"])
def test_the_append_loop_is_extend_wherever_it_is_cut(kind, dtype):
    stream = triples(40)
    whole = build(kind, dtype=dtype)
    whole.extend(*stream)
    rng = np.random.default_rng(3)
    for _ in range(6):
        cuts = sorted({0, 40, *rng.integers(0, 41, 4).tolist()})
        one = build(kind, dtype=dtype)
        for first, last in pairwise(cuts):
            one.extend(*(a[first:last] for a in stream))
            message = one.save()
            assert len(message) == one.message_bytes
            one = one.fresh()
            one.restore(message)
        assert one.save() == whole.save()
    loop = build(kind, dtype=dtype)
    for triple in zip(*stream, strict=True):
        loop.append(*triple)
    assert loop.save() == whole.save()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 6, 7, 8, 30])
def test_the_batched_doors_are_what_the_contract_says(kind, n):
    # n = 6: Bob's token fills the window; 7: it pushes the first token out of it.
    one = build(kind, n=60)
    one.extend(*triples(n))
    Q, K, V = triples(9, seed=1, scale=3)
    before = one.save()
    got = one.next_outputs(Q, K, V)
    assert got.dtype == np.float32
    assert np.abs(got - Compressor.next_outputs(one, Q, K, V)).max() < 1e-6
    block = one.block_outputs(Q, K, V)
    assert np.abs(block - Compressor.block_outputs(one, Q, K, V)).max() < 1e-6
    assert one.save() == before


def test_blocks_of_rows_are_rows(monkeypatch):
    from kvbarrier.compressors.kit import window_ring

    one = build("sum")
    one.extend(*triples(30))
    more = triples(9, seed=1)
    whole = one.next_outputs(*more)
    monkeypatch.setattr(window_ring, "_BLOCK", 12)
    # Other shapes for BLAS: the same up to float64 rounding, and so almost always in float32.
    assert np.abs(one.next_outputs(*more) - whole).max() < 1e-6


def test_what_it_holds_is_2wd_plus_d_numbers():
    one = build("sum")
    assert sum(one.state[name].size for name in ("k", "v", "summary")) == 7 * (6 + 3) + 3
    assert 8 * one.message_bytes == 64 + 64 * 3 + 32 * 7 * 9


@pytest.mark.parametrize("kind", KINDS)
def test_the_window_is_the_rule_s_or_what_fits(kind):
    shape, public = Shape(40, 6, 3), {"window": 9}
    cls, params = KINDS[kind]
    beside = 64 + (64 * 3 if kind == "sum" else 16 * 9 * 3)
    assert cls(shape, public=public, **params).window == 9
    assert cls(shape, **params).window == 41
    assert cls(shape, public=public, window=12, **params).window == 12
    assert cls(shape, beside + 5 * 16 * 9, public=public, **params).window == 5
    assert cls(shape, beside + 20 * 16 * 9, public=public, **params).window == 9
    with pytest.raises(BudgetTooSmall) as caught:
        cls(shape, beside, **params)
    assert caught.value.minimum_bits == beside + 16 * 9
    with pytest.raises(BudgetTooSmall) as caught:
        cls(shape, 1000, window=9, **params)
    assert caught.value.minimum_bits == beside + 9 * 16 * 9
    with pytest.raises(BadInput, match="window"):
        cls(shape, window=0, **params)


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_that_holds_all_needs_no_summary(kind):
    one = build(kind, n=20, window=None)
    assert one.message_bytes == 8 + 4 * 21 * 9
    Q, K, V = triples(22)
    one.extend(Q[:21], K[:21], V[:21])
    want = sliding_window_attention(Q[0], K[:21], V[:21], 21, masked=False)
    assert one.attend(Q[0]) == pytest.approx(want, abs=1e-6)
    for ask in (one.next_outputs, one.extend):
        with pytest.raises(BadInput, match="20 tokens and 1 more, not 22"):
            ask(Q[21:], K[21:], V[21:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(kind, bad):
    one = build(kind)
    for block in (1, 2):
        stream = triples(20)
        stream[block][4, 2] = bad
        with pytest.raises(BadInput, match="not finite"):
            one.extend(*stream)
    assert one.save() == one.fresh().save()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_appended_nothing_answered(kind):
    one = build(kind)
    with pytest.raises(BadInput, match="append a token"):
        one.attend(np.zeros(6, np.float32))
    with pytest.raises(PluginFailure, match="public parameters"):
        one.restore(b"")
