"""Memory needed for bit error at most 1/10 against n and d, and how near the limit it comes."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
