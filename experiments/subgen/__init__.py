"""SubGen, the upper bound of the few-dimensional and the clusterable case, run as published."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="subgen",
    title="SubGen: error and memory where keys cluster, and where they do not",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.25, "full": 4.0},
)
