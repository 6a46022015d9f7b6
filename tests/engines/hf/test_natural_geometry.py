"""Geometry of keys and queries: closed forms, and what softmax cannot see."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from kvbarrier.compressors.engines.natural import geometry

N, D = 33, 64


def keys(seed: int = 0) -> np.ndarray:
    """A first key, 0, and 32 orthonormal ones."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(D, D)))
    return np.concatenate([np.zeros((1, D)), turn[: N - 1]]).astype(np.float32)


def test_orthonormal_keys_have_the_range_of_their_queries() -> None:
    K = keys()
    found = geometry.of_head(7.5 * K[1:], K)
    # Own score 7.5, the others 0, and so is the first token's.
    for level in (found.range_05, found.range_50, found.range_95, found.range_max):
        assert level == pytest.approx(7.5, abs=1e-4)
    assert found.range_first_50 == pytest.approx(7.5, abs=1e-4)
    assert (found.query_norm, found.key_norm) == pytest.approx((7.5, 1.0), abs=1e-5)
    assert found.cosine == pytest.approx(0, abs=1e-6)
    # Less their mean, n - 1 orthonormal vectors are a simplex: all cosines are -1/(n - 2).
    assert found.cosine_centred == pytest.approx(1 / (N - 2), abs=1e-5)
    assert found.coherence == pytest.approx(1 / (N - 2), abs=1e-4)
    assert found.dimension == pytest.approx(N - 2, rel=1e-4)


def test_the_first_token_is_looked_at_apart() -> None:
    K = keys()
    K[0] = 3 * K[1:].sum(axis=0)
    found = geometry.of_head(2 * K[1:], K)
    assert found.range_50 == pytest.approx(2, abs=1e-4)
    assert found.range_first_50 == pytest.approx(6, abs=1e-4)


@pytest.mark.parametrize(("above", "share"), [(1e-3, 1.0), (-1e-3, 0.0)])
def test_a_token_is_addressed_from_ln_n_minus_1_on(above: float, share: float) -> None:
    # Weight e^c / (e^c + n - 1) is above 1/2 iff c > ln(n - 1).
    n = 16
    assert geometry.addressed(np.eye(n), math.log(n - 1) + above) == share


def test_what_all_keys_share_changes_nothing_that_softmax_sees() -> None:
    rng = np.random.default_rng(1)
    K, q = (rng.normal(size=(60, 16)).astype(np.float32) for _ in range(2))
    shift = rng.normal(size=16).astype(np.float32)
    before, after = geometry.of_head(q, K), geometry.of_head(q, K + shift)
    seen = {"key_norm", "cosine"}
    for name, value in dataclasses.asdict(before).items():
        same = getattr(after, name) == pytest.approx(value, abs=1e-4)
        assert same == (name not in seen), name


def test_a_mean_keeps_the_worst_range_and_coherence() -> None:
    K = keys()
    one, other = geometry.of_head(2 * K[1:], K), geometry.of_head(4 * K[1:], K)
    found = geometry.mean([one, other])
    assert found["range_50"] == pytest.approx(3, abs=1e-4)
    assert found["range_max"] == pytest.approx(4, abs=1e-4)
