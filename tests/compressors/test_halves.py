"""float16 by integers: the bits of NumPy's conversion, of every number."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.kit import token_cache
from kvbarrier.compressors.kit.halves import narrow, narrow_bits, wide_bits, widen
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.plugin.lifting import PerHead
from kvbarrier.compressors.zoo.baseline.exact import Exact

from tests.naive import halves as naive

EVERY = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
PLAIN = EVERY[np.isfinite(EVERY) & ((abs(EVERY) >= 2.0**-14) | (EVERY == 0))]


def same(a, b):
    """Whether two arrays have the same bits, of zeros and NaN too."""
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


def narrowed(rows):
    halves = np.empty(rows.shape, dtype=np.float16)
    narrow(rows, halves)
    return halves


def test_every_float16_number_is_widened_exactly():
    assert same(widen(EVERY), EVERY.astype(np.float32))
    assert same(widen(PLAIN), naive.widen(PLAIN))
    assert wide_bits(PLAIN.view(np.uint16), np.empty(len(PLAIN), dtype=np.uint32))


def test_every_plain_number_every_tie_and_its_neighbours_are_rounded_as_numpy_does():
    ends = np.sort(PLAIN.astype(np.float32))
    ties = (ends[1:] + ends[:-1]) / 2  # exact: one bit more than a float16 has
    rows = np.concatenate([ends, ties, np.nextafter(ties, -np.inf), np.nextafter(ties, np.inf)])
    rows = rows[(abs(rows) >= 2.0**-14) | (rows == 0)].astype(np.float32)
    assert narrow_bits(rows.view(np.uint32), np.empty(len(rows), dtype=np.uint16))
    assert same(narrowed(rows), rows.astype(np.float16))
    assert same(narrowed(rows[::97]), naive.narrow(rows[::97]))


@pytest.mark.parametrize("odd", [1e-7, -6e-5, 2.0**-14 - 2.0**-26, 3e-8, 1e-40, 65519.0, np.nan])
def test_other_numbers_are_left_to_numpy(odd):
    rows = np.array([[1.0, odd], [0.0, -0.0]], dtype=np.float32)
    assert same(narrowed(rows), rows.astype(np.float16))


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan, 6e-8, -6.0975552e-5])
def test_each_other_float16_number_is_left_to_numpy(odd):
    halves = np.array([1.0, odd, -0.0], dtype=np.float16)
    assert same(widen(halves), halves.astype(np.float32))


@pytest.mark.parametrize("heads", [1, 3])
def test_a_long_cache_has_the_message_and_the_answers_of_a_short_one(monkeypatch, heads):
    coins = np.random.default_rng(3)
    shape = Shape(20, 6, 4, heads=heads, kv_heads=heads)
    K, V = coins.standard_normal((20, heads, 6)), coins.standard_normal((20, heads, 4))
    K, V = K[:, None].astype(np.float32), V[:, None].astype(np.float32)

    def played():
        alice, bob = (PerHead(Exact, shape, shape.cache_bits_16) for _ in range(2))
        for part in (slice(7), slice(7, 20)):
            alice.extend(K[part], K[part], V[part])
        bob.restore(memoryview(message := alice.save()))
        return message, bob.next_outputs(K[:2], K[:2], V[:2]).tolist()

    short = played()
    expected = np.concatenate([
        part[:, 0, head].reshape(-1) for head in range(heads) for part in (K, V)
    ])  # fmt: skip
    assert short[0] == naive.narrow(expected).tobytes()
    monkeypatch.setattr(token_cache, "LONG", 1)
    assert played() == short
