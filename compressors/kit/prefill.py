"""What prefill methods share: they see the prompt whole, keep a message of it, and then a tail.

The prefill ends after ``shape.tokens`` tokens, or with the first save or question before. Tokens
that come later, Bob's, are kept beside it in fp16, as an engine keeps what it decodes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Self, TypeVar

import numpy as np

from ...errors import PluginFailure
from ..plugin.contract import Float32, charged_bits
from .blockwise import Blockwise
from .state import check_fits, from_storage, narrowed

Rung = TypeVar("Rung")

_FP16 = np.dtype(np.float16)


class Prefill(Blockwise):
    """A prefill method. Its message is its state; subclasses :meth:`write` and :meth:`read` it."""

    streaming = False

    def set_up(self) -> None:
        self._taken: list[tuple[Float32, Float32, Float32]] = []
        self._count = 0
        self._message: bytes | None = None
        self._open = False
        self._tail: list[tuple[Float32, Float32]] = []

    # -- what a subclass says --------------------------------------------------------------------

    @abstractmethod
    def write(self, Q: Float32, K: Float32, V: Float32) -> bytes:
        """The message of a whole prefill, float32[n, .., d]; the axes between are the heads'."""

    @abstractmethod
    def read(self, message: bytes) -> None:
        """Take over a message. Raises PluginFailure if it is none of this compressor's."""

    def check(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Raise BadInput for numbers that cannot be kept."""
        for block in (K, V):
            check_fits(np.asarray(block), _FP16, self.name)

    # -- the contract ----------------------------------------------------------------------------

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m tokens; what comes after the prefill is its tail.

        Raises:
            BadInput: a number cannot be kept.
        """
        Q, K, V = (np.asarray(part, dtype=np.float32) for part in (Q, K, V))
        self.check(Q, K, V)
        room = self.shape.tokens - self._count if self._message is None else 0
        if room:
            self._taken.append((Q[:room].copy(), K[:room].copy(), V[:room].copy()))
            self._count += len(K[:room])
        if len(K) > room:
            self.closed()
            self._tail.append((halved(K[room:]), halved(V[room:])))

    def save(self) -> bytes:
        """The message of the prefill.

        Raises:
            PluginFailure: tokens came after it; they are for Bob alone.
        """
        if self._tail:
            raise PluginFailure(
                f"{self.name} is done once, after the prefill: tokens that come later cannot be "
                "saved with it."
            )
        return self.closed()

    def restore(self, message: bytes) -> None:
        """Take over a message.

        Raises:
            PluginFailure: it is none of this compressor's.
        """
        message = bytes(message)
        self.read(message)
        self._message, self._taken, self._tail, self._open = message, [], [], True

    def closed(self) -> bytes:
        """The message; the prefill ends here if it has not."""
        if self._message is None:
            axes = (self.shape.layers, self.shape.kv_heads) if self.layout == "heads" else ()
            d_k, d_v = self.shape.d_k, self.shape.d_v
            none = tuple(np.empty((0, *axes, d), np.float32) for d in (d_k, d_k, d_v))
            Q, K, V = (np.concatenate(part) for part in zip(none, *self._taken, strict=True))
            self._message, self._taken = self.write(Q, K, V), []
        return self._message

    def finest(
        self, bare: bytes, ladder: Sequence[Rung], coded: Callable[[Rung], bytes], guess: int
    ) -> bytes:
        """The message at the finest rung that fits the budget, or if none does the ``bare`` one.

        Args:
            bare: the least message.
            ladder: rungs, finest first, each with a message no longer than the one before.
            coded: the message at a rung.
            guess: where in the ladder it might be. That decides how many messages are made, two
                where it is right, and never which one is found.

        Raises:
            BudgetTooSmall: not even the bare message fits.
        """
        assert self.budget_bits is not None
        self.need(charged_bits(len(bare)))
        best, low, high, stride = bare, 0, len(ladder), 1
        while low < high:
            at = min(max(guess, low), high - 1)
            message = coded(ladder[at])
            if charged_bits(len(message)) <= self.budget_bits:
                best, high, guess = message, at, at - stride
            else:
                low, guess = at + 1, at + stride
            stride *= 2
        return best

    def open(self) -> None:
        """Make sure that the message has been read; who only writes never pays for it."""
        message = self.closed()
        if not self._open:
            self.read(message)
            self._open = True

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output with triple r as one more of the tail."""
        self.check(Q, K, V)
        return self.answers(np.asarray(Q), (halved(K), halved(V)))

    def twin(self) -> Self:
        """A copy, made as Bob makes it, with the tail."""
        twin = self.fresh()
        twin.restore(self.closed())
        twin._tail = list(self._tail)
        return twin

    def with_tail(self, K: Float32, V: Float32) -> tuple[Float32, Float32]:
        """Rows of the prefill, float32[t, .., d], and after them those of the tail."""
        return (
            np.concatenate([K, *(k for k, _ in self._tail)]),
            np.concatenate([V, *(v for _, v in self._tail)]),
        )


def halved(X: Float32) -> Float32:
    """Numbers as fp16 keeps them, float32."""
    return from_storage(narrowed(np.asarray(X), _FP16))
