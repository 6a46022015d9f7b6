"""What all engines share: how they get tokens and questions, and the Bob who only reads.

An engine is another project's cache. Its parameters determine its memory, so it takes no budget;
it gets whole tokens, all layers and KV heads at once. There are two ways to feed all of them:

* ``feed=prefill``: all tokens in one forward pass, as a prompt is;
* ``feed=stream``: token by token, as the theorem's model has it.

Some also take ``feed=chunks``: each call in one pass, as a chunked prefill and the tokens after it.

There are two Bobs. ``bob=asks`` appends (q_r, k_r, v_r) and reads the attention output: with
``ask=mask`` all questions in one pass, each seeing the cache and itself only; with ``ask=serial``
each on its own copy of the cache, which is the reference. ``bob=reads`` finds all rows in the
message and attends to them himself: he recovers what a method masks without freeing it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import BadInput, did_you_mean
from ..plugin.contract import Compressor, Float32, Shape
from .constant import constant_bytes, public_stream
from .memories import Memories

FEEDS = ("prefill", "stream")
BOBS = ("asks", "reads")
ASKS = ("mask", "serial")
WAYS = ("feed", "bob", "ask")


class Engine(Compressor):
    """An engine behind the contract; arrays are [tokens, layers, KV heads, d].

    Where ``shape.sequences`` is a number they are [tokens, sequences, layers, KV heads, d].

    Subclasses give the hooks below, ``save`` and ``restore``; the message is the compacted cache
    and nothing else. A subclass lists the ways that it supports in ``feeds``, ``bobs`` and
    ``asks``; the first of each is its default.

    Class attributes:
        displaced: where an adapter whose rotary embedding is alive asks: this many places behind
            the place where a token should stand (:func:`asked_behind`).
        parameters: the names of its own parameters, for whoever mistypes one.

    Args:
        what: the engine's thing, the words behind ``scheme:``.
        feed, bob, ask: see the module.

    Raises:
        BadInput: a budget is given, a parameter that there is not, or a way that the engine does
            not support.
    """

    layout = "heads"
    displaced = 0
    parameters: tuple[str, ...] = ()
    feeds: tuple[str, ...] = FEEDS
    bobs: tuple[str, ...] = BOBS
    asks: tuple[str, ...] = ASKS

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        *,
        what: str = "",
        feed: str | None = None,
        bob: str | None = None,
        ask: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(shape, budget_bits, seed, public)
        if unknown:
            name = next(iter(unknown))
            hint = did_you_mean(name, (*self.parameters, *WAYS))
            raise BadInput(f"{what} has no parameter '{name}'.{hint}")
        if budget_bits is not None:
            raise BadInput(
                f"{what} takes no budget: its parameters determine its memory. Leave --budget "
                "out, or use --budget free."
            )
        self.what = what
        self.feed = _chosen("feed", feed, self.feeds, what)
        self.bob = _chosen("bob", bob, self.bobs, what)
        self.ask = _chosen("ask", ask, self.asks, what)
        self.streaming = self.feed != "prefill"
        self._pending: list[tuple[Float32, Float32, Float32]] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Engine:
        """Refused: what another project holds is copied by ``fork``, or by save and restore."""
        raise TypeError(f"{self.what} cannot be copied as an object")

    @classmethod
    def adapter(cls, params: Mapping[str, Any]) -> type[Engine]:
        """The class that plays these parameters: an engine may have several."""
        return cls

    # -- hooks ---------------------------------------------------------------------------------

    @abstractmethod
    def _prefill(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take all tokens in one pass: float32[n, layers, heads, d]."""

    @abstractmethod
    def _step(self, q: Float32, k: Float32, v: Float32) -> None:
        """Take one token: float32[layers, heads, d]."""

    @abstractmethod
    def _ask_masked(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Answer all rows in one pass, without changing the cache: float32[m, layers, heads, d_v].

        Row r sees the cache and itself, and no other row.
        """

    @abstractmethod
    def _ask_serial(self, q: Float32, k: Float32, v: Float32) -> Float32:
        """Answer one row on a copy of the cache: float32[layers, heads, d_v]."""

    @abstractmethod
    def _rows(self) -> tuple[list[list[Float32]], list[list[Float32]]]:
        """What lies in the message: for every layer and head keys [m, d_k] and values [m, d_v]."""

    @abstractmethod
    def memories(self) -> Memories:
        """Return what the cache occupies now."""

    def accounts(self, message: bytes) -> Memories:
        """The memories, and how much of the message another stream's has as well."""
        constant = None
        # Whatever stops a public stream has been told of the played one, or is not its concern.
        with suppress(Exception):
            twin = self.fresh()
            twin.extend(*public_stream(self.shape))
            constant = constant_bytes(message, twin.save())
        return replace(self.memories(), constant=constant)

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the packages that did the work, and their versions."""

    # -- the contract --------------------------------------------------------------------------

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Take one token; a prefilled engine waits until all have arrived."""
        self.extend(q[None], k[None], v[None])

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take tokens in order."""
        if self.feed == "stream":
            for q, k, v in zip(Q, K, V, strict=True):
                self._step(q, k, v)
            return
        if self.feed == "chunks":
            self._prefill(Q, K, V)
            return
        self._pending.append((Q, K, V))
        if sum(len(part[1]) for part in self._pending) >= self.shape.tokens:
            whole = [np.concatenate(parts) for parts in zip(*self._pending, strict=True)]
            self._pending = []
            self._prefill(*whole)

    def attend(self, q: Float32) -> Float32:
        """Refused: an engine can only answer with an appended token, as Theorem 6's Bob does."""
        raise BadInput(
            f"{self.what} can answer only a query that comes with a token: use next_outputs."
        )

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if token r came next: float32[m, layers, heads, d_v]."""
        if self.bob == "reads":
            return attention_over(*self._rows(), Q, K, V)
        if self.ask == "mask":
            return self._ask_masked(Q, K, V)
        return np.stack([self._ask_serial(q, k, v) for q, k, v in zip(Q, K, V, strict=True)])


@contextmanager
def asked_behind(places: int) -> Iterator[None]:
    """All engines are asked for tokens that many places behind where they should stand.

    Who answers there, and not at 0, has moved: the cache takes it for that much older.
    """
    Engine.displaced = places
    try:
        yield
    finally:
        Engine.displaced = 0


def attention_over(
    keys: list[list[Float32]], values: list[list[Float32]], Q: Float32, K: Float32, V: Float32
) -> Float32:
    """Softmax attention over rows that were read, and over the own token of each question.

    ``keys[l][h]`` is float32[m, d_k], the other float32[m, d_v]; Q, K and V are
    [questions, layers, heads, d]. Returns float32[questions, layers, heads, d_v].
    """
    out = np.empty(V.shape, dtype=np.float32)
    for layer in range(Q.shape[1]):
        for head in range(Q.shape[2]):
            q, k, v = (array[:, layer, head].astype(np.float64) for array in (Q, K, V))
            rows, held = keys[layer][head], values[layer][head]
            scores = np.concatenate([q @ rows.T, (q * k).sum(axis=1, keepdims=True)], axis=1)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            total = weights[:, :-1] @ held + weights[:, -1:] * v
            out[:, layer, head] = total / weights.sum(axis=1, keepdims=True)
    return out


def ways_in(params: dict[str, Any]) -> dict[str, Any]:
    """Take ``feed``, ``bob`` and ``ask`` out of parameters of which the rest is somebody else's."""
    return {name: params.pop(name) for name in WAYS if name in params}


def _chosen(option: str, given: str | None, known: tuple[str, ...], what: str) -> str:
    if given is None:
        return known[0]
    if given not in known:
        hint = did_you_mean(str(given), known)
        raise BadInput(f"{what} takes {option}={' or '.join(known)}, not {given}.{hint}")
    return given
