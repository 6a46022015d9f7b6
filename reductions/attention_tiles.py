"""The all-index decode in tiles: BLAS for the two products, a kernel between them.

A block of queries meets the keys tile by tile, so that a tile of scores is still in the core's own
cache when it becomes weights and meets the values. One thread: a game is scaled over messages.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import sgemm

from .attention_kernels import bound_tile, settle_rows, weigh_tile
from .stored import Rows, Stored, blocks

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Own = tuple[Float32, Float32] | None

ROWS = 1024  # queries a block
SCORES = 1024 * 256  # scores a tile: 1 MiB
COLUMNS = 1024  # keys a tile at most: the proof in attention.next_bits counts on it
_THREAD = threading.local()
_PROBE = 32  # rows asked first where the last block was seldom dominated
_LOG2E = math.log2(math.e)
_LOWEST = np.finfo(np.float32).min


def outputs(Q: Float32, own: Own, K: Rows, V: Rows) -> Float32:
    """Attention of every query over the rows of K, V and, if given, its own token.

    Args:
        Q: float32[m, d_k].
        own: (float32[m, d_k], float32[m, d_v]): one more key and value for each query, or None.
        K: float32[t, d_k], or stored rows.
        V: float32[t, d_v], or stored rows.

    All are C-contiguous. Returns float32[m, d_v]. Without any key the output is nan.
    """
    out = np.empty((len(Q), V.shape[1]), dtype=np.float32)
    scratch = _scratch()
    for rows in _cuts(len(Q), ROWS):
        q = Q[rows]
        top, total = _start(q, None if own is None else own[0][rows])
        o = out[rows]
        o[:] = 0.0 if own is None else own[1][rows]
        for tile in _cuts(len(K), _columns(len(q))):
            S = _scores(q, K[tile], scratch)
            weigh_tile(S, top, total, o)
            # o += S V, written for BLAS's columns: o^T += V^T S^T.
            sgemm(1.0, V[tile].T, S.T, beta=1.0, c=o.T, overwrite_c=True)
        with np.errstate(invalid="ignore"):
            o /= total.astype(np.float32)[:, None]
    return out


class Heaviest(NamedTuple):
    """What the scores alone say of each row, before any value is seen.

    Attributes:
        key: int64[m], the stored key with the largest weight; -1: none is larger than the own
            token, or nobody looked.
        rest: float64[m], a bound on the sum of the other weights as a multiple of the largest.
    """

    key: NDArray[np.int64]
    rest: Float64


def heaviest(Q: Float32, own: Float32 | None, K: Rows, slack: Float64) -> Heaviest:
    """The heaviest key of each row, and a bound on the others (proof: ``attention.next_bits``).

    Args:
        Q, K: as in :func:`outputs`.
        own: float32[m, d_k], one more key for each query, or None.
        slack: float64[m], what rounding may take from the sum of weights, as a fraction.
    """
    found = Heaviest(np.full(len(Q), -1), np.full(len(Q), np.inf))
    scratch = _scratch()
    promising = True
    for block in _cuts(len(Q), ROWS):
        # A test that fails is a product wasted: where the last one did, a few rows go first.
        first = block.start
        while first < block.stop:
            last = block.stop if promising else min(first + _PROBE, block.stop)
            rows = slice(first, last)
            top, total = _start(Q[rows], None if own is None else own[rows])
            argtop = found.key[rows]
            for tile in _cuts(len(K), _columns(len(top))):
                bound_tile(_scores(Q[rows], K[tile], scratch), tile.start, top, argtop, total)
            rest = total * (1.0 + slack[rows]) - 1.0
            found.rest[rows] = rest
            # Values do not count here: what is found must not depend on what was asked before.
            promising = bool(2 * np.count_nonzero((argtop >= 0) & (rest < 1.0)) >= len(top))
            first = last if promising else block.stop
    return found


def dominated_bits(
    found: Heaviest, own: Float32 | None, V: Rows, theta: Float64
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The bits output > theta of the rows in which one weight settles them (``next_bits``).

    Args:
        found: float64[m], from :func:`heaviest`.
        own: float32[m, d_v], each row's own value, or None.
        V: float32[t, d_v], or stored rows.
        theta: float64[m] thresholds.

    Returns:
        bool[m, d_v], and the rows int64 that are not settled, whose bits are meaningless.
    """
    bits = np.empty((len(found.key), V.shape[1]), dtype=np.bool_)
    seen = chain(blocks(V), () if own is None else (own,))
    ends = [(a.min(initial=np.inf), a.max(initial=-np.inf)) for a in seen]
    low, high = float(min(a for a, _ in ends)), float(max(b for _, b in ends))
    values, key = V, found.key
    if isinstance(V, Stored):
        values, key = V[np.maximum(key, 0)], np.where(key < 0, -1, np.arange(len(key)))
    left: NDArray[np.int64] = settle_rows(values, key, found.rest, theta, low, high, bits)
    return bits, left


def _cuts(length: int, size: int) -> Iterator[slice]:
    """Cut range(length) into the fewest slices of at most ``size``, nearly equal."""
    pieces = -(-length // size)
    for p in range(pieces):
        yield slice(p * length // pieces, (p + 1) * length // pieces)


def _columns(rows: int) -> int:
    return min(COLUMNS, SCORES // rows)


def _start(q: Float32, own: Float32 | None) -> tuple[Float32, Float64]:
    """Maximum score (base 2) and sum of weights before the first tile: the own token, or none."""
    if own is None:
        return np.full(len(q), _LOWEST, dtype=np.float32), np.zeros(len(q))
    scores = np.einsum("ij,ij->i", q, own)
    return scores * np.float32(_LOG2E), np.ones(len(q))


def _scratch() -> Float32:
    """Room for a tile of scores, the thread's own: new memory costs a page fault every 4 KiB."""
    room: Float32 | None = getattr(_THREAD, "scratch", None)
    if room is None:
        room = _THREAD.scratch = np.empty(SCORES, dtype=np.float32)
    return room


def _scores(q: Float32, k: Float32, scratch: Float32) -> Float32:
    """log2(e) q k^T in the scratch: float32[rows, columns], C-contiguous."""
    S = scratch[: len(q) * len(k)].reshape(len(q), len(k))
    sgemm(_LOG2E, k.T, q.T, c=S.T, trans_a=True, overwrite_c=True)
    return S
