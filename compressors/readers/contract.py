"""What Theorem 19 is about: an algorithm that names the cells it will read before there are any.

A compressor reads every token anyway; this is another thing. ``plan`` sees sizes and public coins,
``answer`` sees the query and the cells of the plan, which it asks of a reader. The cells stay with
the harness until then, so what was asked is what was read.

Without a ``plan`` the algorithm is *adaptive*: it may ask for any cell, and choose the next one by
what it has seen. Every cell is served when it is asked for, and counted.
"""

from __future__ import annotations

import hashlib
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import PluginFailure

Float32 = NDArray[np.float32]
Indices = NDArray[np.int64]

KINDS = ("K", "V")
WHOLE = -1
"""Stands for "all coordinates" where coordinates are numbers."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The cells of K and V that may be read: ``cells`` bool[2, n, d], K first."""

    cells: NDArray[np.bool_]

    @classmethod
    def of(cls, said: Any, n: int, d: int) -> Plan:
        """Read what an author's ``plan`` returned.

        Accepted: a Plan; an integer array of tokens; or any mix of i (the whole token: key and
        value), (kind, i) (that row), (kind, i, None) (the same) and (kind, i, j) (one cell), kind
        "K" or "V". Saying a cell twice is harmless.

        Raises:
            PluginFailure: something else, or a cell outside the table; the sentence names it.

        >>> plan = Plan.of([0, ("V", 2), ("K", 3, 1)], n=4, d=2)
        >>> plan.cells.astype(int).tolist()
        [[[1, 1], [0, 0], [0, 0], [0, 1]], [[1, 1], [0, 0], [1, 1], [0, 0]]]
        """
        if isinstance(said, Plan):
            if said.cells.shape != (2, n, d):
                raise PluginFailure(f"plan returned a Plan of another size than n = {n}, d = {d}.")
            return said
        cells = np.zeros((2, n, d), dtype=np.bool_)
        if isinstance(said, np.ndarray) and said.ndim == 1 and said.dtype.kind in "iu":
            wrong = said[(said < 0) | (said >= n)]
            if len(wrong):
                raise _outside("the token", int(wrong[0]), n)
            cells[:, said] = True
            return cls(cells)
        if isinstance(said, str) or not isinstance(said, Iterable):
            raise PluginFailure(
                f"plan returned a {type(said).__name__}: it must return a list of cells, each "
                "(kind, index, coordinate or None), or of whole tokens, each an index."
            )
        for entry in said:
            cells[_where(entry, n, d)] = True
        return cls(cells)

    @classmethod
    def everything(cls, n: int, d: int) -> Plan:
        """All cells: what an adaptive algorithm may choose from."""
        return cls(np.ones((2, n, d), dtype=np.bool_))

    @classmethod
    def unpack(cls, packed: bytes, n: int, d: int) -> Plan:
        """The plan that :meth:`pack` packed. Raises PluginFailure if the bytes are none."""
        flat = np.frombuffer(packed, dtype=np.uint8)
        if len(flat) != (2 * n * d + 7) // 8:
            raise PluginFailure("the plan's process did not send a plan.")
        return cls(np.unpackbits(flat, count=2 * n * d).reshape(2, n, d).astype(np.bool_))

    def pack(self) -> bytes:
        """The cells as bits, K row by row, then V."""
        return np.packbits(self.cells).tobytes()

    @property
    def commitment(self) -> str:
        """SHA-256 over the sizes and the cells, 64 hexadecimal digits: equal plans, equal digits.

        >>> Plan.of([1, 0], 3, 2).commitment == Plan.of([("V", 1), 0, ("K", 1)], 3, 2).commitment
        True
        """
        head = "kvbarrier plan {}x{}x{}:".format(*self.cells.shape).encode()
        return hashlib.sha256(head + self.pack()).hexdigest()

    @property
    def reads(self) -> int:
        """How many cells."""
        return int(np.count_nonzero(self.cells))

    def whole(self) -> Indices:
        """The tokens whose key and value are both in the plan in full, int64, ascending."""
        return np.flatnonzero(self.cells.all(axis=(0, 2)))

    def touched(self) -> Indices:
        """The tokens of which at least one cell is in the plan, int64, ascending."""
        return np.flatnonzero(self.cells.any(axis=(0, 2)))


def _where(entry: Any, n: int, d: int) -> tuple[Any, ...]:
    """An entry of a plan as an index into ``Plan.cells``."""
    if not isinstance(entry, tuple | list):
        return slice(None), _number(entry, "the token", n, entry)
    if len(entry) not in (2, 3):
        raise _bad(entry)
    kind, index, *rest = entry
    if kind not in KINDS:
        raise PluginFailure(f"plan says {entry!r}: its kind must be 'K' or 'V', not {kind!r}.")
    i = _number(index, "the token", n, entry)
    if not rest or rest[0] is None:
        return KINDS.index(kind), i
    return KINDS.index(kind), i, _number(rest[0], "the coordinate", d, entry)


def _number(value: Any, what: str, size: int, entry: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise _bad(entry) from None
    if not 0 <= number < size:
        raise _outside(what, number, size)
    return number


def _bad(entry: Any) -> PluginFailure:
    return PluginFailure(
        f"plan says {entry!r}: a cell is (kind, index, coordinate or None), a whole token an index."
    )


def _outside(what: str, number: int, size: int) -> PluginFailure:
    return PluginFailure(f"plan names {what} {number}: there are 0 to {size - 1}.")


class Reader(ABC):
    """Hands out cells, and notes which; asking for one outside the plan ends the game.

    Every call that returns an array is one question to the harness, which has the data in another
    process: many rows in one call are quicker than one by one.

    Attributes:
        n, d, seed: what ``plan`` was given.
        plan: the committed plan; all cells for an adaptive algorithm, which has none.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.seed = seed
        _, self.n, self.d = plan.cells.shape

    @abstractmethod
    def ask(self, kind: str, indices: Indices, coordinates: Indices) -> Float32:
        """Cells: float32[m], or whole rows, float32[m, d], if ``coordinates`` is empty."""

    def key(self, i: int) -> Float32:
        """Key i: float32[d]."""
        return self.ask("K", _indices([i]), _indices([])).reshape(self.d)

    def value(self, i: int) -> Float32:
        """Value i: float32[d]."""
        return self.ask("V", _indices([i]), _indices([])).reshape(self.d)

    def keys(self, indices: ArrayLike) -> Float32:
        """Many keys: float32[m, d]."""
        return self.ask("K", _indices(indices), _indices([]))

    def values(self, indices: ArrayLike) -> Float32:
        """Many values: float32[m, d]."""
        return self.ask("V", _indices(indices), _indices([]))

    def cells(self, kind: str, indices: ArrayLike, coordinates: ArrayLike) -> Float32:
        """Single coordinates, cell by cell: float32[m]."""
        i, j = _indices(indices), _indices(coordinates)
        if i.shape != j.shape:
            raise ValueError(f"{len(i)} indices and {len(j)} coordinates: give as many of both")
        return self.ask(kind, i, j) if len(i) else np.zeros(0, dtype=np.float32)

    def tokens(self) -> tuple[Indices, Float32, Float32]:
        """All whole tokens of the plan: their indices int64[m], K float32[m, d], V the same.

        An adaptive algorithm that asks for them has read everything.
        """
        chosen = self.plan.whole()
        return chosen, self.keys(chosen), self.values(chosen)

    def __getitem__(self, cell: tuple[str, int] | tuple[str, int, int | None]) -> Any:
        """``reader["V", i]`` is a row, ``reader["K", i, j]`` one number."""
        kind, i, *rest = cell
        if not rest or rest[0] is None:
            return self.ask(kind, _indices([i]), _indices([]))[0]
        return self.ask(kind, _indices([i]), _indices([rest[0]]))[0]


def _indices(values: ArrayLike) -> Indices:
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError("cells are named by whole numbers")
    return np.asarray(array, dtype=np.int64)


class Adaptive(ABC):
    """An algorithm for the last token without a state, which reads as it likes.

    It may choose each cell by the ones before it. All its coins come from ``reader.seed``: with
    equal coins, and equal answers so far, its next question must be the same. The constructor takes
    the algorithm's own parameters and nothing else. The subclass is a convenience: any class with
    this method is accepted.
    """

    @abstractmethod
    def answer(self, q: Float32, reader: Reader) -> Any:
        """The attention output for ``q``, float32[d], from what ``reader`` hands out.

        Scores are <q, k>, with no 1/sqrt(d).
        """


class NonAdaptive(Adaptive):
    """A non-adaptive algorithm for the last token (Haris & Onak, Theorem 19).

    The subclass is a convenience: any class with ``plan`` and ``answer`` is accepted.
    """

    @abstractmethod
    def plan(self, n: int, d: int, seed: int) -> Any:
        """The cells to read, before any data exist: see :meth:`Plan.of` for what may be returned.

        ``n`` tokens of dimension ``d``, numbered 0 .. n-1; the newest, n-1, comes with the query.
        ``seed`` are public coins, new for every trial.
        """


def coins(seed: int) -> np.random.Generator:
    """A generator from public coins, as ``Compressor.rng`` has it."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, 0], dtype=np.uint64)))
