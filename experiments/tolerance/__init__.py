"""The implication behind Theorems 6 and 8: an answer within the tolerance gives Bob every bit."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="tolerance",
    title="The worst answers that a tolerance allows, and the errors of real compressors",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.15, "full": 7},
)
