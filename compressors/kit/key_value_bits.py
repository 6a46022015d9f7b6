"""Bits of a key's number and bits of a value's: the pairs that a quantiser tries, most bits first.

Keys and values need not have the same bits: a key's error is multiplied by the query and then
exponentiated, a value's is averaged. So every quantiser takes ``k_bits`` and ``v_bits``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ...errors import BadInput

Bits = TypeVar("Bits", int, float)


def pairs(
    ladder: Sequence[tuple[Bits, Bits]],
    known: Sequence[Bits],
    *,
    bits: Bits | None = None,
    k_bits: Bits | None = None,
    v_bits: Bits | None = None,
) -> list[tuple[Bits, Bits]]:
    """The pairs (bits of a key's number, of a value's) to try, in the order of the ladder.

    Args:
        ladder: the pairs if nothing is asked for.
        known: the bits that there are.
        bits: of both.
        k_bits, v_bits: of one of them; they come before ``bits``.

    Raises:
        BadInput: there are no such bits, or ``bits`` has nothing left to say.

    >>> pairs([(8, 8), (4, 4), (2, 2)], [8, 4, 2], k_bits=8)
    [(8, 8), (8, 4), (8, 2)]
    >>> pairs([(8, 8), (4, 4)], [8, 4, 2], bits=4, v_bits=2)
    [(4, 2)]
    """
    for asked in (bits, k_bits, v_bits):
        if asked is not None and (isinstance(asked, bool) or asked not in known):
            raise BadInput(f"A number has {in_words(known)} bits, not {asked!r}.")
    if None not in (bits, k_bits, v_bits):
        raise BadInput("bits is of keys and values without bits of their own: leave one out.")
    of_k, of_v = (bits if own is None else own for own in (k_bits, v_bits))
    found = [(k if of_k is None else of_k, v if of_v is None else of_v) for k, v in ladder]
    return list(dict.fromkeys(found))


def in_words(known: Sequence[float]) -> str:
    """Numbers in a sentence; four and more in a row are named by their ends.

    >>> in_words([8, 4, 2, 1]), in_words([8, *range(1, 7)])
    ('1, 2, 4 or 8', '1 to 6 or 8')
    """
    runs: list[list[float]] = []
    for one in sorted(known):
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    words = []
    for run in runs:
        words += [f"{run[0]} to {run[-1]}"] if len(run) > 3 else [str(one) for one in run]
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
