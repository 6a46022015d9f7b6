"""What of a message does not depend on the stream: counted in runs, measured by another stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.engines.codec.cache import CodecCache
from kvbarrier.compressors.engines.constant import COINS, RUN, constant_bytes
from kvbarrier.compressors.engines.public_stream import pieces, public_stream
from kvbarrier.compressors.plugin.contract import Shape

SHAPE = Shape(tokens=32, d_k=16, d_v=16, layers=1, heads=1, kv_heads=1)
SHIPS = """
import numpy as np
class Ships:
    def __init__(self, seed, d):
        self.turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    def encode(self, x):
        return {what}
    def decode(self, data):
        {reads}
"""


def test_runs_by_hand() -> None:
    a = bytearray(range(256)) * 3
    b = bytearray(a)
    assert constant_bytes(a, b) == 768
    b[100] ^= 1
    assert constant_bytes(a, b) == 767
    # A run that is cut below the least length counts for nothing.
    b[100 + RUN] ^= 1
    assert constant_bytes(a, b) == 768 - 1 - RUN
    assert constant_bytes(a, b"") == 0
    # Only what both messages have at a place can be the same there.
    assert constant_bytes(a, a[:200]) == 200


def test_random_bytes_agree_by_chance_and_make_no_run() -> None:
    coins = np.random.default_rng(0)
    for law in (256, 4, 2):  # also of two values, where every second byte agrees
        a, b = (bytes(coins.integers(0, law, 100_000, np.uint8)) for _ in range(2))
        assert constant_bytes(a, b) == 0


def constant(tmp_path: Path, what: str, reads: str) -> tuple[Any, int]:
    path = tmp_path / "ships.py"
    path.write_text(SHIPS.format(what=what, reads=reads))
    one = CodecCache(SHAPE, None, 5, {}, what=str(path))
    rng = np.random.default_rng(3)
    Q, K, V = (rng.integers(0, 2, (32, 1, 1, 16)).astype(np.float32) for _ in range(3))
    one.extend(Q, K, V)
    message = one.save()
    return one.accounts(message), len(message)


def test_a_rotation_that_travels_is_told(tmp_path: Path) -> None:
    shipped, length = constant(tmp_path, "(self.turn, x @ self.turn)", "return data[1] @ data[0].T")
    # 16 x 16 numbers of 8 bytes: keys and values come with the same ones, which are sent once. The
    # marks around may agree as well.
    assert 2048 <= shipped.constant < 2048 + 2 * RUN < length
    kept, _ = constant(tmp_path, "(x @ self.turn).astype('f2')", "return data.astype('f4')")
    assert kept.constant == 0


def test_a_codec_that_refuses_the_public_stream_has_no_number(tmp_path: Path) -> None:
    what = "x if set(np.unique(x)) <= {0, 1} else 1 / 0"
    told, _ = constant(tmp_path, what, "return data")
    assert told.constant is None
    assert told.logical == 2 * 32 * 16 * 4


@pytest.mark.parametrize("sequences", [None, 3])
def test_the_public_stream_is_a_stream(sequences: int | None) -> None:
    shape = Shape(tokens=9, d_k=4, d_v=3, layers=2, heads=2, kv_heads=2, sequences=sequences)
    Q, K, V = public_stream(shape)
    size = (9, *((3,) if sequences else ()), 2, 2)
    assert (Q.shape, K.shape, V.shape) == ((*size, 4), (*size, 4), (*size, 3))
    assert not Q.any()
    other = public_stream(shape, COINS)
    assert not np.isin(other[1], K).any()
    for feed, lengths in (("stream", [1] * 9), ("prefill", [9]), ("chunks", [9])):
        fed = [*pieces(shape, feed)]
        assert [len(k) for _, k, _ in fed] == lengths
        assert np.array_equal(np.concatenate([v for _, _, v in fed]), V)
