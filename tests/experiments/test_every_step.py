"""The stream of every time step: its keys, its cuts, and the cache that merges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.experiments.every_step import stream
from kvbarrier.experiments.every_step.stream import Merged
from kvbarrier.reductions.attention import attention

KEYS = stream.accepted_keys(6, 6.0, 400, 0)


def test_accepted_keys_are_certified_and_the_next_is_not_missing():
    K = KEYS.astype(np.float64)
    weights = np.exp(6.0 * (K @ K.T - 1))
    assert 3 * (weights.sum(axis=1) - np.diag(weights)).max() < 1
    # Greedy: with the whole list once more as candidates, nothing more fits than what is held.
    from kvbarrier.reductions.keys import make

    offered = make("jl", 400, 6, 0).rows.astype(np.float64)
    for key in offered:
        w = np.exp(6.0 * (K @ key - 1))
        held = np.isclose(w, 1, atol=1e-5).any()
        total = weights.sum(axis=1) - np.diag(weights) + w
        assert held or 3 * max(w.sum(), total.max()) >= 1


@pytest.mark.parametrize("t", [1, 5, len(KEYS), 200])
def test_the_cut_lies_between_the_worst_moved_answers_at_every_time(t):
    """Every context of row 0 that is worst, answers from the definition, moved by eta."""
    held = min(t, len(KEYS))
    cut = stream.thresholds(KEYS, 6.0, t)
    for bit in (0, 1):
        x = np.full(KEYS.shape, 1 - bit, dtype=np.uint8)
        x[0] = bit
        K, V = stream.tokens(KEYS, x, t)
        K, V = np.vstack([K, np.zeros(6)]), np.vstack([V, np.zeros(6)])
        answer = attention(6.0 * KEYS[0], K, V)[0]
        assert (answer * (1.5 if bit == 0 else 0.5) > cut[0]) == bool(bit)
    # By hand: one key alone has no interference, so its cut is 0.
    if held == 1:
        assert cut[0] == pytest.approx(0.0, abs=1e-7)


def test_zero_tokens_add_to_the_denominator_and_to_nothing_else():
    n, K = len(KEYS), KEYS.astype(np.float64)
    early, late = stream.thresholds(KEYS, 6.0, n), stream.thresholds(KEYS, 6.0, n + 100)
    interference = np.exp(6.0 * (K @ K.T - 1)).sum(axis=1) - 1
    ratio = (1 + interference + math.exp(-6)) / (1 + interference + 101 * math.exp(-6))
    assert late / early == pytest.approx(ratio, rel=1e-5)


def test_the_merged_cache_is_exact_attention_and_does_not_grow_with_repeats():
    rng = np.random.default_rng(1)
    K = np.tile(rng.normal(size=(5, 3)), (4, 1)).astype(np.float32)
    V = rng.normal(size=(20, 2)).astype(np.float32)
    alice = Merged(Shape(20, 3, 2, extra=1))
    alice.extend(np.zeros_like(K), K, V)
    bob = alice.fresh()
    bob.restore(alice.save())
    assert len(alice.save()) == 5 * 4 * (3 + 2 + 1)
    q = rng.normal(size=3).astype(np.float32)
    assert bob.attend(q) == pytest.approx(attention(q, K, V), rel=1e-5)
    zeros_k, zeros_v = np.zeros((1, 3), np.float32), np.zeros((1, 2), np.float32)
    want = attention(q, np.vstack([K, zeros_k]), np.vstack([V, zeros_v]))
    assert bob.next_outputs(q[None], zeros_k, zeros_v)[0] == pytest.approx(want, rel=1e-5)
    other = bob.next_outputs(q[None], K[:1], V[:1])[0]
    want = attention(q, np.vstack([K, K[:1]]), np.vstack([V, V[:1]]))
    assert other == pytest.approx(want, rel=1e-5)


def test_a_cache_that_answers_wrongly_late_is_seen():
    rows = stream.played("window", 6, 2048, 0, 12)
    late = [row for row in rows if row["lost"] == row["asked"]]
    early = [row for row in rows if row["lost"] == 0]
    assert early
    assert late
    assert all(row["wrong"] == 0 for row in early)
    assert all(row["wrong"] == row["ones_lost"] > 0 for row in late)


def test_bobs_own_token_takes_a_place_in_the_window(monkeypatch):
    """With t tokens fed and Bob's, t + 1 were appended: of 64 the window has lost one."""
    # The moment 2^32 u / 2^32 with u = ln(64.5) / ln(n + 1) is t = 64.
    from kvbarrier.protocols.game import coins

    n = 2048
    u = int(2**32 * np.log(64.5) / np.log(n + 1))
    bits = np.unpackbits(np.array([u], dtype=">u4").view(np.uint8))
    drawn = coins.secret_bits
    monkeypatch.setattr(
        coins, "secret_bits",
        lambda key, label, *rest: bits if label.endswith("moments") else drawn(key, label, *rest),
    )  # fmt: skip
    (row,) = stream.played("window", 6, n, 0, 1)
    assert (row["t"], row["lost"]) == (64, 6)
    assert row["wrong"] >= row["ones_lost"] > 0
