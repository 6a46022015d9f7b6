"""The default ``save`` and ``restore``: what differs from a freshly constructed instance.

Attributes bit-equal to a fresh instance's are public, because the other side can construct one too;
they are not sent. Headers hold only what a fresh instance does not show: an attribute is sent by
its index in the fresh instance's sorted names, and an array of the fresh one's dtype and shape as
its elements alone. An unchanged instance is the empty message.

**Helpers.** An object that the constructor makes of an author's own class (a layer, a ring buffer,
a quantiser), or a list, tuple or dict of such objects alone, lies on both sides. What differs
inside is sent by its path, ``layers[2].keys``, as if it were an attribute of the instance.
"""

from __future__ import annotations

import enum
import struct
import sys
from collections import deque
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import msgpack
import numpy as np

from .machinery import alike
from .plain import Views, encode, pack_plain, pack_shared, pack_tree, raw_bytes, unpack_plain
from .plain_codes import (
    ARRAY,
    BIGINT,
    BYTEARRAY,
    COMPLEX,
    FLOATS,
    MAX_DEPTH,
    REMOVED,
    ROWS,
    SAME,
    SCALAR,
    SCALARS,
    SHARED,
    TUPLE,
    VIEW,
    dtype_name,
)
from .plain_reading import (
    Marker,
    Same,
    array_head,
    decode,
    from_raw,
    parse_tree,
    torn,
    with_memories,
)

__all__ = [
    "attributes",
    "pack_difference",
    "pack_plain",
    "payload_bytes",
    "sent_attributes",
    "unpack_difference",
    "unpack_plain",
    "unpacker",
]

_OURS = "_construction"
_PLAIN = frozenset({np.ndarray, int, float, bool, str, bytes, type(None)})


def attributes(obj: object) -> dict[str, Any]:
    """The instance's own attributes, slots included, without the one that is ours."""
    found = dict(getattr(obj, "__dict__", {}))
    for name in _slots(type(obj)):  # type: ignore[arg-type] # a class is hashable
        if hasattr(obj, name):
            found[name] = getattr(obj, name)
    found.pop(_OURS, None)
    return found


@lru_cache(256)
def _slots(cls: type) -> tuple[str, ...]:
    found = []
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name in ("__dict__", "__weakref__"):
                continue
            private = name.startswith("__") and not name.endswith("__")
            found.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return tuple(found)


@dataclass
class _Parts:
    """The attributes of an instance and of its helpers, by path.

    Attributes:
        known: those of the fresh instance.
        mine: those of the other, along the helpers of the fresh one.
        gone: those that the other has not.
        owners: the fresh instance, at the empty path, and its helpers.
        pairs: ids of what corresponds: an object of the other, and one of the fresh instance.
    """

    known: dict[str, Any] = field(default_factory=dict)
    mine: dict[str, Any] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    owners: dict[str, object] = field(default_factory=dict)
    pairs: set[tuple[int, int]] = field(default_factory=set)

    @classmethod
    def of(cls, obj: object, fresh: object) -> _Parts:
        found = cls()
        found._walk(obj, fresh, "", 0)
        return found

    def _walk(self, obj: object, fresh: object, path: str, depth: int) -> None:
        self.owners[path] = fresh
        self.pairs.add((id(obj), id(fresh)))
        known = attributes(fresh)
        # Where the other has something else in a helper's place, the helper's inside is no matter.
        mine = known if obj is fresh else attributes(obj)
        for name in sorted(mine.keys() | known.keys()):
            at = f"{path}.{name}" if path else name
            helpers = _helpers(known.get(name)) if depth < MAX_DEPTH else None
            others = self._others(mine.get(name), known[name], helpers) if helpers else None
            if name not in mine:
                self.gone.append(at)
            elif others is None and obj is not fresh:
                self.mine[at] = mine[name]
            if not helpers:
                if name in known:
                    self.known[at] = known[name]
                continue
            for key, helper in helpers.items():
                if all(helper is not owner for owner in self.owners.values()):
                    self._walk((others or helpers)[key], helper, f"{at}{key}", depth + 1)

    def _others(
        self, value: object, template: object, helpers: Mapping[str, object]
    ) -> dict[str, object] | None:
        """What the other has in the places of helpers; None if it is of another form."""
        others = _helpers(value) if type(value) is type(template) else {}
        if [(key, type(one)) for key, one in others.items()] != [
            (key, type(helper)) for key, helper in helpers.items()
        ]:
            return None
        here: dict[int, int] = {}
        for key, helper in helpers.items():
            # A second name of a helper, or a way back to who has it, must be one there too.
            again = any(helper is owner for owner in self.owners.values())
            if again and (id(others[key]), id(helper)) not in self.pairs:
                return None
            if here.setdefault(id(helper), id(others[key])) != id(others[key]):
                return None
        return others

    def place(self, path: str) -> tuple[object, str]:
        """The object of the fresh instance that has, or will have, an attribute; and its name."""
        owner, _, name = path.rpartition(".")
        return (self.owners[owner], name) if owner in self.owners else (self.owners[""], path)


def _helpers(value: Any) -> dict[str, object]:
    """A helper at the key "", or those of a container of helpers alone at "[0]" and so on."""
    if type(value) in _PLAIN:
        return {}
    if type(value) is dict:
        items = value
    elif type(value) in (list, tuple):
        items = dict(enumerate(value)) if value and _is_helper(value[0]) else {}
    else:
        return {"": value} if _is_helper(value) else {}
    alone = all(map(_is_helper, items.values()))
    return {f"[{key!r}]": one for key, one in items.items()} if alone else {}


def _is_helper(value: object) -> bool:
    """Whether all its state is attributes: its class is in Python, and not of the standard one."""
    cls = type(value)
    return (
        cls.__new__ is object.__new__
        and cls.__module__.partition(".")[0] not in sys.stdlib_module_names
        and not isinstance(value, enum.Enum)
    )


def sent_attributes(obj: object, fresh: object) -> dict[str, Any]:
    """The attributes that :func:`pack_difference` sends, by path."""
    return _sent(_Parts.of(obj, fresh))


def _sent(parts: _Parts) -> dict[str, Any]:
    # What refers to the instance itself, as a method kept in an attribute does, is no difference.
    seen = frozenset(parts.pairs)
    return {
        path: value
        for path, value in sorted(parts.mine.items())
        if path not in parts.known or not same(value, parts.known[path], seen)
    }


def pack_difference(obj: object, fresh: object) -> bytes:
    """Return what ``obj`` has and ``fresh``, a new instance of the same arguments, does not.

    Arrays that share memory are sent once (``sharing``), and share it afterwards.

    Raises:
        PluginFailure: an attribute that changed is not plain data; the sentence names it.
    """
    parts = _Parts.of(obj, fresh)
    known, gone, sent = parts.known, parts.gone, _sent(parts)
    places = {path: place for place, path in enumerate(sorted(known))}

    def tree_of(views: Views) -> list[Any]:
        flat: list[Any] = []
        for path in gone:
            flat += [places.get(path, path), msgpack.ExtType(REMOVED, b"")]
        for name, value in sent.items():
            flat.append(places.get(name, name))
            template = known.get(name)
            alike = type(value) is type(template) is np.ndarray and _alike(value, template)
            if alike and id(value) not in views:
                flat.append(msgpack.ExtType(SAME, raw_bytes(value)))
            else:
                flat.append(encode(value, f"{type(obj).__name__}.{name}", views=views))
        return flat

    return pack_shared(list(sent.values()), tree_of) if gone or sent else b""


def _alike(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and dtype_name(a.dtype) is not None


def unpack_difference(fresh: object, message: bytes) -> None:
    """Turn ``fresh``, an instance just constructed, into the one whose difference was packed.

    Raises:
        PluginFailure: the bytes are not a message of such an instance; ``fresh`` is unchanged.
    """
    _Unpacker(message, again=False)(fresh)


def unpacker(message: bytes) -> Callable[[object], None]:
    """Return what does :func:`unpack_difference` any number of times, and reads the message once.

    No two instances share what can be changed. Raises PluginFailure for bytes that cannot be read.
    """
    return _Unpacker(message, again=True)


_Place = tuple[object, str, Any, bool]
"""An attribute's owner (the fresh instance or a helper), its name, what is there, and if it is."""


class _Unpacker:
    """A message that was read. Where its values go is looked for in the first instance.

    Bob has a copy for every question: the next ones that have attributes of the same names take it
    from there, unless a helper is changed.
    """

    def __init__(self, message: bytes, again: bool) -> None:
        self._message, self._again = message, again
        try:
            self._memories, flat = with_memories(parse_tree(message) if message else [])
            self._paths, self._values = flat[0::2], flat[1::2]
        except Exception as error:
            raise torn(message) from error
        self._names: list[str] = []
        self._known: Set[str] | None = None

    def __call__(self, fresh: object) -> None:
        try:
            changes = self._changes(self._places(fresh))
        except Exception as error:
            raise torn(self._message) from error
        for owner, name, value in changes:
            # Around a __setattr__ of the author's, and the same for slots.
            if isinstance(value, Marker):
                object.__delattr__(owner, name)
            else:
                object.__setattr__(owner, name, value)

    def _places(self, fresh: object) -> list[_Place]:
        mine = attributes(fresh)
        if mine.keys() == self._known:
            return [(fresh, name, mine.get(name), name in mine) for name in self._names]
        parts, places = _Parts.of(fresh, fresh), []
        paths = sorted(parts.known)
        for place in self._paths:
            path = paths[place] if type(place) is int and place >= 0 else str(place)
            owner, name = parts.place(path)
            if path not in parts.known:
                is_method = callable(getattr(type(owner), name, None))
                if is_method or name.startswith("__") or type(place) is not str:
                    raise ValueError("no such attribute")
            there = name in (mine if owner is fresh else attributes(owner))
            places.append((owner, name, parts.known.get(path), there))
        if all(owner is fresh for owner, *_ in places):
            self._known, self._names = mine.keys(), [name for _, name, *_ in places]
        return places

    def _changes(self, places: list[_Place]) -> list[tuple[object, str, Any]]:
        held = [one.filled() for one in self._memories]
        changes = []
        for (owner, name, template, there), value in zip(places, self._values, strict=True):
            if type(value) is Same:
                value = from_raw(value.data, template.dtype, template.shape)
            elif not (type(value) is Marker and value.code == REMOVED and there):
                value = decode(value, held, self._again)
            changes.append((owner, name, value))
        return changes


def payload_bytes(message: bytes) -> int:
    """Bytes of the message that are data: elements, characters, digits; the rest is framing.

    A message that the default ``save`` did not make (a flat buffer, say) is all payload.
    """
    try:
        flat = msgpack.unpackb(message, unicode_errors="surrogatepass")
        if type(flat) is not list:
            return len(message)
        own = 0
        if flat and flat[0] == msgpack.ExtType(SHARED, b""):
            _, memories, flat = flat
            own = sum(len(data) for data, _ in memories)
        return own + sum(map(_payload, flat[1::2]))
    except Exception:
        return len(message)


_BARE = (SAME, FLOATS, BIGINT, COMPLEX, BYTEARRAY)


def _payload(tree: Any) -> int:
    if type(tree) is list:
        return sum(map(_payload, tree))
    if isinstance(tree, msgpack.ExtType):
        if tree.code in (ARRAY, ROWS, SCALARS, SCALAR):
            return len(tree.data) - array_head(tree.data)[2]
        if tree.code == VIEW:
            return 0
        if tree.code in _BARE or (tree.code >= TUPLE and not tree.data):
            return len(tree.data)
        raise ValueError("not ours")
    if type(tree) is str:
        return len(tree.encode("utf-8", "surrogatepass"))
    if type(tree) is bytes:
        return len(tree)
    # A number's first byte says its kind, unless it is small enough to be that byte.
    return max(1, len(pack_tree(tree)) - 1)


# -- what is public ------------------------------------------------------------------------------


def same(a: Any, b: Any, seen: frozenset[tuple[int, int]] = frozenset()) -> bool:
    """Whether two values are bit-equal, of equal types: containers and objects part by part."""
    if a is b or (id(a), id(b)) in seen:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        plain = a.dtype == b.dtype and a.shape == b.shape and not a.dtype.hasobject
        return plain and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex):
        return struct.pack("dd", a.real, a.imag) == struct.pack("dd", b.real, b.imag)
    if isinstance(a, int | str | bytes | bytearray):
        return bool(a == b)
    seen |= {(id(a), id(b))}
    if isinstance(a, list | tuple | deque):
        bounds = getattr(a, "maxlen", None) == getattr(b, "maxlen", None)
        return bounds and len(a) == len(b) and all(map(same, a, b, [seen] * len(a)))
    if isinstance(a, Mapping):
        return same([*a.items()], [*b.items()], seen)
    try:
        return _same_objects(a, b, seen)
    except Exception:
        # An author's == that raises, an empty closure: not known to be equal, so it is not public.
        return False


def _same_objects(a: Any, b: Any, seen: frozenset[tuple[int, int]]) -> bool:
    """Machinery as ``machinery`` says; helper objects by their attributes, else by their ==."""
    if isinstance(a, set | frozenset):
        return len(a) == len(b) and encode(a, "") == encode(b, "")
    found = alike(a, b, partial(same, seen=seen))
    if found is not None:
        return found
    if parts := attributes(a):
        return same(parts, attributes(b), seen)
    # Without attributes in Python the state may be in C, as a Generator's is: ask the object.
    return bool(a == b)
