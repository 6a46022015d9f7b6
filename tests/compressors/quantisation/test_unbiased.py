"""EDEN, RaBitQ and corrected lengths: closed forms, and one another's special cases."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.quantisation.coded_tokens import rotation
from kvbarrier.compressors.zoo.quantisation.eden import Eden
from kvbarrier.compressors.zoo.quantisation.rabitq import REACH, GridCodec, RaBitQ
from kvbarrier.compressors.zoo.quantisation.turboquant import MSECodec, TurboQuant

SHAPE = Shape(tokens=32, d_k=64, d_v=48)
#: distortion of the Gaussian's Lloyd-Max quantiser (Max 1960, table I)
MAX = {1: 0.3634, 2: 0.1175, 3: 0.03454, 4: 0.009497}


def rows(m: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((m, d)).astype(np.float32)


def turn(d: int, seed: int) -> np.ndarray:
    return rotation(np.random.default_rng([7, seed]), d)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_edens_error_is_its_closed_form(bits: int) -> None:
    # With <y, c> = |c|^2 = 1 - D of a Lloyd-Max code, the error of the unbiased estimate is
    # |x|^2 (1/(1 - D) - 1): pi/2 - 1 at one bit, as DRIVE's.
    X = rows(400, 256)
    codec = MSECodec(turn(256, bits), bits, "unbiased")
    Y = codec.decode(codec.encode(X))
    found = np.square(Y - X).sum(axis=1) / np.square(X).sum(axis=1)
    exact = np.pi / 2 - 1 if bits == 1 else 1 / (1 - MAX[bits]) - 1
    assert found.mean() == pytest.approx(exact, rel=0.04)
    # The product with x itself is |x|^2, up to the fp16 scale.
    assert (X * Y).sum(axis=1) == pytest.approx(np.square(X).sum(axis=1), rel=1e-3)


def test_eden_is_unbiased_and_the_plain_code_is_not() -> None:
    x = rows(1, 64, 3)
    found = {}
    for scale in ("unbiased", "length"):
        codecs = (MSECodec(turn(64, s), 1, scale) for s in range(400))
        found[scale] = np.mean([c.decode(c.encode(x))[0] for c in codecs], axis=0)
    error = {scale: np.linalg.norm(y - x[0]) / np.linalg.norm(x) for scale, y in found.items()}
    # 400 draws of relative variance .571 leave a mean of sqrt(.571/400) = .038 from x.
    assert error["unbiased"] < 0.06
    assert error["length"] > 0.3  # it shrinks by 1 - 2/pi = .363


def test_one_bit_is_one_code() -> None:
    # RaBitQ's factor times signs/2 is EDEN's scale times +-level: the level cancels.
    one, other = Eden(SHAPE, seed=4, bits=1), RaBitQ(SHAPE, seed=4, bits=1)
    for cache in (one, other):
        cache.extend(rows(32, 64), rows(32, 64, 1), rows(32, 48, 2))
    for a, b in zip(one.kept(), other.kept(), strict=True):
        assert a == pytest.approx(b, rel=2e-3, abs=1e-3)
    assert one.message_bytes == other.message_bytes == 4 + 32 * (2 + 8 + 2 + 6)


def test_the_grid_point_is_nearly_the_best_of_all() -> None:
    X = rows(60, 4, 5)
    codec = GridCodec(np.eye(4, dtype=np.float32), 2)
    Y = codec.decode(codec.encode(X))
    grid = np.array(list(product([-1.5, -0.5, 0.5, 1.5], repeat=4)))
    grid /= np.linalg.norm(grid, axis=1, keepdims=True)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    best = (unit @ grid.T).max(axis=1)
    found = (unit * Y).sum(axis=1) / np.linalg.norm(Y, axis=1)
    assert (found <= best + 1e-6).all()
    assert (1 - found).mean() < 1.02 * (1 - best).mean() + 1e-6
    assert (X * Y).sum(axis=1) == pytest.approx(np.square(X).sum(axis=1), rel=1e-3)


@pytest.mark.parametrize("bits", [2, 4])
def test_more_bits_of_the_grid_are_as_good_as_a_uniform_quantiser(bits: int) -> None:
    # The best uniform quantisers of a Gaussian (Max 1960, table II): .1188 with 4 levels, .01154
    # with 16; a length for each row makes it no worse.
    X = rows(300, 128, 6)
    codec = GridCodec(turn(128, bits), bits)
    Y = codec.decode(codec.encode(X))
    error = (np.square(Y - X).sum(axis=1) / np.square(X).sum(axis=1)).mean()
    uniform = {2: 0.1188, 4: 0.01154}[bits]
    assert 0.5 * uniform < error < 1.15 * uniform / (1 - uniform)


def test_eight_bits_of_the_grid_are_steps_of_a_row() -> None:
    # Fine steps, no clipping: the error of a number is a twelfth of the square of 2 max/256.
    X = rows(300, 128, 6)
    codec = GridCodec(np.eye(128, dtype=np.float32), 8)
    error = np.square(codec.decode(codec.encode(X)) - X).mean(axis=1)
    exact = np.square(2 * np.abs(X).max(axis=1) / 256) / 12
    assert (error / exact).mean() == pytest.approx(1, abs=0.1)


def test_corrected_lengths_are_the_rows_own() -> None:
    V = rows(32, 48, 8)
    lengths = np.linalg.norm(V, axis=1)
    for corrected in (True, False):
        one = TurboQuant(SHAPE, bits=2, norm_correction=corrected)
        one.extend(rows(32, 64), rows(32, 64, 1), V)
        found = np.linalg.norm(one.kept()[1], axis=1)
        if corrected:
            assert found == pytest.approx(lengths, rel=1e-3)
        else:  # a Lloyd-Max code has |c|^2 = 1 - D in the mean
            assert (found / lengths).mean() == pytest.approx((1 - MAX[2]) ** 0.5, abs=0.01)
    # Keys are coded for inner products, whatever is said of values.
    assert np.array_equal(one.kept()[0], _keys(True))


def _keys(corrected: bool) -> np.ndarray:
    one = TurboQuant(SHAPE, bits=2, norm_correction=corrected)
    one.extend(rows(32, 64), rows(32, 64, 1), rows(32, 48, 8))
    return one.kept()[0]


@pytest.mark.parametrize("cls", [Eden, RaBitQ])
def test_a_zero_row_stays_zero(cls) -> None:
    one = cls(SHAPE)
    one.extend(*(np.zeros((2, d), np.float32) for d in (64, 64, 48)))
    assert not one.kept()[0].any()
    assert not one.kept()[1].any()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_rabitqs_point_has_the_least_angle_of_its_lengths(bits: int) -> None:
    """By a loop over rows and lengths, in float64; 40 rows are more than a block."""
    X = np.random.default_rng(bits).standard_normal((40, 16)).astype(np.float32)
    found = GridCodec(np.eye(16, dtype=np.float32), bits).decode(
        GridCodec(np.eye(16, dtype=np.float32), bits).encode(X)
    )
    half = 2 ** (bits - 1)
    for x, point in zip(X.astype(np.float64), found.astype(np.float64), strict=True):
        cosines = []
        for reach in REACH if bits > 1 else REACH[:1]:
            grown = np.floor(half * reach * x / np.abs(x).max())
            c = np.clip(grown, -half, half - 1) + 0.5
            cosines.append(c @ x / np.linalg.norm(c))
        cosine = point @ x / np.linalg.norm(point)
        assert cosine == pytest.approx(max(cosines), rel=1e-5)
