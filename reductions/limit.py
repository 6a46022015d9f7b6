"""The limit at a size, in one piece: what `kvbarrier bound` prints.

Any algorithm that answers every index with error at most eta (or gamma), each bit with probability
at least ``success``, carries N (1 - h(1 - success)) bits, N = n d_v secret bits, on the stream of
the Index reduction at a scale where Bob's margin condition holds (Fano, Theorem 5/23; in this
finite form docs/theory.md, Theorem A).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import BadInput
from . import keys as key_sets
from .bounds import compression_ratio_limit, index_bound_bits
from .index import IndexReduction
from .interference import coherence, max_deviation, separable_gap
from .keys.base import KeySet
from .paper import paper_scale


@dataclass(frozen=True)
class Limit:
    """A bound with everything it rests on. Sizes are in tokens and bits, scores in nats.

    ``logit_range``: C max|k_i|^2, the largest score above that of Bob's own token, which is 0;
    scores reach down to minus this.
    """

    reduction: str
    keys: str
    keys_seed: int
    n: int
    d: int
    values: str
    eta: float | None
    gamma: float | None
    coherence: float
    scale: float
    logit_range: float
    closed_scale: float
    paper_scale: float | None
    success: float
    bits_per_number: float
    secret_bits: int
    bound_bits: float
    bound_bits_per_token: float
    compression_ratio_limit: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data, in reading order."""
        return asdict(self)


def index_limit(
    keys: str = "jl",
    n: int | None = None,
    d: int = 64,
    *,
    keys_seed: int = 0,
    values: str = "01",
    eta: float | None = 0.5,
    gamma: float | None = None,
    success: float = 0.9,
) -> Limit:
    """The bound of the Index reduction at its tight scale.

    ``n`` None takes the whole family where it is finite. ``compression_ratio_limit`` is against a
    16-bit K and V cache: no algorithm with this guarantee compresses further on this stream.
    Raises BadInput for a success probability outside (1/2, 1], and what ``IndexReduction.build``
    raises.

    >>> limit = index_limit("kerdock", d=64, eta=0.5)
    >>> limit.n, limit.coherence, round(limit.scale, 3)
    (4096, 0.125, 10.041)
    """
    if not 0.5 < success <= 1.0:
        raise BadInput(
            f"success must lie in (1/2, 1], not {success:g}: 1/2 is the success of a random guess."
        )
    key_set = key_sets.make(keys, n, d, keys_seed)
    reduction = IndexReduction.build(key_set, d, values=values, eta=eta, gamma=gamma)
    bound = index_bound_bits(reduction.secret_bits, success)
    rows = key_set.rows_at(key_set.representatives)
    norms2 = np.square(rows, dtype=np.float64).sum(axis=1)
    return Limit(
        reduction="index",
        keys=keys,
        keys_seed=keys_seed,
        n=key_set.n,
        d=d,
        values=values,
        eta=eta,
        gamma=gamma,
        coherence=coherence(key_set),
        scale=reduction.scale,
        logit_range=reduction.scale * float(norms2.max()),
        closed_scale=reduction.condition.closed_scale(
            key_set.n, separable_gap(key_set), float(norms2.min())
        ),
        paper_scale=_paper(key_set, values, eta),
        success=success,
        bits_per_number=1.0,
        secret_bits=reduction.secret_bits,
        bound_bits=bound,
        bound_bits_per_token=bound / key_set.n,
        compression_ratio_limit=compression_ratio_limit(key_set.n, d, d, bound),
    )


def _paper(key_set: KeySet, values: str, eta: float | None) -> float | None:
    """Theorem 8's scale (reconstructed), where its hypotheses hold."""
    if eta is None or values != "01":
        return None
    try:
        return paper_scale(key_set.n, eta, max_deviation(key_set))
    except BadInput:
        return None
