"""Few dimensions: what the Index reduction certifies under a budget R for |q| max|k|, in nats."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="low-dimension",
    title="Few dimensions: the certified bits are a matter of the query's norm",
    run=run,
    minutes={"quick": 0.1, "full": 5.0},
    claims=claims_of(claims),
)
