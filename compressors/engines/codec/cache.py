"""``codec:module:Class``: any codec of keys and values; kvbarrier computes attention.

``contract`` says what its author writes. Alice gives it K and V, the message is what it
returned; Bob decodes that and attends over the decoded rows, his own token exact. He uses
the whole message, so there is no separate Bob who reads.

* ``feed=prefill``: the whole stream in one piece, as a prompt is.
* ``feed=stream``: pieces of ``chunk`` tokens, each encoded when it is full; the tokens after the
  last full piece stay as numbers of the codec's ``dtype``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ....errors import BadInput
from ...plugin.contract import Float32
from ...plugin.packing import pack_plain, unpack_plain
from ..engine import Engine, attention_over, distributions
from ..memories import Memories, sizes
from . import contract
from .calling import one_thread
from .data import as_plain, from_plain, leaves

CHUNK = 64
"""Tokens in a piece with feed=stream, unless ``chunk`` says otherwise."""


class CodecCache(Engine):
    """A codec behind the contract; arrays are [tokens, layers, KV heads, d].

    Args:
        chunk: tokens in a piece, for feed=stream.
        params: parameters of the codec.

    Raises:
        BadInput: the codec or parameter does not exist, or needs something that is missing here.
        PluginFailure: it lacks a method, raised, or did not return K and V.
    """

    bobs = ("asks",)

    def set_up(self, *, what: str, chunk: int | None = None, **params: Any) -> None:
        """Construct the codec; there are no pieces yet."""
        shape, streaming = self.shape, self.feed == "stream"
        if chunk is not None and not streaming:
            raise BadInput("chunk needs feed=stream: a prefilled codec sees all tokens at once.")
        if chunk is not None and (not isinstance(chunk, int) or chunk < 1):
            raise BadInput(f"chunk={chunk} must be a number of tokens, 1 or more.")
        self.chunk = chunk or CHUNK
        n = self.chunk if streaming else shape.tokens
        self.codec = contract.build(what, shape, n, self.seed, params)
        owner, place = self.codec.package, what.rpartition(":")[0] or what
        whose = () if place.endswith(".py") else distributions(place)
        self.packages = (*((owner,) if owner else whose), self.codec.way.tensors)
        if self.codec.way.tensors == "torch":
            one_thread()
        self._pieces: list[Any] = []
        self._tail: list[tuple[Float32, Float32]] = []
        self._decoded: tuple[list[list[Float32]], list[list[Float32]]] | None = None

    # -- taking ----------------------------------------------------------------------------------

    def _prefill(self, Q: Float32, K: Float32, V: Float32) -> None:
        self._decoded = None
        self._pieces += self.codec.encoded(K, V)

    def _step(self, q: Float32, k: Float32, v: Float32) -> None:
        self._decoded = None
        self._tail.append((k, v))
        if len(self._tail) == self.chunk:
            K, V = self._tail_arrays()
            self._tail = []
            self._prefill(K, K, V)

    def _tail_arrays(self) -> tuple[Float32, Float32]:
        return tuple(np.stack(part) for part in zip(*self._tail, strict=True))  # type: ignore[return-value]

    # -- the message -----------------------------------------------------------------------------

    def _message(self) -> bytes:
        """What encode returned, piece after piece; then the tail, if there is one."""
        name = f"{self.codec.name}.{self.codec.way.writer}"
        pieces = [as_plain(piece, self.codec.kinds, name) for piece in self._pieces]
        if not self._tail:
            return pack_plain(pieces, f"what {name} returned")
        tail = [part.astype(_numpy_dtype(self.codec.way.dtype)) for part in self._tail_arrays()]
        return pack_plain((pieces, *tail), f"what {name} returned")

    def _take(self, message: bytes) -> None:
        plain = unpack_plain(message)
        pieces, K, V = plain if type(plain) is tuple else (plain, None, None)
        self._pieces = [from_plain(piece, self.codec.kinds) for piece in list(pieces)]
        key, value = (
            (self.shape.layers, self.shape.kv_heads, d) for d in (self.shape.d_k, self.shape.d_v)
        )
        tails = [] if K is None else list(zip(_tail(K), _tail(V), strict=True))
        if any((k.shape, v.shape) != (key, value) for k, v in tails):
            raise ValueError("another shape")
        if len(tails) >= self.chunk or len(self._pieces) % self.codec.calls(self.shape):
            raise ValueError("pieces are missing")
        self._tail, self._decoded = tails, None

    # -- answering -------------------------------------------------------------------------------

    def _ask_masked(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        return attention_over(*self._rows(), Q, K, V)

    def _rows(self) -> tuple[list[list[Float32]], list[list[Float32]]]:
        if self._decoded is None:
            self._decoded = self._read()
        return self._decoded

    def _read(self) -> tuple[list[list[Float32]], list[list[Float32]]]:
        """Every row of the message, decoded."""
        shape, calls = self.shape, self.codec.calls(self.shape)
        keys = [np.empty((0, shape.layers, shape.kv_heads, shape.d_k), np.float32)]
        values = [np.empty((0, shape.layers, shape.kv_heads, shape.d_v), np.float32)]
        for at in range(0, len(self._pieces), calls):
            K, V = self.codec.decoded(self._pieces[at : at + calls], shape)
            keys.append(K)
            values.append(V)
        if self._tail:
            dtype = _numpy_dtype(self.codec.way.dtype)
            tails = [part.astype(dtype).astype(np.float32) for part in self._tail_arrays()]
            keys.append(tails[0])
            values.append(tails[1])
        return _by_head(np.concatenate(keys)), _by_head(np.concatenate(values))

    # -- what it occupies ------------------------------------------------------------------------

    def memories(self) -> Memories:
        """What encode returned, and the tail; ``claimed`` is the codec's own ratio, if any."""
        codec, shape = self.codec, self.shape
        logical, resident = sizes(leaves(self._pieces, codec.kinds))
        tail = sum(k.size + v.size for k, v in self._tail) * _numpy_dtype(codec.way.dtype).itemsize
        claimed = None
        if codec.ratio is not None and self._pieces:
            tokens = sum(len(rows) for rows in self._rows()[0][0][:1]) - len(self._tail)
            bytes_16 = 2 * tokens * shape.layers * shape.kv_heads * (shape.d_k + shape.d_v)
            said = [float(codec.run(codec.ratio, "ratio", piece)) for piece in self._pieces]
            claimed = round(bytes_16 * float(np.mean([1 / one for one in said]))) + tail
        basis = "the codec's own ratio to 16 bits" if claimed is not None else ""
        held = Memories(
            logical + tail, resident + tail, claimed=claimed, basis=basis, played=codec.played
        )
        if self.feed != "stream":
            return held
        most, bits = self.chunk - 1, 8 * _numpy_dtype(codec.way.dtype).itemsize
        numbers = most * shape.layers * shape.kv_heads * (shape.d_k + shape.d_v)
        words = f"up to {most} tokens wait in {bits} bits until a piece is whole"
        return replace(held, beside=numbers * bits // 8, beside_is=words)


def _by_head(rows: Float32) -> list[list[Float32]]:
    return [
        [rows[:, layer, head] for head in range(rows.shape[2])] for layer in range(rows.shape[1])
    ]


def _tail(part: Any) -> list[Float32]:
    if not isinstance(part, np.ndarray) or part.ndim != 4 or not np.isfinite(part).all():
        raise ValueError("no tail")
    return list(part.astype(np.float32))


def _numpy_dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes

        narrow: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return narrow
    return np.dtype(name)
