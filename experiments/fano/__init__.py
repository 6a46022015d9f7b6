"""Fano's bound against the best protocols there are: exact optima, and every secret of 12 bits."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="fano",
    title="Fano's bound against the exact optimum over all protocols of a few bits",
    run=run,
    minutes={"quick": 0.05, "full": 0.5},
    claims=claims_of(claims),
)
