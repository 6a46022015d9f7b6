"""Performer: softmax attention from sums of positive orthogonal random features."""

from __future__ import annotations

import functools
import math

import numpy as np

from ...catalog_entry import CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import public_coins
from .feature_sums import FeatureSums, Float64, features_in_budget


class Performer(FeatureSums):
    """FAVOR+ (Choromanski et al. 2020, Rethinking Attention with Performers, arXiv 2009.14794).

    Keeps S = sum phi(k) v^T and z = sum phi(k) for phi_i(x) = exp(<w_i, x> - |x|^2/2) / sqrt(m),
    whose product phi(q) phi(k) has expectation e^{<q,k>} (Lemma 1). The w_i are public coins.

    State: a scale, z and S, in fp32: 32 (1 + m (d_v + 1)) bits.

    Args:
        m: features (as many as fit the budget; without one d log d, as in Theorem 4).

    Raises:
        BudgetTooSmall: m features, or one, do not fit.
        BadInput: m is not a whole number from 1 on.

    Mechanisms:
        positive random features: implemented.
        orthogonal random features: implemented, blocks of d by QR, norms of Gaussian vectors.
        causal prefix sums: implemented.
        stabilising maximum: adapted, a running one over the keys, which cancels in the answer; no
            epsilon is added to the features.
        redrawing the features: left out, it is for training; both players draw once.
        scaling by d^(-1/4): not meaningful here, the game's scores are not scaled.
    """

    name = "performer"

    def set_up(self, *, m: int | None = None) -> None:
        shape = self.shape
        if m is None:
            m = features_in_budget(self.budget_bits, shape.d_v)
            if m is None:
                m = math.ceil(shape.d_k * math.log(max(shape.d_k, 3)))
            m = max(m, 1)
        self.hold(whole(m, "m", 1))
        self.directions = self.drawn(self.features)

    def drawn(self, m: int) -> Float64:
        """The directions of m features from public coins, read-only."""
        return _directions(self.seed, m, self.shape.d_k)

    def log_key(self, k: Float64) -> Float64:
        """<w_i, k> - |k|^2/2."""
        log: Float64 = self.directions @ k - k @ k / 2
        return log

    def log_queries(self, Q: Float64) -> Float64:
        """<w_i, q>; what depends on the query alone cancels."""
        log: Float64 = Q @ self.directions.T
        return log


@functools.lru_cache(16)
def _directions(seed: int, m: int, d: int) -> Float64:
    """Drawn once for both players in one process."""
    found = orthogonal_gaussians(m, d, public_coins(seed, 0))
    found.flags.writeable = False
    return found


def orthogonal_gaussians(m: int, d: int, rng: np.random.Generator) -> Float64:
    """Vectors float64[m, d], each N(0, I_d), orthogonal within every block of d."""
    blocks = []
    for start in range(0, m, d):
        basis, upper = np.linalg.qr(rng.standard_normal((d, d)))
        # LAPACK fixes the signs; with these the basis is uniform (Mezzadri 2007).
        basis = basis * np.sign(np.diag(upper))
        norms = np.linalg.norm(rng.standard_normal((d, d)), axis=1)
        blocks.append((norms[:, None] * basis.T)[: m - start])
    return np.concatenate(blocks)


ENTRY = CatalogEntry(
    Performer,
    summary="sums of m positive random features of the keys, with their values",
    source="Choromanski et al. 2020, Rethinking Attention with Performers",
    budgets="any: as many features as fit, in fp32",
    assumes="small scores: the variance grows with e^|q+k|^2",
    broken_by="large scores on near-orthogonal keys with independent values",
    square="time",
)
