"""Error against memory for the baselines and the controls, each at several settings of its knob."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="error-vs-memory",
    title="Bit error against charged memory: baselines and controls",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.15, "full": 2},
)
