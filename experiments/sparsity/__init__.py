"""Sparsity does not help (Corollary 16): the hard instance's attention rows are one-hot already."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="sparsity",
    title="One-hot attention rows, and the memory that top-k attention needs all the same",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.1, "full": 4},
)
