"""A model's keys in a file, its queries and values where they are, and the norm of the queries.

**The format** (``kvbarrier capture`` writes it). A .npz or .safetensors file with the arrays

    keys      [layers, KV heads, tokens, d]     as the cache holds them, after the rotary embedding
    queries   [layers, heads, tokens, d]        times the softmax scale: scores are <q, k>
    values    [layers, KV heads, tokens, d_v]
    layers    int64 [layers]                    their numbers in the model; 0, 1, .. if left out
    heads     int64 [KV heads]                  likewise

of float32, float16, bfloat16 or float64. Only ``keys`` must be there. Axes may be left out from
the front ([KV heads, tokens, d], [tokens, d]). A .npy file is the keys alone. Query head h belongs
to KV head h // (heads / KV heads), as in grouped-query attention.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput
from .arrays import Opened, floats, open_arrays, wanted

Float32 = NDArray[np.float32]

_NUMBERS = {"f2", "f4", "f8", "V2"}


@dataclass(frozen=True)
class Place:
    """A KV head of the file, by its numbers in the model."""

    layer: int
    head: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """From "LAYER.HEAD"; BadInput for another form.

        >>> Place.parse("5.1")
        Place(layer=5, head=1)
        """
        if not (match := re.fullmatch(r"(\d{1,9})\.(\d{1,9})", text)):
            raise BadInput(f"Name a head as LAYER.HEAD, such as 5.1, not '{text}'.")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"


class KeyFile:
    """The file, opened: headers are read, numbers are not.

    Attributes:
        path: of the file.
        shape: (layers, KV heads, tokens, d).
        d_v: the dimension of a value; d where the file has no values.
        places: all KV heads, layer by layer.

    Raises:
        BadInput: as ``open_arrays``, and for arrays whose shapes do not fit together.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        arrays = open_arrays(self.path)
        self._keys = self._checked("keys", wanted(arrays, "keys", self.path))
        self.shape = (1,) * (4 - len(self._keys.shape)) + self._keys.shape
        layers, kv_heads, _, d = self.shape
        self._queries = self._beside("queries", arrays)
        heads = kv_heads if self._queries is None else _axes(self._queries)[1]
        if heads % kv_heads or (self._queries is not None and self._queries.shape[-1] != d):
            raise BadInput(
                f"The queries of {self.path} have shape {list(_shape(self._queries))}: a whole "
                f"number of heads for each of {kv_heads} KV heads is expected, and d = {d}."
            )
        self._group = heads // kv_heads
        values = self._beside("values", arrays)
        self.d_v = d if values is None else values.shape[-1]
        numbers = [
            self._numbers(name, arrays, size)
            for name, size in (("layers", layers), ("heads", kv_heads))
        ]
        self.places = tuple(Place(l, h) for l in numbers[0] for h in numbers[1])

    @property
    def n(self) -> int:
        """Tokens."""
        return self.shape[2]

    @property
    def d(self) -> int:
        """The dimension of a key."""
        return self.shape[3]

    def place(self, text: str | None) -> Place:
        """The KV head called "LAYER.HEAD", or the only one for None; BadInput otherwise."""
        if text is None and len(self.places) == 1:
            return self.places[0]
        many = f"{self.path} has the heads {self.places[0]} to {self.places[-1]} (LAYER.HEAD)"
        if text is None:
            raise BadInput(f"{many}: name one with --at.")
        place = Place.parse(text)
        if place not in self.places:
            raise BadInput(f"{many}, and not {place}.")
        return place

    def keys(self, place: Place, tokens: int | None = None) -> Float32:
        """float32[n, d]: a head's keys, the first ``tokens`` of them (None: all)."""
        return self._read(self._keys, *self._index(place), tokens)

    def query_norm(self, place: Place, share: float, tokens: int | None = None) -> float:
        """The ``share`` quantile of |q|, the largest over the query heads of this KV head.

        Raises BadInput where the file has no queries, or none but zeros.
        """
        if self._queries is None:
            raise BadInput(
                f"{self.path} has no queries to take a norm from: give --norm a number, or a "
                ".npz or .safetensors file with 'queries'."
            )
        layer, head = self._index(place)
        found = []
        for q in range(head * self._group, (head + 1) * self._group):
            norms = np.linalg.norm(
                self._read(self._queries, layer, q, tokens).astype(np.float64), axis=1
            )
            found.append(float(np.quantile(norms, share)))
        if not 0 < max(found) < np.inf or np.isnan(found).any():
            raise BadInput(
                f"The queries of head {place} in {self.path} cannot be used: their largest norm is "
                f"{max(found):g}."
            )
        return max(found)

    # -- reading ---------------------------------------------------------------------------------

    def _index(self, place: Place) -> tuple[int, int]:
        at = self.places.index(place)
        return at // self.shape[1], at % self.shape[1]

    def _read(self, array: Opened, layer: int, head: int, tokens: int | None) -> Float32:
        front = (layer, head)[4 - len(array.shape) :]
        return floats(array.part(front)[:tokens])

    def _checked(self, name: str, array: Opened) -> Opened:
        if array.dtype.str.lstrip("<>|=") not in _NUMBERS:
            raise BadInput(
                f"The {name} of {self.path} are of type {array.dtype}: float16, bfloat16, float32 "
                "or float64 is expected."
            )
        if not 2 <= len(array.shape) <= 4 or min(array.shape) < 1:
            raise BadInput(
                f"The {name} of {self.path} have shape {list(array.shape)}: [layers, heads, "
                "tokens, d] is expected, or only the last of these axes."
            )
        return array

    def _beside(self, name: str, arrays: Mapping[str, Opened]) -> Opened | None:
        """Queries or values, of as many layers and tokens as the keys."""
        if name not in arrays:
            return None
        array = self._checked(name, arrays[name])
        layers, heads, tokens, _ = _axes(array)
        if (layers, tokens) != (self.shape[0], self.n) or (
            name == "values" and heads != self.shape[1]
        ):
            raise BadInput(
                f"The {name} of {self.path} have shape {list(array.shape)}, and the keys "
                f"{list(self._keys.shape)}: they must be of the same layers, heads and tokens."
            )
        return array

    def _numbers(self, name: str, arrays: Mapping[str, Opened], size: int) -> list[int]:
        if name not in arrays:
            return list(range(size))
        array = arrays[name]
        if array.dtype.kind != "i" or array.shape != (size,):
            raise BadInput(
                f"'{name}' of {self.path} is of type {array.dtype} and shape {list(array.shape)}: "
                f"{size} whole numbers are expected."
            )
        numbers = [int(x) for x in array.part(())]
        if len(set(numbers)) < size or min(numbers) < 0:
            raise BadInput(f"'{name}' of {self.path} has a number twice, or a negative one.")
        return numbers


def norm_of(text: str) -> float | tuple[float]:
    """A norm as the command line says it: a number, or (share,) for "p50", a quantile.

    Raises BadInput for anything else.

    >>> norm_of("2.5"), norm_of("p90")
    (2.5, (0.9,))
    """
    if match := re.fullmatch(r"p(\d{1,3}(?:\.\d+)?)", text):
        if (percent := float(match[1])) <= 100:
            return (percent / 100,)
    else:
        try:
            if 0 < (value := float(text)) < 1e30:
                return value
        except ValueError:
            pass
    raise BadInput(
        "--norm is a positive number, or a quantile of the file's queries such as p50, not "
        f"'{text}'."
    )


def digest(keys: Float32) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of float32 keys and their shape."""
    data = np.ascontiguousarray(keys, dtype="<f4")
    return hashlib.sha256(repr(data.shape).encode() + data.tobytes()).hexdigest()[:16]


def _axes(array: Opened) -> tuple[int, ...]:
    return (1,) * (4 - len(array.shape)) + array.shape


def _shape(array: Opened | None) -> tuple[int, ...]:
    return () if array is None else array.shape
