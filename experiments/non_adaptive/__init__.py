"""Readers, non-adaptive and adaptive: error against the share that they read."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="non-adaptive",
    title="Error against the share of indices that a non-adaptive algorithm reads",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.3, "full": 7.0},
)
