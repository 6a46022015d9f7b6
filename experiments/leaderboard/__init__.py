"""The zoo on the leaderboard: every softmax compressor at every budget that it can meet."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="leaderboard",
    title="The zoo: every algorithm on six families of streams",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 2.3, "full": 10},
)
