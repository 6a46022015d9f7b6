"""Johnson-Lindenstrauss with its constants: what the lemmas promise, and what the keys do."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
