"""The referee's table: the caches that people run, attacked in their own environments."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
