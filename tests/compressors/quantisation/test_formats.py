"""Number formats of engines: e4m3, e2m1 and its blocks by hand, integers of one scale."""

from __future__ import annotations

import math
from bisect import bisect_left
from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.quantisation.absmax import Absmax, AbsmaxCodec
from kvbarrier.compressors.zoo.quantisation.block_fp4 import VALUES, BlockFP4, BlockFP4Codec
from kvbarrier.compressors.zoo.quantisation.coded_tokens import unpack
from kvbarrier.compressors.zoo.quantisation.hadamard_int import HadamardInt, hadamard
from kvbarrier.errors import BadInput, BudgetTooSmall

SHAPE = Shape(tokens=64, d_k=40, d_v=24, extra=2)


def floats(exponent_bits: int, mantissa_bits: int, bias: int) -> list[Fraction]:
    """The numbers of codes without a sign: (1 + m/2^M) 2^(e - bias), of e = 0 subnormal."""
    steps = 1 << mantissa_bits
    return [
        Fraction(m, steps) * Fraction(2) ** (1 - bias)
        if e == 0
        else (1 + Fraction(m, steps)) * Fraction(2) ** (e - bias)
        for e in range(1 << exponent_bits)
        for m in range(steps)
    ]


E2M1 = floats(2, 1, 1)
#: e4m3fn: the last code is NaN, and there is no infinity (OCP 8-bit Floating Point, table 1)
E4M3 = floats(4, 3, 7)[:-1]


def nearest(x: float, numbers: list[Fraction]) -> Fraction:
    """To nearest, of two the one with the even code; beyond the largest the largest."""
    size = min(abs(Fraction(x)), numbers[-1])
    i = max(1, min(bisect_left(numbers, size), len(numbers) - 1))
    low, high = size - numbers[i - 1], numbers[i] - size
    up = high < low or (high == low and i % 2 == 0)
    return (numbers[i] if up else numbers[i - 1]) * (1 if x >= 0 else -1)


def rows(m: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, d)) * np.exp(2 * rng.standard_normal((m, 1)))
    X[0] = 0
    X[1, 1:] = 0
    return X.astype(np.float32)


def test_the_sixteen_numbers() -> None:
    # OCP Microscaling Formats 1.0, section 5.3.3.
    assert [float(v) for v in E2M1] == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert VALUES.tolist() == [float(v) for v in E2M1] + [-float(v) for v in E2M1]
    assert np.signbit(VALUES[8])
    assert (float(E4M3[-1]), float(E4M3[1])) == (448, 2**-9)


def test_mxfp4_is_the_specification() -> None:
    X = rows(12, 72)  # blocks of 32, 32 and 8
    codec = BlockFP4Codec(72, "mxfp4")
    assert codec.encode(X).shape == (12, codec.row_bytes) == (12, 3 + 36)
    found = codec.decode(codec.encode(X))
    for x, y in zip(X, found, strict=True):
        for at in range(0, 72, 32):
            block = x[at : at + 32]
            top = float(np.abs(block).max())
            scale = Fraction(2) ** (math.floor(math.log2(top)) - 2) if top else Fraction(1)
            wanted = [float(scale * nearest(Fraction(float(v)) / scale, E2M1)) for v in block]
            assert y[at : at + 32].tolist() == wanted


def test_nvfp4_is_its_two_scales() -> None:
    X = rows(12, 40, 1)  # blocks of 16, 16 and 8
    codec = BlockFP4Codec(40, "nvfp4")
    assert codec.encode(X).shape == (12, codec.row_bytes) == (12, 4 + 3 + 20)
    found = codec.decode(codec.encode(X))
    for x, y in zip(X, found, strict=True):
        whole = np.float32(np.abs(x).max() / np.float32(6 * 448))
        for at in range(0, 40, 16):
            block = x[at : at + 16]
            top = np.abs(block).max()
            ratio = float(top / (np.float32(6) * whole)) if whole else 0.0
            scale = whole * np.float32(nearest(ratio, E4M3))
            wanted = [
                float(scale * np.float32(nearest(float(v / scale), E2M1))) if scale else 0.0
                for v in block
            ]
            assert y[at : at + 16].tolist() == wanted


@pytest.mark.parametrize("kind", ["mxfp4", "nvfp4"])
def test_numbers_of_the_format_come_back(kind: str) -> None:
    # A block that has 6 has scale 1 under mxfp4; nvfp4's is 6/6 times numbers near 1.
    X = np.tile(VALUES, 4)[None, :].astype(np.float32)
    codec = BlockFP4Codec(64, kind)
    assert codec.decode(codec.encode(X)) == pytest.approx(X, rel=1e-6)


def test_e4m3_over_the_largest() -> None:
    X = rows(12, 40, 2)
    codec = AbsmaxCodec(40, 8, floats=True)
    assert codec.encode(X).shape == (12, 4 + 40)
    for x, y in zip(X, codec.decode(codec.encode(X)), strict=True):
        scale = np.float32(np.abs(x).max() / np.float32(448))
        wanted = [
            float(scale * np.float32(nearest(float(v / scale), E4M3))) if scale else 0.0 for v in x
        ]
        assert y.tolist() == wanted


@pytest.mark.parametrize("bits", range(2, 9))
def test_integers_lie_within_half_a_step(bits: int) -> None:
    X, most = rows(50, 41, bits), 2 ** (bits - 1) - 1
    codec = AbsmaxCodec(41, bits)
    assert codec.encode(X).shape == (50, 4 + -(-41 * bits // 8))
    step = np.abs(X).max(axis=1, keepdims=True) / most
    error = np.abs(codec.decode(codec.encode(X)) - X)
    assert (error <= step * (0.5 + 1e-5)).all()
    assert (error / np.where(step > 0, step, 1)).max() > 0.45  # and no better
    whole = np.arange(-most, most + 1, dtype=np.float32)[None] * np.float32(0.25)
    own = AbsmaxCodec(whole.shape[1], bits)
    assert own.decode(own.encode(whole)).tolist() == whole.tolist()


def test_the_matrix_is_sylvesters_with_signs() -> None:
    turn = hadamard(16, None)
    for i in range(16):
        for j in range(16):
            assert turn[i, j] == (-1) ** (i & j).bit_count() / 4
    signed = hadamard(24, np.random.default_rng(0))  # three blocks of 8
    assert signed @ signed.T == pytest.approx(np.eye(24), abs=1e-6)
    assert (np.count_nonzero(signed, axis=1) == 8).all()
    assert set((signed @ hadamard(24, None).T).round(5).ravel().tolist()) <= {-1, 0, 1}


def test_a_spike_is_spread_and_loses_less() -> None:
    # A token of ones with one number of 40: without a rotation 4 bits have steps of 39/15.
    X = np.ones((1, 64), np.float32)
    X[0, 5] = 40
    one = HadamardInt(Shape(tokens=1, d_k=64, d_v=64), bits=4)
    one.extend(X, X, X)
    plain = AbsmaxCodec(64, 4)
    lost = [np.square(Y - X).mean() for Y in (one.kept()[1], plain.decode(plain.encode(X)))]
    # Turned, all are +-5 and a Gaussian of 1: within 2 (5 + 3), so 15 steps of at most 16/15, whose
    # mean square is a twelfth. Over the largest a step is 40/7, and the ones become 0.
    assert lost[0] < (16 / 15) ** 2 / 12 < 0.9 < lost[1]


def test_without_signs_a_row_of_the_matrix_is_a_spike() -> None:
    # After the rotation it has one number of 8, and noise of 1/10 beside steps of 8/3.
    X = hadamard(64, None)[7:8] * np.float32(8)
    X = X + np.random.default_rng(0).standard_normal((1, 64)).astype(np.float32) / 10
    for signs, levels in ((False, [1, 63]), (True, None)):
        one = HadamardInt(Shape(tokens=1, d_k=64, d_v=64), bits=2, signs=signs)
        symbols = unpack(one.value_codec.encode(X)[:, 4:], 2, 64)
        used = sorted(np.unique(symbols, return_counts=True)[1].tolist())
        assert used == levels if levels else len(used) == 4


def test_budgets_and_words() -> None:
    # A token of 40 and 24 numbers: two fp32 scales and 5 + 3 bytes a bit.
    for share in (0.2, 0.3, 0.6):
        budget = int(share * SHAPE.cache_bits_16)
        one = Absmax(SHAPE, budget)
        assert 8 * one.message_bytes <= budget
        assert one.message_bytes == 4 + 64 * (8 + 8 * one.bits[0])
    with pytest.raises(BudgetTooSmall) as refused:
        Absmax(SHAPE, 100)
    assert refused.value.minimum_bits == 8 * (4 + 64 * (8 + 16))
    with pytest.raises(BadInput, match="A number has 2 to 8 bits, not 1"):
        Absmax(SHAPE, bits=1)
    with pytest.raises(BadInput, match="fp8 numbers have 8 bits"):
        Absmax(SHAPE, bits=4, fp8=True)
    mixed = Absmax(SHAPE, k_bits=8, v_bits=4, fp8=True)
    assert (mixed.key_codec.floats, mixed.value_codec.floats) == (True, False)
    with pytest.raises(BadInput, match="There is no format 'mxfp5'"):
        BlockFP4(SHAPE, v_format="mxfp5")
    one = BlockFP4(SHAPE, k_format="mxfp4")
    assert one.message_bytes == 4 + 64 * ((2 + 20) + (4 + 2 + 12))
