"""Run a one-head algorithm on a stream of several heads, and a whole-token one on one head.

A game of one layer and one head sends tokens as ``[m, d]``, any other as ``[m, layers, heads, d]``.
A class with ``layout = "head"`` knows one head; where there are more, :class:`PerHead` runs one
instance a head. A class with ``layout = "heads"`` always gets the axes of layers and heads; where
the game leaves them out, :class:`WholeToken` puts them back.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BudgetTooSmall, PluginFailure
from ...reductions.reduction import Public
from .answers import given
from .contract import Compressor, Float32, Shape
from .declaration import of_heads
from .operations import PassesOn

Make = Callable[..., Compressor]

# A variable message needs its length beside it: 3 bytes a head, and what Elias's gamma code of the
# whole costs, both taken off the budget beforehand.
_LENGTH_BYTES = 3
_WHOLE_LENGTH_BITS = 64


def fit_layout(
    layout: str,
    make: Make,
    shape: Shape,
    budget_bits: int | None,
    seed: int,
    public: Mapping[str, Any],
    **params: Any,
) -> Compressor:
    """Build with ``make``, wrapped if the layout of the class differs from that of the stream.

    Raises:
        BudgetTooSmall: a head does not fit into its share; it names the budget of all heads.
    """
    heads = shape.layers * shape.kv_heads
    if layout == "heads" and heads == 1:
        return WholeToken(make, shape, budget_bits, seed, public, **params)
    if layout == "head" and heads > 1:
        return PerHead(make, shape, budget_bits, seed, public, **params)
    return make(shape, budget_bits, seed, public, **params)


class WholeToken(PassesOn, Compressor):
    """A whole-token algorithm in a game of one head: [m, d] outside, [m, 1, 1, d] inside."""

    def __init__(
        self,
        make: Make,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> None:
        super().__init__(shape, budget_bits, seed, public)
        inside = dict(self.public)
        if "keys" in inside:
            inside["keys"] = np.asarray(inside["keys"])[:, None, None]
        self.inner: Compressor = make(shape, budget_bits, seed, inside, **params)
        self.streaming = self.inner.streaming
        self.declares = self.inner.declares
        self.message_bytes = self.inner.message_bytes

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Pass on."""
        self.inner.append(*_with_axes(q, k, v))

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Pass on."""
        self.inner.extend(*_with_axes(Q, K, V))

    def attend(self, q: Float32) -> Float32:
        """Pass on: float32[d_v]."""
        return self._one("attend", self.inner.attend(*_with_axes(q)), q)

    def save(self) -> bytes:
        """Their message."""
        return self.inner.save()

    def restore(self, message: bytes) -> None:
        """Their state back."""
        self.inner.restore(message)

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Pass on: float32[m, d_v]."""
        outputs = self.inner.next_outputs(*_with_axes(Q, K, V))
        return self._one("next_outputs", outputs, Q)

    def block_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Pass on: float32[m, d_v]."""
        outputs = self.inner.block_outputs(*_with_axes(Q, K, V))
        return self._one("block_outputs", outputs, Q)

    def _one(self, door: str, outputs: Any, queries: Float32) -> Float32:
        shape = (*np.shape(queries)[:-1], 1, 1, self.shape.d_v)
        return given(self, door, outputs, shape)[..., 0, 0, :]


def _with_axes(*parts: Float32) -> tuple[Float32, ...]:
    """The axes of layers and heads, before the last."""
    return tuple(np.asarray(part)[..., None, None, :] for part in parts)


class PerHead(PassesOn, Compressor):
    """A single-head algorithm lifted: an instance a head, each with its share of the budget.

    Every head has its own public coins. The message is the heads' messages in order; where their
    lengths are not declared constants, each has its length before it, 3 bytes, within its share.
    """

    def __init__(
        self,
        make: Make,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> None:
        super().__init__(shape, budget_bits, seed, public)
        self._make, self._params = make, params
        self.layers, self.per_layer = shape.layers, shape.kv_heads
        count = self.layers * self.per_layer
        self.inner: list[Compressor] = self._heads(
            None if budget_bits is None else budget_bits // count
        )
        lengths = [head.message_bytes for head in self.inner]
        self.constant = all(length is not None for length in lengths)
        if self.constant:
            self.message_bytes = sum(length for length in lengths if length is not None)
        elif budget_bits is not None:
            share = (budget_bits - _WHOLE_LENGTH_BITS) // count - 8 * _LENGTH_BYTES
            self.inner = self._heads(share)
        self.streaming = all(head.streaming for head in self.inner)
        self.knows_keys = self.inner[0].knows_keys
        self.declares = of_heads(self.inner)

    def _heads(self, share: int | None) -> list[Compressor]:
        one = replace(self.shape, layers=1, heads=1, kv_heads=1, windows=None)
        windows = self.shape.windows
        heads = []
        for number in range(self.layers * self.per_layer):
            at = divmod(number, self.per_layer)
            own = one if windows is None else replace(one, windows=(windows[at[0]],))
            public: Mapping[str, Any] = self.public
            if "keys" in public:
                keys = partial(_keys_of, self.public, *at)
                if isinstance(public, Public):
                    public = public.but(keys=keys)
                else:
                    public = {**public, "keys": keys()}
            try:
                heads.append(
                    self._make(own, share, _seed(self.seed, number), public, **self._params)
                )
            except BudgetTooSmall as error:
                count = self.layers * self.per_layer
                spare = 8 * _LENGTH_BYTES * count + _WHOLE_LENGTH_BITS
                least = count * error.minimum_bits + spare
                raise BudgetTooSmall(error.name, self.budget_bits or 0, least) from None
        return heads

    def _split(self, *parts: Float32) -> list[tuple[Compressor, tuple[Float32, ...]]]:
        """Each head with its own part of every array, whose axes before the last are the heads'."""
        return [
            (head, tuple(np.ascontiguousarray(np.asarray(p)[..., l, h, :]) for p in parts))
            for (l, h), head in zip(
                np.ndindex(self.layers, self.per_layer), self.inner, strict=True
            )
        ]

    def _join(self, answers: list[NDArray[Any]]) -> NDArray[Any]:
        """[.., layers, heads, d_v] from the heads' answers [.., d_v]."""
        joined = np.stack(answers, axis=-2)
        return joined.reshape(*joined.shape[:-2], self.layers, self.per_layer, joined.shape[-1])

    def _answer_to(self, queries: Float32) -> tuple[int, ...]:
        """The shape of a head's answers to queries [.., d_k]."""
        return (*queries.shape[:-1], self.shape.d_v)

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Every head its own triple, of q, k [layers, heads, d_k] and v [layers, heads, d_v]."""
        for head, own in self._split(q, k, v):
            head.append(*own)

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """The same for m tokens: [m, layers, heads, d]."""
        for head, own in self._split(Q, K, V):
            head.extend(*own)

    def attend(self, q: Float32) -> Float32:
        """float32[layers, heads, d_v]."""
        return self._join([
            given(head, "attend", head.attend(*own), self._answer_to(own[0]))
            for head, own in self._split(q)
        ])  # fmt: skip

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """float32[m, layers, heads, d_v]."""
        split = self._split(Q, K, V)
        return self._join([
            given(head, "next_outputs", head.next_outputs(*own), self._answer_to(own[0]))
            for head, own in split
        ])  # fmt: skip

    def block_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """float32[m, layers, heads, d_v]."""
        split = self._split(Q, K, V)
        return self._join([
            given(head, "block_outputs", head.block_outputs(*own), self._answer_to(own[0]))
            for head, own in split
        ])  # fmt: skip

    @property
    def next_bits(self) -> Callable[..., NDArray[np.bool_]]:
        """Of heads that all have it; an attribute would be a cycle, and live on for a while."""
        if not all(hasattr(head, "next_bits") for head in self.inner):
            raise AttributeError("next_bits")
        return self._next_bits

    def _next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        """bool[m, layers, heads, d_v] for thresholds [m, layers, heads]."""
        split = self._split(Q, K, V, np.asarray(thresholds)[..., None])
        return self._join([head.next_bits(*own[:3], own[3][:, 0]) for head, own in split])  # type: ignore[attr-defined]

    def save(self) -> bytes:
        """The heads' messages, one after another."""
        # One head at a time: a join would need all of them beside the whole.
        whole = io.BytesIO()
        for head in self.inner:
            pieces = head._message_pieces()
            if not self.constant:
                whole.write(sum(map(len, pieces)).to_bytes(_LENGTH_BYTES, "little"))
            for piece in pieces:
                whole.write(piece)
        return whole.getvalue()

    def restore(self, message: bytes) -> None:
        """Every head its own message.

        Raises:
            PluginFailure: the message is cut short, or longer than its parts.
        """
        at = 0
        for head in self.inner:
            if self.constant:
                length = head.message_bytes or 0
            else:
                length = int.from_bytes(message[at : at + _LENGTH_BYTES], "little")
                at += _LENGTH_BYTES
            head.restore(message[at : at + length])
            at += length
        if at != len(message):
            raise PluginFailure(
                f"A message of {len(message)} bytes does not fit {len(self.inner)} heads, "
                f"which need {at}: build Alice and Bob from the same public parameters."
            )


def _keys_of(public: Mapping[str, Any], layer: int, head: int) -> Float32:
    return np.ascontiguousarray(np.asarray(public["keys"])[:, layer, head])


def _seed(seed: int, head: int) -> int:
    # A hash, so that no head's coins are another seed's coins of another head.
    return int.from_bytes(hashlib.sha256(b"%d head %d" % (seed, head)).digest()[:8], "big") >> 1
