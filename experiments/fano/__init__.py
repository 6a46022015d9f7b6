"""Fano's bound against the best protocols there are: exact optima, and every secret of 12 bits."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
