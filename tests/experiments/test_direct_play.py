"""A reduction played directly is the game played inline: the same errors, the same charge."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from kvbarrier.experiments.kit.direct_play import KEY, ask, build, play, secret
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.index_game import play_batch
from kvbarrier.protocols.game.instance import Instance
from kvbarrier.protocols.game.instances import Index, instance_of

MESSAGES = 4
PYRAMID = instance_of({"reduction": "visual", "n": 30, "d": 8})
CASES = [
    (Index(n=64, d=16), "exact", {"dtype": "fp8"}),
    (Index(n=64, d=16), "reservoir", {"size": 24}),
    # The length of what it saves is not declared.
    (Index(n=64, d=16), "cachegen", {}),
    (PYRAMID, "exact", {"dtype": "fp8"}),
]


@pytest.mark.parametrize(("instance", "target", "params"), CASES)
def test_errors_and_charge_are_the_games(instance: Instance, target: str, params: dict) -> None:
    cell = Cell(instance, target, tuple(params.items()), batch_size=MESSAGES)
    game = play_batch(cell, KEY, 0, "inline").records
    direct = play(instance.build(), instance.id, target, MESSAGES, params=params)
    assert direct.errors == tuple(one.wrong / one.asked for one in game)
    assert direct.charged == tuple(one.charged_bits for one in game)


def test_rows_asked_alone_are_answered_as_among_all() -> None:
    instance = Index(n=64, d=16)
    reduction = instance.build()
    x = secret(reduction, instance.id, 0)
    player = partial(build, reduction, "exact", {}, None)
    rows = np.array([3, 63, 17])
    (every, charged), (some, same) = ask(reduction, x, player), ask(reduction, x, player, rows)
    np.testing.assert_array_equal(reduction.decode(some, rows), reduction.decode(every)[rows])
    np.testing.assert_array_equal(reduction.decode(some, rows), x[rows])
    assert charged == same
