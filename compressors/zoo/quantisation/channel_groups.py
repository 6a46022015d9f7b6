"""Clipped rounding in groups of channels that resemble one another, as SKVQ fits them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kit.state import from_storage, to_storage
from ...plugin.contract import Float32

Array = NDArray[Any]
#: bits by which a number of levels is known -> levels, and how many of them 16 bits hold
LEVELS = {8: (256, 2), 4: (16, 4), 3: (8, 5), 2: (4, 8), 1.5: (3, 10)}
#: a clip factor is 1 - i/32, with i from here
CLIPS = np.arange(17)
_STARTS, _ROUNDS = 10, 100


@dataclass(frozen=True)
class Law:
    """What is fitted: uint8[d], the group of each channel, and float32[groups], clip factors."""

    group: NDArray[np.uint8]
    clip: Float32


@dataclass(frozen=True)
class Rounding:
    """Rounding to ``bits`` (a key of ``LEVELS``) with scales and zeros in the dtype ``meta``."""

    bits: float
    meta: np.dtype[Any]

    def words(self, d: int) -> int:
        """How many 16-bit words the levels of d numbers are."""
        return -(-d // LEVELS[self.bits][1])

    def quantise(self, X: Float32, law: Law) -> tuple[Array, Array, NDArray[np.uint16]]:
        """Scales and zeros, [m, groups], and levels, uint16[m, words], of tokens float32[m, d].

        With alpha the clip factor of a group, zero = alpha min and
        scale = alpha (max - min) / (levels - 1); what lies outside goes to the nearer end.

        Raises:
            BadInput: a scale or zero does not fit the dtype.
        """
        from . import skvq_kernels as kernels

        X = np.ascontiguousarray(X, dtype=np.float32)
        low, high = (np.empty((len(X), len(law.clip)), np.float32) for _ in range(2))
        kernels.extremes(X, law.group, low, high)
        levels, digits = LEVELS[self.bits]
        scale = to_storage(law.clip * (high - low) / np.float32(levels - 1), self.meta, "SKVQ")
        zero = to_storage(law.clip * low, self.meta, "SKVQ")
        codes = np.empty((len(X), self.words(X.shape[1])), np.uint16)
        kernels.encode(X, law.group, from_storage(scale), from_storage(zero), levels, digits, codes)
        return scale, zero, codes

    def restore(self, scale: Array, zero: Array, codes: Array, law: Law) -> Float32:
        """zero + scale * level: float32[m, d] from what :meth:`quantise` returns."""
        from . import skvq_kernels as kernels

        X = np.empty((len(codes), len(law.group)), np.float32)
        numbers = from_storage(scale), from_storage(zero)
        kernels.decode(codes, law.group, *numbers, *LEVELS[self.bits], X)
        return X

    def clips(self, X: Float32, group: NDArray[np.uint8], groups: int) -> NDArray[np.uint8]:
        """For each group the i of ``CLIPS`` with the least squared error: uint8[groups]."""
        errors = np.empty((len(CLIPS), groups))
        for i in CLIPS:
            law = Law(group, np.full(groups, clip_factor(i), np.float32))
            gap = X - self.restore(*self.quantise(X, law), law)
            squares = np.square(gap, dtype=np.float64).sum(axis=0)
            errors[i] = np.bincount(group, squares, groups)
        best: NDArray[np.uint8] = errors.argmin(axis=0).astype(np.uint8)
        return best


def clip_factor(i: Any) -> Float32:
    """The clip factor that an i stands for.

    >>> clip_factor(np.array([0, 16])).tolist()
    [1.0, 0.5]
    """
    factor: Float32 = np.float32(1) - np.asarray(i, np.float32) / np.float32(32)
    return factor


def alike(X: Float32, groups: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Channels grouped by the range they have in X, float32[m, d]: uint8[d].

    K-means of the points (min, max), the best of several k-means++ starts (Lloyd 1982; Arthur and
    Vassilvitskii 2007). Groups are as large as they come out, and may be empty.
    """
    points = np.stack([X.min(axis=0), X.max(axis=0)], axis=1).astype(np.float64)
    best, least = np.zeros(len(points), np.int64), np.inf
    for _ in range(_STARTS):
        centres = points[[rng.integers(len(points))]]
        while len(centres) < groups:
            far = _squares(points, centres).min(axis=1)
            chance = far / far.sum() if far.sum() > 0 else None
            centres = np.concatenate([centres, points[[rng.choice(len(points), p=chance)]]])
        nearest = _squares(points, centres).argmin(axis=1)
        for _ in range(_ROUNDS):
            sizes = np.bincount(nearest, minlength=groups)
            for axis in range(2):
                sums = np.bincount(nearest, points[:, axis], groups)
                centres[sizes > 0, axis] = sums[sizes > 0] / sizes[sizes > 0]
            moved = _squares(points, centres).argmin(axis=1)
            if (moved == nearest).all():
                break
            nearest = moved
        cost = float(_squares(points, centres).min(axis=1).sum())
        if cost < least:
            best, least = nearest, cost
    return best.astype(np.uint8)


def _squares(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    gaps: NDArray[np.float64] = np.square(points[:, None] - centres).sum(axis=2)
    return gaps
