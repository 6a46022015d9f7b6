r"""The query of a bounded norm that best sets one key apart from the others: a convex programme.

Given keys k_1..k_n in R^d, a norm r > 0 and z >= 0, the weight of Bob's own zero token. Token i has

    F_i(q) = ln( sum_{l != i} e^{<q, k_l - k_i>} + z e^{-<q, k_i>} ),
    a_i(r) = min over |q| <= r of F_i(q).

F_i is a log-sum-exp of linear functions, so it is convex; its gradient is g = sum_l p_l k_l - k_i,
p the softmax over the terms (the zero token is the key 0). **From above** every feasible q bounds
a_i(r), so whatever a solver returns is a certificate of what it reaches, and no error of the solver
can make a claim false. **From below** (ours; the gap of Frank and Wolfe): by convexity
F_i(q') >= F_i(q) + <g, q' - q> for all q', and the least of the right side over |q'| <= r is at
-r g/|g|. So

    F_i(q) - (<g, q> + r |g|)  <=  a_i(r)  <=  F_i(q).                                          (1)

Both ends come with every step, so the distance to the optimum is known and never assumed.

*The method.* Projected gradient steps q <- P(q - t g), P the projection onto the ball, t the two
step lengths of Barzilai and Borwein (1988) in turn, taken back where F_i rises above its last few
values (Birgin, Martinez and Raydan 2000); the best point of all is kept. All tokens of a block
move together: two matrix products and one pass of exponentials a step. A token leaves its block
when (1) is narrower than ``TOLERANCE``. A common shift of all keys, the zero token's 0 with them,
changes no difference, so keys are centred first.

*What is sent* is the float32 query fl((1 - 2^-23) q). Rounding moves a coordinate by a relative
2^-24 at most, so its norm is at most (1 - 2^-23)(1 + 2^-24)(1 + 2^-50) r < r: inside the ball, in
exact arithmetic (coordinates too small for that, below 2^-126, are sent as 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .jit import njit

Floats = NDArray[np.float64]
Float32 = NDArray[np.float32]
Indices = NDArray[np.int64]

#: nats between the two ends of (1) at which a token is done
TOLERANCE = 1e-7
#: steps after which a token is left as it is
MOST_STEPS = 400
#: how many values a step may not rise above, and by which share of the slope it must fall below
_MEMORY, _ARMIJO = 8, 1e-4
#: entries of one block of scores, 16 MiB of float64
_BLOCK = 1 << 21
#: weights below e^-60 of the largest do not change a float64 sum of 2^30 terms
_FAR = -60.0
_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class BestQueries:
    """What the programme found for m tokens.

    Attributes:
        queries: float32[m, d], as sent, of norm at most r.
        least: float64[m], the least F_i met, at a float64 query of norm at most r.
        floor: float64[m], a lower end of a_i(r) by (1).
    """

    queries: Float32
    least: Floats
    floor: Floats


def best_queries(
    keys: ArrayLike, radius: float, rows: ArrayLike | None = None, zero_token: float = 0.0
) -> BestQueries:
    """Solve the programme for the tokens ``rows`` (all by default) of keys [n, d], n >= 2.

    Raises BadInput for keys of another shape, a radius that is not positive, a negative zero token.

    >>> square = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    >>> found = best_queries(square, 2.0, [0])
    >>> round(float(found.least[0]), 6) == round(math.log(2 * math.exp(-2) + math.exp(-4)), 6)
    True
    """
    K = np.asarray(keys, dtype=np.float64)
    if K.ndim != 2 or len(K) < 2:
        raise BadInput(f"Keys have shape [n, d] with n >= 2, not {K.shape}.")
    if not 0 < radius < math.inf or not 0 <= zero_token < math.inf:
        raise BadInput(
            f"The norm of queries must be a positive number, and a zero token's weight not "
            f"negative: not {radius:g} and {zero_token:g}."
        )
    own = np.arange(len(K)) if rows is None else np.asarray(rows, dtype=np.int64)
    if zero_token > 0:
        K = np.vstack([K, np.zeros(K.shape[1])])
    K = K - K.mean(axis=0)
    last = math.log(zero_token) if zero_token > 0 else 0.0
    step = max(1, _BLOCK // len(K))
    parts = [_solve(K, own[at : at + step], float(radius), last) for at in range(0, len(own), step)]
    if not parts:
        return BestQueries(np.empty((0, K.shape[1]), np.float32), np.empty(0), np.empty(0))
    Q, least, floor = (np.concatenate(part) for part in zip(*parts, strict=True))
    sent = (Q * (1 - 2.0**-23)).astype(np.float32)
    sent[np.abs(sent) < _SMALLEST] = 0
    return BestQueries(sent, least, floor)


def _solve(K: Floats, own: Indices, r: float, last: float) -> tuple[Floats, Floats, Floats]:
    """The best query, its value and the lower end for each token of a block."""
    Q = _onto_ball(K[own] * 1e30, r)
    F, g = _value_and_gradient(Q, K, own, last)
    best, least, floor = Q.copy(), F.copy(), np.full(len(own), -math.inf)
    active, done = np.arange(len(own)), max(TOLERANCE, 2.0**-46 * r * float(np.abs(K).max()))
    first = r / np.maximum(np.linalg.norm(g, axis=1), 1e-300)
    t, recent = first, np.tile(F, (_MEMORY, 1))
    for number in range(MOST_STEPS):
        gap = np.einsum("ij,ij->i", g, Q) + r * np.linalg.norm(g, axis=1)
        floor[active] = np.maximum(floor[active], F - np.maximum(0.0, gap))
        better = least[active] > F
        least[active[better]], best[active[better]] = F[better], Q[better]
        go_on = least[active] - floor[active] > done
        if not go_on.any():
            break
        if not go_on.all():
            active, Q, F, g, t, first = (part[go_on] for part in (active, Q, F, g, t, first))
            recent = recent[:, go_on]
        new = _onto_ball(Q - t[:, None] * g, r)
        risen, turned = _value_and_gradient(new, K, own[active], last)
        s, y = new - Q, turned - g
        # Armijo's rule against the last few values: a step too far is taken back, and shortened.
        kept = risen <= recent.max(axis=0) + _ARMIJO * np.einsum("ij,ij->i", g, s)
        across = np.einsum("ij,ij->i", s, y)
        with np.errstate(divide="ignore", invalid="ignore"):
            if number % 2:
                length = across / np.einsum("ij,ij->i", y, y)
            else:
                length = np.einsum("ij,ij->i", s, s) / across
        length = np.where(across > 0, np.clip(length, 1e-8 * first, 1e8 * first), first)
        t = np.where(kept, length, 0.25 * t)
        F, Q, g = np.where(kept, risen, F), _rows(kept, new, Q), _rows(kept, turned, g)
        recent[number % _MEMORY] = F
    return best, least, floor


def _rows(chosen: NDArray[np.bool_], one: Floats, other: Floats) -> Floats:
    return np.where(chosen[:, None], one, other)


def _onto_ball(Q: Floats, r: float) -> Floats:
    norms = np.linalg.norm(Q, axis=1, keepdims=True)
    shrunk: Floats = Q * np.minimum(1.0, r / np.maximum(norms, 1e-300))
    return shrunk


def _value_and_gradient(Q: Floats, K: Floats, own: Indices, last: float) -> tuple[Floats, Floats]:
    """F_i at each row of Q, and its gradient."""
    weights = Q @ K.T
    F = np.empty(len(Q))
    weigh(weights, own, last, F)
    return F, weights @ K - K[own]


@njit(cache=True, error_model="numpy")
def weigh(scores: Floats, own: Indices, last: float, F: Floats) -> None:
    """Turn rows of scores <q_i, k_l> [m, n], in place, into weights p_l; write F_i into F [m].

    The own token has no weight; the last key's terms are e^last times the others'.
    """
    for i in range(scores.shape[0]):
        row, at = scores[i], own[i]
        mine, n = row[at], len(row)
        row[n - 1] += last
        row[at] = -np.inf
        highest = -np.inf
        for l in range(n):
            highest = max(highest, row[l])
        total = 0.0
        for l in range(n):
            below = row[l] - highest
            row[l] = math.exp(below) if below > _FAR else 0.0
            total += row[l]
        for l in range(n):
            row[l] /= total
        F[i] = highest - mine + math.log(total)
