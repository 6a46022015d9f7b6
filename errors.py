"""The errors that a user can fix, each with the exit code of the command line.

Every message is one sentence that says what to do. Any other exception is a bug in kvbarrier.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Self


class KVBarrierError(Exception):
    """Base of all our errors; ``exit_code`` is what the command line returns for it."""

    exit_code = 2


class BadInput(KVBarrierError, ValueError):
    """Bad usage or bad input: an unknown name, an impossible size, a torn file (exit code 2)."""

    exit_code = 2


class NoScale(BadInput):
    """No query scale C separates the bits on this key set; the message names the failing key."""


class BudgetTooSmall(BadInput):
    """A compressor does not fit into its budget.

    ``minimum_bits`` is the smallest budget, in bits, into which it fits.
    """

    def __init__(self, name: str, budget_bits: int, minimum_bits: int) -> None:
        super().__init__(
            f"{name} does not fit into {budget_bits} bits: give it a budget of at least "
            f"{minimum_bits} bits."
        )
        self.name = name
        self.budget_bits = budget_bits
        self.minimum_bits = minimum_bits

    def __reduce__(self) -> tuple[type[Self], tuple[str, int, int]]:
        # An exception pickles as its message alone, with which this constructor cannot be called.
        return type(self), (self.name, self.budget_bits, self.minimum_bits)


class PluginFailure(KVBarrierError):
    """The compressor under attack failed: it raised, hung, died, or broke the contract (code 3).

    ``detail`` is shown to its author below the sentence: their own traceback, or None.
    """

    exit_code = 3

    def __init__(self, sentence: str, detail: str | None = None) -> None:
        super().__init__(sentence)
        self.detail = detail


class HarnessFault(KVBarrierError):
    """Our own code failed while a compressor was played, in a player or not (exit code 70).

    It ends the run: no message is charged for it, and it says nothing about the compressor.
    """

    exit_code = 70


class ResultsConflict(BadInput):
    """Two rows with equal keys and different counts: a non-deterministic compressor."""


_FEW = 16


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, else the names if they are few.

    Capitals are no difference.

    >>> did_you_mean("exat", ["exact", "zero"])
    " Did you mean 'exact'?"
    >>> did_you_mean("qqq", ["zero", "exact"])
    ' Known: exact, zero.'
    >>> did_you_mean("H2O", ["h2o", "zero"]), did_you_mean("qqq", map(str, range(50)))
    (" Did you mean 'h2o'?", ' 50 are known.')
    """
    known = sorted(known)
    small = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), small, n=1)
    if near:
        return f" Did you mean '{small[near[0]]}'?"
    return f" Known: {', '.join(known)}." if len(known) <= _FEW else f" {len(known)} are known."
