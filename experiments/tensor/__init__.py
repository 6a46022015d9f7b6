"""Tensor attention: Index in two value caches, and what a cache of products can and cannot need."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="tensor",
    title="Tensor attention: Index in four caches, and the size of a cache of products",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.1, "full": 2.0},
)
