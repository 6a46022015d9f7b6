"""Tensor attention: every pair of tokens is a row (the rule of arXiv 2503.11108, reconstructed).

Two key caches K1, K2 and two value caches V1, V2, each float[t, d]. The rows attended to are the
t^2 pairs (i, j), with key k1_i o k2_j and value v1_i o v2_j, o the product entry by entry:

    Attn(q) = softmax((K1 (/) K2) q)^T (V1 (/) V2),    row i t + j of A (/) B is a_i o b_j.

The paper was seen as an abstract only; the rule is the usual one of tensor attention.

In a stream a token is k = [k1 | k2] and v = [v1 | v2], so d_k = d_v = 2 d. A query is q = [q | 0]
and the answer [o | 0]: what stands in a query's second half is not looked at.

**Four caches suffice** (ours, elementary). <q, k1_i o k2_j> = sum_c q_c k1_ic k2_jc, so all scores
are the t x t matrix K1 diag(q) K2^T, and with its weights W the unnormalised answer is
sum_ij W_ij v1_i o v2_j = sum_i v1_i o (W V2)_i. Nothing of t^2 d numbers is formed: O(t^2 d) time
and O(t (t + d)) space a query, from 4 t d stored numbers. :func:`attention` forms the rows and is
the definition; the float32 functions do not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from . import attention as softmax_attention

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Floating = NDArray[np.floating]
Halves = tuple[Floating, Floating]

#: numbers of an array of weights or of weighted values at once, 16 MiB of float32
_BLOCK = 1 << 22


def pairs(A: ArrayLike, B: ArrayLike) -> Floating:
    """A (/) B: row i t_B + j is a_i o b_j. [t_A, d], [t_B, d] -> [t_A t_B, d].

    >>> pairs([[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]).tolist()
    [[3.0, 8.0], [5.0, 12.0]]
    """
    A, B = np.asarray(A), np.asarray(B)
    rows: Floating = (A[:, None] * B[None]).reshape(-1, A.shape[1])
    return rows


def halves(rows: ArrayLike) -> Halves:
    """[a | b] -> a, b; BadInput for an odd width."""
    both = np.asarray(rows)
    if both.shape[-1] % 2:
        raise BadInput(
            f"Tensor attention needs keys [k1 | k2] and values [v1 | v2]: an even number of "
            f"coordinates, not {both.shape[-1]}."
        )
    d = both.shape[-1] // 2
    return both[..., :d], both[..., d:]


def attention(q: ArrayLike, K: ArrayLike, V: ArrayLike) -> Float64:
    """The definition, over all t^2 rows: float64[2 d_v] = [o | 0].

    Args:
        q: [2 d_k], [q | anything].
        K: [t, 2 d_k], [k1 | k2], at least one row.
        V: [t, 2 d_v], [v1 | v2].

    >>> attention([0.0, 0.0], [[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 3.0]]).tolist()
    [2.0, 0.0]
    """
    q, K, V = (np.asarray(a, dtype=np.float64) for a in (q, K, V))
    output = softmax_attention.attention(halves(q)[0], pairs(*halves(K)), pairs(*halves(V)))
    return np.concatenate([output, np.zeros_like(output)])


def next_outputs(Q: ArrayLike, Kq: ArrayLike, Vq: ArrayLike, K: ArrayLike, V: ArrayLike) -> Float32:
    """Row r: tensor attention of q_r over the stored tokens and token r: float32[m, 2 d_v].

    A token more is 2 t + 1 rows more: (t, j), (i, t) and (t, t).

    Args:
        Q: [m, 2 d_k], one query a row.
        Kq, Vq: [m, 2 d_k], [m, 2 d_v]: each query's own token.
        K, V: [t, 2 d_k], [t, 2 d_v]: the stored ones; t = 0 is fine.

    Inner products are float32: a score may be off by about (d_k + 3) 2^-24 |q| |k1 o k2|.
    Raises BadInput where the shapes do not fit.
    """
    return _outputs(Q, (Kq, Vq), K, V)


def block_outputs(Q: ArrayLike, K: ArrayLike, V: ArrayLike) -> Float32:
    """Every row's tensor attention over the stored tokens alone, t >= 1: float32[m, 2 d_v]."""
    if len(np.asarray(K)) == 0:
        raise BadInput("Attention needs at least one token: append a token first.")
    return _outputs(Q, None, K, V)


def _outputs(
    Q: ArrayLike, own: tuple[ArrayLike, ArrayLike] | None, K: ArrayLike, V: ArrayLike
) -> Float32:
    from .blas import one_thread

    q, K, V = (np.asarray(a, dtype=np.float32) for a in (Q, K, V))
    tokens = [np.asarray(a, dtype=np.float32) for a in own or ()]
    shapes = [V.shape[:1] + q.shape[1:], q.shape, (len(q), V.shape[1])]
    for array, shape in zip([K, *tokens], shapes, strict=False):
        if array.shape != shape:
            raise BadInput(f"Keys or values have shape {array.shape}: it must be {shape}.")
    t, d = V.shape[0], V.shape[1] // 2
    out = np.zeros((len(q), V.shape[1]), dtype=np.float32)
    step = max(1, _BLOCK // max(1, t * max(t, d, q.shape[1] // 2)))
    with one_thread:
        for start in range(0, len(q), step):
            at = slice(start, start + step)
            token = [halves(array[at]) for array in tokens]
            out[at, :d] = _answers(halves(q[at])[0], token, halves(K), halves(V))
    return out


def _answers(q: Floating, own: list[Halves], K: Halves, V: Halves) -> Float32:
    """One block of queries, [m, d_k] -> [m, d_v]; ``own``: [(k1, k2), (v1, v2)] or []."""
    (K1, K2), (V1, V2) = K, V
    m = len(q)
    scores = (q[:, None] * K1) @ K2.T
    weights = [scores.reshape(m, -1)]
    if own:
        (k1, k2), _ = own
        weights += [(q * k1) @ K2.T, (q * k2) @ K1.T, (q * k1 * k2).sum(axis=1, keepdims=True)]
    flat = np.concatenate(weights, axis=1)
    flat -= flat.max(axis=1, keepdims=True)
    np.exp(flat, out=flat)
    total = flat.sum(axis=1, keepdims=True)
    t = len(K1)
    inner = flat[:, : t * t].reshape(m, t, t) @ V2
    answer = np.einsum("mic,ic->mc", inner, V1)
    if own:
        v1, v2 = own[1]
        second, first = flat[:, t * t : t * t + t], flat[:, t * t + t : -1]
        answer += v1 * (second @ V2) + v2 * (first @ V1) + flat[:, -1:] * v1 * v2
    outputs: Float32 = answer / total
    return outputs
