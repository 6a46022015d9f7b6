"""A cache in ten lines: no base class, no save, no restore. It keeps the tokens that came last.

kvbarrier check examples/ten_line_cache.py
kvbarrier attack examples/ten_line_cache.py
"""

from collections import deque

import numpy as np
from kvbarrier import tokens_within


class RecentTokens:
    def __init__(self, shape, budget_bits):
        room = tokens_within(budget_bits, bits_per_token=32 * (shape.d_k + shape.d_v))
        self.tokens = deque(maxlen=room)

    def append(self, k, v):
        self.tokens.append((k.copy(), v.copy()))

    def attend(self, q):
        K, V = (np.array(rows) for rows in zip(*self.tokens, strict=True))
        weights = np.exp(K @ q - (K @ q).max())
        return weights @ V / weights.sum()
