"""Plug-ins whose verdict needs care: one forgets scattered rows, one changes while it is
played, one answers by the company of a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from kvbarrier.compressors.plugin.contract import Shape


def attention(q: Any, K: Any, V: Any) -> Any:
    scores = K @ q
    weights = np.exp(scores - scores.max())
    return (weights @ V / weights.sum()).astype(np.float32)


class Keeps:
    """Keys and values as they come; a half is answered for a token that was not kept."""

    def __init__(self, shape: Shape, budget_bits: int | None = None, seed: int = 0) -> None:
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self.seen = 0
        self.tokens = shape.tokens

    def keeps(self, token: int) -> bool:
        return True

    def append(self, q: Any, k: Any, v: Any) -> None:
        if self.keeps(self.seen):
            self.keys.append(k)
            self.values.append(v)
        self.seen += 1

    def attend(self, q: Any) -> Any:
        return attention(q, np.array(self.keys), np.array(self.values))


class ForgetsEveryEighth(Keeps):
    """Tokens 0, 8, 16, ... are coins for ever: an error of 1/16 in every age bucket."""

    def keeps(self, token: int) -> bool:
        # Bob's own token is always looked at.
        return token % 8 != 0 or token >= self.tokens


class ChangesWhilePlayed(Keeps):
    """Keeps all tokens at first and half of them later: its clock counts what was built."""

    BUILT = 0
    EARLY = 120

    def __init__(self, shape: Shape, budget_bits: int | None = None, seed: int = 0) -> None:
        super().__init__(shape)
        ChangesWhilePlayed.BUILT += 1

    def keeps(self, token: int) -> bool:
        return self.BUILT < self.EARLY or token % 2 == 0


class AnswersByCompany(Keeps):
    """Answers right whoever is asked alone, and nobody who is asked together with others."""

    def next_outputs(self, Q: Any, K: Any, V: Any) -> Any:
        rows = []
        for q, k, v in zip(Q, K, V, strict=True):
            keys, values = np.array([*self.keys, k]), np.array([*self.values, v])
            rows.append(attention(q, keys, values) * (len(Q) == 1))
        return np.stack(rows)
