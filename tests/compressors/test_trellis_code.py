"""The trellis source coder: optimal against all words, at the published distortions."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.control import trellis_code
from kvbarrier.compressors.zoo.control.trellis_code import GENERATORS, TrellisCode
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.bounds import error_floor

from tests.naive import trellis

#: Viterbi source coding at rate 1/2, as published for these generators
PUBLISHED = {4: 0.1385, 16: 0.1307, 64: 0.1253, 256: 0.1203}


def code(
    bits: int, states: int = 256, budget: int | None = None, plain: float = 0.0
) -> TrellisCode:
    keys = np.arange(bits, dtype=np.float32)[:, None]
    shape = Shape(tokens=bits, d_k=1, d_v=1)
    return TrellisCode(shape, budget, 0, {"keys": keys, "values": "01"}, states=states, plain=plain)


@pytest.mark.parametrize("states", GENERATORS)
def test_the_distortion_is_the_published_one(states: int) -> None:
    N = 200_000
    one = code(N, states)
    bits = np.random.default_rng(states).integers(0, 2, N).astype(np.uint8)
    message = one.encode(bits)
    assert len(message) == one.message_bytes == N // 16
    error = np.mean(one.decode(message) != bits)
    # Blocks of a few constraint lengths err independently: a standard error of about .001.
    assert error == pytest.approx(PUBLISHED[states], abs=0.003)
    # Shannon's floor at rate 1/2 is the limit; the issue asks for .121 with 256 states.
    assert error > error_floor(0.5) == pytest.approx(0.11003, abs=1e-5)
    if states == 256:
        assert error <= 0.121


@pytest.mark.parametrize("states", [4, 16, 256])
@pytest.mark.parametrize("jit", [True, False])
def test_no_codeword_is_nearer(states: int, jit: bool) -> None:
    m, generators = states.bit_length() - 1, GENERATORS[states]
    functions = [trellis_code.step_symbols, trellis_code.nearest, trellis_code.codeword]
    symbols_of, nearest, codeword = functions if jit else [f.py_func for f in functions]
    symbols = symbols_of(m, *generators)
    rng = np.random.default_rng(states)
    for _ in range(6):
        bits = rng.integers(0, 2, 16).astype(np.uint8)
        words = (2 * bits[::2] + bits[1::2]).astype(np.uint8)
        choices, inputs = np.empty((8, states), np.uint8), np.empty(8, np.uint8)
        distance = nearest(words, symbols, m, choices, inputs)
        assert distance == trellis.least_distance(bits.tolist(), generators, m)
        found = np.empty(8, np.uint8)
        codeword(inputs, symbols, m, found)
        sent = np.stack([found >> 1, found & 1], axis=1).ravel().tolist()
        assert sent == trellis.codeword(inputs.tolist(), generators, m)
        assert distance == sum(a != b for a, b in zip(sent, bits.tolist(), strict=True))


def test_an_odd_bit_is_kept() -> None:
    one = code(17)
    bits = np.random.default_rng(0).integers(0, 2, 17).astype(np.uint8)
    assert one.decode(one.encode(bits))[-1] == bits[-1]
    assert one.message_bytes == 2  # 8 input bits and the odd one


@pytest.mark.parametrize(("plain", "length"), [(0.0, 32), (0.25, 40), (1.0, 64)])
def test_a_share_is_kept_as_it_is(plain: float, length: int) -> None:
    # 512 bits: (1 - p)/2 of them are the trellis's inputs, p are kept, (1 + p)/2 * 64 bytes in all.
    one = code(512, plain=plain)
    bits = np.random.default_rng(1).integers(0, 2, 512).astype(np.uint8)
    message = one.encode(bits)
    assert len(message) == one.message_bytes == length
    kept = round(512 * plain)
    found = one.decode(message)
    assert np.array_equal(found[512 - kept :], bits[512 - kept :])
    # The rest is what the trellis alone makes of it.
    alone = code(512 - kept) if kept < 512 else None
    if alone is not None:
        first = bits[: 512 - kept]
        assert np.array_equal(found[: 512 - kept], alone.decode(alone.encode(first)))


def test_a_message_round_trips() -> None:
    one, two = code(64), code(64)
    x = np.random.default_rng(3).integers(0, 2, (64, 1)).astype(np.float32)
    one.extend(np.zeros_like(x), one.keys, x)
    two.restore(one.save())
    assert np.array_equal(two.values(), one.values())


def test_what_is_refused() -> None:
    with pytest.raises(BadInput, match="A trellis has 4, 16, 64, 256 states, not 32"):
        code(64, 32)
    for share in (-0.1, 1.5, float("nan"), "half"):
        with pytest.raises(BadInput, match=r"A share of the secret lies in \[0, 1\]: plain = "):
            code(64, plain=share)  # type: ignore[arg-type]
    with pytest.raises(BudgetTooSmall) as refused:
        code(64, budget=24)
    assert code(64, budget=refused.value.minimum_bits).message_bytes == 4
