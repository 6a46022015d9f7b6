"""Messages of llama.cpp taken apart without it, and the declared rows."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from kvbarrier.compressors.engines.llamacpp.rows import OUT_OF_REACH, ROWS
from kvbarrier.compressors.engines.llamacpp.state import (
    TYPES,
    Layout,
    cache_type,
    hadamard,
    held_cells,
    numbers,
    read_state,
)
from kvbarrier.errors import BadInput, PluginFailure

LAYERS, HEADS, D, CELLS = 2, 2, 4, 3


def layout(keys: str = "f16", values: str = "f32", cells: int = 8) -> Layout:
    return Layout(LAYERS, HEADS, D, TYPES[keys], TYPES[values], cells)


def state(
    K: np.ndarray,
    V: np.ndarray,
    numbers_of_types: tuple[int, int] = (1, 0),
    positions: tuple[int, ...] = (0, 1, 2),
    head: tuple[int, ...] = (0xAF143CD8, 0, 1),
    sharers: int = 1,
    layers: tuple[int, int] = (0, LAYERS),
) -> bytes:
    """K and V [layers, cells, heads * d], as llama.cpp b9190 writes them."""
    out = struct.pack("<IiII", *head, len(positions))
    out += b"".join(struct.pack("<iIi", at, sharers, 0) for at in positions)
    out += struct.pack("<II", *layers)
    for number, rows in zip(numbers_of_types, (K, V), strict=True):
        for layer in rows:
            out += struct.pack("<iQ", number, layer[0].nbytes) + layer.tobytes()
    return out


def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (LAYERS, CELLS, HEADS * D)
    return rng.standard_normal(shape).astype("<f2"), rng.standard_normal(shape).astype("<f4")


def test_plain_types_are_read_exactly() -> None:
    K, V = rows()
    message = state(K, V)
    assert held_cells(message) == CELLS
    keys, values = numbers(read_state(message, layout()), layout())
    for read, fed in ((keys, K), (values, V)):
        wanted = fed.reshape(LAYERS, CELLS, HEADS, D).transpose(0, 2, 1, 3)
        assert read.dtype == np.float32
        assert np.array_equal(read, wanted.astype(np.float32))


def test_bf16_is_the_upper_half_of_a_float32() -> None:
    _, V = rows()
    halves = (V.view("<u4") >> 16).astype("<u2")
    read, _ = numbers(read_state(state(halves, V, (30, 0)), layout("bf16")), layout("bf16"))
    wanted = (halves.astype("<u4") << 16).view("<f4")
    assert np.array_equal(read[1, 1, 2], wanted[1, 2, D:])


def test_cells_may_be_in_any_order() -> None:
    assert read_state(state(*rows(), positions=(2, 0, 1)), layout()).keys.shape == (2, 3, 16)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"head": (0xAF143CD9, 0, 1)}, "its header differs"),
        ({"head": (0xAF143CD8, 0, 2)}, "its header differs"),
        ({"positions": (0, 1, 3)}, "positions 0 to 2"),
        ({"positions": (0, 1, 1)}, "positions 0 to 2"),
        ({"positions": (-1, 0, 1)}, "positions 0 to 2"),
        ({"sharers": 2}, "not one sequence"),
        ({"layers": (0, 1)}, "other layers"),
        ({"layers": (1, LAYERS)}, "other layers"),
        ({"numbers_of_types": (30, 0)}, "layer 0 is not kept in f16"),
        ({"numbers_of_types": (1, 1)}, "layer 0 is not kept in f32"),
    ],
)
def test_another_state_is_refused(changes: dict[str, object], said: str) -> None:
    message = state(*rows(), **changes)  # type: ignore[arg-type]
    with pytest.raises(PluginFailure, match=said):
        read_state(message, layout())


def test_a_state_of_more_tokens_than_may_be_is_refused() -> None:
    with pytest.raises(PluginFailure, match="it has 3 tokens instead of 1 to 2"):
        read_state(state(*rows()), layout(cells=2))


def test_every_other_length_is_refused() -> None:
    whole = state(*rows())
    for length in range(len(whole)):
        with pytest.raises(PluginFailure, match=r"not a llama\.cpp state"):
            read_state(whole[:length], layout())
    with pytest.raises(PluginFailure, match=f"{len(whole) + 1} bytes instead of {len(whole)}"):
        read_state(whole + b"\0", layout())


def test_a_huge_number_of_cells_costs_nothing() -> None:
    message = struct.pack("<IiII", 0xAF143CD8, 0, 1, 2**32 - 1)
    with pytest.raises(PluginFailure, match="it has 4294967295 tokens"):
        read_state(message, layout())


def test_hadamard_is_its_own_inverse_and_has_signs_only() -> None:
    matrix = hadamard(64)
    assert np.allclose(matrix @ matrix, np.eye(64), atol=1e-12)
    assert np.array_equal(np.abs(matrix), np.full((64, 64), 1 / 8))
    assert np.array_equal(hadamard(2) * np.sqrt(2), [[1, 1], [1, -1]])


def test_quantised_rows_are_dequantised_and_turned_back() -> None:
    gguf = pytest.importorskip("gguf", reason="gguf is in the llamacpp environment")
    d = 128  # K is turned by 128 x 128, V by two blocks of 64 x 64
    shape = Layout(1, 1, d, TYPES["q8_0"], TYPES["q8_0"], 4)
    K = np.random.default_rng(1).standard_normal((4, d)).astype(np.float32)
    turned = [
        (K @ hadamard(128)).astype(np.float32),
        (K.reshape(-1, 64) @ hadamard(64)).reshape(4, d).astype(np.float32),
    ]
    packed = [gguf.quants.quantize(one, gguf.GGMLQuantizationType.Q8_0)[None] for one in turned]
    message = state(*packed, (8, 8), (0, 1, 2, 3), layers=(0, 1))
    for read in numbers(read_state(message, shape), shape):
        assert np.abs(read[0, 0] - K).max() < 0.05


@pytest.mark.parametrize(
    ("name", "d", "said"),
    [
        ("q8_O", 64, "no cache type 'q8_O'. Did you mean 'q8_0'"),
        ("q4_0", 40, "q4_0 packs 32 numbers per block, .* use --d 32, or f16"),
        ("q2_K", 64, "q2_K packs 256 numbers per block, .* use --d 256, or f16"),
        ("models/llama.gguf", 64, "models/llama.gguf is a model file"),
    ],
)
def test_a_type_that_cannot_be_is_told(name: str, d: int, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        cache_type(name, d)


def test_a_row_declares_the_bits_of_its_block() -> None:
    declared = {(row.target, *row.params.items()): row.declared for row in ROWS}
    assert declared["llamacpp:f16",] == 1
    assert declared["llamacpp:q8_0",] == 8.5 / 16
    assert declared["llamacpp:q4_0",] == declared["llamacpp:iq4_nl",] == 4.5 / 16
    assert declared["llamacpp:q8_0", ("v", "q4_0")] == 6.5 / 16
    assert declared["llamacpp:q8_0", ("window", 252), ("sinks", 4)] == 8.5 / 32


def test_every_type_is_in_the_table_or_said_to_be_out_of_it() -> None:
    played = {row.target for row in ROWS}
    named = {f"llamacpp:{name}" for name in TYPES}
    assert named == played | {name for name in OUT_OF_REACH if name in named}
    assert len(played) >= 6
    assert sum(row.keeps == 0.5 for row in ROWS) >= 2
    for row in ROWS:
        assert 64 % TYPES[row.target.partition(":")[2]].block == 0
