"""The unmasked sliding window: the attack on it, Algorithm 1, and the sum that replaces it."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
