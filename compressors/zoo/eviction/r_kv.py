"""R-KV: tokens that are attended to and that no other token repeats."""

from __future__ import annotations

import numpy as np

from ....errors import BadInput
from ....reductions.memo import remembered
from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from .chosen_tokens import ChosenTokens
from .kept_heads import causal_weights
from .snapkv import pool


@remembered(most=1 << 24)
def redundancy(K: Float32, threshold: float, spared: int) -> Float32:
    """How much other keys repeat each one: a softmax over tokens of mean cosines, float32[n].

    Args:
        K: float32[n, d].
        threshold: cosines above it mark a key as like another.
        spared: of the keys that are like one key, so many of the newest are not held against it.
    """
    lengths = np.linalg.norm(K, axis=1, keepdims=True)
    units = K / (lengths + np.float32(1e-8))
    cosines = units @ units.T
    np.fill_diagonal(cosines, 0)
    alike = cosines > threshold
    # Counted from the newest on, the first ``spared`` that are alike; most keys are like none.
    rows = np.flatnonzero(alike.any(axis=1))
    alike = alike[rows]
    rank = np.cumsum(alike[:, ::-1], axis=1)[:, ::-1]
    row, column = np.nonzero(alike & (rank <= spared))
    cosines[rows[row], column] = 0
    means = cosines.mean(axis=1)
    weights = np.exp(means - means.max())
    found: Float32 = weights / weights.sum()
    return found


class RKV(ChosenTokens):
    """R-KV (Cai et al. 2025, Redundancy-aware KV Cache Compression, 2505.24133).

    A token's worth is ``mix`` times its importance less (1 - ``mix``) times its redundancy.
    Importance: the mean weight that the last ``window`` queries gave it, the largest of ``kernel``
    neighbours. Redundancy: a softmax over the tokens of the mean cosine of its key to the
    others, where the newest like it do not count. The window stays. Of equals the older stays.

    A prefill method: ranked once, after ``shape.tokens`` tokens. Bob's are kept beside it.

    State: K and V in fp16 of the tokens kept, as many in every head.

    Args:
        capacity: tokens a head keeps, the window with them; by default what the budget holds, or
            half of the prompt.
        window: last queries that score, whose tokens stay (8; half of the capacity where that is
            less).
        mix: weight of importance, 0 to 1 (0.1).
        kernel: positions pooled, an odd number (7).
        threshold: cosine above which keys are alike (0.5).
        spared: share of the tokens that are the newest like a key (0.1).

    Raises:
        BudgetTooSmall: not one token a head fits, or not ``capacity``.
        BadInput: a parameter is outside its range, or a number does not fit fp16.

    Mechanisms:
        importance by the last queries' attention, max-pooled: implemented.
        redundancy by cosines of keys, newest of alike keys spared: implemented.
        joint score: implemented.
        rounds of decoding, each compressing a buffer: adapted, one round, after the prompt.
        largest weight of a group's query heads: not meaningful here, a head has one.
    """

    name = "r-kv"

    def set_up(
        self,
        *,
        capacity: int | None = None,
        window: int = 8,
        mix: float = 0.1,
        kernel: int = 7,
        threshold: float = 0.5,
        spared: float = 0.1,
    ) -> None:
        super().set_up()
        for word, number in (("mix", mix), ("spared", spared)):
            if not 0 <= number <= 1:
                raise BadInput(f"{word} is a share from 0 to 1, not {number!r}.")
        if whole(kernel, "kernel", 1) % 2 == 0:
            raise BadInput(f"kernel is an odd number of positions, not {kernel}.")
        self.mix, self.kernel, self.threshold, self.spared = mix, kernel, threshold, spared
        self.hold(capacity)
        self.window = min(whole(window, "window", 1), max(1, self.capacity // 2))

    def ranking(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """The joint score; infinite for the window."""
        n = len(K)
        window = min(self.window, n)
        weights = causal_weights(Q, K, n - window).mean(axis=0)
        importance = pool(weights, self.kernel, "max")
        spared = max(1, int(self.spared * n))
        worth = self.mix * importance - (1 - self.mix) * redundancy(K, self.threshold, spared)
        worth[n - window :] = np.inf
        found: Float32 = worth
        return found


ENTRY = CatalogEntry(
    RKV,
    summary="the tokens that the last queries attend to and that no other key repeats",
    source="Cai et al. 2025, R-KV: Redundancy-aware KV Cache Compression for Training-Free "
    "Reasoning Models Acceleration",
    budgets=EVICTS,
    assumes="keys that are alike say the same, and the last queries attend to what will be asked",
    broken_by="different values behind keys that are alike",
    square="time and memory",
)
