"""What the base class promises its author, and what the default doors do."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.plugin.adapters import adapt
from kvbarrier.compressors.plugin.contract import Compressor, Shape, charged_bits, tokens_within
from kvbarrier.compressors.plugin.signature import OFFERED, Signature
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure
from kvbarrier.protocols.players import channel

SHAPE = Shape(tokens=6, d_k=3, d_v=2)


class Mean(Compressor):
    """The mean of the values, and how often it was asked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.total = np.zeros(self.shape.d_v)
        self.count = 0
        self.asked = 0

    def append(self, q: Any, k: Any, v: Any) -> None:
        self.total = self.total + v
        self.count += 1

    def attend(self, q: Any) -> Any:
        self.asked += 1
        return (self.total / self.count).astype(np.float32)


class Few(Mean):
    """Says its parameters in ``set_up``; its ``__init__`` takes whatever comes."""

    def set_up(self, *, keep: int, share: float = 0.5) -> None:
        self.kept = keep, share, self.seed, self.public["scale"]


class Own(Compressor):
    """Has a constructor of its own, which passes two of the four on."""

    def __init__(self, shape: Shape, window: int = 3, seed: int = 0) -> None:
        super().__init__(shape, seed=seed)
        self.window = window

    def append(self, q: Any, k: Any, v: Any) -> None: ...

    def attend(self, q: Any) -> Any: ...


class Plain(Own):
    __init__ = Compressor.__init__


class Named(Plain):
    def set_up(self, *, keep: int, share: float = 0.5) -> None:
        self.kept = keep, share


def test_parameters_go_to_set_up_when_what_is_public_is_there() -> None:
    few = Few(SHAPE, None, 4, {"scale": 9.0}, keep=2)
    assert few.kept == few.fresh().kept == (2, 0.5, 4, 9.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'kept'"):
        Few(SHAPE, public={"scale": 9.0}, keep=2, kept=1)
    with pytest.raises(TypeError, match="Mean has no parameter 'keep'"):
        Mean(SHAPE, keep=2)
    assert Own(SHAPE, 5).window == 5


def test_the_signature_tells_the_parameters_of_set_up() -> None:
    said = Signature.of_constructor(Named)
    assert said == Signature((*OFFERED, "keep", "share"), ("shape", "keep"), False)
    assert Signature.of_constructor(Plain) == Signature(OFFERED, ("shape",), False)
    assert Signature.of_constructor(Own) == Signature(
        ("shape", "window", "seed"), ("shape",), False
    )
    factory = adapt(Named, "named")
    with pytest.raises(BadInput, match=r"no parameter 'keeps'\. Did you mean 'keep'"):
        factory.refuse_unknown({"keeps": 3})
    with pytest.raises(BadInput, match="needs the parameter 'keep'"):
        factory.refuse_missing({})
    assert factory(SHAPE, keep=3).kept == (3, 0.5)  # type: ignore[attr-defined]


def triples(n: int) -> tuple[Any, Any, Any]:
    return np.zeros((n, 3)), np.zeros((n, 3)), np.arange(2.0 * n).reshape(n, 2)


def test_cache_bits() -> None:
    assert Shape(tokens=512, d_k=64, d_v=64).cache_bits_16 == 16 * 512 * 128
    assert Shape(tokens=2, d_k=3, d_v=5, layers=7, kv_heads=11).cache_bits_16 == 16 * 2 * 8 * 77


def test_default_doors_work_on_copies() -> None:
    mean = Mean(SHAPE)
    mean.extend(*triples(2))  # values (0,1), (2,3)
    out = mean.next_outputs(*triples(3))  # each of (0,1), (2,3), (4,5) came next
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [[2 / 3, 5 / 3], [4 / 3, 7 / 3], [2, 3]], rtol=1e-6)
    block = mean.block_outputs(*triples(3))  # all three came: (0+2+0+2+4)/5, (1+3+1+3+5)/5
    np.testing.assert_allclose(block, [[1.6, 2.6]] * 3, rtol=1e-6)
    assert (mean.count, mean.asked) == (2, 0)


def test_bobs_answers_are_those_after_a_restore_whoever_loops() -> None:
    class Batched(Mean):
        def next_outputs(self, Q: Any, K: Any, V: Any) -> Any:
            return -super().next_outputs(Q, K, V)

    def answers(cls: type[Mean]) -> tuple[Any, Mean]:
        alice, bob = cls(SHAPE), cls(SHAPE)
        alice.extend(*triples(2))
        said = bob.outputs_after(alice.save(), *triples(3))
        assert np.array_equal(said, alice.next_outputs(*triples(3)))
        return said, bob

    (looped, _), (batched, bob) = answers(Mean), answers(Batched)
    np.testing.assert_allclose(looped, [[2 / 3, 5 / 3], [4 / 3, 7 / 3], [2, 3]], rtol=1e-6)
    assert np.array_equal(batched, -looped)
    assert bob.count == 2, "who answers by a method of its own is restored first"


def test_answers_are_never_broadcast() -> None:
    class Scalar(Mean):
        def attend(self, q: Any) -> Any:
            return 1.0

    for door in ("next_outputs", "block_outputs"):
        with pytest.raises(
            PluginFailure, match=r"attend returned float64\[\]: it must be float32\[2"
        ):
            getattr(Scalar(SHAPE), door)(*triples(3))


def test_coins_are_public_and_have_no_state() -> None:
    one, two = Mean(SHAPE, seed=2**63 - 1), Mean(SHAPE, seed=2**63 - 1)
    one.rng(3).random(10)
    assert one.rng(3).random() == two.rng(3).random()
    assert one.rng(3).random() != one.rng(4).random()
    assert one.rng(3).random() != Mean(SHAPE, seed=1).rng(3).random()
    assert one.save() == b""


def test_charged_bits_satisfy_kraft() -> None:
    # sum over all messages of 2^-charged = sum over lengths L of 2^-(2 floor(log2(L+1)) + 1).
    total = sum(Fraction(256**length, 2 ** charged_bits(length)) for length in range(2**12 - 1))
    assert total == 1 - Fraction(1, 2**12)
    for length in (0, 1, 2, 100, 10**6):
        assert charged_bits(length) == channel.charged_bits(length, None)
        assert charged_bits(length, length) == channel.charged_bits(length, length) == 8 * length


def test_tokens_within_is_the_largest_that_fits() -> None:
    for bits_per_token in (1, 7, 256, 4096):
        for budget in range(500, 40_000, 1777):
            t = tokens_within(budget, bits_per_token, at_least=0)
            fits = charged_bits(64 + math.ceil(t * bits_per_token / 8))
            more = charged_bits(64 + math.ceil((t + 1) * bits_per_token / 8))
            assert t == 0 or fits <= budget
            assert more > budget
    assert tokens_within(None, 4096) == sys.maxsize


def test_tokens_within_names_the_least_budget() -> None:
    with pytest.raises(BudgetTooSmall) as caught:
        tokens_within(1000, 4096)
    least = caught.value.minimum_bits
    assert tokens_within(least, 4096) == 1
    with pytest.raises(BudgetTooSmall):
        tokens_within(least - 1, 4096)
