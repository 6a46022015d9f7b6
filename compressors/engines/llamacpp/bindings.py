"""Two Python bindings of llama.cpp behind one small interface: what a cache is done to.

``llama-cpp-python`` (built from source) has the whole library API, and takes hidden states as
``llama_batch.embd``. ``cyllama`` (prebuilt) takes tokens by number only: there the hidden states
are the rows of the model's embedding table, and token i is row i.

All contexts have one thread (players are forked), flash attention (quantised V needs it, and V is
then kept as K is), and, if the settings do not say otherwise, one pool of cells for all sequences,
so that a copy of a sequence shares its cells.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....errors import BadInput, PluginFailure, did_you_mean
from ...plugin.contract import Float32
from .context import Context, Settings


class _LlamaCppPython(Context):
    def __init__(self, path: str, settings: Settings) -> None:
        import llama_cpp

        self._api: Any = llama_cpp
        self._free: Any = llama_cpp.llama_free, llama_cpp.llama_model_free
        self._model = self._context = None
        _silence_llama_cpp()
        model_params = llama_cpp.llama_model_default_params()
        model_params.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(os.fsencode(path), model_params)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = settings.cells
        params.n_batch = params.n_ubatch = settings.batch
        params.n_seq_max = settings.sequences
        params.n_threads = params.n_threads_batch = 1
        params.type_k, params.type_v = settings.keys, settings.values
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.kv_unified = settings.unified
        if self._model:
            self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise PluginFailure("llama.cpp refuses a cache of these types and sizes.")
        self._memory = llama_cpp.llama_get_memory(self._context)

    def __del__(self) -> None:
        free_context, free_model = self._free
        if self._context:
            free_context(self._context)
        if self._model:
            free_model(self._model)

    @property
    def cells(self) -> int:
        return int(self._api.llama_n_ctx(self._context))

    def decode(
        self, tokens: Any, positions: Sequence[int], sequences: Sequence[int], ask: bool
    ) -> Float32:
        api = self._api
        rows = np.ascontiguousarray(tokens, dtype=np.float32)
        m, width = rows.shape
        batch = api.llama_batch_init(m, width, 1)
        try:
            batch.n_tokens = m
            np.ctypeslib.as_array(batch.embd, (m, width))[:] = rows
            np.ctypeslib.as_array(batch.pos, (m,))[:] = positions
            np.ctypeslib.as_array(batch.n_seq_id, (m,))[:] = 1
            np.ctypeslib.as_array(batch.logits, (m,))[:] = ask
            for at, sequence in enumerate(sequences):
                batch.seq_id[at][0] = sequence
            _accept(api.llama_decode(self._context, batch))
        finally:
            api.llama_batch_free(batch)
        if not ask:
            return np.empty((0, 0), dtype=np.float32)
        vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self._model))
        said = np.ctypeslib.as_array(api.llama_get_logits(self._context), (m * vocabulary,))
        return said.reshape(m, vocabulary).copy()

    def state(self, sequence: int = 0) -> bytes:
        size = int(self._api.llama_state_seq_get_size(self._context, sequence))
        room = (ctypes.c_uint8 * size)()
        written = self._api.llama_state_seq_get_data(self._context, room, size, sequence)
        return bytes(room)[:written]

    def state_size(self) -> int:
        return int(self._api.llama_state_seq_get_size(self._context, 0))

    def load(self, state: bytes, sequence: int = 0) -> None:
        held = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if not self._api.llama_state_seq_set_data(self._context, held, len(state), sequence):
            raise PluginFailure("llama.cpp refuses this state.")

    def whole_state(self) -> bytes:
        size = int(self._api.llama_state_get_size(self._context))
        room = (ctypes.c_uint8 * size)()
        written = self._api.llama_state_get_data(self._context, room, size)
        return bytes(room)[:written]

    def load_whole(self, state: bytes) -> None:
        held = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if not self._api.llama_state_set_data(self._context, held, len(state)):
            raise PluginFailure("llama.cpp refuses this state.")

    def last(self, sequence: int) -> int:
        return int(self._api.llama_memory_seq_pos_max(self._memory, sequence))

    def begin(self, sequence: int) -> int:
        return int(self._api.llama_memory_seq_pos_min(self._memory, sequence))

    def remove(self, sequence: int, begin: int, end: int) -> bool:
        return bool(self._api.llama_memory_seq_rm(self._memory, sequence, begin, end))

    def shift(self, sequence: int, begin: int, by: int) -> None:
        self._api.llama_memory_seq_add(self._memory, sequence, begin, -1, by)

    def copy(self, sequence: int, source: int = 0) -> None:
        self._api.llama_memory_seq_cp(self._memory, source, sequence, -1, -1)

    def keep(self, sequence: int) -> None:
        self._api.llama_memory_seq_keep(self._memory, sequence)

    def clear(self) -> None:
        self._api.llama_memory_clear(self._memory, True)


class _Cyllama(Context):
    def __init__(self, path: str, settings: Settings) -> None:
        from cyllama.llama import llama_cpp

        class Model(llama_cpp.LlamaModel):  # type: ignore[misc]
            # LlamaContext.get_logits_ith asks for it, and cyllama 0.2.18 forgot it.
            @property
            def n_vocab(self) -> int:
                return int(self.get_vocab().n_vocab)

        self._api: Any = llama_cpp
        llama_cpp.disable_logging()
        model_params = llama_cpp.LlamaModelParams()
        model_params.n_gpu_layers = 0
        params = llama_cpp.LlamaContextParams()
        params.n_ctx = settings.cells
        params.n_batch = params.n_ubatch = settings.batch
        params.n_seq_max = settings.sequences
        params.n_threads = params.n_threads_batch = 1
        params.type_k, params.type_v = settings.keys, settings.values
        params.flash_attn_type = 1
        params.kv_unified = settings.unified
        try:
            self._context: Any = llama_cpp.LlamaContext(
                Model(path, model_params, False), params, False
            )
        except RuntimeError as error:
            raise PluginFailure("llama.cpp refuses a cache of these types and sizes.") from error

    @property
    def cells(self) -> int:
        return int(self._context.n_ctx)

    def decode(
        self, tokens: Any, positions: Sequence[int], sequences: Sequence[int], ask: bool
    ) -> Float32:
        batch = self._api.LlamaBatch(n_tokens=len(tokens), embd=0, n_seq_max=1)
        for token, position, sequence in zip(tokens, positions, sequences, strict=True):
            batch.add(int(token), int(position), [int(sequence)], ask)
        try:
            self._context.decode(batch)
        except (ValueError, RuntimeError) as error:
            raise PluginFailure(f"llama_decode failed: {error}") from error
        if not ask:
            return np.empty((0, 0), dtype=np.float32)
        said = [self._context.get_logits_ith(row) for row in range(len(tokens))]
        return np.array(said, dtype=np.float32)

    def state(self, sequence: int = 0) -> bytes:
        return bytes(self._context.get_state_seq_data(sequence))

    def state_size(self) -> int:
        return int(self._context.get_state_seq_size(0))

    def load(self, state: bytes, sequence: int = 0) -> None:
        try:
            self._context.set_state_seq_data(state, sequence)
        except ValueError as error:
            raise PluginFailure("llama.cpp refuses this state.") from error

    def whole_state(self) -> bytes:
        return bytes(self._context.get_state_data())

    def load_whole(self, state: bytes) -> None:
        if not self._context.set_state_data(state):
            raise PluginFailure("llama.cpp refuses this state.")

    def last(self, sequence: int) -> int:
        return int(self._context.memory_seq_pos_max(sequence))

    def begin(self, sequence: int) -> int:
        return int(self._context.memory_seq_pos_min(sequence))

    def remove(self, sequence: int, begin: int, end: int) -> bool:
        return bool(self._context.memory_seq_rm(sequence, begin, end))

    def shift(self, sequence: int, begin: int, by: int) -> None:
        self._context.memory_seq_add(sequence, begin, -1, by)

    def copy(self, sequence: int, source: int = 0) -> None:
        self._context.memory_seq_cp(source, sequence, -1, -1)

    def keep(self, sequence: int) -> None:
        self._context.memory_seq_keep(sequence)

    def clear(self) -> None:
        self._context.kv_cache_clear(True)


@dataclass(frozen=True)
class Binding:
    """A binding.

    Attributes:
        name: on PyPI.
        module: what is imported.
        numbers: tokens go in by number.
        open: a context from the path of a model and settings.
    """

    name: str
    module: str
    numbers: bool
    open: type[Any]

    @property
    def installed(self) -> bool:
        """Whether it can be imported here."""
        return importlib.util.find_spec(self.module) is not None

    @property
    def packages(self) -> tuple[str, str]:
        """It, and what writes the model."""
        return self.name, "gguf"


#: the best first
BINDINGS = {
    one.name: one
    for one in (
        Binding("llama-cpp-python", "llama_cpp", False, _LlamaCppPython),
        Binding("cyllama", "cyllama", True, _Cyllama),
    )
}


def binding_named(name: str | None) -> Binding:
    """Return the binding of that name; None is the best that is installed.

    Raises:
        BadInput: the binding does not exist, or is not installed.
    """
    if name is not None and name not in BINDINGS:
        raise BadInput(f"There is no binding '{name}'.{did_you_mean(name, BINDINGS)}")
    wanted = [one for one in BINDINGS.values() if name in (None, one.name)]
    for one in wanted:
        if one.installed:
            return one
    names = " and ".join(one.name for one in wanted)
    raise BadInput(f"llama.cpp's environment lacks {names}: run 'make engines'.")


_silent: list[Any] = []


def _silence_llama_cpp() -> None:
    import llama_cpp

    if not _silent:
        # The library keeps no reference to the function.
        _silent.append(llama_cpp.llama_log_callback(lambda *_: None))
        llama_cpp.llama_log_set(_silent[0], None)


def _accept(code: int) -> None:
    if code:
        raise PluginFailure(f"llama_decode returned {code}.")
