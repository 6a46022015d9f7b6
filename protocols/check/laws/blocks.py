"""Blocks of numbers read back: right in shape and wrong in scale, or right but for an offset.

For a block of numbers x (some channels of a token) and what was read, y, let y = r x + b + e be
the least-squares fit. A rounding error, however coarse, is centred: it gives r near 1, b near 0,
and e of the size of the step. A block with e small (x and y correlate by more than 19/20) and r
outside [2/3, 3/2], or |b| over the spread of x, was multiplied by another scale or moved by
another offset than its own: no rounding does that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....compressors.plugin.contract import Float32
from ...evidence.places import spans

SHAPED = 0.95
LEAST, MOST = 2 / 3, 3 / 2
MATCHES = 0.7
Blocks = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """The fits of all blocks [tokens, groups]: correlation, r, and b over the spread of x."""

    shaped: Blocks
    scale: Blocks
    offset: Blocks

    @property
    def rescaled(self) -> NDArray[np.bool_]:
        """Right in shape, wrong in scale."""
        return (self.shaped > SHAPED) & ((self.scale < LEAST) | (self.scale > MOST))

    @property
    def moved(self) -> NDArray[np.bool_]:
        """Right in shape, off by more than the spread of the block."""
        return (self.shaped > SHAPED) & ~self.rescaled & (np.abs(self.offset) > 1)


def fitted(truth: Float32, read: Float32, group: int) -> Fit:
    """Fit every block of ``group`` channels of [n, d] numbers."""
    x, y = (np.asarray(a, np.float64).reshape(len(a), -1, group) for a in (truth, read))
    cx, cy = (a - a.mean(axis=2, keepdims=True) for a in (x, y))
    sx, sy = (np.sqrt((a**2).mean(axis=2)) + 1e-30 for a in (cx, cy))
    inner = (cx * cy).mean(axis=2)
    scale = inner / sx**2
    offset = (y.mean(axis=2) - scale * x.mean(axis=2)) / sx
    return Fit(inner / (sx * sy), scale, offset)


STATISTICS: tuple[Callable[[Blocks], Blocks], ...] = (
    lambda x: np.abs(x).max(axis=2),
    lambda x: x.max(axis=2) - x.min(axis=2),
    lambda x: np.sqrt((x**2).mean(axis=2)),
)
"""What a quantiser may take for the scale of a block."""


def whose_scale(truth: Float32, fit: Fit, group: int) -> str | None:
    """Whose scale the rescaled blocks have, in words, if one rule says it for most; else None."""
    x = np.asarray(truth, np.float64).reshape(len(truth), -1, group)
    at = np.argwhere(fit.rescaled)
    tokens, groups = x.shape[:2]
    best: tuple[float, str] = (MATCHES, "")
    for statistic in STATISTICS:
        own = statistic(x)
        used = fit.scale * own
        for words, rule in _rules(tokens, groups):
            hits = 0
            for t, g in at:
                u, h = rule(int(t), int(g))
                if 0 <= u < tokens and 0 <= h < groups:
                    hits += abs(np.log(max(used[t, g], 1e-30) / max(own[u, h], 1e-30))) < 0.06
            if hits / len(at) > best[0]:
                best = hits / len(at), words
    return best[1] or None


Rule = Callable[[int, int], tuple[int, int]]


def _rules(tokens: int, groups: int) -> list[tuple[str, Rule]]:
    rules: list[tuple[str, Rule]] = []
    for m in (2, 4, 8):
        if m <= groups:
            rules.append((
                f"token t, group g has the scale of token g, group t within {m} tokens: the "
                "table of "
                "scales is transposed",
                lambda t, g, m=m: (t - t % m + g, t % m) if g < m else (-1, -1),  # type: ignore[misc]
            ))  # fmt: skip
    for dt in (1, -1, 2, -2, 4, -4):
        rules.append((f"each has the scale of the token {_by(dt)}", lambda t, g, d=dt: (t + d, g)))  # type: ignore[misc]
    for dg in (1, -1):
        rules += [(
            f"each has the scale of the group {_by(dg)}",
            lambda t, g, d=dg: (t, (g + d) % groups),  # type: ignore[misc]
        ), (
            f"group g has the scale of group {groups - 1} - g", lambda t, g: (t, groups - 1 - g)
        )]  # fmt: skip
    rules.append(("all have the scale of group 0 of their token", lambda t, g: (t, 0)))
    rules.append(("all have the scale of token 0", lambda t, g: (0, g)))
    rules.append(("all have the scale of the last token", lambda t, g: (tokens - 1, g)))
    return rules


def _by(step: int) -> str:
    return f"{abs(step)} {'after' if step > 0 else 'before'} it"


def where(flags: NDArray[np.bool_], group: int) -> str:
    """Which blocks, for people.

    >>> where(np.array([[True, False], [True, True]]), 16)
    'tokens 0-1 in channels 0-15 and tokens 1 in channels 16-31'
    """
    by_tokens: dict[tuple[int, ...], list[int]] = {}
    for g in range(flags.shape[1]):
        tokens = tuple(int(t) for t in np.flatnonzero(flags[:, g]))
        if tokens:
            by_tokens.setdefault(tokens, []).append(g)
    parts = []
    for tokens, groups in by_tokens.items():
        channels = [g * group + c for g in groups for c in range(group)]
        parts.append(f"tokens {spans(tokens, 4)} in channels {spans(channels)}")
    return " and ".join(parts[:4]) + (" and others" if len(parts) > 4 else "")
