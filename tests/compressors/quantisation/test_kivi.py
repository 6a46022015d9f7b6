"""KIVI: which numbers share a scale, what waits in full precision, and its special cases."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.baseline.exact import Exact
from kvbarrier.compressors.zoo.quantisation.kivi import Kivi
from kvbarrier.errors import BadInput, BudgetTooSmall

SHAPE = Shape(tokens=40, d_k=12, d_v=8, extra=3)


def stream(n: int = 40, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal((n, d)).astype(np.float16) for d in (12, 12, 8)]
    return tuple(part.astype(np.float32) for part in parts)


def rounded(row: np.ndarray, bits: int) -> np.ndarray:
    """Between minimum and maximum, scale and zero in fp16; one row of numbers."""
    low = row.min()
    scale = np.float32(np.float16((row.max() - low) / np.float32(2**bits - 1)))
    zero = np.float32(np.float16(low))
    level = np.clip(np.floor((row - zero) / scale + np.float32(0.5)), 0, 2**bits - 1)
    return zero + scale * level


def naive(K: np.ndarray, V: np.ndarray, bits: int, G: int, R: int) -> tuple[np.ndarray, ...]:
    """Token by token, as the paper's Algorithm 1 says."""
    old_K, old_V, new_K, new_V = [], [], [], []
    for k, v in zip(K, V, strict=True):
        new_K.append(k)
        new_V.append(v)
        if len(new_K) == R:
            block = np.array(new_K)
            for g in range(0, R, G):
                columns = [rounded(block[g : g + G, c], bits) for c in range(block.shape[1])]
                old_K += list(np.array(columns).T)
            new_K = []
        if len(new_V) > R:
            v = new_V.pop(0)
            old_V.append(np.concatenate([rounded(part, bits) for part in np.split(v, len(v) // 4)]))
    return np.array(old_K + new_K), np.array(old_V + new_V)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("n", [5, 8, 16, 17, 40])
def test_it_is_the_algorithm_token_by_token(bits: int, n: int) -> None:
    Q, K, V = stream()
    one = Kivi(SHAPE, bits=bits, group=4, residual=8)
    one.extend(Q[:n], K[:n], V[:n])
    expected = naive(K[:n], V[:n], bits, 4, 8)
    for found, wanted in zip(one.kept(), expected, strict=True):
        assert np.allclose(found, wanted, atol=2e-6)


@pytest.mark.parametrize("bits", [2, 16])
@pytest.mark.parametrize("cut", [1, 7, 8, 20])
def test_the_contract(bits: int, cut: int) -> None:
    whole, loop, first = (Kivi(SHAPE, bits=bits, group=4, residual=8) for _ in range(3))
    Q, K, V = stream()
    whole.extend(Q, K, V)
    for q, k, v in zip(Q, K, V, strict=True):
        loop.append(q, k, v)
    first.extend(Q[:cut], K[:cut], V[:cut])
    assert len(first.save()) == first.message_bytes
    later = first.fresh()
    later.restore(first.save())
    later.extend(Q[cut:], K[cut:], V[cut:])
    assert whole.save() == loop.save() == later.save()


@pytest.mark.parametrize("n", [38, 39, 40])
def test_bobs_token_is_rounded_as_append_would(n: int) -> None:
    # With R = 8 the 40th token fills the residual: only its own group's scales depend on it.
    one = Kivi(SHAPE, bits=2, group=4, residual=8)
    Q, K, V = stream()
    one.extend(Q[:n], K[:n], V[:n])
    asked = stream(3, 5)
    outputs = one.next_outputs(*asked)
    assert np.allclose(outputs, Compressor.next_outputs(one, *asked), atol=1e-5)
    cuts = np.full(3, 0.1, np.float32)
    assert np.array_equal(one.next_bits(*asked, cuts), outputs > 0.1)
    expected = Compressor.block_outputs(one, *asked)
    assert np.allclose(one.block_outputs(*asked), expected, atol=1e-5)


def test_sixteen_bits_are_the_exact_cache() -> None:
    one, exact = Kivi(SHAPE, bits=16), Exact(SHAPE, dtype="fp16")
    for cache in (one, exact):
        cache.extend(*stream())
    asked = stream(3, 5)
    assert np.array_equal(one.next_outputs(*asked), exact.next_outputs(*asked))


def test_outlier_channels_of_keys_cost_nothing() -> None:
    # The paper's reason for per-channel keys: a channel 50 times as large spoils a per-token scale.
    Q, K, V = stream()
    K[:, 3] *= 50
    one = Kivi(SHAPE, bits=2, group=8, residual=8)
    one.extend(Q, K, V)
    error = np.abs(one.kept()[0] - K)
    others = np.arange(12) != 3
    per_token = np.array([rounded(k, 2) for k in K])
    assert error[:, others].mean() < 0.35
    assert np.abs(per_token - K)[:, others].mean() > 1.5 * error[:, others].mean()


def test_the_residual_is_exact() -> None:
    Q, K, V = stream()
    one = Kivi(SHAPE, bits=1, group=4, residual=16)
    one.extend(Q, K, V)
    kept_K, kept_V = one.kept()
    # 40 = 2 * 16 + 8: 8 keys wait, and 16 values.
    assert np.array_equal(kept_K[-8:], K[-8:])
    assert np.array_equal(kept_V[-16:], V[-16:])
    assert not np.array_equal(kept_K[-9], K[-9])
    assert not np.array_equal(kept_V[-17], V[-17])


def test_budgets() -> None:
    shape = Shape(tokens=256, d_k=64, d_v=64)
    with pytest.raises(BudgetTooSmall) as refused:
        Kivi(shape, 1000)
    least = Kivi(shape, refused.value.minimum_bits)
    assert 8 * least.message_bytes == refused.value.minimum_bits
    assert (least.bits, least.residual) == ({"k": 1, "v": 1}, 32)
    chosen = [Kivi(shape, int(shape.cache_bits_16 * s)) for s in (0.3, 0.5, 0.75, 1.01)]
    assert [one.bits["k"] for one in chosen] == sorted(one.bits["k"] for one in chosen)
    assert chosen[-1].bits == {"k": 16, "v": 16}
    with pytest.raises(BadInput, match="1 to 8 or 16 bits"):
        Kivi(shape, bits=9)
    with pytest.raises(BadInput, match="residual is a multiple"):
        Kivi(shape, residual=40)
    with pytest.raises(BadInput, match="not finite"):
        Kivi(SHAPE).extend(*(np.nan * part for part in stream(1)))
