"""What compressors for the unmasked sliding window share: the last W tokens, and a summary.

The rule (Haris & Onak 2025, eq. 20, reconstructed): the last W tokens have the weights e^{<q,k>},
every older one has weight e^0 = 1. So keys outside do not matter, and of the values outside a
subclass keeps a *summary*: it says how the summary takes in the values that leave the window, and
how an answer comes from both. Weights and sums are float64; answers are float32.

Bob's token pushes the oldest one out of the window: with W places, what Alice holds is W data
tokens, and W - 1 of them are still inside when Bob reads his answer.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from ..plugin.contract import Float32
from .blockwise import Blockwise, Own
from .state import State, from_storage, storage_dtype, to_storage
from .token_cache import token_bits, whole

Float64 = NDArray[np.float64]
Summary = NDArray[Any]

COUNTER_BITS = 64
#: weights of one block of rows, 32 MiB of float64
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Weighed:
    """m queries, each over the same window and its own token; weights up to a factor a row.

    Attributes:
        inside: weights of the tokens in the window, float64[m, w].
        values: their values, float64[w, d_v].
        own: the weight of each query's own token, float64[m]; 0 where there is none.
        own_values: float64[m, d_v].
        unit: what a token outside weighs, float64[m].
        outside: how many there are.
        step: tokens taken in, the own one counted.
    """

    inside: Float64
    values: Float64
    own: Float64
    own_values: Float64
    unit: Float64
    outside: int
    step: int

    def total(self) -> Float64:
        """The denominators, float64[m]."""
        return np.asarray(self.inside.sum(axis=1) + self.own + self.outside * self.unit)


class UnmaskedWindow(Blockwise):
    """A ring of W tokens, a counter and a summary; see the subclasses.

    State: how many tokens came, int64; the summary; K, then V, an empty place NaN. Where the window
    holds every token that can come, none can leave it, and there is no summary (no row of it).
    """

    message_bytes: int

    def hold(self, *, window: int | None, dtype: str, rows: int, kind: np.dtype[Any]) -> None:
        """Make the empty state: what ``set_up`` ends with.

        Args:
            window: W; by default that of ``public["window"]``, but no more than the budget holds.
            dtype: storage format of K and V: fp32, fp16, bf16 or fp8.
            rows, kind: of the summary, each row d_v numbers of that dtype.

        Raises:
            BudgetTooSmall: summary and one token do not fit, or not as many as ``window`` asks for.
            BadInput: ``window`` is not positive, or there is no such format.
        """
        shape = self.shape
        besides = COUNTER_BITS + 8 * rows * shape.d_v * kind.itemsize
        wanted = None if window is None else whole(window, "window", 1)
        fits = self.tokens_that_fit(token_bits(self.shape, dtype), wanted=wanted, besides=besides)
        if wanted is None and "window" in self.public:
            fits = min(fits, whole(self.public["window"], "public['window']", 1))
        self.window = fits
        if self.window >= shape.tokens + shape.extra:
            rows = 0
        storage = storage_dtype(dtype)
        self.state = State(
            seen=((1,), np.int64),
            summary=((rows, shape.d_v), kind),
            k=((self.window, shape.d_k), storage),
            v=((self.window, shape.d_v), storage),
        )
        self.state["summary"][...] = 0
        self.message_bytes = self.state.nbytes
        self.declares = {"keeps": f"last:{self.window}"}

    # -- what a subclass says ---------------------------------------------------------------------

    @abstractmethod
    def absorb(self, summary: Summary, first: int, values: Float32) -> Summary:
        """The summary once tokens first, first + 1, .. with these values have left the window."""

    @abstractmethod
    def combine(self, weighed: Weighed, summary: Summary) -> Float64:
        """Answers from the weights and the summary: float64[m, d_v]."""

    # -- the contract -----------------------------------------------------------------------------

    @property
    def seen(self) -> int:
        """Tokens taken in."""
        return int(self.state["seen"][0])

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples; of those that leave the window the summary takes the values.

        Raises:
            BadInput: a number is NaN, infinite or too large to store; or tokens beyond those of
                the shape come to a window that was to hold them all.
        """
        k, v = self._stored(K), self._stored(V)
        seen, count = self.seen, len(k)
        self._check_room(seen + count)
        self.state["summary"][...] = self.absorb(
            self.state["summary"].copy(), max(0, seen - self.window), self._leaving(v)
        )
        last = np.arange(max(0, count - self.window), count)
        places = (seen + last) % self.window
        self.state["k"][places] = k[last]
        self.state["v"][places] = v[last]
        self.state["seen"][0] = seen + count

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if triple r came next; it pushes the oldest one out of the window."""
        own = from_storage(self._stored(K)), from_storage(self._stored(V))
        return self.answers(Q, own)

    # -- inside -----------------------------------------------------------------------------------

    def _check_room(self, tokens: int) -> None:
        if tokens > self.window and not len(self.state["summary"]):
            raise BadInput(
                f"The shape has {self.shape.tokens} tokens and {self.shape.extra} more, not "
                f"{tokens}: give the shape as many as the stream has."
            )

    def _stored(self, rows: Float32) -> NDArray[Any]:
        return to_storage(rows, self.state["k"].dtype, type(self).__name__)

    def _leaving(self, new: NDArray[Any]) -> Float32:
        """Values that leave the window as the rows ``new`` come in, in order: float32[r, d_v]."""
        seen, count = self.seen, len(new)
        first, end = max(0, seen - self.window), max(0, seen + count - self.window)
        old = self.state["v"][np.arange(first, min(end, seen)) % self.window]
        passing = new[: max(0, end - seen)]
        return np.concatenate([from_storage(old), from_storage(passing)])

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """The rule's outputs; an own token pushes the oldest one out: float32[m, d_v]."""
        queries, rows = np.asarray(Q, dtype=np.float64), len(Q)
        step = self.seen + (own is not None)
        self._check_room(step)
        if step == 0:
            raise BadInput("Attention over no token has no value: append a token first.")
        first = max(0, self.seen - self.window)
        summary, inside = self.state["summary"], np.arange(first, self.seen)
        if own is not None and len(inside) == self.window:
            leaving = from_storage(self.state["v"][inside[:1] % self.window])
            summary = self.absorb(summary.copy(), first, leaving)
            inside = inside[1:]
        k, v = (
            from_storage(self.state[name][inside % self.window]).astype(np.float64) for name in "kv"
        )
        outputs = np.empty((rows, self.shape.d_v), dtype=np.float32)
        for block in _blocks(rows, len(inside)):
            scores = queries[block] @ k.T
            tokens = None if own is None else (own[0][block], own[1][block])
            weighed = _weigh(queries[block], scores, v, tokens, max(0, step - self.window), step)
            outputs[block] = self.combine(weighed, summary)
        return outputs


def _blocks(rows: int, width: int) -> Iterator[slice]:
    size = max(1, _BLOCK // max(1, width))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def _weigh(
    Q: Float64,
    scores: Float64,
    values: Float64,
    own: tuple[Float32, Float32] | None,
    outside: int,
    step: int,
) -> Weighed:
    """Weights from scores, divided by the largest of a row, so that none overflows."""
    if own is None:
        mine, own_values = np.full(len(Q), -np.inf), np.zeros((len(Q), values.shape[1]))
    else:
        mine = np.einsum("ij,ij->i", Q, own[0].astype(np.float64))
        own_values = own[1].astype(np.float64)
    top = np.maximum(scores.max(axis=1, initial=-np.inf), mine)
    if outside:
        top = np.maximum(top, 0.0)
    unit = np.exp(-top) if outside else np.zeros(len(Q))
    inside = np.exp(scores - top[:, None])
    return Weighed(inside, values, np.exp(mine - top), own_values, unit, outside, step)
