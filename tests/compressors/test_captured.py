"""Files of keys: the same numbers in every format, nothing read early, bad ones in a sentence."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kvbarrier.compressors.captured.key_file import KeyFile, Place, norm_of
from kvbarrier.errors import BadInput

RNG = np.random.default_rng(0)
KEYS = RNG.normal(size=(2, 3, 20, 8)).astype(np.float32)
QUERIES = RNG.normal(size=(2, 9, 20, 8)).astype(np.float32)


def safetensors(path: Path, arrays: dict[str, Any]) -> Path:
    """The published layout: eight bytes of length, JSON, the numbers."""
    words = {
        "float32": "F32",
        "float16": "F16",
        "bfloat16": "BF16",
        "float64": "F64",
        "int64": "I64",
    }
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        end = len(data) + array.nbytes
        header[name] = {
            "dtype": words[str(array.dtype)], "shape": list(array.shape),
            "data_offsets": [len(data), end],
        }  # fmt: skip
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def written(folder: Path, kind: str, keys: Any, **others: Any) -> Path:
    path = folder / f"keys.{kind.removeprefix('packed-')}"
    if kind == "npy":
        np.save(path, keys)
    elif kind == "npz":
        np.savez(path, keys=keys, **others)
    elif kind == "packed-npz":
        np.savez_compressed(path, keys=keys, **others)
    else:
        safetensors(path, {"keys": keys, **others})
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "packed-npz", "safetensors"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_every_format_has_the_same_numbers(tmp_path: Path, kind: str, dtype: Any) -> None:
    file = KeyFile(written(tmp_path, kind, KEYS.astype(dtype)))
    assert (file.shape, file.n, file.d) == (KEYS.shape, 20, 8)
    for place in file.places:
        expected = KEYS[place.layer, place.head].astype(dtype).astype(np.float32)
        assert (file.keys(place) == expected).all()
    assert file.keys(Place(1, 2), 5).shape == (5, 8)


@pytest.mark.parametrize("kind", ["npz", "packed-npz", "safetensors"])
def test_the_norm_is_the_groups_largest(tmp_path: Path, kind: str) -> None:
    file = KeyFile(written(tmp_path, kind, KEYS, queries=QUERIES))
    norms = np.quantile(np.linalg.norm(QUERIES.astype(np.float64), axis=3), 0.5, axis=2)
    assert file.query_norm(Place(1, 2), 0.5) == pytest.approx(norms[1, 6:9].max())


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_numbers_of_layers_and_heads(tmp_path: Path, kind: str) -> None:
    chosen = {"layers": np.array([5, 11]), "heads": np.array([0, 2, 7])}
    file = KeyFile(written(tmp_path, kind, KEYS, **chosen))
    assert [str(place) for place in file.places[2:4]] == ["5.7", "11.0"]
    assert (file.keys(file.place("11.2")) == KEYS[1, 1]).all()


def test_fewer_axes(tmp_path: Path) -> None:
    file = KeyFile(written(tmp_path, "npy", KEYS[0, 0]))
    assert file.place(None) == Place(0, 0)
    assert (file.keys(Place(0, 0)) == KEYS[0, 0]).all()
    assert KeyFile(written(tmp_path, "npy", KEYS[0])).shape == (1, 3, 20, 8)
    transposed = np.asfortranarray(KEYS)
    assert (KeyFile(written(tmp_path, "npz", transposed)).keys(Place(1, 1)) == KEYS[1, 1]).all()


def test_ten_gigabytes_are_not_read(tmp_path: Path) -> None:
    """A sparse file of 10 GB: one head costs one head."""
    path, shape = tmp_path / "large.npy", (10, 10, 200_000, 128)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        start = file.tell()
        file.truncate(start + 4 * int(np.prod(shape)))
        file.seek(start + 4 * 99 * 200_000 * 128)
        file.write(np.float32(7).tobytes())
    tracemalloc.start()
    large = KeyFile(path)
    keys = large.keys(Place(9, 9), 1000)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert path.stat().st_size > 10 * 10**9
    assert keys[0, 0] == 7
    assert keys.sum() == 7


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "bad.npz", keys=np.array([{"a": 1}], dtype=object))
    for name in ("bad.npy", "bad.npz"):
        with pytest.raises(BadInput, match="pickled Python objects"):
            KeyFile(tmp_path / name)


BAD: list[tuple[str, Any, str]] = [
    ("npy", KEYS.astype(np.int32), "float16, bfloat16, float32"),
    ("npy", KEYS[0, 0, 0], "tokens, d"),
    ("npy", np.zeros((0, 8), np.float32), "tokens, d"),
    ("npy", KEYS[None], "tokens, d"),
]


@pytest.mark.parametrize(("kind", "keys", "said"), BAD)
def test_other_arrays_are_refused(tmp_path: Path, kind: str, keys: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        KeyFile(written(tmp_path, kind, keys))


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"queries": QUERIES[:, :8]}, "whole number of heads"),
        ({"queries": QUERIES[:, :, :, :4]}, "d = 8"),
        ({"queries": QUERIES[:, :, :9]}, "the same layers, heads and tokens"),
        ({"values": KEYS[:1]}, "the same layers, heads and tokens"),
        ({"values": KEYS[:, :1]}, "the same layers, heads and tokens"),
        ({"layers": np.array([1, 1])}, "twice"),
        ({"layers": np.array([1])}, "2 whole numbers"),
        ({"heads": np.array([0.0, 1, 2])}, "3 whole numbers"),
    ],
)
def test_arrays_that_do_not_fit_together(tmp_path: Path, others: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        KeyFile(written(tmp_path, "npz", KEYS, **others))


def _read_all(path: Path) -> None:
    file = KeyFile(path)
    for place in file.places:
        file.keys(place)


@pytest.mark.parametrize("kind", ["npy", "npz", "packed-npz", "safetensors"])
def test_a_file_cut_anywhere_is_one_sentence(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind, KEYS)
    whole = path.read_bytes()
    for size in [*range(0, 200, 7), *range(200, len(whole) - 1, 97), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(BadInput):
            _read_all(path)


def test_names_and_missing_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", key=KEYS)
    with pytest.raises(BadInput, match="Did you mean 'key'"):
        KeyFile(tmp_path / "a.npz")
    for name in ("none.npy", "none.npz", "keys.pt"):
        with pytest.raises(BadInput):
            KeyFile(tmp_path / name)
    file = KeyFile(written(tmp_path, "npz", KEYS))
    for text in (None, "2.0", "x"):
        with pytest.raises(BadInput):
            file.place(text)
    with pytest.raises(BadInput, match="no queries"):
        file.query_norm(Place(0, 0), 0.5)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "p101", "p", "half", "1e40"])
def test_norms_that_are_none(text: str) -> None:
    with pytest.raises(BadInput, match="--norm"):
        norm_of(text)


# -- files that somebody made to look like one ----------------------------------------------------

HEADERS = (
    "(2, 2, 8, 4)", "(-2, -2, 8, 4)", "(True, 2)", "(1.0, 2)", "()", "(2,)", "(0, 4)", "2**9",
    f"(1, {2**40}, 64)", f"({2**62}, {2**62})", "(" * 300,
)  # fmt: skip


def _npy(shape: str, dtype: str, version: int) -> bytes:
    head = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes((version, 0)) + length + head + bytes(512)


def _npz(members: Any) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, data, kind in members:
            archive.writestr(name, data, kind)
    return whole.getvalue()


def _safetensors(header: Any) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(512)


npys = st.builds(
    _npy,
    st.sampled_from(HEADERS),
    st.sampled_from(["'<f4'", "'|O'", "'<U4'", "'m8[D]'", "[('a', '<f4')]", "'V2'", "7"]),
    st.integers(1, 4),
)
names = st.sampled_from(["keys.npy", "queries.npy", "layers.npy", "../keys.npy", ".npy"])
kinds = st.sampled_from(
    [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
npzs = st.lists(
    st.tuples(names, npys, kinds), min_size=1, max_size=3, unique_by=lambda one: one[0]
).map(_npz)
numbers = st.none() | st.integers(-9, 600) | st.sampled_from([2**70, 1.5, "8"])
tensor = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "U8", 3, None, []]),
        "shape": st.sampled_from([[2, 2, 8, 4], [-2, -2, 8, 4]]) | st.lists(numbers, max_size=5),
        "data_offsets": st.just([0, 512]) | st.lists(numbers, max_size=3),
    }
)
headers = st.dictionaries(st.sampled_from(["keys", "queries", "__metadata__"]), tensor | numbers)
tables = st.one_of(headers, st.lists(tensor, max_size=2), numbers).map(_safetensors)


@given(
    made=st.one_of(
        st.tuples(st.just(".npy"), npys),
        st.tuples(st.just(".npz"), npzs),
        st.tuples(st.just(".safetensors"), tables),
    ),
    at=st.integers(0, 600),
    wrong=st.binary(max_size=3),
)
def test_a_made_up_file_is_one_sentence(made: tuple[str, bytes], at: int, wrong: bytes) -> None:
    kind, data = made
    data = data[:at] + wrong + data[at + len(wrong) :]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"keys{kind}"
        file.write_bytes(data)
        with suppress(BadInput):
            opened = KeyFile(file)
            for place in opened.places[:2]:
                opened.keys(place, 4)
                opened.query_norm(place, 0.5)


def test_a_header_that_promises_more_than_the_archive_holds(tmp_path: Path) -> None:
    whole = tmp_path / "keys.npz"
    whole.write_bytes(
        _npz([("keys.npy", _npy(f"({2**40}, 64)", "'<f4'", 1), zipfile.ZIP_DEFLATED)])
    )
    with pytest.raises(BadInput, match="ends before its numbers do"):
        KeyFile(whole)
