"""The referee's table: the caches that people run, attacked in their own environments."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="engines",
    title="The caches that people run: memory said and memory sent, and the bits that survive",
    run=run,
    claims=claims_of(claims),
<<<<<<< HEAD
    # Full is an estimate: onnxruntime took 5.5 CPU minutes, 30 times what its quick rows take.
    minutes={"quick": 12, "full": 240},
=======
    # Full is an estimate: onnxruntime took 5.5 minutes of CPU, 30 times its quick rows.
    minutes={"quick": 11, "full": 240},
>>>>>>> eng
)
