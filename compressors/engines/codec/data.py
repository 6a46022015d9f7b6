"""What a codec returned, as plain data that travels, and back: tensors, arrays, objects.

Plain data goes by ``compressors.plugin.plain``. What else may occur is written as a deque:

=============================  =================================================================
``[array]``                    a torch tensor
``[number, *fields]``          an object of the class of that number (``Kinds``)
``[True, number, *columns]``   a list of such objects, field by field
``[True, None, names, *...]``  a list of dicts of the same names, name by name
``[~number]``                  what is no data, and lies on both sides: a dtype, a lock, a function
``[None, maxlen, items]``      a deque
=============================  =================================================================

Only the classes of ``Kinds`` are ever built, and building calls nothing of theirs but ``__new__``.
"""

from __future__ import annotations

import dataclasses
import enum
import operator
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....errors import PluginFailure
from ...plugin.machinery import alike
from ...plugin.packing import attributes, same

# Types of torch that NumPy has not: the integer of their width, under which their bits travel.
_AS_INTEGERS = {
    "bfloat16": "int16",
    "float8_e4m3fn": "uint8",
    "float8_e4m3fnuz": "uint8",
    "float8_e5m2": "uint8",
    "float8_e5m2fnuz": "uint8",
}


@dataclass
class Kinds:
    """What both sides know beside the data: classes of objects, and things that are no data.

    Attributes:
        objects: classes, by number.
        things: machinery, members of enums, dtypes, devices and classes, by number.
        learning: what is met and unknown is added, as in a rehearsal, which both sides play.
    """

    objects: list[type] = field(default_factory=list)
    things: list[Any] = field(default_factory=list)
    learning: bool = False


def as_plain(data: Any, kinds: Kinds, name: str) -> Any:
    """Return what a codec returned as plain data; tensors become arrays of their elements alone.

    Raises:
        PluginFailure: a tensor is not a plain CPU tensor, or an object's class is not known.
    """
    if isinstance(data, _torch_tensor()):
        return deque([_to_array(data, name)])
    kind = type(data)
    if kind in kinds.objects:
        return deque([kinds.objects.index(kind), *as_plain(_fields(data), kinds, name)])
    if kind is list and len(data) > 1:
        columns = _columns(data, kinds, name)
        return columns or [as_plain(item, kinds, name) for item in data]
    if kind in (list, tuple):
        return kind(as_plain(item, kinds, name) for item in data)
    if kind is dict:
        return {key: as_plain(item, kinds, name) for key, item in data.items()}
    if kind is deque:
        return deque([None, data.maxlen, as_plain(list(data), kinds, name)])
    if isinstance(data, tuple) and not hasattr(kind, "_fields"):
        return as_plain(tuple(data), kinds, name)
    if _is_thing(data):
        return _thing(data, kinds)
    if kinds.learning and _is_object(data):
        kinds.objects.append(kind)
        return as_plain(data, kinds, name)
    if _is_object(data):
        raise PluginFailure(
            f"{name} returned a {kind.__name__}: list the class in objects = ({kind.__name__},)."
        )
    return data


def from_plain(data: Any, kinds: Kinds) -> Any:
    """Return what :func:`as_plain` was given.

    Raises:
        ValueError, TypeError, IndexError: :func:`as_plain` did not make the data.
    """
    if type(data) is deque:
        return _from_mark(data, kinds)
    if type(data) in (list, tuple):
        return type(data)(from_plain(item, kinds) for item in data)
    if type(data) is dict:
        return {key: from_plain(item, kinds) for key, item in data.items()}
    return data


def _from_mark(data: deque[Any], kinds: Kinds) -> Any:
    if len(data) == 1 and isinstance(data[0], np.ndarray):
        return _to_tensor(data[0])
    mark, *rest = data
    if mark is None:
        maxlen, items = rest
        return deque(from_plain(items, kinds), maxlen)
    if type(mark) is int and mark < 0:
        return kinds.things[~mark]
    if type(mark) is int:
        return _object(kinds.objects[mark], from_plain(rest, kinds))
    if mark is not True:
        raise ValueError("no such mark")
    number, *columns = rest
    if type(number) is int:
        if number < 0:
            raise ValueError("no such class")
        rows = zip(*from_plain(columns, kinds), strict=True)
        return [_object(kinds.objects[number], list(row)) for row in rows]
    names, *columns = columns
    rows = zip(*from_plain(columns, kinds), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _columns(items: list[Any], kinds: Kinds, name: str) -> deque[Any] | None:
    """A list of objects of one class, or of dicts of the same names, without a header for each."""
    kind = type(items[0])
    if any(type(item) is not kind for item in items):
        return None
    if kinds.learning and _is_object(items[0]) and kind not in kinds.objects:
        kinds.objects.append(kind)
    if kind is dict:
        names = list(items[0])
        if not names or any(list(item) != names for item in items):
            return None
        columns = [[item[key] for item in items] for key in names]
        return deque([True, None, names, *(as_plain(one, kinds, name) for one in columns)])
    if kind not in kinds.objects:
        return None
    fields = [_fields(item) for item in items]
    columns = [list(column) for column in zip(*fields, strict=True)]
    return deque(
        [True, kinds.objects.index(kind), *(as_plain(one, kinds, name) for one in columns)]
    )


def _is_object(data: Any) -> bool:
    """Whether it is an object of somebody's class, with fields that can be read and set."""
    kind = type(data)
    if kind.__module__.partition(".")[0] in sys.stdlib_module_names:
        return False
    if isinstance(data, tuple) or dataclasses.is_dataclass(data):
        return True
    plain = not isinstance(data, np.ndarray | np.generic | str | bytes | int | float | list | dict)
    return plain and bool(attributes(data))


def _is_thing(data: Any) -> bool:
    if isinstance(data, enum.Enum | np.dtype | type):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(data, torch.dtype | torch.device | torch.layout):
        return True
    return alike(data, data, operator.is_) is not None


def _thing(data: Any, kinds: Kinds) -> Any:
    for number, known in enumerate(kinds.things):
        if same(known, data):
            return deque([~number])
    if not kinds.learning:
        return data  # refused where it is packed, with its place
    kinds.things.append(data)
    return deque([-len(kinds.things)])


def leaves(data: Any, kinds: Kinds) -> Iterator[Any]:
    """The tensors, arrays and bytes in the data."""
    if isinstance(data, (bytes, bytearray, np.ndarray, _torch_tensor())):
        yield data
    elif type(data) in kinds.objects:
        yield from leaves(_fields(data), kinds)
    elif isinstance(data, list | tuple | deque):
        for item in data:
            yield from leaves(item, kinds)
    elif isinstance(data, dict):
        for item in data.values():
            yield from leaves(item, kinds)


def to_numpy(data: Any) -> np.ndarray[Any, Any] | None:
    """Return an array, a tensor or a list of them as float32 NumPy, or None for anything else."""
    if isinstance(data, list | tuple) and data:
        parts = [to_numpy(item) for item in data]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts) or len({part.shape for part in known}) > 1:
            return None
        return np.stack(known)
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
    set_fields(made, named)
    return made


def set_fields(made: Any, named: Mapping[Any, Any]) -> None:
    """Set attributes that came in a message; ValueError for a name that is a method's."""
    for name, value in named.items():
        method = callable(getattr(type(made), name, None)) if isinstance(name, str) else True
        if method or name.startswith("__"):
            raise ValueError("no such attribute")
        object.__setattr__(made, name, value)
