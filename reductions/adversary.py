"""The worst algorithm that a guarantee allows, against Bob's threshold (ours).

Theorems 6 and 8 say what Bob may rely on: every answer within a tolerance of the exact output. The
adversary here uses all of it. For a token i and a bit b it chooses

* the *context*: every other token has the complement of b. The exact output of a 0 is then at its
  largest and that of a 1 at its smallest (``margins``: all weights are positive, so o_j rises in
  every x_lj);
* the *error*: the end of the allowed interval nearer to the other bit,
  {0,1} and {-1,1} with (1 +- eta): o + eta|o| for a 0 and o - eta|o| for a 1;   gamma: o +- gamma.

Bob's rule is "the answer exceeds a threshold", so it is monotone, and he errs on **some** context
and **some** allowed answer iff he errs on this one. With the geometric (M01) or arithmetic (A01)
mean as the threshold, and 0 for signs, he errs on neither bit of token i where demand_i < 1, on
both where demand_i > 1, and at demand_i = 1 the two answers are equal, so no threshold helps.
Here demand_i is the left side of ``margins`` (1). Hence the exact scale, where max_i demand_i = 1,
is sharp: this module measures that, from the rows' real attention in float64.

The context that is worst for one coordinate is the complement of row i, and each coordinate has a
column of its own, so one stream is worst for all coordinates of a row at once
(:func:`worst_context`; Remark 7). Unlike ``index``, nothing is rounded to float32 here: queries are
C k_i in float64 for the float32 keys, and no room is left for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .interference import relative_interference, tight_scale
from .keys.base import KeySet
from .margins import Condition

#: entries of one block of attention rows, 32 MiB of float64
_BLOCK = 1 << 22

Floats = NDArray[np.float64]
Bits = NDArray[np.uint8]


def exact_scale(keys: KeySet, rule: Condition) -> float:
    """The scale at which the largest demand is 1, times 1 + 1e-9: no room for float32.

    Raises BadInput and NoScale as :func:`.interference.tight_scale`.

    >>> from .keys import make
    >>> from .margins import condition
    >>> round(exact_scale(make("kerdock", None, 64), condition("01", 0.0, None)), 3)
    8.819
    """
    return tight_scale(keys, rule.bound, rule.zero_token)


def encode(bits: ArrayLike, rule: Condition) -> Floats:
    """Bits as the values of the rule's alphabet, float64: b itself, or 2 b - 1 for signs.

    >>> from .margins import condition
    >>> encode([0, 1], condition("pm1", 0.5, None)).tolist()
    [-1.0, 1.0]
    """
    plain = np.asarray(bits, dtype=np.float64)
    return 2 * plain - 1 if rule.name in ("M+-", "A+-") else plain


def worst_context(row: ArrayLike, i: int, n: int) -> Bits:
    """The secret that is worst for every bit of row i at once: uint8[n, d_v].

    Row i is ``row``; every other row is its complement.

    >>> worst_context([0, 1], 1, 3).tolist()
    [[1, 0], [0, 1], [1, 0]]
    """
    bits = np.asarray(row, dtype=np.uint8)
    if not 0 <= i < n:
        raise BadInput(f"Row {i} is not one of {n} tokens: give 0 <= i < n.")
    x = np.repeat((1 - bits)[None], n, axis=0)
    x[i] = bits
    return x


def exact_outputs(keys: KeySet, C: float, values: ArrayLike, rows: ArrayLike) -> Floats:
    """Bob's exact outputs for the rows asked, his zero token included: float64[m, d_v].

    ``values`` [n, d_v] as they are sent. Row r is the softmax of (C K k_i, 0) times (values, 0).
    """
    V = np.asarray(values, dtype=np.float64)
    return np.concatenate([w @ V for _, w in _attention_rows(keys, C, np.asarray(rows))])


def _attention_rows(
    keys: KeySet, C: float, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Blocks of (rows, their softmax on the data tokens): from the scores <C k_i, k_l> themselves.

    Not from gaps and not from S'_i, of which scales and thresholds are made: an error in either
    would agree with itself.
    """
    K = keys.rows.astype(np.float64)
    for part in np.array_split(rows, max(1, len(rows) * len(K) // _BLOCK)):
        scores = C * (K[part] @ K.T)
        top = np.maximum(scores.max(axis=1, keepdims=True), 0.0)  # Bob's token has the score 0
        weights = np.exp(scores - top)
        yield part, weights / (weights.sum(axis=1, keepdims=True) + np.exp(-top))


def worst_outputs(keys: KeySet, C: float, rule: Condition) -> Floats:
    """For every token the exact outputs of its two worst streams: float64[n, 2].

    Column b: row i's bit is b and all others are 1 - b. From each row's own attention weights, not
    from a formula for S_i.

    >>> from .keys import make
    >>> from .margins import condition
    >>> at_scale_0 = worst_outputs(make("hypercube", 4, 2), 0.0, condition("01", 0.5, None))
    >>> at_scale_0[0].round(12).tolist()  # five equal weights, Bob's own token among them
    [0.6, 0.2]
    """
    low, high = encode([0, 1], rule)
    found = []
    for rows, weights in _attention_rows(keys, C, np.arange(keys.n)):
        mine = weights[np.arange(len(rows)), rows]
        others = weights.sum(axis=1) - mine
        found.append(np.stack([low * mine + high * others, high * mine + low * others], axis=1))
    return np.concatenate(found)


def allowed(outputs: Floats, rule: Condition) -> tuple[Floats, Floats]:
    """The least and the largest answer within the tolerance of exact outputs.

    Relative, for signed outputs too: |answer - o| <= eta |o|. Additive: |answer - o| <= gamma.

    >>> from .margins import condition
    >>> [end.tolist() for end in allowed(np.array([-1.0, 2.0]), condition("pm1", 0.5, None))]
    [[-1.5, 1.0], [-0.5, 3.0]]
    """
    size = np.abs(outputs) if rule.name in ("M01", "M+-") else np.ones_like(outputs)
    return outputs - rule.tolerance * size, outputs + rule.tolerance * size


def worst_answers(outputs: Floats, bits: ArrayLike, rule: Condition) -> Floats:
    """The allowed answers that Bob reads worst: the largest for a 0, the least for a 1."""
    low, high = allowed(outputs, rule)
    return np.where(np.asarray(bits) == 0, high, low)


def thresholds(keys: KeySet, C: float, rule: Condition, rows: ArrayLike | None = None) -> Floats:
    """Bob's thresholds in float64, from S'_i(C): float64[m]."""
    own = np.arange(keys.n) if rows is None else np.asarray(rows, dtype=np.int64)
    norms = np.square(keys.rows[own], dtype=np.float64).sum(axis=1)
    return rule.threshold(relative_interference(keys, C, own), C * norms)


def flips(keys: KeySet, C: float, rule: Condition) -> NDArray[np.bool_]:
    """Which bits the adversary flips at scale C: bool[n, 2], column b for a secret bit b.

    >>> from .keys import make
    >>> from .margins import condition
    >>> keys, rule = make("kerdock", 512, 64), condition("01", 0.5, None)
    >>> [int(flips(keys, t * exact_scale(keys, rule), rule).sum()) for t in (1 - 1e-6, 1)]
    [1024, 0]
    """
    answers = worst_answers(worst_outputs(keys, C, rule), [0, 1], rule)
    read = answers > thresholds(keys, C, rule)[:, None]
    return np.asarray(read != np.array([False, True]))
