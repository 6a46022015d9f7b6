"""A cache of MLX, fed and asked through the calls that every model of mlx-lm makes.

``cache.update_and_fetch(keys, values)`` and ``scaled_dot_product_attention(queries, keys, values,
cache, scale, mask)`` are all that a model does with a cache, so no model is needed: the adapter
makes the two calls, with scale 1 as the stream has no 1/sqrt(d). Caches, quantised kernels and
softmax are MLX's own on its CPU backend. The message is what the cache objects hold (``state``).

MLX's threads do not survive a fork, so nothing is evaluated when this module is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import mlx.core as mx
import numpy as np

from ...plugin.blame import blame
from ...plugin.contract import Float32, Shape
from ..engine import Engine, own_only
from ..memories import Memories
from ..public_stream import pieces
from .makers import maker
from .state import Packing, Template, copied, logical, pack, resident, unpack

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


class _Public:
    """All that Alice and Bob both have: how caches are made, and the template."""

    def __init__(
        self, shape: Shape, what: str, feed: str, dtype: str, params: Mapping[str, Any]
    ) -> None:
        self.shape, self.what = shape, f"mlx:{what}"
        self.dtype = getattr(mx, DTYPES[dtype])
        self.maker = maker(what, params, shape)
        caches = self.fresh()
        for _, K, V in pieces(shape, feed):
            self.update(caches, K, V)
        self.template = Template(caches)

    def fresh(self) -> list[Any]:
        """New caches, one a layer."""
        return [self.maker.make() for _ in range(self.shape.layers)]

    def arrays(self, rows: Float32, layer: int) -> Any:
        """[m, layers, heads, d] as one layer's [1, heads, m, d] in the engine's dtype."""
        return mx.array(rows[:, layer].transpose(1, 0, 2)[None]).astype(self.dtype)

    def update(self, caches: list[Any], K: Float32, V: Float32) -> list[Any]:
        """Give every layer its keys and values; what it hands to attention."""
        handed = []
        for layer, cache in enumerate(caches):
            try:
                pair = cache.update_and_fetch(self.arrays(K, layer), self.arrays(V, layer))
                mx.eval(*(x for x in pair if isinstance(x, mx.array)))
            except Exception as error:
                raise blame(error, f"{self.what} taking tokens") from error
            handed.append(pair)
        return handed


@lru_cache(maxsize=8)
def _public(
    shape: Shape, what: str, feed: str, dtype: str, params: tuple[tuple[str, Any], ...]
) -> _Public:
    """Kept, as every message is written and read by instances of its own."""
    return _Public(shape, what, feed, dtype, dict(params))


class MlxCache(Engine):
    """A cache of MLX behind the contract.

    Args:
        what: see ``makers``.
        feed, bob, ask: see ``engine``. Others' classes than mlx-lm's are asked one question at a
            time unless ``ask=mask`` is given.
        dtype: bf16, fp16 or fp32, of what the cache is given.
        params: the cache's own.

    Raises:
        BadInput: the cache or parameter does not exist.
        PluginFailure: the cache raised.
    """

    prefix = "mlx:"

    def set_up(self, *, what: str, dtype: str = "bf16", **params: Any) -> None:
        """Make empty caches, and once for all of a kind their template."""
        self._side = _public(
            self.shape, what, self.feed, self._one_of("dtype", dtype, DTYPES),
            tuple(sorted(params.items())),
        )  # fmt: skip
        if not self._side.maker.together:
            self.asks = ("serial", "mask")
        self.packages = ("mlx", *self._side.maker.distributions)
        self.caches = self._side.fresh()

    # -- taking ----------------------------------------------------------------------------------

    def _prefill(self, Q: Float32, K: Float32, V: Float32) -> None:
        self._side.update(self.caches, K, V)

    # -- the message -----------------------------------------------------------------------------

    def _message(self) -> bytes:
        """What the caches hold and the template does not."""
        return pack(self.caches, self._side.template)

    def _take(self, message: bytes) -> None:
        self.caches = unpack(message, self._side.template)

    def _copy(self) -> list[Any]:
        return copied(self.caches, self._side.template)

    # -- answering -------------------------------------------------------------------------------

    def _ask_masked(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        caches = self._copy()
        m, outputs = len(Q), []
        for layer, (keys, values) in enumerate(self._side.update(caches, K, V)):
            mask = None
            if m > 1:
                mask = mx.array(own_only(m, _rows_of(keys) - m))
            try:
                queries = self._side.arrays(Q, layer)
                given = {"cache": caches[layer], "scale": 1.0, "mask": mask}
                out = self._side.maker.attend(queries, keys, values, **given)
                answer = np.array(out.astype(mx.float32))
            except Exception as error:
                raise blame(error, f"{self.what} answering") from error
            outputs.append(answer[0].transpose(1, 0, 2))
        return np.stack(outputs, axis=1)

    def _rows(self) -> tuple[list[list[Float32]], list[list[Float32]]]:
        """The rows that the cache objects hold as numbers, also those they no longer hand out."""
        keys: list[list[Float32]] = []
        values: list[list[Float32]] = []
        for layer, cache in enumerate(self._copy()):
            pair = _held(cache, self.shape) or self._handed_out(layer)
            for one, to in zip(pair, (keys, values), strict=True):
                to.append([np.array(head.astype(mx.float32)) for head in one[0]])
        return keys, values

    def _handed_out(self, layer: int) -> tuple[Any, Any]:
        """What the cache gives to attention beside one new token, as numbers."""
        copies, shape = self._copy(), self.shape
        sizes = ((1, shape.layers, shape.kv_heads, d) for d in (shape.d_k, shape.d_v))
        K, V = (np.zeros(size, np.float32) for size in sizes)
        cache, pair = copies[layer], self._side.update(copies, K, V)[layer]
        if hasattr(cache, "dequantize"):
            pair = cache.dequantize(*pair)
        elif isinstance(pair[0], tuple | list):
            size = {"group_size": cache.group_size, "bits": cache.bits}
            pair = tuple(mx.dequantize(*one, **size) for one in pair)
        return pair[0][..., :-1, :], pair[1][..., :-1, :]

    # -- what it says of itself ------------------------------------------------------------------

    def memories(self) -> Memories:
        """The arrays of the cache objects, public ones left out, and its own word."""
        sent = Packing(self.caches, self._side.template).sent
        claimed, basis = self._own_word()
        return Memories(logical(sent), resident(sent), claimed=claimed, basis=basis)

    def _own_word(self) -> tuple[int | None, str]:
        """What the class says that it occupies, the most particular of its members first."""
        full = self.shape.cache_bits_16 // 8 // self.shape.layers
        said = []
        for cache in self.caches:
            for name in ("effective_compression_ratio", "compression_ratio"):
                if isinstance(getattr(cache, name, None), float):
                    said.append((full / getattr(cache, name), name))
                    break
            else:
                if isinstance(getattr(cache, "compressed_key_bytes", None), int):
                    rest = (getattr(cache, name, None) for name in _VALUES)
                    values = next((one for one in rest if isinstance(one, int)), full // 2)
                    said.append((cache.compressed_key_bytes + values, "compressed_key_bytes"))
                elif isinstance(getattr(cache, "nbytes", None), int):
                    said.append((cache.nbytes, "nbytes"))
        if len(said) != len(self.caches) or not said:
            return None, ""
        return round(sum(size for size, _ in said)), said[0][1]


_VALUES = ("compressed_value_bytes", "value_fp16_bytes", "fp16_value_bytes")


def _rows_of(keys: Any) -> int:
    one = keys[0] if isinstance(keys, tuple | list) else keys
    return int(one.shape[-2])


def _held(cache: Any, shape: Shape) -> tuple[Any, Any] | None:
    """The arrays behind ``keys`` and ``values``, if they are plain rows."""
    keys: Any = getattr(cache, "keys", None)
    values: Any = getattr(cache, "values", None)
    plain = all(isinstance(one, mx.array) and one.ndim == 4 for one in (keys, values))
    if not plain or keys.shape[-1] != shape.d_k or values.shape[-1] != shape.d_v:
        return None
    rows = min(int(cache.offset), keys.shape[2], values.shape[2])
    return keys[..., :rows, :], values[..., :rows, :]
