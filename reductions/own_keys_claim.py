r"""What a certificate of own keys claims, and its proof in exact and interval arithmetic.

The theorems are in ``own_keys``: public keys k_1..k_n, a set I of tokens with a float32 query q_i
each, and levels B_i >= 2. The claim is, for every i in I,

    |q_i| <= r,     and     factor S'_i + zero_factor e^{-<q_i,k_i>} < 1         where B_i = 2,
                            (B_i - 1) (S'_i + 2 gamma (1 + S'_i + e^{-<q_i,k_i>})) < 1    else,

and so H(state) >= sum_i d_v [log2 B_i - h(delta) - delta log2(B_i - 1)], delta = 1 - success. Norms
are compared as whole numbers: a float32 number is a multiple of 2^-149. S'_i is bounded by
``row_interference``, sums of logarithms are intervals, and bits are rounded down.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from ..errors import BadInput
from .certificate_claim import ExactMargin, FalseClaim, Margins, dominated, row_margins
from .intervals import floor_of, log2_bits
from .row_interference import Dominated, RowInterference, Rows, row_interference

#: limits of what is computed again; under a minute
MOST_TOKENS = 4096
MOST_NUMBERS = 1 << 20
MOST_PRODUCTS = 1 << 31
MOST_LEVELS = 1 << 53


def check_own_sizes(n: int, d: int, count: int) -> None:
    """BadInput, naming the limit, for more keys and queries than are computed again."""
    if not 2 <= n <= MOST_TOKENS or (n + count) * d > MOST_NUMBERS or n * count * d > MOST_PRODUCTS:
        raise BadInput(
            f"A certificate of own keys is for 2 to {MOST_TOKENS} tokens, {MOST_NUMBERS} numbers "
            f"in keys and queries, and {MOST_PRODUCTS} products, not n = {n}, d = {d} with "
            f"{count} queries: take the first so many tokens with --n."
        )


def own_margins(
    rows: Rows, queries: Rows, tokens: Sequence[int], levels: Sequence[int], norm: Fraction,
    margin: ExactMargin,
) -> Margins:  # fmt: skip
    """That the claim holds for every token; FalseClaim, naming one, where it is not shown.

    ``tokens``: the members of I in order, with a query and a number of levels each.
    """
    _check_norms(queries, tokens, norm)
    try:
        found = row_interference(rows, queries, tokens)
    except Dominated as pair:
        raise dominated(pair) from None
    _check_levels(found, tokens, levels, margin)
    return row_margins(found, margin, tokens)


def own_bits(levels: Sequence[int], d_v: int, success: Fraction) -> tuple[int, int]:
    """(secret bits, bound): d_v sum log2 B_i, and Fano's bound of it, each rounded down.

    BadInput for a success outside (1/2, 1].

    >>> own_bits([2, 2, 4], 10, Fraction(1)), own_bits([2] * 100, 10, Fraction(9, 10))
    ((40, 40), (1000, 531))
    """
    if not Fraction(1, 2) < success <= 1:
        raise BadInput(
            f"success must lie in (1/2, 1], not {success}: 1/2 is the success of a random guess."
        )
    secret = kept = log2_bits(1)
    for B, count in sorted(Counter(levels).items()):
        number, fano = log2_bits(B), log2_bits(B, success)
        secret, kept = secret + d_v * count * number, kept + d_v * count * fano
    return max(0, floor_of(secret)), max(0, floor_of(kept))


def _check_norms(queries: Rows, tokens: Sequence[int], norm: Fraction) -> None:
    most = norm.numerator**2 << 298
    least = norm.denominator**2
    for token, query in zip(tokens, queries, strict=True):
        if sum(int(math.ldexp(x, 149)) ** 2 for x in query) * least > most:
            raise FalseClaim(
                f"the claim is false: the query of token {token} is longer than the norm r."
            )


def _check_levels(
    found: RowInterference, tokens: Sequence[int], levels: Sequence[int], margin: ExactMargin
) -> None:
    # zero_factor = 2 gamma / (1 - 2 gamma) for {0,1} and gamma.
    g = margin.zero_factor / (1 + margin.zero_factor)
    for token, B, above, zero in zip(tokens, levels, found.above, found.zero, strict=True):
        if B == 2:
            continue
        if margin.name != "A01":
            raise FalseClaim(
                f"the claim is false: token {token} has {B} levels, and condition {margin.name} "
                "is about two."
            )
        if not (B - 1) * (above + g * (1 + above + zero)) < 1:
            raise FalseClaim(
                f"the claim is not shown: {B} levels of token {token} are not kept apart."
            )
