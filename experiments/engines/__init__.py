"""The referee's table: the caches that people run, attacked in their own environments.

Every row is somebody's published code, in the version that the table names, played with the hard
stream of the Index game (n = 512, d = 64, Kerdock keys): *literal*, and *rotated*, with keys and
values turned by public rotations that Bob undoes; prefilled, and token by token where the engine
knows both; with the Bob who asks attention queries, and with the one who only reads the message.
Four memories stand beside each other, as shares of the 16-bit K and V cache: *claimed*, *logical*,
*resident* and *wire*, and the side state that a method parks elsewhere.

``engines.csv`` has a line for every setting and Bob, ``engines-left-out.csv`` what cannot be played
offline on a CPU, with the reason. A row that fails says so in a sentence, and the table goes on.
Secrets are drawn from fresh keys, as for every foreign plug-in; the lines name them.
"""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="engines",
    title="The caches that people run: memory said and memory sent, and the bits that survive",
    run=run,
    claims=claims_of(claims),
    minutes={"quick": 8, "full": 60},
)
