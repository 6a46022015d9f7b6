"""Wrong bits of every row that was asked, as a short text that people can read and diff.

One message has one text, its rows in the order in which they were asked (public coins say which):

* ``0`` to ``9``, ``A`` to ``Z``, ``a`` to ``z``: a row with this many wrong bits, 0 to 61;
* ``(k)``: a row with k wrong bits, 62 or more;
* ``[k]``: k rows in sequence without a wrong bit, 4 or more.

A row that is kept costs nearly nothing and a row that is lost a character, so a text is at most as
long as its message has lost rows (of up to 61 wrong bits), and a few more. Counts along another
axis than rows (a channel, a head, a layer) are numbers of the same kind and fit the same text, in
a column of their own.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import BadInput

Int64 = NDArray[np.int64]

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TEXT = re.compile(r"(?:[0-9A-Za-z]|\(\d{1,15}\)|\[\d{1,7}\])*", re.ASCII)
_LARGE = re.compile(r"\((\d{1,15})\)", re.ASCII)
_ZEROS = re.compile(r"\[(\d{1,7})\]", re.ASCII)
_RUN = re.compile(r"0{4,}")
_VALUE = np.zeros(128, dtype=np.int64)
_VALUE[np.frombuffer(_DIGITS.encode(), dtype=np.uint8)] = np.arange(len(_DIGITS))
_SYMBOLS = _DIGITS.encode()
_WORTH = bytes(_VALUE.astype(np.uint8)) + bytes(128)


def text_of(counts: ArrayLike) -> str:
    """Counts, int[rows], as text.

    >>> text_of([0, 0, 0, 31, 0, 64, 7])
    '000V0(64)7'
    """
    said = "".join(
        _DIGITS[count] if count < len(_DIGITS) else f"({count})"
        for count in np.asarray(counts, dtype=np.int64).tolist()
    )
    # No bracket holds two zeros that are rows: inside one they are a number's.
    return "".join(
        part if part.startswith("(") else _RUN.sub(lambda run: f"[{len(run[0])}]", part)
        for part in re.split(r"(\(\d+\))", said)
    )


def counts_of(text: str) -> Int64:
    """The counts of a text, int64[rows]. Raises ValueError if it is malformed.

    >>> counts_of('[4]V0(64)7').tolist()
    [0, 0, 0, 0, 31, 0, 64, 7]
    """
    _check(text)
    large = [int(count) for count in _LARGE.findall(text)]
    plain = _spread(text)
    symbols = np.frombuffer(plain.encode(), dtype=np.uint8)
    counts = _VALUE[symbols]
    counts[symbols == ord("~")] = large
    return counts


def length_of(text: str) -> int:
    """How many counts a text holds that :func:`totals_of` has read.

    >>> length_of('[4]V0(64)7')
    8
    """
    return len(_spread(text))


def _spread(text: str) -> str:
    """A symbol for every count: ~ for one in round brackets."""
    return _ZEROS.sub(lambda run: "0" * int(run[1]), _LARGE.sub("~", text))


def totals_of(texts: Sequence[str]) -> tuple[int, ...]:
    """The sums of the counts of texts (one at least), without making them.

    Raises ValueError if one is malformed.

    >>> totals_of(['[4]V0(64)7', '12'])
    (102, 3)
    """
    lines = "".join([text + "\n" for text in texts])
    plain = _ZEROS.sub("", _LARGE.sub("", lines))
    symbols = plain.encode(errors="replace")
    if symbols.translate(None, _SYMBOLS) != b"\n" * len(texts):
        for text in texts:
            _check(text)
    ends = accumulate([len(line) + 1 for line in plain.split("\n")[:-2]], initial=0)
    worth = np.frombuffer(symbols.translate(_WORTH), dtype=np.uint8)
    sums = np.add.reduceat(worth, list(ends), dtype=np.int64)
    if "(" in lines:
        sums += [sum(map(int, _LARGE.findall(text))) for text in texts]
    return tuple(sums.tolist())


def _check(text: str) -> None:
    if not _TEXT.fullmatch(text):
        raise ValueError(f"'{text[:40]}' does not say how many bits of each row are wrong")


def row_errors(
    texts: Sequence[str | None], n: int, row_bits: int, rows: Sequence[Int64] | None = None
) -> NDArray[np.float64]:
    """Fractions of wrong bits by row, float64[T, n]; NaN where a row was not asked or not counted.

    ``texts``: one a message, None if its bits were not counted by row. ``rows``: which of the
    ``n`` rows of ``row_bits`` bits each message was asked for, None if all. Raises BadInput if a
    message has another number of counts than of rows, or more wrong bits in one than it has.

    >>> row_errors(["04", None], n=2, row_bits=8).tolist()
    [[0.0, 0.5], [nan, nan]]
    """
    errors = np.full((len(texts), n), np.nan)
    for t, text in enumerate(texts):
        if text is None:
            continue
        here = np.arange(n) if rows is None else rows[t]
        wrong = counts_of(text)
        if len(wrong) != len(here) or wrong.max(initial=0) > row_bits:
            raise BadInput(
                f"Message {t} counts the wrong bits of {len(wrong)} rows, where {len(here)} rows "
                f"of {row_bits} bits were asked: restore the file or use a new one."
            )
        errors[t, here] = wrong / row_bits
    return errors
