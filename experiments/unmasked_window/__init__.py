"""The unmasked sliding window: the attack on it, Algorithm 1, and the sum that replaces it."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="unmasked-window",
    title="The unmasked sliding window: what must be kept, and one sum for the rest",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.15, "full": 4},
)
