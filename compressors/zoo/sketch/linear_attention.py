"""Linear attention: a recurrence over elu(k) + 1."""

from __future__ import annotations

import numpy as np

from ...catalog_entry import CatalogEntry
from .feature_sums import FeatureSums, Float64


class LinearAttention(FeatureSums):
    """Linear attention (Katharopoulos, Vyas, Pappas, Fleuret 2020, Transformers are RNNs: Fast
    Autoregressive Transformers with Linear Attention, arXiv 2006.16236).

    Keeps S = sum phi(k) v^T and z = sum phi(k), phi(x) = elu(x) + 1 a coordinate (eq. 7), and
    answers phi(q) S / phi(q) z (eq. 18-20). It is another attention, no estimate of softmax.

    State: a scale, z and S, in fp32: 32 (1 + d_k (d_v + 1)) bits, whatever the budget beyond.

    Raises:
        BudgetTooSmall: the sums do not fit.

    Mechanisms:
        feature map elu + 1: implemented.
        causal recurrence: implemented.
        normalisation by z: implemented, with a scale in the state that cancels in the answer.
        training with this attention: not meaningful here, the game has no model.
    """

    name = "linear-attention"

    def set_up(self) -> None:
        self.hold(self.shape.d_k)

    def log_key(self, k: Float64) -> Float64:
        """Log(elu(k) + 1): k where it is negative, else log(1 + k)."""
        # A log of elu + 1 itself would lose e^k below the rounding of 1.
        log: Float64 = np.minimum(k, 0) + np.log1p(np.maximum(k, 0))
        return log

    def log_queries(self, Q: Float64) -> Float64:
        """The same map as for keys."""
        return self.log_key(Q)


ENTRY = CatalogEntry(
    LinearAttention,
    summary="sums of elu(k) + 1, d_k features, with their values",
    source="Katharopoulos et al. 2020, Transformers are RNNs: Fast Autoregressive Transformers "
    "with Linear Attention",
    budgets="from d_k (d_v + 1) + 1 numbers in fp32, whatever the number of tokens",
    assumes="a model trained with this attention; at most d_k directions to tell apart",
    broken_by="softmax scores, and more independent values than features",
)
