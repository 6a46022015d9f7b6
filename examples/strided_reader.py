"""A non-adaptive algorithm: every second token, chosen before there are any.

kvbarrier attack examples/strided_reader.py --reduction indistinguishability --param stride=4
"""

import numpy as np


class EverySecond:
    def __init__(self, stride=2):
        self.stride = stride

    def plan(self, n, d, seed):
        return list(range(n - 1, -1, -self.stride))

    def answer(self, q, reader):
        _, K, V = reader.tokens()
        weights = np.exp(K @ q)
        return weights @ V / weights.sum()
