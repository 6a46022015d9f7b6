"""Compressors on the heads of a model: exact attention by hand, messages, groups of query heads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.engines.natural.heads import NaturalHeads, asked_together
from kvbarrier.compressors.plugin.contract import charged_bits
from kvbarrier.errors import BudgetTooSmall

LAYERS, N, MORE, KV, GROUP, D = 2, 24, 6, 2, 3, 8
HALF = 16 * N * 2 * D // 2


@pytest.fixture(name="stream")
def _stream() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(7)
    heads = (KV * GROUP, KV, KV)
    return tuple(rng.normal(size=(LAYERS, N + MORE, h, D)).astype(np.float32) for h in heads)


def made(stream: tuple[np.ndarray, ...], target: str, budget: int | None = None, **params: Any):
    return NaturalHeads(target, params, budget, *(part[:, :N] for part in stream), MORE)


def by_hand(stream: tuple[np.ndarray, ...], layer: int, token: int) -> np.ndarray:
    """Exact attention of every query head at a token: float64[query heads, d]."""
    q, k, v = (part[layer].astype(np.float64) for part in stream)
    rows = []
    for head in range(KV * GROUP):
        own = head // GROUP
        weights = np.exp(k[: token + 1, own] @ q[token, head])
        rows.append(weights @ v[: token + 1, own] / weights.sum())
    return np.stack(rows)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_full_cache_answers_exactly(stream: tuple[np.ndarray, ...], every: int) -> None:
    heads = made(stream, "exact", dtype="fp32")
    later = [part[:, N:] for part in stream]
    for layer in range(LAYERS):
        found = heads.answers(layer, *(part[layer] for part in later), every)
        asked = range(N + every - 1, N + MORE, every)
        expected = np.stack([by_hand(stream, layer, token) for token in asked])
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_memory_is_that_of_the_messages(stream: tuple[np.ndarray, ...]) -> None:
    heads = made(stream, "exact", dtype="fp32")
    sizes = [len(message) for row in heads.messages for message in row]
    assert sizes == [4 * 2 * N * D] * LAYERS * KV
    assert heads.wire_bytes == sum(sizes)
    assert heads.charged == sum(charged_bits(size, size) for size in sizes)


@pytest.mark.parametrize("target", ["snapkv", "h2o", "streaming-llm", "reservoir"])
def test_heads_live_in_their_budget_and_answer_twice_alike(
    stream: tuple[np.ndarray, ...], target: str
) -> None:
    heads = made(stream, target, HALF)
    assert heads.charged <= LAYERS * KV * HALF
    later = [part[1, N:] for part in stream]
    first = heads.answers(1, *later)
    np.testing.assert_array_equal(first, heads.answers(1, *later))
    # Half of the tokens are gone.
    assert np.abs(first[-1] - by_hand(stream, 1, N + MORE - 1)).max() > 1e-3


def test_what_is_asked_together_is_what_is_asked_one_by_one(
    stream: tuple[np.ndarray, ...],
) -> None:
    for target, params in (
        ("quantized", {"bits": 4}),
        ("kivi", {"bits": 2, "group": 4, "residual": 8}),
    ):
        caches = made(stream, target, **params)
        bob = caches._build(0, 1)
        bob.restore(caches.messages[0][1])
        q = stream[0][0, N, :GROUP]
        together = asked_together(bob, q)
        np.testing.assert_allclose(together, [bob.attend(one) for one in q], atol=1e-6)


def test_a_policy_sees_the_mean_of_its_group(stream: tuple[np.ndarray, ...]) -> None:
    Q, K, V = stream
    mean = Q.reshape(LAYERS, N + MORE, KV, GROUP, D).mean(axis=3).repeat(GROUP, axis=2)
    assert made(stream, "h2o", HALF).messages == made((mean, K, V), "h2o", HALF).messages
    first = Q.reshape(LAYERS, N + MORE, KV, GROUP, D)[:, :, :, 0].repeat(GROUP, axis=2)
    assert made(stream, "h2o", HALF).messages != made((first, K, V), "h2o", HALF).messages


def test_too_small_a_budget_is_said(stream: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(BudgetTooSmall):
        made(stream, "h2o", 16)
