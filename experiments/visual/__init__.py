"""Visual autoregression: Index in the earlier maps of a pyramid, read by blocks of queries."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="visual",
    title="Visual autoregression: Index in the earlier maps of a pyramid",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.1, "full": 2.0},
)
