"""SubGen's insertion of a block of tokens, as one Numba loop; coins are hashes of addresses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....reductions.jit import njit

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32, _S11 = (np.uint64(s) for s in (27, 30, 31, 32, 11))
_UNIT = 2.0**-53


@njit(cache=True, nogil=True, error_model="numpy")
def coin(start: Any, address: Any) -> Any:
    """64 bits: output ``address`` of the SplitMix64 (Steele, Lea, Flood 2014) begun at ``start``.

    Both uint64. Integers only, so equal on every machine.
    """
    z = start + (address + np.uint64(1)) * _GAMMA
    z = (z ^ (z >> _S30)) * _M1
    z = (z ^ (z >> _S27)) * _M2
    return z ^ (z >> _S31)


@njit(cache=True, nogil=True, error_model="numpy")
def insert(
    K: Any,
    V: Any,
    radius2: Any,
    most: Any,
    start: Any,
    seen: Any,
    m: Any,
    mu: Any,
    counts: Any,
    centres: Any,
    samples: Any,
    slot_k: Any,
    slot_v: Any,
) -> Any:
    """Insert tokens in order until all are in, or a new cluster finds no room in the arrays.

    Token i of the stream, from 0, owns the t + s coins from i (t + s) on: the first t for the slots
    of its cluster, the others for the value slots.

    Args:
        K, V: float32[b, d_k], float32[b, d_v].
        radius2: delta^2; distances are float64 sums in order of coordinate.
        most: clusters that may be opened; beyond them the nearest takes every key.
        start: uint64, the coins' beginning.
        seen, m: tokens and clusters so far.
        mu: float64[1], the sum of |v|^2, updated.
        counts, centres, samples: uint32[c], float32[c, d_k], float32[c, t, d_k], updated.
        slot_k, slot_v: float32[s, d_k], float32[s, d_v], updated.

    Returns (tokens inserted, clusters now).
    """
    t, s, d = samples.shape[1], slot_k.shape[0], K.shape[1]
    for i in range(K.shape[0]):
        nearest, least = -1, np.inf
        for c in range(m):
            distance = 0.0  # np.float64, because Numba's float() leaves a float32 what it is
            for j in range(d):
                gap = np.float64(K[i, j]) - np.float64(centres[c, j])
                distance += gap * gap
            if distance < least:
                nearest, least = c, distance
        address = np.uint64((seen + i) * (t + s))
        if nearest < 0 or (least > radius2 and m < most):
            if m == counts.shape[0]:
                return i, m
            counts[m] = 1
            centres[m] = K[i]
            samples[m, :] = K[i]
            m += 1
        else:
            counts[nearest] += np.uint32(1)
            size = np.uint64(counts[nearest])
            for slot in range(t):
                # floor(h size / 2^32) = 0, h the upper half: probability 1/size within 2^-32
                if ((coin(start, address + np.uint64(slot)) >> _S32) * size) >> _S32 == 0:
                    samples[nearest, slot] = K[i]
        weight = 0.0
        for j in range(V.shape[1]):
            weight += np.float64(V[i, j]) * np.float64(V[i, j])
        mu[0] += weight
        if weight > 0.0:
            for slot in range(s):
                bits = coin(start, address + np.uint64(t + slot)) >> _S11
                uniform = np.float64(bits) * _UNIT
                if uniform * mu[0] < weight:
                    slot_k[slot] = K[i]
                    slot_v[slot] = V[i]
    return K.shape[0], m
