"""The message explained, and codes packed tightly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kvbarrier import pack_bits, unpack_bits

FOUR = """
import numpy as np


class Four:
    '''15 levels in int8: 8 bits are sent where 4 are meant.'''

    def __init__(self, shape):
        self.codes, self.scales = [], []

    def append(self, q, k, v):
        x = np.concatenate([k, v])
        s = np.float16(max(np.abs(x).max(), 1e-6) / 7)
        self.codes.append(np.clip(np.round(x / s), -7, 7).astype(np.int8))
        self.scales.append(s)

    def attend(self, q):
        X = np.array(self.codes, np.float32) * np.array(self.scales, np.float32)[:, None]
        K, V = X[:, : len(q)], X[:, len(q) :]
        w = np.exp(K @ q - (K @ q).max())
        return w @ V / w.sum()
"""


def test_codes_that_are_sent_as_whole_bytes_are_seen(kvbarrier, tmp_path) -> None:
    (tmp_path / "four.py").write_text(FOUR)
    said = json.loads(kvbarrier("check", "four.py", "--explain", "--json").out)
    parts = {part["name"]: part for part in said["parts"]}
    # 128 tokens of 64 + 64 numbers, a byte each; 15 levels need 4 bits: half.
    assert (parts["codes"]["length"], parts["codes"]["packed"]) == (128 * 128, 128 * 64)
    assert parts["scales"]["length"] == 2 * 128
    assert said["payload"] <= said["length"] <= said["payload"] + 64
    people = kvbarrier("check", "four.py", "--explain").out
    assert "int8, 15 values" in people
    assert max(map(len, people.splitlines())) <= 80


def test_a_save_of_its_own_is_bytes(kvbarrier) -> None:
    said = kvbarrier("check", "exact", "--explain")
    assert (said.code, "a save of its own" in said.out) == (0, True)


def test_what_cannot_be_played_is_told(kvbarrier, tmp_path) -> None:
    (tmp_path / "bad.py").write_text(FOUR.replace("x = np", "x = nq"))
    said = kvbarrier("check", "bad.py", "--explain")
    assert said.code == 3
    assert "could not be explained" in said.err
    assert "nq" in said.err


@given(st.integers(1, 32), st.lists(st.integers(0, 2**32 - 1), max_size=40))
def test_packed_codes_come_back(bits: int, numbers: list[int]) -> None:
    codes = np.array([n % (1 << bits) for n in numbers], dtype=np.uint32)
    packed = pack_bits(codes, bits)
    assert len(packed) == -(-len(codes) * bits // 8)
    # Independently: the packed bytes are the binary digits of the codes, one behind another.
    digits = "".join(f"{code:0{bits}b}" for code in codes.tolist())
    assert "".join(f"{byte:08b}" for byte in packed.tolist()).startswith(digits)
    assert np.array_equal(unpack_bits(packed, bits, len(codes)), codes)


@pytest.mark.parametrize(
    ("codes", "bits", "says"),
    [
        ([8], 3, "0 to 7, got 8 to 8"),
        ([-1], 3, "got -1"),
        ([1.5], 3, "must be integers"),
        ([1], 0, "1 to 32, got 0"),
        ([1], 33, "1 to 32"),
    ],
)
def test_what_does_not_fit_is_refused(codes: list[float], bits: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        pack_bits(np.array(codes), bits)


def test_too_few_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="need 12 bits, got 8"):
        unpack_bits(np.array([255], np.uint8), 3, 4)
