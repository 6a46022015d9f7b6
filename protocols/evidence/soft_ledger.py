"""The soft ledger: what Bob's real outputs tell of the secret, as an e-value against the charge.

The hard ledger (``ledger``) counts bits; a Bob who knows which of his bits are good has said more.
Let Q be any prediction of the asked bits from the message: Q(x | M) = prod_i Q_i(x_i | M, x_<i),
for instance "bits whose estimate falls into this bin are 1 in a share of what was seen so far".

    s = sum_i [1 + log2 Q_i(x_i | M, x_<i)] - m        [bits of surprise], N asked, m charged bits

**Claim (ours).** For every compressor and every Q fixed before the message is drawn (it may depend
on all earlier messages and their secrets), W_T = 2^{s_T}, s_T summed over T messages, is a test
supermartingale: Pr[sup_T s_T >= b] <= 2^-b.

*Proof.* Fix all coins and the past. The asked bits x are uniform on {0,1}^N and M is a function of
them (those not asked are fixed too), so

    E[W_T / W_{T-1} | past] = sum_x 2^-N 2^{N - m(M(x))} Q(x | M(x))
                            = sum_M 2^{-m(M)} sum_{x: M(x) = M} Q(x | M)
                           <= sum_M 2^{-m(M)} <= 1,

since Q(. | M) is a probability of x, and by Kraft, as charged lengths are those of a prefix-free
code. Average over the coins; Ville.   []

Bob's outputs are a function of M, public coins and his questions, and the questions of the Index
game do not depend on x: so Q may use them all, those for other bits too. It must not use x_i or
later bits; x_<i it may: *prequential*. Failed messages: see ``ledger``.

**The predictor here.** Real *scores* (a decoder's estimates, a distance from a cut) are sorted into
bins fixed beforehand, and each bin has a Krichevsky-Trofimov estimator, Q(1) = (ones + 1/2)/(seen +
1), whose product over a bin's bits depends on their number only:

    KT(ones, zeros) = Gamma(ones + 1/2) Gamma(zeros + 1/2) / (pi Gamma(ones + zeros + 1)).

It is within 1/2 log2 N + 1 bits a bin of the best constant prediction in hindsight (Krichevsky and
Trofimov 1981), so s is N - m - sum_bins n_b h(share of ones) up to that: with one bin for "said 1"
and one for "said 0" hardly less than the hard ledger, and with finer bins more wherever confidence
tells anything. Counts go on from message to message: predictions may learn.

*Several cells* are convicted by the average of their W, as in ``ledger.family_ledger``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import BadInput
from .ledger import Ledger, log_beta

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]

#: bins of a score, by its distance from its cut in units of its public scale
EDGES = (-4.0, -2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0)


def kt_bits(ones: ArrayLike, zeros: ArrayLike) -> Any:
    """log2 KT(ones, zeros), at most 0, for this many ones and zeros in any order; arrays broadcast.

    >>> [round(2 ** float(kt_bits(ones, 0)), 9) for ones in (0, 1, 2)]  # 1, 1/2, 3/4 of it
    [1.0, 0.5, 0.375]
    """
    a, b = (np.asarray(count, dtype=np.float64) + 0.5 for count in (ones, zeros))
    return (log_beta(a, b) - math.log(math.pi)) / math.log(2.0)


def bin_of(scores: ArrayLike, edges: ArrayLike = EDGES) -> Ints:
    """The bin of each score, int64 in 0 .. len(edges) + 1: how many edges it reaches; nan the last.

    >>> bin_of([-1.0, 0.0, 0.7, float("nan")], edges=(0.0, 0.5)).tolist()
    [0, 1, 2, 3]
    """
    values, cuts = np.asarray(scores, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    if cuts.ndim != 1 or (np.diff(cuts) <= 0).any():
        raise BadInput("The edges of the bins must increase.")
    found = np.searchsorted(cuts, values, side="right")
    return np.where(np.isnan(values), len(cuts) + 1, found).astype(np.int64)


def counts_by_bin(where: Ints, bits: Ints, bins: int) -> Ints:
    """Zeros and ones of one message in each bin: int64[bins, 2].

    >>> counts_by_bin(np.array([0, 1, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 0], [0, 2]]
    """
    return np.bincount(2 * where + bits, minlength=2 * bins).reshape(bins, 2)


def soft_ledger(counts: Sequence[ArrayLike], charged: ArrayLike, *, secret_bits: int) -> Ledger:
    """The soft ledger of one cell from its messages in order, in the form of the hard one.

    ``counts``: int64[bins, 2] of each message, the zeros and ones asked for in each bin
    (:func:`counts_by_bin`), a bin being a function of the message alone; ``charged`` int[T];
    ``secret_bits`` of a message (``blind`` where that is no more than the charge). The estimators
    go on from message to message.

    >>> certain = [[0, 0], [0, 64]]  # 64 ones in one bin: KT gives them 2^-3.8
    >>> round(soft_ledger([certain], [10], secret_bits=64).surprise, 1)
    50.2
    """
    m = np.asarray(charged, dtype=np.float64)
    seen: Ints | int = 0
    gains = []
    for table, cost in zip(counts, m, strict=True):
        new = np.asarray(table, dtype=np.int64)
        before, seen = np.broadcast_to(seen, new.shape), seen + new
        gained = kt_bits(seen[:, 1], seen[:, 0]) - kt_bits(before[:, 1], before[:, 0])
        gains.append(new.sum() + gained.sum() - cost)
    path = np.cumsum(gains, dtype=np.float64)
    end, peak = (float(path[-1]), float(path.max())) if len(path) else (0.0, 0.0)
    return Ledger(end, peak, bool(m.sum() >= secret_bits * len(m)) and len(path) > 0, path)
