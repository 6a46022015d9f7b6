"""What a person may write on the command line, and the sentence for what is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors import catalog, targets
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import BadInput, PluginFailure

SHAPE = Shape(tokens=4, d_k=2, d_v=2)

MINE = """
from {helper} import WIDTH

class Mine:
    def __init__(self, shape, width=WIDTH, mode="a"):
        self.width, self.mode = width, mode
    def append(self, q, k, v): ...
    def attend(self, q): return [0.0, 0.0]

class _Hidden(Mine): ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A folder with mine.py and a helper of its own name; sys is as before afterwards."""
    helper = f"helper_{abs(hash(request.node.name))}"
    (tmp_path / f"{helper}.py").write_text("WIDTH = 7\n")
    (tmp_path / "mine.py").write_text(MINE.format(helper=helper))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("mine", "helper_", "own_package", "random", "broken")):
            del sys.modules[name]


def test_files(folder: Path) -> None:
    for text in ("mine.py", "mine.py:Mine", f"{folder}/mine.py", f"../{folder.name}/mine.py:Mine"):
        target = resolve(text)
        assert (target.name, target.text) == ("mine.py:Mine", f"{folder.resolve()}/mine.py:Mine")
        assert target.folder == folder.resolve()
        assert target.factory(SHAPE, 10, 1, {}).inner.width == 7
    # Importing again is the same class: module globals are not doubled.
    assert type(resolve("mine.py").factory(SHAPE).inner) is sys.modules["mine"].Mine


def test_parameters(folder: Path) -> None:
    target = resolve("mine.py:Mine?width=8&mode=a%26b", {"mode": "a&b"})
    assert target.params == {"mode": "a&b", "width": 8}
    inner: Any = target.factory(SHAPE).inner
    assert (inner.width, inner.mode) == (8, "a&b")
    assert resolve("mine.py").factory(SHAPE, width="9").inner.width == 9
    for text, sentence in {
        "mine.py?wide=3": "has no parameter 'wide'. Did you mean 'width'",
        "mine.py?width": "must have the form name=value",
        "mine.py?width=1&width=2": "gives width twice",
    }.items():
        with pytest.raises(BadInput, match=sentence):
            resolve(text)
    with pytest.raises(BadInput, match="given twice"):
        resolve("mine.py?width=1", {"width": 2})


def test_modules_from_the_working_folder(folder: Path) -> None:
    package = folder / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text((folder / "mine.py").read_text())
    assert resolve("own_package.inner:Mine").name == "own_package.inner:Mine"
    with pytest.raises(
        BadInput, match=r"own_package\.inner has no class 'Mime'\. Did you mean 'Mine'"
    ):
        resolve("own_package.inner:Mime")
    with pytest.raises(BadInput, match=r"no module 'own_package.outer'.*outer.py:Class"):
        resolve("own_package.outer:Mine")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("absent.py", "absent.py is not there"),
        ("absent.py:Mine", "absent.py is not there"),
        ("mine.py:Mime", "mine.py has no class 'Mime'. Did you mean 'Mine'"),
        ("exat", "there is no compressor 'exat'. Did you mean 'exact'"),
        ("engine:llama", "no engine 'llama': packages register engines .* None is installed"),
        ("", "the name of the compressor is empty"),
        (".", "not a Python file"),
    ],
)
def test_what_is_not_there(folder: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        resolve(text)


def test_ambiguity_and_emptiness(folder: Path) -> None:
    (folder / "mine.py").write_text(
        "class A:\n  append = attend = lambda *_: None\nclass B(A): ...\n"
    )
    with pytest.raises(BadInput, match=r"2 compressors: write mine.py:NAME with one of A, B"):
        resolve("mine.py")
    assert resolve("mine.py:B").name == "mine.py:B"
    (folder / "mine.py").write_text("from kvbarrier import Compressor\nclass A(Compressor): ...\n")
    with pytest.raises(PluginFailure, match=r"mine\.py has no compressor"):
        resolve("mine.py")
    with pytest.raises(PluginFailure, match="A has no append and no attend"):
        resolve("mine.py:A")
    (folder / "mine.py").write_text("class A:\n  update = query = lambda *_: None\n")
    with pytest.raises(PluginFailure, match=r"no compressor\. A has update, query\. Write a class"):
        resolve("mine.py")
    (folder / "mine.py").write_text("class A:\n  encode = decode = lambda *_: None\n")
    with pytest.raises(PluginFailure, match=r"by the name codec:mine\.py:A\. Write a class"):
        resolve("mine.py")


def test_a_target_says_whether_it_takes_a_budget(folder: Path) -> None:
    for number, (head, budgeted) in enumerate([
        ("class A:", False), ("class A:\n  def __init__(self, shape): ...", False),
        ("class A:\n  def __init__(self, budget_bits): ...", True),
        ("class A:\n  def __init__(self, **all): ...", True),
        ("from kvbarrier import Compressor\nclass A(Compressor):", True),
    ]):  # fmt: skip
        path = folder / f"mine{number}.py"
        path.write_text(f"{head}\n  append = attend = lambda *_: None\n")
        assert resolve(f"mine{number}.py").budgeted is budgeted, head
    (folder / "two.py").write_text("def compress(Q, K, V): return [K, V]\n")
    assert not resolve("two.py").budgeted


def test_the_two_function_form(folder: Path) -> None:
    (folder / "mine.py").write_text(
        "def compress(Q, K, V, bits=2): return [bits]\n"
        "def attend(state, q, more=1): return [state[0] + more] * 2\n"
        "other = compress\n"
    )
    for text in ("mine.py", "mine.py:compress", "mine.py:other"):
        one = resolve(text, {"bits": "3", "more": "4"}).factory(SHAPE)
        assert one.attend(None).tolist() if hasattr(one.attend(None), "tolist") else True
        assert list(one.attend(None)) == [7, 7]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import numpy\n\nx = 1 / 0\n", r"importing mine.py raised ZeroDivisionError: division by"),
        ("import absent_thing\n", "ModuleNotFoundError: No module named 'absent_thing'"),
        ("\n\nclass Mine\n", r"SyntaxError: expected ':' \(mine.py, line 3\)"),
        ("\n\nraise SystemExit(2)\n", r"SystemExit: 2 \(mine.py, line 3\)"),
        ("import nested_broken\n", r"RuntimeError: two lines \(mine.py, line 1\)"),
    ],
)
def test_code_that_does_not_import(folder: Path, text: str, reason: str) -> None:
    (folder / "nested_broken.py").write_text("raise RuntimeError('two\\nlines')\n")
    (folder / "mine.py").write_text(text)
    with pytest.raises(PluginFailure, match=reason) as caught:
        resolve("mine.py:Mine")
    assert caught.value.detail is not None
    assert "mine.py" in caught.value.detail
    assert "loading.py" not in caught.value.detail
    assert "importlib" not in caught.value.detail
    assert "\n" not in str(caught.value)
    assert "mine" not in sys.modules


def test_prints_on_import_do_not_reach_stdout(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.py").write_text("print('hello')\n" + (folder / "mine.py").read_text())
    resolve("mine.py")
    assert capsys.readouterr() == ("", "hello\n")


def test_a_neighbour_may_not_take_the_standard_library(folder: Path) -> None:
    (folder / "colorsys.py").write_text("raise RuntimeError\n")
    sys.modules.pop("colorsys", None)
    resolve("mine.py")
    import colorsys

    assert not str(colorsys.__file__).startswith(str(folder))
    # And a plug-in that is called like a module of the library is itself.
    (folder / "colorsys.py").write_text((folder / "mine.py").read_text())
    assert resolve("colorsys.py").name == "colorsys.py:Mine"
    assert sys.modules["colorsys"] is colorsys


def test_the_source_is_the_code(folder: Path) -> None:
    first = resolve("mine.py").source
    assert len(first) == 16
    assert resolve(f"{folder}/mine.py:Mine?width=3").source == first
    (folder / "mine.py").write_text((folder / "mine.py").read_text() + "# edited\n")
    assert resolve("mine.py").source != first
    # A base in another file counts; another file does not.
    (folder / "base.py").write_text("class Base: ...\n")
    (folder / "mine.py").write_text(
        "import base\nclass Mine(base.Base):\n  append = attend = lambda *_: None\n"
    )
    first = resolve("mine.py").source
    (folder / "other.py").write_text("x = 1\n")
    assert resolve("mine.py").source == first
    (folder / "base.py").write_text("class Base: ...\n\n")
    os.utime(folder / "base.py", ns=(1, 1))
    assert resolve("mine.py").source != first
    del sys.modules["base"]


def test_a_built_in_by_another_path_is_a_built_in() -> None:
    by_name, by_module = resolve("zero"), resolve("kvbarrier.compressors.zoo.control.zero:Zero")
    assert (by_module.source, by_module.folder) == (by_name.source, None)


def test_entry_points(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        targets.COMPRESSORS_GROUP: [
            ("theirs", "mine:Mine"),
            ("zero", "mine:Mine"),
            ("broken", "broken:X"),
        ],
        targets.ENGINES_GROUP: [("box", "mine")],
    }
    (folder / "broken.py").write_text("1 / 0\n")
    sys.path.insert(0, str(folder))
    monkeypatch.setattr(
        metadata,
        "entry_points",
        lambda group: [metadata.EntryPoint(name, value, group) for name, value in points[group]],
    )
    assert resolve("theirs?width=3").factory(SHAPE).inner.width == 3
    assert resolve("zero").folder is None  # our names are ours
    assert resolve("engine:box").name == "engine:box"
    with pytest.raises(BadInput, match="Did you mean 'theirs'"):
        resolve("their")
    with pytest.raises(BadInput, match="Did you mean 'box'"):
        resolve("engine:bo")
    with pytest.raises(PluginFailure, match="ZeroDivisionError"):
        resolve("broken")


def test_resolving_is_light() -> None:
    code = (
        "import sys; from kvbarrier.compressors import targets, catalog; targets.resolve('zero');"
        "print([m for m in ('numba', 'pandas', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert "zero" in catalog.names()


CODEC = """\
class Halves:
    def encode(self, x):
        return x.astype("float16")

    def decode(self, data):
        return data.astype("float32")
"""


@pytest.mark.parametrize("text", ["codec:sub/halves.py", "codec:sub/halves.py:Halves"])
def test_a_codec_in_a_file_may_be_named_by_the_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "halves.py").write_text(CODEC)
    (tmp_path / "scratch").mkdir()
    monkeypatch.chdir(tmp_path)
    target = resolve(text)
    assert target.folder == (tmp_path / "sub").resolve()
    # A player builds it in a folder of its own.
    monkeypatch.chdir(tmp_path / "scratch")
    one = target.factory(SHAPE)
    K = np.ones((4, 2), dtype=np.float32)
    one.extend(K, K, K)
    assert len(one.save()) > 2 * 2 * 4 * 2


@pytest.mark.parametrize("path", ["none.py", "sub/none.py"])
@pytest.mark.parametrize("form", ["{}", "{}:A", "codec:{}", "codec:{}:A"])
def test_a_missing_file_is_named_as_it_was_and_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput) as error:
        resolve(form.format(path))
    assert str(error.value) == (
        f"{path} is not there (looked for {tmp_path.resolve() / path}): "
        "give the path of a .py file."
    )
