"""Packages whose module has the name of another package's: each lies in a folder of its own.

``make engines`` puts them into ``apart/`` of the environment (``pins-apart.txt``). A process plays
one package, so it looks into one of these folders, before all others.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType


def apart(distribution: str, module: str) -> ModuleType:
    """Import a module of such a package.

    Raises:
        ImportError: it is not there, or this process has another module of that name.

    >>> apart("no-such-package", "json")
    Traceback (most recent call last):
    ImportError: json is not of no-such-package: a process has one module of a name.
    """
    folder = Path(sys.prefix) / "apart" / distribution
    sys.path.insert(0, str(folder))
    found = importlib.import_module(module)
    if not str(found.__file__).startswith(str(folder)):
        sys.path.remove(str(folder))
        raise ImportError(f"{module} is not of {distribution}: a process has one module of a name.")
    return found
