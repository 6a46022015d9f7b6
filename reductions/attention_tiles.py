"""The all-index decode in tiles: BLAS for the two products, a kernel between them.

A block of queries meets the keys tile by tile, so that a tile of scores is still in the core's own
cache when it becomes weights and meets the values. One thread: a game is scaled over messages.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import sgemm
from threadpoolctl import ThreadpoolController

from .attention_kernels import bound_tile, settle_rows, weigh_tile
from .stored import Rows, Stored, blocks

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Own = tuple[Float32, Float32] | None

ROWS = 512  # queries a block
SCORES = 512 * 256  # scores a tile: 512 KiB
COLUMNS = 1024  # keys a tile at most: the proof in attention.next_bits counts on it
_PROBE = 32  # rows asked first where the last block was seldom dominated
_LOG2E = math.log2(math.e)
_LOWEST = np.finfo(np.float32).min


@functools.cache
def _controller() -> ThreadpoolController:
    # OpenBLAS prefetches past what it packed. Until its buffer has been written once, those
    # addresses have no page, and some shapes run 2 to 3.5 times slower (measured on Zen).
    ones = np.ones((512, 384), dtype=np.float32, order="F")
    sgemm(1.0, ones, ones, trans_b=True)
    return ThreadpoolController()


class _OneThread:
    """Who enters first limits BLAS, who leaves last restores it: threads may overlap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limit = _controller().limit(limits=1, user_api="blas")
                self._limit.__enter__()
            self._inside += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.__exit__(None, None, None)


#: ``with one_thread:`` BLAS has one thread; the libraries are looked for once
one_thread = _OneThread()


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
    scratch = np.empty(SCORES, dtype=np.float32)
    for rows in _cuts(len(Q), ROWS):
        q = Q[rows]
        top, total = _start(q, rows, own)
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


def dominated_bits(
    Q: Float32, own: Own, K: Rows, V: Rows, theta: Float64, slack: Float64
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The bits output > theta of the rows in which one weight settles them (``next_bits``).

    Args:
        Q, own, K, V: as in :func:`outputs`.
        theta: float64[m] thresholds.
        slack: float64[m], what rounding may take from the sum of weights, as a fraction.

    Returns:
        bool[m, d_v], and the rows int64 that are not settled, whose bits are meaningless.
    """
    bits = np.empty((len(Q), V.shape[1]), dtype=np.bool_)
    ends = [(block.min(initial=np.inf), block.max(initial=-np.inf)) for block in blocks(V)]
    ends += [] if own is None else [(own[1].min(initial=np.inf), own[1].max(initial=-np.inf))]
    low, high = float(min(a for a, _ in ends)), float(max(b for _, b in ends))
    scratch = np.empty(SCORES, dtype=np.float32)
    undecided: list[NDArray[np.int64]] = []
    promising = True
    for block in _cuts(len(Q), ROWS):
        # A test that fails is a product wasted: where the last one did, a few rows go first.
        first = block.start
        while first < block.stop:
            last = block.stop if promising else min(first + _PROBE, block.stop)
            rows = slice(first, last)
            top, total = _start(Q[rows], rows, own)
            argtop = np.full(len(top), -1)
            for tile in _cuts(len(K), _columns(len(top))):
                bound_tile(_scores(Q[rows], K[tile], scratch), tile.start, top, argtop, total)
            rest = total * (1.0 + slack[rows]) - 1.0
            values, at = V, argtop
            if isinstance(V, Stored):
                values, at = V[np.maximum(argtop, 0)], np.where(argtop < 0, -1, np.arange(len(top)))
            left = settle_rows(values, at, rest, theta[rows], low, high, bits[rows])
            promising = 2 * len(left) <= len(top)
            undecided.append(first + left)
            first = last
            if not promising:
                undecided.append(np.arange(first, block.stop))
                first = block.stop
    return bits, np.concatenate(undecided) if undecided else np.empty(0, dtype=np.int64)


def _cuts(length: int, size: int) -> Iterator[slice]:
    """Cut range(length) into the fewest slices of at most ``size``, nearly equal."""
    pieces = -(-length // size)
    for p in range(pieces):
        yield slice(p * length // pieces, (p + 1) * length // pieces)


def _columns(rows: int) -> int:
    return min(COLUMNS, SCORES // rows)


def _start(q: Float32, rows: slice, own: Own) -> tuple[Float32, Float64]:
    """Maximum score (base 2) and sum of weights before the first tile: the own token, or none."""
    if own is None:
        return np.full(len(q), _LOWEST, dtype=np.float32), np.zeros(len(q))
    scores = np.einsum("ij,ij->i", q, own[0][rows])
    return scores * np.float32(_LOG2E), np.ones(len(q))


def _scores(q: Float32, k: Float32, scratch: Float32) -> Float32:
    """log2(e) q k^T in the scratch: float32[rows, columns], C-contiguous."""
    S = scratch[: len(q) * len(k)].reshape(len(q), len(k))
    sgemm(_LOG2E, k.T, q.T, c=S.T, trans_a=True, overwrite_c=True)
    return S
