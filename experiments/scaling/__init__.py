"""Memory needed for bit error at most 1/10 against n and d, and how near the limit it comes."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="scaling",
    title="Memory needed for error at most 1/10, against n and against d",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.5, "full": 2},
)
