"""Code identity: an edit of whatever a class runs on moves its digest, and nothing else does."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from kvbarrier.compressors import catalog
from kvbarrier.compressors.plugin import code_identity
from kvbarrier.compressors.plugin.blame import is_ours
from kvbarrier.compressors.plugin.code_identity import HOUSE, closure, identity, imports_in
from kvbarrier.compressors.plugin.loading import source_files
from kvbarrier.compressors.targets import resolve

MODULES = {
    file.relative_to(HOUSE).as_posix(): file
    for room in HOUSE.glob("*/__init__.py")
    for file in room.parent.rglob("*.py")
    if is_ours(str(file))
}


def parsed_imports(node: ast.AST) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """The same as ``imports_in``, read by Python's own parser."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from parsed_imports(other)
        elif isinstance(child, ast.ImportFrom):
            names = tuple(alias.name for alias in child.names)
            yield child.level, child.module or "", names
        elif isinstance(child, ast.Import):
            yield from ((0, alias.name, ()) for alias in child.names)
        else:
            yield from parsed_imports(child)


@pytest.mark.parametrize("room", sorted({name.split("/")[0] for name in MODULES}))
def test_the_imports_are_those_that_python_parses(room: str) -> None:
    missed, made_up = [], []
    for name in sorted(MODULES):
        if name.split("/")[0] == room:
            text = MODULES[name].read_text()
            found, parsed = set(imports_in(text)), set(parsed_imports(ast.parse(text)))
            missed += [(name, one) for one in parsed - found]
            # More may be found in texts: what a template or a docstring shows.
            extra = (one for one in found - parsed if repr(one[1])[1:-1] not in text)
            made_up += [(name, one) for one in extra]
    assert not missed, missed
    assert not made_up, made_up


def test_a_word_and_many_blanks_are_read_at_once() -> None:
    """The harness reads a stranger's text: once it took the cube of its length."""
    began = time.process_time()
    assert list(imports_in("from" + 20000 * " " + "x")) == []
    assert list(imports_in("from .import a\nfrom . import b")) == [(1, "", ("a",)), (1, "", ("b",))]
    assert time.process_time() - began < 1


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of our package, to be edited: its classes are those of this process."""
    copy = tmp_path_factory.mktemp("copy") / "house"
    for name, file in MODULES.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy / name)
    for file in HOUSE.glob("*.py"):
        shutil.copyfile(file, copy / file.name)
    return copy


def forget() -> None:
    """As in a process that has only just begun."""
    code_identity._house_closure.cache_clear()
    code_identity._house_identity.cache_clear()


@cache
def own_files(name: str) -> list[Path]:
    """The files of ours that a class of this process was written in."""
    return [file for file in source_files(catalog.entry(name).cls) if is_ours(str(file))]


class Copy:
    """Digests as they are in the copy."""

    def __init__(self, house: Path, patch: pytest.MonkeyPatch) -> None:
        self.house = house
        patch.setattr(code_identity, "HOUSE", house)
        patch.setattr(code_identity, "is_ours", lambda file: file.startswith(f"{house}{os.sep}"))
        forget()

    def files(self, name: str) -> list[Path]:
        return [self.house / file.relative_to(HOUSE) for file in own_files(name)]

    def digests(self) -> dict[str, str]:
        code_identity._house_identity.cache_clear()
        return {name: identity(self.files(name)) for name in catalog.names()}


@pytest.fixture
def copied(house: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Copy]:
    with monkeypatch.context() as patch:
        yield Copy(house, patch)
    forget()


KERNELS = {
    "h2o": ["zoo/eviction/h2o.py", "zoo/eviction/scored_cache.py"],
    "tova": ["zoo/eviction/tova.py", "zoo/eviction/scored_cache.py"],
    "skvq": ["zoo/quantisation/skvq.py", "kit/token_cache.py"],
    "cachegen": ["zoo/quantisation/cachegen.py", "kit/prefill.py"],
    "subgen": ["zoo/paper/subgen.py", "kit/state.py"],
    "big-bird": ["zoo/pattern/big_bird.py", "kit/softmax_cache.py"],
}


@pytest.mark.parametrize("name", KERNELS)
def test_the_kernels_of_the_zoo_belong_to_its_classes(name: str) -> None:
    reached = closure(own_files(name))
    assert {f"compressors/{module}" for module in KERNELS[name]} <= set(reached)


def test_what_a_class_really_imports_is_in_its_closure() -> None:
    """Asked of Python itself: what a process with our catalogue loads of ours with a class."""
    code = (
        "import json, os, sys, numba, scipy.linalg\n"  # of others, and slow: once for all
        "from kvbarrier.compressors import catalog\n"
        "before = set(sys.modules)\n"
        "for name in sys.argv[1:]:\n"
        "    if not os.fork():\n"
        "        catalog.entry(name).cls\n"
        "        print(json.dumps([m.__file__ for n, m in sys.modules.items()"
        " if n not in before and n.startswith('kvbarrier.')]))\n"
        "        break\n"
        "    os.wait()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *KERNELS], capture_output=True, text=True, check=True
    )
    for name, line in zip(KERNELS, done.stdout.splitlines(), strict=True):
        loaded = {Path(file).relative_to(HOUSE).as_posix() for file in json.loads(line)}
        assert loaded, name
        assert loaded <= set(closure(own_files(name))), name


def test_each_edit_moves_the_digests_that_reach_it_and_no_other(copied: Copy) -> None:
    reached = {name: set(closure(copied.files(name))) for name in catalog.names()}
    before = copied.digests()
    assert len(set(before.values())) > len(before) / 2
    edited = {module for modules in reached.values() for module in modules} | {
        "compressors/targets.py", "protocols/game/index_game.py", "experiments/kit/tables.py",
        "reductions/visual.py",
    }  # fmt: skip
    for module in sorted(edited):
        file = copied.house / module
        text = file.read_bytes()
        file.write_bytes(text + b"# edited\n")
        moved = {name for name, digest in copied.digests().items() if digest != before[name]}
        file.write_bytes(text)
        assert moved == {name for name in before if module in reached[name]}, module
    assert "reductions/visual.py" not in set().union(*reached.values())
    assert copied.digests() == before


def test_a_digest_depends_on_no_place_no_time_and_no_line_end(copied: Copy) -> None:
    own = own_files("h2o")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_identity, "HOUSE", HOUSE)
        patch.setattr(code_identity, "is_ours", is_ours)
        forget()
        at_home = identity(own)
        assert at_home == resolve("h2o").source
    forget()
    assert identity(copied.files("h2o")) == at_home
    file = copied.house / "compressors/zoo/eviction/h2o.py"
    text = file.read_bytes()
    file.write_bytes(text.replace(b"\n", b"\r\n"))
    forget()
    assert identity(copied.files("h2o")) == at_home
    renamed = file.rename(file.with_name("renamed.py"))
    assert identity([renamed, *copied.files("h2o")[1:]]) != at_home
    renamed.unlink()
    file.write_bytes(text)


def test_a_plug_in_is_its_file_and_what_it_imports_beside_it(tmp_path: Path) -> None:
    files = {
        "mine.py": "import numpy, helper\nfrom rooms import inner\nclass Mine: pass\n",
        "helper.py": "def late():\n    import deep\n",
        "deep.py": "x = 1\n",
        "rooms/__init__.py": "",
        "rooms/inner.py": "from . import other\nfrom .deeper.leaf import y\n",
        "rooms/other.py": "import json\n",
        "rooms/deeper/__init__.py": "z = 1\n",
        "rooms/deeper/leaf.py": "y = 1\n",
        "unrelated.py": "import mine\n",
        "json.py": "the library has this name\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    start = [tmp_path / "mine.py"]
    wanted = set(files) - {"unrelated.py", "json.py"}
    assert set(closure(start)) == wanted
    before = identity(start)
    for name, text in files.items():
        (tmp_path / name).write_text(text + "# edited\n")
        assert (identity(start) != before) == (name in wanted), name
        (tmp_path / name).write_text(text)
    assert identity(start) == before != identity(start, "mine 1.0")
    # Who imports by a computed name can reach whatever lies there.
    (tmp_path / "mine.py").write_text("import importlib\nimportlib.import_module('un' + 'related')")
    assert set(closure(start)) == set(files)
