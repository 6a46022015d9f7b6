from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline.quantized import Quantized
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention

SHAPE = Shape(tokens=64, d_k=12, d_v=5)


def stream(n, seed=0, d_k=12, d_v=5):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, d)).astype(np.float32) for d in (d_k, d_k, d_v)]


def token_bytes(bits):
    # Codes of 12 and of 5 numbers in whole bytes; two fp16 scales and two fp16 zeros.
    return -(-12 * bits // 8) + -(-5 * bits // 8) + 8


def channel_bytes(bits, g, n=64):
    # Each group: 17 channels of g codes and an fp16 scale and zero; and g - 1 fp16 tokens.
    return (n // g) * 17 * (-(-g * bits // 8) + 4) + (g - 1) * 17 * 2


@pytest.mark.parametrize("bits", range(1, 9))
def test_a_message_is_codes_scales_and_zeros(bits):
    one = Quantized(SHAPE, bits=bits)
    assert one.message_bytes == 64 * token_bytes(bits) == len(one.save())
    one = Quantized(SHAPE, bits=bits, axis="channel", group=16)
    assert one.message_bytes == channel_bytes(bits, 16) == len(one.save())
    one.extend(*stream(64))
    assert len(one.save()) == one.message_bytes


def test_the_most_bits_that_fit():
    for b, wider in ((1, 2), (2, 4), (4, 8)):
        bits = {"k": b, "v": b}
        assert Quantized(SHAPE, 8 * 64 * token_bytes(b)).bits == bits
        assert Quantized(SHAPE, 8 * 64 * token_bytes(wider) - 1).bits == bits
        assert Quantized(SHAPE, 8 * channel_bytes(b, 32), axis="channel").bits == bits
        assert Quantized(SHAPE, 8 * channel_bytes(wider, 32) - 1, axis="channel").bits == bits
    assert Quantized(SHAPE).bits == {"k": 8, "v": 8}
    with pytest.raises(BudgetTooSmall) as caught:
        Quantized(SHAPE, 8 * 64 * token_bytes(1) - 1)
    assert caught.value.minimum_bits == 8 * 64 * token_bytes(1)
    with pytest.raises(BudgetTooSmall) as caught:
        Quantized(SHAPE, 8 * 64 * token_bytes(4) - 1, bits=4)
    assert caught.value.minimum_bits == 8 * 64 * token_bytes(4)


def test_parameters_are_checked():
    for params, word in (
        ({"bits": 9}, "1 to 8"),
        ({"axis": "chanel"}, "channel"),
        ({"axis": "channel", "group": 1}, "group"),
        ({"axis": "channel", "group": 2.5}, "group"),
    ):
        with pytest.raises(BadInput, match=word):
            Quantized(SHAPE, **params)


@pytest.mark.parametrize("axis", ["token", "channel"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_numbers_come_back_within_half_a_step(bits, axis):
    one = Quantized(SHAPE, bits=bits, axis=axis, group=32)
    _, K, V = stream(64)
    one.extend(K, K, V)
    for X, got in zip((K, V), one.kept(), strict=True):
        rows = X[:, None] if axis == "token" else X.reshape(2, 32, -1).transpose(0, 2, 1)
        back = got[:, None] if axis == "token" else got.reshape(2, 32, -1).transpose(0, 2, 1)
        width = rows.max(axis=2) - rows.min(axis=2)
        step = width / (2**bits - 1)
        # fp16 rounding: of the zero, of the scale (2^bits - 1 times), and of waiting tokens.
        slip = 2.0**-11 * (np.abs(rows).max(axis=2) * 2 + width)
        assert (np.abs(back - rows).max(axis=2) <= step / 2 + slip).all()
        assert (np.abs(back - rows).max(axis=2) / step).max() > 0.4  # and no better


@pytest.mark.parametrize("values", [(0, 1), (-1, 1), (0, 0)])
@pytest.mark.parametrize("axis", ["token", "channel"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_games_alphabets_are_exact(bits, axis, values):
    # Two values are the ends: levels 0 and 2^bits - 1. The step 2/(2^bits - 1) is fp16-rounded
    # for +-1 (1 is hit within 2^-11 * 2); a power of two only at 1 bit.
    V = np.random.default_rng(1).choice(np.float32(values), (64, 5))
    one = Quantized(SHAPE, bits=bits, axis=axis, group=8)
    one.extend(V, np.zeros((64, 12), np.float32), V)
    K, got = one.kept()
    assert (K == 0).all()
    error = 0 if bits == 1 or values == (0, 0) else 2.0**-10
    assert np.abs(got - V).max() <= error


def test_tokens_wait_for_their_group_in_fp16():
    one = Quantized(SHAPE, bits=4, axis="channel", group=32)
    Q, K, V = stream(40)
    one.extend(Q, K, V)
    assert (one.groups, one.rest) == (1, 8)
    assert (one.kept()[0][32:] == K[32:].astype(np.float16)).all()
    assert np.isnan(one.state["k_rest"][8:]).all()
    before = np.abs(one.kept()[0][32:] - K[32:]).max()
    one.extend(*stream(24, seed=1))
    assert (one.groups, one.rest) == (2, 0)
    assert np.isnan(one.state["k_rest"]).all()
    assert before < 2e-3 < np.abs(one.kept()[0][32:40] - K[32:]).max()


def test_it_attends_to_what_the_codes_say():
    one = Quantized(SHAPE, bits=2)
    Q, K, V = stream(64)
    one.extend(Q, K, V)
    assert one.attend(Q[0]) == pytest.approx(attention(Q[0], *one.kept()), abs=2e-6)
    assert np.abs(one.attend(Q[0]) - attention(Q[0], K, V)).max() > 1e-3


def test_room_for_the_shape_and_no_more():
    for axis in ("token", "channel"):
        one = Quantized(Shape(8, 12, 5, extra=1), axis=axis, group=3)
        Q, K, V = stream(10)
        one.extend(Q[:9], K[:9], V[:9])
        assert len(one.save()) > one.message_bytes  # the ninth token fills a slot beyond the data
        with pytest.raises(BadInput, match="8 tokens and 1 more"):
            one.append(Q[9], K[9], V[9])
        with pytest.raises(BadInput, match="8 tokens and 1 more"):
            one.next_outputs(Q[9:], K[9:], V[9:])


def test_a_number_too_large_for_fp16_is_refused_and_nothing_changes():
    for axis in ("token", "channel"):
        one = Quantized(SHAPE, axis=axis, group=4)
        Q, K, V = stream(6)
        V[1, 1] = -1e5
        with pytest.raises(BadInput, match="wider format"):
            one.extend(Q, K, V)
        assert one.save() == one.fresh().save()
