"""The experiments, by name, in the order in which a reader meets them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ..errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from .kit.experiment import Experiment

NAMES = (
    "error-vs-memory",
    "leaderboard",
    "spike",
    "scaling",
    "fano",
    "jl",
    "tolerance",
    "sparsity",
    "low-dimension",
    "every-step",
    "average-case",
    "subgen",
    "unmasked-window",
    "non-adaptive",
    "gumbel",
    "tensor",
    "visual",
    "bounds",
    "growth",
)

#: what needs packages of its own (``make engines``), and is run by name only
ENGINES = ("engines", "natural", "own-keys")


def get(name: str) -> Experiment:
    """Import an experiment. Raises BadInput for an unknown name.

    >>> get("spike").title
    "Bob's output for bits 0 and 1 against the scale C"
    """
    if name not in (known := (*NAMES, *ENGINES)):
        raise BadInput(f"There is no experiment '{name}'.{did_you_mean(name, known)}")
    module = importlib.import_module(f".{name.replace('-', '_')}", __package__)
    experiment: Experiment = module.EXPERIMENT
    return experiment
