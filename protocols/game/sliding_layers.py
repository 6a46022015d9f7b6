"""The instance of layers that slide beside layers that attend to all tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.contract import Shape
from ...errors import BadInput
from .instance import BASES, QUERIES, OfValues, choice


@dataclass(frozen=True)
class SlidingLayers(OfValues):
    """Layers that slide beside layers that attend to all (``reductions.sliding_layers``).

    Attributes:
        layers, heads: of a token, each with a key and a value of its own.
        window: W of the layers that slide, Bob's token included.
        every: each ``every``-th layer attends to all tokens; 0: none does.
        queries, basis: as in the Index game.
    """

    layers: int = 1
    heads: int = 1
    window: int = 257
    every: int = 6
    queries: str = "zero"
    basis: str = "literal"
    reduction: ClassVar[str] = "sliding-layers"

    def _check(self) -> None:
        super()._check()
        choice("queries", self.queries, QUERIES)
        choice("basis", self.basis, BASES)
        if self.layers < 1 or self.heads < 1 or self.every < 0:
            raise BadInput(
                "--layers and --heads must be 1 or more and --every 0 or more, got "
                f"{self.layers}, {self.heads} and {self.every}."
            )

    @property
    def shape(self) -> Shape:
        """The public shape of the stream, with the window of each layer."""
        from ...reductions.sliding_layers import windows_of

        return replace(super().shape, windows=windows_of(self.layers, self.window, self.every))

    @property
    def secret_rows(self) -> int:
        """A row for each token in each layer that holds it."""
        return sum(self.shape.held)

    @property
    def row_bits(self) -> int:
        """A bit for each number of a token's value in one layer."""
        return self.heads * self.d

    def tokens_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Several rows may be one token's, in different layers."""
        hard: Any = self.build()
        found: NDArray[np.int64] = hard.places[rows, 0]
        return found

    def placed(
        self, rows: NDArray[np.int64], bits: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """All tokens, with 0 where nothing was asked for."""
        hard: Any = self.build()
        return np.arange(self.n), hard.spread(rows, bits)

    def _size_with_rows(self, rows: int) -> str:
        return "choose --n and --window so that it is one"

    def _build(self) -> Any:
        from ...reductions.index import IndexReduction
        from ...reductions.sliding_layers import SlidingLayers as Hard
        from ...reductions.stream_family import StreamFamily, rotated_keys

        rows = self._key_rows()
        turned = rotated_keys(rows) if self.basis == "rotated" else rows
        index = IndexReduction.build(turned, self.d, values=self.values, **self._allowed())
        family = StreamFamily(index, self.layers, self.heads, self.queries, self.basis)
        windows = self.shape.windows
        assert windows is not None
        return Hard(family, windows)
