"""Tensor attention: Index in two value caches, and what a cache of products can and cannot need.

Three tables. ``tensor-game.csv``: the game at d = 64 with the catalog's two layouts and the
controls. ``tensor-margins.csv``: the exact condition (T) of ``reductions.tensor``, evaluated in
float64 on the worst contexts. ``tensor-layouts.csv``: the size of each layout's message against n,
for genuine products V1 (/) V2 and for n^2 arbitrary value rows over the same pair keys.
"""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="tensor",
    title="Tensor attention: Index in four caches, and the size of a cache of products",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.3, "full": 2.0},
)
