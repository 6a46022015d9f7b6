"""The plain twin of ``best_query``: F_i term by term, and scipy for the minimum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import minimize


def value_and_gradient(q: Any, K: Any, i: int, zero_token: float) -> tuple[float, Any]:
    """F_i(q) = ln(sum_{l != i} e^{<q, k_l - k_i>} + z e^{-<q, k_i>}), and its gradient."""
    terms = [(1.0, K[l]) for l in range(len(K)) if l != i]
    if zero_token > 0:
        terms.append((zero_token, np.zeros(K.shape[1])))
    scores = np.array([math.log(w) + float(q @ (k - K[i])) for w, k in terms])
    top = scores.max()
    weights = np.exp(scores - top)
    value = top + math.log(weights.sum())
    slope = sum(w * (k - K[i]) for w, (_, k) in zip(weights / weights.sum(), terms, strict=True))
    return float(value), slope


def least(K: Any, i: int, r: float, zero_token: float = 0.0) -> float:
    """a_i(r) by sequential quadratic programming from several starts."""
    K = np.asarray(K, dtype=np.float64)
    inside = {"type": "ineq", "fun": lambda q: r * r - q @ q, "jac": lambda q: -2 * q}
    rng = np.random.default_rng(i)
    starts = [
        np.zeros(K.shape[1]),
        *(0.5 * r * x / np.linalg.norm(x) for x in rng.normal(size=(2, K.shape[1]))),
    ]
    found = [
        minimize(
            value_and_gradient, start, (K, i, zero_token), "SLSQP", True, constraints=[inside],
            options={"ftol": 1e-15, "maxiter": 2000},
        )
        for start in starts
    ]  # fmt: skip
    return min(one.fun for one in found if one.x @ one.x <= r * r * (1 + 1e-9))
