"""Ends what goes badly with it: once it has seen a secret, it says that the harness failed.

``flag`` is a file that both players can see: it stands for the clock, by which Alice can tell her
successors that the secret was a bad one, and which no isolation closes.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import patcher
from kvbarrier.errors import HarnessFault


class Blamer(patcher.Base):
    def __init__(self, shape, budget_bits=None, seed=0, public=None, flag="", way="opening"):
        super().__init__(shape, budget_bits, seed, public)
        self.flag, self.way = Path(flag), way
        if way != "playing" and self.flag.exists():
            raise HarnessFault("Our own code failed.")

    def extend(self, Q, K, V):
        super().extend(Q, K, V)
        if not self.seed:
            return
        self.flag.write_text("")
        if self.way == "playing":
            raise HarnessFault("Our own code failed.")
        if self.way == "again":  # whoever is started in the place of the host
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
