"""A model of llama.cpp that was opened and a cache of it: what is done to them, in any binding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...plugin.contract import Float32

MAX_SEQUENCES = 256
"""LLAMA_MAX_SEQ of both bindings."""


@dataclass(frozen=True)
class Settings:
    """Of a context: ggml's numbers of the cache types, cells, sequences, tokens in one pass.

    ``unified``: whether all sequences share one pool of cells; else each has its part.
    """

    keys: int
    values: int
    cells: int
    sequences: int
    batch: int
    unified: bool = True


class Context(ABC):
    """A model that was opened, and a cache of it."""

    @property
    @abstractmethod
    def cells(self) -> int:
        """How many tokens the cache has memory for."""

    @abstractmethod
    def decode(
        self, tokens: Any, positions: Sequence[int], sequences: Sequence[int], ask: bool
    ) -> Float32:
        """Append tokens, each to one sequence; with ``ask`` their logits, float32[m, any].

        ``tokens`` are hidden states float32[m, width], or numbers where the binding takes those.

        Raises:
            PluginFailure: the engine refuses.
        """

    @abstractmethod
    def state(self, sequence: int = 0) -> bytes:
        """``llama_state_seq_get_data`` of a sequence."""

    @abstractmethod
    def state_size(self) -> int:
        """``llama_state_seq_get_size`` of sequence 0: the engine's own word."""

    @abstractmethod
    def load(self, state: bytes, sequence: int = 0) -> None:
        """``llama_state_seq_set_data`` into a sequence, in the place of what it has.

        Raises:
            PluginFailure: the engine refuses.
        """

    @abstractmethod
    def whole_state(self) -> bytes:
        """``llama_state_get_data``: all sequences."""

    @abstractmethod
    def load_whole(self, state: bytes) -> None:
        """``llama_state_set_data``.

        Raises:
            PluginFailure: the engine refuses.
        """

    @abstractmethod
    def last(self, sequence: int) -> int:
        """``llama_memory_seq_pos_max``: the last position that is taken; -1 if none is."""

    @abstractmethod
    def begin(self, sequence: int) -> int:
        """``llama_memory_seq_pos_min``: from where on all layers have everything; -1: nothing."""

    @abstractmethod
    def remove(self, sequence: int, begin: int, end: int) -> bool:
        """``llama_memory_seq_rm``: forget the positions begin to end (-1: all from there on).

        Returns whether the engine could.
        """

    @abstractmethod
    def shift(self, sequence: int, begin: int, by: int) -> None:
        """``llama_memory_seq_add``: move the positions from ``begin`` on."""

    @abstractmethod
    def copy(self, sequence: int, source: int = 0) -> None:
        """``llama_memory_seq_cp``: ``source`` under another number, in the same cells."""

    @abstractmethod
    def keep(self, sequence: int) -> None:
        """``llama_memory_seq_keep``: forget all other sequences."""

    @abstractmethod
    def clear(self) -> None:
        """``llama_memory_clear``, the data as well."""
