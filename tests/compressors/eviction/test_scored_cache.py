"""What H2O, TOVA and Scissorhands share: the state, the doors, and agreement with plain twins."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape, charged_bits
from kvbarrier.compressors.zoo.eviction import h2o, scissorhands, scored_cache, tova
from kvbarrier.compressors.zoo.eviction.h2o import H2O
from kvbarrier.compressors.zoo.eviction.scissorhands import Scissorhands
from kvbarrier.compressors.zoo.eviction.tova import TOVA
from kvbarrier.errors import BadInput, BudgetTooSmall

from tests.naive import scored_eviction as naive

SHAPE = Shape(tokens=64, d_k=16, d_v=16)
KINDS = [
    (H2O, {}),
    (H2O, {"recent": 0.0}),
    (TOVA, {}),
    (Scissorhands, {}),
    (Scissorhands, {"history": 30, "recent": 2}),  # longer than m: the ring of bits
    (Scissorhands, {"history": 3, "drop": 0.3}),
]
kinds = pytest.mark.parametrize(("cls", "params"), KINDS)


def stream(n, seed=0, d=16):
    rng = np.random.default_rng(seed)
    # K on the fp16 grid, so that a twin sees what is stored.
    Q, K, V = (rng.standard_normal((n, d)).astype(np.float16).astype(np.float32) for _ in range(3))
    return Q, K, V


def held(one, K):
    """Which tokens of the stream are held, oldest first."""
    return [int(np.flatnonzero((k == K).all(axis=1))[0]) for k in one.kept()[0]]


@kinds
@pytest.mark.parametrize("size", [1, 2, 7, 20])
@pytest.mark.parametrize("plain", [False, True])
def test_it_holds_what_the_plain_twin_holds(cls, params, size, plain, monkeypatch):
    if cls is Scissorhands and params.get("recent", 0) >= size:
        params = params | {"recent": 0}
    for module in (h2o, tova, scissorhands, scored_cache) if plain else ():
        for name, kernel in list(vars(module).items()):
            if hasattr(kernel, "py_func"):  # with the JIT off the two are one
                monkeypatch.setattr(module, name, kernel.py_func)
    Q, K, V = stream(50, seed=size)
    one = cls(SHAPE, size=size, **params)
    one.extend(Q, K, V)
    leaving = [int(np.flatnonzero(one.order == slot)[0]) for slot in one.leaving()]
    if cls is H2O:
        wanted, scores = naive.h2o(Q, K, size, one.recent)
        assert one.state["score"][one.order] == pytest.approx(scores, abs=1e-4)
    elif cls is TOVA:
        wanted, out = naive.tova(Q, K, size)
        assert leaving == [out]
    else:
        wanted, out = naive.scissorhands(Q, K, size, one.recent, one.drop, one.history)
        assert sorted(out) == sorted(wanted[a] for a in leaving)
    assert held(one, K) == wanted
    assert len(wanted) <= size


@kinds
@pytest.mark.parametrize("cut", [0, 1, 6, 7, 8, 23, 39, 40])
def test_a_stream_may_be_cut_anywhere(cls, params, cut):
    Q, K, V = stream(40)
    whole, looped, first = (cls(SHAPE, size=12, **params) for _ in range(3))
    whole.extend(Q, K, V)
    for triple in zip(Q, K, V, strict=True):
        looped.append(*triple)
    first.extend(Q[:cut], K[:cut], V[:cut])
    second = first.fresh()
    second.restore(first.save())
    assert second.save() == first.save()
    second.extend(Q[cut:], K[cut:], V[cut:])
    assert whole.save() == looped.save() == second.save()
    assert (whole.attend(Q[0]) == second.attend(Q[0])).all()


@kinds
@pytest.mark.parametrize("taken", [0, 5, 11, 12, 13, 14, 40])
def test_a_batch_of_questions_is_the_loop(cls, params, taken):
    one = cls(SHAPE, size=12, **params)
    one.extend(*stream(taken))
    before = one.save()
    Q, K, V = stream(9, seed=5)
    Q *= 3
    got = one.next_outputs(Q, K, V)
    assert got == pytest.approx(Compressor.next_outputs(one, Q, K, V), abs=1e-5)
    thresholds = np.linspace(-0.5, 0.5, 9).astype(np.float32)
    assert (one.next_bits(Q, K, V, thresholds) == (got > thresholds[:, None])).all()
    assert one.block_outputs(Q, K, V) == pytest.approx(
        Compressor.block_outputs(one, Q, K, V), abs=1e-5
    )
    assert one.save() == before


@kinds
@pytest.mark.parametrize("part", [1 / 32, 1 / 8, 1 / 2, 1, 2])
def test_the_budget_holds_and_is_used(cls, params, part):
    budget = int(part * SHAPE.cache_bits_16)
    one = cls(SHAPE, budget, **({} if part < 1 / 8 else params))
    one.extend(*stream(64))
    charged = charged_bits(len(one.save()), one.message_bytes)
    token = charged / one.slots
    assert charged <= budget
    assert one.slots == 65 or charged + token > budget


@kinds
def test_the_least_budget_that_is_named_works(cls, params):
    with pytest.raises(BudgetTooSmall) as caught:
        cls(SHAPE, 10)
    assert cls(SHAPE, caught.value.minimum_bits).slots == 1
    with pytest.raises(BudgetTooSmall) as caught:
        cls(SHAPE, 10, size=12, **params)
    assert cls(SHAPE, caught.value.minimum_bits, size=12, **params).slots == 12
    with pytest.raises(BudgetTooSmall):
        cls(SHAPE, caught.value.minimum_bits - 1, size=12, **params)


@kinds
def test_what_cannot_be_stored_is_refused_and_nothing_changes(cls, params):
    one = cls(SHAPE, size=12, **params)
    one.extend(*stream(20))
    before = one.save()
    for which, number in ((0, np.nan), (0, 1e35), (1, np.inf), (1, 1e5), (2, -1e5), (2, np.nan)):
        arrays = stream(3, seed=1)
        arrays[which][1, 1] = number
        for door in (one.extend, one.next_outputs):
            with pytest.raises(BadInput):
                door(*arrays)
    assert one.save() == before


def test_parameters_are_checked():
    for cls, params in (
        (H2O, {"size": 0}),
        (H2O, {"recent": 1.5}),
        (TOVA, {"size": 2.5}),
        (Scissorhands, {"drop": 0}),
        (Scissorhands, {"history": 0}),
        (Scissorhands, {"recent": -1}),
        (Scissorhands, {"size": 8, "recent": 6}),
    ):
        with pytest.raises(BadInput):
            cls(SHAPE, **params)
