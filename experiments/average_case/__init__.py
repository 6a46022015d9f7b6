"""The average case: Gaussian keys drawn for each message, the bound against the query's norm."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="average-case",
    title="The average case: bits per secret bit against the norm of the query",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.2, "full": 5.0},
)
