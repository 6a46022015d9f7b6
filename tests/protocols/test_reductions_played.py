"""Every reduction through the whole game: what must decode decodes, what cannot does not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.errors import BadInput
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.coins import COMMITTED_KEYS
from kvbarrier.protocols.game.index_game import play_batch
from kvbarrier.protocols.game.instance import Instance, digest
from kvbarrier.protocols.game.instances import Index, SlidingWindow, Tensor, Visual, instance_of

KEY = COMMITTED_KEYS["regress"]
INSTANCES = {
    "index": Index(n=48, d=16, keys="hypercube"),
    "sliding-window": SlidingWindow(n=60, d=16, keys="jl", window=25),
    "tensor": Tensor(n=20, d=64),
    "visual": Visual(n=30, d=16, keys="jl"),
}
#: a full cache that follows the reduction's own attention rule
FULL = {
    "index": "exact",
    "sliding-window": "running-sum",
    "tensor": "four-cache",
    "visual": "exact",
}


def error_of(target: str, instance: Instance, budget: Fraction | None = None, isolation="inline"):
    cell = Cell(instance, target, budget=budget, batch_size=8)
    records = play_batch(cell, KEY, 0, isolation).records
    assert [r.failed for r in records] == [None] * 8
    assert {r.asked for r in records} == {instance.secret_rows * instance.row_bits}
    return sum(r.wrong for r in records) / sum(r.asked for r in records), records


@pytest.mark.parametrize("name", INSTANCES)
def test_a_full_cache_decodes_every_bit(name: str) -> None:
    assert error_of(FULL[name], INSTANCES[name])[0] == 0.0


@pytest.mark.parametrize("name", INSTANCES)
def test_the_secrets_length_is_enough_and_half_of_it_is_not(name: str) -> None:
    instance = INSTANCES[name]
    secret = instance.secret_rows * instance.row_bits
    error, records = error_of("lossless", instance)
    assert error == 0.0
    assert {r.charged_bits for r in records} == {8 * -(-secret // 8)}
    half = Fraction(secret // 2, instance.shape.cache_bits_16)
    error, records = error_of("time-sharing", instance, half)
    assert max(r.charged_bits for r in records) <= secret // 2
    # Half of the bits are guessed: error 1/4, within 5 standard deviations of the guesses.
    assert abs(error - 0.25) < 5 * 0.5 * np.sqrt(4 * secret) / (8 * secret)


@pytest.mark.parametrize("name", INSTANCES)
def test_no_memory_is_a_guess(name: str) -> None:
    assert abs(error_of("zero", INSTANCES[name])[0] - 0.5) < 0.05


@pytest.mark.parametrize("name", ["tensor", "visual"])
def test_players_in_processes_say_the_same(name: str) -> None:
    instance, full = INSTANCES[name], FULL[name]
    inline, apart = (error_of(full, instance, isolation=kind)[1] for kind in ("inline", "process"))
    assert inline == apart


def test_sampled_rows_of_a_reduction_need_equal_buckets() -> None:
    with pytest.raises(BadInput, match="multiple of 16, not 24"):
        SlidingWindow(n=60, d=16, window=25, rows=16)
    window = SlidingWindow(n=60, d=16, window=33, rows=16)
    cell = Cell(window, "lossless", batch_size=2)
    for record in play_batch(cell, KEY, 0, "inline").records:
        assert record.asked_by_age == (16,) * 16
        assert record.wrong == 0


def test_hypotheses_are_quoted() -> None:
    with pytest.raises(BadInput, match="--window 8, which is for --reduction sliding-window"):
        instance_of({"n": 64, "d": 16, "window": 8})
    with pytest.raises(BadInput, match="a window within the stream"):
        SlidingWindow(n=64, d=16).build()
    with pytest.raises(BadInput, match=r"--gamma 0\.1, which is for --reduction index"):
        instance_of({"n": 20, "d": 64, "reduction": "tensor", "gamma": 0.1})
    with pytest.raises(BadInput, match="--values pm1, which is for --reduction index"):
        instance_of({"n": 30, "d": 16, "reduction": "visual", "values": "pm1"})


def test_the_shape_is_the_reductions() -> None:
    assert INSTANCES["index"].shape == Shape(48, 16, 16, extra=1)
    assert INSTANCES["tensor"].shape == Shape(20, 128, 128, extra=1)
    assert INSTANCES["visual"].shape == Shape(30, 16, 16, extra=25)


def test_ids_of_index_instances_do_not_know_of_windows() -> None:
    instance = INSTANCES["index"]
    assert "window" not in instance.spec()
    assert instance.id == digest(instance.spec())
    assert INSTANCES["sliding-window"].spec()["window"] == 25
