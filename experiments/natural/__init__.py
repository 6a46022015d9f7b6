"""Natural text beside the hard instance: who loses bits there, and who loses sense here."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
