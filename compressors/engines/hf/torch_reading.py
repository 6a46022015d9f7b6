"""Messages of ``torch_state`` read: only what they may say, and nothing that could run."""

from __future__ import annotations

import math
import types
from collections import deque
from typing import Any

import numpy as np
import torch

from ...plugin.packing import attributes
from ...plugin.sharing import Memory
from .torch_codes import (
    AGAIN,
    ALIKE,
    ARRAY_VIEWS,
    ARRAYS,
    BUILTIN,
    CONTAINER_OF,
    DTYPES,
    LIKE,
    METHODS,
    OBJECTS,
    OPAQUES,
    SIZES,
    TENSORS,
    VIEWS,
    WRAPPERS,
)
from .torch_graph import (
    ABSENT,
    DEQUE,
    METHOD,
    OBJECT,
    OPAQUE,
    PLAIN,
    TENSOR,
    TUPLE,
    WRAPPED,
    copy_graph,
    empty_like,
    filled,
    parts,
    set_attribute,
    tensor_over,
)
from .torch_skeleton import Skeleton


class Reading:
    """A tree made a graph. Any exception means that the bytes are not ours."""

    def __init__(self, skeleton: Skeleton, memories: list[Any]) -> None:
        self._memories = [Memory(one).filled() for one in memories]
        self._skeleton, self._world = skeleton, skeleton.world
        self._made: list[Any] = []
        # What of the skeleton was copied, kept alive as its id stands for it.
        self._taken: dict[int, Any] = {}

    def _known(self, number: Any, kind: str) -> Any:
        if type(number) is not int or number < 0:
            raise ValueError("no number")
        found = self._skeleton.known[number]
        if self._world.kind(found) != kind:
            raise ValueError("another kind")
        return found

    def node(self, tree: Any, s: Any) -> Any:
        """Return the value of a tree, where the skeleton has ``s``."""
        if type(tree) is not list:
            if self._world.kind(tree) != PLAIN:
                raise ValueError("not plain")
            return tree
        if not tree:
            return self._copied(s)
        code, *rest = tree
        if code == AGAIN:
            return self._again(rest)
        if code in (LIKE, TENSORS, ARRAYS):
            return self._leaf(code, rest, s)
        if code in (VIEWS, ARRAY_VIEWS):
            return self._view(code, *rest)
        if code == SIZES:
            return torch.Size(rest)
        if code == OPAQUES:
            return self._known(rest[0], OPAQUE)
        if code == METHODS:
            method = self._known(rest[0], METHOD)
            return types.MethodType(method.__func__, self.node(rest[1], ABSENT))
        if code == WRAPPERS:
            return self._wrapped(rest)
        if code == ALIKE:
            if self._world.kind(s) != OBJECT:
                raise ValueError("no object here")
            return self._object(s, sorted(attributes(s)), rest)
        if code == OBJECTS:
            number, names, *values = rest
            if not all(_is_name(name) for name in names):
                raise ValueError("no attribute")
            return self._object(self._known(number, OBJECT), names, values)
        return self._container(CONTAINER_OF[code], rest, s)

    def _copied(self, s: Any) -> Any:
        if s is ABSENT:
            raise ValueError("nothing here")
        places: dict[int, int] = {}

        def made(old: Any, new: Any) -> None:
            if id(old) in self._taken:
                raise ValueError("a second copy")
            self._taken[id(old)] = old
            places[id(old)] = len(self._made)
            self._made.append(new)

        memo: dict[int, tuple[Any, Any]] = {}
        new = copy_graph(s, self._world, memo, made)
        for number, place in places.items():
            self._made[place] = memo[number][1]
        return new

    def _again(self, rest: list[Any]) -> Any:
        number = rest[0]
        if type(number) is not int or number < 0 or self._made[number] is None:
            raise ValueError("not made yet")
        return self._made[number]

    def _leaf(self, code: int, rest: list[Any], s: Any) -> Any:
        if code == ARRAYS:
            name, shape, data = rest
            dtype = np.dtype(str(name))
            flat = np.frombuffer(data, dtype=dtype)
            new = flat[0] if shape is None else flat.reshape([int(one) for one in shape]).copy()
        elif code == LIKE:
            if self._world.kind(s) != TENSOR:
                raise ValueError("no tensor here")
            new = tensor_of(s.dtype, tuple(s.shape), rest[0])
        else:
            number, shape, data = rest
            new = tensor_of(DTYPES[number], tuple(int(one) for one in shape), data)
        self._made.append(new)
        return new

    def _view(self, code: int, memory: int, number: int, dtype: Any) -> Any:
        held = self._memories[memory]
        if code == ARRAY_VIEWS:
            new = held.array(number, np.dtype(str(dtype)))
        else:
            over = torch.from_numpy(held.memory)
            new = tensor_over(over, held.layouts[number], DTYPES[dtype])
        self._made.append(new)
        return new

    def _wrapped(self, rest: list[Any]) -> Any:
        number, size, stride, *inner = rest
        model = self._known(number, WRAPPED)
        place = len(self._made)
        self._made.append(None)
        meta, *values = self._nodes(inner, parts(model, WRAPPED))
        inside = dict(zip(model.__tensor_flatten__()[0], values, strict=True))
        new = type(model).__tensor_unflatten__(inside, meta, torch.Size(size), tuple(stride))
        self._made[place] = new
        return new

    def _object(self, model: Any, names: list[str], trees: list[Any]) -> Any:
        new = object.__new__(type(model))
        self._made.append(new)
        theirs = attributes(model)
        for name, tree in zip(names, trees, strict=True):
            set_attribute(new, name, self.node(tree, theirs.get(name, ABSENT)))
        return new

    def _container(self, kind: str, rest: list[Any], s: Any) -> Any:
        number, *trees = rest
        maxlen = trees.pop(0) if kind == DEQUE else None
        theirs = parts(s, kind) if self._world.kind(s) == kind else []
        if kind == TUPLE:
            model = () if number is None else self._known(number, kind)
            return filled(model, kind, self._nodes(trees, theirs))
        if number is not None:
            new = empty_like(self._known(number, kind))
        else:
            new = deque(maxlen=maxlen) if kind == DEQUE else BUILTIN[kind]()
        self._made.append(new)
        return filled(new, kind, self._nodes(trees, theirs), new)

    def _nodes(self, trees: list[Any], theirs: list[Any]) -> list[Any]:
        theirs = theirs + [ABSENT] * (len(trees) - len(theirs))
        return [self.node(tree, s) for tree, s in zip(trees, theirs, strict=False)]


def _is_name(name: Any) -> bool:
    return type(name) is str and name.isidentifier() and not name.startswith("__")


def tensor_of(dtype: Any, shape: tuple[int, ...], data: bytes) -> Any:
    """Return a tensor of its elements' bytes, whose count must be exact; booleans are bits."""
    count = math.prod(shape)
    bits = dtype is torch.bool
    if min(shape, default=0) < 0 or len(data) != (
        (count + 7) // 8 if bits else count * dtype.itemsize
    ):
        raise ValueError("bytes and shape disagree")
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    if bits:
        flat = np.unpackbits(np.frombuffer(data, np.uint8))[:count]
        return torch.from_numpy(flat.view(np.bool_)).reshape(shape).clone()
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)
