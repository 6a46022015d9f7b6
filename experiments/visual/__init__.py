"""Visual autoregression: Index in the earlier maps of a pyramid, read by blocks of queries."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
