"""The bytes of ``llama_state_seq_get_data``: what they hold, and whether they may be loaded.

llama.cpp writes, for one sequence of a cache with flash attention: a magic number, the sequence,
the number of streams (1) and of cells; for every cell its position, how many sequences share it (1)
and which; then whether V is transposed (0), the number of layers, and for every layer the type of
K, the bytes of a row and the rows; then the same for V. All little-endian.

Loading a damaged state may abort the process, so everything is first compared with the public
parameters.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....errors import BadInput, PluginFailure, did_you_mean
from ...plugin.contract import Float32

_MAGIC = 0xAF143CD8
_HEAD = struct.Struct("<IiII")
_LAYERS = struct.Struct("<II")
_TENSOR = struct.Struct("<iQ")
_CELL = np.dtype([("position", "<i4"), ("sharers", "<u4"), ("sequence", "<i4")])
CELL_BYTES = _CELL.itemsize
# llama.cpp turns quantised K and V by Walsh-Hadamard matrices where the dimension is a multiple.
_TURNED = 64


@dataclass(frozen=True)
class CacheType:
    """A type of llama.cpp for the numbers in a cache: ``block`` of them in ``size`` bytes."""

    name: str
    number: int
    block: int
    size: int

    @property
    def quantised(self) -> bool:
        """Whether numbers share a scale, and K and V are turned before."""
        return self.block > 1

    @property
    def readable(self) -> bool:
        """Whether the numbers can be read without llama.cpp: gguf does not know q1_0."""
        return self.name != "q1_0"

    def row_bytes(self, numbers: int) -> int:
        """Bytes of that many numbers."""
        return numbers // self.block * self.size


TYPES = {
    one.name: one
    for one in (
        CacheType("f32", 0, 1, 4),
        CacheType("f16", 1, 1, 2),
        CacheType("bf16", 30, 1, 2),
        CacheType("q8_0", 8, 32, 34),
        CacheType("q5_1", 7, 32, 24),
        CacheType("q5_0", 6, 32, 22),
        CacheType("q4_1", 3, 32, 20),
        CacheType("q4_0", 2, 32, 18),
        CacheType("iq4_nl", 20, 32, 18),
        # The command line of llama.cpp takes the types above only, its library these too.
        CacheType("nvfp4", 40, 64, 36),
        CacheType("mxfp4", 39, 32, 17),
        CacheType("q6_K", 14, 256, 210),
        CacheType("q5_K", 13, 256, 176),
        CacheType("q4_K", 12, 256, 144),
        CacheType("q3_K", 11, 256, 110),
        CacheType("q2_K", 10, 256, 84),
        CacheType("q1_0", 41, 128, 18),
    )
}


def cache_type(name: str, d: int) -> CacheType:
    """Return the type of that name, for keys or values of d coordinates.

    Raises:
        BadInput: the type does not exist, or its blocks do not divide d, which would abort
            llama.cpp.
    """
    if name.endswith(".gguf"):
        raise BadInput(
            f"{name} is a model file, but kvbarrier writes its own model: give a cache type, "
            "as in llamacpp:q8_0."
        )
    if name not in TYPES:
        hint = did_you_mean(name, TYPES)
        raise BadInput(f"there is no cache type '{name}'.{hint}")
    found = TYPES[name]
    if d % found.block:
        raise BadInput(
            f"{name} packs {found.block} numbers per block, and d = {d} is not a multiple of "
            f"that: use --d {found.block * max(1, round(d / found.block))}, or f16."
        )
    return found


@dataclass(frozen=True)
class Layout:
    """What a message of one game looks like.

    Attributes:
        layers, heads, d: of a token.
        keys, values: types of the cache.
        cells: the most tokens that may be held.
    """

    layers: int
    heads: int
    d: int
    keys: CacheType
    values: CacheType
    cells: int

    def payload_bytes(self, cells: int) -> int:
        """Bytes of K and V of that many tokens."""
        each = [one.row_bytes(self.heads * self.d) for one in (self.keys, self.values)]
        return self.layers * cells * sum(each)


@dataclass(frozen=True)
class State:
    """A message taken apart: rows uint8[layers, cells, row bytes], in the order of the cells."""

    keys: np.ndarray
    values: np.ndarray


def read_state(message: bytes, layout: Layout) -> State:
    """Take a message apart.

    Raises:
        PluginFailure: it is not a state of such a cache; it must not be given to llama.cpp.
    """
    try:
        return _read(memoryview(message), layout)
    except (struct.error, ValueError) as error:
        raise PluginFailure(
            f"The message is not a llama.cpp state of the game's shape: {error}."
        ) from None


def _read(message: memoryview, layout: Layout) -> State:
    magic, _, streams, cells = _HEAD.unpack_from(message)
    if (magic, streams) != (_MAGIC, 1):
        raise ValueError("its header differs")
    if not 0 < cells <= layout.cells:
        raise ValueError(f"it has {cells} tokens instead of 1 to {layout.cells}")
    at = _HEAD.size
    held = np.frombuffer(message, dtype=_CELL, count=cells, offset=at)
    at += held.nbytes
    positions = held["position"]
    # Cells are in no order once some were reused; a position that is not there would abort.
    if (held["sharers"] != 1).any() or (np.sort(positions) != np.arange(cells)).any():
        raise ValueError(f"its tokens are not one sequence of the positions 0 to {cells - 1}")
    if _LAYERS.unpack_from(message, at) != (0, layout.layers):
        raise ValueError("it has other layers")
    at += _LAYERS.size
    parts = []
    for kind in (layout.keys, layout.values):
        row = kind.row_bytes(layout.heads * layout.d)
        rows = np.empty((layout.layers, cells, row), dtype=np.uint8)
        for layer in range(layout.layers):
            if _TENSOR.unpack_from(message, at) != (kind.number, row):
                raise ValueError(f"layer {layer} is not kept in {kind.name}")
            at += _TENSOR.size
            flat = np.frombuffer(message, dtype=np.uint8, count=cells * row, offset=at)
            rows[layer] = flat.reshape(cells, row)
            at += cells * row
        parts.append(rows)
    if at != len(message):
        raise ValueError(f"it has {len(message)} bytes instead of {at}")
    return State(*parts)


def held_cells(message: bytes) -> int:
    """How many tokens a state holds that ``read_state`` has taken."""
    return int(_HEAD.unpack_from(message)[3])


def numbers(state: State, layout: Layout) -> tuple[Float32, Float32]:
    """Keys and values float32[layers, heads, cells, d] as they were fed, up to rounding.

    Quantised ones are dequantised by the package ``gguf``, and turned back.
    """
    wide = layout.d % _TURNED == 0
    # For K the largest power of 2 that divides d, for V always 64.
    widest = layout.d & -layout.d
    parts = []
    for rows, kind, turn in (
        (state.keys, layout.keys, widest),
        (state.values, layout.values, _TURNED),
    ):
        read = _dequantised(rows, kind)
        if kind.quantised and wide:
            read = (read.reshape(-1, turn) @ hadamard(turn)).astype(np.float32)
        shaped = read.reshape(layout.layers, rows.shape[1], layout.heads, layout.d)
        parts.append(np.ascontiguousarray(shaped.transpose(0, 2, 1, 3)))
    return parts[0], parts[1]


def hadamard(n: int) -> np.ndarray:
    """Sylvester's matrix over sqrt(n), its own inverse: float64[n, n], n a power of 2."""
    matrix: np.ndarray = np.ones((1, 1))
    while len(matrix) < n:
        matrix = np.kron([[1.0, 1.0], [1.0, -1.0]], matrix)
    scaled: np.ndarray = matrix / np.sqrt(n)
    return scaled


def _dequantised(rows: np.ndarray, kind: CacheType) -> Float32:
    if kind.name == "bf16":
        wide: Float32 = (rows.view("<u2").astype(np.uint32) << 16).view(np.float32)
        return wide
    if not kind.quantised:
        return rows.view({4: "<f4", 2: "<f2"}[kind.size]).astype(np.float32)
    import gguf

    read: Callable[..., Any] = gguf.quants.dequantize
    flat: Float32 = read(
        rows.reshape(-1, rows.shape[-1]), gguf.GGMLQuantizationType(kind.number)
    ).astype(np.float32)
    return flat
