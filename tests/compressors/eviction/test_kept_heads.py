"""The prefill methods that keep rows head by head: contract, policies, special cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape, charged_bits
from kvbarrier.compressors.zoo.baseline.sliding_window import SlidingWindow
from kvbarrier.compressors.zoo.eviction.fastgen import FastGen, policies
from kvbarrier.compressors.zoo.eviction.kept_heads import causal_weights
from kvbarrier.compressors.zoo.eviction.pyramidkv import PyramidKV
from kvbarrier.compressors.zoo.eviction.razor_attention import RazorAttention
from kvbarrier.compressors.zoo.eviction.snapkv import SnapKV, pool
from kvbarrier.compressors.zoo.low_rank.minicache import MiniCache
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure
from kvbarrier.reductions.attention import attention

SHAPE = Shape(tokens=64, d_k=16, d_v=8, extra=3, layers=2, heads=2, kv_heads=2)
CLASSES = [SnapKV, PyramidKV, FastGen, RazorAttention, MiniCache]


def stream(n: int = 64, seed: int = 0, shape: Shape = SHAPE) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    axes = (shape.layers, shape.kv_heads)
    parts = [rng.standard_normal((n, *axes, d)) for d in (shape.d_k, shape.d_k, shape.d_v)]
    return tuple(part.astype(np.float16).astype(np.float32) for part in parts)


def oracle(q: np.ndarray, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return np.array(
        [[attention(q[l, h], K[:, l, h], V[:, l, h]) for h in range(q.shape[1])]
         for l in range(q.shape[0])]
    )  # fmt: skip


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_the_contract(cls, share: float) -> None:
    budget = int(share * SHAPE.cache_bits_16)
    if cls is MiniCache and share < 0.6:
        with pytest.raises(BudgetTooSmall) as refused:
            cls(SHAPE, budget)
        budget = refused.value.minimum_bits
    alice, loop, bob = (cls(SHAPE, budget) for _ in range(3))
    Q, K, V = stream()
    alice.extend(Q, K, V)
    for q, k, v in zip(Q, K, V, strict=True):
        loop.append(q, k, v)
    message = alice.save()
    assert loop.save() == message
    assert charged_bits(len(message), alice.message_bytes) <= budget
    assert alice.message_bytes in (None, len(message))
    bob.restore(message)
    asked = stream(3, 9)
    outputs = bob.next_outputs(*asked)
    assert outputs.shape == (3, 2, 2, 8)
    assert np.array_equal(outputs, alice.next_outputs(*asked))
    assert np.allclose(outputs, Compressor.next_outputs(bob, *asked), atol=1e-5)
    expected = Compressor.block_outputs(bob, *asked)
    assert np.allclose(bob.block_outputs(*asked), expected, atol=1e-5)
    assert alice.save() == message
    with pytest.raises(PluginFailure, match="is not one of"):
        cls(SHAPE, budget).restore(message + b"0")
    alice.append(*(part[0] for part in asked))
    with pytest.raises(PluginFailure, match="later cannot be saved"):
        alice.save()


@pytest.mark.parametrize("cls", CLASSES)
def test_room_for_all_is_exact_attention(cls) -> None:
    params = {MiniCache: {"retained": 64}, FastGen: {"recovery": 1.0}}.get(cls, {})
    one = cls(SHAPE, None if params else 2 * SHAPE.cache_bits_16, **params)
    Q, K, V = stream()
    one.extend(Q, K, V)
    q = stream(1, 5)[0][0]
    assert np.allclose(one.attend(q), oracle(q, K, V), atol=2e-3)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_shorter_prompt_than_announced(cls) -> None:
    one = cls(SHAPE, SHAPE.cache_bits_16)
    Q, K, V = stream(5)
    one.extend(Q, K, V)
    q = stream(1, 5)[0][0]
    twin = cls(SHAPE, SHAPE.cache_bits_16)
    twin.restore(one.save())
    if cls is not MiniCache:
        assert np.allclose(twin.attend(q), oracle(q, K, V), atol=2e-3)
    assert np.isfinite(twin.attend(q)).all()


@pytest.mark.parametrize("cls", CLASSES)
def test_the_least_budget_works_and_bad_numbers_are_refused(cls) -> None:
    with pytest.raises(BudgetTooSmall) as refused:
        cls(SHAPE, 8)
    one = cls(SHAPE, refused.value.minimum_bits)
    one.extend(*stream())
    assert charged_bits(len(one.save()), one.message_bytes) <= refused.value.minimum_bits
    with pytest.raises(BadInput, match="not finite"):
        cls(SHAPE).extend(*(part * np.float32(np.nan) for part in stream()))


def test_causal_weights_are_softmax_of_what_came() -> None:
    Q, K, _ = (part[:, 0, 0] for part in stream(6))
    found = causal_weights(Q, K, 2)
    for r, t in enumerate(range(2, 6)):
        w = np.exp(K[: t + 1].astype(float) @ Q[t])
        assert np.allclose(found[r, : t + 1], w / w.sum(), atol=1e-6)
        assert not found[r, t + 1 :].any()


def line(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)[:, None, None, None]


def test_snapkvs_vote_by_hand() -> None:
    # Seven tokens, capacity 4, window 2. Keys of the first five: 0, ln 4, 0, 0, ln 2; the last two
    # queries are 1 and 0 and their own keys 0. Query 5 (six tokens): weights 1, 4, 1, 1, 2, 1 over
    # 10; query 6: all 1/7. Sums 1, 4, 1, 1, 2 over 10, plus 1/7 each.
    K = line(0, np.log(4), 0, 0, np.log(2), 0, 0)
    Q = line(0, 0, 0, 0, 0, 1, 0)
    V = line(*range(7))
    shape = Shape(tokens=7, d_k=1, d_v=1)

    def kept(**params) -> list[float]:
        one = SnapKV(shape, capacity=4, window=2, **params)
        one.extend(Q, K, V)
        return one._rows(one.save())[0].V.ravel().tolist()

    assert kept(kernel=1) == [1, 4, 5, 6]
    # Averages of three (zeros outside): 0 has 5/10, 1 has 6, 2 has 6, 3 has 4, 4 has 3.
    assert kept(kernel=3) == [1, 2, 5, 6]
    # Maxima of three: 4, 4, 4, 2, 2; of equal ones the older.
    assert kept(kernel=3, pooling="max") == [0, 1, 5, 6]


def test_pooling_is_that_of_zeros_outside() -> None:
    votes = np.array([1.0, 2.0, 6.0, 0.0])
    assert pool(votes, 3, "avg").tolist() == pytest.approx([1, 3, 8 / 3, 2])
    assert pool(votes, 3, "max").tolist() == [2, 6, 6, 6]


@pytest.mark.parametrize(("cls", "params"), [(SnapKV, {}), (PyramidKV, {"beta": 4, "kernel": 1})])
def test_the_vote_finds_what_the_last_queries_attend_to(cls, params) -> None:
    Q, K, V = stream()
    K[10] *= 4
    Q[-8:] = 0.5 * K[10]
    for capacity in (16, 63):
        one = cls(SHAPE, capacity=capacity, window=8, **params)
        one.extend(Q, K, V)
        for (l, h), rows in zip(one.heads, one._rows(one.save()), strict=True):
            assert (K[10, l, h].astype(np.float16) == rows.K).all(axis=1).any()


def test_snapkv_answers_what_its_last_queries_asked_and_else_not() -> None:
    # One token of 64 is asked for at the end of the prompt, and again afterwards.
    one_head = Shape(tokens=64, d_k=16, d_v=8)
    Q, K, V = stream(shape=one_head)
    K[10] *= 16 / np.linalg.norm(K[10])
    asked = 2 * K[10:11]
    errors = []
    for last in (asked, 0 * asked):
        Q[-8:] = last
        one = SnapKV(one_head, capacity=16, window=8, kernel=1)
        one.extend(Q, K, V)
        errors.append(np.abs(one.attend(asked[0]) - oracle(asked[0], K, V)).max())
    window = SlidingWindow(one_head, window=16)
    window.extend(*(part[:, 0, 0] for part in (Q, K, V)))
    errors.append(np.abs(window.attend(asked[0, 0, 0]) - oracle(asked[0], K, V)[0, 0]).max())
    assert errors[0] < 1e-3
    # With kernel 1 and zero queries the oldest stay: token 10 is not among the first 8.
    assert min(errors[1:]) > 0.3


def test_the_pyramids_steps_by_hand() -> None:
    # c = 104, w = 8, beta = 20, four layers: the last has 96 // 20 = 4 voted tokens, the first
    # 2 * 96 - 4 = 188, steps of 184/3 between: 188, 126, 65, 4 and the one rounding left over.
    shape = Shape(tokens=1000, d_k=4, d_v=4, layers=4)
    one = PyramidKV(shape, capacity=104, window=8)
    assert one.capacities() == [8 + 189, 8 + 126, 8 + 65, 8 + 4]
    assert sum(one.capacities()) == 4 * 104
    # A prompt of 150 tokens cuts the first layer at 142 voted ones, and the last gets the rest.
    short = PyramidKV(Shape(tokens=150, d_k=4, d_v=4, layers=4), capacity=104, window=8)
    assert short.capacities()[0] == 150
    assert sum(short.capacities()) == 4 * 104
    assert PyramidKV(Shape(tokens=1000, d_k=4, d_v=4), capacity=104).capacities() == [104]


def test_fastgens_heads_choose_by_their_maps() -> None:
    # Head 0 looks at the first token, head 1 at the newest tokens, head 2 at one old one, head 3
    # nowhere in particular.
    n, shape = 60, Shape(tokens=60, d_k=60, d_v=2, layers=1, heads=4, kv_heads=4)
    K = np.zeros((n, 1, 4, 60), np.float32)
    K[np.arange(n), :, :, np.arange(n)] = 1
    Q = np.zeros_like(K)
    Q[:, 0, 0, 0] = 20
    Q[np.arange(n), 0, 1, np.arange(n)] = 20
    Q[20:, 0, 2, 20] = 20
    V = np.zeros((n, 1, 4, 2), np.float32)
    one = FastGen(shape, recovery=0.95)
    one.extend(Q, K, V)
    counts = [len(rows.K) for rows in one._rows(one.save())]
    # special; special and frequent and local (the frequent ones of a diagonal map are the oldest);
    # frequent is not enough for queries before token 20, but they spread over few tokens; full.
    assert counts[0] == 1
    assert counts[3] == n
    assert counts[0] < counts[1] < n
    assert counts[2] < n
    kept = one._rows(one.save())[2].K
    assert (kept[:, 20] == 1).any()


def test_fastgen_fills_its_budget_whatever_it_recovers() -> None:
    for share in (0.08, 0.25, 0.5, 1.0):
        one = FastGen(SHAPE, int(share * SHAPE.cache_bits_16))
        one.extend(*(0 * stream()[0], *stream()[1:]))
        # Full within a row a head and what the length costs.
        spare = int(share * SHAPE.cache_bits_16) - charged_bits(len(one.save()))
        assert 0 <= spare < 8 * (4 * 48 + 4 * 4 + 8)


def test_fastgens_frequent_tokens_are_not_the_local_ones() -> None:
    # All attention goes to the last eight tokens: they are local, and the frequent ones are
    # others, so that the policy has as many tokens as it may.
    K = line(*[0.0] * 32, *[9.0] * 8)
    ladder = policies(0 * K[:, 0, 0] + 1, K[:, 0, 0], 1, 8, 8)
    assert [len(at) for at, _ in ladder] == [1, 9, 17, 40]


def test_fastgens_recovery_is_a_knob() -> None:
    sizes = []
    for recovery in (0.1, 0.5, 0.9, 0.999):
        one = FastGen(SHAPE, recovery=recovery)
        one.extend(*stream())
        sizes.append(len(one.save()))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_razors_compensation_token_is_exact_for_equal_keys() -> None:
    # N dropped tokens of one key: their sum of weights is N e^s and their mean value is what
    # softmax gives them, so mean key, mean value and N are no approximation.
    shape = Shape(tokens=40, d_k=4, d_v=3)
    rng = np.random.default_rng(1)
    K = np.repeat(rng.standard_normal((1, 1, 1, 4)), 40, axis=0).astype(np.float16)
    K = K.astype(np.float32)
    V = rng.standard_normal((40, 1, 1, 3)).astype(np.float32)
    one = RazorAttention(shape, retrieval=0, window=5)
    one.extend(np.zeros_like(K), K, V)
    assert len(one._rows(one.save())[0].K) == 4 + 5 + 1
    assert one._rows(one.save())[0].times == 31
    q = rng.standard_normal((1, 1, 4)).astype(np.float32)
    assert np.allclose(one.attend(q), oracle(q, K, V), atol=2e-3)
    # Counted once it would be far off.
    rows = one._rows(one.save())[0]
    once = attention(q[0, 0], rows.K.astype(float), rows.V.astype(float))
    assert np.abs(once - oracle(q, K, V)[0, 0]).max() > 0.05


def test_razors_retrieval_heads_are_those_that_look_far() -> None:
    Q, K, V = stream()
    Q[:] = 0
    Q[32:, 1, 0] = 8 * K[20, 1, 0] / np.linalg.norm(K[20, 1, 0])
    one = RazorAttention(SHAPE, retrieval=0.25, window=8)
    one.extend(Q, K, V)
    assert [len(rows.K) for rows in one._rows(one.save())] == [13, 13, 64, 13]


def test_what_parameters_are_refused() -> None:
    for cls, params in (
        (SnapKV, {"kernel": 4}), (SnapKV, {"pooling": "sum"}), (SnapKV, {"capacity": 0}),
        (FastGen, {"recovery": 1.5}), (RazorAttention, {"retrieval": -1}), (MiniCache, {"t": 2}),
    ):  # fmt: skip
        with pytest.raises(BadInput):
            cls(SHAPE, **params)
