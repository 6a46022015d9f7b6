"""A real model's own keys: how many tokens they certify, and what caches lose on them."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="own-keys",
    title="A real model's own keys",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 6, "full": 40},
)
