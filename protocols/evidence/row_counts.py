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
from functools import lru_cache
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import BadInput

Int64 = NDArray[np.int64]

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TEXT = re.compile(r"(?:[0-9A-Za-z]|\(\d{1,15}\)|\[\d{1,7}\])*", re.ASCII)
_LARGE = re.compile(r"\((\d{1,15})\)", re.ASCII)
_ZEROS = re.compile(r"\[(\d{1,7})\]", re.ASCII)
_RUN = re.compile(r"0{4,}")
_SYMBOL = np.frombuffer(f"{_DIGITS}~".encode(), dtype=np.uint8)
_VALUE = np.zeros(128, dtype=np.int64)
_VALUE[np.frombuffer(_DIGITS.encode(), dtype=np.uint8)] = np.arange(len(_DIGITS))


def text_of(counts: ArrayLike) -> str:
    """Counts, int[rows], as text.

    >>> text_of([0, 0, 0, 31, 0, 64, 7])
    '000V0(64)7'
    """
    numbers = np.asarray(counts, dtype=np.int64)
    said = _SYMBOL[np.minimum(numbers, len(_DIGITS))].tobytes().decode()
    said = _RUN.sub(lambda run: f"[{len(run[0])}]", said)
    large = iter(numbers[numbers >= len(_DIGITS)].tolist())
    return re.sub("~", lambda _: f"({next(large)})", said)


@lru_cache(256)
def counts_of(text: str) -> Int64:
    """The counts of a text, int64[rows], to be read only. Raises ValueError if it is malformed.

    Whoever judges a cell asks several times for the counts of its last messages.

    >>> counts_of('[4]V0(64)7').tolist()
    [0, 0, 0, 0, 31, 0, 64, 7]
    """
    _check(text)
    large = [int(count) for count in _LARGE.findall(text)]
    plain = _spread(text)
    symbols = np.frombuffer(plain.encode(), dtype=np.uint8)
    counts = _VALUE[symbols]
    counts[symbols == ord("~")] = large
    counts.flags.writeable = False
    return counts


def _spread(text: str) -> str:
    """A symbol for every count: ~ for one in round brackets."""
    return _ZEROS.sub(lambda run: "0" * int(run[1]), _LARGE.sub("~", text))


def sums_of(texts: Sequence[str]) -> tuple[Int64, Int64]:
    """The sums of the counts of texts, int64[T], and how many counts each holds, int64[T].

    No count is made: thousands of texts are read as one array of characters. Raises ValueError if
    one is malformed or the sums are beyond 2^62.

    >>> [found.tolist() for found in sums_of(['[4]V0(64)7', '12'])]
    [[102, 3], [8, 2]]
    """
    said = "\n".join([*texts, ""]).encode(errors="replace")
    code = np.frombuffer(said, dtype=np.uint8)
    upper, lower = code - np.uint8(ord("A")) < 26, code - np.uint8(ord("a")) < 26
    worth = code - np.uint8(ord("0"))
    marks = np.flatnonzero(~((worth < 10) | upper | lower))
    worth -= 7 * upper.view(np.uint8) + 13 * lower.view(np.uint8)
    worth[marks] = 0
    kinds = code[marks]
    is_end = kinds == ord("\n")
    is_begin, is_close = ((kinds == ord(a)) | (kinds == ord(b)) for a, b in ("([", ")]"))
    begins, closes, ends = marks[is_begin], marks[is_close], marks[is_end]
    plain = len(begins) + len(closes) + len(ends) == len(marks) and len(ends) == len(texts)
    value, symbols = (plain and _bracketed(code, begins, closes)) or _malformed(texts)
    if value.sum(dtype=np.float64) >= 2.0**62:
        raise ValueError("its counts by row are beyond 2^62")
    starts = np.append(0, ends + 1)[:-1]
    sums = np.add.reduceat(worth, starts, dtype=np.int64) if len(texts) else starts
    counts = ends - starts
    # What stands inside brackets was taken for symbols, and is one number.
    large, text_at = code[begins] == ord("("), np.cumsum(is_end)[is_begin]
    np.add.at(sums, text_at, np.where(large, value, 0) - symbols)
    np.add.at(counts, text_at, np.where(large, 1, value) - (closes - begins + 1))
    return sums, counts


def _bracketed(code: NDArray[np.uint8], begins: Int64, closes: Int64) -> tuple[Int64, Int64] | None:
    """The number in each pair of brackets and the sum of its digits, int64[B] both.

    None if one holds anything but digits, or too many, or does not close as it began.
    """
    if len(begins) != len(closes):
        return None
    width, kind = closes - begins - 1, code[begins]
    most = np.where(kind == ord("("), 15, 7)
    # ASCII has ) one after (, and ] two after [.
    end = np.where(kind == ord("("), kind + 1, kind + 2)
    if not np.all((width > 0) & (width <= most) & (code[closes] == end)):
        return None
    value, symbols = np.zeros_like(begins), np.zeros_like(begins)
    for place in range(int(width.max(initial=0)), 0, -1):
        digit = code[closes - place] - np.uint8(ord("0"))
        digit[place > width] = 0
        if digit.max() > 9:
            return None
        value, symbols = 10 * value + digit, symbols + digit
    return value, symbols


def _malformed(texts: Sequence[str]) -> NoReturn:
    for text in texts:
        _check(text)
    raise AssertionError("no text is malformed")


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
