"""The referee's table: the caches that people run, attacked in their own environments."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="engines",
    title="The caches that people run: memory said and memory sent, and the bits that survive",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 12, "full": 13},
)
