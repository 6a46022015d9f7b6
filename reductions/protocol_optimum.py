"""The best one-way protocol for Index, exactly, where the secret is small enough to try them all.

X is uniform on {0,1}^N. A deterministic protocol is an encoder {0,1}^N -> {1..L} and a guess
x^(M) in {0,1}^N for each message; m = log2 L bits. Its mean bit error is

    e = (1/N) sum_i Pr[x^_i(M) != X_i] = T / (N 2^N),   T = sum over x of dist(x, x^(M(x))),

and T is a whole number, the *total errors*. Coins do not help: with coins, public or private, T is
an average over deterministic protocols, so some deterministic one is as good.

Fano (Theorem 5) says log2 L >= N (1 - h(e)). Here is the least T for every L, in three ways that
share no code (ours):

* by **partitions** (encoders): up to the names of messages an encoder is a partition of the 2^N
  secrets into at most L cells, and a cell is best guessed by its bitwise majority. All
  Bell(2^N) partitions: 4140 at N = 3.
* by **codebooks** (decoders): up to the names of messages a decoder is a set of at most L words,
  and a secret is best sent to the nearest one. All 2^(2^N) - 1 sets: 65535 at N = 4.
* by **subsets**: the cost of a cell is a function of the cell alone, so

      best(L, S) = min of cost(T) + best(L-1, S - T) over T in S with the least element of S,

  3^(2^N) / 2 steps a level, 2 * 10^7 at N = 4.

A secret set is an int whose bit x says whether x is in it; the word x is the int sum_i x_i 2^i.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from .bounds import fano_rate
from .jit import njit

Cells = tuple[tuple[int, ...], ...]

#: the largest N of each computation: Bell(16) is 10^10, 2^32 codebooks and 3^32 steps are too many
LARGEST = {"partitions": 3, "codebooks": 4, "subsets": 4}


def _check(N: int, method: str) -> None:
    if not 1 <= N <= LARGEST[method]:
        raise BadInput(
            f"The optimum by {method} tries every protocol, which is feasible for 1 <= N <= "
            f"{LARGEST[method]} secret bits, not {N}: use a smaller N, or Fano's bound."
        )


def partitions(points: int) -> Iterator[Cells]:
    """Every partition of {0..points-1} once, cells in order of their least elements.

    >>> list(partitions(2))
    [((0, 1),), ((0,), (1,))]
    >>> sum(1 for _ in partitions(8))  # the Bell number
    4140
    """

    def grow(at: int, cells: list[list[int]]) -> Iterator[Cells]:
        if at == points:
            yield tuple(tuple(cell) for cell in cells)
            return
        for cell in cells:
            cell.append(at)
            yield from grow(at + 1, cells)
            cell.pop()
        cells.append([at])
        yield from grow(at + 1, cells)
        cells.pop()

    return grow(0, [])


def majority_errors(N: int, cell: Sequence[int]) -> list[int]:
    """For each bit i, how many secrets of the cell its majority guess gets wrong: min(#0, #1).

    >>> majority_errors(3, (0b000, 0b001, 0b011))
    [1, 1, 0]
    """
    ones = [sum(word >> i & 1 for word in cell) for i in range(N)]
    return [min(count, len(cell) - count) for count in ones]


def by_partitions(N: int) -> list[int]:
    """The least total errors with L = 1 .. 2^N messages, from every partition (N <= 3).

    >>> by_partitions(2)
    [4, 2, 1, 0]
    """
    _check(N, "partitions")
    best = [N * 2**N] * 2**N
    for cells in partitions(2**N):
        errors = sum(sum(majority_errors(N, cell)) for cell in cells)
        best[len(cells) - 1] = min(best[len(cells) - 1], errors)
    return list(itertools.accumulate(best, min))


def by_codebooks(N: int) -> list[int]:
    """The least total errors with L = 1 .. 2^N messages, from every set of guesses (N <= 4).

    >>> by_codebooks(3)
    [12, 6, 5, 4, 3, 2, 1, 0]
    """
    _check(N, "codebooks")
    words = np.arange(2**N)
    distance = np.array([[(a ^ b).bit_count() for b in range(2**N)] for a in range(2**N)])
    best = []
    for L in range(1, 2**N + 1):
        books = np.array(list(itertools.combinations(words, L)))
        nearest = np.full((len(books), 2**N), N)
        for place in range(L):
            np.minimum(nearest, distance[books[:, place]], out=nearest)
        best.append(int(nearest.sum(axis=1).min()))
    return best


def cell_costs(N: int) -> NDArray[np.int32]:
    """Int32[2^(2^N)]: for every set of secrets, the total errors of its majority guess."""
    sets = np.arange(2 ** (2**N), dtype=np.int64)
    member = (sets[:, None] >> np.arange(2**N)) & 1
    bits = (np.arange(2**N)[:, None] >> np.arange(N)) & 1
    ones = member @ bits
    minority = np.minimum(ones, member.sum(axis=1)[:, None] - ones)
    return np.asarray(minority.sum(axis=1), dtype=np.int32)


@njit(cache=True)
def cheapest_splits(
    cost: NDArray[np.int32], levels: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Int32[levels+1, S] twice: best(L, S) for every set S, and the first cell of a best split.

    ``cost`` int32[2^points]. best(0, S) is 2^30 for S not empty: no split into no cells.
    """
    sets = len(cost)
    best = np.full((levels + 1, sets), 1 << 30, dtype=np.int32)
    first = np.zeros((levels + 1, sets), dtype=np.int32)
    best[:, 0] = 0
    for level in range(1, levels + 1):
        for whole in range(1, sets):
            least = whole & -whole
            rest = whole ^ least
            part = rest
            found = 1 << 30
            cell = 0
            while True:
                value = cost[part | least] + best[level - 1, rest ^ part]
                if value < found:
                    found = value
                    cell = part | least
                if part == 0:
                    break
                part = (part - 1) & rest
            best[level, whole] = found
            first[level, whole] = cell
    return best, first


def by_subsets(N: int) -> tuple[list[int], list[Cells]]:
    """The least total errors with L = 1 .. 2^N messages, and a best partition for each (N <= 4).

    >>> errors, cells = by_subsets(3)
    >>> errors, cells[0]  # one bit about three (L = 2): 6 errors in 24, as repetition has
    ([12, 6, 5, 4, 3, 2, 1, 0], ((0, 1, 2, 3, 4, 5, 6, 7),))
    """
    _check(N, "subsets")
    best, first = cheapest_splits(cell_costs(N), 2**N)
    errors, splits = [], []
    for L in range(1, 2**N + 1):
        whole, level, cells = 2 ** (2**N) - 1, L, []
        while whole:
            cell = int(first[level, whole])
            cells.append(tuple(x for x in range(2**N) if cell >> x & 1))
            whole, level = whole ^ cell, level - 1
        errors.append(int(best[L, -1]))
        splits.append(tuple(sorted(cells)))
    return errors, splits


@dataclass(frozen=True)
class Chain:
    """The quantities of Theorem 23's proof for one deterministic protocol, in bits, ascending.

        N (1 - h(e)) <= sum_i (1 - h(e_i)) <= sum_i I(X_i; M) <= I(X; M) <= log2 L

    by concavity of h; Fano for each bit; the chain rule with independent X_i; and I(X;M) = H(M)
    <= log2 L, M being a function of X.
    """

    concave: float
    fano: float
    marginal: float
    joint: float
    length: float

    @property
    def slacks(self) -> tuple[float, float, float, float]:
        """What each inequality gives away, in the order of the chain."""
        terms = (self.concave, self.fano, self.marginal, self.joint, self.length)
        concave, fano, rule, length = (b - a for a, b in itertools.pairwise(terms))
        return concave, fano, rule, length


def chain(N: int, cells: Cells, L: int | None = None) -> Chain:
    """The chain for the protocol that names a cell of the partition and guesses its majority.

    Probabilities are exact fractions; logarithms are float64. ``L`` messages, the number of cells
    by default. BadInput unless the cells are a partition of {0,1}^N into at most L cells.

    >>> link = chain(2, ((0, 1), (2, 3)))  # the first bit is guessed, the second is sent
    >>> link.fano, link.marginal, link.joint, link.length
    (1.0, 1.0, 1.0, 1.0)
    """
    L = len(cells) if L is None else L
    if sorted(itertools.chain(*cells)) != list(range(2**N)) or not len(cells) <= L:
        raise BadInput(
            f"A protocol with {L} messages is a partition of the {2**N} secrets into at most "
            f"{L} cells: give each secret once."
        )
    wrong = [majority_errors(N, cell) for cell in cells]
    errors = [Fraction(sum(row[i] for row in wrong), 2**N) for i in range(N)]
    # I(X_i; M) = sum over cells of Pr[cell] (1 - h(share of the minority bit)), as H(X_i) = 1.
    marginal = math.fsum(
        len(cell) / 2**N * fano_rate(float(Fraction(minority, len(cell))))
        for cell, row in zip(cells, wrong, strict=True)
        for minority in row
    )
    return Chain(
        N * fano_rate(float(sum(errors, Fraction(0)) / N)),
        math.fsum(fano_rate(float(e)) for e in errors),
        marginal,
        math.fsum(len(cell) / 2**N * (N - math.log2(len(cell))) for cell in cells),
        math.log2(L),
    )
