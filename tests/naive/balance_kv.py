"""Plain Python twin of the self-balancing walk, and of a tree's levels."""

from __future__ import annotations


def walk(gram, c, coins):
    """The signs, with the running sum's inner products spelled out."""
    signs = []
    for i, coin in enumerate(coins):
        lean = 0.0
        for j, sign in enumerate(signs):
            lean += gram[i][j] * sign
        signs.append(1.0 if coin < 0.5 - lean / (2.0 * c) else -1.0)
    return signs


def occupancy(n, batch, levels):
    """Tokens at each level after n, one token at a time."""
    held = [0] * (levels + 1)
    for _ in range(n):
        held[0] += 1
        for level in range(levels):
            if held[level] >= batch:
                held[level] -= batch
                held[level + 1] += batch // 2
    return held
