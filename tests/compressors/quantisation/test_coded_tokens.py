"""What the token codecs share: streams cut anywhere, kernels, numbers that do not fit."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from kvbarrier.compressors.catalog import CATALOG
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.quantisation import coded_tokens
from kvbarrier.compressors.zoo.quantisation.absmax import Absmax
from kvbarrier.compressors.zoo.quantisation.block_fp4 import BlockFP4
from kvbarrier.compressors.zoo.quantisation.eden import Eden
from kvbarrier.compressors.zoo.quantisation.hadamard_int import HadamardInt
from kvbarrier.compressors.zoo.quantisation.polarquant import PolarQuant
from kvbarrier.compressors.zoo.quantisation.qjl import QJL
from kvbarrier.compressors.zoo.quantisation.rabitq import RaBitQ
from kvbarrier.compressors.zoo.quantisation.turboquant import TurboQuant
from kvbarrier.errors import BadInput, BudgetTooSmall

from tests.naive import coding

SHAPE = Shape(tokens=96, d_k=64, d_v=48)
CLASSES = [PolarQuant, TurboQuant, QJL, Absmax, BlockFP4, HadamardInt, Eden, RaBitQ]


def stream(seed: int, signs: bool = False) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal((96, d), dtype=np.float32) for d in (64, 64, 48)]
    return tuple(np.sign(part) / 8 for part in parts) if signs else tuple(parts)


@pytest.mark.parametrize("cls", CLASSES)
def test_tokens_of_bob_that_are_equal_are_coded_once(cls, monkeypatch: pytest.MonkeyPatch) -> None:
    Q, K, V = stream(0)
    one = cls(SHAPE)
    one.extend(Q, K, V)
    own = [np.repeat(part[:2], 48, axis=0) for part in (K, V)]
    codec, sizes = type(one.key_codec), []
    coded = codec.encode
    with monkeypatch.context() as patch:
        patch.setattr(codec, "encode", lambda *given: sizes.append(len(given[1])) or coded(*given))
        said = one.next_outputs(Q, *own)
    assert sizes[0] == 2
    for row in (0, 47, 48, 95):
        alone = one.next_outputs(Q[row : row + 1], own[0][row : row + 1], own[1][row : row + 1])
        assert np.allclose(said[row], alone[0], atol=1e-5)


def test_two_players_of_one_process_draw_a_rotation_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, rotation = [], coded_tokens.rotation
    monkeypatch.setattr(coded_tokens, "rotation", lambda *a: drawn.append(a) or rotation(*a))
    alice, bob, other = (TurboQuant(SHAPE, seed=seed) for seed in (2**61 + 5, 2**61 + 5, 7**21))
    assert len(drawn) == 4  # keys and values of two seeds
    turns = [one.value_codec.turn for one in (alice, bob, other)]
    assert np.array_equal(turns[0], turns[1])
    assert not np.allclose(turns[0], turns[2])
    with pytest.raises(ValueError, match="read-only"):
        turns[0][0, 0] = 1


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("signs", [False, True])
def test_loop_batch_and_cut_agree_to_the_bit(cls, signs: bool) -> None:
    # With a BLAS product one stream in thirty does not: a number on a cell's border crosses it.
    for seed in range(25):
        Q, K, V = stream(seed, signs)
        whole, loop, cut = (cls(SHAPE, seed=seed) for _ in range(3))
        whole.extend(Q, K, V)
        for q, k, v in zip(Q, K, V, strict=True):
            loop.append(q, k, v)
        cut.extend(Q[:37], K[:37], V[:37])
        assert len(cut.save()) == cut.message_bytes
        later = cut.fresh()
        later.restore(cut.save())
        later.extend(Q[37:], K[37:], V[37:])
        assert whole.save() == loop.save() == later.save()


@pytest.mark.parametrize("cls", CLASSES)
def test_rows_too_long_for_fp16_are_refused(cls) -> None:
    # Each number fits, the length of the row, 8 * 20000, does not.
    K = np.full((1, 64), 20_000, np.float32)
    with pytest.raises(BadInput, match="not finite as float16"):
        cls(SHAPE).extend(K, K, np.zeros((1, 48), np.float32))
    with pytest.raises(BadInput, match="not finite as float16"):
        cls(SHAPE).next_outputs(K, K, np.zeros((1, 48), np.float32))


@pytest.mark.parametrize("jit", [True, False])
def test_the_product_is_its_twin_bit_for_bit(jit: bool) -> None:
    kernel = coded_tokens.multiply if jit else coded_tokens.multiply.py_func
    rng = np.random.default_rng(0)
    X, M = (rng.standard_normal(s, dtype=np.float32) for s in ((5, 12), (12, 9)))
    out = np.empty((5, 9), np.float32)
    kernel(X, M, out)
    assert np.array_equal(out, coding.product(X, M))


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("bits", range(1, 9))
def test_symbols_are_packed_as_one_number(bits: int, jit: bool) -> None:
    names = ("pack_symbols", "unpack_symbols")
    kernels = [getattr(coded_tokens, name) for name in names]
    pack, unpack = kernels if jit else [kernel.py_func for kernel in kernels]
    symbols = np.random.default_rng(bits).integers(0, 1 << bits, (6, 13)).astype(np.uint8)
    codes = np.zeros((6, -(-13 * bits // 8)), np.uint8)
    pack(symbols, bits, codes)
    assert np.array_equal(codes, coding.pack(symbols, bits))
    found = np.empty_like(symbols)
    unpack(codes, bits, found)
    assert np.array_equal(found, symbols)


@pytest.mark.parametrize("name", ["eden", "rabitq", "turboquant", "polarquant"])
def test_rotations_are_drawn_once_whatever_rungs_are_tried(name: str, monkeypatch) -> None:
    drawn: list[int] = []
    usual = np.linalg.qr
    monkeypatch.setattr(np.linalg, "qr", lambda A: drawn.append(len(A)) or usual(A))
    shape = Shape(tokens=40, d_k=16, d_v=32)
    cls = CATALOG[name].cls
    least = next(b for b in count(8, 8) if _lives(cls, shape, b))
    drawn.clear()
    coded_tokens._turn.cache_clear()  # which the tries above have filled
    cls(shape, least)
    assert drawn == [16, 32]


def _lives(cls, shape: Shape, budget: int) -> bool:
    try:
        cls(shape, budget)
    except BudgetTooSmall:
        return False
    return True


@pytest.mark.parametrize("cls", [QJL, TurboQuant])
def test_rows_are_decoded_once_until_their_bytes_are_others(cls, monkeypatch) -> None:
    rng = np.random.default_rng(3)
    cache = cls(Shape(tokens=9, d_k=16, d_v=16), None, 1)
    K, V, Q = rng.standard_normal((3, 8, 16), dtype=np.float32)
    cache.extend(Q, K, V)
    decoded: list[int] = []
    decode = type(cache.key_codec).decode
    monkeypatch.setattr(
        type(cache.key_codec),
        "decode",
        lambda codec, codes: decoded.append(len(codes)) or decode(codec, codes),
    )
    first = [cache.attend(q) for q in Q]
    asked = len(decoded)
    assert asked <= 2  # keys, and values where they have the same codec
    cache.append(Q[0], K[0], V[1])
    cache.attend(Q[0])
    # One byte of an old token, with none appended: what is kept must not be what it was.
    cache.state["k"][2] = cache.state["k"][5]
    changed = cache.attend(50 * K[2])
    fresh = cache.fresh()
    fresh.restore(cache.save())
    np.testing.assert_array_equal(changed, fresh.attend(50 * K[2]))
    assert len(decoded) == 4 * asked
    assert not np.array_equal(first[0], cache.attend(Q[0]))
