"""Plain twins of the trellis code: all input words, and a shift register of a list of bits."""

from __future__ import annotations

from itertools import product


def codeword(inputs, generators, m):
    """A list of bits: the newest input first in the register, as the generators are written."""
    register = [0] * (m + 1)
    out = []
    for bit in inputs:
        register = [bit, *register[:-1]]
        for g in generators:
            taps = [g >> (m - i) & 1 for i in range(m + 1)]
            out.append(sum(a & b for a, b in zip(taps, register, strict=True)) % 2)
    return out


def least_distance(bits, generators, m):
    """Over all 2^(N/2) input words."""
    return min(
        sum(a != b for a, b in zip(bits, codeword(inputs, generators, m), strict=True))
        for inputs in product((0, 1), repeat=len(bits) // 2)
    )
