"""What a public key set is: n rows in R^d, and for symmetric families its exact Gram spectrum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import BadInput

Ints = NDArray[np.int64]
Float32 = NDArray[np.float32]

#: the most float32 numbers that ``LazyKeySet.rows`` makes, 2 GiB
MOST_NUMBERS = 1 << 29
_BLOCK = 1 << 20
#: numbers from which on keys that a code computes are told by what makes them: 16 MiB of them
MANY = 1 << 22


@dataclass(frozen=True)
class GapSpectrum:
    """The inner products one key has with the others, where every key sees the same list.

    Attributes:
        norm2: |k_i|^2, the same for every row, as an exact fraction of the float32 rows sent.
        counts: pairs (p, c), ascending in p: exactly c of the other n-1 keys have <k_l, k_i> = p.

    Only for *flat* sets: the nonzero entries of every row are +-r for one float32 number r, so a
    query C k_i rounded to float32 is still a multiple of k_i (``index`` relies on it).

    >>> pair = GapSpectrum.of(1, [-1, 0, 0])
    >>> pair.others, pair.gaps.tolist(), pair.multiplicities.tolist()
    (3, [-2.0, -1.0], [1.0, 2.0])
    """

    norm2: Fraction
    counts: tuple[tuple[Fraction, int], ...]

    @classmethod
    def of(cls, norm2: Fraction | int, inner: ArrayLike, unit: Fraction | int = 1) -> GapSpectrum:
        """The spectrum from |k_i|^2 and the other keys' inner products with k_i.

        ``inner`` has integers, the products in ``unit`` (> 0): a hundred thousand fractions would
        take a second to count.
        """
        products, counts = np.unique(np.asarray(inner, dtype=np.int64), return_counts=True)
        told = zip(products.tolist(), counts.tolist(), strict=True)
        return cls(Fraction(norm2), tuple((Fraction(p * unit), c) for p, c in told))

    @property
    def others(self) -> int:
        """n - 1, the number of other keys."""
        return sum(c for _, c in self.counts)

    @property
    def gaps(self) -> NDArray[np.float64]:
        """<k_l, k_i> - |k_i|^2 for each distinct inner product, rounded once from the exact one."""
        return np.array([float(p - self.norm2) for p, _ in self.counts], dtype=np.float64)

    @property
    def multiplicities(self) -> NDArray[np.float64]:
        """How many of the other keys have each gap (float64, exact below 2^53)."""
        return np.array([c for _, c in self.counts], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class KeySet:
    """n public keys k_0 .. k_{n-1} in R^d, as sent: float32.

    Attributes:
        name: the family, as :func:`kvbarrier.reductions.keys.make` knows it.
        d: the dimension of the keys.
        seed: the public coins a random family was drawn from; explicit families ignore it.
        rows: float32[n, d], read-only; every formula here is about these rounded numbers.
        spectrum: the exact Gram spectrum where every key sees the same one, else None.
    """

    name: str
    d: int
    seed: int
    rows: NDArray[np.float32]
    spectrum: GapSpectrum | None = None

    def __post_init__(self) -> None:
        if self.rows.dtype != np.float32 or self.rows.ndim != 2 or self.rows.shape[1] != self.d:
            raise BadInput(
                f"Keys must be a float32 array of shape [n, {self.d}], "
                f"not {self.rows.dtype}{list(self.rows.shape)}: convert them first."
            )
        if not np.isfinite(self.rows).all():
            bad = int(np.flatnonzero(~np.isfinite(self.rows).all(axis=1))[0])
            raise BadInput(f"Key {bad} is not finite: give finite float32 keys.")
        frozen = np.ascontiguousarray(self.rows).view()
        frozen.setflags(write=False)
        object.__setattr__(self, "rows", frozen)

    @property
    def n(self) -> int:
        """The number of keys, which is the number of data tokens."""
        return int(self.rows.shape[0])

    @property
    def representatives(self) -> Ints:
        """Keys among which all norms and inner products occur: key 0 with a spectrum, else all."""
        return np.arange(1 if self.spectrum is not None else self.n)

    def rows_at(self, indices: ArrayLike) -> Float32:
        """Float32[k, d]: the keys of these numbers, each below n."""
        return self.rows[np.asarray(indices, dtype=np.int64)]


class LazyKeySet(KeySet):
    """Keys that are computed when asked for: a spectrum and a few rows do for most purposes.

    Args:
        name, d, seed, spectrum: as in :class:`KeySet`.
        size: n.
        block: int64[k] of key numbers -> float32[k, d].

    ``rows`` are made once, when first read; BadInput where they do not fit in memory.
    """

    def __init__(
        self,
        name: str,
        d: int,
        seed: int,
        size: int,
        block: Callable[[Ints], Float32],
        spectrum: GapSpectrum | None = None,
    ) -> None:
        parts = {"name": name, "d": d, "seed": seed, "spectrum": spectrum}
        self.__dict__.update(parts, _size=size, _block=block)

    def __repr__(self) -> str:
        return f"LazyKeySet({self.name!r}, d={self.d}, n={self.n})"

    @cached_property
    def rows(self) -> Float32:
        """Float32[n, d], read-only."""
        if self.n * self.d > MOST_NUMBERS:
            raise BadInput(
                f"{self.n} {self.name} keys of dimension {self.d} do not fit in memory, and "
                "this computation needs each of them: use a smaller n, or for a bound an n at "
                "which the family has an exact spectrum (see reductions.keys)."
            )
        rows = np.empty((self.n, self.d), dtype=np.float32)
        step = max(1, _BLOCK // self.d)
        for start in range(0, self.n, step):
            part = rows[start : start + step]
            part[:] = self.__dict__["_block"](np.arange(start, start + len(part)))
        rows.setflags(write=False)
        return rows

    @property
    def n(self) -> int:
        """The number of keys."""
        return int(self.__dict__["_size"])

    def rows_at(self, indices: ArrayLike) -> Float32:
        """Float32[k, d]: the keys of these numbers, and no others."""
        at = np.asarray(indices, dtype=np.int64)
        if at.size and not 0 <= at.min() <= at.max() < self.n:
            raise BadInput(
                f"A key number must be from 0 to {self.n - 1}; got {at.min()} to {at.max()}."
            )
        if "rows" in self.__dict__:
            return self.rows[at]
        return np.asarray(self.__dict__["_block"](at))


class KeyRows:
    """The keys of a stream, made when they are asked for: the rows of a set, in an order.

    Args:
        keys: the set.
        order: int64[n, ..], the number of the key at each place; None: each once, as they come.

    >>> from . import make
    >>> keys = KeyRows(make("kerdock", None, 16), np.array([[3, 0], [1, 2]]))
    >>> keys().shape, keys.told()
    ((2, 2, 16), None)
    """

    def __init__(self, keys: KeySet, order: Ints | None = None) -> None:
        self._keys, self._order = keys, order

    def __call__(self) -> Float32:
        """Float32[n, .., d]."""
        if self._order is None:
            return self._keys.rows
        rows = self._keys.rows_at(self._order.ravel())
        return rows.reshape(*self._order.shape, self._keys.d)

    def told(self) -> dict[str, Any] | None:
        """What another process makes the same of (``keys.make``); None: the rows are to be sent."""
        one = self._keys
        if not isinstance(one, LazyKeySet) or one.n * one.d < MANY:
            return None
        return {"made": [one.name, one.n, one.d, one.seed], "order": self._order}
