"""What the counts of a run mean: three questions, three tools, never mixed.

1. *Is the charged memory possible?* ``ledger``: surprise in bits, a test supermartingale.
2. *Is the guarantee broken?* ``Guarantee``: betting e-processes over messages, 16 age buckets.
3. *Where is it on the curve?* ``interval``: anytime-valid, over messages.

Everything is a pure function of per-message counts. The tools themselves, with their proofs, are
in :mod:`.ledger` and :mod:`.betting`; this module puts the second question together and gives all
three one door.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .betting import Float64, adjusted_level, interval, log_wealth_above, log_wealth_below
from .ledger import (
    LINE_BITS,
    FamilyLedger,
    Ledger,
    LedgerVerdict,
    family_ledger,
    ledger,
    look_bits,
    sampled_surprise_bits,
    surprise_bits,
)

__all__ = [
    "AGE_BUCKETS", "GUARANTEE", "LINE_BITS", "FamilyLedger", "Guarantee", "GuaranteeVerdict",
    "Ledger", "LedgerVerdict", "adjusted_level", "combine_broken", "combine_guarantees",
    "combine_not_broken", "family_ledger", "interval", "ledger", "log_wealth_above",
    "log_wealth_below", "look_bits", "sampled_surprise_bits", "surprise_bits",
]  # fmt: skip

AGE_BUCKETS = 16
GUARANTEE = 0.1
"""The theorem's guarantee: each index is answered wrongly with probability at most 1/10."""

GuaranteeVerdict = Literal["broken", "not-broken", "undecided"]


@dataclass(frozen=True, eq=False)
class Guarantee:
    """The evidence on "the error is at most 1/10 in each of 16 public age buckets".

    ``above`` float64[T, 16]: ln wealth against "bucket b's mean error is at most 1/10" after each
    message; ``below``: against "it is at least 1/10" (:mod:`.betting`). Both start at ln 1 = 0.

    * ``broken``: the guarantee says *every* bucket is fine, so its null is the intersection of 16
      nulls; the average of the buckets' wealths is an e-process for it, whatever the dependence
      between buckets, and reaches 1/alpha with probability at most alpha if the guarantee holds.
    * ``not-broken``: the null is "some bucket's mean exceeds 1/10", a union; if bucket b's does,
      then its wealth below ever reaches 1/alpha with probability at most alpha, so asking it of
      *every* bucket needs no correction (intersection-union), each at its own time.

    At most one of the two answers can be false, so a false one is given with probability at most
    alpha. The first to be reached is the verdict (the two at once: ``broken``) and stays it.
    """

    above: Float64
    below: Float64

    @classmethod
    def of(cls, wrong_by_age: ArrayLike, asked_by_age: ArrayLike) -> Guarantee:
        """From int[T, 16] wrong and asked bits; a bucket that is never asked is never decided."""
        wrong = np.asarray(wrong_by_age, dtype=np.float64).reshape(-1, AGE_BUCKETS)
        asked = np.asarray(asked_by_age, dtype=np.float64).reshape(-1, AGE_BUCKETS)
        e = np.divide(wrong, asked, out=np.full_like(wrong, np.nan), where=asked > 0)
        return cls(log_wealth_above(e, GUARANTEE), log_wealth_below(e, GUARANTEE))

    def __len__(self) -> int:
        return len(self.above)

    def broken_process(self) -> Float64:
        """ln of the e-process against "every bucket is fine", float64[T]."""
        return np.asarray(np.logaddexp.reduce(self.above, axis=1) - math.log(AGE_BUCKETS))

    def not_broken_process(self) -> Float64:
        """ln of the smallest bucket's running peak below, float64[T]."""
        if len(self) == 0:
            return np.zeros(0)
        return np.asarray(np.maximum.accumulate(self.below, axis=0).min(axis=1))

    def decide(self, level: float = 0.95) -> tuple[GuaranteeVerdict, int]:
        """The verdict at ``level``, and after how many messages it fell (all, if undecided)."""
        return _first(self.broken_process(), self.not_broken_process(), level)


def combine_broken(parts: Sequence[Guarantee]) -> Float64:
    """ln of the average over adversaries of their processes against "every bucket is fine".

    The average of e-processes is one, so the best of several adversaries is accounted for. It is
    taken message by message; an adversary that has stopped keeps its value. float64[longest T].
    """
    processes = _together([part.broken_process() for part in parts])
    return np.asarray(np.logaddexp.reduce(processes, axis=0) - math.log(max(len(parts), 1)))


def combine_not_broken(parts: Sequence[Guarantee]) -> Float64:
    """ln of the smallest adversary's process: ``not-broken`` needs all of them. float64[longest
    T].

    An adversary that has stopped keeps its value.
    """
    return np.asarray(_together([part.not_broken_process() for part in parts]).min(axis=0))


def combine_guarantees(
    parts: Sequence[Guarantee], level: float = 0.95
) -> tuple[GuaranteeVerdict, int]:
    """One verdict from several adversaries, and after how many messages it fell."""
    if not parts:
        return "undecided", 0
    return _first(combine_broken(parts), combine_not_broken(parts), level)


def _first(broken: Float64, kept: Float64, level: float) -> tuple[GuaranteeVerdict, int]:
    needed = -math.log(1.0 - level)
    at_broken, at_kept = _crossing(broken, needed), _crossing(kept, needed)
    if at_broken is not None and (at_kept is None or at_broken <= at_kept):
        return "broken", at_broken + 1
    if at_kept is not None:
        return "not-broken", at_kept + 1
    return "undecided", len(broken)


def _crossing(process: Float64, needed: float) -> int | None:
    reached = np.flatnonzero(process >= needed)
    return int(reached[0]) if len(reached) else None


def _together(processes: Sequence[Float64]) -> Float64:
    longest = max(len(process) for process in processes)
    held = [
        np.pad(process, (0, longest - len(process)), mode="edge")
        if len(process)
        else np.zeros(longest)
        for process in processes
    ]
    return np.stack(held)
