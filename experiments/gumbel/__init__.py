"""Lazy Gumbel sampling (Appendix E, Algorithm 2): exactness, space for d = 1, error, horizon."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
