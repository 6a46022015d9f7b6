"""A class as a target: where a name leads to it by that name, else by value.

A class of a module is found again by its file, as on the command line. A class that was written in
a notebook, at a prompt or in the script that runs now has no file that a player could import
without running everything else in it. It travels by value: cloudpickle writes the class, with what
its methods refer to, into a file of its own, and both players import that file before any secret
exists. Nothing else of the notebook is read by them.
"""

from __future__ import annotations

import atexit
import base64
import inspect
import re
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import cloudpickle

from ...errors import BadInput

_FILE = '''"""The class {name}, written by value by kvbarrier: it was made in {where}."""

import base64
import pickle

{name} = pickle.loads(base64.b64decode("""
{code}
"""))
{name}.__module__ = __name__
'''


def target_of(thing: Any) -> str:
    """The text of a target (``compressors.targets``) for a name, a path, a class or a function.

    Raises:
        BadInput: it is none of these, or a class that cannot travel.

    >>> target_of("exact"), target_of(Path("my_cache.py"))
    ('exact', 'my_cache.py')
    >>> from kvbarrier.compressors.catalog import entry
    >>> target_of(entry("zero").cls)
    'zero'
    """
    if isinstance(thing, str | Path):
        return str(thing)
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        raise BadInput(
            f"an object of type {type(thing).__name__} is not a target: give a class, its file's "
            "path, or a name that 'kvbarrier list compressors' shows."
        )
    return _ours(thing) or _of_module(thing) or _by_value(thing)


def _ours(thing: Any) -> str | None:
    from ..catalog import entry, names

    if not str(thing.__module__).startswith("kvbarrier."):
        return None
    return next((name for name in names() if entry(name).cls is thing), None)


def _of_module(thing: Any) -> str | None:
    """``file.py:Name`` or ``package.module:Name``; None if that leads elsewhere."""
    module = sys.modules.get(thing.__module__)
    file, name = getattr(module, "__file__", None), thing.__qualname__
    if thing.__module__ == "__main__" or not file or getattr(module, name, None) is not thing:
        return None
    return f"{thing.__module__ if '.' in thing.__module__ else Path(file).resolve()}:{name}"


def _by_value(thing: Any) -> str:
    name = thing.__name__
    if not name.isidentifier():
        raise BadInput(f"{name} has no name by which a player could find it: write a def.")
    try:
        data = cloudpickle.dumps(thing)
    except Exception as error:  # whatever its methods refer to may refuse, in its own way
        raise BadInput(
            f"{name} cannot be sent to the players by value ({type(error).__name__}: {error}): "
            "write it into a file and give the file's path."
        ) from None
    main = getattr(sys.modules["__main__"], "__file__", None)
    where = Path(main).stem if main and thing.__module__ == "__main__" else "notebook"
    text = base64.encodebytes(data).decode().strip()
    folder = Path(tempfile.mkdtemp(dir=_folder()))
    file = folder / f"{re.sub(r'[^A-Za-z0-9_]', '_', where)}.py"
    file.write_text(_FILE.format(name=name, where=where, code=text))
    return f"{file}:{name}"


@cache
def _folder() -> str:
    """A folder that goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="kvbarrier-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
