r"""Does a place beat chance? An e-value against "the labels of this axis could be exchanged".

Cut what was read into *blocks* of exchangeable *labels*, each with a count of wrong bits:

* rows (tokens, questions, sequences, places after a cut): a block is a message, a label one of
  its rows, moved as a whole;
* layers, heads, channels: a block is a piece of a message, its rows in order cut into at most
  :data:`PIECES` with equally many wrong bits, a label a layer, head or channel;
* diagonals (token number modulo m against channel group): the same pieces, a label one of the m
  diagonals, which a rotation of the channel groups exchanges;
* bit values: the same pieces, the labels zero and one.

**Null.** In each block the counts c_1..c_V could have been met in any order, independently of the
other blocks.

**Theorem (ours).** Let T be a set of labels, s = \|T\|, and lambda any number, both fixed. Then

    e = prod over blocks of  exp(lambda sum_{l in T} c_l) / (mean_l exp(lambda c_l))^s

has expectation at most 1 under the null, and so has the same product over the labels outside T.
Any map of the counts that treats all labels alike may come first, and where \|T\| is 1 or V-1
it is enough that the counts could have been met in any rotation.

*Proof.* Given the multiset of a block's counts, sum_{l in T} c_l is a sum of s draws from it
without replacement. exp is convex, so its expectation is at most that of s draws with replacement
(Hoeffding 1963, Theorem 4), (mean_l exp(lambda c_l))^s. Blocks are independent: multiply.   []

The average over several lambdas, maps and both sides is an e-value again (:func:`log2_evidence`).

**Corollary (all places at once).** Let w(R) >= 0 be weights of the places, sum w <= 1, fixed before
the data. Then Pr[some R has w(R) e(R) >= 1/alpha] <= alpha, *however R is chosen*.

*Proof.* Such an R makes sum_R w(R) e(R) >= 1/alpha, a sum of expectation at most 1: Markov.   []

So no messages need be held out, and one is enough. w(R) = 2^-(bits of a code for R): the simplest
places cost least. A place is a product, and each of its factors is tested with the others as its
context: a context that follows from sums over the labels exchanged (the tokens, chosen by whole
rows, when channels are exchanged) is fixed given these sums and costs nothing; any other pays its
own bits. With alpha split over the axes, the probability that *any* factor is named along an
axis whose null is true is at most alpha.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PIECES = 32
"""What a cache does alike over a longer run of wrong bits counts once, not row by row."""

LAMBDAS = np.array([1.5, 5.0, 16.0])


def log2_evidence(counts: Floats, chosen: Bools, present: Bools | None = None) -> float:
    """log2 of the average e-value that the chosen labels have more wrong bits than by chance.

    ``counts`` float64[blocks, labels], ``chosen`` and ``present`` bool of this shape.

    One lost token of 512 in each of two messages is worth at most 2 log2 512 = 18 bits; the average
    keeps all but log2(12/2) = 2.6, for two of its 12 terms have them.

    >>> counts = np.zeros((2, 512))
    >>> counts[:, 7] = 30
    >>> round(log2_evidence(counts, counts > 0), 1)
    15.5
    """
    here = np.ones(counts.shape, dtype=bool) if present is None else present
    top = np.max(counts, axis=1, where=here, initial=0.0, keepdims=True)
    shares = counts / np.maximum(top, 1e-300)
    number = np.maximum(here.sum(axis=1), 1)
    # Where all labels are chosen, or none, a block says nothing: there lambda is 0.
    told = (here & chosen).any(axis=1) & (here & ~chosen).any(axis=1)
    logs = []
    for c in (shares, np.minimum(counts, 1.0)):
        for lam in LAMBDAS:
            for sign, side in ((1.0, chosen), (-1.0, ~chosen)):
                # exp(lambda c) from its largest down, so that nothing overflows.
                x = lam * (sign * c - (1.0 if sign > 0 else 0.0))
                mean = np.sum(np.exp(x), axis=1, where=here) / number
                some = here & side
                inside = np.sum(x, axis=1, where=some) - some.sum(axis=1) * np.log(mean)
                logs.append(float(inside[told].sum()))
    peak = max(logs)
    return (peak + math.log(sum(math.exp(one - peak) for one in logs) / len(logs))) / math.log(2)


def pieces(
    message: NDArray[np.int64], order: NDArray[np.int64], weight: Floats, rows: Bools
) -> NDArray[np.int64]:
    """The block of each row, int64[rows], -1 outside ``rows`` and where ``weight`` is 0.

    The rows of a message, in ``order``, are cut into at most PIECES runs of about equal ``weight``,
    their wrong bits: these sums over whole rows stay as they are when columns are exchanged.

    >>> one, order, all_rows = np.zeros(4, np.int64), np.array([3, 2, 1, 0]), np.ones(4, bool)
    >>> pieces(one, order, np.array([2.0, 2.0, 0.0, 1.0]), all_rows).tolist()
    [25, 12, -1, 3]
    """
    block = np.full(len(message), -1, dtype=np.int64)
    some = rows & (weight > 0)
    for number in np.unique(message[some]):
        here = np.flatnonzero(some & (message == number))
        here = here[np.argsort(order[here], kind="stable")]
        middle = np.cumsum(weight[here]) - weight[here] / 2.0
        share = middle / weight[here].sum()
        block[here] = number * PIECES + np.minimum(share * PIECES, PIECES - 1).astype(np.int64)
    return block
