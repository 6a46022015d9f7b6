"""Layers that slide beside layers that attend to all: each is asked for what it holds (ours).

In a model of L layers layer l attends to the last W_l tokens, Bob's included, or to all. A token
outside the window has weight 0 there, so its key and value in that layer are nobody's to keep.
Alice's stream is the one of ``stream_family``, n tokens in L layers of H heads; the secret is in
what the layers still attend to once Bob's token has come, the last h_l = min(n, W_l - 1) of them:

    N = H d sum_l h_l bits.

A row is what one token hides in one layer, in order of age; values elsewhere are those of bits 0.
Bob asks for the token, and reads the answer of that layer.

**Lemma BE.** The cut that reads token i among n keys reads it among any of them that have it: for
whoever attends to a window, to all tokens, or to anything between. *Proof.* ``margins`` has the
moved extremes, (lo + S'_i)/T_i below the cut and (1 + lo S'_i)/T_i above it, T_i = 1 + S'_i +
e^{-a_i}. S'_i is a sum of positive terms over the other keys there, so fewer make it smaller. The
first extreme rises in S'_i and the second falls, so both go further from the cut; a factor or a
summand that moves them is the same.  []

So no layer needs a scale or a cut of its own, and a cache that keeps more than it must is not
misread: it pays for it. ``cache_bits_16`` of the shape counts h_l tokens a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .index import MIN_TOKENS
from .reduction import ByCoordinate, Public
from .stream_family import StreamFamily

Float32 = NDArray[np.float32]
Indices = NDArray[np.int64]


def windows_of(layers: int, window: int, every: int) -> tuple[int | None, ...]:
    """Of each layer: None where it attends to all, as each ``every``-th does; 0: none does.

    >>> windows_of(6, 128, 3), windows_of(2, 128, 0)
    ((128, 128, None, 128, 128, None), (128, 128))
    """
    return tuple(None if every and (l + 1) % every == 0 else window for l in range(layers))


@dataclass(frozen=True)
class SlidingLayers(ByCoordinate):
    """One hard instance.

    Attributes:
        family: the stream, as if all layers attended to all tokens.
        windows: W_l of each layer, Bob's token included, or None.

    Raises:
        BadInput: a window is too short.
    """

    family: StreamFamily
    windows: tuple[int | None, ...]

    def __post_init__(self) -> None:
        least = min((w for w in self.windows if w is not None), default=MIN_TOKENS + 1)
        if least < MIN_TOKENS + 1:
            raise BadInput(
                f"A window of {least} holds {least - 1} data tokens and Bob's, but the game needs "
                f"{MIN_TOKENS}, one for each age bucket: use --window {MIN_TOKENS + 1} or more."
            )

    @property
    def scale(self) -> float:
        """C, that of the one key set."""
        return self.family.scale

    @property
    def tokens(self) -> int:
        """n data tokens."""
        return self.family.tokens

    @property
    def d_k(self) -> int:
        """The dimension of a head's keys."""
        return self.family.d_k

    @property
    def d_v(self) -> int:
        """The dimension of a head's values."""
        return self.family.d_v

    @cached_property
    def places(self) -> Indices:
        """int64[rows, 2]: token and layer of each row of the secret, in order of age."""
        n, held = self.tokens, [self.tokens if w is None else w - 1 for w in self.windows]
        there = np.arange(n)[:, None] >= n - np.minimum(held, n)
        return np.argwhere(there).astype(np.int64)

    @property
    def rows(self) -> int:
        """sum_l h_l."""
        return len(self.places)

    @property
    def width(self) -> int:
        """H d_v bits in a row."""
        return self.family.heads * self.d_v

    def public(self) -> Public:
        """What compressors are told: everything but the secret, and which layers slide."""
        return self.family.public() | {"reduction": "sliding-layers", "windows": self.windows}

    # -- Alice -----------------------------------------------------------------------------------

    def spread(self, rows: ArrayLike, bits: NDArray[Any]) -> NDArray[Any]:
        """Rows [m, width] where they belong, [n, L, H, d_v], and 0 elsewhere."""
        at = self.places[np.asarray(rows, dtype=np.int64)]
        family = self.family
        found = np.zeros((self.tokens, family.layers, family.heads, self.d_v), bits.dtype)
        found[at[:, 0], at[:, 1]] = bits.reshape(len(bits), family.heads, self.d_v)
        return found

    def stream(self, x: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Alice's float32 Q, K and V for x, uint8[rows, H d_v]."""
        self.check_secret(x)
        return self.family.stream(self.spread(np.arange(self.rows), x).reshape(self.tokens, -1))

    # -- Bob -------------------------------------------------------------------------------------

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the tokens of these rows, as in ``stream_family``."""
        return self.family.queries(self.places[self._at(rows), 0])

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """float32[m, H]: the cut of each head of the row's layer."""
        return self._of_layer(self.family.thresholds(self.places[self._at(rows), 0]), rows)[..., 0]

    def decode(self, outputs: ArrayLike, rows: ArrayLike | None = None) -> NDArray[np.uint8]:
        """Outputs [m, L, H, d_v] -> uint8[m, H d_v]; a nan is read as 0."""
        bits = self.family.decode(outputs, self.places[self._at(rows), 0])
        return self._of_layer(bits, rows).reshape(len(bits), -1)

    def _of_layer(self, given: NDArray[Any], rows: ArrayLike | None) -> NDArray[Any]:
        at = self.places[self._at(rows)]
        by_layer = given.reshape(len(at), self.family.layers, self.family.heads, -1)
        return by_layer[np.arange(len(at)), at[:, 1]].reshape(len(at), self.family.heads, -1)
