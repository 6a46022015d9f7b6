from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline.exact import Exact
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention
from kvbarrier.reductions.index import IndexReduction
from kvbarrier.reductions.keys import make

SHAPE = Shape(tokens=40, d_k=6, d_v=5)
FULL = SHAPE.cache_bits_16  # 16 * 40 * 11


@pytest.mark.parametrize(
    ("budget", "dtype"),
    [(None, "fp32"), (4 * FULL, "fp32"), (2 * FULL, "fp32"), (2 * FULL - 1, "fp16"),
     (FULL, "fp16"), (FULL - 1, "fp8"), (FULL // 2, "fp8")],
)  # fmt: skip
def test_the_widest_format_that_fits(budget, dtype):
    one = Exact(SHAPE, budget)
    assert one.dtype == dtype
    bits = {"fp32": 2 * FULL, "fp16": FULL, "fp8": FULL // 2}[dtype]
    assert 8 * one.message_bytes == bits == 8 * len(one.save())


def test_a_budget_below_eight_bits_a_number_is_too_small():
    with pytest.raises(BudgetTooSmall) as caught:
        Exact(SHAPE, FULL // 2 - 1)
    assert caught.value.minimum_bits == FULL // 2
    with pytest.raises(BudgetTooSmall) as caught:
        Exact(SHAPE, FULL, dtype="fp32")
    assert caught.value.minimum_bits == 2 * FULL
    assert Exact(SHAPE, FULL, dtype="bf16").dtype == "bf16"
    with pytest.raises(BadInput, match="fp16"):
        Exact(SHAPE, dtype="fp15")


def stream(n, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, d)).astype(np.float32) for d in (6, 6, 5)]


@pytest.mark.parametrize(
    ("dtype", "error"),
    # Half an ulp at 1: 2^-25 (score and weight errors are larger), 2^-12, 2^-9, 2^-5.
    [("fp32", 2e-6), ("fp16", 2**-8), ("bf16", 2**-5), ("fp8", 2**-1)],
)
def test_it_is_the_definition_up_to_its_format(dtype, error):
    one = Exact(SHAPE, dtype=dtype)
    Q, K, V = stream(40)
    one.extend(Q, K, V)
    assert one.attend(Q[3]) == pytest.approx(attention(Q[3], K, V), abs=error)
    if dtype != "fp32":
        stored = K.astype(one.state["k"].dtype), V.astype(one.state["v"].dtype)
        assert one.attend(Q[3]) == pytest.approx(
            attention(Q[3], *(a.astype(np.float32) for a in stored)), abs=2e-6
        )


def test_bobs_tokens_have_room_and_no_more():
    one = Exact(Shape(4, 6, 5, extra=2), dtype="fp16")
    Q, K, V = stream(7)
    one.extend(Q[:4], K[:4], V[:4])
    assert len(one.save()) == one.message_bytes == 2 * 4 * 11
    one.append(Q[4], K[4], V[4])
    assert len(one.save()) == 2 * 6 * 11
    one.append(Q[5], K[5], V[5])
    with pytest.raises(BadInput, match="4 tokens and 2 more"):
        one.append(Q[6], K[6], V[6])
    with pytest.raises(BadInput, match="4 tokens and 2 more"):
        one.next_outputs(Q[6:], K[6:], V[6:])


def test_a_number_too_large_for_the_format_is_refused():
    Q, K, V = stream(4)
    for dtype, largest in (("fp16", 65504.0), ("fp8", 448.0), ("bf16", 3.3e38)):
        one = Exact(Shape(4, 6, 5), dtype=dtype)
        V[2, 3] = largest
        one.extend(Q, K, V)
        V[2, 3] = 1.03 * largest if dtype == "bf16" else 1.1 * largest
        with pytest.raises(BadInput, match="wider format"):
            Exact(Shape(4, 6, 5), dtype=dtype).extend(Q, K, V)


@pytest.mark.parametrize("values", ["01", "pm1"])
@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
def test_every_secret_bit_comes_back(values, dtype):
    game = IndexReduction.build(make("jl", 300, 48, seed=1), 20, values=values)
    secret = np.random.default_rng(0).integers(0, 2, (300, 20)).astype(np.uint8)
    alice = Exact(Shape(300, 48, 20), dtype=dtype, public=game.public())
    alice.extend(*game.stream(secret))
    bob = alice.fresh()
    bob.restore(alice.save())
    bits = bob.next_bits(*game.queries(), game.thresholds())
    assert (bits == secret).mean() > (1 - 1e-12 if dtype == "fp32" else 0.999)
    assert (game.decode(bob.next_outputs(*game.queries())) == bits).all()
