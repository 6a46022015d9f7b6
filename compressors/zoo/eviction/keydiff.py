"""KeyDiff: the keys that are least like the mean key stay."""

from __future__ import annotations

import numpy as np

from ...catalog_entry import EVICTS, CatalogEntry
from ...plugin.contract import Float32
from .chosen_tokens import ChosenTokens


def cosines_to_the_mean(K: Float32) -> Float32:
    """Of keys float32[n, d] the cosine to the mean of their directions: float32[n]; of 0 it is 0.

    >>> cosines_to_the_mean(np.float32([[2, 0], [1, 0], [0, 3]])).astype(float).round(3).tolist()
    [0.894, 0.894, 0.447]
    """
    units = _units(K)
    cosines: Float32 = units @ _units(units.mean(axis=0, keepdims=True))[0]
    return cosines


def _units(X: Float32) -> Float32:
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    units: Float32 = np.divide(X, lengths, out=np.zeros_like(X), where=lengths > 0)
    return units


class KeyDiff(ChosenTokens):
    """KeyDiff (Park et al. 2025, Key Similarity-Based KV Cache Eviction, 2504.15364).

    A head's anchor is the mean of its keys' directions; the tokens whose keys have the largest
    cosine to it leave. No query is looked at. Of equal ones the older token stays.

    A prefill method: ranked once, after ``shape.tokens`` tokens. Bob's are kept beside it.

    State: K and V in fp16 of the tokens kept, as many in every head.

    Args:
        capacity: tokens a head keeps; by default what the budget holds, or half of the prompt.

    Raises:
        BudgetTooSmall: not one token a head fits, or not ``capacity``.
        BadInput: ``capacity`` is not positive, or a number does not fit fp16.

    Mechanisms:
        cosine of each key to the mean direction: implemented.
        most similar keys evicted, head by head: implemented.
        prompt taken in blocks, an eviction after each: adapted, the prompt is one block.
        newest tokens kept whatever their keys: left out, the paper has it as an option.
    """

    name = "keydiff"

    def set_up(self, *, capacity: int | None = None) -> None:
        super().set_up()
        self.hold(capacity)

    def ranking(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Minus the cosine to the mean direction."""
        return -cosines_to_the_mean(K)


ENTRY = CatalogEntry(
    KeyDiff,
    summary="the tokens whose keys are least like the mean key",
    source="Park, Jones, Morse, Goel, Lee, Lott 2025, KeyDiff: Key Similarity-Based KV Cache "
    "Eviction for Long-Context LLM Inference in Resource-Constrained Environments",
    budgets=EVICTS,
    assumes="keys unlike the others are the ones that get attention",
    broken_by="a question for a key that is like many others",
)
