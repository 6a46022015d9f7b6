"""The unmasked sliding window: the attack on it, Algorithm 1, and the sum that replaces it.

In the paper's window (eq. 20, reconstructed) tokens that are too old keep the weight e^0 = 1. The
game shows that the window itself cannot be compressed (Theorems 17 and 26). What lies outside it
can: by samples (Algorithm 1, Theorems 24 and 25), or by one running sum, which is exact.
"""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="unmasked-window",
    title="The unmasked sliding window: what must be kept, and one sum for the rest",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.5, "full": 14.0},
)
