"""Visual autoregression: Index in the earlier maps of a pyramid, read by blocks of queries.

Two tables. ``visual-game.csv``: the game at the pyramid 1, 2, 3, 4, 5, 6, 8, 10, 13, 16 (424
tokens before the last map, Kerdock keys, d = 64) with the catalog, and half-size messages where it
is cut earlier. ``visual-sides.csv``: tokens and bits decoded against the side of the last map, for
pyramids of one shape and for the published ones.
"""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="visual",
    title="Visual autoregression: Index in the earlier maps of a pyramid",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.3, "full": 2.0},
)
