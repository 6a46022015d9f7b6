"""Streams that both players know: what templates, skeletons and calibrations are made of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..plugin.contract import Float32, Shape

TEMPLATE = 20_251
"""The coins of the stream from which players make what they both have."""


def public_stream(shape: Shape, coins: int = TEMPLATE) -> tuple[Float32, Float32, Float32]:
    """A stream: normal keys of length about 1 and values, zero queries, as the game's are.

    float32[tokens, (sequences,) layers, KV heads, d].
    """
    rng = np.random.default_rng(coins)
    sequences = () if shape.sequences is None else (shape.sequences,)
    size = (shape.tokens, *sequences, shape.layers, shape.kv_heads)
    K = rng.standard_normal((*size, shape.d_k), np.float32) / np.float32(shape.d_k**0.5)
    return np.zeros_like(K), K, rng.standard_normal((*size, shape.d_v), np.float32)


def pieces(shape: Shape, feed: str) -> Iterator[tuple[Float32, Float32, Float32]]:
    """The template's stream as Alice feeds hers: token by token, or all at once."""
    stream = public_stream(shape)
    step = 1 if feed == "stream" else max(1, shape.tokens)
    for at in range(0, shape.tokens, step):
        Q, K, V = (part[at : at + step] for part in stream)
        yield Q, K, V
