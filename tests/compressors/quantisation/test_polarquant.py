"""PolarQuant: the transform by hand, the angles' law, and its rate."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.quantisation.coded_tokens import rotation
from kvbarrier.compressors.zoo.quantisation.lloyd_max import codebook, nearest
from kvbarrier.compressors.zoo.quantisation.polarquant import (
    LADDER,
    PolarCodec,
    PolarQuant,
    angle_codebook,
)
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure

SHAPE = Shape(tokens=64, d_k=32, d_v=24, extra=4)


def stream(n: int = 64, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    Q, K = rng.standard_normal((2, n, 32), dtype=np.float32)
    return Q, K, rng.standard_normal((n, 24), dtype=np.float32)


def test_bob_meets_the_tokens_as_they_are_held() -> None:
    whole = PolarQuant(SHAPE, seed=1)
    whole.extend(*stream())
    asked = stream(4, 7)
    outputs = whole.next_outputs(*asked)
    assert np.allclose(outputs, Compressor.next_outputs(whole, *asked), atol=1e-5)
    cuts = np.full(4, 0.05, np.float32)
    assert np.array_equal(whole.next_bits(*asked, cuts), outputs > cuts[:, None])
    with pytest.raises(BadInput, match="has room for 64 tokens and 4 more"):
        whole.extend(*stream(5))
    with pytest.raises(PluginFailure):
        PolarQuant(SHAPE).restore(b"short")


def test_one_block_by_hand() -> None:
    # Sixteen equal numbers x: every pair has the angle pi/4 and grows by sqrt(2), to 4 x.
    codec = PolarCodec(np.eye(16, dtype=np.float32), 2, 1)
    X = np.full((1, 16), 0.5, np.float32)
    codes = codec.encode(X)
    assert np.ascontiguousarray(codes[:, :2]).view(np.float16).tolist() == [[2.0]]
    # pi/4 is the middle of the first quarter of the circle; at the other levels it is a border.
    assert codes[0, 2:4].tolist() == [0, 0]
    # A radius, and 16, 4, 2 and 1 bits, each level in whole bytes.
    assert codec.row_bytes == 2 + 2 + 1 + 1 + 1


def test_angles_have_the_analytic_law() -> None:
    # E cos(2 psi)^2 for the density sin(2 psi)^p: substitute u = 2 psi, it is 1/(p + 2).
    rng = np.random.default_rng(0)
    for level, p in ((2, 1), (3, 3), (4, 7)):
        pairs = rng.standard_normal((40_000, 2, 1 << (level - 1)))
        one, two = np.linalg.norm(pairs, axis=2).T
        found = np.mean(np.cos(2 * np.arctan2(two, one)) ** 2)
        assert found == pytest.approx(1 / (p + 2), abs=0.006)
        book = angle_codebook(level, 2)
        assert book + book[::-1] == pytest.approx(np.full(4, np.pi / 2), abs=1e-3)


def test_lloyd_max_is_the_published_gaussian_quantiser() -> None:
    # Max 1960, Table I: distortions of a unit Gaussian with 2, 4, 8 and 16 levels.
    for levels, distortion in ((2, 0.3634), (4, 0.1175), (8, 0.03454), (16, 0.009497)):
        book = codebook(lambda x: -0.5 * x * x, -8.0, 8.0, levels)
        x = np.random.default_rng(levels).standard_normal(400_000)
        error = np.mean((x - book[nearest(book, x)]) ** 2)
        assert error == pytest.approx(distortion, rel=0.02)


def test_the_rate_and_the_distortion_fall_together() -> None:
    K = np.random.default_rng(3).standard_normal((400, 64), dtype=np.float32)
    errors, rates = [], []
    for first, others in LADDER:
        codec = PolarCodec(rotation(np.random.default_rng(0), 64), first, others)
        rates.append(8 * codec.row_bytes / 64)
        errors.append(np.mean((codec.decode(codec.encode(K)) - K) ** 2))
    assert rates == sorted(rates, reverse=True)
    assert errors == sorted(errors)
    # The default, 3.875 bits a number (62 of 16): the paper's rate.
    assert rates[2] == 3.875
    assert errors[2] < 0.05


def test_any_direction_is_as_good_after_the_rotation() -> None:
    # A spike, the worst case for a scalar quantiser, against a dense vector of the same length.
    codec = PolarCodec(rotation(np.random.default_rng(1), 32), 4, 2)
    plain = PolarCodec(np.eye(32, dtype=np.float32), 4, 2)
    spike = np.eye(32, dtype=np.float32)
    dense = np.full((1, 32), 32**-0.5, np.float32)

    def error(one: PolarCodec, X: np.ndarray) -> float:
        return float(np.square(one.decode(one.encode(X)) - X).sum(axis=1).mean())

    assert error(codec, spike) < 0.06
    assert error(codec, dense) < 0.12
    assert max(error(plain, spike), error(plain, dense)) > error(codec, spike)


def test_budgets() -> None:
    with pytest.raises(BudgetTooSmall) as refused:
        PolarQuant(SHAPE, 100)
    least = PolarQuant(SHAPE, refused.value.minimum_bits)
    assert (least.bits, 8 * least.message_bytes) == (((2, 1), (2, 1)), refused.value.minimum_bits)
    for share in (3, 4, 5):
        one = PolarQuant(SHAPE, SHAPE.cache_bits_16 // share)
        assert 8 * one.message_bytes <= SHAPE.cache_bits_16 // share
    assert PolarQuant(SHAPE, SHAPE.cache_bits_16).bits == ((6, 4), (6, 4))
    with pytest.raises(BadInput, match="An angle has 1 to 8 bits"):
        PolarQuant(SHAPE, first=9)
    with pytest.raises(BadInput, match="not finite"):
        PolarQuant(SHAPE).extend(*(np.nan * part for part in stream(1)))
