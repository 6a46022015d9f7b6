"""Where the engines live: environments of their own, for their versions exclude one another.

An environment is looked for in three places: the interpreter that runs, if the package is there
(``pip install 'kvbarrier[hf]'``); the folder that ``KVBARRIER_ENGINES`` names; ``.engines`` in the
checkout, which ``make engines`` fills from each engine's ``pins.txt``.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ...errors import BadInput, did_you_mean

FOLDER_VARIABLE = "KVBARRIER_ENGINES"
_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Environment:
    """A set of packages that can be installed together.

    Attributes:
        name: also the name of the extra, of the engine's folder and of ``.engines/NAME``.
        probes: modules of which one in the interpreter that runs says that it is installed there.
        what: what it holds, for people.
    """

    name: str
    probes: tuple[str, ...]
    what: str


ENVIRONMENTS = {
    one.name: one
    for one in (
        Environment("hf", ("transformers",), "torch and transformers"),
        Environment("kvpress", ("kvpress",), "kvpress and the transformers that it is pinned to"),
        Environment("llamacpp", ("llama_cpp", "cyllama"), "a binding of llama.cpp and gguf"),
        Environment("codec", (), "the published codecs of the table"),
    )
}


def interpreter(name: str) -> str:
    """Return the path of the Python that has an environment's packages.

    Raises:
        BadInput: it is not installed; the sentence says how to install it.

    >>> interpreter("tensorrt")
    Traceback (most recent call last):
        ...
    kvbarrier.errors.BadInput: There is no environment 'tensorrt'. Known: codec, hf, kvpress, \
llamacpp.
    """
    if name not in ENVIRONMENTS:
        raise BadInput(f"There is no environment '{name}'.{did_you_mean(name, ENVIRONMENTS)}")
    one = ENVIRONMENTS[name]
    if any(importlib.util.find_spec(probe) is not None for probe in one.probes):
        return sys.executable
    for folder in _folders():
        python = folder / name / "bin" / "python"
        if python.exists():
            return str(python)
    raise BadInput(
        f"{name} needs {one.what}, not installed here: run 'make engines' in the checkout, or "
        f"pip install 'kvbarrier[{name}]'."
    )


def _folders() -> list[Path]:
    named = os.environ.get(FOLDER_VARIABLE)
    return [*([Path(named)] if named else []), _CHECKOUT / ".engines"]
