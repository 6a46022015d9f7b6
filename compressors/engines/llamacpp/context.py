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
    """Of a context: ggml's numbers of the cache types, cells, sequences, tokens in one pass."""

    keys: int
    values: int
    cells: int
    sequences: int
    batch: int


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
    def state(self) -> bytes:
        """``llama_state_seq_get_data`` of sequence 0."""

    @abstractmethod
    def state_size(self) -> int:
        """``llama_state_seq_get_size`` of sequence 0: the engine's own word."""

    @abstractmethod
    def load(self, state: bytes) -> None:
        """``llama_state_seq_set_data`` into sequence 0, in the place of what it has.

        Raises:
            PluginFailure: the engine refuses.
        """

    @abstractmethod
    def remove(self, sequence: int, begin: int, end: int) -> None:
        """``llama_memory_seq_rm``: forget the positions begin to end (-1: all from there on)."""

    @abstractmethod
    def shift(self, sequence: int, begin: int, by: int) -> None:
        """``llama_memory_seq_add``: move the positions from ``begin`` on."""

    @abstractmethod
    def copy(self, sequence: int) -> None:
        """``llama_memory_seq_cp``: sequence 0 under another number, in the same cells."""
