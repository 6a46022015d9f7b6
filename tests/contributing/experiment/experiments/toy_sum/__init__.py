"""A toy: two and two."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="toy-sum",
    title="Two and two",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.1, "full": 0.1},
)
