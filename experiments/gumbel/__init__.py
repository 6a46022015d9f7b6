"""Lazy Gumbel sampling (Appendix E, Algorithm 2): exactness, space for d = 1, error, horizon.

Four measurements, all from committed coins. *Exact*: draws of the lazy sampler against the softmax,
in cells of scores; beside them a control whose top scores are 0.1 nats too high. *Space*: whole
messages of the ``one-dimension`` compressor, a new stream of scalar keys and new coins in each run;
in some runs its draws are compared with the winner over all tokens. *Error*: the mean of m copies
against exact attention, squared, over the disjoint blocks of m copies of a run. *Gap*: Algorithm 2
on what a buffer of the largest keys holds when its capacity floor(sqrt t) grows, and when
floor(sqrt n) is known beforehand.
"""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="gumbel",
    title="Lazy Gumbel sampling: exact draws, space sqrt(n) in one dimension, and the horizon",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.3, "full": 2.0},
)
