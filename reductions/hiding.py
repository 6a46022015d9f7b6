"""The hide-and-seek game of Theorem 19: who reads a share f of the places, how often does he err?

One of N places is changed, or none (D_0). A non-adaptive algorithm chooses a set Q of places, by
coins of its own, before the stream is drawn, and answers from what it read. No output is acceptable
both for D_0 and for a D_i. Let a_Q be the probability that its answer is D_0's when nothing in Q is
changed; it sees the same in D_0 and in every D_i with i not in Q, so it errs

    on D_0 with 1 - E a_Q,     on a uniformly random D_i with at least E (1 - f_Q) a_Q,   f_Q=|Q|/N.

*Prior 1/2* (paper, reconstructed). The mean of the two is at least E [1 - f_Q a_Q]/2, so

    err >= (1 - E f_Q)/2,  with equality at a = 1: read, and answer D_0's unless something is seen.

*Worst case* (ours), |Q| <= fN always. Weigh D_0 with p = (1-f)/(2-f) and each D_i with (1-p)/N:
    p(1 - E a) + (1-p) E(1 - f_Q) a >= p - p E a + (1-p)(1-f) E a = p,  as p = (1-p)(1-f). So

    max over D_0 and all D_i of err >= (1-f)/(2-f),

with equality for uniformly random Q and a = 1/(2-f): 1-a = (1-f)/(2-f) = (1-f)a. The success is
1/(2-f). If only the *mean* of f_Q is bounded, reading all places with probability f and else none,
a = 1/2, has the worst-case error (1-f)/2, and no less is possible by the first line: the minimax
line is one for the largest f, the other for the mean.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

MOST_PLACES = 10


def _share(f: float) -> None:
    if not 0 <= f <= 1:
        raise BadInput(f"A share of the places must lie in [0, 1], not {f:g}.")


def error_line(f: float) -> float:
    """(1-f)/2: the least error at prior 1/2 on D_0, f the mean share read (reconstructed).

    >>> error_line(0.8), error_line(0.0)
    (0.09999999999999998, 0.5)
    """
    _share(f)
    return (1 - f) / 2


def minimax_error(f: float) -> float:
    """(1-f)/(2-f): the least worst-case error, f the largest share read (ours).

    >>> round(minimax_error(8 / 9), 12), minimax_error(0.0)
    (0.1, 0.5)
    """
    _share(f)
    return (1 - f) / (2 - f)


def game_value(f: float) -> float:
    """1/(2-f): the largest worst-case success, and the probability a that attains it (ours)."""
    _share(f)
    return 1 / (2 - f)


def share_needed(success: float, *, worst_case: bool = False) -> float:
    """The share f that a success probability in [1/2, 1] costs: 2P - 1, in the worst case 2 - 1/P.

    >>> round(share_needed(0.9), 12), round(share_needed(0.9, worst_case=True), 12)
    (0.8, 0.888888888889)
    """
    if not 0.5 <= success <= 1:
        raise BadInput(f"The success must lie in [1/2, 1], not {success:g}: 1/2 needs no reads.")
    return 2 - 1 / success if worst_case else 2 * success - 1


def minimax_program(places: int, reads: int) -> tuple[float, float]:
    """The worst-case success of the best algorithm, and the hardest prior on D_0, by a program.

    A linear program over the distributions on (Q, answer when nothing is seen), Q any set of
    ``reads`` of ``places``; it knows nothing of the formula. The prior is its dual solution.

    Raises:
        BadInput: more than 10 places, or reads outside 0 .. places.

    >>> [round(x, 9) for x in minimax_program(4, 2)]  # 1/(2 - 1/2), (1 - 1/2)/(2 - 1/2)
    [0.666666667, 0.333333333]
    """
    from scipy.optimize import linprog

    succeeds = _outcomes(places, reads)
    # Variables: the probabilities, then the success t. Maximise t with t <= success on each stream.
    count = succeeds.shape[1]
    done = linprog(
        c=np.append(np.zeros(count), -1.0),
        A_ub=np.hstack([-succeeds, np.ones((places + 1, 1))]),
        b_ub=np.zeros(places + 1),
        A_eq=np.append(np.ones(count), 0.0)[None],
        b_eq=[1.0],
        method="highs",
    )
    return -float(done.fun), -float(done.ineqlin.marginals[0])


def least_error(places: int, reads: int) -> float:
    """The least error at prior 1/2 over all sets of ``reads`` places and both answers, by trying.

    Coins only average over these. It knows nothing of the formula; raises as
    :func:`minimax_program`.

    >>> [least_error(4, reads) for reads in range(5)]
    [0.5, 0.375, 0.25, 0.125, 0.0]
    """
    succeeds = _outcomes(places, reads)
    return 1 - float(((succeeds[0] + succeeds[1:].mean(axis=0)) / 2).max())


def _outcomes(places: int, reads: int) -> NDArray[np.float64]:
    """1 where a pure strategy succeeds: row 0 is D_0, row i is D_i; columns are (Q, answer)."""
    if not 1 <= places <= MOST_PLACES:
        raise BadInput(f"The linear program needs 1 to {MOST_PLACES} places, not {places}.")
    if not 0 <= reads <= places:
        raise BadInput(f"{reads} of {places} places cannot be read: give 0 to {places}.")
    sets = list(combinations(range(places), reads))
    table = np.zeros((places + 1, 2 * len(sets)))
    for column, read in enumerate(sets):
        says_0, says_i = table[:, 2 * column], table[:, 2 * column + 1]
        says_0[0] = 1
        says_i[1:] = 1
        says_0[1 + np.array(read, dtype=int)] = 1
    return table
