"""llama.cpp through its operations, ``llamacpp:q8_0?rotary=live``: one context that stays open.

``cache`` moves a message from Alice's context to Bob's, and has no positions to be wrong about.
Here one context lives through everything that is done to it, its model has a rotary embedding
(``turning``), and each operation is the one that programs which embed llama.cpp call:

* ``crop``: ``llama_memory_seq_rm`` of the tail;
* ``drop``: ``llama_memory_seq_rm``, then ``llama_memory_seq_add`` of what comes after, which is a
  context shift;
* ``shift``: ``llama_memory_seq_add`` of all;
* ``select``: ``llama_memory_seq_cp`` of every sequence that goes on, then ``llama_memory_seq_rm``
  of the old ones; with ``beams=keep`` a single survivor is ``llama_memory_seq_keep``;
* ``fork``: ``llama_memory_seq_cp``; both go on in the same context;
* ``reset``: ``llama_memory_clear``, or ``llama_memory_seq_rm`` of all if a fork lives there too;
* ``save`` and ``restore``: ``llama_state_get_data``, or ``llama_state_seq_get_data`` of every
  sequence with ``state=sequence``; into a new context.

Tokens go where the engine says that a sequence goes on, as ``llama_batch_get_one`` puts them; they
are turned back for where they stand by the law. A question is decoded behind its sequence and taken
back, ``llama_memory_seq_rm`` of one position.

Before the engine's state the message has the player's notes, which are public: the keys, and where
each token was moved (``engines/rotary``).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from ....errors import BadInput, PluginFailure
from ...plugin.contract import Float32
from ..engine import Engine
from ..memories import Memories
from ..rotary import Turns
from .bindings import Binding, binding_named
from .context import Context, Settings
from .state import CacheType, cache_type
from .turning import Table, Turning, write_turning

_CHOICES = {
    "pool": ("unified", "split"),
    "state": ("context", "sequence"),
    "beams": ("copy", "keep"),
}
_BATCH = 128
_SEQUENCES = 32
"""Of a context. Apart, each has its own cells, for the whole stream."""
_POOLED = 8


class _Home:
    """An open context, and who lives there: a cache and its forks."""

    def __init__(
        self, binding: Binding, model: Turning, keys: CacheType, values: CacheType, unified: bool
    ) -> None:
        # In one pool, as many sequences as there can be beams and forks have cells of their own.
        cells = model.positions * (_POOLED if unified else _SEQUENCES)
        settings = Settings(keys.number, values.number, cells, _SEQUENCES, _BATCH, unified)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "turning.gguf"
            write_turning(path, model)
            self.context: Context = binding.open(str(path), settings)
            self.table = None if not binding.numbers else Table(path, model)
        self.taken: set[int] = set()

    def sequences(self, count: int) -> list[int]:
        """Take that many free sequences."""
        free = sorted(set(range(_SEQUENCES)) - self.taken)[:count]
        if len(free) < count:
            raise ValueError(f"this context has {_SEQUENCES} sequences, and more are asked for")
        self.taken |= set(free)
        return free


class Living(Engine):
    """A cache of llama.cpp that lives through operations.

    Args:
        what: the type of K, and of V if ``v`` does not name another.
        window: what layers 0, 2, .. see: a cache of two kinds of layers, in the architecture
            gemma2.
        pool: ``unified`` cells for all sequences, or ``split``.
        state: whether a message is the state of the ``context`` or of each ``sequence``.
        beams: ``copy`` or ``keep``, for ``select`` of one sequence.
        binding: as for ``cache``.

    Raises:
        BadInput: the type, parameter or binding does not exist, or does not fit the shape.
    """

    feeds = ("chunks",)
    bobs = ("asks",)
    asks = ("serial",)
    prefix = "llamacpp:"

    def set_up(
        self, *, what: str, v: str | None = None, window: int | None = None, pool: str = "unified",
        state: str = "context", beams: str = "copy", binding: str | None = None,
        rotary: str = "live",
    ) -> None:  # fmt: skip
        """Lay out the model; no context is open yet."""
        shape = self.shape
        self.what += "?rotary=live"
        for name, said in (("pool", pool), ("state", state), ("beams", beams)):
            self._one_of(name, said, _CHOICES[name])
        if window is not None and (type(window) is not int or window < 2 or shape.layers < 2):
            raise BadInput(
                "window is a whole number of tokens, 2 or more, in a shape of 2 layers or more: "
                "the layers see the window and everything by turns."
            )
        self.d = max(shape.d_k, shape.d_v)
        keys, values = cache_type(what, self.d), cache_type(what if v is None else str(v), self.d)
        self.state, self.beams = state, beams
        self.binding = binding_named(binding)
        self.packages = self.binding.packages
        room = shape.tokens + shape.extra + _BATCH
        self.model = Turning(shape.layers, shape.kv_heads, self.d, room, _BATCH, window)
        self._making = self.binding, self.model, keys, values, pool == "unified"
        self._home: _Home | None = None
        self.sequences: list[int] = []
        self.first = self.held = 0
        self.turns = Turns()

    @property
    def home(self) -> _Home:
        """The open context; a fork shares it."""
        if self._home is None:
            self._home = _Home(*self._making)
            self.sequences = self._home.sequences(self.shape.sequences or 1)
        return self._home

    # -- feeding and asking ----------------------------------------------------------------------

    def _prefill(self, Q: Float32, K: Float32, V: Float32) -> None:
        Q, K, V = (self._batch(part) for part in (Q, K, V))
        if self.first + self.held + len(K) >= self.model.positions:
            raise PluginFailure(f"{self.what} has room for {self.shape.tokens} tokens only.")
        home, count = self.home, len(self.sequences)
        for at in range(0, len(K), max(1, _BATCH // count)):
            part = slice(at, at + max(1, _BATCH // count))
            m = len(K[part])
            places = self._end + np.arange(m)[:, None]
            self._decode(home, self._rows_of(Q[part], K[part], V[part], places, places))
            self.turns.feed(K[part], self._end)
            self.held += m

    @property
    def _end(self) -> int:
        """Where the next token stands."""
        return self.first + self.held

    def _rows_of(self, Q: Float32, K: Float32, V: Float32, queries: Any, places: Any) -> Float32:
        """Hidden states [m, sequences, width], of which the model turns what it gets.

        Queries are turned back for places ``queries``, keys for ``places``, both [m, sequences].
        """
        Q = self.model.rotary.turned(Q, -queries[..., None, None])
        K = self.model.rotary.turned(K, -places[..., None, None])
        rows = self.model.hidden(*(part.reshape(-1, *part.shape[2:]) for part in (Q, K, V)))
        return rows.reshape(*V.shape[:2], -1)

    def _decode(self, home: _Home, rows: Float32, ask: bool = False) -> Float32:
        """Tokens of hidden states [m, sequences, width] behind the sequences."""
        m, count = rows.shape[:2]
        flat = rows.reshape(m * count, -1)
        tokens = flat if home.table is None else home.table.write(flat)
        first = [home.context.last(one) + 1 for one in self.sequences]
        positions = [one + step for step in range(m) for one in first]
        return home.context.decode(tokens, positions, self.sequences * m, ask)

    def _ask_masked(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        # Each row is decoded behind the open sequences, and taken back.
        Q, K, V = (self._batch(part) for part in (Q, K, V))
        home, out = self.home, []
        places = np.full((1, len(self.sequences)), self._end)
        moved = self.turns.asked(Q)
        rows = self._rows_of(Q, K, V, places - moved + self.displaced, places)
        ends = [home.context.last(sequence) + 1 for sequence in self.sequences]
        for row in rows:
            logits = self._decode(home, row[None], ask=True)
            for sequence, end in zip(self.sequences, ends, strict=True):
                home.context.remove(sequence, end, -1)
            out.append(self.model.outputs(logits)[..., : self.shape.d_v])
        said = np.stack(out)
        return said if self.shape.sequences is not None else said[:, 0]

    def _batch(self, part: Float32) -> Float32:
        part = np.asarray(part, dtype=np.float32)
        wide = np.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, self.d - part.shape[-1])])
        return wide if self.shape.sequences is not None else wide[:, None]

    # -- operations ------------------------------------------------------------------------------

    def crop(self, tokens: int) -> None:
        """``llama_memory_seq_rm`` of the tail of every sequence."""
        self._see_window(tokens, tokens)
        self._remove(self.first + tokens, -1)
        self.turns.forget(self.first + tokens)
        self.held = tokens

    def drop(self, begin: int, end: int) -> None:
        """``llama_memory_seq_rm``, then ``llama_memory_seq_add``."""
        self._see_window(self.held - (end - begin), begin, end - begin)
        begin, end = self.first + begin, self.first + end
        self._remove(begin, end)
        for sequence in self.sequences:
            self.home.context.shift(sequence, end, begin - end)
        self.turns.forget(begin, end)
        self.turns.move(end, begin - end)
        self.held -= end - begin

    def _see_window(self, left: int, begin: int, gone: int = 0) -> None:
        """Refuse to go back behind what the sliding layers still have.

        Of ``left`` tokens they see the last window - 1. llama.cpp takes out any positions, and
        leaves it to its users to look at ``llama_memory_seq_pos_min`` before.
        """
        if self.model.window is None or not left:
            return
        first = max(0, left - self.model.window + 1)
        wanted = self.first + first + (gone if first >= begin else 0)
        if any(self.home.context.begin(one) > wanted for one in self.sequences):
            raise ValueError("llama_memory_seq_pos_min says that the window is not whole")

    def _remove(self, begin: int, end: int) -> None:
        context = self.home.context
        for at, sequence in enumerate(self.sequences):
            if not context.remove(sequence, begin, end):
                done = " after it did so for another sequence" if at else ""
                raise ValueError(f"llama_memory_seq_rm returned false{done}")

    def select(self, indices: list[int]) -> None:
        """``llama_memory_seq_cp`` and ``llama_memory_seq_rm``, or ``llama_memory_seq_keep``."""
        home = self.home
        alone = home.taken == set(self.sequences)
        if self.beams == "keep" and len(indices) == 1 and alone:
            self.sequences = [self.sequences[indices[0]]]
            home.context.keep(self.sequences[0])
            home.taken = set(self.sequences)
            return
        new = home.sequences(len(indices))
        for sequence, at in zip(new, indices, strict=True):
            home.context.copy(sequence, self.sequences[at])
        for sequence in self.sequences:
            home.context.remove(sequence, -1, -1)
        home.taken -= set(self.sequences)
        self.sequences = new

    def fork(self) -> Living:
        """``llama_memory_seq_cp`` of every sequence."""
        twin, home = self.fresh(), self.home
        twin._home, twin.sequences = home, home.sequences(len(self.sequences))
        for source, sequence in zip(self.sequences, twin.sequences, strict=True):
            home.context.copy(sequence, source)
        twin.first, twin.held, twin.turns = self.first, self.held, self.turns.copy()
        return twin

    def reset(self) -> None:
        """``llama_memory_clear``, or ``llama_memory_seq_rm`` if others live in the context."""
        home = self.home
        if home.taken == set(self.sequences):
            home.context.clear()
        else:
            self._remove(-1, -1)
        home.taken -= set(self.sequences)
        self.sequences = home.sequences(self.shape.sequences or 1)
        self.turns.forget(0)
        self.first = self.held = 0

    def shift(self, by: int) -> None:
        """``llama_memory_seq_add`` of all positions."""
        if self.first + by < 0:
            raise ValueError("no position is negative")
        if self.first + by + self.held >= self.model.positions:
            raise ValueError(f"the model has {self.model.positions} positions")
        for sequence in self.sequences:
            self.home.context.shift(sequence, -1, by)
        self.turns.move(0, by)
        if self.held:
            self.first += by

    # -- the message -----------------------------------------------------------------------------

    def _message(self) -> bytes:
        """The player's notes and the engine's state; empty if there is nothing."""
        if self._home is None:
            return b""
        context = self.home.context
        if self.state == "context":
            states = [context.whole_state()]
        else:
            states = [context.state(one) for one in self.sequences]
        notes = [self.first, self.held, self.sequences, sorted(self.home.taken), self.turns.pack()]
        return bytes(msgpack.packb([*notes, states]))

    def _take(self, message: bytes) -> None:
        self._home = None
        if not message:
            return
        first, held, sequences, taken, turns, states = msgpack.unpackb(message)
        home = self.home
        self.sequences, self.first, self.held = sequences, first, held
        self.turns = Turns.unpack(turns)
        if self.state == "context":
            # Whoever else lived there came along, and is not ours.
            home.taken = set(taken)
            home.context.load_whole(states[0])
            return
        home.taken = set(sequences)
        for sequence, state in zip(sequences, states, strict=True):
            home.context.load(state, sequence)

    # -- what it says of itself ------------------------------------------------------------------

    def memories(self) -> Memories:
        """The bytes of the state; llama.cpp says no more of a context of many sequences."""
        size = len(self.home.context.whole_state())
        return Memories(size, size)
