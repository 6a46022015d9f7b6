"""Whose fault it was: a sentence names the author's file, line and method, and no file of ours."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape, plain_bytes
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import PluginFailure
from kvbarrier.protocols.players import play
from kvbarrier.protocols.players.inline_seat import InlineSeat
from kvbarrier.protocols.players.play import Table

GOOD = """\
import numpy as np
from kvbarrier import Compressor


class Mine{base}:
    def __init__(self, shape):
        {init}
        self.d_v = shape.d_v
        self.rows = []

    def append(self, {append}):  # APPEND
        {appended}

    def attend(self, {attend}):  # ATTEND
        {answer}
"""
USUAL = {
    "base": "", "init": "self.K = []", "append": "q, k, v", "appended": "self.rows.append((k, v))",
    "attend": "q", "answer": "return np.mean([v for _, v in self.rows], axis=0)",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _plug_ins_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("mine", "two", "deepest")):
            del sys.modules[name]


def written(folder: Path, **changes: str) -> Path:
    file = folder / "mine.py"
    file.write_text(GOOD.format(**{**USUAL, **changes}))
    return file


def line_of(file: Path, mark: str) -> int:
    lines = file.read_text().splitlines()
    return next(n for n, line in enumerate(lines, start=1) if mark in line)


def played(target: str, layers: int = 1) -> str:
    """What is said of a game with it: at the table, of Alice, or of Bob; empty if all is well."""
    shape = Shape(tokens=8, d_k=4, d_v=4, layers=layers, heads=layers, kv_heads=layers)
    axes = () if layers == 1 else (layers, layers)
    public = {"keys": np.zeros((8, *axes, 4), "f4")}
    alice, bob = InlineSeat(), InlineSeat()
    rng = np.random.default_rng(0)
    triples = tuple(rng.standard_normal((8, *axes, 4), dtype=np.float32) for _ in "qkv")
    table = Table(target, os.getcwd(), {}, shape, None, public)
    try:
        for seat in (alice, bob):
            (opened,) = seat.open([table])
            if isinstance(opened, Exception):
                raise opened
        alice.begin(table, 1, "Alice")
        message, _ = alice.write(triples, None)
        bob.begin(table, 1, "Bob")
        bob.answer(message, tuple(part[:2] for part in triples), None, 1)
    except (PluginFailure, play.PlayerFault) as fault:
        return str(fault)
    return ""


BASES = {
    "look-alike": {},
    "subclass": {"base": "(Compressor)", "init": "super().__init__(shape)"},
}


@pytest.mark.parametrize("base", BASES)
def test_what_is_well_is_not_blamed(tmp_path: Path, base: str) -> None:
    assert played(f"{written(tmp_path, **BASES[base])}:Mine") == ""


WHOLE = "layout = 'heads'\n\n    def __init__"


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("return 'text'", "a str"),
        ("pass", "None"),
        ("return {}", "a dict"),
        ("return (x for x in q)", "a generator"),
        ("return [[1.0], [1.0, 2.0]]", "a list, not an array"),
        ("return np.zeros(3)", "float64[3]"),
        ("return np.zeros((1, 4, 1), 'f4')", "float32[1, 4, 1]"),
        ("return np.zeros_like(self.rows[0][1]).astype(complex)", "complex128 numbers"),
        ("return np.full_like(self.rows[0][1], np.nan)", "NaN or infinity"),
    ],
)
def test_a_wrong_answer_is_attends(
    tmp_path: Path, layers: int, base: str, whole: bool, answer: str, said: str
) -> None:
    file = written(tmp_path, **BASES[base], answer=answer)
    if whole:
        file.write_text(file.read_text().replace("def __init__", WHOLE))
    told = played(f"{file}:Mine", layers)
    assert f"Bob: Mine.attend returned {said}" in told
    assert f"(mine.py, line {line_of(file, 'ATTEND')})" in told
    assert "next_outputs" not in told


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"append": "k"}, r"Mine\.append is called with \(q, k, v\).* APPEND"),
        ({"append": "q, k, v, position"}, r"Mine\.append .*'position'.* APPEND"),
        ({"append": "q, k, v, *, where"}, r"Mine\.append .*'where'.* APPEND"),
        ({"attend": "q, k"}, r"Mine\.attend is called with \(q\).*'k'.* ATTEND"),
        ({"attend": "*, q"}, r"Mine\.attend is called with \(q\).* ATTEND"),
    ],
)
def test_a_method_that_cannot_be_called_is_told_before_it_is(
    tmp_path: Path, base: str, changes: dict[str, str], sentence: str
) -> None:
    file = written(tmp_path, **BASES[base], **changes)
    told = played(f"{file}:Mine")
    pattern, mark = sentence.rsplit(" ", 1)
    assert re.search(pattern, told), told
    assert f"(mine.py, line {line_of(file, mark)})" in told


@pytest.mark.parametrize(
    "header",
    [
        "save(self, where)",
        "restore(self)",
        "extend(self, K)",
        "next_outputs(self, Q)",
        "block_outputs(self, Q, K)",
    ],
)
def test_so_are_the_others(tmp_path: Path, header: str) -> None:
    file = written(tmp_path)
    others = {"save(self)", "restore(self, message)"} if "sa" in header or "re" in header else ()
    name = header.partition("(")[0]
    for one in (header, *(other for other in others if not other.startswith(name))):
        file.write_text(file.read_text() + f"\n    def {one}:\n        return b''\n")
    told = played(f"{file}:Mine")
    assert f"Mine.{name} is called with (" in told
    assert f"(mine.py, line {line_of(file, f'def {name}')})" in told


@pytest.mark.parametrize("attend", ["attend(state)", "attend()"])
def test_an_attend_beside_compress_takes_the_state_and_the_query(
    tmp_path: Path, attend: str
) -> None:
    (tmp_path / "two.py").write_text(
        f"def compress(Q, K, V):\n    return K, V\n\n\ndef {attend}:\n    return None\n"
    )
    told = played(f"{tmp_path / 'two.py'}:compress")
    assert "write def attend(state, q) (two.py, line 5)." in told


def test_a_wrong_answer_of_two_functions_is_attends(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(
        "def compress(Q, K, V):\n    return K, V\n\n\ndef attend(state, q):\n    pass\n"
    )
    told = played(f"{tmp_path / 'two.py'}:compress")
    assert "Bob: attend returned None: it must be float32[4] (two.py, line 5)." in told


@pytest.mark.parametrize("door", ["next_outputs", "block_outputs"])
def test_a_door_of_theirs_is_theirs(tmp_path: Path, door: str) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text() + f"\n    def {door}(self, Q, K, V):\n        return Q[:1]\n")
    target = resolve(f"{file}:Mine")
    one = target.factory(Shape(8, 4, 4))
    queries = tuple(np.zeros((4, 4), "f4") for _ in "qkv")
    with pytest.raises(play.PlayerFault) as fault:
        play.answer(one, b"", queries, None, 1 if door == "next_outputs" else 2)
    assert f"Mine.{door} returned float32[1, 4]: it must be" in str(fault.value)
    assert f"(mine.py, line {line_of(file, f'def {door}')})" in str(fault.value)


def test_a_message_that_is_none_is_saves(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_text(
        file.read_text()
        + "\n    def save(self):\n        return 'text'\n\n    def restore(self, message):\n"
        "        pass\n"
    )
    told = played(f"{file}:Mine")
    assert "Mine.save returned a str: it must return bytes (mine.py, " in told
    assert f"line {line_of(file, 'def save')})" in told


def test_no_file_of_ours_is_named_where_no_line_of_theirs_is(tmp_path: Path) -> None:
    # A callable that is not written in Python has no line, and ours is not at fault.
    file = written(tmp_path, init="self.append = {}.__getitem__")
    told = played(f"{file}:Mine")
    assert "Alice raised TypeError" in told
    assert not re.search(r"\w+\.py, line", told)


def test_an_installed_package_in_the_authors_folder_is_not_the_author(tmp_path: Path) -> None:
    packages = tmp_path / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "deepest.py").write_text("def fail():\n    raise ValueError('deep')\n")
    file = written(tmp_path, appended="import deepest; deepest.fail()")
    text = file.read_text()
    file.write_text(f"import sys\n\nsys.path.append({str(packages)!r})\n{text}")
    told = played(f"{file}:Mine")
    line = line_of(file, "deepest.fail()")
    assert f"raised ValueError: deep (mine.py, line {line}, in append)" in told


class Padded(bytes):
    """Says that it is empty, and carries something along."""

    def __new__(cls, data: bytes) -> Padded:
        self = super().__new__(cls, data)
        self.luggage = "uncharged"
        return self

    def __len__(self) -> int:
        return 0

    def __bytes__(self) -> bytes:
        return self

    def __getitem__(self, at: object) -> bytes:
        return self

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(b"")


class PaddedArray(bytearray):
    """The same of a bytearray."""

    def __len__(self) -> int:
        return 0

    def __bytes__(self) -> bytes:
        return b""


@pytest.mark.parametrize("kind", [Padded, PaddedArray, bytes, bytearray, memoryview, np.bytes_])
def test_a_message_is_charged_by_the_bytes_that_it_has(kind: type) -> None:
    message = plain_bytes(kind(b"abc"))
    assert (type(message), message, len(message)) == (bytes, b"abc", 3)


def test_a_message_with_a_false_length_is_charged_inline(tmp_path: Path) -> None:
    text = Path(__file__).read_text()
    padded = text[text.index("class Padded(") : text.index("class PaddedArray")]
    file = written(tmp_path)
    file.write_text(
        "from __future__ import annotations\n\n" + padded + "\n\n" + file.read_text()
        + "\n    def save(self):\n        return Padded(b'abc')\n"
        "\n    def restore(self, message):\n        pass\n"
    )  # fmt: skip
    seat = InlineSeat()
    table = Table(f"{file}:Mine", str(tmp_path), {}, Shape(8, 4, 4), None, {})
    seat.open([table])
    seat.begin(table, 0, "Alice")
    message, payload = seat.write(tuple(np.zeros((8, 4), "f4") for _ in "qkv"), None)
    assert (type(message), message, payload) == (bytes, b"abc", 3)
