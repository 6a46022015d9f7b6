"""Tensor attention: Index in two value caches, and what a cache of products can and cannot need."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
