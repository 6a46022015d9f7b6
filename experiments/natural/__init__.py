"""Natural text beside the hard instance: who loses bits there, and who loses sense here."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="natural",
    title="Natural text beside the hard instance",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 3, "full": 74},
)
