"""What MLX caches hold, as bytes: their difference from a public template, without pickle.

Both sides can make the same caches and play a public dummy stream on them: that is the template. It
has every class, function and constant. A part that equals the template's at the same place is one
mark. An array that lies within one that was sent, or has the same bytes, is a place in that one: a
view or a copy is paid for once, and is an array of its own afterwards. No class is named in a
message: an object is "of the class of the template's number k".

A part is plain data as itself, or a deque: empty where the template has it; of one array of MLX; of
the number of an object that came before; of the number of an array, an offset in bytes, a dtype and
a shape; or of the number of a class, the names of its attributes, and those.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import mlx.core as mx
import numpy as np

from ....errors import PluginFailure
from ...plugin.packing import attributes
from ...plugin.plain import pack_plain, unpack_plain

_PLAIN = (int, float, bool, str, bytes, type(None))
_ABSENT = object()
_ONLY_BITS = {mx.bfloat16: (mx.uint16, ml_dtypes.bfloat16)}


class Template:
    """Caches that met a public stream; they are never changed.

    Attributes:
        root: the list of caches, one a layer.
        classes: of the objects in them, in the order in which they are met.
    """

    def __init__(self, root: list[Any]) -> None:
        self.root = root
        self.classes: list[type] = []
        for one in _objects(root, set()):
            if type(one) not in self.classes:
                self.classes.append(type(one))


class Packing:
    """Caches made a message.

    Attributes:
        message: the bytes.
        sent: the arrays in it, MLX's and NumPy's, bytes and text, each once.
    """

    def __init__(self, caches: list[Any], template: Template) -> None:
        self.sent: list[Any] = []
        self._classes = template.classes
        self._numbers: dict[int, int] = {}
        self._arrays: list[tuple[int, np.ndarray[Any, Any], bytes]] = []
        self._by_bytes: dict[bytes, int] = {}
        # What has a number stays alive, or another object could get its id.
        self._kept: list[Any] = []
        tree = self._node(caches, template.root, "cache")
        self.message: bytes = pack_plain(tree, "the caches")

    def _node(self, x: Any, s: Any, path: str) -> Any:
        if same(x, s):
            return deque()
        if isinstance(x, mx.array | np.ndarray):
            return self._array(x)
        if type(x) in _PLAIN or isinstance(x, np.generic):
            self.sent += [x] if type(x) in (bytes, str) else []
            return x
        if type(x) in (list, tuple):
            theirs = [*s] if type(s) is type(x) else []
            theirs += [_ABSENT] * (len(x) - len(theirs))
            return type(x)(self._node(*pair, path) for pair in zip(x, theirs, strict=False))
        if type(x) is dict:
            theirs_by_name = s if type(s) is dict else {}
            return {
                k: self._node(v, theirs_by_name.get(k, _ABSENT), f"{path}[{k!r}]")
                for k, v in x.items()
            }
        return self._object(x, s, path)

    def _array(self, x: Any) -> Any:
        array = to_numpy(x)
        raw = array.tobytes()
        if (place := self._place(array, raw)) is not None:
            kind = "numpy" if type(x) is np.ndarray else "mlx"
            return deque([*place, f"{kind}.{array.dtype.name}", list(array.shape)])
        # Alive as long as its address stands for it.
        self._kept.append((x, array))
        self._by_bytes[raw] = len(self._arrays)
        self._arrays.append((_address(array), array, raw))
        self.sent.append(x)
        return array if type(x) is np.ndarray else deque([array])

    def _place(self, array: np.ndarray[Any, Any], raw: bytes) -> tuple[int, int] | None:
        """The number of an array that was sent, and where in its bytes these are."""
        if raw in self._by_bytes:
            return self._by_bytes[raw], 0
        if not array.flags.c_contiguous:
            return None
        for number, (begin, whole, sent) in enumerate(self._arrays):
            at = _address(array) - begin
            if whole.flags.c_contiguous and at >= 0 and sent[at : at + len(raw)] == raw:
                return number, at
        return None

    def _object(self, x: Any, s: Any, path: str) -> Any:
        if type(x) not in self._classes or not _has_parts(x):
            raise PluginFailure(
                f"{path} holds a {type(x).__module__}.{type(x).__qualname__}, but the cache of a "
                "public stream of this shape does not hold one like it: it cannot be sent."
            )
        if id(x) in self._numbers:
            return deque([self._numbers[id(x)]])
        self._numbers[id(x)] = len(self._numbers)
        self._kept.append(x)
        mine, theirs = parts(x), parts(s) if type(s) is type(x) else {}
        nodes = [self._node(v, theirs.get(k, _ABSENT), f"{path}.{k}") for k, v in mine.items()]
        return deque([self._classes.index(type(x)), list(mine), *nodes])


def pack(caches: list[Any], template: Template) -> bytes:
    """Return what the caches have and the template has not.

    Raises:
        PluginFailure: something in them has no counterpart in the template and is no data.
    """
    return Packing(caches, template).message


def unpack(message: bytes, template: Template) -> list[Any]:
    """Return the caches of a message; they share nothing with the template that can be changed.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: it is not a message of such caches.
    """
    caches = _Reading(template.classes).node(unpack_plain(message), template.root)
    if type(caches) is not list or list(map(type, caches)) != list(map(type, template.root)):
        raise ValueError("not these caches")
    return caches


def copied(caches: list[Any], template: Template) -> list[Any]:
    """Caches with the same state, which can be changed without changing these."""
    twins: list[Any] = _Reading(template.classes).copied(caches)
    return twins


class _Reading:
    def __init__(self, classes: list[type]) -> None:
        self._classes = classes
        self._arrays: list[np.ndarray[Any, Any]] = []
        self._numbered: list[Any] = []
        self._copies: dict[int, Any] = {}

    def node(self, tree: Any, s: Any) -> Any:
        if type(tree) is deque:
            return self._marked(tree, s)
        if isinstance(tree, np.ndarray):
            self._arrays.append(tree)
            return tree.copy()
        if type(tree) in (list, tuple):
            theirs = [*s] if type(s) is type(tree) else []
            theirs += [_ABSENT] * (len(tree) - len(theirs))
            return type(tree)(self.node(*pair) for pair in zip(tree, theirs, strict=False))
        if type(tree) is dict:
            known = s if type(s) is dict else {}
            return {k: self.node(v, known.get(k, _ABSENT)) for k, v in tree.items()}
        return tree

    def _marked(self, tree: deque[Any], s: Any) -> Any:
        if not tree:
            if s is _ABSENT:
                raise ValueError("the template has nothing here")
            return self.copied(s)
        if len(tree) == 1 and isinstance(tree[0], np.ndarray):
            self._arrays.append(tree[0])
            return to_mlx(tree[0])
        if len(tree) == 1:
            return self._numbered[tree[0]]
        number, names, *nodes = tree
        if type(names) is int:
            return self._view(number, names, *nodes)
        cls = self._classes[number]
        slot = len(self._numbered)
        made = _empty(cls)
        self._numbered.append(made)
        theirs = parts(s) if type(s) is cls else {}
        values = [
            self.node(node, theirs.get(name, _ABSENT))
            for name, node in zip(names, nodes, strict=True)
        ]
        if issubclass(cls, tuple):
            made = self._numbered[slot] = tuple.__new__(cls, values)
            return made
        for name, value in zip(names, values, strict=True):
            _set(made, name, value)
        return made

    def _view(self, number: int, at: int, dtype: str, shape: list[int]) -> Any:
        """An array of its own with the bytes at this place of another."""
        kind, _, name = dtype.partition(".")
        element = np.dtype(getattr(ml_dtypes, name, name))
        size = math.prod(shape) * element.itemsize
        raw = self._arrays[number].tobytes()[at : at + size]
        array = np.frombuffer(raw, element).reshape(shape)
        return array.copy() if kind == "numpy" else to_mlx(array)

    def copied(self, s: Any) -> Any:
        """A part with arrays, lists and objects of its own."""
        if id(s) in self._copies:
            return self._copies[id(s)]
        if isinstance(s, mx.array):
            copied: Any = mx.array(s)
        elif isinstance(s, np.ndarray):
            copied = s.copy()
        elif type(s) in (list, tuple):
            copied = type(s)(self.copied(one) for one in s)
        elif type(s) is dict:
            copied = {k: self.copied(v) for k, v in s.items()}
        elif type(s) in self._classes and isinstance(s, tuple):
            copied = tuple.__new__(type(s), [self.copied(one) for one in s])
        elif type(s) in self._classes and _has_parts(s):
            copied = self._copies[id(s)] = _empty(type(s))
            for name, value in parts(s).items():
                _set(copied, name, self.copied(value))
        else:
            return s
        self._copies[id(s)] = copied
        return copied


def _empty(cls: type) -> Any:
    return tuple.__new__(cls, ()) if issubclass(cls, tuple) else object.__new__(cls)


def _set(made: Any, name: str, value: Any) -> None:
    if not isinstance(name, str) or name.startswith("__") or callable(getattr(made, name, None)):
        raise ValueError("no such attribute")
    object.__setattr__(made, name, value)


def same(a: Any, b: Any, seen: frozenset[tuple[int, int]] = frozenset()) -> bool:
    """Whether two parts are bit-equal and of equal types, attribute by attribute."""
    if a is b or (id(a), id(b)) in seen:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, mx.array | np.ndarray):
        one, other = to_numpy(a), to_numpy(b)
        alike = one.dtype == other.dtype and one.shape == other.shape
        return alike and one.tobytes() == other.tobytes()
    if isinstance(a, float):
        return repr(a) == repr(b)
    if isinstance(a, int | str | bytes):
        return bool(a == b)
    seen |= {(id(a), id(b))}
    if type(a) in (list, tuple):
        return len(a) == len(b) and all(map(same, a, b, [seen] * len(a)))
    if type(a) is dict:
        return [*a] == [*b] and all(same(a[k], b[k], seen) for k in a)
    if _has_parts(a):
        return same(parts(a), parts(b), seen)
    return bool(a == b)


def parts(x: Any) -> dict[str, Any]:
    """The attributes of an object, or the fields of a NamedTuple."""
    fields = getattr(x, "_fields", None)
    if isinstance(x, tuple) and fields:
        return dict(zip(fields, x, strict=True))
    return attributes(x)


def _has_parts(x: Any) -> bool:
    return not isinstance(x, type) and not callable(x) and bool(parts(x))


def _objects(x: Any, seen: set[int]) -> Iterator[Any]:
    if id(x) in seen:
        return
    seen.add(id(x))
    if type(x) in (list, tuple):
        inner: Any = x
    elif type(x) is dict:
        inner = x.values()
    elif isinstance(x, mx.array | np.ndarray) or not _has_parts(x):
        return
    else:
        yield x
        inner = parts(x).values()
    for one in inner:
        yield from _objects(one, seen)


def to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """An array of MLX or NumPy with the same bits, and where MLX can, at the same address."""
    if isinstance(x, np.ndarray):
        return x
    mx.eval(x)
    if x.dtype in _ONLY_BITS:
        bits, kind = _ONLY_BITS[x.dtype]
        return np.asarray(np.array(x.view(bits), copy=False).view(kind))
    return np.asarray(np.array(x, copy=False))


def to_mlx(x: np.ndarray[Any, Any]) -> Any:
    """The MLX array with the same bits."""
    for dtype, (bits, kind) in _ONLY_BITS.items():
        if x.dtype == kind:
            return mx.array(x.view(np.dtype(str(bits).rpartition(".")[2]))).view(dtype)
    return mx.array(x)


def _address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def logical(sent: list[Any]) -> int:
    """The bytes of the elements."""
    return sum(len(one) if isinstance(one, bytes | str) else int(one.nbytes) for one in sent)


def resident(sent: list[Any]) -> int:
    """The bytes that they lie in; where two share memory, it counts once."""
    words = [one for one in sent if isinstance(one, bytes | str)]
    arrays = [to_numpy(one) for one in sent if not isinstance(one, bytes | str)]
    total, reached = sum(map(len, words)), 0
    for begin, end in sorted(map(np.lib.array_utils.byte_bounds, arrays)):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total
