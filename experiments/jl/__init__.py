"""Johnson-Lindenstrauss with its constants: what the lemmas promise, and what the keys do."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="jl",
    title="Johnson-Lindenstrauss: the lemmas' constants against what the keys do",
    run=run,
    minutes={"quick": 0.1, "full": 4},
    claims=claims_of(claims),
)
