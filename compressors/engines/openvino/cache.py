"""A cache of OpenVINO's CPU plug-in: the state of a stateful attention, in its own precision.

The message is made of what ``query_state`` shows, which is float32 whatever the precision is: of
f32 and f16 the numbers in that format, of u8 the codes and two float32 for every row, from
which the same state is made again. These are the bytes of the plug-in's own layout; its storage
itself is not shown, so *logical* and *resident* are those of the arrays that are sent.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import openvino as ov

from ....errors import BadInput, did_you_mean
from ...plugin.contract import Float32
from ...plugin.packing import pack_plain, unpack_plain
from ..engine import Engine, own_only
from ..memories import Memories
from .graph import layer

FLOATS: dict[str, Any] = {"f32": np.float32, "f16": np.float16}
PRECISIONS = (*FLOATS, "u8")
_CODES = 255
_HIDDEN = -1e9
_NAMES = ("key", "value")


@lru_cache(maxsize=4)
def _compiled(precision: str, heads: int, d_k: int, d_v: int) -> Any:
    settings = {
        "KV_CACHE_PRECISION": precision,
        # By default it computes in what the machine is fast at, and the state with it.
        "INFERENCE_PRECISION_HINT": "f32",
        # Players are forked, and a fork has none of the threads.
        "INFERENCE_NUM_THREADS": 1,
    }
    return ov.Core().compile_model(layer(heads, d_k, d_v), "CPU", settings)


class OpenvinoCache(Engine):
    """The state of one attention a layer, behind the contract.

    Args:
        what: ``KV_CACHE_PRECISION``: u8, f16 or f32.

    Raises:
        BadInput: there is no such precision, or its state cannot be sent.
    """

    prefix = "openvino:"
    packages = ("openvino",)

    def set_up(self, *, what: str) -> None:
        """Open requests of the compiled model."""
        if what == "u4":
            raise BadInput(
                "openvino:u4 cannot be sent: query_state shows its codes without their scales."
            )
        if what not in PRECISIONS:
            raise BadInput(f"There is no cache openvino:{what}.{did_you_mean(what, PRECISIONS)}")
        self._precision = what
        self._requests = self._opened()
        self._held = 0

    def _opened(self) -> list[Any]:
        """New requests, one a layer."""
        shape = self.shape
        model = _compiled(self._precision, shape.kv_heads, shape.d_k, shape.d_v)
        return [model.create_infer_request() for _ in range(shape.layers)]

    # -- taking ----------------------------------------------------------------------------------

    def _prefill(self, Q: Float32, K: Float32, V: Float32) -> None:
        self._run(self._requests, Q, K, V, np.zeros((len(K), self._held + len(K)), np.float32))
        self._held += len(K)

    def _run(self, requests: Any, Q: Float32, K: Float32, V: Float32, mask: Float32) -> Float32:
        """Append rows and attend: float32[m, layers, heads, d_v]."""
        outputs = []
        for number, request in enumerate(requests):
            given = {
                name: np.ascontiguousarray(part[:, number].transpose(1, 0, 2)[None])
                for name, part in (("q", Q), ("k", K), ("v", V))
            }
            given |= {"mask": mask[None, None], "beam_idx": np.zeros(1, np.int32)}
            out = request.infer(given)[0]
            outputs.append(np.array(out)[0].transpose(1, 0, 2))
        return np.stack(outputs, axis=1)

    # -- the message -----------------------------------------------------------------------------

    def _message(self) -> bytes:
        """The state of every layer, in the format of its precision."""
        return pack_plain([self._packed(one) for one in self._states()], "the states")

    def _states(self) -> list[Float32]:
        """What ``query_state`` shows, keys before values: float32[1, heads, held, d]."""
        found = []
        for request in self._requests:
            states = {one.name: one for one in request.query_state()}
            found += [np.array(states[name].state.data, np.float32) for name in _NAMES]
        return found

    def _packed(self, rows: Float32) -> Any:
        if self._precision in FLOATS:
            return rows[0].astype(FLOATS[self._precision])
        low, high = rows[0].min(axis=-1, keepdims=True), rows[0].max(axis=-1, keepdims=True)
        step = (high - low) / np.float32(_CODES)
        codes = np.rint((rows[0] - low) / np.where(step > 0, step, 1)).astype(np.uint8)
        return codes, low, step

    def _take(self, message: bytes) -> None:
        shape, states = self.shape, [self._unpacked(one) for one in unpack_plain(message)]
        held = states[0].shape[2]
        sizes = [(1, shape.kv_heads, held, d) for d in (shape.d_k, shape.d_v)] * shape.layers
        if [one.shape for one in states] != sizes:
            raise ValueError("another cache")
        self._held = held
        self._set(self._requests, states)

    def _unpacked(self, one: Any) -> Float32:
        if self._precision in FLOATS:
            if one.dtype != FLOATS[self._precision]:
                raise ValueError("another precision")
            return np.ascontiguousarray(one[None].astype(np.float32))
        codes, low, step = one
        if codes.dtype != np.uint8:
            raise ValueError("no codes")
        return np.ascontiguousarray((low + codes * step)[None].astype(np.float32))

    def _set(self, requests: Any, states: list[Float32]) -> None:
        for number, request in enumerate(requests):
            request.reset_state()
            by_name = dict(zip(_NAMES, states[2 * number : 2 * number + 2], strict=True))
            for one in request.query_state():
                one.state = ov.Tensor(by_name[one.name])

    # -- answering -------------------------------------------------------------------------------

    def _ask_masked(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        requests = self._opened()
        if self._held:
            self._set(requests, [self._unpacked(self._packed(one)) for one in self._states()])
        mask = np.where(own_only(len(Q), self._held), 0, _HIDDEN).astype(np.float32)
        return self._run(requests, Q, K, V, mask)

    def _rows(self) -> tuple[list[list[Float32]], list[list[Float32]]]:
        states = [list(one[0]) for one in self._states()]
        return states[0::2], states[1::2]

    # -- what it says of itself ------------------------------------------------------------------

    def memories(self) -> Memories:
        """The arrays of the message."""
        packed = [self._packed(one) for one in self._states()]
        arrays = [a for one in packed for a in (one if isinstance(one, tuple) else (one,))]
        size = sum(int(one.nbytes) for one in arrays)
        return Memories(size, size)
