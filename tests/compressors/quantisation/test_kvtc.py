"""KVTC: bits by brute force, errors in closed form, directions, budgets, foreign bytes."""

from __future__ import annotations

import zlib
from itertools import product

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape, charged_bits
from kvbarrier.compressors.zoo.quantisation import kvtc
from kvbarrier.compressors.zoo.quantisation.kvtc import KVTC, Components, allocate, decode
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure

SHAPE = Shape(tokens=300, d_k=16, d_v=12)


def stream(n: int = 300, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, d)).astype(np.float32) for d in (16, 16, 12)]


def encode(X: np.ndarray, bits: float) -> bytes:
    return Components.of(X).coded(bits)


def lost(x: np.ndarray, bits: int) -> float:
    """Of one component: what cutting it into equal cells between its extremes loses, by a loop."""
    if bits == 0:
        return float(np.square(x).sum())
    low, high = min(x.min(), 0), max(x.max(), 0)
    width = (high - low) / 2**bits
    cells = [min(int((value - low) / width), 2**bits - 1) for value in x]
    return sum((v - low - width * (c + 0.5)) ** 2 for v, c in zip(x, cells, strict=True))


@pytest.mark.parametrize("total", range(13))
def test_no_other_bits_have_a_smaller_error(total: int) -> None:
    # One bit may be worse than none, so a greedy rule would stop too early.
    errors = np.random.default_rng(total).uniform(0, 4, (4, 9))
    sums = {
        bits: sum(errors[j, b] for j, b in enumerate(bits))
        for bits in product(range(9), repeat=4)
        if sum(bits) <= total
    }
    found = tuple(allocate(errors, total).tolist())
    assert sums[found] == pytest.approx(min(sums.values()), rel=1e-12)


def test_the_error_is_that_of_its_cells() -> None:
    X = stream(2000)[0] * np.geomspace(0.05, 3, 16).astype(np.float32)
    found = decode(encode(X, 3.0), *X.shape)
    centred = (X - X.mean(axis=0)).astype(np.float64)
    _, _, turn = np.linalg.svd(centred, full_matrices=False)
    columns = (centred @ turn.T).T
    table = np.array([[lost(x, bits) for bits in range(9)] for x in columns])
    bits = allocate(table, 48)
    exact = sum(table[j, b] for j, b in enumerate(bits)) / len(X)
    assert np.square(found - X).sum(axis=1).mean() == pytest.approx(exact, rel=0.02)
    # The same bits for all components lose more.
    assert exact < 0.6 * table[:, 3].sum() / len(X)


def test_what_lies_near_few_directions_costs_little() -> None:
    rng = np.random.default_rng(3)
    X = (rng.standard_normal((500, 2)) @ rng.standard_normal((2, 16))).astype(np.float32)
    message = encode(X, 1.0)  # 16 bits for 2 components: 8 each
    # Bits, mean, extremes of two, two directions; and 8 bits of two components a row.
    assert len(message) < 16 + 32 + 8 + 64 + 1000 + 30
    assert np.abs(decode(message, 500, 16) - X).max() < 0.1
    dense = stream(500)[0]
    assert np.abs(decode(encode(dense, 1.0), 500, 16) - dense).max() > 1


def test_cells_are_deflated() -> None:
    X = np.zeros((2000, 16), np.float32)
    X[::50, 3] = 1
    message = encode(X, 0.5)  # 8 bits for one component, of two values
    assert len(message) < 16 + 32 + 4 * 2 + 8 * 32 + 120
    assert decode(message, 2000, 16) == pytest.approx(X, abs=3e-3)


def test_sinks_and_the_newest_tokens_are_as_they_were() -> None:
    Q, K, V = stream()
    one = KVTC(SHAPE, bits=1, sinks=5, window=20)
    one.extend(Q, K, V)
    one.open()
    for X, found in zip((K, V), one.held, strict=True):
        assert np.array_equal(found[:5], X[:5].astype(np.float16))
        assert np.array_equal(found[-20:], X[-20:].astype(np.float16))
        assert np.abs(found[5:-20] - X[5:-20]).max() > 0.5


def test_keys_and_values_have_bits_of_their_own() -> None:
    Q, K, V = stream()
    mixed = KVTC(SHAPE, k_bits=6, v_bits=2)
    others = [KVTC(SHAPE, bits=bits) for bits in (6, 2)]
    for one in (mixed, *others):
        one.extend(Q, K, V)
        one.open()
    assert np.array_equal(mixed.held[0], others[0].held[0])
    assert np.array_equal(mixed.held[1], others[1].held[1])


@pytest.mark.parametrize("share", [1 / 8, 1 / 4, 1 / 2, 1])
def test_a_budget_holds_and_is_used(share: float) -> None:
    budget = int(share * SHAPE.cache_bits_16)
    one = KVTC(SHAPE, budget)
    one.extend(*stream())
    assert 0.6 * budget < charged_bits(len(one.save())) <= budget or share == 1
    assert charged_bits(len(one.save())) <= budget


def test_the_contract() -> None:
    Q, K, V = stream()
    whole, loop = (KVTC(SHAPE, SHAPE.cache_bits_16 // 3) for _ in range(2))
    whole.extend(Q, K, V)
    for triple in zip(Q, K, V, strict=True):
        loop.append(*triple)
    message = whole.save()
    assert message == loop.save()
    twin = whole.fresh()
    twin.restore(message)
    asked = stream(3, 9)
    loops = Compressor.next_outputs(twin, *asked)
    assert twin.next_outputs(*asked) == pytest.approx(loops, abs=2e-6)
    for n in (0, 1, 3, 40, 140):  # prompts that end before they were said to
        short = KVTC(SHAPE, SHAPE.cache_bits_16 // 3)
        short.extend(Q[:n], K[:n], V[:n])
        bob = short.fresh()
        bob.restore(short.save())
        bob.open()
        assert [len(rows) for rows in bob.held] == [n, n]


def test_budgets_and_bits() -> None:
    with pytest.raises(BudgetTooSmall):
        KVTC(SHAPE, 500)
    with pytest.raises(BadInput, match="bits above 0 and up to 8, not 9"):
        KVTC(SHAPE, v_bits=9)
    tight = KVTC(SHAPE, SHAPE.cache_bits_16 // 8, bits=8)
    tight.extend(*stream())
    with pytest.raises(BudgetTooSmall):
        tight.save()


def test_foreign_bytes_are_one_error() -> None:
    one = KVTC(SHAPE, bits=2)
    one.extend(*stream())
    message = one.save()
    for cut in range(0, len(message), 97):
        with pytest.raises(PluginFailure, match="is not one of kvtc"):
            one.fresh().restore(message[:cut])
    bomb = message[:12] + zlib.compress(bytes(10**7))
    with pytest.raises(PluginFailure):
        one.fresh().restore(bomb)


def test_equal_keys_are_coded_once_at_each_rung(monkeypatch) -> None:
    asked: list[bytes] = []
    usual = zlib.compress
    monkeypatch.setattr(kvtc.zlib, "compress", lambda cells: asked.append(cells) or usual(cells))
    K = stream(seed=77)[1]
    one, two = (KVTC(SHAPE, SHAPE.cache_bits_16 // 4) for _ in range(2))
    one.extend(K, K, stream(seed=1)[2])
    two.extend(K, K, stream(seed=2)[2])
    message, first = one.save(), len(asked)
    assert first % 2 == 0
    two.save()
    assert len(asked) == first + first // 2
    # And what was found again is what a fresh process writes.
    monkeypatch.setattr(kvtc, "_of_keys", Components.of)
    fresh = one.fresh()
    fresh.extend(K, K, stream(seed=1)[2])
    assert fresh.save() == message
