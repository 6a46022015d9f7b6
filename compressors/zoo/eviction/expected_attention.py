"""Expected Attention: what queries drawn from the prompt's law would attend to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from .chosen_tokens import ChosenTokens, Worth


def expected_weights(Q: Float32, K: Float32) -> NDArray[np.float64]:
    """E exp <q, k> of a Gaussian query with the mean and covariance of Q, normalised: float64[n].

    <q, k> is Gaussian with mean <mu, k> and variance k^T Sigma k, so E e^<q,k> is
    exp(<mu, k> + k^T Sigma k / 2) (their equation 3, without its 1/sqrt d and its rotation). With
    C the n queries less their mean, Sigma = C^T C / n, and the mean square of the scores of k is
    |C k|^2 / n = k^T C^T C k / n = k^T Sigma k: d x d numbers hold what n x n scores say.

    Args:
        Q, K: float32[n, d].
    """
    queries, keys = Q.astype(np.float64), K.astype(np.float64)
    centred = queries - queries.mean(axis=0)
    spread = np.einsum("ij,ij->i", keys @ (centred.T @ centred), keys) / len(queries)
    logs = keys @ queries.mean(axis=0) + spread / 2
    weights = np.exp(logs - logs.max())
    found: NDArray[np.float64] = weights / weights.sum()
    return found


class ExpectedAttention(ChosenTokens):
    """Expected Attention (Devoto, Jeblick, Jegou 2025, 2510.00636).

    Future queries are taken for Gaussian, with the mean and covariance of the prompt's own. A
    token's worth is its expected weight under them times the length of its value; the least
    worth leave, and the first ``sinks`` tokens always stay. Of equals the older token stays.

    A prefill method: ranked once, after ``shape.tokens`` tokens. Bob's are kept beside it.

    State: K and V in fp16 of the tokens kept, as many in every head.

    Args:
        capacity: tokens a head keeps; by default what the budget holds, or half of the prompt.
        sinks: first tokens that stay (4).
        epsilon: added to each expected weight (0).

    Raises:
        BudgetTooSmall: not one token a head fits, or not ``capacity``.
        BadInput: a parameter is negative, or a number does not fit fp16.

    Mechanisms:
        expected attention under a Gaussian query: implemented, mean and covariance.
        times the length of the value: implemented.
        first tokens kept: implemented.
        rotation of the mean query to future positions: not meaningful here, there are none.
        length of the value after the output projection: adapted, of the value itself.
        shares of the heads by their scores: left out, every head keeps as many.
    """

    name = "expected-attention"

    def set_up(self, *, capacity: int | None = None, sinks: int = 4, epsilon: float = 0.0) -> None:
        super().set_up()
        self.sinks, self.epsilon = whole(sinks, "sinks", 0), epsilon
        self.hold(capacity)

    def ranking(self, Q: Float32, K: Float32, V: Float32) -> Worth:
        """Expected weight times length of the value; infinite for the first tokens."""
        lengths = np.linalg.norm(V.astype(np.float64), axis=1)
        worth: Worth = (expected_weights(Q, K) + self.epsilon) * lengths
        worth[: self.sinks] = np.inf
        return worth


ENTRY = CatalogEntry(
    ExpectedAttention,
    summary="the tokens that queries of the prompt's law would attend to",
    source="Devoto, Jeblick, Jegou 2025, Expected Attention: KV Cache Compression by Estimating "
    "Attention from Future Queries Distribution",
    budgets=EVICTS,
    assumes="what will be asked has the law of the prompt's queries",
    broken_by="a question that no query of the prompt was like",
)
