"""Error against memory for the baselines and the controls, each at several settings of its knob."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
