"""How nodes of a torch cache are written in a message (``torch_state``)."""

from __future__ import annotations

import torch

from .torch_graph import DEQUE, DICT, LIST, SET, TUPLE

AGAIN, LIKE, TENSORS, ARRAYS, SIZES, OPAQUES, METHODS, WRAPPERS, ALIKE, OBJECTS = range(10)
SHARED, VIEWS, ARRAY_VIEWS = 15, 16, 17
CONTAINERS = {LIST: 10, TUPLE: 11, DICT: 12, SET: 13, DEQUE: 14}
CONTAINER_OF = {code: kind for kind, code in CONTAINERS.items()}
BUILTIN = {LIST: list, TUPLE: tuple, DICT: dict, SET: set}

DTYPES = [
    getattr(torch, name)
    for name in (
        "float32", "float64", "float16", "bfloat16", "uint8", "int8", "int16", "int32", "int64",
        "bool", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz",
        "float8_e5m2fnuz", "uint16", "uint32", "uint64", "float8_e8m0fnu",
    )
]  # fmt: skip
