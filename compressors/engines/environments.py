"""Where the engines are: in separate environments, because their versions conflict.

An environment is looked for in three places: the interpreter that runs, if the package is there
(``pip install 'kvbarrier[hf]'``); the folder that ``KVBARRIER_ENGINES`` names; ``.engines`` in the
checkout, which ``make engines`` fills from each engine's ``pins.txt``.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from ...errors import BadInput
from .scheme import Scheme

FOLDER_VARIABLE = "KVBARRIER_ENGINES"
_CHECKOUT = Path(__file__).resolve().parents[2]


def interpreter(scheme: Scheme) -> str:
    """Return the path of the Python that has an engine's packages.

    Raises:
        BadInput: the engine is not installed; the sentence says how to install it.
    """
    if any(importlib.util.find_spec(probe) is not None for probe in scheme.probes):
        return sys.executable
    for folder in _folders():
        python = folder / scheme.name / "bin" / "python"
        if python.exists():
            return str(python)
    raise BadInput(
        f"{scheme.name} is not installed here: it needs {scheme.needs}. Run 'make engines' in "
        f"the checkout, or pip install 'kvbarrier[{scheme.name}]'."
    )


def _folders() -> list[Path]:
    named = os.environ.get(FOLDER_VARIABLE)
    return [*([Path(named)] if named else []), _CHECKOUT / ".engines"]
