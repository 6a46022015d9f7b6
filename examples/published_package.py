"""Somebody else's codec under attack: zfp, by way of its Python package.    pip install zfpy

zfp (Lindstrom 2014, Fixed-Rate Compressed Floating-Point Arrays) compresses blocks of numbers, here
a token's keys and values in blocks of 4 x 4, at a fixed number of bits each. It was made for
simulations on grids, where neighbours are alike; what it does to a KV cache is the question.

    kvbarrier check examples/published_package.py
    kvbarrier attack examples/published_package.py
"""

import numpy as np
import zfpy
from kvbarrier import BudgetTooSmall

OVERHEAD_BITS = 8 * 160
"""zfp's two headers and our framing."""


def compress(Q, K, V, budget_bits):
    """As many bits a number as the budget allows; 16-bit floats are 16, zfp needs about 1."""
    numbers = K.size + V.size
    rate = 32 if budget_bits is None else min(32, (budget_bits - OVERHEAD_BITS) // numbers)
    if rate < 1:
        raise BudgetTooSmall("zfp", budget_bits, numbers + OVERHEAD_BITS)
    return [zfpy.compress_numpy(np.ascontiguousarray(array), rate=rate) for array in (K, V)]


def attend(state, q, tail):
    """Decompress, then plain attention; ``tail`` holds the tokens that came after compress."""
    K, V = (
        np.concatenate([zfpy.decompress_numpy(packed), rest])
        for packed, rest in zip(state, tail, strict=True)
    )
    scores = K @ q
    weights = np.exp(scores - scores.max())
    return weights @ V / weights.sum()
