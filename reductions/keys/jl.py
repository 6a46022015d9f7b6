"""The paper's keys (Lemma 3): k_i = A e_i / sqrt(d), a random projection of the unit vectors.

A is d x n with independent N(0,1) entries, so the keys are n independent Gaussian vectors. The
paper's proof needs |<k_i,k_j> - delta_ij| <= eps < 1/2 for all pairs, the norms included; the exact
margin needs only that no key is dominated (``interference``). Normalising, which is ours, takes the
fluctuation of the norms away: at d = 64, n = 2^14 the raw squared norms
are off by .8 to .9 (the norms by about .37).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def gaussian_keys(n: int, d: int, seed: int, *, normalise: bool) -> NDArray[np.float32]:
    """Float32[n, d]: n Gaussian keys from ``Generator(Philox(seed))``.

    Drawn and scaled in float64, rounded to float32 last. The draw is row by row, so a larger n
    extends a smaller one with the same seed and d. ``normalise``: unit rows ("jl"); otherwise the
    literal A e_i / sqrt(d) ("jl-raw"), whose norms are only about 1.

    >>> small, large = (gaussian_keys(n, 8, 3, normalise=True) for n in (2, 5))
    >>> bool((large[:2] == small).all())
    True
    """
    draw = np.random.Generator(np.random.Philox(seed)).standard_normal((n, d))
    draw /= np.sqrt((draw * draw).sum(axis=1, keepdims=True)) if normalise else np.sqrt(float(d))
    return draw.astype(np.float32)
