"""What a verdict could have caught: the power of the ledger and of an interval, from counts alone.

That nothing is ``impossible``, or that no interval lies below Fano's curve, only has a meaning if a
cheat would have been caught. A *planted cheat* has the charges and the questions of the measured
messages and errs in a share e of the bits, at any time, because it reads the secret elsewhere.

*Ledger.* Where all bits are asked, s = N - m - log2(N+1) - log2 C(N, k) falls with the wrong bits k
up to N/2, and without any it is N - m - log2(N+1). So a cheat without an error is convicted at a
line of b bits iff

    m <= N - log2(N+1) - b,

and at m >= N never: the ledger is *blind* there, because a message of N bits is enough for N bits.
Where rows are sampled, both bounds of :mod:`.ledger` are read, and they too fall with e.

*Interval.* After T messages without an error it ends at an e_T > 0 (.059 after 64 messages at
level .95, .38 after 8), so a point can lie below Fano's curve only where h^-1(1 - M/N) > e_T.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .betting import interval
from .ledger import LINE_BITS, ledger

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Power:
    """What the ledger could have caught in T messages of one cell.

    ``asked`` and ``charged`` int64[T]: bits of each message in order. ``secret_bits`` and
    ``row_bits``: of one message and of one row. ``shares`` float64[T]: the smallest sampling
    fraction of each message's rows, or None (:func:`.ledger.ledger`).
    """

    asked: Ints
    charged: Ints
    secret_bits: float
    row_bits: int
    shares: NDArray[np.float64] | None

    def catches(self, error: float = 0.0, line: float = LINE_BITS) -> bool:
        """Whether a cheat of the same memory that errs in this share of the bits is convicted."""
        return self._peak(self.charged, error) >= line

    def error(self, line: float = LINE_BITS) -> float | None:
        """The largest error at which this memory is convicted; None: not even with no errors."""
        return largest(lambda e: self.catches(e, line), 0.5)

    def rate(self, line: float = LINE_BITS) -> float | None:
        """The largest memory M/N at which zero errors are convicted, None without one."""
        shares = None if self.shares is None else self.shares.tobytes()
        asked = np.asarray(self.asked, dtype=np.int64).tobytes()
        return _rate(asked, self.secret_bits, self.row_bits, shares, line)

    def as_dict(self) -> dict[str, float | None]:
        """Plain data: ``error`` and ``bits_per_secret_bit`` at the line of one cell, 40 bits."""
        error, rate = self._of_one_cell
        return {"error": error, "bits_per_secret_bit": rate}

    def sentence(self) -> str:
        """What could have been caught, for people."""
        error, rate = self._of_one_cell
        if error is not None:
            # Rounded down: what is said to be caught is.
            wrong = f"{math.floor(1000 * error) / 10:g} %"
            return f"A cheat with this memory is caught if its error is at most {wrong}."
        if rate is None:
            return (
                "No cheat could be caught in these few bits, not even one without errors: "
                "play more messages."
            )
        return (
            "No cheat with this memory could be caught, not even one without errors; it would "
            f"have to send at most {math.floor(1000 * rate) / 1000:g} bits per secret bit."
        )

    @cached_property
    def _of_one_cell(self) -> tuple[float | None, float | None]:
        return self.error(), self.rate()

    def _peak(self, charged: Any, error: float) -> float:
        # It errs as early as it can: then no look sees fewer wrong bits, and what is said to be
        # caught is, whenever it errs. From half of the bits on more of them convict again.
        asked = np.cumsum(self.asked)
        wrong = np.minimum(error * asked[-1], asked / 2)
        return ledger(
            self.asked, charged, np.diff(wrong, prepend=0.0),
            secret_bits=self.secret_bits, row_bits=self.row_bits, shares=self.shares,
        ).peak  # fmt: skip


@lru_cache(maxsize=1 << 10)
def _rate(
    asked: bytes, secret_bits: float, row_bits: int, shares: bytes | None, line: float
) -> float | None:
    """See :meth:`Power.rate`: all cells that ask the same have it in common. int64 and float64."""
    numbers = np.frombuffer(asked, dtype=np.int64)
    drawn = None if shares is None else np.frombuffer(shares)
    cell = Power(numbers, numbers, secret_bits, row_bits, drawn)
    bits = np.full(len(numbers), float(secret_bits))
    return largest(lambda rate: cell._peak(rate * bits, 0.0) >= line, 1.0)


def largest(caught: Callable[[float], bool], end: float) -> float | None:
    """The largest point of [0, end] that is caught, to 2^-20 of it; None: not even 0 is.

    All points below a caught point must be caught too.

    >>> round(largest(lambda e: e <= 0.3, 0.5), 6), largest(lambda e: False, 0.5)
    (0.3, None)
    """
    if not caught(0.0):
        return None
    low, high = 0.0, end
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if caught(middle) else (low, middle)
    return low


def interval_catches(messages: int, rate: float, level: float = 0.95, error: float = 0.0) -> bool:
    """Whether this many messages with this error have an interval below Fano's curve at M/N.

    >>> interval_catches(64, 0.5), interval_catches(24, 0.5), interval_catches(24, 0.25)
    (True, False, True)
    """
    from ...reductions.bounds import error_floor

    high = interval(np.full(messages, error), level)[1]
    return bool(high < error_floor(rate))
