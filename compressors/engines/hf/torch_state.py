"""The state of any torch cache as bytes: its difference from a public skeleton, without pickle.

Both sides can build a fresh cache and play a public dummy stream of the same shape on it: that is
the skeleton. It has every class, function and constant; the message has the rest. What is bit-equal
at the same place in both is one byte. No class is named in a message: an object is "of the class of
the skeleton's number k". Tensors go as their own elements, so that a slice is paid for as a slice.

Bytes from a stranger can become plain data, tensors no longer than the bytes (booleans: 8 times),
at most one copy of each part of the skeleton, and instances of the skeleton's classes; anything
else is one ``BadInput``. (msgpack bounds the depth.)

A node is plain data as itself, or a list: empty for what the skeleton has at this place, else
[code, ...]. Nodes that can be shared are numbered on both sides as they are met. Tensors over the
same bytes are sent as layouts over memory that comes once, before the rest (``plugin.sharing``).
"""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import torch

from ....errors import BadInput, PluginFailure
from ...plugin.packing import attributes
from ...plugin.sharing import shared, written
from .torch_codes import (
    AGAIN,
    ALIKE,
    ARRAY_VIEWS,
    ARRAYS,
    CONTAINERS,
    DTYPES,
    LIKE,
    METHODS,
    OBJECTS,
    OPAQUES,
    SHARED,
    SIZES,
    TENSORS,
    VIEWS,
    WRAPPERS,
)
from .torch_graph import (
    ABSENT,
    ARRAY,
    DEQUE,
    DICT,
    IDENTIFIED,
    LIST,
    METHOD,
    OBJECT,
    OPAQUE,
    PLAIN,
    SIZE,
    TENSOR,
    TUPLE,
    WRAPPED,
    elements,
    is_exact,
    label,
    layout,
    parts,
    raw,
    same_opaque,
)
from .torch_reading import Reading
from .torch_skeleton import Skeleton


class Packing:
    """One cache made a message.

    Attributes:
        message: the bytes.
        sent: the tensors and arrays in it, as they lie in the cache.
    """

    def __init__(self, cache: Any, skeleton: Skeleton) -> None:
        apart = _Writing(cache, skeleton, {})
        self.sent = apart.sent
        self.message = apart.message
        memories = shared([layout(one) for one in self.sent])
        if not memories:
            return
        views: dict[int, tuple[int, int]] = {}
        trees = []
        for m, memory in enumerate(memories):
            members = [self.sent[i] for i in memory.members]
            trees.append(written(memory, [elements(one) for one in members]))
            numbered = zip(memory.numbers(), members, strict=True)
            views |= {id(one): (m, number) for number, one in numbered}
        tree = [SHARED, trees, _Writing(cache, skeleton, views).tree]
        self.message = min(self.message, msgpack.packb(tree, strict_types=True), key=len)


class _Writing:
    """A cache as a tree; ``views``: by the id of a tensor or array its memory and its layout."""

    def __init__(self, cache: Any, skeleton: Skeleton, views: dict[int, tuple[int, int]]) -> None:
        self._skeleton, self._world, self._views = skeleton, skeleton.world, views
        self._numbers: dict[int, int] = {}
        self._taken: set[int] = set()
        # What has a number stays alive, or another object could get its id.
        self._kept: list[Any] = []
        self.sent: list[Any] = []
        name = type(cache).__name__
        self.tree = self._node(cache, skeleton.root, name)
        try:
            self.message: bytes = msgpack.packb(self.tree, strict_types=True)
        except (OverflowError, ValueError) as error:
            raise PluginFailure(f"{name} cannot be sent: {error}.") from None

    def _node(self, x: Any, s: Any, path: str) -> Any:
        kind = self._world.kind(x)
        if kind == PLAIN:
            return [] if _same_plain(x, s) else x
        if id(x) in self._numbers:
            return [AGAIN, self._numbers[id(x)]]
        met: dict[int, tuple[Any, Any]] = {}
        if self._same(x, s, met):
            for mine, theirs in met.values():
                self._numbered(mine)
                self._kept.append(theirs)
                self._taken.add(id(theirs))
            return []
        if kind in IDENTIFIED:
            self._numbered(x)
        return self._written(x, s, kind, path)

    def _numbered(self, x: Any) -> None:
        self._kept.append(x)
        self._numbers[id(x)] = len(self._numbers)

    def _written(self, x: Any, s: Any, kind: str, path: str) -> Any:
        if kind == TENSOR:
            return self._tensor(x, s, path)
        if kind == ARRAY:
            if x.dtype.kind not in "biufc":
                raise PluginFailure(f"{path} is an array of {x.dtype}, which cannot be sent.")
            self.sent.append(x)
            if id(x) in self._views:
                return [ARRAY_VIEWS, *self._views[id(x)], x.dtype.str]
            shape = list(x.shape) if isinstance(x, np.ndarray) else None
            return [ARRAYS, x.dtype.str, shape, raw(x)]
        if kind == SIZE:
            return [SIZES, *x]
        number = None if is_exact(x, kind) else self._skeleton.like(x, kind, path)
        if kind == OPAQUE:
            return [OPAQUES, number]
        if kind == METHOD:
            return [METHODS, number, self._node(x.__self__, ABSENT, path)]
        if kind == OBJECT:
            return self._object(x, s, number, path)
        if kind == WRAPPED:
            model = s if type(s) is type(x) else self._skeleton.known[number or 0]
            inner = self._nodes(parts(x, kind), parts(model, kind), path)
            return [WRAPPERS, self._skeleton.number[id(model)], list(x.shape), list(x.stride()),
                    *inner]  # fmt: skip
        bound = [x.maxlen] if kind == DEQUE else []
        theirs = parts(s, kind) if self._world.kind(s) == kind else []
        inside = self._nodes(parts(x, kind), theirs, path, kind)
        return [CONTAINERS[kind], number, *bound, *inside]

    def _nodes(
        self, mine: list[Any], theirs: list[Any], path: str, kind: str = OBJECT
    ) -> list[Any]:
        theirs = theirs + [ABSENT] * (len(mine) - len(theirs))
        places = [path] * len(mine)
        if kind in (LIST, TUPLE, DEQUE):
            places = [f"{path}[{i}]" for i in range(len(mine))]
        elif kind == DICT:  # keys and values in turn
            places = [f"{path}[{mine[i - i % 2]!r}]" for i in range(len(mine))]
        return [self._node(x, s, at) for x, s, at in zip(mine, theirs, places, strict=False)]

    def _object(self, x: Any, s: Any, number: int | None, path: str) -> Any:
        mine = sorted(attributes(x).items())
        alike = type(s) is type(x) and label(s, OBJECT) == label(x, OBJECT)
        theirs = attributes(s if alike else self._skeleton.known[number or 0])
        values = [
            self._node(value, theirs.get(name, ABSENT), f"{path}.{name}") for name, value in mine
        ]
        return [ALIKE, *values] if alike else [OBJECTS, number, [n for n, _ in mine], *values]

    def _tensor(self, x: Any, s: Any, path: str) -> Any:
        if x.device.type != "cpu" or x.layout is not torch.strided or x.dtype not in DTYPES:
            raise PluginFailure(
                f"{path} is a tensor of {x.dtype} on {x.device}, {x.layout}: only dense CPU "
                "tensors can be sent."
            )
        self.sent.append(x)
        if id(x) in self._views:
            return [VIEWS, *self._views[id(x)], DTYPES.index(x.dtype)]
        if self._world.kind(s) == TENSOR and label(x, TENSOR) == label(s, TENSOR):
            return [LIKE, raw(x)]
        return [TENSORS, DTYPES.index(x.dtype), list(x.shape), raw(x)]

    def _same(self, x: Any, s: Any, met: dict[int, tuple[Any, Any]]) -> bool:
        """Whether the skeleton has all of it here.

        ``met`` gets what is to be numbered in it, in order, each with its counterpart.
        """
        kind = self._world.kind(x)
        if s is ABSENT or self._world.kind(s) != kind or type(x) is not type(s):
            return False
        if kind == PLAIN:
            return _same_plain(x, s)
        if kind == OPAQUE:
            return same_opaque(x, s)
        if kind in IDENTIFIED:
            if id(x) in met:
                return met[id(x)][1] is s
            if id(x) in self._numbers or id(s) in self._taken:
                return False
            if any(theirs is s for _, theirs in met.values()):
                return False
        if label(x, kind) != label(s, kind):
            return False
        if kind in IDENTIFIED:
            met[id(x)] = x, s
        if kind in (TENSOR, ARRAY):
            return raw(x) == raw(s)
        return all(
            self._same(a, b, met) for a, b in zip(parts(x, kind), parts(s, kind), strict=True)
        )


def _same_plain(x: Any, s: Any) -> bool:
    # repr tells 0.0 from -0.0, and one nan is as good as another.
    return type(x) is type(s) and (x == s if type(x) is not float else repr(x) == repr(s))


def pack_state(cache: Any, skeleton: Skeleton) -> bytes:
    """Return what a cache has and the skeleton has not.

    Raises:
        PluginFailure: something in it has no counterpart in the skeleton and is no data.
    """
    return Packing(cache, skeleton).message


def unpack_state(message: bytes, skeleton: Skeleton) -> Any:
    """Return the cache of a message; it shares nothing with the skeleton but opaque values.

    Raises:
        BadInput: the bytes are not a message of such a cache.
    """
    try:
        tree, memories = msgpack.unpackb(message), []
        if type(tree) is list and tree and tree[0] == SHARED:
            _, memories, tree = tree
        cache = Reading(skeleton, memories).node(tree, skeleton.root)
        if type(cache) is not type(skeleton.root):
            raise ValueError("not a cache")
        return cache
    except Exception as error:
        raise BadInput(
            f"A message of {len(message)} bytes does not fit this cache: build Alice and Bob "
            "from the same public parameters and package versions."
        ) from error
