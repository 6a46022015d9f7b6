"""Few dimensions: what the Index reduction certifies under a budget R for |q| max|k|, in nats."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
