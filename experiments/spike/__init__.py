"""The spike: exact attention over near-orthogonal keys turns into a lookup at a finite scale C."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
