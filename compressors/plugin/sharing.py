"""Arrays that share memory, such as a view and what it was cut from: sent once, and shared again.

What a cache holds is charged by what it occupies. Two arrays over the same bytes, or one array that
shows its bytes several times (``broadcast_to``, torch's ``expand``), occupy them once. So the bytes
that any of them touches are sent once, in the order of memory, and each array as a *layout* over
them: where it starts, its shape, its strides. The reader finds from the layouts alone which bytes
came, and writing into one array changes the others, as it did where they came from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

#: the bytes between the first and the last that are touched are at most so many times those touched
LOOSE = 8
_SLACK = 16


class Layout(NamedTuple):
    """Where the elements of an array lie.

    Attributes:
        start: of its first element, in bytes: an address, or from the start of the shared memory.
        shape: sizes of its axes.
        strides: in bytes.
        itemsize: bytes an element.
    """

    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int

    @property
    def size(self) -> int:
        """Bytes of the elements, each as often as it is shown."""
        return math.prod(self.shape) * self.itemsize

    @property
    def ends(self) -> tuple[int, int]:
        """The first byte that is touched, and the one after the last."""
        low = high = self.start
        for n, stride in zip(self.shape, self.strides, strict=True):
            if stride < 0:
                low += (n - 1) * stride
            else:
                high += (n - 1) * stride
        return low, high + self.itemsize

    def once(self) -> Layout:
        """Without the repeats along axes of stride 0."""
        shape = tuple(n if s else min(n, 1) for n, s in zip(self.shape, self.strides, strict=True))
        return self._replace(shape=shape)

    def over(self, memory: NDArray[Any]) -> NDArray[Any]:
        """The touched bytes as a view of ``memory``, bytes or booleans: [*shape, itemsize].

        Raises:
            ValueError, TypeError: it reaches beyond the memory.
        """
        view: NDArray[Any] = np.ndarray(
            (*self.shape, self.itemsize), memory.dtype, memory, self.start, (*self.strides, 1)
        )
        return view


def layout_of(array: NDArray[Any]) -> Layout:
    """The layout of a NumPy array, from address 0."""
    address = array.__array_interface__["data"][0]
    return Layout(address, array.shape, array.strides, array.itemsize)


def lie_apart(arrays: Sequence[NDArray[Any]]) -> bool:
    """Whether each array is one block of memory and no two blocks meet: nothing is shared.

    This is asked first: a cache may hold a row of every token, and hardly ever do any two share.

    >>> x = np.arange(6)
    >>> lie_apart([x, np.ones(3)]), lie_apart([x[:3], x[3:]]), lie_apart([x, x[2:4]])
    (True, True, False)
    """
    if len({id(one) for one in arrays}) < len(arrays):
        return False
    flags = [one.flags for one in arrays]
    if not all(flag.forc for flag in flags):
        return False
    if all(flag.owndata for flag in flags):
        return True
    blocks = sorted((one.__array_interface__["data"][0], one.nbytes) for one in arrays)
    return all(start + size <= after for (start, size), (after, _) in pairwise(blocks))


@dataclass(frozen=True)
class Shared:
    """Memory that several arrays touch.

    Attributes:
        members: the numbers of these arrays, in the order that was given.
        layouts: of each, from the start of this memory.
        touched: bool[bytes], which bytes come.
    """

    members: tuple[int, ...]
    layouts: tuple[Layout, ...]
    touched: NDArray[np.bool_]

    def distinct(self) -> list[Layout]:
        """The layouts, each once: what several members have alike is written once."""
        return list(dict.fromkeys(self.layouts))

    def numbers(self) -> list[int]:
        """Of each member the number of its layout among the distinct ones."""
        known = {layout: number for number, layout in enumerate(self.distinct())}
        return [known[layout] for layout in self.layouts]

    def gathered(self, parts: Sequence[NDArray[Any]]) -> bytes:
        """The touched bytes, from each member's elements as uint8[*shape, itemsize]."""
        memory = np.zeros(len(self.touched), np.uint8)
        for layout, part in zip(self.layouts, parts, strict=True):
            layout.over(memory)[...] = part
        return memory[self.touched].tobytes()


def shared(layouts: Sequence[Layout]) -> list[Shared]:
    """The memories that are touched more than once, by one array or by several.

    >>> x = np.arange(6, dtype=np.int16)
    >>> [one.members for one in shared([layout_of(a) for a in (x, x[2:4], np.ones(3))])]
    [(0, 1)]
    """
    found = []
    for members in _overlapping(layouts):
        low = min(layouts[i].ends[0] for i in members)
        # Elements stay where their own size divides the place, and no more of the address is told.
        low -= low % max(layouts[i].itemsize for i in members)
        moved = tuple(layouts[i]._replace(start=layouts[i].start - low) for i in members)
        try:
            touched = touched_by(moved, sum(one.once().size for one in moved))
            count = int(touched.sum())
            touched_by(moved, count)
        except ValueError:
            continue
        if count < sum(one.size for one in moved):
            found.append(Shared(tuple(members), moved, touched))
    return found


def _overlapping(layouts: Sequence[Layout]) -> Iterator[list[int]]:
    """Numbers of arrays whose addresses hang together, where they show more than there is."""
    groups: list[list[int]] = []
    spans: list[list[int]] = []
    for (low, high), i in sorted((one.ends, i) for i, one in enumerate(layouts) if one.size):
        if spans and low < spans[-1][1]:
            groups[-1].append(i)
            spans[-1][1] = max(spans[-1][1], high)
        else:
            groups.append([i])
            spans.append([low, high])
    # In the order that was given: where an allocator puts them says nothing of the data.
    for group, (low, high) in sorted((sorted(g), s) for g, s in zip(groups, spans, strict=True)):
        if len(group) > 1 or layouts[group[0]].size > high - low:
            yield group


def touched_by(layouts: Sequence[Layout], most: int) -> NDArray[np.bool_]:
    """Which bytes of the memory are touched: bool[bytes].

    Args:
        most: bytes that are touched at most; it bounds what this takes in time and memory.

    Raises:
        ValueError: a layout starts before the memory, or so few of its bytes are touched that it
            were mostly empty, or they are touched too often (``LOOSE``).
    """
    size = max(one.ends[1] for one in layouts)
    once = [one.once() for one in layouts]
    if min(one.ends[0] for one in layouts) < 0 or size > LOOSE * most + _SLACK:
        raise ValueError("mostly empty")
    if any(one.size > LOOSE * LOOSE * most for one in once):
        raise ValueError("touched too often")
    touched = np.zeros(size, np.bool_)
    for one in once:
        one.over(touched)[...] = True
    return touched


# -- in a message --------------------------------------------------------------------------------


def written(one: Shared, parts: Sequence[NDArray[Any]]) -> list[Any]:
    """Memory as msgpack takes it: its bytes, and the numbers of each layout."""
    layouts = [
        [layout.start, layout.itemsize, list(layout.shape), list(layout.strides)]
        for layout in one.distinct()
    ]
    return [one.gathered(parts), layouts]


class Memory:
    """Memory that was read, zero where nothing came.

    Raises:
        ValueError, TypeError: the tree is not one of :func:`written`.
    """

    def __init__(self, tree: Any) -> None:
        data, layouts = tree
        self.layouts = [
            Layout(int(start), tuple(map(int, shape)), tuple(map(int, strides)), int(itemsize))
            for start, itemsize, shape, strides in layouts
        ]
        if any(one.size <= 0 or len(one.shape) != len(one.strides) for one in self.layouts):
            raise ValueError("no layout")
        self._data = data
        self._touched = touched_by(self.layouts, len(data))
        if int(self._touched.sum()) != len(data):
            raise ValueError("bytes and layouts disagree")

    def filled(self) -> Held:
        """The bytes in memory of their own, each time anew."""
        memory = np.zeros(len(self._touched), np.uint8)
        memory[self._touched] = np.frombuffer(self._data, np.uint8)
        return Held(memory, self.layouts)


class Held(NamedTuple):
    """Memory, uint8[bytes], and the layouts of the arrays over it."""

    memory: Bytes
    layouts: list[Layout]

    def array(self, number: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The array of a layout; writing into it shows in the others.

        Raises:
            ValueError, TypeError, IndexError: there is no such layout, or the dtype is no number's.
        """
        one = self.layouts[number]
        if dtype.itemsize != one.itemsize:
            raise ValueError("another dtype")
        array: NDArray[Any] = np.ndarray(one.shape, dtype, self.memory, one.start, one.strides)
        return array
