"""One stream read back at every length: which tokens are wrong after which append.

The stream has values {0, 1} and distinct keys at a tight scale (``bench``), so whoever holds a
token reads all its bits right, whatever else it holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ....compressors.plugin.contract import Compressor
from ..bench import Bench, D, Stream, stream, two_valued

LOST = 0.25
"""From this share of wrong bits on a token is called lost: guessing has one half."""
EVERY_LENGTH = 70
SECONDS = 4.0
FEW = 16
SMALL = (0.0, 1.0, 3.0)
"""The lengths of the queries at which mass is weighed."""


@dataclass
class Growth:
    """What was read at each length.

    Attributes:
        stream: of the longest length.
        wrong: wrong[n][t], bool[d_v]: the wrong bits of token t when n tokens had come.
        shares: shares[n][t], the share of them.
        ones: ones[n], float[len(SMALL)]: the answer in the channel that is 1 in every token, at
            short queries; ``tight_ones[n]`` the least and the largest at the tight scale, of the
            tokens not lost, if these are half of those asked or more than 16.
        bits: bits[n]: of the message.
        full: the length at which it raised, if that is one of its own sizes.
    """

    stream: Stream
    wrong: dict[int, dict[int, NDArray[np.bool_]]] = field(default_factory=dict)
    shares: dict[int, dict[int, float]] = field(default_factory=dict)
    ones: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    tight_ones: dict[int, tuple[float, float]] = field(default_factory=dict)
    bits: dict[int, int] = field(default_factory=dict)

    @property
    def lengths(self) -> list[int]:
        """In increasing order."""
        return sorted(self.wrong)

    def lost(self, n: int) -> list[int]:
        """The tokens asked at length n that are lost."""
        return [t for t, share in self.shares[n].items() if share >= LOST]

    def held(self, n: int) -> list[int]:
        """The tokens asked at length n with all bits right."""
        return [t for t, share in self.shares[n].items() if share == 0]


def grown(bench: Bench) -> Growth:
    """The growth of this subject, made once."""
    found = bench.kept.get("growth")
    if found is None:
        found = bench.kept["growth"] = _grow(bench)
    assert isinstance(found, Growth)
    return found


def lengths_for(bench: Bench) -> list[int]:
    """Every small length, and those around every size it is made with."""
    small = EVERY_LENGTH if bench.streaming else 34
    lengths = set(range(1, small + 1)) | {97, 131}
    for size in bench.sizes:
        lengths |= around(size)
    return sorted(n for n in lengths if n <= bench.most)


def around(size: int) -> set[int]:
    """The lengths at which a fault of a block, window or group of this size shows.

    >>> sorted(around(16))
    [15, 16, 17, 21, 32, 35]
    """
    return {size - 1, size, size + 1, (size + size // 3) | 1, 2 * size, 2 * size + 3} - {0}


def sample(n: int, sizes: Sequence[int]) -> list[int]:
    """Which of n tokens are asked: all of a few; else the ends, the edges of sizes, and others."""
    if n <= EVERY_LENGTH:
        return list(range(n))
    chosen = set(range(6)) | set(range(n - 24, n)) | set(range(0, n, max(1, n // 24)))
    for size in sizes:
        chosen |= {n - size + i for i in range(-2, 5)} | {size + i for i in (-1, 0, 1)}
    return sorted(t for t in chosen if 0 <= t < n)


def _grow(bench: Bench) -> Growth:
    lengths = lengths_for(bench)
    longest = lengths[-1]
    growth = Growth(stream(longest, two_valued(longest)))
    began = time.process_time()
    compressor = bench.build(bench.shape(longest))
    at = 0
    for n in lengths:
        if time.process_time() - began > SECONDS:
            bench.untried.append(f"lengths over {at} (each question takes long)")
            break
        if bench.streaming:
            bench.append(compressor, growth.stream, at, n)
        else:
            compressor = bench.fed(growth.stream.first(n))
        at = n
        look(bench, growth, compressor, n, sample(n, bench.sizes))
    took = time.process_time() - began
    asked = sum(len(one) for one in growth.wrong.values())
    if took / max(1, asked) * at < 1.0:
        look(bench, growth, compressor, at, range(at))
    return growth


def look(
    bench: Bench, growth: Growth, compressor: Compressor, n: int, tokens: Sequence[int]
) -> None:
    """Read these tokens at length n, and weigh the constant channel."""
    one = growth.stream
    answers = bench.read(compressor, one, tokens)
    said = answers > 0.5
    wrong = said != (one.values[tokens] > 0.5)
    shares = wrong.mean(axis=1)
    growth.wrong[n] = dict(zip(tokens, wrong, strict=True))
    growth.shares[n] = dict(zip(tokens, shares.tolist(), strict=True))
    right = answers[shares < LOST, 0]
    if 2 * len(right) > len(tokens) or len(right) > FEW:
        growth.tight_ones[n] = float(right.min()), float(right.max())
    newest = one.keys[n - 1]
    asked = np.stack([np.float32(length) * newest for length in SMALL])
    growth.ones[n] = bench.answers(compressor, asked, D)[:, 0].astype(np.float64)
    growth.bits[n] = 8 * len(compressor.save()) if n in (24, 48) or n > EVERY_LENGTH else 0
