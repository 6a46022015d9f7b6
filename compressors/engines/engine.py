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
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import packages_distributions, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput, KVBarrierError, PluginFailure, did_you_mean
from ..plugin.contract import Compressor, Float32, Shape
from ..plugin.signature import Signature
from .constant import COINS, constant_bytes
from .memories import Memories
from .public_stream import public_stream

FEEDS = ("prefill", "stream")
BOBS = ("asks", "reads")
ASKS = ("mask", "serial")
WAYS = ("feed", "bob", "ask")
BLOCK = 512
"""Questions in one pass: a mask has that many rows, and a column for every token."""


class Engine(Compressor):
    """An engine behind the contract; arrays are [tokens, layers, KV heads, d].

    Where ``shape.sequences`` is a number they are [tokens, sequences, layers, KV heads, d].

    Subclasses give ``set_up``, which makes the empty cache and may narrow the three ways, and the
    hooks below; the message is the compacted cache and nothing else. A subclass lists the ways that
    it supports in ``feeds``, ``bobs`` and ``asks``; the first of each is its default.

    Class attributes:
        displaced: where an adapter whose rotary embedding is alive asks: this many places behind
            the place where a token should stand (:func:`asked_behind`).
        prefix: what stands before the engine's thing in its sentences, ``mlx:``.
        packages: the distributions that do the work; may be set in ``set_up``.

    Args:
        what: the engine's thing, the words behind ``scheme:``.
        feed, bob, ask: see the module.
        params: those of ``set_up``.

    Raises:
        BadInput: a budget is given, a parameter that does not exist, or a way that the engine does
            not support.
    """

    layout = "heads"
    displaced = 0
    prefix = ""
    packages: tuple[str, ...] = ()
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
        **params: Any,
    ) -> None:
        self.what = self.prefix + what
        own = Signature.of(self.set_up).without("what")
        for name in params:
            if not own.anything and name not in own.names:
                raise BadInput(
                    f"{self.what} has no parameter '{name}'.{did_you_mean(name, own.names + WAYS)}"
                )
        if budget_bits is not None:
            raise BadInput(
                f"{self.what} takes no budget: its parameters determine its memory. Leave --budget "
                "out, or use --budget free."
            )
        self.feed = feed or self.feeds[0]
        self._pending: list[tuple[Float32, Float32, Float32]] = []
        super().__init__(shape, None, seed, public, what=what, **params)
        self.feed = self._one_of("feed", feed or self.feeds[0], self.feeds)
        self.bob = self._one_of("bob", bob or self.bobs[0], self.bobs)
        self.ask = self._one_of("ask", ask or self.asks[0], self.asks)
        self.streaming = self.feed != "prefill"

    def set_up(self, *, what: str) -> None:
        """Make the empty cache; a subclass names its own parameters here, with their defaults.

        ``self.feed`` is what was asked for, and is judged afterwards.
        """

    def _one_of(self, option: str, given: str, known: Collection[str]) -> str:
        """Return what was given, or raise BadInput if it is not known."""
        if given not in known:
            raise BadInput(f"{self.what} takes {option}={' or '.join(known)}, not {given}.")
        return given

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

    def _step(self, q: Float32, k: Float32, v: Float32) -> None:
        """Take one token, float32[layers, heads, d]: by default as a prompt of one."""
        self._prefill(q[None], k[None], v[None])

    @abstractmethod
    def _message(self) -> bytes:
        """The cache as bytes."""

    @abstractmethod
    def _take(self, message: bytes) -> None:
        """Take over what ``_message`` made; an exception of Python's says that it is another's."""

    @abstractmethod
    def _ask_masked(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Answer all rows in one pass, without changing the cache: float32[m, layers, heads, d_v].

        Row r sees the cache and itself, and no other row (:func:`own_only`).
        """

    def _ask_serial(self, q: Float32, k: Float32, v: Float32) -> Float32:
        """Answer one row on a copy of the cache, float32[layers, heads, d_v].

        By default as ``_ask_masked`` answers one row.
        """
        answer: Float32 = self._ask_masked(q[None], k[None], v[None])[0]
        return answer

    def _rows(self) -> tuple[list[list[Float32]], list[list[Float32]]]:
        """What lies in the message: for every layer and head keys [m, d_k] and values [m, d_v].

        Only for who has ``bob=reads``.
        """
        raise NotImplementedError

    @abstractmethod
    def memories(self) -> Memories:
        """Return what the cache occupies now."""

    def accounts(self, message: bytes) -> Memories:
        """The memories, and how much of the message another stream's has as well."""
        constant, held = None, self.memories()
        # Whatever stops a public stream has been told of the played one, or is not its concern.
        with suppress(Exception):
            twin = self.fresh()
            twin.extend(*public_stream(self.shape, COINS))
            constant = constant_bytes(message, twin.save())
            # It lived through the whole stream, which the player may have taken over half-way.
            held = replace(held, beside=max(held.beside, twin.memories().beside))
        return replace(held, constant=constant)

    def versions(self) -> dict[str, str]:
        """Return the packages that did the work, and their versions."""
        return {name: version(name) for name in self.packages}

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
            self._settle()

    def _settle(self) -> None:
        """Take the tokens that wait; a prompt that is shorter than was said is a prompt as well."""
        if self._pending:
            whole = [np.concatenate(parts) for parts in zip(*self._pending, strict=True)]
            self._pending = []
            self._prefill(*whole)

    def save(self) -> bytes:
        """The cache as bytes, and nothing else."""
        self._settle()
        return self._message()

    def restore(self, message: bytes) -> None:
        """Take over a message.

        Raises:
            PluginFailure: the bytes are not a message of such a cache.
        """
        try:
            self._take(message)
        except KVBarrierError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, ImportError) as error:
            raise PluginFailure(
                f"A message of {len(message)} bytes does not fit {self.what}: build Alice and Bob "
                "from the same public parameters and package versions."
            ) from error

    def attend(self, q: Float32) -> Float32:
        """Refused: an engine can only answer with an appended token, as Theorem 6's Bob does."""
        raise BadInput(
            f"{self.what} can answer only a query that comes with a token: use next_outputs."
        )

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if token r came next: float32[m, layers, heads, d_v]."""
        if self.bob == "reads":
            return attention_over(*self._rows(), Q, K, V)
        if self.ask == "serial":
            return np.stack([self._ask_serial(*row) for row in zip(Q, K, V, strict=True)])
        blocks = range(0, len(Q), BLOCK)
        return np.concatenate(
            [self._ask_masked(*(part[at : at + BLOCK] for part in (Q, K, V))) for at in blocks]
        )


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


def own_only(m: int, held: int) -> NDArray[np.bool_]:
    """Whether question r sees a token: all that are held, and of the m asked only its own.

    >>> own_only(2, 1).tolist()
    [[True, True, False], [True, False, True]]
    """
    return np.hstack([np.ones((m, held), dtype=bool), np.eye(m, dtype=bool)])


@lru_cache
def distributions(module: str) -> tuple[str, ...]:
    """The installed packages that have a module, by the first part of its name, sorted.

    >>> distributions("numpy.linalg")
    ('numpy',)
    """
    return tuple(sorted(set(packages_distributions().get(module.partition(".")[0], []))))
