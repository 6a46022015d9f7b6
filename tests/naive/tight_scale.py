"""Plain twin of the tight scale: every key at every step, in float64."""

from __future__ import annotations

import math

import numpy as np


def interference(rows, C):
    """float64[n], S'_i(C) for float64 rows."""
    gaps = C * (rows @ rows.T - np.square(rows).sum(axis=1)[:, None])
    np.fill_diagonal(gaps, -np.inf)
    return np.exp(gaps).sum(axis=1)


def tight_scale(keys, bound, zero_token, root_of):
    """Scan all keys, solve the 16 worst by ``root_of``, until no key is at the bound."""
    rows = keys.rows.astype(np.float64)
    norms = np.square(rows).sum(axis=1)
    weights = np.append(np.ones(len(rows) - 1), zero_token)
    C, root, nudge = math.log(len(rows) / bound) / float(norms.mean()), 0.0, 1e-9
    while True:
        f = interference(rows, C) + zero_token * np.exp(-C * norms)
        if root > 0 and f.max() < bound:
            return C
        highest = root
        for i in np.argsort(f)[-16:]:
            gaps = np.append(np.delete(rows @ rows[i] - norms[i], i), -norms[i])
            highest = max(highest, root_of(gaps, weights, bound, C))
        if highest == root:
            nudge *= 4
        root = highest
        C = root * (1 + nudge)
