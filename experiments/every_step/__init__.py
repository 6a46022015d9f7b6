"""Theorem 1 as a whole: d min{n, e^d} in n and d at once, and at every time step of one stream.

``every-step-grid.csv``: for each n and d the tokens of one public sequence that are certified at
query norm R = d (eta = 1/2), beside what no n unit keys exceed there and what some have
(``low_dimension``, (2): the two are e^{Theta(d)}, a constant apart). ``every-step-times.csv``: Bob
comes to one stream at random moments and asks for everything hidden so far; the states of an exact
cache, of a cache that merges equal keys, and of a window, at those moments.
"""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="every-step",
    title="Theorem 1 as a whole: tokens and dimension at once, and every time step",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.2, "full": 4.0},
)
