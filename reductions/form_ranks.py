"""Quadratic forms counted by rank, in whole numbers: Reed-Muller, Kerdock, Delsarte-Goethals.

A quadratic form f over GF(2)^m of rank 2h (the rank of its polar form B(x,y) = f(x+y) + f(x) +
f(y) + f(0)) has Walsh coefficients +-2^{m-h} at 2^{2h} of the a and 0 at the others (``keys.
reed_muller``). So with both signs of c its 2^{m+1} words f + a.x + c have inner product 2^{m-h}
with the zero word 2^{2h} times, -2^{m-h} as often, and 0 otherwise: a spectrum is a count of ranks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations

from .packed_walsh import Field

#: an alternating matrix over GF(2): row i as a bit pattern
Polar = tuple[int, ...]


def rank(rows: Sequence[int]) -> int:
    """The rank over GF(2) of rows given as bit patterns.

    >>> rank([0b011, 0b101, 0b110])
    2
    """
    basis: list[int] = []
    for row in rows:
        for b in basis:
            row = min(row, row ^ b)
        if row:
            basis.append(row)
    return len(basis)


def polar_form(f: Callable[[int], int], m: int) -> Polar:
    """B(e_i, e_j) of a quadratic form f on bit patterns of length m."""
    rows, at = [0] * m, [f(1 << i) for i in range(m)]
    zero = f(0)
    for i, j in combinations(range(m), 2):
        bit = f(1 << i | 1 << j) ^ at[i] ^ at[j] ^ zero
        rows[i] |= bit << j
        rows[j] |= bit << i
    return tuple(rows)


def words_of_ranks(ranks: Counter[int], m: int) -> Counter[int]:
    """The inner products with the zero word, itself included, from how many forms have which rank.

    >>> sorted(words_of_ranks(Counter({0: 1, 2: 1}), 2).items())
    [(-4, 1), (-2, 4), (0, 6), (2, 4), (4, 1)]
    """
    words = Counter[int]()
    for r, forms in ranks.items():
        flat, value = 2**r, 2 ** (m - r // 2)
        words[value] += forms * flat
        words[-value] += forms * flat
        words[0] += forms * 2 * (2**m - flat)
    return +words


def alternating_ranks(k: int, last: int = 0) -> Counter[int]:
    """How many alternating forms have which rank: all on k variables, and 2^last with a row more.

    The matrix on k + 1 variables with a last row (v, 0) that is any of the 2^last vectors v in the
    span of e_0 .. e_{last-1}, last <= k. If v is in the row space of the k x k part B, v = Bu, then
    elimination leaves u^T B u = 0 and the rank is B's; else it is larger by 2. v = 0 always is in
    the row space. Any other v is in that of equally many B of rank 2h, since A B A^T runs through
    them all and A takes v to any nonzero vector: N_h (4^h - 1) / (2^k - 1), by counting pairs.
    ``last = k`` makes the N_h of k + 1 variables, so everything grows from one variable.

    This counts the forms of RM(2,m), monomials x_i x_j with j ascending, of which the first
    k(k-1)/2 + last are taken. (Sloane and Berlekamp 1970 have the N_h in closed form.)

    >>> sorted(alternating_ranks(4).items()), sorted(alternating_ranks(2, 1).items())
    ([(0, 1), (2, 35), (4, 28)], [(0, 1), (2, 3)])
    """
    smaller = alternating_ranks(k - 1, k - 1) if k > 1 else Counter({0: 1})
    if last == 0:
        return smaller
    larger = Counter[int]()
    for r, forms in smaller.items():
        inside = forms * (2**r - 1) * (2**last - 1) // (2**k - 1)
        larger[r] += forms + inside
        larger[r + 2] += forms * (2**last - 1) - inside
    return +larger


def _kerdock_form(field: Field, s: int) -> Callable[[int], int]:
    """Q_s of ``keys.kerdock`` on x = z + 2^{m-1} e."""

    def form(x: int) -> int:
        z, e = x & field.order, x >> field.m
        y = field.product(s, z)
        total, power = e & field.trace(y), y
        for _ in range((field.m - 1) // 2):
            power = field.product(power, power)
            total ^= field.trace(field.product(power, y))
        return total

    return form


def kerdock_polars(m: int, count: int) -> list[Polar]:
    """The polar forms of Q_0 .. Q_{count-1}, count <= 2^{m-1}."""
    field = Field(m - 1)
    return [polar_form(_kerdock_form(field, s), m) for s in range(count)]


def all_nonsingular(polars: Sequence[Polar]) -> bool:
    """Whether any two of them differ by a nonsingular form.

    >>> all_nonsingular(kerdock_polars(4, 8)), all_nonsingular([(0, 0), (0, 0)])
    (True, False)
    """
    m = len(polars[0])
    return all(
        rank([a ^ b for a, b in zip(p, q, strict=True)]) == m for p, q in combinations(polars, 2)
    )


def goethals_ranks(m: int, bits: int) -> Counter[int]:
    """The ranks of the forms Q_u + Tr(g z^3) of ``keys.trace_codes``: all u, and g < 2^bits.

    (z, e) -> (uz, e) makes Q_1 + Tr(g u^-3 z^3) into Q_u + Tr(g z^3), so for u != 0 the ranks are
    those of Q_1 + Tr(g' z^3), and 2^{m-1} forms have to be looked at; and as many for u = 0.
    """
    field = Field(m - 1)
    cubes = [field.power(z, 3) for z in range(2 ** (m - 1))]

    def cubic(g: int) -> Callable[[int], int]:
        return lambda x: field.trace(field.product(g, cubes[x & field.order]))

    rows = [polar_form(cubic(1 << i), m) for i in range(m - 1)]
    one = polar_form(_kerdock_form(field, 1), m)
    zero: Polar = (0,) * m

    def plus(start: Polar, g: int) -> int:
        total = start
        for i in range(m - 1):
            if g >> i & 1:
                total = tuple(a ^ b for a, b in zip(total, rows[i], strict=True))
        return rank(total)

    with_one = [plus(one, g) for g in range(2 ** (m - 1))]
    counts = Counter(plus(zero, g) for g in range(2**bits))
    inverse_cubes = [field.power(u, -3) for u in range(1, 2 ** (m - 1))]
    for g in range(2**bits):
        counts.update(with_one[field.product(g, c)] for c in inverse_cubes)
    return counts
