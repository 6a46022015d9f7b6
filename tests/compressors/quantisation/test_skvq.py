"""SKVQ: twins, what is rounded when, and that sorting and clipping pay where they should."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.quantisation import skvq
from kvbarrier.compressors.zoo.quantisation.skvq import LEVELS, SKVQ, Law, Rounding, alike
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention

from tests.naive import skvq as naive

SHAPE = Shape(tokens=64, d_k=16, d_v=16)
SMALL = Shape(tokens=40, d_k=12, d_v=7, extra=3)
SETTINGS = {"k_bits": 2, "v_bits": 1.5, "group": 4, "window": 8, "sinks": 3}
FP16 = np.dtype(np.float16)


def stream(n=40, seed=0, d_k=12, d_v=7):
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal((n, d)).astype(np.float16) for d in (d_k, d_k, d_v)]
    return [part.astype(np.float32) for part in parts]


@pytest.mark.parametrize("bits", list(LEVELS))
@pytest.mark.parametrize("plain", [False, True])
def test_the_kernels_are_their_twins(bits, plain):
    def kernel(name):
        found = getattr(skvq, name)
        return getattr(found, "py_func", found) if plain else found

    levels, digits = LEVELS[bits]
    assert levels**digits <= 2**16
    rng = np.random.default_rng(3)
    X = rng.standard_normal((5, 23)).astype(np.float32)
    X[2] = 0.25  # scale 0
    group = rng.integers(0, 4, 23).astype(np.uint8)
    group[group == 2] = 3  # a group without channels
    ends = [np.full((5, 4), 9, np.float32) for _ in range(4)]
    kernel("extremes")(X, group, *ends[:2])
    naive.extremes(X, group, *ends[2:])
    assert (ends[0] == ends[2]).all()
    assert (ends[1] == ends[3]).all()
    scale = np.float32(0.8) * (ends[1] - ends[0]) / np.float32(levels - 1)
    zero = np.float32(0.8) * ends[0]
    codes = [np.full((5, -(-23 // digits)), 7, np.uint16) for _ in range(2)]
    with np.errstate(divide="ignore", invalid="ignore"):
        kernel("encode")(X, group, scale, zero, levels, digits, codes[0])
    naive.encode(X, group, scale, zero, levels, digits, codes[1])
    assert (codes[0] == codes[1]).all()
    back = [np.empty((5, 23), np.float32) for _ in range(2)]
    kernel("decode")(codes[0], group, scale, zero, levels, digits, back[0])
    naive.decode(codes[0], group, scale, zero, levels, digits, back[1])
    assert np.allclose(back[0], back[1], rtol=0, atol=1e-6)  # the JIT may fuse product and sum


def test_clipped_rounding_by_hand():
    # f(alpha, X) of the paper: zero = alpha min = 0 and scale = alpha (max - min)/3 = 8/3. Then
    # 0 -> 0, 1 -> round(.375) = 0, 2 -> round(.75) = 1, 10 -> round(3.75), clipped to 3.
    law = Law(np.zeros(4, np.uint8), np.float32([0.8]))
    rounding = Rounding(2, FP16)
    X = np.float32([[0, 1, 2, 10]])
    scale, zero, codes = rounding.quantise(X, law)
    assert zero.tolist() == [[0]]
    assert scale[0, 0] == np.float16(8 / 3)
    assert codes.tolist() == [[0 + 0 * 4 + 1 * 16 + 3 * 64]]
    assert rounding.restore(scale, zero, codes, law)[0] == pytest.approx([0, 0, 8 / 3, 8], abs=5e-3)


def test_one_and_a_half_bits_are_three_levels():
    # -1, 0 and 1 are the levels themselves (zero -1 and scale 1 are fp8 numbers); ten to a word.
    rng = np.random.default_rng(0)
    X = rng.integers(-1, 2, (20, 30)).astype(np.float32)
    X[:, :2] = -1, 1
    law = Law(np.zeros(30, np.uint8), np.float32([1]))
    rounding = Rounding(1.5, np.dtype(ml_dtypes.float8_e4m3fn))
    parts = rounding.quantise(X, law)
    assert parts[2].shape == (20, 3)
    assert (rounding.restore(*parts, law) == X).all()
    assert not (Rounding(2, FP16).restore(*Rounding(2, FP16).quantise(X, law), law) == X).all()


@pytest.mark.parametrize("n", [1, 3, 5, 11, 12, 30, 40])
@pytest.mark.parametrize("meta", ["fp8", "fp16"])
def test_sinks_and_window_are_whole_and_the_rest_is_rounded(n, meta):
    Q, K, V = stream()
    one = SKVQ(SMALL, **SETTINGS, meta=meta)
    one.extend(Q[:n], K[:n], V[:n])
    dtype = ml_dtypes.float8_e4m3fn if meta == "fp8" else np.float16
    for name, X, got, levels in zip("kv", (K, V), one.kept(), (4, 3), strict=True):
        law = one._law(name)
        wanted = naive.tokens(X[:n], 3, 8, (law.group, law.clip), levels, dtype)
        assert np.allclose(got, wanted, atol=2e-6)
        assert (got[:3] == X[:3][:n]).all()
        assert (got[-8:] == X[:n][-8:]).all()
        changed = (got != X[:n]).any(axis=1)
        assert changed[3 : max(3, n - 8)].all()


@pytest.mark.parametrize("cut", [0, 1, 3, 10, 11, 12, 33, 40, 42])
@pytest.mark.parametrize("params", [SETTINGS, SETTINGS | {"clip": 0.95, "meta": "fp16"}])
def test_a_stream_may_be_cut_anywhere(cut, params):
    Q, K, V = stream(43)
    whole, looped, first = (SKVQ(SMALL, seed=5, **params) for _ in range(3))
    whole.extend(Q, K, V)
    for triple in zip(Q, K, V, strict=True):
        looped.append(*triple)
    first.extend(Q[:cut], K[:cut], V[:cut])
    second = first.fresh()
    second.restore(first.save())
    assert second.save() == first.save()
    assert len(first.save()) == first.message_bytes or cut > 40
    second.extend(Q[cut:], K[cut:], V[cut:])
    assert whole.save() == looped.save() == second.save()
    assert len(whole.save()) > whole.message_bytes


@pytest.mark.parametrize("n", [1, 3, 10, 11, 12, 40])
def test_every_question_is_on_its_own_copy(n):
    Q, K, V = stream()
    one = SKVQ(SMALL, **SETTINGS)
    one.extend(Q[:n], K[:n], V[:n])
    before = one.save()
    Q, K, V = stream(9, seed=1)
    loop = Compressor.next_outputs(one, Q, K, V)
    assert one.next_outputs(Q, K, V) == pytest.approx(loop, abs=2e-6)
    thresholds = np.float32(loop.mean(axis=1))
    assert (one.next_bits(Q, K, V, thresholds) == (loop > thresholds[:, None])).all()
    twin = one.twin()
    twin.extend(Q[:3], K[:3], V[:3])
    wanted = np.stack([attention(q, *twin.kept()) for q in Q])
    assert one.block_outputs(Q, K[:3], V[:3]) == pytest.approx(wanted, abs=2e-6)
    assert one.save() == before


@pytest.mark.parametrize("share", [0.75, 0.8, 0.9, 1.0, 1.5])
def test_it_fills_the_budget(share):
    budget = int(share * SHAPE.cache_bits_16)
    one = SKVQ(SHAPE, budget)
    assert len(one.save()) == one.message_bytes
    assert 8 * one.message_bytes <= budget
    wider = SKVQ(SHAPE, k_bits=one.rounding["k"].bits, v_bits=one.rounding["v"].bits,
                 window=one.window + 1)  # fmt: skip
    assert 8 * wider.message_bytes > budget or one.window >= 59  # sinks and window are all


def test_a_budget_prefers_bits_to_window():
    deep = Shape(tokens=512, d_k=64, d_v=64)
    for k, v, finer in ((1.5, 1.5, (2, 1.5)), (2, 1.5, (2, 2)), (2, 2, (3, 3)), (4, 4, (8, 8))):
        shortest, next_bits = (
            SKVQ(deep, k_bits=a, v_bits=b, window=32) for a, b in ((k, v), finer)
        )
        for budget in (8 * shortest.message_bytes, 8 * next_bits.message_bytes - 1):
            one = SKVQ(deep, budget)
            assert (one.rounding["k"].bits, one.rounding["v"].bits) == (k, v)
        assert one.window > 32
    with pytest.raises(BudgetTooSmall) as caught:
        SKVQ(deep, deep.cache_bits_16 // 8)
    least = caught.value.minimum_bits
    one = SKVQ(deep, least)
    assert (one.rounding["k"].bits, one.window) == (1.5, 32)
    assert 8 * len(one.save()) == least
    with pytest.raises(BudgetTooSmall):
        SKVQ(deep, least - 1)


def test_channels_of_like_range_are_grouped():
    rng = np.random.default_rng(1)
    ranges = np.float32([1, 10, 0.1, 1, 10, 0.1, 1, 10, 0.1])
    X = ranges * rng.uniform(-1, 1, (200, 9)).astype(np.float32)
    group = alike(X, 3, np.random.default_rng(0))
    assert [set(group[ranges == r].tolist()) for r in (0.1, 1, 10)] != [{0}, {0}, {0}]
    assert sorted(len(set(group[ranges == r].tolist())) for r in (0.1, 1, 10)) == [1, 1, 1]
    assert len(set(group.tolist())) == 3
    # Shifted channels are told apart as well: the points are (min, max), not widths.
    shifted = np.float32([0, 5] * 4) + rng.uniform(-1, 1, (200, 8)).astype(np.float32)
    group = alike(shifted, 2, np.random.default_rng(0))
    assert group[0] != group[1]
    assert (group == np.tile(group[:2], 4)).all()


def test_it_does_well_where_channels_keep_their_range(monkeypatch):
    # Every other channel is a hundred times as wide. Sorted, no wide one coarsens a narrow one;
    # and where all channels are alike sorting gains nothing.
    shape = Shape(tokens=200, d_k=16, d_v=16)
    params = {"k_bits": 4, "v_bits": 2, "group": 8, "window": 16}
    Q, K, V = stream(200, d_k=16, d_v=16)
    Q, K = Q / 4, K / 4
    wide = np.float32([0.02, 2] * 8)
    as_they_come = np.repeat(np.uint8([0, 1]), 8)
    found = {}
    for sorts in (True, False):
        if not sorts:
            monkeypatch.setattr(skvq, "alike", lambda X, groups, rng: as_they_come)
        found[sorts, "wide"] = np.abs(held_values(shape, params, Q, K, V * wide) - V * wide)
        found[sorts, "alike"] = np.abs(held_values(shape, params, Q, K, V) - V)
    narrow = wide < 1
    sorted_, unsorted = (found[s, "wide"][:, narrow].mean() for s in (True, False))
    assert sorted_ < 0.05 * unsorted
    sorted_, unsorted = (found[s, "alike"].mean() for s in (True, False))
    assert sorted_ > 0.9 * unsorted


def held_values(shape, params, Q, K, V):
    one = SKVQ(shape, **params)
    one.extend(Q, K, V)
    return one.kept()[1]


def test_clipping_pays_for_long_tails_and_is_off_for_two_values():
    shape = Shape(tokens=200, d_k=32, d_v=32)
    Q, K, V = stream(200, d_k=32, d_v=32)
    params = {"k_bits": 4, "v_bits": 2, "window": 16, "meta": "fp16"}
    gaps = {
        clip: np.square(held_values(shape, params | {"clip": clip}, Q, K, V) - V).mean()
        for clip in (None, 1.0)
    }
    assert gaps[None] < 0.8 * gaps[1.0]  # 32 normal numbers reach 2 deviations, four levels 1.5
    two = np.sign(V)
    one = SKVQ(shape, k_bits=4, v_bits=2, window=16)
    one.extend(Q, K, two)
    assert one._law("v").clip.tolist() == [1.0]
    # +-1 are the ends; the scale 2/3 is .6875 in fp8, so 1 comes back as 1.0625.
    assert np.abs(one.kept()[1] - two).max() == pytest.approx(0.0625)


def test_parameters_are_checked():
    for params, word in (
        ({"k_bits": 5}, "1.5, 2, 3, 4 or 8"),
        ({"v_bits": 1}, "1.5, 2, 3, 4 or 8"),
        ({"clip": 0}, "clip"),
        ({"clip": 1.1}, "clip"),
        ({"meta": "bf16"}, "fp8"),
        ({"window": 0}, "window"),
        ({"sinks": -1}, "sinks"),
        ({"group": 0}, "group"),
    ):
        with pytest.raises(BadInput, match=word):
            SKVQ(SHAPE, **params)
    with pytest.raises(BadInput, match="256 groups"):
        SKVQ(Shape(tokens=4, d_k=300, d_v=4), group=1)


def test_numbers_that_do_not_fit_are_refused_and_nothing_changes():
    Q, K, V = stream()
    V[4, 1] = 500  # fp16, but no fp8 minimum
    one = SKVQ(SMALL, **SETTINGS)
    with pytest.raises(BadInput, match="not finite"):
        one.extend(Q, K, np.where(V == 500, -500, V).astype(np.float32))
    assert one.save() == one.fresh().save()
    SKVQ(SMALL, **SETTINGS, meta="fp16").extend(Q, K, V)
    V[4, 1] = np.nan
    with pytest.raises(BadInput, match="not finite"):
        one.extend(Q[:5], K[:5], V[:5])
    one.extend(Q, K, K[:, :7])
    with pytest.raises(BadInput, match="40 tokens and 3 more"):
        one.extend(Q[:4], K[:4], K[:4, :7])
    one.extend(Q[:3], K[:3], K[:3, :7])
    with pytest.raises(BadInput, match="40 tokens and 3 more"):
        one.next_outputs(Q[:1], K[:1], K[:1, :7])
