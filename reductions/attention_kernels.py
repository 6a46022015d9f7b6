"""Serial Numba kernels of the all-index decode; ``attention`` is their only caller.

Scores are kept in base 2 (queries are multiplied by log2 e once), matrix products go to BLAS in
tiles small enough for a core's own cache, everything else is one pass over a tile. No kernel is
parallel: a game is scaled over messages, and a serial kernel is safe under every kind of worker.

The dominance test (ours; proof in :func:`kvbarrier.reductions.attention.next_bits`) needs only an
upper bound on the weights, so it uses the straight line through 2^k and 2^{k+1} on [k, k+1], which
lies above the convex 2^x: that is, the bits of (x + 127) 2^23 read as a float32 (Schraudolph, A
fast, compact approximation of the exponential function, Neural Computation 11, 1999).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic

ROWS = 512  # queries a block: from 256 on SGEMM is as fast as it gets
COLUMNS = 192  # keys a tile: 512 x 192 scores stay in a 512 KiB cache beside the keys

_STRICT = {"contract", "nnan", "ninf", "nsz", "arcp"}
_FAST = _STRICT | {"reassoc"}  # lets a float sum be vectorised; never where a rounding is meant

_LOG2E = np.float32(math.log2(math.e))
_LOWEST = np.float32(-3.4e38)
_FLOOR = np.float32(-126.0)  # 2^-126 is the smallest normal float32
_BIAS = np.float32(127.0)
_ONE = np.float32(1.0)
_UNIT = np.float32(2.0**23)
_MAGIC = np.float32(1.5 * 2.0**23 + 127.0)  # adding it rounds to an integer, kept in the low bits
# Least squares in relative error at Chebyshev nodes of [-1/2, 1/2]: 2^f within 2e-7.
_P0 = np.float32(1.00000007)
_P1 = np.float32(0.69314695)
_P2 = np.float32(0.24022122)
_P3 = np.float32(0.05550743)
_P4 = np.float32(0.00967546)
_P5 = np.float32(0.0013267)

if config.DISABLE_JIT:

    def _fmax(a: Any, b: Any) -> Any:
        return a if a > b else b

else:

    @intrinsic  # type: ignore[untyped-decorator]
    def _fmax(typing_context: Any, a: Any, b: Any) -> Any:
        # Numba's max() of two floats branches, which keeps LLVM from vectorising a reduction.
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            real = ir.FloatType()
            kind = ir.FunctionType(real, [real, real])
            maxnum = builder.module.declare_intrinsic("llvm.maxnum", [real], kind)
            return builder.call(maxnum, arguments, fastmath=("fast",))

        return types.float32(types.float32, types.float32), codegen


@njit(cache=True, nogil=True, fastmath=_STRICT, error_model="numpy")
def _exp2(y: Any) -> Any:
    """2^y for float32 y <= 0, relative error 2e-7; below -126 it stays at 2^-126."""
    y = y if y > _FLOOR else _FLOOR
    shifted = np.float32(y + _MAGIC)
    f = y - (shifted - _MAGIC)
    p = _P0 + f * (_P1 + f * (_P2 + f * (_P3 + f * (_P4 + f * _P5))))
    return p * np.int32(shifted.view(np.int32) << np.int32(23)).view(np.float32)


@njit(cache=True, nogil=True, fastmath=_STRICT, error_model="numpy")
def _exp2_above(y: Any) -> Any:
    """An upper bound on 2^y, at most 6.15 % above it (max of (1+f) 2^-f on [0, 1])."""
    y = y + _BIAS
    y = y if y > _ONE else _ONE
    return np.int32(y * _UNIT).view(np.float32)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _gather(Q: Any, Kq: Any, own: Any, rows: Any, q: Any, top: Any) -> None:
    """q[i] = log2(e) Q[rows[i]]; top[i] = its score with its own token (or the lowest float)."""
    for i in range(rows.shape[0]):
        r = rows[i]
        score = np.float32(0.0)
        for j in range(Q.shape[1]):
            q[i, j] = Q[r, j] * _LOG2E
            if own:
                score += q[i, j] * Kq[r, j]
        top[i] = score if own else _LOWEST


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _bound_tile(S: Any, first: Any, top: Any, argtop: Any, total: Any) -> None:
    """Take a tile of scores into the running maximum and the running bound on the weights."""
    for r in range(S.shape[0]):
        m = top[r]
        for j in range(S.shape[1]):
            m = _fmax(m, S[r, j])
        if m > top[r]:
            total[r] *= math.exp2(np.float64(top[r]) - np.float64(m))
            top[r] = m
            for j in range(S.shape[1]):
                if S[r, j] == m:
                    argtop[r] = first + j
        s = np.float32(0.0)
        for j in range(S.shape[1]):
            s += _exp2_above(S[r, j] - m)
        total[r] += s


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _weigh_tile(S: Any, top: Any, total: Any, O: Any) -> None:
    """Turn a tile of scores into weights, moving the running maximum, sum and output along."""
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
            w = _exp2(S[r, j] - m)
            S[r, j] = w
            s += w
        total[r] += s


@njit(cache=True, nogil=True, fastmath=_STRICT, error_model="numpy")
def _settle(value: Any, rest: Any, theta: Any, low: Any, high: Any, bits: Any) -> Any:
    """Write the bits that dominance settles; whether it settled every one of them."""
    above = rest * (theta - low if theta > low else 0.0)
    below = rest * (high - theta if high > theta else 0.0)
    for j in range(value.shape[0]):
        gap = np.float64(value[j]) - theta
        bits[j] = gap > above
        if gap <= above and -gap < below:
            return False
    return True


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def decode(
    Q: Any, Kq: Any, Vq: Any, own: Any, K: Any, V: Any, tests: Any, dominance: Any,
    block: Any, columns: Any, out: Any, bits: Any,
) -> None:
    """Attention of every row over K, V and, if ``own``, the row's own token.

    Float32, C-contiguous: Q[m, d_k], Kq[m, d_k], Vq[m, d_v], K[t, d_k], V[t, d_v]. Without
    ``dominance`` every row of ``out`` (float32[m, d_v]) is written and ``bits`` is not touched.
    With it, a row that dominance settles gets its ``bits`` (bool[m, d_v]); every other row its
    outputs and the bits output > threshold. ``tests`` is float64[m + 1, 2]: threshold and slack
    of each row, then the least and the largest value.
    """
    m, t, d_v = Q.shape[0], K.shape[0], V.shape[1]
    low, high = tests[m, 0], tests[m, 1]
    q_all = np.empty((block, Q.shape[1]), np.float32)
    S_all = np.empty(block * columns, np.float32)
    O = np.empty((block, d_v), np.float32)
    T = np.empty((block, d_v), np.float32)
    rows = np.empty(block, np.int64)
    top = np.empty(block, np.float32)
    total = np.empty(block, np.float64)
    argtop = np.empty(block, np.int64)
    promising = True
    for first in range(0, m, block):
        size = min(block, m - first)
        for i in range(size):
            rows[i] = first + i
        left, begin = size, 0
        if dominance:
            left = 0
        # -- the dominance test: where it seldom holds, ask a few rows before the rest
        while dominance and begin < size:
            end = size if promising else min(size, begin + 32)
            c = end - begin
            q = q_all[:c]
            _gather(Q, Kq, own, rows[begin:end], q, top)
            for i in range(c):
                total[i] = 1.0 if own else 0.0
                argtop[i] = -1
            for j in range(0, t, columns):
                w = min(columns, t - j)
                S = S_all[: c * w].reshape(c, w)
                np.dot(q, K[j : j + w].T, S)
                _bound_tile(S, j, top, argtop, total)
            refused = 0
            for i in range(c):
                r = rows[begin + i]
                value = V[argtop[i]] if argtop[i] >= 0 else Vq[r]
                rest = total[i] * (1.0 + tests[r, 1]) - 1.0
                if not _settle(value, rest, tests[r, 0], low, high, bits[r]):
                    rows[left + refused] = r
                    refused += 1
            left += refused
            begin = end
            promising = 2 * refused <= c
            if not promising:
                for i in range(begin, size):
                    rows[left] = rows[i]
                    left += 1
                begin = size
        if left == 0:
            continue
        # -- the online softmax over tiles of keys
        q, o, product = q_all[:left], O[:left], T[:left]
        _gather(Q, Kq, own, rows[:left], q, top)
        for i in range(left):
            total[i] = 1.0 if own else 0.0
            for j in range(d_v):
                o[i, j] = Vq[rows[i], j] if own else np.float32(0.0)
        for j in range(0, t, columns):
            w = min(columns, t - j)
            S = S_all[: left * w].reshape(left, w)
            np.dot(q, K[j : j + w].T, S)
            _weigh_tile(S, top, total, o)
            np.dot(S, V[j : j + w], product)
            for i in range(left):
                for l in range(d_v):
                    o[i, l] += product[i, l]
        for i in range(left):
            r = rows[i]
            for j in range(d_v):
                out[r, j] = o[i, j] / np.float32(total[i])
                if dominance:
                    bits[r, j] = np.float64(out[r, j]) > tests[r, 0]
