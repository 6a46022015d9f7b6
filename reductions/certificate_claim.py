"""What a certificate of the Index reduction claims, and its proof in exact and interval arithmetic.

**Theorem** (the finite form of Theorems 6 and 8; docs/theory.md, Theorems A and C; ours). Keys
k_1..k_n, queries q_i and secret values x in A^{n x d_v}, A = {0,1} or {-1,1}, uniform; the stream
is (0, k_i, x_i), i = 1..n. If for every i

    factor S'_i + zero_factor e^{-<q_i,k_i>} < 1,                                             (1)
    S'_i = sum_{l != i} e^{<q_i,k_l> - <q_i,k_i>},

with the factors of ``margins``, then an algorithm that has read the stream and answers (q_i, 0, 0)
in every coordinate within 1 +- eta, or +- gamma, of exact attention, each with probability at least
``success`` over everything, has a state of entropy at least N (1 - h(1 - success)) bits, N = n d_v.

What is proved here of (1) is about the float32 numbers that are sent. Flat keys with a spectrum:
q_i = C k_i exactly, since C r is a float32 number; every key sees what key 0 sees, so (1) is one
inequality. Otherwise the keys are carried row by row, q_i = fl(C k_i), and (1) is n of them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..errors import BadInput, KVBarrierError
from .exact_spectra import FlatSpectrum
from .intervals import ceiling_of, enclosure, exponential, fano_bits, outward, surely_below
from .row_interference import Dominated, RowInterference

#: bounds of S' are multiples of this, outwards
RESOLUTION = 10**12
#: the largest score that is looked at, in nats
LARGEST_SCORE = 10**7


class FalseClaim(KVBarrierError):
    """A certificate can be read, but what it claims is not so (exit code 1)."""

    exit_code = 1


@dataclass(frozen=True)
class ExactMargin:
    """A condition (1): ``name`` as in ``margins``, and its two factors as exact fractions."""

    name: str
    factor: Fraction
    zero_factor: Fraction


def exact_margin(values: str, eta: Fraction | None, gamma: Fraction | None) -> ExactMargin:
    """The condition for an alphabet, "01" or "pm1", and one of the two tolerances.

    BadInput for a tolerance outside [0, 1), or [0, 1/2) for gamma with "01".

    >>> exact_margin("01", Fraction(1, 2), None).factor, exact_margin("pm1", None, Fraction(1, 3))
    (Fraction(3, 1), ExactMargin(name='A+-', factor=Fraction(2, 1), zero_factor=Fraction(1, 2)))
    """
    if eta is not None and gamma is None:
        if not 0 <= eta < 1:
            raise BadInput(f"eta must lie in [0, 1), not {eta}.")
        return (
            ExactMargin("M01", (1 + eta) / (1 - eta), Fraction(0))
            if values == "01"
            else ExactMargin("M+-", Fraction(1), Fraction(0))
        )
    if gamma is None or eta is not None:
        raise BadInput("Exactly one of eta and gamma is expected.")
    g = 2 * gamma if values == "01" else gamma
    if not 0 <= g < 1:
        raise BadInput(f"gamma must lie in [0, {'1/2' if values == '01' else 1}), not {gamma}.")
    return ExactMargin("A01" if values == "01" else "A+-", (1 + g) / (1 - g), g / (1 - g))


@dataclass(frozen=True)
class Margins:
    """That (1) holds for every key. ``key``: the one with the largest left side.

    ``at_least`` and ``at_most``: multiples of 10^-12 around that key's S'. ``logit_range``: at
    least every |<q_i, k_l>|, a multiple of 10^-3.
    """

    key: int
    at_least: Fraction
    at_most: Fraction
    logit_range: Fraction


def spectrum_margins(spectrum: FlatSpectrum, scale: Fraction, margin: ExactMargin) -> Margins:
    """(1) for a flat set, by interval arithmetic on its spectrum.

    BadInput where C r is no float32 number; FalseClaim where (1) is not shown to hold.

    >>> from .exact_spectra import flat_spectrum
    >>> kerdock = flat_spectrum("kerdock", 4096, 64)
    >>> half = exact_margin("01", Fraction(1, 2), None)
    >>> spectrum_margins(kerdock, Fraction(10042, 1000), half)
    Traceback (most recent call last):
    ...
    kvbarrier.errors.BadInput: The scale times the entry 1/8 of the keys is not a float32 number.
    """
    r = spectrum.entry
    if not _is_float32(scale * r):
        raise BadInput(f"The scale times the entry {r} of the keys is not a float32 number.")
    own = scale * r * r * spectrum.norm
    _check_score(own)
    step, total = scale * r * r, enclosure(0)
    for p, count in spectrum.counts:
        total += count * exponential(step * (p - spectrum.norm))
    demand = enclosure(margin.factor) * total + enclosure(margin.zero_factor) * exponential(-own)
    if not surely_below(demand, enclosure(1)):
        raise _not_shown(margin, 0, Fraction(ceiling_of(demand * 10**9), 10**9))
    low, high = outward(total, RESOLUTION)
    return Margins(0, low, high, _thousandths(own))


def row_margins(
    found: RowInterference, margin: ExactMargin, tokens: Sequence[int] | None = None
) -> Margins:
    """(1) for rows, from the bounds of ``row_interference``; FalseClaim where one fails.

    ``tokens``: the keys that the bounds are of, where they are not all in order.
    """
    demands = [
        margin.factor * above + margin.zero_factor * zero
        for above, zero in zip(found.above, found.zero, strict=True)
    ]
    worst = max(range(len(demands)), key=demands.__getitem__)
    key = worst if tokens is None else tokens[worst]
    if not demands[worst] < 1:
        raise _not_shown(margin, key, demands[worst])
    low = found.below[worst] * RESOLUTION // 1
    high = -(-found.above[worst] * RESOLUTION // 1)
    return Margins(
        key,
        Fraction(max(0, low), RESOLUTION),
        Fraction(high, RESOLUTION),
        _thousandths(found.logit_range),
    )


def dominated(pair: Dominated) -> FalseClaim:
    """The sentence for a key that does not stand out."""
    i, l = pair.args
    return FalseClaim(
        f"the claim is not shown: key {i} does not stand out: key {l} has an equal or larger score."
    )


def certified_bits(secret_bits: int, success: Fraction) -> int:
    """N (1 - h(1 - success)) rounded down; BadInput for a success outside (1/2, 1]."""
    if not Fraction(1, 2) < success <= 1:
        raise BadInput(
            f"success must lie in (1/2, 1], not {success}: 1/2 is the success of a random guess."
        )
    return fano_bits(secret_bits, success)


def sent_scale(scale: float, largest: float) -> Fraction:
    """The C with fl(scale k) = C k exactly, for flat keys whose largest entry is ``largest``.

    >>> sent_scale(0.1, 0.125) == Fraction(13421773, 2**27)
    True
    """
    sent = struct.unpack("<f", struct.pack("<f", scale * largest))[0]
    return Fraction(sent) / Fraction(largest)


def _check_score(own: Fraction) -> None:
    if not 0 < own <= LARGEST_SCORE:
        raise BadInput(
            f"The scores C|k|^2 must lie in (0, {LARGEST_SCORE}], not at {float(own):.4g}."
        )


def _is_float32(x: Fraction) -> bool:
    try:
        return Fraction(struct.unpack("<f", struct.pack("<f", float(x)))[0]) == x
    except OverflowError:
        return False


def _thousandths(x: Fraction) -> Fraction:
    return Fraction(-(-x * 1000 // 1), 1000)


def _not_shown(margin: ExactMargin, key: int, demand: Any) -> FalseClaim:
    return FalseClaim(
        f"the claim is not shown: condition {margin.name} asks {float(demand):.9g} of key {key}, "
        "where less than 1 is expected."
    )
