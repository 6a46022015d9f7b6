"""The two Numba kernels of the all-index decode: one pass over a tile of scores each.

Matrix products are BLAS's, everything between two products is here. Serial on purpose: a game is
scaled over messages, and a serial kernel is safe under every kind of worker. Scores arrive in base
2 (queries times log2 e), so a weight is 2^(score - maximum).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from .jit import njit

_STRICT = {"contract", "nnan", "ninf", "nsz", "arcp"}
_FAST = _STRICT | {"reassoc"}  # vectorises float sums; not where a rounding step is meant

_LOWEST_POWER = np.float32(-126.0)  # 2^-126 is the smallest normal float32
_BIAS = np.float32(127.0)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_UNIT = np.float32(2.0**23)
_MAGIC = np.float32(1.5 * 2.0**23 + 127.0)  # adding it rounds to an integer, kept in the low bits
# 2^f on [-1/2, 1/2], least squares in relative error at Chebyshev nodes.
_P0 = np.float32(1.00000007)
_P1 = np.float32(0.69314695)
_P2 = np.float32(0.24022122)
_P3 = np.float32(0.05550743)
_P4 = np.float32(0.00967546)
_P5 = np.float32(0.0013267)

if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _fmax(a: Any, b: Any) -> Any:
        return a if a > b else b

else:

    @intrinsic
    def _fmax(typing_context: Any, a: Any, b: Any) -> Any:
        # Numba's max() of two floats branches, which keeps LLVM from vectorising a reduction.
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            real = ir.FloatType()
            kind = ir.FunctionType(real, [real, real])
            maxnum = builder.module.declare_intrinsic("llvm.maxnum", [real], kind)
            return builder.call(maxnum, arguments, fastmath=("fast",))

        return types.float32(types.float32, types.float32), codegen


@njit(cache=True, nogil=True, fastmath=_STRICT, error_model="numpy")
def exp2(y: Any) -> Any:
    """2^y for float32 y <= 0, within 3e-7 of it; 0 for y <= -126, where 2^y is not a normal float.

    A floor instead of 0 would be a weight that grows over many keys: at large scales it alone can
    exceed a threshold.
    """
    scale = _ONE if y > _LOWEST_POWER else _ZERO
    y = y if y > _LOWEST_POWER else _LOWEST_POWER
    shifted = np.float32(y + _MAGIC)
    f = y - (shifted - _MAGIC)
    p = _P0 + f * (_P1 + f * (_P2 + f * (_P3 + f * (_P4 + f * _P5))))
    return scale * p * np.int32(shifted.view(np.int32) << np.int32(23)).view(np.float32)


@njit(cache=True, nogil=True, fastmath=_STRICT, error_model="numpy")
def exp2_above(y: Any) -> Any:
    """An upper bound on 2^y for float32 y <= 0, at most 6.15 % above it (and at least 2^-126).

    Between integers k and k + 1 it is the chord of the convex 2^y, so it lies above; its bits are
    the integer (y + 127) 2^23 (Schraudolph 1999, A fast, compact approximation of the exponential
    function). The largest ratio is max (1 + f) 2^-f = 2 / (e ln 2) at f = 1/ln 2 - 1. Rounding
    y + 127 to a float32 below 128 may take 2^-18 ln 2 < 3e-6 of it away, truncation 2^-23.
    """
    y = y + _BIAS
    y = y if y > _ONE else _ONE
    return np.int32(y * _UNIT).view(np.float32)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def bound_tile(S: Any, first: Any, top: Any, argtop: Any, total: Any) -> None:
    """Take a tile of scores into each row's running maximum and bound on the sum of weights.

    Args:
        S: float32[rows, columns] scores in base 2, left as they are.
        first: the index of the tile's first key.
        top: float32[rows], the largest score so far.
        argtop: int64[rows], a key that attains it.
        total: float64[rows], an upper bound on the sum of 2^(score - top) so far.
    """
    for r in range(S.shape[0]):
        m = top[r]
        for j in range(S.shape[1]):
            m = _fmax(m, S[r, j])
        if m > top[r]:
            total[r] *= math.exp2(np.float64(top[r]) - np.float64(m))
            top[r] = m
            best = 0
            for j in range(S.shape[1]):
                best = max(best, j if S[r, j] == m else 0)
            argtop[r] = first + best
        s = np.float32(0.0)
        for j in range(S.shape[1]):
            s += exp2_above(S[r, j] - m)
        total[r] += s


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def weigh_tile(S: Any, top: Any, total: Any, O: Any) -> None:
    """Turn a tile of scores into weights, and move maximum, sum and output along (online softmax).

    Args:
        S: float32[rows, columns] scores in base 2; becomes the weights 2^(score - top).
        top: float32[rows], the largest score so far.
        total: float64[rows], the sum of weights so far.
        O: float32[rows, d_v], the weighted sum of values so far; only rescaled here.
    """
    for r in range(S.shape[0]):
        m = top[r]
        for j in range(S.shape[1]):
            m = _fmax(m, S[r, j])
        if m > top[r]:
            shrink = math.exp2(np.float64(top[r]) - np.float64(m))
            total[r] *= shrink
            top[r] = m
            for j in range(O.shape[1]):
                O[r, j] *= np.float32(shrink)
        s = np.float32(0.0)
        for j in range(S.shape[1]):
            w = exp2(S[r, j] - m)
            S[r, j] = w
            s += w
        total[r] += s


@njit(cache=True, nogil=True, fastmath=_STRICT, error_model="numpy")
def settle_rows(V: Any, argtop: Any, rest: Any, theta: Any, low: Any, high: Any, bits: Any) -> Any:
    """Write the bits that dominance settles (proof: ``attention.next_bits``).

    Args:
        V: float32[t, d_v] values.
        argtop: int64[rows], each row's heaviest key, or -1 to leave the row undecided.
        rest: float64[rows], a bound on the other weights as a multiple of the heaviest.
        theta: float64[rows] thresholds.
        low: no value is below.
        high: no value is above.
        bits: bool[rows, d_v], written; meaningless in undecided rows.

    Returns:
        int64: the rows in which some bit is not settled.
    """
    undecided = np.empty(bits.shape[0], np.int64)
    count = 0
    for r in range(bits.shape[0]):
        unsettled = 1
        if argtop[r] >= 0:
            unsettled = 0
            above = rest[r] * (theta[r] - low if theta[r] > low else 0.0)
            below = rest[r] * (high - theta[r] if high > theta[r] else 0.0)
            # No branch on a bit: secret bits cannot be predicted, a missed branch costs 20 cycles.
            for j in range(bits.shape[1]):
                gap = np.float64(V[argtop[r], j]) - theta[r]
                bits[r, j] = gap > above
                unsettled += (gap <= above) & (gap > -below)
        if unsettled > 0:
            undecided[count] = r
            count += 1
    return undecided[:count]
