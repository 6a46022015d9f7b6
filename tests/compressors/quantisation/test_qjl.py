"""QJL: unbiased scores with the paper's variance, values per token, and its contract."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.quantisation.qjl import QJL, MinMaxCodec, SignCodec
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention

SHAPE = Shape(tokens=64, d_k=32, d_v=24, extra=4)


def stream(n: int = 64, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    Q, K = rng.standard_normal((2, n, 32), dtype=np.float32)
    return Q, K, rng.standard_normal((n, 24), dtype=np.float32)


def test_scores_are_unbiased_with_the_papers_variance() -> None:
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 16))
    m, runs = 64, 2000
    found = np.empty(runs)
    for r in range(runs):
        codec = SignCodec(rng.standard_normal((m, 16)).astype(np.float32))
        found[r] = codec.decode(codec.encode(k[None].astype(np.float32)))[0] @ q
    error = found - q @ k
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(runs)
    # Var <s,q> sign <s,k> sqrt(pi/2) |k| = |k|^2 (pi/2 |q|^2 - (<q,k>/|k|)^2) for one projection.
    exact = (np.pi / 2 * (q @ q) * (k @ k) - (q @ k) ** 2) / m
    assert error.var() == pytest.approx(exact, rel=0.15)


def test_one_projection_by_hand() -> None:
    # S = (3, 4), k = (1, 1): the sign of 7 is +, |k| = sqrt 2, so k' = sqrt(pi/2) sqrt 2 (3, 4).
    codec = SignCodec(np.array([[3.0, 4.0]], np.float32))
    k = codec.decode(codec.encode(np.ones((1, 2), np.float32)))[0]
    assert k == pytest.approx(np.sqrt(np.pi) * np.array([3, 4]), rel=1e-3)


def test_two_valued_values_are_exact() -> None:
    codec = MinMaxCodec(24, 1)
    V = np.random.default_rng(0).integers(0, 2, (30, 24)).astype(np.float32)
    assert np.array_equal(codec.decode(codec.encode(V)), V)
    assert codec.row_bytes == 4 + 3


def test_bob_meets_the_tokens_as_they_are_held() -> None:
    whole = QJL(SHAPE, seed=1)
    whole.extend(*stream())
    asked = stream(4, 7)
    outputs = whole.next_outputs(*asked)
    assert np.allclose(outputs, Compressor.next_outputs(whole, *asked), atol=1e-5)


def test_it_does_well_where_scores_are_small_and_worse_with_fewer_projections() -> None:
    Q, K, V = stream()
    errors = {}
    for m, length in ((4096, 0.3), (4096, 8.0), (32, 8.0)):
        one = QJL(SHAPE, m=m, v_bits=8)
        one.extend(Q, K, V)
        exact = np.array([attention(length * q / 6, K, V) for q in Q])
        errors[m, length] = np.abs([one.attend(length * q / 6) for q in Q] - exact).mean()
    assert errors[4096, 0.3] < 0.02
    assert errors[4096, 8.0] < 0.3 * errors[32, 8.0]


def test_budgets() -> None:
    with pytest.raises(BudgetTooSmall) as refused:
        QJL(SHAPE, 100)
    least = QJL(SHAPE, refused.value.minimum_bits)
    assert (least.m, least.v_bits) == (8, 1)
    projections = []
    for share in (8, 4, 2):
        one = QJL(SHAPE, SHAPE.cache_bits_16 // share)
        assert 8 * one.message_bytes <= SHAPE.cache_bits_16 // share
        assert 8 * one.message_bytes > SHAPE.cache_bits_16 // share - 64 * 8 - 32
        projections.append(one.m)
    assert projections == sorted(projections)
    with pytest.raises(BadInput, match="1 to 8 bits"):
        QJL(SHAPE, v_bits=9)
