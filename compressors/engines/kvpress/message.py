"""What decoding needs after a press: the cache, what is masked in it, what waits for a next token.

The masked indices, three int64 a row on the module, are a set: they are sent as one bit a row. What
a decoding press keeps between its rounds is sent too, where the stream may go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from kvpress import BasePress
from transformers import DynamicCache

from ....errors import BadInput
from ...plugin.contract import Shape
from ..hf.torch_graph import World
from ..hf.torch_skeleton import Skeleton
from ..hf.torch_state import pack_state, unpack_state
from .factory import members

#: what presses keep by layer from one decoded token to the next
_WAITING = ("hidden_states_buffer", "layer_step_counts", "_running_attn_sum", "scores_buffer")


@dataclass
class PressState:
    """A compressed cache and what belongs to it.

    Attributes:
        keys, values: of every layer, [KV heads, tokens kept, width].
        masked: the rows hidden from attention in each layer, bool[KV heads, tokens]; or None.
        seen: tokens taken one by one.
        waiting: of each press, what it keeps by layer: {attribute: {layer: value}}.
    """

    keys: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    masked: list[Any] = field(default_factory=list)
    seen: int = 0
    waiting: list[dict[str, Any]] = field(default_factory=list)

    def pack(self) -> bytes:
        """Return it as bytes."""
        return pack_state(self, _EMPTY)

    def as_cache(self) -> Any:
        """Return a cache of transformers that holds the layers."""
        cache = DynamicCache()
        for layer, (K, V) in enumerate(zip(self.keys, self.values, strict=True)):
            cache.update(K[None], V[None], layer)
        return cache


_EMPTY = Skeleton(PressState(), World())


def unpack(message: bytes, shape: Shape, width: int, dtype: Any) -> PressState:
    """Read a message.

    Raises:
        BadInput: the bytes are not a message of a press on such a stream.
    """
    state: PressState = unpack_state(message, _EMPTY)
    try:
        held = list(zip(state.keys, state.values, state.masked, strict=True))
        kept = [(shape.kv_heads, K.shape[1]) for K, _, _ in held]
        fits = len(held) == shape.layers and type(state.seen) is int and all(
            _is(K, (*rows, width), dtype) and _is(V, (*rows, width), dtype)
            and (mask is None or _is(mask, rows, torch.bool))
            for rows, (K, V, mask) in zip(kept, held, strict=True)
        )  # fmt: skip
        fits = fits and all(
            name in _WAITING and isinstance(kept, dict)
            for press in state.waiting
            for name, kept in press.items()
        )
    except (AttributeError, IndexError, TypeError, ValueError):
        fits = False
    if not fits:
        raise BadInput(
            f"A message of {len(message)} bytes does not fit a press on {shape.layers} layers "
            f"of {shape.kv_heads} heads: build Alice and Bob from the same public parameters."
        )
    return state


def waiting_in(press: BasePress) -> list[dict[str, Any]]:
    """Return what a press, and each inside it, keeps between two tokens."""
    return [
        {name: dict(vars(part)[name]) for name in _WAITING if vars(part).get(name)}
        for part in members(press)
    ]


def wait_with(press: BasePress, waiting: list[dict[str, Any]]) -> None:
    """Give a press back what it kept."""
    for part, kept in zip(members(press), waiting, strict=False):
        for name in _WAITING:
            if name in vars(part):
                vars(part)[name].clear()
                vars(part)[name].update(kept.get(name, {}))


def tensors_in(thing: Any) -> list[Any]:
    """Return the tensors in nested containers."""
    if isinstance(thing, torch.Tensor):
        return [thing]
    if isinstance(thing, Mapping):
        return tensors_in(list(thing.values()))
    return (
        [t for part in thing for t in tensors_in(part)] if isinstance(thing, list | tuple) else []
    )


def _is(tensor: Any, shape: tuple[int, ...], dtype: Any) -> bool:
    return isinstance(tensor, torch.Tensor) and tensor.shape == shape and tensor.dtype == dtype
