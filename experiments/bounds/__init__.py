"""Bounds that can be used: what is certified at which logit range, for which model."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
