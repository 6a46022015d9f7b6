"""How the keys of a real head lie, and how far its queries spread their scores.

A certificate's stream has n keys of one norm whose scores with each other are small, and a query
C k_i, whose score with k_i stands C max|k|^2 nats above the rest: that is its logit range. Of a
real head the same things are measured here. Softmax ignores what all scores have in common, so keys
are also looked at less their mean.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...plugin.contract import Float32


@dataclass(frozen=True)
class Geometry:
    """Numbers of one head, or their means over several.

    Attributes:
        range_05, range_50, range_95, range_max: of the queries' largest score less their median
            score, the first token left out, the quantiles and the maximum; nats.
        range_first_50: the median with the first token, at which most queries look.
        query_norm, key_norm: medians, first token left out.
        cosine: mean of cos(k_i, k_j) over pairs.
        cosine_centred: mean of |cos| over pairs of keys less their mean.
        dimension: of the keys less their mean, (sum of eigenvalues)^2 / sum of their squares, from
            1 to d.
        coherence: maximum of |cos| over pairs of keys less their mean.
        addressed: share of the tokens that a query along their own key (less the mean), of the
            norm of the queries, reads with weight above 1/2.
    """

    range_05: float
    range_50: float
    range_95: float
    range_max: float
    range_first_50: float
    query_norm: float
    key_norm: float
    cosine: float
    cosine_centred: float
    dimension: float
    coherence: float
    addressed: float


def of_head(q: Float32, K: Float32) -> Geometry:
    """Measure queries float32[m, d] (scores are <q, k>) over keys float32[n, d]."""
    first, rest = K[:1], K[1:]
    scores = q @ rest.T
    middle = np.median(scores, axis=1)
    gap = scores.max(axis=1) - middle
    with_first = np.maximum(scores.max(axis=1), (q @ first.T)[:, 0]) - middle
    length = float(np.median(np.linalg.norm(q, axis=1)))
    centred = rest - rest.mean(axis=0)
    plain, turned = cosines(rest), np.abs(cosines(centred))
    pairs = len(rest) * (len(rest) - 1)
    low, middle_one, high = (float(x) for x in np.quantile(gap, (0.05, 0.5, 0.95)))
    return Geometry(
        range_05=low,
        range_50=middle_one,
        range_95=high,
        range_max=float(gap.max()),
        range_first_50=float(np.median(with_first)),
        query_norm=length,
        key_norm=float(np.median(np.linalg.norm(rest, axis=1))),
        cosine=float(plain.sum(dtype=np.float64)) / pairs,
        cosine_centred=float(turned.sum(dtype=np.float64)) / pairs,
        dimension=effective_dimension(centred),
        coherence=float(turned.max()),
        addressed=addressed(centred, length),
    )


def mean(found: list[Geometry]) -> dict[str, float]:
    """The mean of every number, by name; of ``range_max`` and ``coherence`` the maximum."""
    rows = {f.name: [float(getattr(one, f.name)) for one in found] for f in fields(Geometry)}
    worst = ("range_max", "coherence")
    return {n: max(v) if n in worst else float(np.mean(v)) for n, v in rows.items()}


def cosines(K: NDArray[Any]) -> NDArray[Any]:
    """cos(k_i, k_j), [n, n] with 0 on the diagonal; zero keys have none with any.

    >>> cosines(np.array([[1.0, 0], [0, 2], [3, 0]])).tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    unit = _unit(K)
    found: NDArray[Any] = unit @ unit.T
    np.fill_diagonal(found, 0)
    return found


def effective_dimension(X: NDArray[Any]) -> float:
    """(sum of eigenvalues)^2 / sum of squared eigenvalues of X^T X: 1 to d.

    >>> effective_dimension(np.eye(4)), effective_dimension(np.ones((5, 4)))
    (4.0, 1.0)
    """
    second = X.T @ X
    return float(np.trace(second) ** 2 / np.square(second).sum())


def addressed(K: NDArray[Any], length: float) -> float:
    """Share of rows i to which the query length k_i / |k_i| gives more than half of the weight.

    >>> addressed(np.eye(8), 10.0), addressed(np.ones((8, 2)), 10.0)
    (1.0, 0.0)
    """
    scores = length * _unit(K) @ K.T
    own = np.diagonal(scores)
    # The weight is 1 / sum exp(others - own).
    others = np.exp(np.minimum(scores - own[:, None], 50.0)).sum(axis=1)
    return float((others < 2).mean())


def _unit(K: NDArray[Any]) -> NDArray[Any]:
    norms = np.linalg.norm(K, axis=1, keepdims=True)
    found: NDArray[Any] = K / np.where(norms > 0, norms, 1)
    return found
