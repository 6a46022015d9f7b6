from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline import reservoir
from kvbarrier.compressors.zoo.baseline.reservoir import Reservoir, draws
from kvbarrier.errors import BadInput, BudgetTooSmall
from kvbarrier.reductions.attention import attention
from scipy import stats

naive = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "naive" / "ingest.py")))


def test_the_finaliser_is_splitmix64():
    # The published outputs of SplitMix64 from state 1234567: finish(state + i gamma), i = 1, 2, ..
    state = np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * np.uint64(reservoir._GAMMA)
    assert reservoir._finish(state).tolist() == [
        6457827717110365317, 3203168211198807973, 9817491932198370423,
        4593380528125082431, 16408922859458223821,
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**63 - 1])
def test_draws_match_python_integers(seed):
    want = [naive.draw(seed, t) for t in range(50, 300)]
    assert draws(seed, 50, 250).tolist() == want
    assert draws(seed, 2**31 - 5, 4).tolist() == [
        naive.draw(seed, t) for t in range(2**31 - 5, 2**31 - 1)
    ]
    with pytest.raises(BadInput, match="split the stream"):
        draws(seed, 2**31, 1)


def test_draws_are_uniform():
    # 7000 seeds, step t = 6: seven equally likely numbers. p-value of chi^2, fixed seeds.
    counts = np.bincount([draws(seed, 6, 1)[0] for seed in range(7000)], minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts).pvalue > 1e-3
    # One seed, many steps: t-th draw over t + 1 is uniform in [0, 1).
    u = (draws(5, 1000, 50_000) + 0.5) / np.arange(1001, 51_001)
    assert stats.kstest(u, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("m", [1, 4, 30])
def test_it_keeps_what_algorithm_r_keeps(seed, m):
    K = np.arange(60, dtype=np.float32)[:, None]
    one = Reservoir(Shape(60, 1, 1), seed=seed, size=m, dtype="fp32")
    one.extend(K, K, K)
    assert one.kept()[0].ravel().tolist() == naive.reservoir(60, m, seed)


def test_every_token_is_kept_equally_often():
    # Pr[token kept] = m / n = 1/4 for each of 24 tokens; 8000 seeds, sets of 6.
    K = np.arange(24, dtype=np.float32)[:, None]
    counts = np.zeros(24)
    for seed in range(8000):
        counts[naive.reservoir(24, 6, seed)] += 1
    # Counts of one seed sum to 6, so the statistic is chi^2_23 times (1 - m/n) n/(n-1).
    statistic = ((counts - 2000) ** 2 / 2000).sum() / ((1 - 6 / 24) * 24 / 23)
    assert 1e-3 < stats.chi2.sf(statistic, 23) < 1 - 1e-3
    one = Reservoir(Shape(24, 1, 1), seed=77, size=6, dtype="fp32")
    one.extend(K, K, K)
    assert one.kept()[0].ravel().tolist() == naive.reservoir(24, 6, 77)


def test_bobs_token_enters_as_the_coins_say():
    rng = np.random.default_rng(0)
    Q, K, V = (rng.standard_normal((33, d)).astype(np.float32) for d in (6, 6, 5))
    seen = set()
    for seed in range(40):
        one = Reservoir(Shape(32, 6, 5), seed=seed, size=20, dtype="fp32")
        one.extend(Q[:32], K[:32], V[:32])
        kept = naive.reservoir(33, 20, seed)
        seen.add(32 in kept)
        got = one.next_outputs(Q[32:], K[32:], V[32:])[0]
        assert got == pytest.approx(attention(Q[32], K[kept], V[kept]), abs=2e-6)
    assert seen == {True, False}


def test_the_counter_is_part_of_the_message():
    shape = Shape(40, 6, 5)
    one = Reservoir(shape, 64 + 10 * 16 * 11)
    assert one.slots == 10
    assert one.message_bytes == 8 + 10 * 22
    rows = np.zeros((33, 6), np.float32)
    one.extend(rows, rows, np.zeros((33, 5), np.float32))
    assert int.from_bytes(one.save()[:8], "little") == 33
    assert Reservoir(shape, 64 + 10 * 16 * 11 - 1).slots == 9
    assert Reservoir(shape).slots == 41
    with pytest.raises(BudgetTooSmall) as caught:
        Reservoir(shape, 16 * 11)
    assert caught.value.minimum_bits == 64 + 16 * 11
    with pytest.raises(BadInput, match="size"):
        Reservoir(shape, size=0)
