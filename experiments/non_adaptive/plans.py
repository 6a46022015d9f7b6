"""Definition 18 played: a plan is named before there is data, and nothing else is handed out.

*Definition* (paper, reconstructed). A non-adaptive algorithm's reads are a function of the sizes
and of its coins. In the game that is so for whatever code is played, because the plan's SHA-256 is
taken before the stream is drawn and cells outside it are handed to nobody. Two things can be tried.
The same coins with another stream: the plan must be the same on D_0 and on every D_i. And readers
that try to let the data have a say, once there are data: they must be refused, the cell named. A
reader may plan much and ask for little; then its f is that of the plan.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compressors.readers.contract import Float32, NonAdaptive, Plan, Reader

N, D, COINS = 17, 2, 8
HONEST = ("sampling", "minimax", "window", "sinks", "strided", "fixed", "random-blocks", "big-bird")


class Follower(NonAdaptive):
    """Reads the newest token, then the one that its value points to."""

    def plan(self, n: int, d: int, seed: int) -> list[int]:
        """The newest token."""
        return [n - 1]

    def answer(self, q: Float32, reader: Reader) -> Float32:
        """Asks for a token that was not planned."""
        return reader.value(int(reader.value(reader.n - 1)[0]))


class Widener(Follower):
    """Adds all cells to the committed plan once there are data."""

    def answer(self, q: Float32, reader: Reader) -> Float32:
        """Changes the plan that the reader shows, then asks for the whole cache."""
        reader.plan.cells.setflags(write=True)
        reader.plan.cells[:] = True
        whole: Float32 = reader.values(np.arange(reader.n))
        return np.asarray(whole.mean(axis=0), dtype=np.float32)


class Keeper(NonAdaptive):
    """Keeps the array that it handed in as its plan, and fills it later."""

    def plan(self, n: int, d: int, seed: int) -> Plan:
        """The newest token, in an array of its own."""
        self.mine = np.zeros((2, n, d), dtype=np.bool_)
        self.mine[:, -1] = True
        return Plan(self.mine)

    def answer(self, q: Float32, reader: Reader) -> Float32:
        """Changes what it handed in, then asks for the whole cache."""
        self.mine[:] = True
        whole: Float32 = reader.values(np.arange(reader.n))
        return np.asarray(whole.mean(axis=0), dtype=np.float32)


class Modest(NonAdaptive):
    """Plans everything and asks for the newest value only."""

    def plan(self, n: int, d: int, seed: int) -> list[int]:
        """All tokens."""
        return list(range(n))

    def answer(self, q: Float32, reader: Reader) -> Float32:
        """The newest value."""
        return reader.value(reader.n - 1)


LATE = (Follower, Widener, Keeper)


def honest_row(name: str) -> dict[str, Any]:
    """Every stream with the same coins: how many plans differ from D_0's, over all coins."""
    from ...protocols.game.query_game import Algorithm

    differ, streams, share = 0, 0, 0.0
    for coin in range(COINS):
        plain, *hidden = _with_coins(Algorithm(name), coin)
        differ += sum(trial.commitment != plain.commitment for trial in hidden)
        streams += len(hidden)
        share = max(share, plain.share)
    return {
        "reader": name, "kind": "honest", "coins": COINS, "streams": streams, "differ": differ,
        "refused": 0, "share": share, "asked": "", "said": "",
    }  # fmt: skip


def late_row(name: str) -> dict[str, Any]:
    """A reader whose reads would depend on the data: on how many streams it is refused."""
    from ...errors import PluginFailure
    from ...protocols.game.query_game import Algorithm

    refused, said, share, asked = 0, "", 0.0, 0
    algorithm = Algorithm(f"{__name__}:{name}")
    for place in (None, *range(N - 1)):
        try:
            [trial] = _with_coins(algorithm, 0, [place])
            share, asked = trial.share, trial.asked
        except PluginFailure as refusal:
            refused, said = refused + 1, str(refusal)
    return {
        "reader": name, "kind": "late" if name != Modest.__name__ else "modest", "coins": 1,
        "streams": N, "differ": 0, "refused": refused, "share": share, "asked": asked, "said": said,
    }  # fmt: skip


def _with_coins(algorithm: Any, coin: int, places: Any = None) -> list[Any]:
    """Trials with the coins of number ``coin``: on D_0 and every D_i, or on some of these."""
    from ...protocols.game import coins
    from ...protocols.game.query_game import QueryInstance, play_trial, seated
    from ...protocols.players.isolation import Limits

    instance, key = QueryInstance(N, D), coins.COMMITTED_KEYS["experiments"]
    with seated(algorithm, instance, "inline", Limits()) as (seat, _):
        return [
            play_trial(seat, instance, key, coin, "plain" if place is None else place)
            for place in (places or (None, *range(N - 1)))
        ]
