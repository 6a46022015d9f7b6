"""How time and memory grow with the length of a stream, a message and a secret bit."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="growth",
    title="CPU seconds and peak memory of a message against n, and the limit of the machine",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.6, "full": 8},
)
