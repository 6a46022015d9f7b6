"""Sparsity does not help (Corollary 16): the hard instance's attention rows are one-hot already."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
