"""Theorem 1 as a whole: d min{n, e^d} in n and d at once, and at every time step of one stream."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="every-step",
    title="Theorem 1 as a whole: tokens and dimension at once, and every time step",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.05, "full": 4.0},
)
