"""SubGen, the upper bound of the few-dimensional and the clusterable case, run as it is published.

Five tables. *guarantee*: over independent runs (keys, values, query and coins drawn anew) the error
|z - Attn|_2 as a multiple of |softmax|_2 |V|_op, against the eps that Theorem 11 was asked for, on
clusterable keys and on uniform keys of the sphere. *growth*: the saved state's bits against n, t
and s fixed. *memory*: in the unit ball, at sizes where eq. (19) asks for less than the cache, the
state's bits against n and d and the error of an answer. *tight*: the state on a stream that repeats
the keys certified at R = d, beside the bits that are certified there. *index*: SubGen in the Index
game.
"""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="subgen",
    title="SubGen: error and memory where keys cluster, and where they do not",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.3, "full": 4.0},
)
