"""Theorem 19: two families of streams that differ from D_0 in one hidden place.

n tokens, of which the newest (index n-1) comes with the query and is public: n-1 are *hideable*.
(Here n is the paper's n: it counts the query's own token too.) The query is q = 1, all ones, and
all d coordinates of an output are alike.

``TokenFamily``, the paper's (Appendix H, reconstructed; its literal vectors were not at hand).
D_0: every key is 0, every value is 1, so the output is 1. D_i: k_i = (ln(n-1)/d) 1, v_i = B 1.
    e^<q,k_i> = n-1 against n-1 ones: weight 1/2 on i, output (B+1)/2.                 (paper: 91)
    Outputs within (1 +- eta) of 1 and of (B+1)/2 are disjoint iff (1+eta) < (1-eta)(B+1)/2, i.e.
    B > (1+3 eta)/(1-eta). One coordinate of k_i or of v_i tells D_i from D_0.

``CellFamily`` (ours). Values are public: 1 for the newest token, 0 for the others. D_0: K = 0,
output 1/n. D_ij: k_i = ln((n-1)w/(1-w)) e_j, and no other cell differs from D_0.
    The weight on i is w, each other token has (1-w)/(n-1), so the output is (1-w)/(n-1).
    Disjoint iff (1+eta)(1-w)/(n-1) < (1-eta)/n, i.e. w > 1 - (1-eta)(n-1)/((1+eta) n).
    One of (n-1) d cells is hidden; to read all the others tells nothing.

The games are in :mod:`.hiding`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]


class Family(Protocol):
    """D_0 and one stream for each of ``places`` hidden places."""

    @property
    def n(self) -> int:
        """Tokens, the newest and public one among them."""

    @property
    def d(self) -> int:
        """The dimension."""

    @property
    def eta(self) -> float:
        """The relative error allowed."""

    @property
    def places(self) -> int:
        """How many streams there are beside D_0."""

    def stream(self, place: int | None) -> tuple[Float32, Float32, Float32]:
        """q float32[d], K float32[n, d], V float32[n, d]; ``place`` None is D_0."""

    def output(self, place: int | None) -> float:
        """Every coordinate of the exact attention output for the query."""

    def seen(self, keys: Bool, values: Bool) -> Bool:
        """bool[places]: at which places somebody who reads these cells of K and V, bool[n, d]
        each, can tell the stream from D_0."""


@dataclass(frozen=True)
class TokenFamily:
    """The paper's family D_0, D_1, .., D_{n-1}: one token is hidden (reconstructed).

    Args:
        n: tokens, the query's own among them; d: dimension; eta: relative error allowed.
        B: the hidden value; None takes twice the least one.

    Raises:
        BadInput: n < 2, d < 1, eta outside (0, 1), or B <= (1+3 eta)/(1-eta).

    >>> family = TokenFamily(n=9, d=4, eta=0.5)
    >>> family.places, family.B, family.output(None), family.output(3)
    (8, 10.0, 1.0, 5.5)
    """

    n: int
    d: int
    eta: float = 0.5
    B: float | None = None

    def __post_init__(self) -> None:
        _check(self.n, self.d, self.eta)
        least = (1 + 3 * self.eta) / (1 - self.eta)
        if self.B is None:
            object.__setattr__(self, "B", 2 * least)
        elif not least < self.B < math.inf:
            raise BadInput(
                f"B = {self.B:g} does not separate D_0 from D_i: Theorem 19 needs "
                f"B > (1+3 eta)/(1-eta) = {least:g}."
            )

    @property
    def places(self) -> int:
        """n - 1, the hideable tokens."""
        return self.n - 1

    def stream(self, place: int | None) -> tuple[Float32, Float32, Float32]:
        """One key that attends, and a value of B, at the place; None: D_0."""
        K = np.zeros((self.n, self.d), dtype=np.float32)
        V = np.ones((self.n, self.d), dtype=np.float32)
        if place is not None:
            K[place] = math.log(self.n - 1) / self.d
            V[place] = self.B
        return np.ones(self.d, dtype=np.float32), K, V

    def output(self, place: int | None) -> float:
        """1 for D_0, (B+1)/2 for every D_i."""
        assert self.B is not None
        return 1.0 if place is None else (self.B + 1) / 2

    def seen(self, keys: Bool, values: Bool) -> Bool:
        """The tokens of which a coordinate is read: any one of the 2 d tells D_i from D_0.

        (At n = 2 a key says nothing, as ln(n-1) = 0.)
        """
        read: Bool = np.any(values, axis=1)
        if self.n > 2:
            read = np.logical_or(read, np.any(keys, axis=1))
        return read[:-1]


@dataclass(frozen=True)
class CellFamily:
    """D_0 and D_ij: one coordinate of one key is hidden (ours).

    Args:
        n, d, eta: as for :class:`TokenFamily`.
        w: the weight on the hidden token; None takes the middle between the least one and 1.

    Raises:
        BadInput: n < 2, d < 1, eta outside (0, 1), or w not above the least one and below 1.

    >>> family = CellFamily(n=9, d=4, eta=0.5)
    >>> family.places, round(family.w, 4), round(family.output(0), 5), round(family.output(None), 5)
    (32, 0.8519, 0.01852, 0.11111)
    """

    n: int
    d: int
    eta: float = 0.5
    w: float | None = None

    def __post_init__(self) -> None:
        _check(self.n, self.d, self.eta)
        least = 1 - (1 - self.eta) * (self.n - 1) / ((1 + self.eta) * self.n)
        if self.w is None:
            object.__setattr__(self, "w", (1 + least) / 2)
        elif not least < self.w < 1:
            raise BadInput(
                f"w = {self.w:g} does not separate D_0 from D_ij: it needs "
                f"1 - (1-eta)(n-1)/((1+eta)n) = {least:g} < w < 1."
            )

    @property
    def places(self) -> int:
        """(n-1) d, the hideable cells; place p is token p // d, coordinate p % d."""
        return (self.n - 1) * self.d

    @property
    def score(self) -> float:
        """ln((n-1)w/(1-w)), the one number that is not as in D_0."""
        assert self.w is not None
        return math.log((self.n - 1) * self.w / (1 - self.w))

    def stream(self, place: int | None) -> tuple[Float32, Float32, Float32]:
        """One number of the keys is ``score``, at the place; None: D_0."""
        K = np.zeros((self.n, self.d), dtype=np.float32)
        V = np.zeros((self.n, self.d), dtype=np.float32)
        V[-1] = 1
        if place is not None:
            K[divmod(place, self.d)] = self.score
        return np.ones(self.d, dtype=np.float32), K, V

    def output(self, place: int | None) -> float:
        """1/n for D_0, (1-w)/(n-1) for every D_ij."""
        assert self.w is not None
        return 1 / self.n if place is None else (1 - self.w) / (self.n - 1)

    def seen(self, keys: Bool, values: Bool) -> Bool:
        """The cells of K that are read; values are the same in all streams."""
        cells: Bool = keys[:-1].reshape(-1)
        return cells


FAMILIES: dict[str, type[TokenFamily] | type[CellFamily]] = {
    "token": TokenFamily,
    "cell": CellFamily,
}


def acceptable(family: Family, place: int | None, output: Float32) -> bool:
    """Whether every coordinate of ``output``, float32[d], is within (1 +- eta) of the exact one.

    >>> family = TokenFamily(n=9, d=1, eta=0.5)
    >>> [acceptable(family, 2, np.float32([x])) for x in (2.7, 2.8, 8.2, 8.3)]
    [False, True, True, False]
    """
    exact = family.output(place)
    off = np.abs(np.asarray(output, dtype=np.float64) - exact)
    return bool(np.all(off <= family.eta * exact))


def _check(n: int, d: int, eta: float) -> None:
    if n < 2:
        raise BadInput(
            f"With n = {n} there is no token to hide, since the newest token is "
            "public: give n >= 2."
        )
    if d < 1:
        raise BadInput(f"The dimension must be 1 or more, not {d}: give d >= 1.")
    if not 0 < eta < 1:
        raise BadInput(
            f"Theorem 19 needs 0 < eta < 1, not eta = {eta:g}: choose eta in this range."
        )
