"""The packing kernels: bit for bit their twins, with the JIT on and off."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from kvbarrier.compressors.kit.min_max import pack_rows, unpack_rows

naive = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "naive" / "ingest.py")))


def numbers(rows, length, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, length)).astype(np.float32)
    scale = rng.uniform(0.01, 0.7, rows).astype(np.float16).astype(np.float32)
    scale[::5] = 0
    zero = rng.standard_normal(rows).astype(np.float16).astype(np.float32)
    X[1::5] = zero[1::5, None] + scale[1::5, None] * (np.arange(length) % 4 + 0.5)  # halfway
    return X.astype(np.float32), scale, zero


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("length", [1, 3, 8, 64, 67])
def test_pack_and_unpack_match_their_twins(bits, length):
    X, scale, zero = numbers(30, length)
    codes = np.full((30, -(-length * bits // 8)), 255, np.uint8)
    want = codes.copy()
    pack_rows(X, scale, zero, bits, codes)
    naive.pack_rows(X, scale, zero, bits, want)
    assert codes.tolist() == want.tolist()
    back, expected = np.empty_like(X), np.empty_like(X)
    unpack_rows(codes, scale, zero, bits, back)
    naive.unpack_rows(codes, scale, zero, bits, expected)
    assert back.tobytes() == expected.tobytes()


def test_a_layout_written_by_hand():
    # Levels 1, 0, 3, 2, 3 at 2 bits: 0b10_11_00_01 and 0b11; halves go up, ends are clipped.
    X = np.array([[1.0, -7.0, 99.0, 1.5, 2.5]], dtype=np.float32)
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    codes = np.empty((1, 2), np.uint8)
    pack_rows(X, one, zero, 2, codes)
    assert codes.tolist() == [[0b10110001, 0b11]]
    pack_rows(X, zero, zero, 2, codes)
    assert codes.tolist() == [[0, 0]]


OFF = """
import sys, warnings, numpy as np
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline.quantized import Quantized
from kvbarrier.compressors.zoo.baseline.reservoir import Reservoir
warnings.simplefilter("ignore")  # 0 / 0 in a row without width, which the kernel expects
rng = np.random.default_rng(0)
K, V = rng.standard_normal((2, 21, 6)).astype(np.float32)
V[3] = 0.25
for bits in (1, 2, 4, 8):
    for axis in ("token", "channel"):
        one = Quantized(Shape(21, 6, 6), bits=bits, axis=axis, group=4)
        one.extend(K, K, V)
        print(one.save().hex(), one.kept()[0].tobytes().hex())
one = Reservoir(Shape(21, 6, 6), size=4, seed=3)
one.extend(K, K, V)
print(one.save().hex())
"""


def test_the_jit_changes_no_bit_of_a_state():
    said = [
        subprocess.run(
            [sys.executable, "-c", OFF], env=os.environ | {"NUMBA_DISABLE_JIT": off},
            capture_output=True, text=True, check=True,
        ).stdout
        for off in ("0", "1")
    ]  # fmt: skip
    assert len(said[0]) > 1000
    assert said[0] == said[1]
