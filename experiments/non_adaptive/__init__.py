"""Non-adaptive readers: error against the share of indices that they read, and what it proves."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
