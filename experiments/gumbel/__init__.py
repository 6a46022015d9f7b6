"""Lazy Gumbel sampling (Appendix E, Algorithm 2): exactness, space for d = 1, error, horizon."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="gumbel",
    title="Lazy Gumbel sampling: exact draws, space sqrt(n) in one dimension, and the horizon",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.2, "full": 2.0},
)
