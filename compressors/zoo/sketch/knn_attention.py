"""kNN attention with its tail: the k nearest keys, and a weighted sample of all others."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...catalog_entry import CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from .full_cache import Float64, FullCache, highest, softmax_over


class KNNAttention(FullCache):
    """kNN attention as an estimator of attention (Haris 2024, arXiv 2411.04013).

    "kNN Attention Demystified: A Theoretical Exploration for Scalable Transformers": attention is
    an expectation over a softmax, and an index of nearest keys makes it cheap. We use the estimator
    of Mussmann, Levy, Ermon 2017 on which it builds. Of n tokens, let S hold the k highest scores,
    and T be l of the others, uniform and distinct. The answer is

        (sum_S e^s v + (n-k)/l sum_T e^s v) / (sum_S e^s + (n-k)/l sum_T e^s);

    numerator and denominator are unbiased. ``top-k`` attention is what is left of it without T (the
    kNN attention of Memorizing Transformers, Wu et al. 2022): that one is exact only if nearly all
    weight is on S, this one also where a flat tail weighs as much. The paper's sampler of single
    tokens, lazy Gumbel sampling, is ``algorithm-2``.

    It saves time where an index finds S, not memory: the whole cache is the message. State: K then
    V, of every token. T are the first l tokens outside S in a random order of all, which is public
    coins.

    Args:
        k: nearest keys (8).
        samples: l, of the others (32); 0 leaves the others out.
        dtype: fp32, fp16, bf16 or fp8 (the widest in the budget).

    Raises:
        BudgetTooSmall: the whole cache does not fit.
        BadInput: ``k`` is not positive, ``samples`` negative, or there is no such format.

    Mechanisms:
        nearest keys in full: adapted, the k highest scores themselves, as an index without error
            would find them.
        uniform sample of the others: implemented.
        lazy Gumbel sampling: left out, it is the compressor algorithm-2.
        median of means over repetitions: left out, one sample of all l tokens is taken.
        estimated gradients: not meaningful here, nothing is trained.
    """

    name = "knn-attention"

    def set_up(self, *, k: int = 8, samples: int = 32, dtype: str | None = None) -> None:
        self.k = whole(k, "k", 1)
        self.samples = whole(samples, "samples", 0)
        super().set_up(dtype=dtype)
        self.order = self.rng(0).permutation(self.shape.tokens + self.shape.extra)

    def weigh(self, Q: Float64, S: Float64, prepared: Any, own: Float64 | None) -> Float32:
        """Weight e^s for the k highest scores, e^s (n-k)/l for the sample."""
        n = S.shape[1]
        if self.k + self.samples >= n:
            return softmax_over(S, np.ones(S.shape, dtype=np.float32))
        counts = highest(S, self.k).astype(np.float32)
        if self.samples:
            # k + l tokens hold l outside S for certain.
            first = self.order[self.order < n][: self.k + self.samples]
            outside = counts[:, first] == 0
            taken = outside & (np.cumsum(outside, axis=1) <= self.samples)
            counts[:, first] += taken * np.float32((n - self.k) / self.samples)
        return softmax_over(S, counts)


ENTRY = CatalogEntry(
    KNNAttention,
    summary="every token; a query reads the k nearest keys and a weighted sample of the rest",
    source="Haris 2024, kNN Attention Demystified: A Theoretical Exploration for Scalable "
    "Transformers",
    budgets="1/2 in fp8, 1 in fp16, 2 in fp32: it saves time, not memory",
    assumes="a few large scores and a flat rest",
    broken_by="nothing: it keeps all, and few keys answer the hard stream",
    settings=tuple({"k": k, "samples": 4 * k} for k in (1, 2, 4, 8, 16, 32)),
)
