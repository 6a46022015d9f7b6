"""What our own compressors share: whole blocks of tokens in, whole blocks of answers out."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self

import numpy as np

from ...errors import BadInput, BudgetTooSmall
from ..plugin.contract import Compressor, Float32
from .state import State

#: what the rows of a batch bring with them, keys and values as they would be stored; or nothing
Own = tuple[Float32, Float32] | None


class Blockwise(Compressor):
    """A triple is a block of one, and so is a query. Subclasses :meth:`extend` and :meth:`answers`.

    Attributes:
        name: as in the catalog, for errors.
        state: what a message is, unless :meth:`save` and :meth:`restore` say otherwise.
    """

    name: ClassVar[str]
    state: State

    @abstractmethod
    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples in order: float32 arrays of shapes [m, d_k], [m, d_k], [m, d_v].

        Raises:
            BadInput: a number cannot be kept, or there is no room.
        """

    @abstractmethod
    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """The outputs for queries [m, .., d_k] over what is held and each one's own token.

        Raises:
            BadInput: there is no token at all.
        """

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        self.extend(np.asarray(q)[None], np.asarray(k)[None], np.asarray(v)[None])

    def attend(self, q: Float32) -> Float32:
        answer: Float32 = self.answers(np.asarray(q)[None])[0]
        return answer

    def save(self) -> bytes:
        return self.state.to_bytes()

    def restore(self, message: bytes) -> None:
        self.state.load(message)

    def block_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        twin = self.twin()
        twin.extend(Q, K, V)
        return twin.answers(np.asarray(Q))

    def twin(self) -> Self:
        """A copy, made as Bob makes it."""
        twin = self.fresh()
        twin.restore(self.save())
        return twin

    def tokens_that_fit(
        self, token: int, *, wanted: int | None = None, least: int = 1, besides: int = 0
    ) -> int:
        """How many tokens to keep: as many as wanted, else as fit the budget, else all and Bob's.

        Args:
            token: bits of state a token.
            wanted: a number that must fit, or None.
            least: the fewest tokens the algorithm can live with.
            besides: bits of state other than tokens.

        Raises:
            BudgetTooSmall: ``wanted``, or ``least``, do not fit.
        """
        self.need(besides + token * (least if wanted is None else wanted))
        if wanted is not None:
            return wanted
        most = max(self.shape.tokens + self.shape.extra, least)
        if self.budget_bits is None:
            return most
        return min((self.budget_bits - besides) // token, most)

    def room_for(self, tokens: int) -> None:
        """Raise BadInput if so many tokens are more than the shape says."""
        if tokens > self.shape.tokens + self.shape.extra:
            raise BadInput(
                f"{self.name} has room for {self.shape.tokens} tokens and {self.shape.extra} more, "
                f"not for {tokens}: give the shape as many as the stream has."
            )

    def need(self, bits: int) -> None:
        """Raise BudgetTooSmall if so many bits do not fit the budget."""
        if self.budget_bits is not None and bits > self.budget_bits:
            raise BudgetTooSmall(self.name, self.budget_bits, bits)
