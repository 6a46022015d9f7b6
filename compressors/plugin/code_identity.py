"""Which code made a result: one digest over a module and everything that its imports reach.

Results may be merged, and a table may be kept, only if the same code made them. The closure of a
file's imports is read from the texts; nothing is imported for it:

* an import anywhere counts, inside a function too, but not below ``if TYPE_CHECKING``;
* the ``__init__.py`` of every package on the way counts too, except the root's;
* a module that imports by a computed name (``import_module``) may reach all of its own folder;
* our files reach only our own files; a plug-in's reach only its folder and the packages there.
  Installed packages and Python are identified by their versions.

The digest is SHA-256 over the files' names, relative to the folder where absolute imports begin,
and their texts with ``\\n`` as line end. So it depends on no machine, no place and no time; it
changes with any edit, even of a comment, and when a file is renamed.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .blame import is_ours

HOUSE = Path(__file__).resolve().parents[2]
PACKAGE = "kvbarrier"

_TYPES_ONLY = re.compile(
    r"^([ \t]*)if (?:typing\.)?TYPE_CHECKING:[^\n]*\n(?:\1[ \t]+[^\n]*\n|[ \t]*\n)*", re.M
)
_IMPORT = re.compile(
    r"from[ \t]++(\.*+)[ \t]*+(?:(?!import\b)([\w.]+)[ \t]+)?import\b[ \t]*(\([^)]*\)|[^\n;]*)"
    r"|import[ \t]+(\w[^\n;]*)"
)
_BY_NAME = ("import_module(", "__import__(")


@dataclass(frozen=True)
class _Text:
    """A file: the digest of its text, its imports as (dots, module, names), and if by name."""

    digest: bytes
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]
    by_name: bool


def identity(files: Iterable[Path], version: str = "") -> str:
    """The digest of what these files' imports reach, 16 hexadecimal digits.

    ``version``: of the installed package that they are a part of.
    """
    files = tuple(files)
    if all(_root(file) == HOUSE for file in files):
        return _house_identity(files, version)
    return _identity(files, version)


@cache
def _house_identity(files: tuple[Path, ...], version: str) -> str:
    """What reaches our files is ours; it cannot change while it runs."""
    return _identity(files, version)


def _identity(files: Iterable[Path], version: str) -> str:
    total = hashlib.sha256(version.encode())
    for name, file in sorted(closure(files).items()):
        total.update(os.fsencode(name) + b"\0" + _text(file).digest)
    return total.hexdigest()[:16]


def identity_of_modules(names: Iterable[str]) -> str:
    """The same for modules that are imported, by their dotted names."""
    files = (getattr(sys.modules[name], "__file__", None) for name in sorted(set(names)))
    return identity(Path(file).resolve() for file in files if file)


def closure(files: Iterable[Path]) -> dict[str, Path]:
    """The files that these reach, themselves included, by the name that the digest uses.

    >>> sorted(closure([HOUSE / "reductions" / "keys" / "hypercube.py"]))[:2]
    ['errors.py', 'reductions/__init__.py']
    """
    reached: dict[str, Path] = {}
    for file in files:
        root = _root(file)
        reached |= _house_closure(file) if root == HOUSE else _closure_of(file, root)
    return reached


@cache
def _house_closure(file: Path) -> dict[str, Path]:
    """As :func:`_house_identity`."""
    return _closure_of(file, HOUSE)


def _closure_of(file: Path, root: Path) -> dict[str, Path]:
    reached: dict[str, Path] = {}
    waiting = [file]
    while waiting:
        file = waiting.pop()
        name = file.relative_to(root).as_posix()
        if name not in reached:
            reached[name] = file
            waiting += _imports(file, root)
    return reached


def _root(file: Path) -> Path:
    """Where absolute imports begin: our house, or the folder of a plug-in's outermost package."""
    if is_ours(str(file)):
        return HOUSE
    folder = file.parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return folder


def _imports(file: Path, root: Path) -> Iterator[Path]:
    if "site-packages" in file.parts:
        return
    text = _text(file)
    here = file.parent.relative_to(root).parts
    yield from _inits(root, here)
    for dots, module, names in text.imports:
        parts = tuple(module.split(".")) if module else ()
        if dots:
            starts = [(root, (*here[: len(here) - dots + 1], *parts))]
        elif root == HOUSE:
            starts = [(root, parts[1:])] if parts[0] == PACKAGE else []
        elif parts[0] in sys.stdlib_module_names:
            starts = []
        else:
            starts = [(root, parts), (file.parent, parts)]
        for start, whole in starts:
            for found in (whole, *((*whole, name) for name in names)):
                yield from _module(start, found)
    if text.by_name:
        yield from _beside(file.parent)


def _module(root: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """The file of a dotted name below a folder, if there is one, and its packages' on the way."""
    if not parts:
        return
    place = os.path.join(root, *parts)
    for file in (f"{place}.py", f"{place}/__init__.py"):
        if os.path.isfile(file):
            yield Path(file)
            yield from _inits(root, parts[:-1])
            return


def _inits(root: Path, packages: tuple[str, ...]) -> Iterator[Path]:
    for depth in range(1, len(packages) + 1):
        file = os.path.join(root, *packages[:depth], "__init__.py")
        if os.path.isfile(file):
            yield Path(file)


def _beside(folder: Path) -> Iterator[Path]:
    """The modules of a folder and of the packages in it."""
    for entry in folder.iterdir():
        if entry.suffix == ".py":
            yield entry
        elif (entry / "__init__.py").is_file():
            yield from _beside(entry)


def _text(file: Path) -> _Text:
    found = file.stat()
    return _read(file, found.st_mtime_ns, found.st_size)


@cache
def _read(file: Path, _changed: int, _size: int) -> _Text:
    data = file.read_bytes().replace(b"\r\n", b"\n")
    text = data.decode(errors="replace")
    by_name = any(word in text for word in _BY_NAME)
    return _Text(hashlib.sha256(data).digest(), tuple(imports_in(text)), by_name)


def imports_in(text: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """The imports of a source text that run: (dots, module, names), as they are written.

    >>> list(imports_in("from ..errors import (BadInput, NoScale as No)\\nimport numpy as np"))
    [(2, 'errors', ('BadInput', 'NoScale')), (0, 'numpy', ())]
    """
    text = text.replace("\\\n", " ")
    if "TYPE_CHECKING:" in text:
        text = _TYPES_ONLY.sub("", text)
    for found in _IMPORT.finditer(text):
        before = text[text.rfind("\n", 0, found.start()) + 1 : found.start()].rstrip()
        if before and before[-1] not in ";:":
            continue
        dots, module, names, plain = found.groups("")
        if plain:
            yield from ((0, name, ()) for name in _words(plain))
        else:
            yield len(dots), module, tuple(_words(names))


def _words(listed: str) -> list[str]:
    """The first word of each member of a list of names."""
    bare = re.sub(r"#[^\n]*", "", listed).strip("() \t\n")
    return [part.split()[0] for part in bare.split(",") if part.split()]
