"""Promises of the house: what imports what, what --help loads, what is said of it."""

from __future__ import annotations

import ast
import doctest
import graphlib
import importlib
import importlib.util
import inspect
import linecache
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import kvbarrier
import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ["reductions", "compressors", "protocols", "runs", "experiments", "figures", "cli"]


@cache
def modules() -> list[str]:
    tops = ("", ".api", ".errors", ".files", ".testing")
    names = [f"kvbarrier{top}" for top in tops]
    for room in ROOMS:
        package = importlib.import_module(f"kvbarrier.{room}")
        names.append(package.__name__)
        names += [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
    return names


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


HELP = """
import sys
from kvbarrier.cli import main
try:
    main({argv!r})
except SystemExit:
    pass
heavy = [m for m in ("numpy", "numba", "pandas", "matplotlib", "scipy") if m in sys.modules]
print("LOADED", heavy)
"""


@pytest.mark.parametrize(
    "argv", [["--help"], ["attack", "--help"], ["bound", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(argv: list[str]) -> None:
    assert "LOADED []" in python(HELP.format(argv=argv)).stdout


def test_the_help_probe_can_fail() -> None:
    assert "LOADED ['numpy']" in python("import numpy\n" + HELP.format(argv=["--help"])).stdout


ATTACK = """
import sys
from kvbarrier.cli import main
try:
    main("attack my_cache.py --budget 1 --n 32 --d 8 --messages 1 -q".split())
except SystemExit:
    pass
ours = [name for name, module in sys.modules.items() if name.startswith("kvbarrier.")]
print("LOADED", *(name for name in ours if not hasattr(sys.modules[name], "__path__")))
print("HEAVY", *(name for name in ("numba", "pandas", "matplotlib", "rich") if name in sys.modules))
"""


def test_an_attack_imports_what_is_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kvbarrier.compressors.plugin.template import template_text
    from kvbarrier.protocols.players.kernels import warm_kernels

    warm_kernels()  # or the attack compiles them
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (tmp_path / "my_cache.py").write_text(template_text())
    loaded, heavy = python(ATTACK).stdout.splitlines()[-2:]
    assert heavy == "HEAVY"
    ours = [name.removeprefix("kvbarrier.") for name in loaded.split()[1:]]
    rooms = ("compressors.zoo", "compressors.readers", "compressors.captured", "protocols.life",
             "protocols.check", "protocols.certificates", "experiments", "figures")  # fmt: skip
    assert [name for name in ours if name.startswith(rooms)] == []
    assert 50 < len(ours) <= 80  # a new one is either needed by every attack, or imported later


def imported(room: str) -> Iterator[ModuleType]:
    """The modules of a room, or those of none; without an engine's where its packages are not."""
    for name in modules():
        top = name.split(".")[1] if "." in name else ""
        if room != (top if top in ROOMS else ""):
            continue
        try:
            yield importlib.import_module(name)
        except ModuleNotFoundError as error:
            ours = str(error.name).startswith("kvbarrier")
            if ours or not name.startswith("kvbarrier.compressors.engines."):
                raise


# An item of pytest costs more than most modules: one a room, which names all that fail.
of_each_room = pytest.mark.parametrize("room", ["", *ROOMS])


@of_each_room
def test_docstring_examples_run(room: str) -> None:
    failed = []
    for module in imported(room):
        linecache.clearcache()  # or doctest asks the disk after every file there, at each example
        if doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed:
            failed.append(module.__name__)  # its report is on stdout
    assert not failed, failed


def undocumented(cls: type) -> list[str]:
    """The public methods and properties without a docstring, their own or an inherited one."""
    # Said with def, so no field whose default is a function of another name.
    parts = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls))))
    said = {node.name for node in parts if isinstance(node, ast.FunctionDef)}
    return [
        f"{cls.__module__}.{cls.__name__}.{name}"
        for name in vars(cls)
        if name in said
        and not name.startswith("_")
        and not any(getattr(vars(base).get(name), "__doc__", None) for base in cls.__mro__)
    ]


@of_each_room
def test_public_methods_say_what_they_do(room: str) -> None:
    own = [
        cls
        for module in imported(room)
        for cls in vars(module).values()
        if isinstance(cls, type)
        and cls.__module__ == module.__name__
        and not cls.__name__.startswith("_")
        and not getattr(cls, "_is_protocol", False)  # whose own docstring tells it
    ]
    silent = [one for cls in own for one in undocumented(cls)]
    assert not silent, silent


def test_an_undocumented_method_is_found() -> None:
    class Base:
        def told(self) -> None:
            """Say it."""

    class Child(Base):
        def told(self) -> None: ...
        def untold(self) -> None: ...

    assert [one.rpartition(".")[2] for one in undocumented(Child)] == ["untold"]


def test_there_are_docstring_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    core = [importlib.import_module(name) for name in modules() if ".engines." not in name]
    found = [t for module in core for t in finder.find(module) if t.examples]
    assert len(found) >= 20


@cache
def imports(path: Path) -> list[ast.ImportFrom]:
    """What a file imports from elsewhere, anywhere in it."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node for node in nodes if isinstance(node, ast.ImportFrom)]


@pytest.mark.parametrize("room", ROOMS)
def test_dependencies_point_one_way(room: str) -> None:
    later = set(ROOMS[ROOMS.index(room) + 1 :])
    for path in (ROOT / room).rglob("*.py"):
        depth = len(path.relative_to(ROOT).parts)
        for node in imports(path):
            if node.level == depth:
                reached = {(node.module or "").split(".")[0]} | {a.name for a in node.names}
                assert not reached & later, (
                    f"{path.relative_to(ROOT)}:{node.lineno} imports {reached & later}"
                )
            elif node.level == 0 and node.module:
                assert not node.module.startswith("kvbarrier"), (
                    f"{path}:{node.lineno}: use a relative import"
                )


def test_no_file_imports_itself_by_way_of_others() -> None:
    files = {name: _file(name) for name in modules()}
    graph = {name: _imported(name, path, set(files)) - {name} for name, path in files.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the files


def _file(module: str) -> Path:
    place = ROOT.joinpath(*module.split(".")[1:])
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _imported(module: str, path: Path, known: set[str]) -> set[str]:
    """The modules of ours that a file imports anywhere in it, for its types alone too."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in imports(path):
        if node.level:
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            for name in (f"{base}.{alias.name}" for alias in node.names):
                found.add(name if name in known else base)
    return found


def test_what_texts_import_from_us_is_there(files_of_ours: list[str]) -> None:
    """Also in templates, and in the scripts and plug-ins that tests and benchmarks write."""
    line = re.compile(r"^\W*from (kvbarrier(?:\.\w+)*) import ([\w, ]+)", re.MULTILINE)
    known = set(modules())
    missing = []
    for name in files_of_ours:
        text = (ROOT / name).read_text() if name.endswith((".py", ".md")) else ""
        for module, names in line.findall(text):
            if module not in known:
                missing.append(f"{name}: {module}")
            elif ".engines." not in module:  # which may want packages that are not here
                for one in (part.split(" as ")[0].strip() for part in names.split(",")):
                    if one and f"{module}.{one}" not in known:
                        where = importlib.import_module(module)
                        missing += [] if hasattr(where, one) else [f"{name}: {module}.{one}"]
    assert not missing


def test_no_module_passes_500_lines() -> None:
    # A module past 400 lines is a question: it may have more where it is one thought.
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 500, path


def test_public_names_load_lazily() -> None:
    for name in kvbarrier.__all__:
        assert getattr(kvbarrier, name) is not None
    with pytest.raises(AttributeError, match="kvbarrier has no public name 'nothing'"):
        kvbarrier.nothing  # noqa: B018
