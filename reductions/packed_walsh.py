"""Walsh spectra of trace codes by whole numbers alone: what ``verify`` counts again, without NumPy.

The forms and keys are those of ``keys.cosets`` and ``keys.trace_codes``, written once more from
their definitions. A form is a 0/1 function f of x in GF(2)^m, and

    W_f(a) = sum_x (-1)^{f(x) + a.x}.

*All forms of a span at once.* For each x one large integer holds the number (-1)^{f_s(x)} of every
form f_s, in slots of 16 bits; the butterflies of the fast Walsh transform then add and subtract
whole integers. Slots hold v + B with |v| <= B: a sum has B twice as large, and so has a difference
once B is added in every slot, so no slot borrows from its neighbour. B = 1 at first, and 2^m after
m steps, where a slot holds at most 2^{m+1} <= 2^11.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence

from ..errors import BadInput

#: primitive polynomials over GF(2), as in ``keys.gf2m`` (a test compares them)
POLYNOMIALS = {
    1: 0b11, 2: 0b111, 3: 0xB, 4: 0x13, 5: 0x25, 6: 0x43, 7: 0x89, 8: 0x11D, 9: 0x211, 10: 0x409,
}  # fmt: skip
#: the most coefficients of one span that are counted, a quarter of a second
LARGEST = 1 << 22

Form = tuple[int, ...]


class Field:
    """GF(2^m), its elements as bit patterns, by tables of powers of the generator x (m = 1: 1)."""

    def __init__(self, m: int) -> None:
        self.m = m
        self.order: int = 2**m - 1
        self.powers: list[int] = []
        y = 1
        for _ in range(self.order):
            self.powers.append(y)
            y <<= 1
            if y >> m:
                y ^= POLYNOMIALS[m]
        self.logs = {y: i for i, y in enumerate(self.powers)}

    def product(self, a: int, b: int) -> int:
        """The product ab.

        >>> Field(3).product(0b110, 0b011)
        1
        """
        if not a or not b:
            return 0
        return self.powers[(self.logs[a] + self.logs[b]) % self.order]

    def power(self, a: int, e: int) -> int:
        """The power a^e; e may be negative where a != 0, and 0^0 = 1."""
        if not a:
            return int(e == 0)
        return self.powers[self.logs[a] * e % self.order]

    def trace(self, a: int, k: int | None = None) -> int:
        """Tr(a), a bit, from GF(2^k), which holds a, to GF(2); k divides m and is m by default."""
        total = 0
        for _ in range(k or self.m):
            total, a = total ^ a, self.product(a, a)
        return total


def coset_size(e: int, m: int) -> int:
    """The least k such that x^e lives in GF(2^k) for all x in GF(2^m)."""
    return next(k for k in range(1, m + 1) if e * (2**k - 1) % (2**m - 1) == 0)


def trace_generators(e: int, m: int) -> list[Form]:
    """The forms Tr_k(h^i x^e), i < k, with h a generator of GF(2^k)*: they span all Tr_k(b x^e)."""
    field, k = Field(m), coset_size(e, m)
    h = field.power(2 if m > 1 else 1, (2**m - 1) // (2**k - 1))
    powers = [field.power(x, e) for x in range(2**m)]
    return [
        tuple(field.trace(field.product(field.power(h, i), y), k) for y in powers) for i in range(k)
    ]


def span_counts(m: int, generators: Sequence[Form], offset: Form | None = None) -> Counter[int]:
    """How many pairs (f, a) have W_f(a) = v, f in offset + span: v -> count.

    BadInput, naming the limit, where there are more than ``LARGEST`` pairs.

    >>> sorted(span_counts(2, [(0, 0, 0, 1)]).items())
    [(-2, 1), (0, 3), (2, 3), (4, 1)]
    """
    forms = 2 ** len(generators)
    if forms << m > LARGEST:
        raise BadInput(
            f"A spectrum of {forms} forms on {2**m} points is too large for verify to count "
            f"again: use n <= {2 * LARGEST}, or one of the codes that `kvbarrier list keys` "
            "names."
        )
    w = [_column([f[x] for f in generators], offset[x] if offset else 0) for x in range(2**m)]
    ones = int.from_bytes(b"\1\0" * forms, "little")
    for step in range(m):
        half, bias = 1 << step, ones << (step + 1)
        for start in range(0, len(w), 2 * half):
            for i in range(start, start + half):
                a, b = w[i], w[i + half]
                w[i], w[i + half] = a + b, a - b + bias
    slots = Counter[int]()
    for packed in w:
        # Slots may come out in any order, but each in this machine's own order of bytes.
        slots.update(memoryview(packed.to_bytes(2 * forms, sys.byteorder)).cast("H"))
    return Counter({v - 2**m: count for v, count in slots.items()})


def _column(bits: Sequence[int], offset: int) -> int:
    """(-1)^{f_s} + 1 in slot s, where f_s is the sum of the ``bits`` of s, and offset."""
    same, other = (b"\0\0", b"\2\0") if offset else (b"\2\0", b"\0\0")
    for bit in bits:
        same, other = (same + other, other + same) if bit else (same + same, other + other)
    return int.from_bytes(same, "little")


def trace_code_counts(m: int, exponents: Sequence[int]) -> Counter[int]:
    """The same for all f = sum_e Tr(b_e x^e), one b_e for each exponent.

    x -> tx, t != 0, permutes the x and multiplies b_e by a power t^-e: so the forms with b_e != 0
    have the counts of those with b_e among representatives of the orbits of these factors, which
    are h^0, h^1, ... Forms with b_e = 0 belong to the other exponents.
    """
    if not exponents:
        return Counter({2**m: 1, 0: 2**m - 1})
    sizes = {e: coset_size(e, m) for e in exponents}
    orbits = {e: (2**k - 1) * math.gcd(e, 2**m - 1) // (2**m - 1) for e, k in sizes.items()}
    usable = [e for e in exponents if orbits[e] <= sizes[e]]
    best = min(usable, key=lambda e: (1 + orbits[e]) / 2 ** sizes[e])
    others = [e for e in exponents if e != best]
    rest = [form for e in others for form in trace_generators(e, m)]
    total = trace_code_counts(m, others)
    for representative in trace_generators(best, m)[: orbits[best]]:
        for value, count in span_counts(m, rest, representative).items():
            total[value] += count * ((2 ** sizes[best] - 1) // orbits[best])
    return total
