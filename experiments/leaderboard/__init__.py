"""The zoo on the leaderboard: every softmax compressor at every budget that it can meet."""

from .measure import EXPERIMENT

__all__ = ["EXPERIMENT"]
