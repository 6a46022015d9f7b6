"""What hangs on a cache object: the graph of containers, objects and tensors, and copies of it.

A cache is somebody's class with tensors somewhere below. It is walked by structure: containers,
instances by their attributes, tensors, tensors of tensors (subclasses with
``__tensor_flatten__``). What has no structure in Python, such as a function, a dtype or a class, is
opaque: the same on both sides or not sent.

Some packages' tensors cannot be deep-copied, and a slice keeps all of what it was cut from:
copies here clone every tensor compactly.
"""

from __future__ import annotations

import copy
import enum
import functools
import logging
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from ...plugin.machinery import alike
from ...plugin.packing import attributes
from ...plugin.sharing import Layout, layout_of, shared

PLAIN, SIZE, OPAQUE, METHOD, TUPLE = "plain", "size", "opaque", "method", "tuple"
LIST, DICT, SET, DEQUE, OBJECT = "list", "dict", "set", "deque", "object"
TENSOR, WRAPPED, ARRAY = "tensor", "wrapped", "array"
IDENTIFIED = frozenset((LIST, DICT, SET, DEQUE, OBJECT, TENSOR, WRAPPED, ARRAY))
"""Kinds of which two places may hold the same one, and changing it in one changes the other."""

_PLAIN = frozenset((type(None), bool, int, float, str, bytes))
_MACHINERY = (
    type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, types.CodeType,
    functools.partial, property, enum.Enum, logging.Logger, torch.Generator,
)  # fmt: skip
_CONTAINERS = ((list, LIST), (tuple, TUPLE), (dict, DICT), (set, SET), (deque, DEQUE))

ABSENT = object()
"""Where the other side has nothing."""


class World:
    """Objects that both sides have anyway, such as the model: opaque, and never copied."""

    def __init__(self, shared: Iterable[Any] = ()) -> None:
        # The objects are kept, so that no other gets one of these ids.
        self._kept = list(shared)
        self._ids = {id(one) for one in self._kept}

    def kind(self, x: Any) -> str:
        """Return what kind of node a value is."""
        if type(x) in _PLAIN:
            return PLAIN
        if id(x) in self._ids or x is ABSENT:
            return OPAQUE
        if isinstance(x, torch.Tensor):
            return WRAPPED if is_traceable_wrapper_subclass(x) else TENSOR
        if type(x) is torch.Size:
            return SIZE
        if isinstance(x, np.ndarray | np.generic):
            return ARRAY
        for container, kind in _CONTAINERS:
            if isinstance(x, container):
                return kind
        if isinstance(x, types.MethodType):
            return METHOD
        if isinstance(x, _MACHINERY):
            return OPAQUE
        return OBJECT if hasattr(x, "__dict__") or attributes(x) else OPAQUE


def parts(x: Any, kind: str) -> list[Any]:
    """Return the children of a node, in an order that both sides have."""
    if kind in (LIST, TUPLE, DEQUE):
        return list(x)
    if kind == DICT:
        return [one for pair in x.items() for one in pair]
    if kind == SET:
        return sorted(x, key=lambda one: (type(one).__name__, repr(one)))
    if kind == OBJECT:
        return [value for _, value in sorted(attributes(x).items())]
    if kind == WRAPPED:
        names, meta = x.__tensor_flatten__()
        return [meta, *(getattr(x, name) for name in names)]
    return [x.__self__] if kind == METHOD else []


def label(x: Any, kind: str) -> Any:
    """Return what of a node is neither in its children nor in its leaf's bits."""
    if kind in (LIST, TUPLE, DICT, SET):
        return len(x)
    if kind == DEQUE:
        return len(x), x.maxlen
    if kind == SIZE:
        return tuple(x)
    if kind == OBJECT:
        return sorted(attributes(x))
    if kind == WRAPPED:
        return x.__tensor_flatten__()[0], tuple(x.shape), tuple(x.stride())
    if kind == METHOD:
        return x.__func__
    if kind == TENSOR:
        return x.dtype, tuple(x.shape)
    return (x.dtype, x.shape) if kind == ARRAY else None


def is_exact(x: Any, kind: str) -> bool:
    """Whether a container is Python's own and no subclass of it."""
    return any(kind == name and type(x) is container for container, name in _CONTAINERS)


def raw(x: Any) -> bytes:
    """Return the elements of a plain CPU tensor or of an array, in C order; booleans as bits."""
    if isinstance(x, torch.Tensor):
        flat = x.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
        array = flat.numpy() if x.dtype is torch.bool else flat.view(torch.uint8).numpy()
        return np.packbits(array).tobytes() if x.dtype is torch.bool else array.tobytes()
    return np.asarray(x).tobytes()


def layout(x: Any) -> Layout:
    """Where the elements of a dense CPU tensor or an array lie, from address 0.

    What is not its memory as it lies there, as a lazily conjugated tensor, has an empty one.
    """
    if isinstance(x, np.ndarray):
        return layout_of(x)
    if not isinstance(x, torch.Tensor) or x.is_conj() or x.is_neg():
        return Layout(0, (0,), (0,), 1)
    size = x.element_size()
    return Layout(x.data_ptr(), tuple(x.shape), tuple(s * size for s in x.stride()), size)


def elements(x: Any) -> NDArray[np.uint8]:
    """The bytes of a dense CPU tensor's or an array's elements: uint8[*shape, itemsize]."""
    if isinstance(x, torch.Tensor):
        shape = (*x.shape, x.element_size())
        own: NDArray[np.uint8] = x.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
        return own.reshape(shape)
    flat = np.frombuffer(np.ascontiguousarray(x).tobytes(), np.uint8)
    return flat.reshape(*x.shape, x.itemsize)


def tensor_over(memory: Any, at: Layout, dtype: torch.dtype) -> Any:
    """A tensor of this layout over memory, a tensor of bytes; writing into it shows in others.

    Raises:
        ValueError, RuntimeError: it lies across the places of elements, or beyond the memory.
    """
    steps = (at.start, *at.strides)
    if dtype.itemsize != at.itemsize or any(one % at.itemsize for one in steps):
        raise ValueError("another dtype")
    start, *strides = (one // at.itemsize for one in steps)
    new = torch.empty(0, dtype=dtype)
    return new.set_(memory.untyped_storage(), start, at.shape, tuple(strides))


def same_opaque(a: Any, b: Any) -> bool:
    """Whether two opaque values are the same thing: machinery as ``plugin.machinery`` says."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return label(a, TENSOR) == label(b, TENSOR) and raw(a) == raw(b)
    try:
        found = alike(a, b, same_opaque)
        if found is None and isinstance(a, list | tuple | dict):
            pairs = zip(_items(a), _items(b), strict=True)
            found = all(same_opaque(one, other) for one, other in pairs)
        return bool(a == b) if found is None else found
    except Exception:
        # An author's ==; what cannot be compared is not known to be the same.
        return False


def _items(x: Any) -> list[Any]:
    return [one for pair in x.items() for one in pair] if isinstance(x, dict) else list(x)


def clone_tensor(x: Any) -> Any:
    """Return a compact copy that shares nothing."""
    return x.detach().clone(memory_format=torch.contiguous_format)


def empty_like(model: Any) -> Any:
    """Return a container like ``model``, a subclass of Python's own or not, with nothing in it."""
    new = copy.copy(model)
    new.clear()
    return new


def filled(model: Any, kind: str, items: list[Any], new: Any = None) -> Any:
    """Return a container of the class of ``model`` with these items, in ``new`` if it has one."""
    if kind == TUPLE:
        return tuple.__new__(type(model), items)
    if kind == DICT:
        new.update(zip(items[0::2], items[1::2], strict=True))
    elif kind == SET:
        new.update(items)
    else:
        new.extend(items)
    return new


def set_attribute(new: Any, name: str, value: Any) -> None:
    """Set an attribute past a ``__setattr__``, a property or a class attribute of that name."""
    slot = getattr(type(new), name, None)
    if isinstance(slot, types.MemberDescriptorType):
        slot.__set__(new, value)
    else:
        new.__dict__[name] = value


def copy_graph(
    x: Any,
    world: World,
    memo: dict[int, tuple[Any, Any]] | None = None,
    made: Callable[[Any, Any], None] = lambda old, new: None,
) -> Any:
    """Return a copy of a graph; opaque nodes are shared, and tensors over the same bytes stay so.

    ``memo`` has the old and the new of what was copied, by the id of the old. ``made(old, new)`` is
    called for every node of an ``IDENTIFIED`` kind before its children are copied; ``new`` is None
    for a wrapped tensor, which is made after them.
    """
    memo = {} if memo is None else memo
    return _copied(x, world, memo, made, _over_common_memory(x, world))


def _over_common_memory(x: Any, world: World) -> dict[int, Any]:
    """Copies of the tensors that share bytes with others of the graph, by the id of the old."""
    found = list(_tensors(x, world, set()))
    copies: dict[int, Any] = {}
    for one in shared([layout(tensor) for tensor in found]):
        memory = torch.zeros(len(one.touched), dtype=torch.uint8)
        for i, at in zip(one.members, one.layouts, strict=True):
            at.over(memory.numpy())[...] = elements(found[i])
            copies[id(found[i])] = tensor_over(memory, at, found[i].dtype)
    return copies


def _tensors(x: Any, world: World, seen: set[int]) -> Iterator[Any]:
    kind = world.kind(x)
    if kind in (PLAIN, OPAQUE, SIZE) or id(x) in seen:
        return
    if kind in IDENTIFIED:
        seen.add(id(x))
    if kind == TENSOR:
        if x.device.type == "cpu" and x.layout is torch.strided:
            yield x
        return
    for part in parts(x, kind):
        yield from _tensors(part, world, seen)


def _copied(
    x: Any,
    world: World,
    memo: dict[int, tuple[Any, Any]],
    made: Callable[[Any, Any], None],
    copies: dict[int, Any],
) -> Any:
    kind = world.kind(x)
    if kind in (PLAIN, OPAQUE, SIZE):
        return x
    if id(x) in memo:
        return memo[id(x)][1]

    def children() -> list[Any]:
        return [_copied(part, world, memo, made, copies) for part in parts(x, kind)]

    if kind == METHOD:
        return types.MethodType(x.__func__, children()[0])
    if kind == TUPLE:
        return filled(x, kind, children())
    if kind == WRAPPED:
        made(x, None)
        memo[id(x)] = x, None
        meta, *inner = children()
        names = x.__tensor_flatten__()[0]
        inside = dict(zip(names, inner, strict=True))
        new = type(x).__tensor_unflatten__(inside, meta, x.shape, x.stride())
        memo[id(x)] = x, new
        return new
    if kind == TENSOR:
        new = copies[id(x)] if id(x) in copies else clone_tensor(x)
    elif kind == ARRAY:
        new = x.copy()
    elif kind == OBJECT:
        new = object.__new__(type(x))
    else:
        new = empty_like(x)
    memo[id(x)] = x, new
    made(x, new)
    if kind == OBJECT:
        for name, value in zip(sorted(attributes(x)), children(), strict=True):
            set_attribute(new, name, value)
    elif kind not in (TENSOR, ARRAY):
        filled(x, kind, children(), new)
    return new
