"""Non-adaptive readers: error against the share of indices that they read, and what it proves.

* ``non-adaptive-patterns.csv``: read patterns on the family D_0, D_i of Appendix H (reconstructed),
  one row a pattern and share; trials at prior 1/2, and on the index that its plans read least.
* ``non-adaptive-game.csv``: for few places, the linear program beside 1/(2-f), and the least error
  of all plans at prior 1/2 beside (1-f)/2.
* ``non-adaptive-time.csv``: reads needed for success 9/10. At each of six shares around there the
  game is played; least squares through the six errors, solved for 1/10, gives the share. Tokens
  (sampling, prior 1/2; minimax, worst case) against n, and cells of the family D_ij (both).
* ``non-adaptive-cells.csv``: readers of single coordinates on both families.
* ``non-adaptive-plans.csv``: plans of equal coins on all streams, and readers that plan too late.
* ``non-adaptive-caches.csv``: compressors on the same streams, of which the theorem does not speak.
"""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="non-adaptive",
    title="Error against the share of indices that a non-adaptive algorithm reads",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 0.4, "full": 7.0},
)
