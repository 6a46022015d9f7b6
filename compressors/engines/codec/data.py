"""What a codec returned, as plain data that travels, and back: tensors, arrays, declared objects.

Plain data goes by ``compressors.plugin.plain``. Two things more may occur in it, each as a deque,
which authors may not return: a torch tensor is a deque of one array, an object of a declared class
a deque of its number among the classes and its fields. Only declared classes are ever built, and
building calls nothing of theirs but ``__new__``.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from ....errors import PluginFailure
from ...plugin.packing import attributes

# Types of torch that NumPy has not: the integer of their width, under which their bits travel.
_AS_INTEGERS = {
    "bfloat16": "int16",
    "float8_e4m3fn": "uint8",
    "float8_e4m3fnuz": "uint8",
    "float8_e5m2": "uint8",
    "float8_e5m2fnuz": "uint8",
}


def as_plain(data: Any, objects: tuple[type, ...], name: str) -> Any:
    """Return what a codec returned as plain data; tensors become arrays of their elements alone.

    Raises:
        PluginFailure: a tensor is not a plain CPU tensor, or the data has a deque.
    """
    if isinstance(data, _torch_tensor()):
        return deque([_to_array(data, name)])
    if type(data) in objects:
        return deque([objects.index(type(data)), *as_plain(_fields(data), objects, name)])
    if type(data) in (list, tuple):
        return type(data)(as_plain(item, objects, name) for item in data)
    if type(data) is dict:
        return {key: as_plain(item, objects, name) for key, item in data.items()}
    if type(data) is deque:
        raise PluginFailure(f"{name} returned a deque: make it a list.")
    if dataclasses.is_dataclass(data) or isinstance(data, tuple):
        kind = type(data).__name__
        raise PluginFailure(f"{name} returned a {kind}: list the class in objects = ({kind},).")
    return data


def from_plain(data: Any, objects: tuple[type, ...]) -> Any:
    """Return what :func:`as_plain` was given.

    Raises:
        ValueError, TypeError, IndexError: :func:`as_plain` did not make the data.
    """
    if type(data) is deque:
        if len(data) == 1 and isinstance(data[0], np.ndarray):
            return _to_tensor(data[0])
        number, *fields = data
        if type(number) is not int or not 0 <= number < len(objects):
            raise ValueError("no declared class")
        return _object(objects[number], from_plain(fields, objects))
    if type(data) in (list, tuple):
        return type(data)(from_plain(item, objects) for item in data)
    if type(data) is dict:
        return {key: from_plain(item, objects) for key, item in data.items()}
    return data


def leaves(data: Any, objects: tuple[type, ...]) -> Iterator[Any]:
    """The tensors, arrays and bytes in the data."""
    if isinstance(data, (bytes, bytearray, np.ndarray, _torch_tensor())):
        yield data
    elif type(data) in objects:
        yield from leaves(_fields(data), objects)
    elif isinstance(data, list | tuple):
        for item in data:
            yield from leaves(item, objects)
    elif isinstance(data, dict):
        for item in data.values():
            yield from leaves(item, objects)


def to_numpy(data: Any) -> np.ndarray[Any, Any] | None:
    """Return an array or tensor as float32 NumPy, or None for what is neither or not numbers."""
    if isinstance(data, _torch_tensor()):
        data = data.detach().float().cpu().numpy()
    if not isinstance(data, np.ndarray):
        return None
    numbers = data.dtype.kind in "fiu" or data.dtype.type.__module__.startswith("ml_dtypes")
    return data.astype(np.float32) if numbers else None


def _torch_tensor() -> Any:
    """The class of tensors, or none: without an import of torch there are no tensors."""
    torch = sys.modules.get("torch")
    return torch.Tensor if torch is not None else ()


def _to_array(tensor: Any, name: str) -> np.ndarray[Any, Any]:
    import torch

    kind = str(tensor.dtype).removeprefix("torch.")
    plain = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.layout == torch.strided
    if not plain or tensor.is_quantized or tensor.device.type != "cpu":
        raise PluginFailure(
            f"{name} returned a {type(tensor).__name__} of {kind} on {tensor.device}, which is "
            "not a plain CPU tensor: return the tensors that it consists of."
        )
    # As it lies in memory, so that what shares it is found (``plugin.sharing``).
    whole = tensor.detach().resolve_conj().resolve_neg()
    if kind in _AS_INTEGERS:
        import ml_dtypes

        bits = whole.view(getattr(torch, _AS_INTEGERS[kind])).numpy()
        return np.asarray(bits.view(getattr(ml_dtypes, kind)))
    return np.asarray(whole.numpy())


def _to_tensor(array: np.ndarray[Any, Any]) -> Any:
    import torch

    kind = array.dtype.name
    if kind in _AS_INTEGERS:
        return torch.from_numpy(array.view(_AS_INTEGERS[kind])).view(getattr(torch, kind))
    return torch.from_numpy(array)


def _fields(data: Any) -> list[Any]:
    if isinstance(data, tuple):
        return list(data)
    if dataclasses.is_dataclass(data):
        return [getattr(data, one.name) for one in dataclasses.fields(data)]
    return [attributes(data)]


def _object(cls: type, fields: list[Any]) -> Any:
    if issubclass(cls, tuple):
        return tuple.__new__(cls, fields)
    made = object.__new__(cls)
    if dataclasses.is_dataclass(cls):
        named = dict(zip((one.name for one in dataclasses.fields(cls)), fields, strict=True))
    else:
        (named,) = fields
    for name, value in named.items():
        if not isinstance(name, str) or name.startswith("__") or callable(getattr(cls, name, None)):
            raise ValueError("no such attribute")
        object.__setattr__(made, name, value)
    return made
