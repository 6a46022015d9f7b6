"""Unmodified llama.cpp, ``llamacpp:q8_0``: its KV cache in any of its types, and its evictions.

The model is a synthetic GPT-2 (see ``carrier``) that is written for the shape of the stream,
opened and deleted. The message is what ``llama_state_seq_get_data`` gives, and nothing else:
K and V of the cells in use, 12 bytes a cell for its position and its sequence, 24 bytes a layer and
24 more. Bob loads it into his own context.

Hidden states are passed as ``llama_batch.embd`` if the binding has it. cyllama takes numbers of
tokens only: there Alice's embedding table holds her stream and Bob's his questions. The table is
how a player feeds its own input, as ``embd`` is; it stays in the player's process, and the states
are equal bit by bit (tests compare them).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import BadInput, PluginFailure
from ...plugin.contract import Float32
from ..engine import Engine
from ..memories import Memories
from .bindings import binding_named
from .carrier import Carrier, write_model
from .context import MAX_SEQUENCES, Context, Settings
from .state import CELL_BYTES, Layout, cache_type, held_cells, numbers, read_state

_BATCH = 512

_Ask = Callable[[Context, bytes, Any], Float32]


class LlamaCpp(Engine):
    """A cache of llama.cpp behind the contract.

    A question is appended to the unchanged cache: nothing is evicted to make room for it. With
    ``ask=mask`` questions are appended together, each to a copy of the sequence that shares its
    cells. For f16 and f32 V that is another kernel than for one question, which adds V up in
    float16 and loses small weights (0.064 of 1 at 512 tokens); otherwise the answers are equal.

    Args:
        what: the type of K, and of V if ``v`` does not name another.
        v: the type of V.
        window: keep only this many newest tokens besides the sinks, evicting as llama.cpp's context
            shift does (``llama_memory_seq_rm``, then ``llama_memory_seq_add``): after every token
            with feed=stream, once after the prompt with feed=prefill.
        sinks: how many first tokens are kept too.
        binding: ``llama-cpp-python`` or ``cyllama``; by default the first that is installed.

    Raises:
        BadInput: the type, parameter or binding does not exist, or does not fit the shape.
    """

    prefix = "llamacpp:"

    def set_up(
        self, *, what: str, v: str | None = None, window: int | None = None, sinks: int = 0,
        binding: str | None = None,
    ) -> None:  # fmt: skip
        """Lay out the cache; no context is open yet."""
        shape = self.shape
        d = max(shape.d_k, shape.d_v)
        keys, values = cache_type(what, d), cache_type(what if v is None else str(v), d)
        if not (keys.readable and values.readable):
            self.bobs = ("asks",)
        self.window, self.sinks = _kept(window, sinks)
        self.binding = binding_named(binding)
        self.packages = self.binding.packages
        most = shape.tokens + shape.extra
        self.carrier = Carrier(shape.layers, shape.kv_heads, d, most + 1)
        kept = most if window is None else min(most, self.sinks + window)
        self.form = Layout(shape.layers, shape.kv_heads, d, keys, values, kept)
        self._feeding: Context | None = None
        self._asking: Context | None = None
        self._state = b""
        self._held = 0

    @classmethod
    def adapter(cls, params: Mapping[str, Any]) -> type[Engine]:
        """With ``rotary=live`` one context lives through operations."""
        from .living import Living

        return Living if params.get("rotary") == "live" else cls

    # -- feeding -------------------------------------------------------------------------------

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take tokens in order."""
        if self.feed != "stream":
            return super().extend(Q, K, V)
        # One table for all of them where tokens go in by number.
        return self._feed(Q, K, V, 1)

    def _prefill(self, Q: Float32, K: Float32, V: Float32) -> None:
        self._feed(Q, K, V, len(K))

    def _feed(self, Q: Float32, K: Float32, V: Float32, at_once: int) -> None:
        """Append tokens; whatever is too old goes after every ``at_once`` of them."""
        new = len(K) if self.window is None else min(len(K), at_once)
        if self._held + new >= self.carrier.positions:
            # A position that the model has not would abort the process.
            most = self.carrier.positions - 1
            raise PluginFailure(f"{self.what} has room for {most} tokens only.")
        hidden = self._hidden(Q, K, V)
        context, tokens = self._feeder(hidden, at_once)
        for begin in range(0, len(K), at_once):
            for part in _slices(begin, min(begin + at_once, len(K)), _BATCH):
                m = part.stop - part.start
                context.decode(tokens[part], range(self._held, self._held + m), [0] * m, ask=False)
                self._held += m
            self._evict(context)

    def _evict(self, context: Context) -> None:
        if self.window is None or self._held <= self.sinks + self.window:
            return
        gone = self._held - self.sinks - self.window
        context.remove(0, self.sinks, self.sinks + gone)
        context.shift(0, self.sinks + gone, -gone)
        self._held -= gone

    def _feeder(self, hidden: Float32, at_once: int) -> tuple[Context, Any]:
        """The context that is fed, and what goes into it for these hidden states."""
        self._asking = None
        if self._feeding is not None and not self.binding.numbers:
            return self._feeding, hidden
        state = self._current()
        cells = max(self.shape.tokens, self._held + len(hidden))
        if at_once == 1:
            cells = min(cells, self.form.cells + 1)
        self._feeding, tokens = self._opened(hidden, cells, 1)
        if state:
            self._feeding.load(state)
        return self._feeding, tokens

    # -- asking --------------------------------------------------------------------------------

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if token r came next: float32[m, layers, heads, d_v]."""
        if self.bob == "asks" and self.ask == "serial":
            return self._answers(Q, K, V, self._one_by_one)
        return super().next_outputs(Q, K, V)

    def _ask_masked(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        return self._answers(Q, K, V, self._together)

    def _answers(self, Q: Float32, K: Float32, V: Float32, ask: _Ask) -> Float32:
        state, hidden = self._current(), self._hidden(Q, K, V)
        out = np.empty((len(K), self.carrier.coordinates), dtype=np.float32)
        for part in _slices(0, len(K), MAX_SEQUENCES - 1):
            context, tokens = self._asker(hidden[part])
            out[part] = ask(context, state, tokens)[:, : self.carrier.coordinates]
        return self.carrier.outputs(out)[..., : self.shape.d_v]

    def _together(self, context: Context, state: bytes, tokens: Any) -> Float32:
        copies = range(1, len(tokens) + 1)
        _load(context, state)
        for sequence in copies:
            context.copy(sequence)
        logits = context.decode(tokens, [self._held] * len(tokens), copies, ask=True)
        for sequence in copies:
            context.remove(sequence, 0, -1)
        return logits

    def _one_by_one(self, context: Context, state: bytes, tokens: Any) -> Float32:
        logits = []
        for row in range(len(tokens)):
            _load(context, state)
            logits.append(context.decode(tokens[row : row + 1], [self._held], [0], ask=True))
        return np.concatenate(logits)

    def _asker(self, hidden: Float32) -> tuple[Context, Any]:
        """The context that is asked, and what goes into it for these hidden states."""
        if self._asking is not None and not self.binding.numbers:
            return self._asking, hidden
        cells = self._held + MAX_SEQUENCES
        self._asking, tokens = self._opened(hidden, cells, MAX_SEQUENCES)
        return self._asking, tokens

    # -- the message ---------------------------------------------------------------------------

    def _message(self) -> bytes:
        """The state of the sequence; empty if there is none."""
        return self._current()

    def _take(self, message: bytes) -> None:
        if message:
            read_state(message, self.form)
        self._state, self._held = message, held_cells(message) if message else 0
        self._feeding = self._asking = None

    def _current(self) -> bytes:
        if self._feeding is None:
            return self._state
        return self._feeding.state() if self._held else b""

    # -- what it says of itself ----------------------------------------------------------------

    def _rows(self) -> tuple[list[list[Float32]], list[list[Float32]]]:
        keys, values = numbers(read_state(self._current(), self.form), self.form)
        d_k, d_v = self.shape.d_k, self.shape.d_v
        return (
            [[rows[:, :d_k] for rows in layer] for layer in keys],
            [[rows[:, :d_v] for rows in layer] for layer in values],
        )

    def memories(self) -> Memories:
        """The cells in use, those that llama.cpp has memory for, and its own size of the state."""
        none = np.empty((0, self.carrier.width), dtype=np.float32)
        context = self._feeding or self._feeder(none, _BATCH)[0]
        return Memories(
            logical=self.form.payload_bytes(self._held),
            resident=self.form.payload_bytes(context.cells),
            claimed=context.state_size(),
            basis="llama_state_seq_get_size",
            beside=CELL_BYTES * self._held,
            beside_is=f"{CELL_BYTES} bytes a cell say its position and its sequence",
        )

    # -- the model -----------------------------------------------------------------------------

    def _hidden(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        padded = (
            np.pad(part, [(0, 0)] * 3 + [(0, self.form.d - part.shape[-1])]) for part in (Q, K, V)
        )
        return self.carrier.hidden(*padded)

    def _opened(self, hidden: Float32, cells: int, sequences: int) -> tuple[Context, Any]:
        """A new context, and what goes into it for these hidden states."""
        carrier, table = self.carrier, None
        tokens: Any = hidden
        if self.binding.numbers:
            carrier, table = replace(carrier, vocabulary=len(hidden)), hidden
            tokens = np.arange(len(hidden))
        settings = Settings(
            self.form.keys.number, self.form.values.number, cells, sequences, _BATCH
        )
        with tempfile.TemporaryDirectory() as folder:
            # Once it is mapped into memory it needs no name, and nobody can put another there.
            path = Path(folder) / "carrier.gguf"
            write_model(path, carrier, table)
            return self.binding.open(str(path), settings), tokens


def _load(context: Context, state: bytes) -> None:
    if state:
        context.load(state)
    else:
        context.remove(0, 0, -1)


def _slices(begin: int, end: int, size: int) -> Iterator[slice]:
    return (slice(at, min(at + size, end)) for at in range(begin, end, size))


def _kept(window: Any, sinks: Any) -> tuple[int | None, int]:
    """Check what eviction is told to keep."""
    for name, value, least in (("window", window, 1), ("sinks", sinks, 0)):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (whole and value >= least):
            raise BadInput(
                f"{name} must be a whole number of tokens, {least} or more, not {value}."
            )
    if sinks and window is None:
        raise BadInput(
            "Without a window nothing is evicted, so sinks have no effect: give both, or neither."
        )
    return window, sinks
