"""Import a plug-in's code: if it fails, its author sees their exception, file and line."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import BadInput
from .blame import blame


def make_importable(folder: Path) -> None:
    """Put a folder on ``sys.path``: behind the standard library, before installed packages.

    Behind, so that a file ``random.py`` beside the plug-in does not replace Python's.
    """
    if str(folder) in sys.path:
        return
    installed = [i for i, p in enumerate(sys.path) if Path(p).name.endswith("-packages")]
    sys.path.insert(installed[0] if installed else len(sys.path), str(folder))


def existing(path: Path) -> Path:
    """A file's absolute path.

    Raises BadInput if it does not exist; the sentence has the given path and the full one.
    """
    try:
        whole = path.resolve()
    except (RuntimeError, OSError, ValueError) as error:  # links in a circle, a name with a NUL
        raise BadInput(f"{path} cannot be found ({error}): give the path of a .py file.") from None
    if whole.is_file():
        return whole
    looked = "" if path.is_absolute() else f" (looked for {whole})"
    state = "is a folder" if whole.is_dir() else "is not there"
    others = [p.name for p in whole.parent.glob("*.py") if p.is_file()]
    near = difflib.get_close_matches(whole.name, others, n=1)
    hint = f" Did you mean {path.with_name(near[0])}?" if near else ""
    raise BadInput(f"{path} {state}{looked}: give the path of a .py file.{hint}")


def load_file(path: Path) -> ModuleType:
    """Import a file under its own name if nothing else has it; an unchanged file only once.

    Raises:
        BadInput: the file does not exist.
        PluginFailure: it raised, or is not Python.
    """
    path = existing(path)
    make_importable(path.parent)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    name = path.stem if _free(path) else f"{path.stem}_{digest[:8]}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__kvbarrier_digest__", None) == (str(path), digest):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path} is not a Python file: give a name that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__kvbarrier_digest__"] = (str(path), digest)
    # Before it runs, so that its helpers may import it and its dataclasses find themselves.
    sys.modules[name] = module
    try:
        with _prints_to_stderr():
            spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise blame(error, f"importing {path.name}", str(path)) from error
    return module


def _free(path: Path) -> bool:
    """Whether a module of this name would be this file and nothing else."""
    if not path.stem.isidentifier():
        return False
    known = sys.modules.get(path.stem)
    if known is not None:
        return getattr(known, "__file__", None) == str(path)
    try:
        spec = importlib.util.find_spec(path.stem)
    except (ImportError, ValueError):
        return False
    return spec is None or spec.origin == str(path)


def load_module(name: str) -> ModuleType:
    """Import a module by its dotted name, the working folder included.

    Raises:
        BadInput: the module does not exist.
        PluginFailure: it raised, or something that it imports is missing.
    """
    make_importable(Path.cwd())
    try:
        with _prints_to_stderr():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise BadInput(
                f"there is no module '{name}': install its package, or give a file, "
                f"path/to/{name.rpartition('.')[2]}.py:Class."
            ) from None
        raise blame(error, f"importing {name}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise blame(error, f"importing {name}") from error


def _prints_to_stderr() -> contextlib.AbstractContextManager[object]:
    """For stdout is for our one JSON document."""
    return contextlib.redirect_stdout(sys.stderr)


def source_files(thing: object) -> list[Path]:
    """The files that define a class and its bases, or a function, each once; not Python's own."""
    found: list[Path] = []
    parts: tuple[Any, ...] = inspect.getmro(thing) if inspect.isclass(thing) else (thing,)
    for part in parts:
        module = getattr(part, "__module__", None) or ""
        if module.partition(".")[0] in sys.stdlib_module_names:
            continue
        try:
            file = inspect.getsourcefile(part)
        except TypeError:
            continue
        if file and Path(file).exists():
            found.append(Path(file).resolve())
    return list(dict.fromkeys(found))


def classes_with(module: ModuleType, *methods: str) -> list[str]:
    """The names of a module's own public, not abstract classes that have all these methods."""
    return [
        name
        for name, thing in vars(module).items()
        if inspect.isclass(thing)
        and thing.__module__ == module.__name__
        and not name.startswith("_")
        and all(hasattr(thing, method) for method in methods)
        and not inspect.isabstract(thing)
    ]
