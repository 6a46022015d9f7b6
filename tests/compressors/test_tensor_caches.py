"""The two layouts answer as tensor attention does, and travel as what they say."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.paper.four_cache import FourCache
from kvbarrier.compressors.zoo.paper.two_cache import TwoCache
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure
from kvbarrier.reductions import tensor_attention as rule

SHAPE = Shape(tokens=7, d_k=12, d_v=8, extra=2)
LAYOUTS = [FourCache, TwoCache]


def stream(t: int, seed: int, shape: Shape = SHAPE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    Q, K = rng.standard_normal((2, t, shape.d_k)).astype(np.float32)
    return Q, K, rng.standard_normal((t, shape.d_v)).astype(np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_door_answers_with_the_rule(layout: type[FourCache]) -> None:
    one = layout(SHAPE, dtype="fp32")
    _, K, V = stream(7, 1)
    for triple in zip(*stream(7, 1), strict=True):
        one.append(*triple)
    Q, Kq, Vq = stream(2, 2)
    want = [
        rule.attention(q, np.vstack([K, k]), np.vstack([V, v]))
        for q, k, v in zip(Q, Kq, Vq, strict=True)
    ]
    assert np.allclose(one.next_outputs(Q, Kq, Vq), want, atol=2e-5)
    cut = np.zeros(2, np.float32)
    assert (one.next_bits(Q, Kq, Vq, cut) == (one.next_outputs(Q, Kq, Vq) > 0)).all()
    block = [rule.attention(q, np.vstack([K, Kq]), np.vstack([V, Vq])) for q in Q]
    assert np.allclose(one.block_outputs(Q, Kq, Vq), block, atol=2e-5)
    assert np.allclose(one.attend(Q[0]), rule.attention(Q[0], K, V), atol=2e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cut", [0, 1, 4, 7])
def test_a_stream_may_be_cut_anywhere(layout: type[FourCache], cut: int) -> None:
    Q, K, V = stream(7, 3)
    whole, first, second = (layout(SHAPE, dtype="fp16") for _ in range(3))
    whole.extend(Q, K, V)
    first.extend(Q[:cut], K[:cut], V[:cut])
    second.restore(first.save())
    second.extend(Q[cut:], K[cut:], V[cut:])
    assert second.save() == whole.save()
    assert len(whole.save()) == whole.message_bytes
    assert (second.next_outputs(Q, K, V) == whole.next_outputs(Q, K, V)).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_state_with_bobs_tokens_travels_too(layout: type[FourCache]) -> None:
    one, two = (layout(SHAPE, dtype="fp16") for _ in range(2))
    one.extend(*stream(9, 4))
    two.restore(one.save())
    assert (two.attend(np.ones(12, np.float32)) == one.attend(np.ones(12, np.float32))).all()


def test_the_sizes_are_the_layouts() -> None:
    n, numbers = SHAPE.tokens, SHAPE.d_k + SHAPE.d_v
    assert FourCache(SHAPE, dtype="fp16").message_bytes == 2 * n * numbers
    assert TwoCache(SHAPE, dtype="fp16").message_bytes == 2 * (n * numbers + n * n * numbers // 2)


def test_budgets_are_kept_and_named() -> None:
    exactly = 8 * TwoCache(SHAPE, dtype="fp8").message_bytes
    assert TwoCache(SHAPE, exactly).dtype == "fp8"
    assert TwoCache(SHAPE, 4 * exactly).dtype == "fp32"
    with pytest.raises(BudgetTooSmall, match=f"two-cache does not fit into .* at least {exactly}"):
        TwoCache(SHAPE, exactly - 1)
    with pytest.raises(BudgetTooSmall, match="four-cache does not fit into 100 bits"):
        FourCache(SHAPE, 100)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_they_cannot_do_is_said(layout: type[FourCache]) -> None:
    with pytest.raises(BadInput, match="this game asks for softmax: attack them with --reduction"):
        layout(SHAPE, public={"attention": "softmax"})
    with pytest.raises(BadInput, match="even number of coordinates, not 3 and 8"):
        layout(Shape(tokens=4, d_k=3, d_v=8))
    with pytest.raises(PluginFailure, match=r"[aA] message of 5 bytes"):
        layout(SHAPE).restore(b"12345")


def test_products_alone_do_not_tell_the_factors() -> None:
    """Two pairs of factors with the same products, which a later token tells apart."""
    x, y = np.array([[1.0], [0.0]]), np.array([[0.0], [0.0]])
    z = np.array([[0.0], [0.0]])
    assert (rule.pairs(x, y) == rule.pairs(z, y)).all()
    later = np.array([[1.0]])
    assert not (rule.pairs(x, later) == rule.pairs(z, later)).all()
