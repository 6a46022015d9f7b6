"""Algorithms that read, by name: what ships with us, and a stranger's ``file.py:Class``.

Targets are written as for compressors (:mod:`.targets`): a name, ``package.module:Class``,
``path/to/file.py``, ``path/to/file.py:Class``, each with ``?parameters`` if need be.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import BadInput, KVBarrierError, PluginFailure, did_you_mean
from .. import catalog
from ..plugin.blame import blame, is_ours
from ..plugin.code_identity import identity
from ..plugin.loading import classes_with, load_file, load_module, source_files
from ..plugin.signature import Signature
from ..plugin.values import merge, parse_query
from .catalog import READERS

GAME = "indistinguishability"


@dataclass(frozen=True)
class ReadTarget:
    """An algorithm that can be built anywhere, with a plan or without.

    Attributes:
        name: short, for tables.
        text: the target less its parameters, with an absolute path.
        params: the algorithm's own parameters, sorted by name.
        source: 16 hexadecimal digits: the digest of its code (:mod:`.code_identity`).
        folder: where a plug-in's file lies.
    """

    name: str
    text: str
    params: Mapping[str, Any]
    source: str
    folder: Path | None
    _class: type = field(repr=False)

    def build(self) -> Any:
        """Construct one.

        Raises:
            BadInput: a parameter is out of range.
            PluginFailure: the constructor raised something else.
        """
        try:
            return self._class(**self.params)
        except KVBarrierError:
            raise
        except Exception as error:
            if catalog.is_builtin(self.text):
                raise
            raise blame(error, f"constructing {self.name}") from error


def resolve_reader(target: str, params: Mapping[str, Any] | None = None) -> ReadTarget:
    """Find what is named, import it and check the parameters' names.

    Raises:
        BadInput: there is no such thing, or it is a compressor, or has no such parameter.
        PluginFailure: it cannot be imported, or lacks a method.

    >>> resolve_reader("window", {"share": 0.25}).build().share
    0.25
    """
    text, mark, query = target.partition("?")
    joined = merge(parse_query(query, target) if mark else {}, params or {}, target)
    found = _find(text)
    _check_params(found, joined)
    return replace(found, params=joined)


def _find(text: str) -> ReadTarget:
    if text in READERS:
        cls = READERS[text].cls
        return ReadTarget(text, text, {}, identity(_files(cls, ours=True)), None, cls)
    path, colon, name = text.rpartition(":")
    if colon and path.endswith(".py"):
        return _loaded(load_file(Path(path)), name, Path(path))
    if text.endswith(".py"):
        return _loaded(load_file(Path(text)), None, Path(text))
    if colon:
        return _loaded(load_module(path), name, None)
    if text in catalog.names():
        raise BadInput(
            f"{text} is a compressor: Theorem 19 speaks of algorithms that have seen nothing when "
            f"the query comes; leave --reduction {GAME} out, or give one of {', '.join(READERS)}, "
            "or a class with answer, and with plan if it chooses what it reads beforehand."
        )
    raise BadInput(f"there is no reader '{text}'.{did_you_mean(text, READERS)}")


def _loaded(module: ModuleType, name: str | None, file: Path | None) -> ReadTarget:
    where = file.name if file else module.__name__
    name = name or _only(module, where)
    thing = getattr(module, name, None)
    if not inspect.isclass(thing):
        raise BadInput(f"{where} has no class '{name}'.{_hint(module, name)}")
    if not callable(getattr(thing, "answer", None)):
        if hasattr(thing, "attend"):
            raise _compressor(f"{where}:{name}")
        raise PluginFailure(
            f"{where}:{name} has no answer: a reader has answer(q, reader), and plan(n, d, seed) "
            "if it chooses what it reads beforehand."
        )
    files = _files(thing, ours=False)
    text = f"{file.resolve() if file else where}:{name}"
    folder = files[0].parent if files else None
    return ReadTarget(f"{where}:{name}", text, {}, identity(files), folder, thing)


def _compressor(name: str) -> BadInput:
    return BadInput(
        f"{name} is a compressor: Theorem 19 speaks of algorithms with answer(q, reader); attack "
        f"it without --reduction {GAME}."
    )


def _only(module: ModuleType, where: str) -> str:
    names = classes_with(module, "answer")
    if len(names) == 1:
        return names[0]
    if names:
        raise BadInput(
            f"{where} has {len(names)} readers: write {where}:NAME, NAME being one "
            f"of {', '.join(names)}."
        )
    classes = [thing for thing in vars(module).values() if inspect.isclass(thing)]
    doors = [door for door in ("plan", "attend") if any(hasattr(c, door) for c in classes)]
    if doors == ["attend"]:
        raise _compressor(where)
    raise PluginFailure(
        f"{where} has no reader: write a class with answer(q, reader), and with plan(n, d, seed) "
        "if it chooses what it reads beforehand; 'kvbarrier new FILE.py --kind reader' writes one "
        "to start from."
    )


def _hint(module: ModuleType, name: str) -> str:
    names = classes_with(module, "answer")
    return did_you_mean(name, names) if names else ""


def _check_params(target: ReadTarget, params: Mapping[str, Any]) -> None:
    takes = Signature.of_constructor(target._class)
    for name in params:
        if name not in takes.names and not takes.anything:
            hint = did_you_mean(name, takes.names) if takes.names else " It takes none."
            raise BadInput(f"{target.name} has no parameter '{name}'.{hint}")
    for name in takes.required:
        if name not in params:
            raise BadInput(
                f"{target.name} needs the parameter '{name}': give --param {name}=VALUE."
            )


def _files(cls: type, *, ours: bool) -> list[Path]:
    return [file for file in source_files(cls) if is_ours(str(file)) == ours]
