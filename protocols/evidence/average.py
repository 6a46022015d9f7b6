"""The average case judged: one mean error over keys, tokens and bits, in the place of age buckets.

The hypothesis of ``reductions.gaussian`` is that an answer is right with probability 9/10 over
*all* randomness together: keys, token, secret. An algorithm may then always lose the same ages or
tokens, so neither buckets nor rows test it. What it implies is one number: with A the rows that Bob
reads (S'_i < 1/rho, known from public coins),

    E[wrong bits in rows of A / all bits asked]  <=  1/10,

because a bit of A is wrong only where an answer was. A row outside A is guessed and says nothing of
the algorithm, so its errors are left out of this mean (and stay in the ledger and in the error that
is shown: these are about Bob). One number in [0, 1] a message, messages are independent: betting on
it decides (:mod:`.betting`), and no estimate of theta is needed. theta is estimated for the bound,
by the share of unread rows of each message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from .betting import Float64, interval
from .evidence import Guarantee, GuaranteeVerdict
from .record import MessageRecord
from .row_counts import counts_of

ABOUT: dict[GuaranteeVerdict, str] = {
    "broken": "on average over keys, tokens and bits the error is above 1/10",
    "not-broken": "on average over keys, tokens and bits the error is at most 1/10",
    "undecided": "neither is shown",
}
"""What each verdict claims, guessed rows left out."""

CAVEAT = (
    "for Gaussian keys and queries of this norm; it may always lose the same ages or tokens: the "
    "average case speaks of the overall mean only, so age buckets and rows are not tested"
)


@dataclass(frozen=True, eq=False)
class Average:
    """The messages of one cell as the average case sees them.

    ``errors`` float64[T]: wrong bits in rows that Bob reads over all bits asked. ``unread``
    float64[T]: the share of the rows asked that he guesses. ``closed``: the closed bound on theta.
    """

    errors: Float64
    unread: Float64
    closed: float

    @classmethod
    def of(
        cls,
        records: Sequence[MessageRecord],
        unread: Sequence[NDArray[np.bool_]],
        row_bits: int,
        closed: float,
    ) -> Average:
        """From the messages, and bool[rows asked] of each: where Bob guesses.

        Raises BadInput where wrong bits are not counted by row.
        """
        errors = []
        for record, guessed in zip(records, unread, strict=True):
            wrong = None if record.wrong_by_row is None else counts_of(record.wrong_by_row)
            if wrong is None or len(wrong) != len(guessed):
                raise BadInput(
                    "The average case needs wrong bits counted by row, which these results have "
                    "not: play them again into a new file."
                )
            errors.append(wrong[~guessed].sum() / (row_bits * len(guessed)))
        shares = [guessed.mean() for guessed in unread]
        return cls(np.array(errors, dtype=np.float64), np.array(shares, dtype=np.float64), closed)

    def guarantee(self) -> Guarantee:
        """The evidence on "right with probability 9/10 over keys, tokens and secrets"."""
        return Guarantee.of_mean(self.errors)

    def as_dict(self, level: float) -> dict[str, Any]:
        """Plain data: the mean error of rows read, theta, and the bound, each with its interval.

        ``bound`` is at the theta of the coins drawn, ``bound_at_level`` at the upper end of its
        interval, ``closed_bound`` at the closed form: bits of state per secret bit, success 9/10.
        """
        from ...reductions.gaussian import average_rate

        def said(values: Float64) -> dict[str, float]:
            low, high = interval(values, level)
            return {"estimate": float(values.mean()), "low": low, "high": high, "level": level}

        theta = said(self.unread)
        return {
            "error": said(self.errors),
            "theta": theta,
            "closed_theta": self.closed,
            "bound": average_rate(theta["estimate"]),
            "bound_at_level": average_rate(theta["high"]),
            "closed_bound": average_rate(self.closed),
        }


def average_sentence(said: Mapping[str, Any]) -> str:
    """Theta and the bound, for people, from an :meth:`Average.as_dict`."""
    theta = said["theta"]
    level = f"{theta['level']:.0%}"
    return (
        f"Bob guesses a share theta = {theta['estimate']:.4f} of the rows (at most "
        f"{theta['high']:.4f} at {level}; closed form {said['closed_theta']:.3g}). Success 9/10 on "
        f"average needs {said['bound']:.3f} bits per secret bit, at least "
        f"{said['bound_at_level']:.3f} at {level} (closed form {said['closed_bound']:.3f})."
    )
