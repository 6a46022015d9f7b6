"""The implication behind Theorems 6 and 8: an answer within the tolerance gives Bob every bit."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
