"""One draw of the lazy sampler, written as the paper's Algorithm 2 is."""

from __future__ import annotations

import numpy as np


def algorithm_2(scores: np.ndarray, top: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """The index of the winner, and m."""
    scores = np.asarray(scores, dtype=np.float64)
    perturbed = scores[top] + rng.gumbel(size=len(top))
    M = float(perturbed.max())
    least = np.exp(-np.exp(scores[top].min() - M))
    outside = np.setdiff1d(np.arange(len(scores)), top)
    m = int(rng.binomial(len(outside), 1.0 - least))
    drawn = rng.choice(outside, size=m, replace=False)
    late = scores[drawn] - np.log(-np.log(rng.uniform(least, 1.0, size=m)))
    if m and late.max() > M:
        return int(drawn[late.argmax()]), m
    return int(top[perturbed.argmax()]), m
