"""Which figure an experiment's tables become."""

from __future__ import annotations

from pathlib import Path

from ..experiments import error_vs_memory as memory_experiment
from ..experiments import scaling as scaling_experiment
from ..experiments import spike as spike_experiment
from ..experiments.experiment import read_table
from . import error_vs_memory, scaling, spike


def draw(name: str, folder: Path) -> Path:
    """Draw the figure of an experiment from the tables in ``folder``; return the picture's path."""
    path = folder / f"{name}.png"
    if name == "error-vs-memory":
        error_vs_memory.draw(memory_experiment.points(folder), path)
    elif name == "spike":
        spike.draw(read_table(folder, spike_experiment.TABLE), path)
    else:
        scaling.draw(read_table(folder, scaling_experiment.TABLE), path)
    return path
