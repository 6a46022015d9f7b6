"""Arrays in files, head by head: .npy, .npz and .safetensors, nothing read before it is asked for.

A cache of a long text is larger than memory, so an array is opened by its header, and one head's
[tokens, d] is read at a time: from a mapping of the file, or from the stream of a compressed .npz.
Nothing is unpickled. NumPy does not know bfloat16: ``ml_dtypes`` makes it of two bytes.
"""

from __future__ import annotations

import json
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput, did_you_mean

SUFFIXES = (".npy", ".npz", ".safetensors")
#: a safetensors header
_MOST_HEADER = 100 << 20
#: one head of a compressed array, which is read whole
_MOST_PART = 4 << 30
#: what NumPy and zipfile raise of an archive that is damaged, or was made to look like one
_DAMAGED = (
    ValueError, TypeError, LookupError, EOFError, OverflowError, RecursionError, SyntaxError,
    RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError,
)  # fmt: skip
_TENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "bf16", "I64": "<i8"}


class Opened(Protocol):
    """An array in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As stored."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored; bfloat16 is two bytes without a name, V2."""

    def part(self, index: tuple[int, ...]) -> NDArray[Any]:
        """The numbers at the first axes' ``index``, read now."""


@dataclass(frozen=True)
class _Mapped:
    """An array whose numbers lie in the file one after another."""

    numbers: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.numbers.dtype

    def part(self, index: tuple[int, ...]) -> NDArray[Any]:
        return np.asarray(self.numbers[index])


@dataclass(frozen=True)
class _Streamed:
    """A compressed member of a .npz, read up to the part that is asked for."""

    path: Path
    member: str
    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def part(self, index: tuple[int, ...]) -> NDArray[Any]:
        rest = self.shape[len(index) :]
        size = math.prod(rest) * self.dtype.itemsize
        if size > _MOST_PART:
            raise BadInput(
                f"A head of '{self.member}' in {self.path} has {size >> 30} GiB, more than is read "
                "of a compressed file: save it with numpy.savez."
            )
        place = int(np.ravel_multi_index(index, self.shape[: len(index)])) if index else 0
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                file.seek(self.start + place * size)
                data = file.read(size)
        except (OSError, *_DAMAGED) as error:
            raise BadInput(f"{self.path} is damaged ({error}): write it again.") from None
        if len(data) < size:
            raise BadInput(f"{self.path} ends before its array '{self.member}': write it again.")
        return np.frombuffer(data, self.dtype).reshape(rest)


def open_arrays(path: Path) -> dict[str, Opened]:
    """The arrays of a file by name; the one of a .npy is called ``keys``.

    Raises BadInput for a file that is not one of ``SUFFIXES``, cannot be read, is cut short or
    damaged, holds Python objects, or numbers that are not float16, bfloat16, float32 or float64.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise BadInput(
            f"{path} is not named as a file of keys: give a .npy, .npz or .safetensors file."
        )
    read = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors}[kind]
    try:
        return read(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from None
    except BadInput:
        raise
    except _DAMAGED as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise BadInput(f"{path} is not a whole {kind} file ({why}): write it again.") from None


def floats(part: NDArray[Any]) -> NDArray[np.float32]:
    """A part's numbers as float32; bfloat16 and float16 are exact in it."""
    if part.dtype.kind == "V":
        import ml_dtypes

        part = part.view(ml_dtypes.bfloat16)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(part, dtype=np.float32)


def wanted(arrays: Mapping[str, Opened], name: str, path: Path) -> Opened:
    """The array of a name; BadInput, with the names that there are."""
    if name not in arrays:
        hint = did_you_mean(name, arrays) if arrays else " It has no arrays."
        raise BadInput(f"{path} has no array '{name}'.{hint}")
    return arrays[name]


def _npy(path: Path) -> dict[str, Opened]:
    with path.open("rb") as file:
        shape, fortran, dtype = _header(file, path)
        start = file.tell()
    return {"keys": _mapped(path, dtype, start, shape, fortran)}


def _npz(path: Path) -> dict[str, Opened]:
    found: dict[str, Opened] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name == info.filename:
                continue
            with archive.open(info) as file:
                shape, fortran, dtype = _header(file, path)
                start = file.tell()
            if info.compress_type == zipfile.ZIP_STORED:
                begin = _data_of(path, info) + start
                found[name] = _mapped(path, dtype, begin, shape, fortran)
            elif fortran:
                raise BadInput(
                    f"The array '{name}' of {path} is compressed in Fortran order: save it with "
                    "numpy.ascontiguousarray, or uncompressed."
                )
            else:
                if start + math.prod(shape) * dtype.itemsize > info.file_size:
                    raise ValueError("it ends before its numbers do")
                found[name] = _Streamed(path, info.filename, start, dtype, shape)
    return found


def _data_of(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a stored member's bytes begin: after its local header, name and extra field."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        local = file.read(30)
    if local[:4] != b"PK\x03\x04":
        raise ValueError("a member has no local header")
    name, extra = (int.from_bytes(local[i : i + 2], "little") for i in (26, 28))
    return info.header_offset + 30 + name + extra


def _header(file: Any, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise BadInput(
            f"{path} is in version {version} of the .npy format: save it with NumPy again."
        )
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise BadInput(
            f"{path} holds pickled Python objects, which kvbarrier never loads: save an array of "
            "numbers."
        )
    return tuple(map(_size, shape)), fortran, dtype


def _size(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError("one of its sizes is not a whole number")
    return number


def _safetensors(path: Path) -> dict[str, Opened]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, _MOST_HEADER):
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(length))
    if not isinstance(header, dict) or not all(isinstance(one, dict) for one in header.values()):
        raise ValueError("its header is not a table of tensors")
    found: dict[str, Opened] = {}
    for name, one in header.items():
        if name == "__metadata__":
            continue
        dtype = np.dtype("V2" if (word := _TENSORS.get(one["dtype"])) == "bf16" else word or "V1")
        shape, (begin, end) = tuple(map(_size, one["shape"])), map(_size, one["data_offsets"])
        if end - begin != math.prod(shape) * dtype.itemsize and word is not None:
            raise ValueError(f"'{name}' has another size than its shape")
        if word is not None:
            found[name] = _mapped(path, dtype, 8 + length + begin, shape, False)
    return found


def _mapped(
    path: Path, dtype: np.dtype[Any], start: int, shape: tuple[int, ...], fortran: bool
) -> Opened:
    if start + math.prod(shape) * dtype.itemsize > path.stat().st_size:
        raise ValueError("it ends before its numbers do")
    if math.prod(shape) == 0:
        return _Mapped(np.empty(shape, dtype))
    numbers = np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")
    return _Mapped(numbers)
