"""Interference from above, from the float32 rows themselves, in whole numbers (ours).

For keys without a spectrum a certificate carries the rows. Bob's query is q_i = fl(C k_i), and the
claim rests on

    S'_i = sum_{l != i} e^{g_il},   g_il = <q_i, k_l> - <q_i, k_i>.

*Products.* Queries and keys are rounded to multiples of 2^-a and 2^-b, so <q_i, k_l> is off by at
most E = sum_j (|q_j| 2^-b + |k_j| 2^-a + 2^-a-b)/2, which d times the largest entries bound. For
each coordinate one large integer holds that coordinate of all keys, in slots of 128 bits; d
products with whole numbers and one sum then give all <q_i, k_l> of one i, plus 2^126 in every slot,
which keeps the slots apart: |<q_i, k_l>| 2^{a+b} < 2^125. The upper half of a slot is the product
rounded down.

*Exponentials.* g_il is rounded *up* to a multiple -t of 2^-26, and e^-t is a product of three table
entries, one for each part of t. The tables are powers of e^{-2^-6}, e^{-2^-16}, e^{-2^-26}, each
product rounded up, from enclosures of these three (``intervals``). From 64 on, e^-64 stands for
e^-t. So the sum is above S'_i. It exceeds it by a factor of at most e^{2^-25} and by n 2^-49: an
entry is off by less than 3 units of 2^-64 for each step that leads to it, 6144 steps at most, and
no factor is above 1.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from operator import mul

from ..errors import BadInput
from .intervals import ceiling_of, exponential

#: limits of what is computed again: keys, numbers, products; half a second
MOST_KEYS = 1024
MOST_NUMBERS = 1 << 17
MOST_PRODUCTS = 1 << 25

_UNIT = 26  # exponents are multiples of 2^-26
_SCALE = 64  # table entries are multiples of 2^-64
_DEEP = 64 << _UNIT

Rows = list[tuple[float, ...]]


@dataclass(frozen=True)
class RowInterference:
    """Bounds for every key i: ``S'_i <= above[i]``, ``e^{-<q_i,k_i>} <= zero[i]``, fractions.

    ``below[i] <= S'_i`` besides. ``logit_range``: at least every |<q_i, k_l>|.
    """

    above: tuple[Fraction, ...]
    below: tuple[Fraction, ...]
    zero: tuple[Fraction, ...]
    logit_range: Fraction


class Dominated(Exception):
    """Keys (i, l), its arguments: <q_i, k_l> is not shown to be below <q_i, k_i>."""


def check_sizes(n: int, d: int) -> None:
    """BadInput, naming the limit, for more rows than are computed again."""
    if not 2 <= n <= MOST_KEYS or n * d > MOST_NUMBERS or n * n * d > MOST_PRODUCTS:
        raise BadInput(
            f"A certificate that contains its keys needs 2 to {MOST_KEYS} keys, n d <= "
            f"{MOST_NUMBERS} and n n d <= {MOST_PRODUCTS}, not n = {n}, d = {d}: use a smaller "
            "n, or a family and an n with an exact spectrum, such as kerdock or a power of "
            "two of hypercube."
        )


def unpack_rows(data: bytes, n: int, d: int, what: str = "keys") -> Rows:
    """The n rows of d float32 numbers, little endian; BadInput for another length or a NaN.

    Sizes are the caller's to check.
    """
    if len(data) != 4 * n * d:
        raise BadInput(f"The {what} are {len(data)} bytes instead of {4 * n * d} = 4 n d.")
    numbers = struct.unpack(f"<{n * d}f", data)
    if not all(map(math.isfinite, numbers)):
        raise BadInput(
            f"The {what} hold a number that is not finite: float32 numbers are expected."
        )
    return [numbers[i * d : (i + 1) * d] for i in range(n)]


def sent_queries(rows: Rows, scale: Fraction) -> Rows:
    """fl(C k_i): the products rounded to float64, then to float32, as the game sends them.

    C is a float64 number, so float64 multiplication is this rounding. BadInput where it is not,
    and where float32 overflows.
    """
    C = scale.numerator / scale.denominator
    if Fraction(C) != scale:
        raise BadInput(
            "The scale of a certificate that contains its keys must be a float64 number."
        )
    numbers = [C * x for row in rows for x in row]
    try:
        sent = struct.unpack(f"<{len(numbers)}f", struct.pack(f"<{len(numbers)}f", *numbers))
    except OverflowError:
        raise BadInput("The queries C k_i overflow float32: use a smaller scale.") from None
    d = len(rows[0])
    return [sent[i * d : (i + 1) * d] for i in range(len(rows))]


def row_interference(
    rows: Rows, queries: Rows, tokens: Sequence[int] | None = None
) -> RowInterference:
    """The bounds of the module docstring; Dominated where a gap is not shown to be negative.

    ``tokens``: the key that each query is for, where they are not all keys in order; the bounds are
    in the order of the queries. BadInput for numbers of a size that no key set has.

    >>> square = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)]
    >>> found = row_interference(square, square)
    >>> 0 < float(found.above[0]) - (2 * math.exp(-1) + math.exp(-2)) < 1e-6
    True
    """
    n, d = len(rows), len(rows[0])
    largest_k = max(abs(x) for row in rows for x in row)
    largest_q = max(abs(x) for row in queries for x in row)
    if not 2.0**-20 < largest_k < 2.0**20 or not 2.0**-20 < largest_q < 2.0**30:
        raise BadInput("The keys or the queries are too large or too small for a key set.")
    log_k, log_q = math.frexp(largest_k)[1], math.frexp(largest_q)[1]
    bits = 125 - log_k - log_q - d.bit_length()
    key_bits = (bits + log_q - log_k) // 2
    query_bits = bits - key_bits
    K = [[round(math.ldexp(x, key_bits)) for x in row] for row in rows]
    Q = [[round(math.ldexp(x, query_bits)) for x in row] for row in queries]
    # E in units of 2^-high, twice, and twice a product that was rounded down
    high = bits - 64
    two = Fraction(2)
    error = d * (two ** (log_q - key_bits) + two ** (log_k - query_bits))
    loss = math.ceil(2 * error * 2**high) + 2
    if high < _UNIT + 1 or loss > 1 << (high - _UNIT):
        raise BadInput("The scores of these queries are too large for a useful bound.")
    columns = [_packed([row[j] for row in K]) for j in range(d)]
    bias = _packed([1 << 126] * n)
    above, below, zero, widest = [], [], [], 0
    for i, query in zip(range(n) if tokens is None else tokens, Q, strict=True):
        slots = sum(map(mul, query, columns), bias).to_bytes(16 * n, "little")
        scores = [high_half[0] for high_half in struct.iter_unpack("<8xQ", slots)]
        own = scores.pop(i)
        nearest = max(scores)
        if own - loss <= nearest:
            at = scores.index(nearest)
            raise Dominated(i, at + (at >= i))
        total = _sum_of_exponentials(scores, own - loss, high - _UNIT)
        above.append(total)
        below.append(total * (1 - two ** (2 - _UNIT)) - n * two**-49)
        own_score = own - (1 << 62) - loss
        zero.append(_power(max(0, own_score >> (high - _UNIT))) if own_score > 0 else Fraction(2))
        widest = max(widest, abs(own - (1 << 62)), abs(min(scores) - (1 << 62)))
    return RowInterference(
        tuple(above), tuple(below), tuple(zero), Fraction(widest + loss, 2**high)
    )


def _packed(numbers: list[int]) -> int:
    """One slot of 128 bits a number, |x| < 2^127; a negative one borrows from the next slot."""
    shift = 1 << 127
    slots = b"".join((x + shift).to_bytes(16, "little") for x in numbers)
    return int.from_bytes(slots, "little") - int.from_bytes(
        shift.to_bytes(16, "little") * len(numbers), "little"
    )


@lru_cache(maxsize=1)
def _tables() -> tuple[list[int], list[int], list[int]]:
    """Powers of e^{-2^-6} (up to e^-64), e^{-2^-16}, e^{-2^-26}, in units of 2^-64, rounded up."""
    tables = []
    for log2_step, count in ((6, 4096), (16, 1024), (26, 1024)):
        step = ceiling_of(exponential(Fraction(-1, 2**log2_step)) * 2**_SCALE)
        powers = [1 << _SCALE]
        while len(powers) < count:
            powers.append(-(-powers[-1] * step >> _SCALE))
        tables.append(powers)
    return tables[0], tables[1], tables[2]


def _sum_of_exponentials(scores: list[int], own: int, shift: int) -> Fraction:
    coarse, middle, fine = _tables()
    deep = ceiling_of(exponential(-64) * 2 ** (3 * _SCALE))
    total = sum(
        [
            coarse[t >> 20] * middle[t >> 10 & 1023] * fine[t & 1023]
            if (t := (own - score) >> shift) < _DEEP
            else deep
            for score in scores
        ]
    )
    return Fraction(total, 2 ** (3 * _SCALE))


def _power(t: int) -> Fraction:
    """At least e^{-t 2^-26}."""
    return _sum_of_exponentials([0], t, 0)
