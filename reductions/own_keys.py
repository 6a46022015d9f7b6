r"""What a cache must hold for the keys that it really has (ours).

The theorem's keys are chosen. Here they are given: the keys of a model's head on a text, say.

**Theorem** (own keys). Keys k_1..k_n are fixed and public, r > 0, and F_i, a_i(r) are those of
``best_query``. For a condition of ``margins`` with the bound b and the zero token's weight z let

    I = {i : a_i(r) < ln b},     b = 1/rho and z = 0 for values {0,1} and a relative error eta.

An algorithm that has read (0, k_l, v_l), l = 1..n, and answers every query of norm at most r within
the tolerance, each answer with probability at least 1 - delta >= 1/2, for all v in {0,1}^{n x d},
has a state of entropy at least |I| d (1 - h(delta)). For a token outside I no one answer of norm at
most r tells its bit for every content of the others: in that sense I is all there is.

*Proof.* For i in I there is q_i with |q_i| <= r and factor S'_i + zero_factor e^{-<q_i,k_i>} < 1.
The margin conditions (Theorem C of docs/theory.md) are about the numbers <q_i, k_l> and use no
relation between q_i and k_i, so one threshold on coordinate j of the answer to (q_i, 0, 0) reads
bit (i, j), whatever the other rows hold. Let the rows of I be uniform bits and all others public
constants; Theorem A. The condition is "iff" for each q, and a_i(r) is its minimum over the ball.

**Levels** (own keys, additive error gamma in [0, 1/2), values b/(B-1) in [0, 1]). With
w_i = S'_i + 2 gamma (1 + S'_i + e^{-<q_i,k_i>}) token i takes every B with 1/(B-1) > w_i (condition
(C2) of ``levels``, per token): B_i = ceil(1/w_i). Fano for B_i values, delta <= 1 - 1/B_i:

    H(state) >= sum_i d [log2 B_i - h(delta) - delta log2(B_i - 1)].

**What is quantified.** All values in {0,1} and all queries in the ball, not the values and queries
that this model has on this text: the keys are natural, the rest is what a guarantee must cover. In
grouped-query attention the heads of a group ask the same keys, so r is the largest of theirs. Keys
are those that the cache holds, after the rotary embedding if it holds them so.

*Numbers.* What counts is S'_i at the float32 query sent. It is computed in float64 and moved up by
more than its rounding error: a score <q, k_l> - <q, k_i> is off by at most 2 (d+2) 2^-53 r max|k|,
and the sum of n exponentials by a relative (n+8) 2^-52. The demand must stay 2^-20 below 1, as in
``margins``. ``row_interference`` proves the same in whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from .best_query import best_queries
from .bounds import binary_entropy
from .interference import query_interference
from .margins import Condition, condition

Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: why a token is not certified, in words of one line
REASONS = {
    "equal": "another token has the same key, so no query tells them apart",
    "norm": "no query within the norm gives it enough weight",
    "rounding": "its margin is too near to the line for float64 to say",
}
#: levels of a number, where an error of 0 sets no limit
MOST_LEVELS = 2**53
#: the smallest useful norm is looked for up to so many doublings
_DOUBLINGS = 12
#: and to this relative precision
_PRECISION = 1e-3


@dataclass(frozen=True, eq=False)
class OwnTokens:
    """The tokens of one head, each with the best query found for it.

    Attributes:
        keys: float32[n, d], the head's keys.
        norm: r.
        rule: the margin condition in force.
        queries: float32[n, d], as sent, of norm at most r.
        interference: float64[n], at least S'_i of the query sent.
        own: float64[n], at most <q_i, k_i>.
        floor: float64[n], a_i(r) is at least this.
    """

    keys: Float32
    norm: float
    rule: Condition
    queries: Float32
    interference: Floats
    own: Floats
    floor: Floats

    @property
    def n(self) -> int:
        """Tokens."""
        return len(self.keys)

    @property
    def a(self) -> Floats:
        """float64[n]: ln(S'_i + z e^{-<q_i,k_i>}) at the query sent, at least a_i(r)."""
        with np.errstate(over="ignore"):
            total = self.interference + self.rule.zero_token * np.exp(-self.own)
        return np.asarray(np.log(total))

    @property
    def line(self) -> float:
        """ln b: a token is certified below it."""
        return math.log(self.rule.bound)

    @property
    def certified(self) -> NDArray[np.bool_]:
        """bool[n]: the tokens of I, as far as the queries found show them."""
        with np.errstate(over="ignore"):
            demand = self.rule.demand(self.interference, self.own)
        return np.asarray(demand < 1 - self.rule.slack)

    @property
    def levels(self) -> Ints:
        """int64[n]: B_i, the levels of a number of token i; 1 where it is not certified."""
        if self.rule.name != "A01":
            return np.where(self.certified, 2, 1)
        g = 2 * self.rule.tolerance
        with np.errstate(over="ignore"):
            w = self.interference + g * (1 + self.interference + np.exp(-self.own))
            most = np.clip(np.ceil((1 - self.rule.slack) / w), 2, MOST_LEVELS)
        return np.where(self.certified, most, 1).astype(np.int64)

    def reasons(self) -> list[str | None]:
        """For each token None, or the name of why it is not certified (``REASONS``)."""
        equal = equal_keys(self.keys)
        out: list[str | None] = []
        for fine, twin, low in zip(self.certified, equal, self.floor >= self.line, strict=True):
            out.append(None if fine else "equal" if twin else "norm" if low else "rounding")
        return out


@dataclass(frozen=True)
class OwnLimit:
    """The bound for one head's own keys. Sizes are in tokens and bits, ``norm`` is r."""

    n: int
    d: int
    d_v: int
    norm: float
    values: str
    eta: float | None
    gamma: float | None
    success: float
    certified_tokens: int
    secret_bits: float
    bound_bits: float
    bits_per_number: float


def own_tokens(
    keys: Float32, norm: float, *, values: str = "01", eta: float | None = 0.5,
    gamma: float | None = None,
) -> OwnTokens:  # fmt: skip
    """Find the best query within ``norm`` for every token of keys float32[n, d].

    Raises BadInput for keys that are not finite or not of two dimensions, n < 2, a tolerance
    outside its range, and a norm that is not a positive number.

    >>> square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=np.float32)
    >>> own_tokens(square, 2.0).certified.tolist(), own_tokens(square, 1.0).certified.tolist()
    ([True, True, True, True], [False, False, False, False])
    """
    rule = condition(values, eta, gamma)
    K = check_keys(keys)
    found = best_queries(K, norm, zero_token=rule.zero_token)
    Q, wide = found.queries.astype(np.float64), K.astype(np.float64)
    n, d = K.shape
    largest = float(np.linalg.norm(wide, axis=1).max())
    score = (d + 2) * 2.0**-53 * norm * largest
    every = np.arange(n)
    with np.errstate(over="ignore"):
        slack = float(np.exp(2 * score)) * (1 + (n + 8) * 2.0**-52)
        # Keys so large that rounding hides every score: nothing is certified of them.
        above = query_interference(Q, every, wide) * slack if slack < np.inf else np.full(n, slack)
    own = np.einsum("ij,ij->i", Q, wide) - score
    # Exponentials that underflow are below the least float64 number.
    above = np.maximum(above, n * 5e-324)
    return OwnTokens(K, float(norm), rule, found.queries, above, own, found.floor)


def own_limit(tokens: OwnTokens, success: float = 0.9, d_v: int | None = None) -> OwnLimit:
    """The bound that these tokens give, with values of ``d_v`` numbers (None: d).

    Raises BadInput for a success outside (1/2, 1].

    >>> square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=np.float32)
    >>> limit = own_limit(own_tokens(square, 2.0), success=1.0)
    >>> limit.certified_tokens, limit.secret_bits, limit.bound_bits
    (4, 8.0, 8.0)
    """
    if not 0.5 < success <= 1.0:
        raise BadInput(
            f"success must lie in (1/2, 1], not {success:g}: 1/2 is the success of a random guess."
        )
    n, d = tokens.keys.shape
    width = d if d_v is None else d_v
    levels = tokens.levels[tokens.certified].astype(np.float64)
    delta = 1 - success
    kept = np.log2(levels) - binary_entropy(delta) - delta * np.log2(np.maximum(levels - 1, 1))
    rule = tokens.rule
    additive = rule.name.startswith("A")
    secret = width * float(np.log2(levels).sum())
    return OwnLimit(
        n=n,
        d=d,
        d_v=width,
        norm=tokens.norm,
        values="pm1" if rule.name.endswith("+-") else "01",
        eta=None if additive else rule.tolerance,
        gamma=rule.tolerance if additive else None,
        success=success,
        certified_tokens=int(tokens.certified.sum()),
        secret_bits=secret,
        bound_bits=width * float(kept.sum()),
        bits_per_number=secret / (n * width),
    )


def equal_keys(keys: Float32) -> NDArray[np.bool_]:
    """bool[n]: whether another token has the same key, bit by bit but for the sign of 0.

    >>> equal_keys(np.array([[1, 0], [2, 0], [1, 0]], dtype=np.float32)).tolist()
    [True, False, True]
    """
    _, which, counts = np.unique(keys + 0.0, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(counts[which.reshape(-1)] > 1)


def smallest_norm(keys: Float32, rule: Condition, above: float) -> float | None:
    """The least norm, to a thousandth, at which some token is certified, if none is at ``above``.

    None where none is at 2^12 times that norm, or where rounding alone stands against it: a larger
    norm rounds more.
    """
    rows = np.flatnonzero(~equal_keys(keys))
    low, line = above, math.log(rule.bound)
    if len(rows) and (best_queries(keys, above, rows, rule.zero_token).least < line).any():
        return None
    for high in _doubled(above if len(rows) else 0.0):
        found = best_queries(keys, high, rows, rule.zero_token)
        if (good := found.least < line).any():
            rows = rows[good]
            break
        low = high
    else:
        return None
    while high > low * (1 + _PRECISION):
        middle = (low + high) / 2
        good = best_queries(keys, middle, rows, rule.zero_token).least < line
        low, high = (low, middle) if good.any() else (middle, high)
        rows = rows[good] if good.any() else rows
    return high * (1 + _PRECISION)


def _doubled(start: float) -> Iterator[float]:
    for _ in range(_DOUBLINGS if start > 0 else 0):
        start *= 2
        yield start


def check_keys(keys: Float32) -> Float32:
    """Keys of one head as float32[n, d], n >= 2; BadInput for anything else."""
    K = np.asarray(keys)
    if K.ndim != 2 or len(K) < 2 or K.shape[1] < 1:
        raise BadInput(
            f"The keys of a head are an array [tokens, d] of 2 tokens or more, not {list(K.shape)}."
        )
    finite = np.isfinite(K).all(axis=1)
    if not finite.all():
        raise BadInput(
            f"Key {int(np.flatnonzero(~finite)[0])} has a number that is not finite (NaN or "
            "infinity): leave such tokens out."
        )
    return np.ascontiguousarray(K, dtype=np.float32)
