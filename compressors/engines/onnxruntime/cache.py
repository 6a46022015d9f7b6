"""A cache of ONNX Runtime's GroupQueryAttention: fp32, fp16, int8 or int4.

The operator's own kernels quantise, keep and attend; the message is its cache arrays, which are
outputs of the graph and so all that another process needs. The scales of integer caches are static:
``key_range`` and ``value_range`` are the largest magnitudes that the codes reach; by default those
of a public stream, which is how a model's author would calibrate them. Larger numbers are clipped.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime

from ....errors import BadInput, did_you_mean
from ...plugin.contract import Float32
from ...plugin.packing import pack_plain, unpack_plain
from ..engine import Engine, own_only
from ..memories import Memories
from ..public_stream import public_stream
from .graph import KINDS, Kind, decoded, model

PER = {"tensor": "PER_TENSOR", "channel": "PER_CHANNEL"}
#: added to the scores of what a question must not see; a float16 holds it
_HIDDEN = -30_000.0


@lru_cache(maxsize=8)
def _session(kind: str, heads: int, d: int, per: str) -> Any:
    options = onnxruntime.SessionOptions()
    # Players are forked, and a fork has none of the threads.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = model(KINDS[kind], heads, d, PER[per])
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class OnnxRuntimeCache(Engine):
    """The cache of one operator a layer, behind the contract.

    Args:
        what: fp32, fp16, int8 or int4.
        per: one scale a ``tensor`` or one a ``channel``; of integer caches.
        key_range, value_range: see the module; of integer caches.

    Raises:
        BadInput: there is no such type or parameter, or the shape does not fit.
    """

    prefix = "onnxruntime:"
    packages = ("onnxruntime",)

    def set_up(
        self, *, what: str, per: str = "tensor", key_range: float | None = None,
        value_range: float | None = None,
    ) -> None:  # fmt: skip
        """Make empty arrays, and the scales of integer caches."""
        shape = self.shape
        if what not in KINDS:
            raise BadInput(
                f"There is no cache onnxruntime:{what}.{did_you_mean(what, tuple(KINDS))}"
            )
        if shape.d_k != shape.d_v or shape.d_k % 8:
            raise BadInput(
                "GroupQueryAttention has one head size for keys and values, a multiple of 8, not "
                f"{shape.d_k} and {shape.d_v}."
            )
        self.kind: Kind = KINDS[what]
        self._session = _session(what, shape.kv_heads, shape.d_k, self._one_of("per", per, PER))
        self._scales = self._calibrated(per, key_range, value_range) if self.kind.limit else {}
        width = shape.d_k // 2 if self.kind.bits == 4 else shape.d_k
        empty = np.zeros((1, shape.kv_heads, 0, width), self.kind.dtype)
        self._held: list[tuple[Any, Any]] = [(empty, empty)] * shape.layers

    def _calibrated(
        self, per: str, key_range: float | None, value_range: float | None
    ) -> dict[str, Any]:
        # One layer's: all have the same scales.
        _, K, V = public_stream(replace(self.shape, layers=1))
        keys, values = (np.abs(part).reshape(len(part), -1) for part in (K, V))
        scales = {}
        for name, stream, given in (("key", keys, key_range), ("value", values, value_range)):
            largest = stream.max(axis=0) if per == "channel" else stream.max(keepdims=True)[0]
            if given is not None:
                largest = np.full_like(largest, given)
            scales[f"{name}_scale"] = largest / self.kind.limit
        return scales

    # -- taking ----------------------------------------------------------------------------------

    def _prefill(self, Q: Float32, K: Float32, V: Float32) -> None:
        self._held = [state for _, state in self._run(Q, K, V, False)]

    def _run(
        self, Q: Float32, K: Float32, V: Float32, apart: bool
    ) -> list[tuple[Float32, tuple[Any, Any]]]:
        """Every layer's answers float32[m, heads, d] and its cache afterwards.

        ``apart``: no row sees another.
        """
        numbers = np.float16 if self.kind.bits == 16 else np.float32
        m, held, found = len(K), self._held[0][0].shape[2], []
        bias = np.zeros((1, 1, m, held + m), numbers)
        if apart:
            bias[0, 0][~own_only(m, held)] = _HIDDEN
        for layer, (past_key, past_value) in enumerate(self._held):
            given = {
                name: part[:, layer].reshape(1, m, -1).astype(numbers)
                for name, part in (("query", Q), ("key", K), ("value", V))
            }
            given |= {"past_key": past_key, "past_value": past_value}
            given |= {
                "last": np.array([held + m - 1], np.int32),
                "total": np.array([held + m], np.int32),
            }
            given |= {"bias": bias, **self._scales}
            out, key, value = self._session.run(None, given)
            answer = out.reshape(m, self.shape.kv_heads, -1).astype(np.float32)
            found.append((answer, (key, value)))
        return found

    # -- the message -----------------------------------------------------------------------------

    def _message(self) -> bytes:
        """The cache arrays, layer by layer."""
        return pack_plain([list(pair) for pair in self._held], "the caches")

    def _take(self, message: bytes) -> None:
        held = [(key, value) for key, value in unpack_plain(message)]
        wanted, dtype = self._held[0][0].shape, np.dtype(self.kind.dtype)
        fits = len(held) == len(self._held) and all(
            one.dtype == dtype and one.ndim == 4 and one.shape[:2] == wanted[:2]
            and one.shape[3] == wanted[3] and one.shape == pair[0].shape
            for pair in held for one in pair
        )  # fmt: skip
        if not fits:
            raise ValueError("another cache")
        self._held = held

    # -- answering -------------------------------------------------------------------------------

    def _ask_masked(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        return np.stack([answer for answer, _ in self._run(Q, K, V, True)], axis=1)

    def _rows(self) -> tuple[list[list[Float32]], list[list[Float32]]]:
        scales = [self._scales.get(name) for name in ("key_scale", "value_scale")]
        rows = [
            [decoded(one, self.kind, scale)[0] for one, scale in zip(pair, scales, strict=True)]
            for pair in self._held
        ]
        return [list(keys) for keys, _ in rows], [list(values) for _, values in rows]

    # -- what it says of itself ------------------------------------------------------------------

    def memories(self) -> Memories:
        """The cache arrays: the graph's outputs have no room to spare."""
        size = sum(one.nbytes for pair in self._held for one in pair)
        return Memories(size, size)
