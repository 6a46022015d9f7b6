"""SubGen, the upper bound of the few-dimensional and the clusterable case, run as published."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
