"""The spike: exact attention over near-orthogonal keys turns into a lookup at a finite scale C."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="spike",
    title="Bob's output for bits 0 and 1 against the scale C",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.2, "full": 5},
)
