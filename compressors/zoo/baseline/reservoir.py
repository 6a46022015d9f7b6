"""A uniform random sample of the tokens, by public coins."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import BadInput
from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.token_cache import Slots, TokenCache, share_of, token_bits, whole
from ...plugin.contract import Float32

_COUNTER_BITS = 64
_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15


class Reservoir(TokenCache):
    """Algorithm R (Vitter 1985): after t tokens, every set of m of them is kept equally likely.

    Token t < m goes to slot t; a later one draws j uniform in 0..t and goes to slot j if j < m,
    else it is dropped. Bob's own token is treated like any other: the coin of its step, the same
    for all his questions, decides whether it enters and whom it replaces.

    State: the number of tokens seen, int64, and m tokens. The coins are ``seed`` and t.

    Args:
        size: m; by default as many as the budget holds.
        dtype: fp32, fp16, bf16 or fp8.

    Raises:
        BudgetTooSmall: the counter and one token do not fit, or not ``size`` tokens.
        BadInput: ``size`` is not positive, or there is no such format.
    """

    name = "reservoir"

    def set_up(self, *, size: int | None = None, dtype: str = "fp16") -> None:
        wanted = None if size is None else whole(size, "size", 1)
        slots = self.tokens_that_fit(
            token_bits(self.shape, dtype), wanted=wanted, besides=_COUNTER_BITS
        )
        self.hold(slots=slots, dtype=dtype, counters=("seen",))
        self.declares = {"keeps": share_of(slots, self.shape)}

    def slots_for(self, first: int, count: int) -> Slots:
        """Slot t for the first m tokens, then the draw of step t where it is below m."""
        t = np.arange(first, first + count)
        slots = np.where(t < self.slots, t, draws(self.seed, first, count))
        return np.where(slots < self.slots, slots, -1)

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples, and count them."""
        super().extend(Q, K, V)
        self.state["seen"][0] = self.seen

    def restore(self, message: bytes) -> None:
        """Take over a saved state, the counter with it."""
        super().restore(message)
        self.seen = int(self.state["seen"][0])


def draws(seed: int, first: int, count: int) -> Slots:
    """For t = first .. first + count - 1 a number uniform in {0, .., t}: int64[count].

    The upper half h of a SplitMix64 output (Steele, Lea, Flood 2014), addressed by t instead of
    iterated, times t + 1, shifted: floor(h (t + 1) / 2^32). Each number has probability 1/(t + 1)
    within 2^-32. Integers only, so equal on every machine.

    >>> draws(seed=7, first=0, count=6).tolist()
    [0, 0, 2, 3, 3, 2]
    """
    if first + count > 1 << 31:
        raise BadInput("reservoir counts up to 2^31 tokens: split the stream.")
    start = _finish(np.array([seed & _MASK], dtype=np.uint64))
    t = np.arange(first, first + count, dtype=np.uint64)
    high = _finish(start + (t + np.uint64(1)) * np.uint64(_GAMMA)) >> np.uint64(32)
    return ((high * (t + np.uint64(1))) >> np.uint64(32)).astype(np.int64)


def _finish(z: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    # The finaliser of SplitMix64; unsigned arrays wrap modulo 2^64.
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


ENTRY = CatalogEntry(
    Reservoir,
    summary="a uniform random sample of the tokens, by public coins",
    source="Vitter 1985, Random Sampling with a Reservoir",
    budgets=EVICTS,
)
