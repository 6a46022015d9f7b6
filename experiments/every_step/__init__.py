"""Theorem 1 as a whole: d min{n, e^d} in n and d at once, and at every time step of one stream."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
