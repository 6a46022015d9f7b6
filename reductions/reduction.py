"""What the game asks of a family of hard streams: Alice's stream, Bob's questions, his decoder.

A secret is a table of bits, ``rows`` rows of ``width`` bits in order of age. Each row is asked for
by one query; all its bits are read off one output (Remark 7).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]


class Reduction(Protocol):
    """A hard family at a scale where every bit stands out.

    Attributes:
        scale: C; Bob's query is C times a direction that is public.
        tokens: data tokens of Alice's stream.
        extra: how many tokens Bob appends, at most, to one copy of the state.
        d_k, d_v: dimensions of the stream's keys and queries, and of its values.
        rows: rows of the secret, at least 16 (an age bucket each).
        width: bits in a row.
        block: 1 where every question is asked of its own copy of the state; b where b questions
            come at once, as a block whose b tokens are appended before the first is answered.
    """

    @property
    def scale(self) -> float: ...
    @property
    def tokens(self) -> int: ...
    @property
    def extra(self) -> int: ...
    @property
    def d_k(self) -> int: ...
    @property
    def d_v(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def block(self) -> int: ...

    def public(self) -> dict[str, Any]:
        """What compressors are told: everything but the secret.

        Under ``keys`` the stream's keys, float32[tokens, d_k]; under ``attention`` the rule that
        answers are held to: "softmax", "unmasked-window" (with ``window``) or "tensor".
        ``secret_tokens``, int64, names the tokens whose values are secret, where not all are;
        ``known_values``, float32[tokens, d_v], then has the others' (and 0 at the secret ones).
        """

    def stream(self, x: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Alice's triples for x, uint8[rows, width]: float32 Q, K [tokens, d_k], V [tokens, d_v]."""

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the secret rows asked, all by default: [m, d_k], [m, d_k], [m, d_v]."""

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """Float32[m]: a bit of the row is 1 iff its coordinate of the output is greater."""

    def decode(self, outputs: ArrayLike, rows: ArrayLike | None = None) -> NDArray[np.uint8]:
        """Outputs [m, d_v] for the rows asked -> uint8[m, width]; a nan is read as 0."""
