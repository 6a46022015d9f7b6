"""Lifting: one head's algorithm on several heads, and a whole-token one on one head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape, charged_bits
from kvbarrier.compressors.plugin.lifting import PerHead, WholeToken, fit_layout
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import BudgetTooSmall, PluginFailure
from kvbarrier.reductions.attention import attention

SHAPE = Shape(tokens=20, d_k=8, d_v=6, extra=3, layers=2, heads=3, kv_heads=3)


def stream(seed: int = 0, n: int = 20, shape: Shape = SHAPE) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    token = (shape.layers, shape.kv_heads)
    Q, K = rng.standard_normal((2, n, *token, shape.d_k), dtype=np.float32)
    return Q, K, rng.standard_normal((n, *token, shape.d_v), dtype=np.float32)


def oracle(q: np.ndarray, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Each head by itself, in float64."""
    out = np.empty((*q.shape[:2], V.shape[-1]))
    for l, h in np.ndindex(q.shape[:2]):
        out[l, h] = attention(q[l, h], K[:, l, h], V[:, l, h])
    return out


def test_every_head_attends_to_its_own_tokens() -> None:
    lifted = resolve("exact").factory(SHAPE, None, 0, {}, dtype="fp32")
    assert isinstance(lifted, PerHead)
    Q, K, V = stream()
    lifted.extend(Q, K, V)
    q, k, v = stream(1, 3)
    outputs = lifted.next_outputs(q, k, v)
    assert outputs.shape == (3, 2, 3, 6)
    for r in range(3):
        expected = oracle(
            q[r], np.concatenate([K, k[r : r + 1]]), np.concatenate([V, v[r : r + 1]])
        )
        assert np.allclose(outputs[r], expected, atol=1e-5)
    block = lifted.block_outputs(q, k, v)
    for r in range(3):
        expected = oracle(q[r], np.concatenate([K, k]), np.concatenate([V, v]))
        assert np.allclose(block[r], expected, atol=1e-5)
    cut = np.full((3, 2, 3), 0.1, dtype=np.float32)
    assert np.array_equal(lifted.next_bits(q, k, v, cut), outputs > cut[..., None])


def test_every_head_is_told_its_own_layers_window() -> None:
    shape = replace(SHAPE, windows=(17, None))
    lifted = resolve("exact").factory(shape, None, 0, {}, dtype="fp32")
    assert [head.shape.windows for head in lifted.inner] == [(17,)] * 3 + [(None,)] * 3
    assert [head.shape.held for head in lifted.inner] == [(16,)] * 3 + [(20,)] * 3
    whole = resolve("exact").factory(SHAPE, None, 0, {}, dtype="fp32")
    assert {head.shape.windows for head in whole.inner} == {None}


@pytest.mark.parametrize("name", ["reservoir", "quantized", "subgen", "sliding-window"])
def test_a_lifted_message_round_trips_within_the_budget_of_all_heads(name: str) -> None:
    # SubGen's samples alone are more than the whole of so small a cache.
    budget = SHAPE.cache_bits_16 * (20 if name == "subgen" else 1) // 2
    build = resolve(name).factory
    alice, bob = build(SHAPE, budget, 5, {}), build(SHAPE, budget, 5, {})
    alice.extend(*stream())
    message = alice.save()
    assert charged_bits(len(message), alice.message_bytes) <= budget
    bob.restore(message)
    questions = stream(2, 3)
    assert np.array_equal(alice.next_outputs(*questions), bob.next_outputs(*questions))
    assert np.allclose(
        alice.next_outputs(*questions), Compressor.next_outputs(alice, *questions), atol=1e-5
    )


class Counted:
    """A foreign class whose message has no constant length."""

    def __init__(self, shape, budget_bits=None):
        self.rows = []

    def append(self, q, k, v):
        self.rows.append(np.concatenate([k, v])[: 1 + len(self.rows) % 3])

    def attend(self, q):
        return np.full(6, len(self.rows), np.float32)


def test_messages_of_unequal_length_are_told_apart() -> None:
    from kvbarrier.compressors.plugin.adapters import adapt

    factory = adapt(Counted)
    budget = SHAPE.cache_bits_16
    alice, bob = factory(SHAPE, budget), factory(SHAPE, budget)
    assert alice.message_bytes is None
    alice.extend(*stream())
    message = alice.save()
    bob.restore(message)
    assert bob.save() == message
    assert np.all(bob.attend(stream()[0][0]) == 20)
    with pytest.raises(PluginFailure, match="does not fit 6 heads"):
        factory(SHAPE, budget).restore(message + b"x")


def test_a_share_too_small_names_a_budget_that_works() -> None:
    build = resolve("sliding-window").factory
    with pytest.raises(BudgetTooSmall) as refused:
        build(SHAPE, 100, 0, {})
    least = refused.value.minimum_bits
    assert build(SHAPE, least, 0, {}).message_bytes * 8 <= least
    assert least < 2 * 6 * 16 * (8 + 6)  # one fp16 token a head, and little more


def test_heads_have_coins_of_their_own() -> None:
    lifted = resolve("reservoir").factory(SHAPE, SHAPE.cache_bits_16 // 2, 5, {})
    assert len({head.seed for head in lifted.inner}) == 6
    again = resolve("reservoir").factory(SHAPE, SHAPE.cache_bits_16 // 2, 5, {})
    assert [head.seed for head in again.inner] == [head.seed for head in lifted.inner]


class MeanOfHeads(Compressor):
    """Whole tokens: every head answers with the mean value over all heads."""

    layout = "heads"
    message_bytes = 8 * 6

    def __init__(self, shape, budget_bits=None, seed=0, public=None):
        super().__init__(shape, budget_bits, seed, public)
        self.total = np.zeros(shape.d_v)

    def append(self, q, k, v):
        assert q.shape == k.shape == (self.shape.layers, self.shape.kv_heads, self.shape.d_k)
        self.total += v.mean(axis=(0, 1))

    def attend(self, q):
        return np.broadcast_to(self.total, (*q.shape[:2], len(self.total))).astype(np.float32)

    def save(self):
        return self.total.tobytes()

    def restore(self, message):
        self.total = np.frombuffer(message).copy()


def test_a_whole_token_class_always_gets_its_axes() -> None:
    from kvbarrier.compressors.plugin.adapters import adapt

    one = Shape(tokens=20, d_k=8, d_v=6, extra=3)
    flat = adapt(MeanOfHeads)(one)
    assert isinstance(flat, WholeToken)
    Q, K, V = (part[:, 0, 0] for part in stream())
    flat.extend(Q, K, V)
    flat.append(Q[0], K[0], V[0])
    expected = V.sum(axis=0, dtype=np.float64) + V[0]
    assert np.allclose(flat.attend(Q[0]), expected, rtol=1e-5)
    twin = flat.fresh()
    twin.restore(flat.save())
    assert np.allclose(twin.next_outputs(Q[:2], K[:2], V[:2]), expected + V[:2], rtol=1e-4)
    many = adapt(MeanOfHeads)(SHAPE)
    assert isinstance(many, MeanOfHeads)


def test_public_keys_are_each_heads_own() -> None:
    keys = stream()[1]
    seen = []

    def make(shape, budget_bits, seed, public, **params):
        seen.append(public["keys"])
        return resolve("zero").factory(shape, budget_bits, seed, public)

    fit_layout("head", make, SHAPE, None, 0, {"keys": keys})
    assert len(seen) == 6
    for (l, h), own in zip(np.ndindex(2, 3), seen, strict=True):
        assert np.array_equal(own, keys[:, l, h])
