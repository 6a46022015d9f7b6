"""Exact attention: the definitions in float64, and the all-index decode in float32.

Scores are <q, k>, with no 1/sqrt(d) (Haris & Onak 2025, eq. 1-2; formulas reconstructed). The
float64 functions are the definitions. The float32 functions answer many queries at once, each over
the same stored rows and, for Theorem 6's Bob, one own token more; they run kernels and one BLAS
thread (``attention_tiles``), which are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .memo import Memo
from .stored import Rows, Stored, blocks

if TYPE_CHECKING:
    from .attention_tiles import Heaviest
    from .coset_attention import Cosets

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Own = tuple[Float32, Float32] | None
Given = ArrayLike | Stored
Asked = tuple[Float32, Own, Rows, Rows]
"""Queries, own tokens, keys and values, checked against one another."""

#: what the sum of weight bounds may lose to rounding, as a fraction (proof in ``next_bits``)
SUM_ROUNDING = 1e-4
#: what was found of the last queries and keys; 64 MiB hold 2^16 keys of dimension 64
_KNOWN: Memo[Heaviest] = Memo(1 << 26)
_COSETS: Memo[Cosets] = Memo(1 << 26)
#: a score that float32 can hold, with some room
_HIGHEST = 1e37
_NOTHING = "Attention needs at least one token: append a token first."


def attention(q: ArrayLike, K: ArrayLike, V: ArrayLike) -> Float64:
    """The definition, eq. (1)-(2): Attn(q, K, V) = softmax(K q)^T V.

    Args:
        q: [d_k].
        K: [t, d_k], at least one row.
        V: [t, d_v].

    Returns float64[d_v]. The largest score is subtracted first, so no score overflows.

    >>> attention([1.0, 0.0], [[0.0, 5.0], [0.0, -5.0]], [[1.0], [3.0]]).tolist()
    [2.0]
    """
    q, K, V = (np.asarray(a, dtype=np.float64) for a in (q, K, V))
    if len(K) == 0:
        raise BadInput(_NOTHING)
    output: Float64 = _softmax(K @ q) @ V
    return output


def sliding_window_attention(
    q: ArrayLike, K: ArrayLike, V: ArrayLike, W: int, *, masked: bool = True
) -> Float64:
    """Attention with a window of the last W tokens: float64[d_v]. Shapes as in :func:`attention`.

    masked: tokens outside the window have weight 0, as in Longformer and every implementation.
    Not masked: the paper's (reconstructed) eq. (20), (M . K q)_l with M = 1 on the last W tokens
    and 0 elsewhere: scores outside are 0, so every older value counts with weight e^0.

    >>> sliding_window_attention([0.0], [[1.0], [1.0]], [[0.0], [4.0]], 1).tolist()
    [4.0]
    >>> sliding_window_attention([0.0], [[1.0], [1.0]], [[0.0], [4.0]], 1, masked=False).tolist()
    [2.0]
    """
    if W < 1:
        raise BadInput(f"A window must hold at least one token, not {W}.")
    q, K, V = (np.asarray(a, dtype=np.float64) for a in (q, K, V))
    if masked:
        return attention(q, K[-W:], V[-W:])
    if len(K) == 0:
        raise BadInput(_NOTHING)
    scores = K @ q
    scores[: max(0, len(K) - W)] = 0.0
    output: Float64 = _softmax(scores) @ V
    return output


def _softmax(scores: Float64) -> Float64:
    weights = np.exp(scores - scores.max())
    normal: Float64 = weights / weights.sum()
    return normal


def next_outputs(Q: ArrayLike, Kq: ArrayLike, Vq: ArrayLike, K: Given, V: Given) -> Float32:
    """Every row's attention over the stored rows and its own token.

    Args:
        Q: [m, d_k], one query a row.
        Kq: [m, d_k], row r the own key of query r (its (q_n, k_n, v_n) in Theorem 6).
        Vq: [m, d_v], row r its own value.
        K: [t, d_k], stored keys, also as :class:`.stored.Stored`; t = 0 is fine.
        V: [t, d_v], stored values.

    Returns:
        float32[m, d_v]: row r = softmax over (K, Kq[r]) of the scores with Q[r], times (V, Vq[r]).
        Inner products are float32, so a score s may be off by (d_k + 3) 2^-24 |q| |k|. Weights
        below 2^-126 of the largest count as 0. Where keys and queries are sign vectors of few
        cosets the outputs come from convolutions in float64, and are nearer
        (``coset_attention``); it is the arrays' numbers that decide.

    Raises:
        BadInput: the shapes do not fit, or a score could overflow float32.
    """
    rows = _rows(Q, (Kq, Vq), K, V)
    return _outputs(rows, _cosets(rows))


def block_outputs(Q: ArrayLike, K: Given, V: Given) -> Float32:
    """Every row's attention over the stored rows alone, as :func:`next_outputs`: float32[m, d_v].

    Raises:
        BadInput: as :func:`next_outputs`; also for t = 0.
    """
    rows = _rows(Q, None, K, V)
    return _outputs(rows, _cosets(rows))


def next_bits(
    Q: ArrayLike,
    Kq: ArrayLike | None,
    Vq: ArrayLike | None,
    K: Given,
    V: Given,
    thresholds: ArrayLike,
    dominance: bool = True,
) -> NDArray[np.bool_]:
    r"""The bits ``next_outputs(...) > thresholds[:, None]``, without most of the work.

    Args:
        Q, Kq, Vq, K, V: as in :func:`next_outputs`; no own tokens (as in :func:`block_outputs`)
            where Kq and Vq are None.
        thresholds: [m], float32.
        dominance: try the row shortcut below; ``False`` computes every output.

    Returns:
        bool[m, d_v]. A row that the shortcut settles has the bits of the exact real-number outputs
        of the float32 inputs; the others those of the float32 outputs. So the two settings of
        ``dominance`` differ only where an output is within float32 rounding of its threshold.

    The dominance test (ours). Let a row have threshold theta, scores s_l (own token included), any
    designated token t, and values V_lj in [a, b]: the least and the largest number attended to, so
    nothing is assumed about how many values there are. With w_l = e^{s_l} and
    p = sum_{l != t} w_l / w_t,

        (o_j - theta) sum_l w_l / w_t = (V_tj - theta) + sum_{l != t} (w_l / w_t) (V_lj - theta)
            >= (V_tj - theta) - p (theta - a)^+       > 0  if V_tj - theta >  p (theta - a)^+
            <= (V_tj - theta) + p (b - theta)^+       <= 0 if theta - V_tj >= p (b - theta)^+

    so the bit is 1, or 0, whatever the other values are. (For values {0, 1}: the top weight exceeds
    theta D where the bit is 1, the rest is at most theta D where it is 0, D the whole sum.) A row
    is skipped only if every j is settled. Any upper bound on p will do: no product with V and no
    exact exponential is needed (``attention_kernels.exp2_above``).

    Once for many messages. t and p depend on queries and keys alone, so both are remembered by the
    bytes of these arrays (``memo``): where the same keys are met with other values, a row costs one
    look at V_t. Which rows the test is tried on does not depend on values either, so no bit depends
    on what was asked before.

    Rounding. Let u = 2^-24 and B = |q| max |k|. A float32 inner product, summed in any order, is
    off by at most (d + 1) u B while d^2 u <= 1; the factor log2 e and its product add 2 u B,
    subtracting the maximum 2 u B: the difference of two scores is off by at most
    x = 2 (d + 5) u B. The sum Sigma over chord bounds (its top term is exactly 1) loses to rounding
    at most 3e-6 in the chord's argument and 1024 u = 6.1e-5 in the float32 sum of a tile's at most
    1024 terms (tiles are added in float64): less than a fraction c = 1e-4. Hence
    p <= e^x (e^c Sigma - 1) <= e^{x + c} Sigma - 1, which is what is tested.
    """
    from . import attention_tiles
    from .blas import one_thread

    q, own, k, v = rows = _rows(Q, None if Kq is None or Vq is None else (Kq, Vq), K, V)
    theta = np.asarray(thresholds, dtype=np.float32)
    if theta.shape != (len(q),):
        raise BadInput(
            f"There are {len(q)} queries: give one threshold for each, not shape {theta.shape}."
        )
    plan = _cosets(rows)
    if not dominance or plan is not None:
        return _outputs(rows, plan) > theta[:, None]
    with one_thread:
        found = _heaviest(rows)
        bits, left = attention_tiles.dominated_bits(
            found, None if own is None else own[1], v, theta.astype(np.float64)
        )
        if len(left):
            own = None if own is None else (own[0][left], own[1][left])
            bits[left] = attention_tiles.outputs(q[left], own, k, v) > theta[left, None]
    return bits


def _outputs(rows: Asked, plan: Cosets | None) -> Float32:
    """By cosets if there is a plan, else tile by tile; BadInput as in :func:`next_outputs`."""
    from . import attention_tiles
    from .blas import one_thread

    q, own, _, v = rows
    with one_thread:
        if plan is not None and isinstance(v, np.ndarray):
            if own is None:
                return plan.outputs(None, v)
            scores = np.einsum("ij,ij->i", q, own[0])
            if (np.abs(scores) < _HIGHEST).all():
                return plan.outputs((scores.astype(np.float64), own[1]), v)
        _reach(rows)
        return attention_tiles.outputs(*rows)


def _cosets(rows: Asked) -> Cosets | None:
    """The plan for these queries and keys, if they are words of few cosets."""
    q, _, k, _ = rows
    if isinstance(k, Stored):
        return None
    # It takes many queries to pay, and most sets show by one row that they are none.
    if len(q) < 4 * k.shape[1] or any(np.ptp(np.abs(a[:1])) > 0 for a in (q, k) if a.size):
        return None
    from .blas import one_thread
    from .coset_attention import Cosets

    found = _COSETS.find((q, k))
    if found is None:
        with one_thread:
            found = Cosets.of(q, k)
        if found is not None:
            _COSETS.keep((q, k), found, found.nbytes)
    return found


def _heaviest(rows: Asked) -> Heaviest:
    """What the dominance test needs of queries and keys; BadInput as in :func:`next_outputs`."""
    from . import attention_tiles

    q, own, k, _ = rows
    # Stored rows are many, and nothing of theirs is kept.
    given = None if isinstance(k, Stored) else (q, k, *(own or ())[:1])
    found = None if given is None else _KNOWN.find(given)
    if found is None:
        slack = np.expm1(2 * (q.shape[1] + 5) * 2.0**-24 * _reach(rows) + SUM_ROUNDING)
        found = attention_tiles.heaviest(q, None if own is None else own[0], k, slack)
        if given is not None:
            _KNOWN.keep(given, found, found.key.nbytes + found.rest.nbytes)
    return found


def _rows(Q: ArrayLike, own: tuple[ArrayLike, ArrayLike] | None, K: Given, V: Given) -> Asked:
    """The same as C-contiguous float32 or stored rows, checked against one another."""
    q = np.ascontiguousarray(Q, dtype=np.float32)
    k, v = (
        a if isinstance(a, Stored) else np.ascontiguousarray(a, dtype=np.float32) for a in (K, V)
    )
    m, t, d_k, d_v = len(q), len(k), k.shape[-1], v.shape[-1]
    named: list[tuple[str, Rows, tuple[int, int]]] = [
        ("Q", q, (m, d_k)), ("K", k, (t, d_k)), ("V", v, (t, d_v))
    ]  # fmt: skip
    pair: Own = None
    if own is not None:
        own_k, own_v = (np.ascontiguousarray(a, dtype=np.float32) for a in own)
        named += [("Kq", own_k, (m, d_k)), ("Vq", own_v, (m, d_v))]
        pair = own_k, own_v
    elif t == 0:
        raise BadInput(_NOTHING)
    for name, array, shape in named:
        if array.shape != shape:
            raise BadInput(f"{name} has shape {array.shape}: it must be {shape} beside the others.")
    return q, pair, k, v


def _reach(rows: Asked) -> Float64:
    """|q_r| times the largest |k| that row r meets, float64[m], a little above."""
    q, own, k, _ = rows
    # float32 sums of d squares are off by d u, at most 2.4e-4 for d <= 4096.
    with np.errstate(over="ignore"):
        squares = [np.einsum("ij,ij->i", a, a) for a in (q, *(own or ())[:1])]
        tops = [np.einsum("ij,ij->i", a, a).max(initial=0.0) for a in blocks(k)]
    # NaN wins every maximum of NumPy's.
    largest = np.max(tops, initial=0.0)
    if own is not None:
        largest = np.maximum(largest, squares[1])
    reach: Float64 = 1.001 * np.sqrt(squares[0].astype(np.float64) * largest)
    if not (reach < _HIGHEST).all():
        raise BadInput(
            "A score <q, k> is NaN or could overflow float32: give smaller numbers, without NaN."
        )
    return reach
