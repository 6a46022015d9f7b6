"""Arrays [tokens, layers, heads, d] in the axes that a codec asks for, and its answers back."""

from __future__ import annotations

import math
from itertools import product
from typing import Any, Protocol

import numpy as np

from ....errors import PluginFailure
from ...plugin.contract import Float32, Shape
from .data import to_numpy

_OURS = "nlhd"


class Called(Protocol):
    """How a codec wants its arrays (``calling.Way``)."""

    @property
    def tensors(self) -> str:
        """ "numpy" or "torch"."""

    @property
    def axes(self) -> str:
        """Of all tokens."""

    @property
    def dtype(self) -> str:
        """Of the numbers."""


def split(array: Float32, way: Called) -> list[Any]:
    """Cut float32[n, layers, heads, d] into what each call is given, layer by layer, then heads.

    Each is a separate copy in the codec's axes, dtype and kind of tensor.
    """
    layout = way.axes
    places = ((range(size) if axis not in layout else (None,))
              for axis, size in zip("lh", array.shape[1:3], strict=True))  # fmt: skip
    calls = []
    for layer, head in product(*places):
        part = array[:, _index(layer), _index(head)]
        kept = [axis for axis in _OURS if axis in layout]
        part = part.reshape([s for axis, s in zip(_OURS, part.shape, strict=True) if axis in kept])
        part = part.transpose([kept.index(axis) for axis in layout if axis != "b"])
        if "b" in layout:
            part = np.expand_dims(part, layout.index("b"))
        calls.append(_typed(np.ascontiguousarray(part), way))
    return calls


def join(answers: list[Any], name: str, layout: str, shape: Shape, d: int) -> Float32:
    """Put the tensors that ``name`` returned together: float32[n, layers, heads, d].

    An axis of length 1 may be missing, or be there beside those of ``layout``.

    Raises:
        PluginFailure: one is not an array of numbers, has another shape, or is not finite.
    """
    sizes = {"l": shape.layers, "h": shape.kv_heads, "d": d, "b": 1}
    arrays = []
    for answer in answers:
        array = to_numpy(answer)
        if array is None:
            raise PluginFailure(
                f"{name} returned a {type(answer).__name__}: it must return arrays "
                f"or tensors of numbers, {_wanted(layout, sizes)}."
            )
        array = _with_single_axes(array, layout, sizes)
        fits = array.ndim == len(layout) and all(
            sizes.get(axis, size) == size for axis, size in zip(layout, array.shape, strict=True)
        )
        if not fits:
            found = ", ".join(map(str, array.shape))
            raise PluginFailure(f"{name} returned [{found}]: it must be {_wanted(layout, sizes)}.")
        if not np.isfinite(array).all():
            raise PluginFailure(f"{name} returned NaN or infinity.")
        if "b" in layout:
            array = array.squeeze(layout.index("b"))
        kept = layout.replace("b", "")
        arrays.append(array.transpose([kept.index(axis) for axis in _OURS if axis in kept]))
    if len({array.shape for array in arrays}) != 1:
        raise PluginFailure(f"{name} returned different numbers of tokens.")
    n = len(arrays[0])
    if "l" in layout and "h" not in layout:  # a call a head, each with all layers
        return np.stack(arrays, axis=2).reshape(n, shape.layers, shape.kv_heads, d)
    return np.stack(arrays, axis=1).reshape(n, shape.layers, shape.kv_heads, d)


def _with_single_axes(
    array: np.ndarray[Any, Any], layout: str, sizes: dict[str, int]
) -> np.ndarray[Any, Any]:
    """The array in the axes of ``layout`` if it differs from them in axes of length 1 alone."""
    tokens = array.size // max(1, math.prod(sizes[axis] for axis in layout if axis != "n"))
    wanted = [sizes.get(axis, tokens) for axis in layout]
    told = [size for size in wanted if size != 1]
    if tokens < 2:
        return array
    return array.reshape(wanted) if [s for s in array.shape if s != 1] == told else array


def _index(place: int | None) -> slice:
    return slice(None) if place is None else slice(place, place + 1)


def _wanted(layout: str, sizes: dict[str, int]) -> str:
    return "[" + ", ".join(str(sizes.get(axis, "tokens")) for axis in layout) + "]"


def _typed(array: Float32, way: Called) -> Any:
    if way.tensors == "torch":
        import torch

        return torch.tensor(array).to(getattr(torch, way.dtype))
    if way.dtype == "bfloat16":
        import ml_dtypes

        return array.astype(ml_dtypes.bfloat16)
    return array.astype(way.dtype)
