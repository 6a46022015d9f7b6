"""What every built-in that keeps tokens owes the contract: doors agree, messages are constant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kvbarrier.compressors.kit.state import State, from_storage, storage_dtype
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo.baseline.exact import Exact
from kvbarrier.compressors.zoo.baseline.quantized import Quantized
from kvbarrier.compressors.zoo.baseline.reservoir import Reservoir
from kvbarrier.compressors.zoo.baseline.sliding_window import SlidingWindow
from kvbarrier.compressors.zoo.baseline.streaming_llm import StreamingLLM
from kvbarrier.errors import BadInput, PluginFailure

CASES = {
    "exact-fp32": (Exact, {"dtype": "fp32"}),
    "exact-fp8": (Exact, {"dtype": "fp8"}),
    "window": (SlidingWindow, {"window": 7}),
    "window-bf16": (SlidingWindow, {"dtype": "bf16"}),
    "window-1": (SlidingWindow, {"window": 1}),
    "streaming": (StreamingLLM, {"window": 5}),
    "streaming-0": (StreamingLLM, {"sinks": 0, "window": 6}),
    "reservoir": (Reservoir, {"size": 9}),
    "reservoir-2": (Reservoir, {"size": 2}),
    "reservoir-all": (Reservoir, {}),
    "token-1": (Quantized, {"bits": 1}),
    "token-4": (Quantized, {"bits": 4}),
    "channel-2": (Quantized, {"bits": 2, "axis": "channel", "group": 5}),
    "channel-8": (Quantized, {"bits": 8, "axis": "channel", "group": 3}),
    "channel-wide": (Quantized, {"bits": 4, "axis": "channel"}),
}


def triples(n, d_k=6, d_v=3, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    made = [rng.standard_normal((n, d)).astype(np.float32) for d in (d_k, d_k, d_v)]
    made[0] *= np.float32(scale)
    return made


def build(name, shape, seed=0):
    kind, params = CASES[name]
    return kind(shape, seed=seed, **params)


@pytest.mark.parametrize("name", CASES)
@given(n=st.integers(0, 24), extra=st.integers(1, 2), seed=st.integers(0, 9), cuts=st.data())
@settings(max_examples=12, deadline=None)
def test_the_append_loop_is_extend_wherever_it_is_cut(name, n, extra, seed, cuts):
    shape = Shape(max(n, 1), 6, 3, extra)
    stream = triples(n, seed=seed)
    whole = build(name, shape, seed)
    whole.extend(*stream)
    at = cuts.draw(st.sets(st.integers(0, n)))
    piecewise = build(name, shape, seed)
    for t in range(n + 1):
        if t in at:
            message = piecewise.save()
            assert len(message) == piecewise.message_bytes
            piecewise = piecewise.fresh()
            piecewise.restore(message)
            assert piecewise.save() == message
        if t < n:
            piecewise.append(*(a[t] for a in stream))
    assert piecewise.save() == whole.save()
    blocks = build(name, shape, seed)
    for first, last in zip([0, *sorted(at)], [*sorted(at), n], strict=True):
        blocks.extend(*(a[first:last] for a in stream))
    assert blocks.save() == whole.save()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n", [1, 4, 14, 15, 24])
def test_next_outputs_are_what_the_contract_says(name, n):
    # n = 4, 14, 24: Bob's token completes a group of 5; 14: it fills the last slot of one of 3.
    one = build(name, Shape(n, 6, 3, 2), seed=n)
    one.extend(*triples(n))
    Q, K, V = triples(8, seed=1, scale=3)
    K[3:6], V[3:6] = 0, 0  # equal own tokens, as the Index game's
    want = Compressor.next_outputs(one, Q, K, V)
    before = one.save()
    got = one.next_outputs(Q, K, V)
    assert got.dtype == np.float32
    assert np.abs(got - want).max() < 3e-6
    thresholds = np.linspace(-1, 1, 8, dtype=np.float32)
    bits = one.next_bits(Q, K, V, thresholds)
    assert (bits == (got > thresholds[:, None])).all()
    block = [a[:2] for a in (Q, K, V)]
    want = Compressor.block_outputs(one, *block)
    assert np.abs(one.block_outputs(*block) - want).max() < 3e-6
    assert one.save() == before


@pytest.mark.parametrize("name", CASES)
def test_the_evicted_row_depends_on_bobs_token(name):
    # A batch must not be answered from the state before the append: compare with a real append.
    one = build(name, Shape(12, 6, 3), seed=3)
    one.extend(*triples(12))
    Q, K, V = triples(1, seed=2)
    got = one.next_outputs(Q, K, V)[0]
    one.append(Q[0], K[0], V[0])
    assert one.attend(Q[0]) == pytest.approx(got, abs=3e-6)


@pytest.mark.parametrize("name", CASES)
def test_after_bobs_token_the_state_still_travels(name):
    one = build(name, Shape(9, 6, 3, 2))
    one.extend(*triples(11))
    twin = one.fresh()
    twin.restore(one.save())
    q = triples(1, seed=5)[0][0]
    # A ring is saved oldest first: the same sum in another order.
    assert twin.attend(q) == pytest.approx(one.attend(q), abs=1e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(name, bad):
    one = build(name, Shape(9, 6, 3))
    Q, K, V = triples(9)
    for block in (K, V):
        kept = block[4, 2]
        block[4, 2] = bad
        with pytest.raises(BadInput, match="not finite"):
            one.extend(Q, K, V)
        block[4, 2] = kept
    assert one.save() == one.fresh().save()
    one.extend(Q, K, V)


@pytest.mark.parametrize("name", CASES)
def test_a_message_of_another_length_is_refused(name):
    one = build(name, Shape(9, 6, 3))
    with pytest.raises(PluginFailure, match="public parameters"):
        one.restore(one.save() + b"\0")
    with pytest.raises(PluginFailure, match="public parameters"):
        one.restore(b"")


@pytest.mark.parametrize("name", CASES)
def test_nothing_appended_nothing_answered(name):
    one = build(name, Shape(9, 6, 3))
    with pytest.raises(BadInput, match="append a token"):
        one.attend(np.zeros(6, np.float32))
    Q, K, V = triples(2)
    # Theorem 6's Bob on an empty stream: only his own token counts.
    assert one.next_outputs(Q, K, V) == pytest.approx(
        Compressor.next_outputs(one, Q, K, V), abs=1e-6
    )


def test_the_state_is_one_aligned_buffer():
    state = State(seen=((1,), np.int64), k=((3, 2), np.float16), c=((5,), np.uint8))
    assert len(state.to_bytes()) == 8 + 12 + 5
    state["k"][1] = [1, 2]
    state["seen"][0] = -2
    other = State(seen=((1,), np.int64), k=((3, 2), np.float16), c=((5,), np.uint8))
    other.load(state.to_bytes())
    assert other["k"][1].tolist() == [1, 2]
    assert np.isnan(other["k"][0]).all()
    assert other["seen"][0] == -2
    assert state.to_bytes({"k": slice(1), "c": np.array([0, 1])}) == (
        state["seen"].tobytes() + state["k"][:1].tobytes() + bytes(2)
    )
    with pytest.raises(AssertionError, match="wider"):
        State(c=((3,), np.uint8), k=((3,), np.float32))


def test_formats():
    sizes = {name: storage_dtype(name).itemsize for name in ("fp32", "fp16", "bf16", "fp8")}
    assert sizes == {"fp32": 4, "fp16": 2, "bf16": 2, "fp8": 1}
    with pytest.raises(BadInput, match="Did you mean 'fp"):
        storage_dtype("fp1")


def test_every_fp8_number_is_read_exactly():
    # e4m3fn: sign, 4 exponent bits (bias 7), 3 of mantissa; 0x7f and 0xff are NaN, 448 the largest.
    stored = np.arange(256, dtype=np.uint8).view(storage_dtype("fp8")).reshape(16, 16)
    got = from_storage(stored).ravel()
    for byte in range(256):
        e, m = byte >> 3 & 15, byte & 7
        want = (m / 8) * 2.0**-6 if e == 0 else (1 + m / 8) * 2.0 ** (e - 7)
        if byte & 127 == 127:
            assert np.isnan(got[byte])
        else:
            assert got[byte] == (-want if byte >> 7 else want)


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "fp8"])
def test_who_only_answers_reads_the_message_where_it_lies(dtype):
    coins = np.random.default_rng(5)
    shape = Shape(tokens=40, d_k=6, d_v=4)
    K, V = coins.standard_normal((40, 6)), coins.standard_normal((40, 4))
    K, V = K.astype(np.float32), V.astype(np.float32)
    alice, bob, other = (Exact(shape, dtype=dtype) for _ in range(3))
    alice.extend(K, K, V)
    message = bytearray(alice.save())
    bob.restore(memoryview(message))
    other.restore(bytes(message))
    own = K[:3] + 1, K[3:6], V[3:6]
    answers = alice.next_outputs(*own)
    assert np.array_equal(bob.next_outputs(*own), answers)
    assert np.shares_memory(bob.state.read("k"), np.frombuffer(message, dtype=np.uint8))
    assert "_fields" not in vars(bob.state)
    # Who goes on has a state of his own, in which all else is empty.
    bob.extend(*(part[:1] for part in own))
    other.extend(*(part[:1] for part in own))
    alice.extend(*(part[:1] for part in own))
    kept = alice.save()
    assert bob.save() == other.save() == kept
    assert bob.seen == 41
    message[:] = bytes(len(message))
    assert bob.save() == kept
    bob.restore(alice.save())
    assert bob.save() == kept


def test_a_state_that_is_there_takes_the_rows_of_a_message_and_keeps_its_others():
    state = State(seen=((1,), np.int64), k=((3, 2), np.float16))
    state["seen"][:], state["k"][:] = 7, 1
    state.load(np.array([9]).tobytes() + np.zeros((2, 2), np.float16).tobytes(), {"k": 2})
    assert (state["seen"].tolist(), state["k"].tolist()) == ([9], [[0, 0], [0, 0], [1, 1]])
    assert np.array_equal(state.read("k"), state["k"])
