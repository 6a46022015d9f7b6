"""One dimension: kernels against plain sets, exact draws from the message, expected space."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape, charged_bits
from kvbarrier.compressors.zoo.paper import one_dimension_kernels as kernels
from kvbarrier.compressors.zoo.paper.one_dimension import OneDimension
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure
from kvbarrier.reductions.attention import attention
from scipy import stats

QUERIES = (-9.0, -1.0, -0.1, 0.0, 0.1, 1.0, 9.0)


def extremes(keys, held, k):
    upper = sorted(held, key=lambda t: (-keys[t], t))[:k]
    lower = sorted(held, key=lambda t: (keys[t], t))[:k]
    return upper, lower


@pytest.fixture
def plain(monkeypatch):
    """The kernels without the JIT: a name -> Python function, calling one another so."""

    def ran(name, *args):
        with monkeypatch.context() as patch, np.errstate(over="ignore"):
            for other, one in list(vars(kernels).items()):
                if hasattr(one, "py_func"):
                    patch.setattr(kernels, other, one.py_func)
            return getattr(kernels, name)(*args)

    return ran


def naive_top(keys, ranks, k):
    """The rule in sets; ranks[s][t]. The upper set is brought up to date before the lower one."""
    held = []
    for t in range(len(keys)):
        before = extremes(keys, held, k)
        now = extremes(keys, [*held, t], k)
        inside = {*now[0], *now[1]}
        above = lambda t, sides: any(  # noqa: E731
            r[t] > max(r[i] for i in side) for r in ranks for side in sides
        )
        # Whom the upper set lets go is looked at before the lower set moves.
        gone = {i for i in before[0] if i not in now[0] and i not in before[1]}
        lost = {i for i in gone if not above(i, (now[0], before[1] or now[1]))}
        held = [i for i in [*held, t] if i in inside or (above(i, now) and i not in lost)]
    return sorted(held)


def naive_frontier(keys, ranks):
    n = len(keys)

    def unbeaten(t, sign, r):
        return not any(
            i != t and sign * keys[i] >= sign * keys[t] and r[i] >= r[t] for i in range(n)
        )

    return [t for t in range(n) if any(unbeaten(t, s, r) for s in (1, -1) for r in ranks)]


def stream(order, n, d_v=2, seed=0):
    rng = np.random.default_rng(seed)
    K = rng.standard_normal(n).astype(np.float32)
    if order == "ties":
        K = rng.integers(0, 5, n).astype(np.float32)
    elif order != "random":
        K = np.sort(K)[:: 1 if order == "increasing" else -1].copy()
    return K[:, None], rng.random((n, d_v), dtype=np.float32)


ORDERS = ("random", "increasing", "decreasing", "ties")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("copies", "k"), [(1, 1), (1, 4), (3, 2), (2, 40)])
def test_the_kernels_are_the_plain_sets(order, copies, k, plain):
    K, _ = stream(order, 60)
    keys = K[:, 0]
    none = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    coins = plain("starts", np.uint64(3), copies)
    assert coins.tolist() == kernels.starts(np.uint64(3), copies).tolist()
    ranks = [[int(kernels.rank(start, t)) for t in range(60)] for start in coins]
    top, front = naive_top(keys.tolist(), ranks, k), naive_frontier(keys.tolist(), ranks)
    assert sorted(kernels.keep_top(*none, keys, 0, coins, k).tolist()) == top
    assert sorted(set(kernels.keep_frontier(*none, keys, 0, coins).tolist())) == front
    assert sorted(plain("keep_top", *none, keys, 0, coins, k).tolist()) == top
    assert sorted(set(plain("keep_frontier", *none, keys, 0, coins).tolist())) == front


def test_rooms_grow():
    # Sixty copies on few tokens: the rest outgrows its array; a staircase outgrows 64 steps.
    K, V = stream("random", 400, 1)
    one = OneDimension(Shape(400, 1, 1), copies=60)
    one.extend(K, K, V)
    assert len(one.index) > 300
    coins = kernels.starts(np.uint64(1), 1)
    G = kernels.gumbels(coins[0], np.arange(300))
    by_rank = np.empty(300, dtype=np.float32)
    by_rank[np.argsort(G)] = np.arange(300, 0, -1)  # keys fall as the Gumbels rise: none is beaten
    none = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    assert len(set(kernels.keep_frontier(*none, by_rank, 0, coins).tolist())) == 300


def test_gumbels_are_gumbel_and_rise_with_the_rank(plain):
    start = kernels.starts(np.uint64(5), 2)[1]
    index = np.arange(20_000)
    G = kernels.gumbels(start, index)
    assert stats.kstest(G, "gumbel_r").pvalue > 1e-3
    ranks = np.array([int(kernels.rank(start, t)) for t in index], dtype=np.uint64)
    assert (np.diff(G[np.argsort(ranks)]) >= 0).all()
    assert plain("gumbels", start, index[:50]).tolist() == pytest.approx(G[:50].tolist(), 1e-14)


@pytest.mark.parametrize("keep", ["top", "frontier"])
@pytest.mark.parametrize("order", ORDERS)
def test_the_message_draws_what_all_tokens_draw(order, keep):
    for n, seed in ((1, 0), (3, 1), (50, 2), (700, 3)):
        K, V = stream(order, n, seed=seed)
        one = OneDimension(Shape(n, 1, 2), seed=seed, copies=4, keep=keep)
        one.extend(K, K, V)
        bob = one.fresh()
        bob.restore(one.save())
        G = [kernels.gumbels(s, np.arange(n)) for s in kernels.starts(np.uint64(seed), 4)]
        for q in QUERIES:
            scores = [q * K[:, 0].astype(np.float64) + g for g in G]
            assert bob.winners(q).tolist() == [int(np.argmax(x)) for x in scores]
            want = V[bob.winners(q)].mean(axis=0, dtype=np.float64)
            assert bob.attend(np.array([q], np.float32)).tolist() == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("keep", ["top", "frontier"])
@pytest.mark.parametrize("order", ORDERS)
def test_where_a_stream_is_cut_does_not_matter(order, keep):
    K, V = stream(order, 90)
    shape = Shape(60, 1, 2)  # it goes on beyond its horizon
    whole = OneDimension(shape, seed=4, copies=2, keep=keep)
    whole.extend(K, K, V)
    loop = whole.fresh()
    for k, v in zip(K, V, strict=True):
        loop.append(k, k, v)
    assert loop.save() == whole.save()
    for cut in (0, 1, 37, 89):
        first, second = whole.fresh(), whole.fresh()
        first.extend(K[:cut], K[:cut], V[:cut])
        second.restore(first.save())
        second.extend(K[cut:], K[cut:], V[cut:])
        assert second.save() == whole.save()
    message = whole.save()
    outputs = whole.block_outputs(K[:3], K[:2], V[:2])
    twin = whole.fresh()
    twin.restore(message)
    twin.extend(K[:2], K[:2], V[:2])
    assert outputs.tolist() == [twin.attend(q).tolist() for q in K[:3]]
    assert whole.save() == message


def test_the_mean_is_attention():
    # 300 seeds of 8 copies: four standard errors of the mean, in each coordinate.
    K, V = stream("random", 40)
    q = np.array([1.5], np.float32)
    answers = []
    for seed in range(300):
        one = OneDimension(Shape(40, 1, 2), seed=seed, copies=8)
        one.extend(K, K, V)
        answers.append(one.attend(q))
    exact = attention(q, K, V)
    error = np.std(answers, axis=0, ddof=1) / math.sqrt(300)
    assert (np.abs(np.mean(answers, axis=0) - exact) < 4 * error).all()


@pytest.mark.parametrize(("n", "k"), [(5, 2), (6, 2), (6, 1)])
def test_expected_tokens_over_all_orders_of_the_gumbels(n, k):
    # Every order of n Gumbels is equally likely. On falling keys nothing is dropped early on the
    # upper side; the final rule alone has exactly the mean of (1), and the streamed set at most.
    keys = list(range(n, 0, -1))
    final, streamed, front = Fraction(0), Fraction(0), Fraction(0)
    for ranks in itertools.permutations(range(n)):
        upper, lower = extremes(keys, range(n), k)
        above = [
            t for t in range(n)
            if t in upper or t in lower
            or ranks[t] > max(ranks[i] for i in upper) or ranks[t] > max(ranks[i] for i in lower)
        ]  # fmt: skip
        final += len(above)
        kept = naive_top(keys, [ranks], k)
        assert set(kept) <= set(above)
        streamed += len(kept)
        front += len(naive_frontier(keys, [ranks]))
    total = math.factorial(n)
    assert float(final / total) == pytest.approx(kernels.expected_top(n, k, 1), rel=1e-14)
    assert streamed <= final
    harmonic = sum(Fraction(1, i) for i in range(1, n + 1))
    assert front / total == 2 * harmonic - 1
    assert kernels.expected_frontier(n) == pytest.approx(float(front / total), rel=1e-14)


def test_expected_tokens_of_several_copies():
    K, V = stream("decreasing", 200, 1)
    counts = []
    for seed in range(400):
        one = OneDimension(Shape(200, 1, 1), seed=seed, copies=3)
        one.extend(K, K, V)
        counts.append(len(one.index))
    bound = kernels.expected_top(200, 14, 3)
    assert np.mean(counts) < bound + 4 * np.std(counts) / 20
    assert bound <= 2 * 14 + 2 * 3 * 200 / 14


def test_the_message_is_what_the_docstring_says():
    K, V = stream("random", 100, 3)
    one = OneDimension(Shape(100, 1, 3), seed=1)
    assert len(one.save()) == 8
    one.extend(K, K, V)
    assert len(one.save()) == 8 + len(one.index) * (4 + 4 + 3 * 4)
    with pytest.raises(PluginFailure, match="not one of one-dimension's"):
        one.fresh().restore(one.save()[:-1])


def test_bad_input():
    with pytest.raises(BadInput, match=r"hypothesis is d = 1, and these keys have d_k = 2: give"):
        OneDimension(Shape(4, 2, 2))
    with pytest.raises(BadInput, match="keep must be top or frontier, not 'best'"):
        OneDimension(Shape(4, 1, 1), keep="best")
    with pytest.raises(BadInput, match="copies must be a whole number from 1 on, not 0"):
        OneDimension(Shape(4, 1, 1), copies=0)
    one = OneDimension(Shape(4, 1, 1))
    row = np.ones((1, 1), np.float32)
    with pytest.raises(BadInput, match="no token to attend to"):
        one.attend(row[0])
    with pytest.raises(BadInput, match="not finite as float32"):
        one.extend(row, row * np.nan, row)
    one.extend(row, row, row)
    with pytest.raises(BadInput, match="query that is not finite"):
        one.attend(row[0] * np.inf)
    least = charged_bits(8 + 5 * 12)
    OneDimension(Shape(4, 1, 1), budget_bits=least)
    with pytest.raises(BudgetTooSmall, match=f"at least {least} bits"):
        OneDimension(Shape(4, 1, 1), budget_bits=least - 1)
