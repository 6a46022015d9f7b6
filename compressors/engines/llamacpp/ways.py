"""The ways in which a cache of llama.cpp is examined."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from ..way import BEAMS, Way

_LIVE = {"rotary": "live"}
_POOLS = {"unified": "one pool of cells", "split": "cells apart"}
_STATES = {"context": "the state of the context", "sequence": "the state of each sequence"}
_WINDOW = 16


def ways(what: str, params: Mapping[str, Any]) -> list[Way]:
    """What ``check`` tries of a target; ``what`` stands behind ``llamacpp:``."""
    given = {**_LIVE, **params}
    pools = [given["pool"]] if "pool" in given else list(_POOLS)
    states = [given["state"]] if "state" in given else list(_STATES)
    found = [
        Way(
            f"{_POOLS.get(pool, pool)}, {_STATES.get(state, state)}",
            {**given, "pool": pool, "state": state},
            layers=2 if "window" in given else 1,
        )
        for pool, state in product(pools, states)
    ]
    if "beams" not in given:
        keep = {**found[-1].params, "beams": "keep"}
        found.append(Way(f"{found[-1].words}, seq_keep", keep, families=BEAMS))
    if "window" not in given:
        slides = {**given, "window": _WINDOW, "pool": pools[0], "state": states[-1]}
        found.append(Way("with layers that slide", slides, layers=2))
    return found
