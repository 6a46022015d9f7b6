"""Bounds that can be used: what is certified at which logit range, for which model."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="bounds",
    title="Bounds that can be used: logit range, constructions, models, bits a number",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.25, "full": 5},
)
