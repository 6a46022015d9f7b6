"""How many samples boost an unbiased one: Theorem 25's numbers, and what a plain mean needs.

A sample X of a coordinate has mean mu (the exact output) and takes values in [vmin, vmax], with
0 < vmin and kappa = vmax/vmin. (The paper's assumption on the values is reconstructed as this.)

**Theorem 25** (reconstructed). E X^2 <= vmax mu <= kappa mu^2, since mu >= vmin, so
Var X <= (kappa - 1) mu^2. By Chebyshev the mean of k = 4 kappa/eps^2 independent samples leaves
(1 +- eps) mu with probability at most (kappa-1)/(k eps^2) <= 1/4. The median of t independent such
means leaves it only if half of them do; by Hoeffding that has probability at most
e^{-2 t (1/4)^2} = e^{-t/8}, so t = 8 ln(2/delta) leaves at most delta/2 < delta. For d coordinates
take delta/d each.

**A plain mean** (ours). Hoeffding, with a range of (kappa-1) vmin <= (kappa-1) mu: the mean of
(kappa-1)^2 ln(2/delta) / (2 eps^2) samples leaves (1 +- eps) mu with probability at most delta.
That is below the 32 kappa ln(2/delta) / eps^2 samples of the median for every kappa <= 65.98.
"""

from __future__ import annotations

import math

from ..errors import BadInput


def copies_per_mean(eps: float, kappa: float) -> int:
    """k = ceil(4 kappa / eps^2): samples in one mean.

    Raises BadInput unless 0 < eps < 1 and kappa >= 1.

    >>> copies_per_mean(0.5, 2.0)
    32
    """
    _check(eps, kappa)
    return math.ceil(4 * kappa / eps**2)


def means_in_median(delta: float, coordinates: int = 1) -> int:
    """t = ceil(8 ln(2 coordinates / delta)): means whose median is taken.

    ``delta`` bounds the probability that any of the coordinates fails. Raises BadInput unless
    0 < delta < 1 and coordinates >= 1.

    >>> means_in_median(0.1), means_in_median(0.1, coordinates=8)
    (24, 41)
    """
    _check_failure(delta, coordinates)
    return math.ceil(8 * math.log(2 * coordinates / delta))


def copies_of_plain_mean(eps: float, delta: float, kappa: float, coordinates: int = 1) -> int:
    """Samples after which a plain mean has the same guarantee (ours, by Hoeffding's inequality).

    >>> copies_of_plain_mean(0.5, 0.1, 2.0), copies_per_mean(0.5, 2.0) * means_in_median(0.1)
    (6, 768)
    """
    _check(eps, kappa)
    _check_failure(delta, coordinates)
    return max(1, math.ceil((kappa - 1) ** 2 * math.log(2 * coordinates / delta) / (2 * eps**2)))


def _check(eps: float, kappa: float) -> None:
    if not 0 < eps < 1:
        raise BadInput(f"Theorem 25 needs 0 < eps < 1, not {eps:g}.")
    if not 1 <= kappa < math.inf:
        raise BadInput(
            "Theorem 25 needs values in [vmin, vmax] with 0 < vmin: kappa = vmax/vmin must be "
            f"at least 1, not {kappa:g}."
        )


def _check_failure(delta: float, coordinates: int) -> None:
    if not 0 < delta < 1:
        raise BadInput(f"Theorem 25 needs a failure probability 0 < delta < 1, not {delta:g}.")
    if coordinates < 1:
        raise BadInput(f"An output must have at least one coordinate, not {coordinates}.")
