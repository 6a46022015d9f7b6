"""The all-index decode against torch and against blocked NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from kvbarrier.reductions import attention
from kvbarrier.reductions.blas import one_thread
from kvbarrier.reductions.keys import make
from kvbarrier.reductions.memo import Memo
from paired import middle, ratio, rounds

SHAPES = [(4096, 64), (1024, 64), (512, 64), (4096, 128)]


def game(n: int, d: int, scale: float = 20.0):
    """Unit keys, values in {0, 1}, q = C k, Bob's token zero: what an exact cache is asked."""
    rng = np.random.default_rng(0)
    K = rng.standard_normal((n, d))
    K = (K / np.linalg.norm(K, axis=1, keepdims=True)).astype(np.float32)
    V = rng.integers(0, 2, (n, d)).astype(np.float32)
    zero = np.zeros_like(K)
    return np.float32(scale) * K, zero, zero.copy(), K, V


def anew(call: Callable[[], object]) -> Callable[[], object]:
    """The call of a process that has met no such queries and keys before."""

    def forgetful() -> object:
        attention._KNOWN, attention._COSETS = Memo(1 << 26), Memo(1 << 26)
        return call()

    return forgetful


def torch_call(Q, K, V) -> Callable[[], object] | None:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    q, k, v = (torch.from_numpy(a)[None, None] for a in (Q, K, V))
    sdpa = torch.nn.functional.scaled_dot_product_attention
    return lambda: sdpa(q, k, v, scale=1.0)


def numpy_blocked(Q, K, V, rows: int = 64):
    out = np.empty((len(Q), V.shape[1]), dtype=np.float32)
    for first in range(0, len(Q), rows):
        weights = Q[first : first + rows] @ K.T
        weights -= weights.max(axis=1, keepdims=True)
        np.exp(weights, out=weights)
        total = weights.sum(axis=1, keepdims=True)
        out[first : first + rows] = weights @ V / total
    return out


def sgemm_limit(n: int, d: int) -> tuple[Callable[[], object], float]:
    """A 1024^3 product, and how many of them the 4 n^2 d flop of a dense decode are."""
    A = np.random.default_rng(1).standard_normal((1024, 1024)).astype(np.float32)
    out = np.empty_like(A)
    return (lambda: np.dot(A, A, out=out)), 4 * n * n * d / (2 * 1024**3)


def measure(n: int, d: int, count: int) -> dict[str, float | None]:
    """Milliseconds and ratios of one shape."""
    Q, Kq, Vq, K, V = game(n, d)
    theta = np.full(n, 0.45, dtype=np.float32)
    gemm, products = sgemm_limit(n, d)
    calls: dict[str, Callable[[], object]] = {
        "dense": lambda: attention.next_bits(Q, Kq, Vq, K, V, theta, dominance=False),
        "dominance": anew(lambda: attention.next_bits(Q, Kq, Vq, K, V, theta)),
        "again": lambda: attention.next_bits(Q, Kq, Vq, K, V, theta),
        "numpy": lambda: numpy_blocked(Q, K, V),
        "gemm": gemm,
    }
    peer = torch_call(Q, K, V)
    if peer is not None:
        calls["torch"] = peer
    wrong = int((calls["dominance"]() != (V > 0.5)).sum() + (calls["dense"]() != (V > 0.5)).sum())
    assert wrong == 0, f"{wrong} wrong bits: a benchmark of a wrong answer is worth nothing"
    with one_thread:
        taken = rounds(calls, count)
    result: dict[str, float | None] = {
        "dense ms": 1e3 * middle(taken["dense"]),
        "dominance ms": 1e3 * middle(taken["dominance"]),
        "again ms": 1e3 * middle(taken["again"]),
        "dense / limit": products * ratio(taken, "gemm", "dense"),
        "dense / numpy": ratio(taken, "numpy", "dense"),
        "dominance / numpy": ratio(taken, "numpy", "dominance"),
        "dense / torch": None,
        "dominance / torch": None,
        "again / torch": None,
    }
    if peer is not None:
        result["dense / torch"] = ratio(taken, "torch", "dense")
        result["dominance / torch"] = ratio(taken, "torch", "dominance")
        result["again / torch"] = ratio(taken, "torch", "again")
    return result


def kept(n: int, d: int, share: float, count: int) -> float:
    """Dominance on against off where only a share of the keys, the newest, is stored."""
    Q, Kq, Vq, K, V = game(n, d)
    first = n - int(share * n)
    K, V = K[first:].copy(), V[first:].copy()
    theta = np.full(n, 0.45, dtype=np.float32)
    taken = rounds(
        {
            "off": lambda: attention.next_bits(Q, Kq, Vq, K, V, theta, dominance=False),
            "on": anew(lambda: attention.next_bits(Q, Kq, Vq, K, V, theta)),
        },
        count,
    )
    return ratio(taken, "off", "on")


def cosets(name: str, n: int, d: int, share: float, count: int) -> dict[str, float | None]:
    """The convolutions over sign keys, a random share of them stored, against score by score."""
    rng = np.random.default_rng(0)
    keys = make(name, n, d).rows
    Q, zero = np.float32(10.0) * keys, np.zeros_like(keys)
    K = keys[np.sort(rng.permutation(n)[: int(share * n)])].copy()
    V = rng.integers(0, 2, K.shape).astype(np.float32)
    theta = np.full(n, 0.45, dtype=np.float32)
    dense = (Q, (zero, zero), K, V)
    calls: dict[str, Callable[[], object]] = {
        "first": anew(lambda: attention.next_bits(Q, zero, zero, K, V, theta)),
        "again": lambda: attention.next_bits(Q, zero, zero, K, V, theta),
        "dense": lambda: attention._outputs(dense, None) > theta[:, None],
    }
    peer = torch_call(Q, K, V)
    if peer is not None:
        calls["torch"] = peer
    differ = int((calls["again"]() != calls["dense"]()).sum())
    with one_thread:
        taken = rounds(calls, count)
    return {
        "first ms": 1e3 * middle(taken["first"]),
        "again ms": 1e3 * middle(taken["again"]),
        "again / dense": ratio(taken, "dense", "again"),
        "first / torch": None if peer is None else ratio(taken, "torch", "first"),
        "again / torch": None if peer is None else ratio(taken, "torch", "again"),
        "bits that differ": differ,
    }
