"""Sparse attention patterns, as non-adaptive readers for the last token.

Each chooses some of the n-1 earlier tokens before any data exist; the knob ``share`` is the part of
them that it may read, and it reads as many as its shape allows within that. The newest token, which
comes with the query, is read by all.

All answer alike: exact attention in which every unread token is taken to be like the typical read
one, the coordinatewise lower median of the keys and of the values that were read. (Leaving unread
tokens out, as these patterns do in models, overweights what is read, and errs on D_i even when i is
read, unless nearly all is read: the weight on i would be 1/2 and comes out near 1.)
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ...errors import BadInput
from .contract import Float32, Indices, NonAdaptive, Plan, Reader, coins
from .entry import ReaderEntry


class ReadPattern(NonAdaptive):
    """What the patterns share: whole tokens, and the answer with unread tokens filled in.

    Args:
        share: part of the n-1 earlier tokens that it may read, 0 to 1 (0.5).

    Raises:
        BadInput: ``share`` lies outside.
    """

    def __init__(self, share: float = 0.5) -> None:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise BadInput(f"share is the part of the tokens to read: give 0 to 1, not {share!r}.")
        self.share = float(share)

    @abstractmethod
    def choose(self, earlier: int, most: int, seed: int) -> Indices:
        """The tokens to read of 0 .. earlier-1, at most ``most`` different ones."""

    def plan(self, n: int, d: int, seed: int) -> Indices:
        """The chosen tokens, and the newest."""
        most = int(np.floor(self.share * (n - 1) + 1e-9))
        return np.append(self.choose(n - 1, most, seed), n - 1)

    def answer(self, q: Float32, reader: Reader) -> Float32:
        """Attention with unread tokens like the typical read one."""
        _, K, V = reader.tokens()
        return filled_attention(q, K, V, reader.n)


def filled_attention(q: Float32, K: Float32, V: Float32, n: int) -> Float32:
    """Exact attention over n tokens, of which (K, V), float32[m, d] each, are known: float32[d].

    The last known row is the newest token. The n - m others get the lower median, coordinate by
    coordinate, of the known rows before it; if there are none, the newest one's.

    >>> K = np.zeros((4, 1), dtype=np.float32); V = np.float32([[1], [1], [9], [1]])
    >>> filled_attention(np.ones(1, dtype=np.float32), K, V, n=8)
    array([2.], dtype=float32)
    """
    earlier = slice(-1) if len(K) > 1 else slice(None)
    typical_k, typical_v = typical(K[earlier]), typical(V[earlier])
    scores = np.append(K @ q, typical_k @ q).astype(np.float64)
    weights = np.exp(scores - scores.max())
    weights[-1] *= n - len(K)
    output = (weights[:-1] @ V + weights[-1] * typical_v) / weights.sum()
    return np.asarray(output, dtype=np.float32)


def typical(rows: Float32) -> Float32:
    """The lower median of each column: float32[d]."""
    middle = (len(rows) - 1) // 2
    return np.asarray(np.partition(rows, middle, axis=0)[middle])


class Sampling(ReadPattern):
    """A uniformly random set of tokens, a new one for every query: nothing does better on average.

    The sets of two shares are nested: the first tokens of one random order.
    """

    def choose(self, earlier: int, most: int, seed: int) -> Indices:
        """The first tokens of a random order of all."""
        return np.asarray(coins(seed).permutation(earlier)[:most])


SAMPLING = ReaderEntry(
    "sampling",
    Sampling,
    "a uniformly random set of tokens, a new one for every query",
    "ours: no plan does better on average (Theorem 19's line)",
)


class Window(ReadPattern):
    """The last tokens (Longformer: Beltagy, Peters, Cohan 2020)."""

    def choose(self, earlier: int, most: int, seed: int) -> Indices:
        """The newest ``most``."""
        return np.arange(earlier - most, earlier)


WINDOW = ReaderEntry(
    "window",
    Window,
    "the last tokens",
    "Beltagy, Peters, Cohan 2020, Longformer",
)


class Sinks(ReadPattern):
    """The first four tokens and the last ones (StreamingLLM: Xiao et al. 2024)."""

    def choose(self, earlier: int, most: int, seed: int) -> Indices:
        """Four sinks, the rest a window."""
        sinks = min(4, most)
        return np.append(np.arange(sinks), np.arange(earlier - (most - sinks), earlier))


SINKS = ReaderEntry(
    "sinks",
    Sinks,
    "the first four tokens and the last ones",
    "Xiao et al. 2024, StreamingLLM",
)


class Strided(ReadPattern):
    """The last l tokens and every l-th before them (Child et al. 2019, strided).

    l is the smallest stride that fits: floor(n/l) + l - 1 of n tokens, more than 2 sqrt(n) - 2.
    """

    def choose(self, earlier: int, most: int, seed: int) -> Indices:
        """The pattern with the smallest stride within ``most``.

        Raises:
            BadInput: every stride reads more.
        """
        strides = np.arange(1, earlier + 1)
        sizes = strides + (earlier - strides) // strides
        fits = np.flatnonzero(sizes <= most)
        if not len(fits):
            raise _too_few("strided", int(sizes.min()), earlier)
        stride = int(strides[fits[0]])
        return np.append(
            np.arange(earlier - 2 * stride, -1, -stride), np.arange(earlier - stride, earlier)
        )


STRIDED = ReaderEntry(
    "strided",
    Strided,
    "the last l tokens and every l-th before them, l the smallest stride within the share",
    "Child et al. 2019, Sparse Transformers, strided",
)


class Fixed(ReadPattern):
    """The last token's block and the last c of every earlier block (Child et al. 2019, fixed).

    Blocks have l = ceil(sqrt(n)) tokens; c is the largest number that fits.
    """

    def choose(self, earlier: int, most: int, seed: int) -> Indices:
        """The pattern with the largest c within ``most``.

        Raises:
            BadInput: c = 1 reads more.
        """
        block = int(np.ceil(np.sqrt(earlier)))
        place = np.arange(earlier)
        own = place // block == (earlier - 1) // block
        blocks = (earlier - 1) // block
        summary = min(block, (most - int(own.sum())) // max(blocks, 1))
        if summary < 1:
            raise _too_few("fixed", int(own.sum()) + blocks, earlier)
        return np.flatnonzero(own | (place % block >= block - summary))


FIXED = ReaderEntry(
    "fixed",
    Fixed,
    "the last block of sqrt(n) tokens and the end of every earlier block",
    "Child et al. 2019, Sparse Transformers, fixed",
)


class RandomBlocks(ReadPattern):
    """Random whole blocks of eight tokens, and the last block: what hardware reads at random."""

    def choose(self, earlier: int, most: int, seed: int) -> Indices:
        """As many random blocks as fit; the tokens of a torn last block count as one."""
        return _blocks(earlier, most, seed, window=0, sinks=0)


RANDOM_BLOCKS = ReaderEntry(
    "random-blocks",
    RandomBlocks,
    "random blocks of eight tokens, and the last block",
    "ours: sampling as hardware reads",
)


class BigBird(ReadPattern):
    """Blocks of eight: global ones first, a window last, random ones between (Zaheer et al. 2020).

    A third of what may be read each.
    """

    def choose(self, earlier: int, most: int, seed: int) -> Indices:
        """Global, window and random blocks."""
        third = most // (3 * BLOCK)
        return _blocks(earlier, most, seed, window=third, sinks=third)


BIG_BIRD = ReaderEntry(
    "big-bird",
    BigBird,
    "blocks of eight: the first ones, the last ones, and random ones between, a third each",
    "Zaheer et al. 2020, Big Bird",
)


BLOCK = 8


def _blocks(earlier: int, most: int, seed: int, *, window: int, sinks: int) -> Indices:
    """Blocks of :data:`BLOCK` tokens: the first, the last, and random ones, within ``most``."""
    number = earlier // BLOCK
    order = sinks + coins(seed).permutation(max(number - sinks - window, 0))
    random = order[: max(most // BLOCK - sinks - window, 0)]
    chosen = np.concatenate([np.arange(sinks), random, np.arange(number - window, number)])
    tokens = (chosen[:, None] * BLOCK + np.arange(BLOCK)).ravel()
    if len(tokens) == number * BLOCK:
        # All blocks: what is left over of the last one too.
        tokens = np.append(tokens, np.arange(number * BLOCK, min(earlier, most)))
    return np.asarray(tokens, dtype=np.int64)


def _too_few(name: str, least: int, earlier: int) -> BadInput:
    return BadInput(
        f"the {name} pattern reads at least {least} of {earlier} tokens: give it a share of at "
        f"least {least / earlier:.3f}."
    )


def read_by(algorithm: NonAdaptive, n: int, d: int, seed: int) -> Indices:
    """The tokens that a pattern's plan reads, the newest left out: int64, ascending."""
    touched = Plan.of(algorithm.plan(n, d, seed), n, d).touched()
    return touched[touched < n - 1]
