"""A cache of transformers, attacked inside a genuine model (``carrier``).

The message is what the cache object holds and a public one does not (``torch_state``). With
feed=chunks 8 bytes precede it: how many tokens the cache was given and not told to forget, and in
how many sequences. The player counts them: both are public, and the cache may be wrong about them.
"""

from __future__ import annotations

import contextlib
import inspect
import random
import struct
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch

from ....errors import BadInput, PluginFailure
from ...plugin.contract import Float32, Shape
from ..construction import draw_publicly
from ..engine import FEEDS, Engine, own_only
from ..memories import Memories, sizes
from ..public_stream import pieces
from ..rotary import Rotary
from .cache_makers import explained, maker
from .carrier import Carrier
from .torch_graph import World, copy_graph
from .torch_skeleton import Skeleton
from .torch_state import Packing, pack_state, unpack_state

_COUNT = struct.Struct("<II")

BEAMS = ("batch_select_indices", "reorder_cache")
_OWN_WORDS = (
    "memory_report", "memory_usage_bytes", "compressed_storage_bytes", "storage_bytes",
    "bytes_used", "memory_bytes", "memory_usage", "nbytes",
)  # fmt: skip
_TOTALS = ("total_storage_bytes", "total_bytes", "compressed_bytes")


class _Public:
    """All that Alice and Bob both have: the carrier, the making of a cache, and the skeleton.

    Attributes:
        draws: making or filling a cache draws from a global generator.
    """

    def __init__(
        self, shape: Shape, what: str, feed: str, dtype: str, attention: str | None, model: str,
        live: bool, seed: int, params: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.shape, self.feed, self.seed = shape, feed, seed
        self.what = what if ":" in what else f"hf:{what}"
        self.carrier = Carrier(shape, dtype, attention, family=model, live=live)
        self.rotary = Rotary(self.carrier.width) if live else None
        self.token = (*(() if shape.sequences is None else (shape.sequences,)),
                      shape.layers, shape.kv_heads)  # fmt: skip
        self.maker = maker(what, params, shape, self.carrier.config)
        shared = (self.carrier.config, self.carrier.model, *self.maker.shared)
        self.world = World(shared)
        self._try()

    def _try(self) -> None:
        """Let two tokens show what a class does not say of itself: that it needs a GPU, say.

        Of several ways to construct it they choose the first that takes them.
        """
        nothing = np.zeros((2, *self.token, 1), np.float32)
        for make in (self.maker.make, *self.maker.others):
            draw_publicly(self.seed)
            before = _coins()
            # Two tokens may be too few for it; the stream will tell.
            with contextlib.suppress(PluginFailure):
                self.play(make(), nothing, nothing, nothing)
                self.maker = self.maker._replace(make=make)
                break
        self.draws = before != _coins()

    def fresh(self) -> Any:
        """A new cache; classes that draw from a global generator draw the public coins."""
        draw_publicly(self.seed)
        return self.maker.make()

    def play(self, cache: Any, Q: Float32, K: Float32, V: Float32, mask: Any = None) -> Float32:
        """One pass of the carrier over tokens."""
        try:
            return self.carrier.forward(cache, self.carrier.embed(Q, K, V), mask)
        except Exception as error:
            raise explained(error, self.what) from error

    @cached_property
    def skeleton(self) -> Skeleton:
        """A cache that met a public stream, fed as Alice feeds hers."""
        cache = self.fresh()
        for Q, K, V in pieces(self.shape, self.feed):
            self.play(cache, Q, K, V)
        return Skeleton(cache, self.world)


def _coins() -> tuple[bytes, str, object]:
    """Where the global generators stand."""
    return (
        torch.get_rng_state().numpy().tobytes(),
        str(np.random.get_state(legacy=False)),
        random.getstate(),
    )


@lru_cache(maxsize=32)
def _public(
    shape: Shape, what: str, feed: str, dtype: str, attention: str | None, model: str, live: bool,
    seed: int, params: tuple[tuple[str, Any], ...],
) -> _Public:  # fmt: skip
    """Kept, as every message is written and read by an instance of its own (``Scheme.shares``)."""
    return _Public(shape, what, feed, dtype, attention, model, live, seed, dict(params))


class TransformersCache(Engine):
    """A cache of transformers behind the contract.

    Args:
        what: see ``cache_makers``.
        feed, bob, ask: see ``engine``. A foreign class is asked one question at a time unless
            ``ask=mask`` is given. ``bob=reads`` reads the rows that ``update`` returns.
        dtype: bf16, fp16 or fp32, of the model and so of what the cache is given.
        attention: sdpa or eager; sdpa where the model can.
        model: the carrier's family (``families``): grouped queries, widths, layers that slide.
        rotary: ``neutral``, or ``live``: the model turns keys and queries, and the player turns
            them back (``rotary``), so that who is wrong about positions answers wrongly.
        beams: which method ``select`` calls: ``batch_select_indices``, with
            ``batch_repeat_interleave`` where the sequences are repeated in order, or
            ``reorder_cache``.
        params: the cache's own.

    Raises:
        BadInput: the cache or parameter does not exist, or cannot be used here.
        PluginFailure: a foreign class raised.
    """

    feeds = (*FEEDS, "chunks")

    prefix = "hf:"

    def set_up(
        self, *, what: str, dtype: str = "bf16", attention: str | None = None,
        model: str = "plain", rotary: str = "neutral", beams: str = BEAMS[0], **params: Any,
    ) -> None:  # fmt: skip
        """Make an empty cache, and once for all of a kind what both players have."""
        self._one_of("attention", attention or "sdpa", ("sdpa", "eager"))
        live = self._one_of("rotary", rotary, ("neutral", "live")) == "live"
        self.beams = self._one_of("beams", beams, BEAMS)
        kind = self.shape, what, self.feed, dtype, attention, model, live
        given = tuple(sorted(params.items()))
        self._side = _public(*kind, 0, given)
        if self._side.draws:
            self._side = _public(*kind, self.seed, given)
        self.asks = self._side.maker.asks
        if live or self.shape.sequences is not None or not self._side.maker.readable:
            self.bobs = ("asks",)
        self.packages = ("torch", "transformers", *self._side.maker.distributions)
        self.cache = self._side.fresh()
        self.held, self.width = 0, self.shape.sequences or 1

    # -- Alice ---------------------------------------------------------------------------------

    def _prefill(self, Q: Float32, K: Float32, V: Float32) -> None:
        self._side.play(self.cache, *self._turned_back(Q, K, self._next_places(len(K))), V)
        self.held += len(K)

    def _next_places(self, m: int) -> Any:
        return np.arange(self.held, self.held + m)

    def _turned_back(self, Q: Float32, K: Float32, places: Any) -> tuple[Float32, Float32]:
        """What the model turns into Q and K at these places, one a row."""
        rotary, width = self._side.rotary, self._side.carrier.width
        if rotary is None:
            return Q, K
        here = places.reshape(-1, *(1,) * (np.ndim(K) - 2))
        Q, K = (np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, width - x.shape[-1])]) for x in (Q, K))
        return rotary.turned(Q, -self.displaced - here), rotary.turned(K, -here)

    def _message(self) -> bytes:
        """What the cache holds and a public one does not."""
        count = _COUNT.pack(self.held, self.width) if self.feed == "chunks" else b""
        return count + pack_state(self.cache, self._side.skeleton)

    # -- Bob -----------------------------------------------------------------------------------

    def _take(self, message: bytes) -> None:
        at = _COUNT.size if self.feed == "chunks" else 0
        self.cache = unpack_state(message[at:], self._side.skeleton)
        if at:
            self.held, self.width = _COUNT.unpack_from(message)
        else:
            self.held = int(self.cache.get_seq_length())

    # -- what an engine does to it ---------------------------------------------------------------

    def crop(self, tokens: int) -> None:
        """``cache.crop``, told how many tokens to take off the end."""
        self.cache.crop(tokens - self.held)
        self.held = tokens

    def select(self, indices: list[int]) -> None:
        """``batch_select_indices``, ``batch_repeat_interleave`` or ``reorder_cache``: ``beams``."""
        times, left = divmod(len(indices), self.width)
        if self.beams == "reorder_cache":
            self.cache.reorder_cache(torch.tensor(indices))
        elif times > 1 and not left and indices == sorted(list(range(self.width)) * times):
            self.cache.batch_repeat_interleave(times)
        else:
            self.cache.batch_select_indices(torch.tensor(indices))
        self.width = len(indices)

    def reset(self) -> None:
        """``cache.reset``."""
        self.cache.reset()
        self.held, self.width = 0, self.shape.sequences or 1

    def fork(self) -> TransformersCache:
        """A deep copy of the cache, as who shares a prompt makes it."""
        twin = self.fresh()
        twin.cache, twin.held, twin.width = self._copy(), self.held, self.width
        return twin

    def _copy(self) -> Any:
        return copy_graph(self.cache, self._side.world)

    def _ask_masked(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        twin, m = self._copy(), len(Q)
        # The model takes them for tokens in a row.
        Q, K = self._turned_back(Q, K, self._next_places(m))
        kinds = self._side.carrier.kinds
        masks = {kind: self._mask(twin, m, layer) for kind, layer in kinds.items()}
        mask = masks if len(masks) > 1 else next(iter(masks.values()))
        return self._side.play(twin, Q, K, V, mask)

    def _mask(self, cache: Any, m: int, layer: int) -> Any:
        """Each of m questions sees itself and, of the cache, what the layer attends to."""
        columns, first = _mask_sizes(cache, m, layer)
        held, window = int(cache.get_seq_length()), self._side.carrier.windows[layer]
        mask = torch.from_numpy(own_only(m, columns - m))
        if window is not None:
            # A cache may hold more than the layer attends to.
            mask[:, : max(0, held + 1 - window - first)] = False
        return mask[None, None]

    def _ask_serial(self, q: Float32, k: Float32, v: Float32) -> Float32:
        q, k = self._turned_back(q[None], k[None], self._next_places(1))
        answer: Float32 = self._side.play(self._copy(), q, k, v[None])[0]
        return answer

    def _rows(self) -> tuple[list[list[Float32]], list[list[Float32]]]:
        twin, shape = self._copy(), self.shape
        held = int(twin.get_seq_length())
        size = (1, shape.kv_heads, 1, self._side.carrier.width)
        nothing = torch.zeros(size, dtype=self._side.carrier.dtype)
        # Before transformers 5.3 a static cache had to be told where a token goes.
        at = {"cache_position": torch.tensor([held])}
        keys, values = [], []
        for layer in range(shape.layers):
            k, v = self._updated(twin, nothing, layer, at)
            # A static cache hands out its empty places as well; all hand out the new token.
            rows = min(held, k.shape[-2] - 1)
            keys.append([one[:rows, : shape.d_k].float().numpy() for one in k[0]])
            values.append([one[:rows, : shape.d_v].float().numpy() for one in v[0]])
        return keys, values

    def _updated(self, cache: Any, nothing: Any, layer: int, at: Mapping[str, Any]) -> Any:
        """The keys and values that ``update`` returns: [1, KV heads, rows, d] each."""
        try:
            given = cache.update(nothing, nothing, layer, at)
        except Exception as error:
            raise explained(error, f"{self.what}.update") from error
        fits = isinstance(given, tuple) and len(given) == 2 and all(
            isinstance(x, torch.Tensor) and x.ndim == 4 and x.shape[:2] == nothing.shape[:2]
            and x.shape[2] >= 1 and x.shape[3] >= nothing.shape[3]
            for x in given
        )  # fmt: skip
        if not fits or given[0].shape[2] != given[1].shape[2]:
            raise BadInput(
                f"{self.what}.update returns no rows that can be read: it must return keys and "
                f"values, [1, {nothing.shape[1]}, rows, {nothing.shape[3]}] each. Use bob=asks."
            )
        return given

    # -- what it says of itself ------------------------------------------------------------------

    def memories(self) -> Memories:
        """The four memories, public constants left out of logical and resident."""
        logical, resident = sizes(Packing(self.cache, self._side.skeleton).sent)
        claimed, basis = _own_word(self.cache)
        return Memories(logical, resident, claimed=claimed, basis=basis)


def _mask_sizes(cache: Any, m: int, layer: int) -> tuple[int, int]:
    """How many keys a pass over m tokens attends to in a layer, and the place of the first.

    The signature changed with transformers.
    """
    sizes: Callable[..., Any] = cache.get_mask_sizes
    first = next(iter(inspect.signature(sizes).parameters))
    held = int(cache.get_seq_length())
    given = torch.arange(held, held + m) if first == "cache_position" else m
    columns, offset = sizes(given, layer)
    return int(columns), int(offset)


def _own_word(cache: Any) -> tuple[int | None, str]:
    """What a class says that it occupies, in bytes, and by which of its members."""
    for name in _OWN_WORDS:
        said = getattr(cache, name, None)
        try:
            said = said() if callable(said) else said
        except Exception:
            # Its own accounting fails: it has said nothing.
            continue
        if isinstance(said, Mapping):
            found = [key for key in _TOTALS if isinstance(said.get(key), int)]
            if found:
                return int(said[found[0]]), f"{name}()['{found[0]}']"
        elif isinstance(said, int) and not isinstance(said, bool):
            return said, f"{name}"
    return None, ""
