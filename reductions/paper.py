"""The paper's own formulas for Theorems 6 and 8, under its letters (reconstructed from its prose).

Keys with |<k_l,k_i> - delta_li| <= eps for all l, i (Lemma 3), Bob's query C k_i, his key and value
0. Here n counts data tokens; the paper's n counts Bob's token as well and is n + 1. With (10)
s_i >= C(1-eps) and |s_l| <= C eps, (12)-(15) say for values {0,1}

    x_ij = 0:  o_j <= delta = n e^{C eps} / (e^{C(1-eps)} + n e^{C eps})
    x_ij = 1:  o_j >= Delta = e^{C(1-eps)} / (e^{C(1-eps)} + n e^{C eps}).

The denominator contains Bob's own weight 1 beside the n-1 other tokens. For a 1 bit, 1 <= e^{C eps}
makes that at most n e^{C eps}; for a 0 bit the bound grows with the others' total weight, so n in
place of n-1 does no harm.

(16): delta < Delta iff C(1-2 eps) > ln n. Theorem 8: (1+eta) delta < (1-eta) Delta iff
C(1-2 eps) > ln(rho n), satisfied by C = ln(rho (n+1)) / (1 - 2 eps), the paper's choice. All need
eps < 1/2. The exact conditions, which need less, are ours: ``margins``.
"""

from __future__ import annotations

import math

from ..errors import BadInput


def _weights(n: int, eps: float, C: float) -> float:
    """n e^{C eps} / e^{C(1-eps)}."""
    return n * math.exp(-C * (1 - 2 * eps))


def paper_delta(n: int, eps: float, C: float) -> float:
    """The paper's delta (12): no exact output for a 0 bit exceeds it."""
    share = _weights(n, eps, C)
    return share / (1 + share)


def paper_Delta(n: int, eps: float, C: float) -> float:
    """The paper's Delta (14): no exact output for a 1 bit is below it.

    >>> C = paper_scale(100, 0.5, 0.1)
    >>> 1.5 * paper_delta(100, 0.1, C) < 0.5 * paper_Delta(100, 0.1, C)
    True
    """
    return 1 / (1 + _weights(n, eps, C))


def paper_scale(n: int, eta: float, eps: float) -> float:
    """Theorem 8's C = (ln(n+1) + ln rho) / (1 - 2 eps), rho = (1+eta)/(1-eta), n data tokens.

    BadInput when its hypotheses fail: 0 <= eta < 1 (eta = 0 is Theorem 6's exact output), and the
    measured eps < 1/2, which at head dimension 64 random keys do not meet for long.

    >>> round(paper_scale(99, 0.0, 0.25), 4) == round(2 * math.log(100), 4)
    True
    """
    if n < 1 or not 0 <= eta < 1:
        raise BadInput(f"Theorem 8 needs n >= 1 and 0 <= eta < 1, not {n} and {eta:g}.")
    if not 0 <= eps < 0.5:
        raise BadInput(
            "The paper's scale divides by 1 - 2 eps and needs eps < 1/2, but the largest "
            f"|<k_i,k_j> - delta_ij| of these keys is {eps:.3g}: use the tight scale, or keys "
            "with a smaller deviation (larger d, fewer keys)."
        )
    return math.log((n + 1) * (1 + eta) / (1 - eta)) / (1 - 2 * eps)


def jl_dimension(n: int, eps: float) -> float:
    """Lemma 3's d >= 12 ln n / (eps^2 - eps^3) for n points (4), as a real number to round up.

    At this constant the union bound over pairs and norms gives probability 1 - 2/n (the paper says
    1 - 1/n); existence, which is all the theorem needs, is unaffected.

    >>> math.ceil(jl_dimension(512, 0.1))
    8318
    """
    if n < 1 or not 0 < eps < 1:
        raise BadInput(f"Lemma 3 needs n >= 1 and 0 < eps < 1, not {n} and {eps:g}.")
    return 12 * math.log(n) / (eps**2 - eps**3)
