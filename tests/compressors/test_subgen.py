"""SubGen against its pseudo-code in plain NumPy, its contract, and unbiasedness."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape, charged_bits
from kvbarrier.compressors.zoo.paper import subgen
from kvbarrier.compressors.zoo.paper.subgen import SubGen
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure
from kvbarrier.reductions.attention import attention

MASK = (1 << 64) - 1


def stream(n: int, d: int = 3, seed: int = 0, blobs: int = 5) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    K = rng.normal(size=(blobs, d))[rng.integers(blobs, size=n)] + 0.1 * rng.normal(size=(n, d))
    V = rng.normal(size=(n, d + 1))
    V[::7] = 0
    return np.zeros_like(K, dtype=np.float32), K.astype(np.float32), V.astype(np.float32)


def splitmix(start: int, address: int) -> int:
    z = (start + (address + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def naive(K: np.ndarray, V: np.ndarray, delta: float, t: int, s: int, seed: int, most: int):
    """SubGen's pseudo-code (Zandieh et al. 2024), word for word, with the same coins."""
    start, mu = splitmix(0, seed), 0.0
    centres, samples, counts, pairs = [], [], [], [None] * s
    for i, (k, v) in enumerate(zip(K, V, strict=True)):
        gaps = [float(((k.astype(float) - c) ** 2).sum()) for c in centres]
        near = int(np.argmin(gaps)) if gaps else -1
        if near < 0 or (gaps[near] > delta**2 and len(centres) < most):
            centres.append(k.astype(float))
            samples.append([k] * t)
            counts.append(1)
        else:
            counts[near] += 1
            for j in range(t):
                if (splitmix(start, i * (t + s) + j) >> 32) * counts[near] >> 32 == 0:
                    samples[near][j] = k
        weight = float((v.astype(float) ** 2).sum())
        mu += weight
        for j in range(s):
            coin = (splitmix(start, i * (t + s) + t + j) >> 11) * 2.0**-53
            if weight > 0 and coin * mu < weight:
                pairs[j] = (k, v)
    return mu, counts, np.array(centres), np.array(samples), pairs


def naive_answer(q: np.ndarray, state, t: int, s: int) -> np.ndarray:
    mu, counts, _, samples, pairs = state
    q = q.astype(float)
    z = sum(mu / (s * (v.astype(float) ** 2).sum()) * np.exp(k @ q) * v.astype(float)
            for k, v in pairs)  # fmt: skip
    tau = sum(n / t * np.exp(S.astype(float) @ q).sum()
              for n, S in zip(counts, samples, strict=True))  # fmt: skip
    return z / tau


@pytest.mark.parametrize("most", [1000, 3])
def test_the_kernel_is_the_pseudo_code(most: int) -> None:
    Q, K, V = stream(120)
    machine = SubGen(Shape(120, 3, 4), seed=9, delta=0.4, t=4, s=6)
    machine.most = most
    machine.extend(Q, K, V)
    state = naive(K, V, 0.4, 4, 6, 9, most)
    mu, counts, centres, samples, pairs = state
    assert machine.m == len(counts) <= most
    assert machine.counts[: machine.m].tolist() == counts
    assert machine.mu[0] == pytest.approx(mu, rel=1e-14)
    np.testing.assert_array_equal(machine.centres[: machine.m], centres)
    np.testing.assert_array_equal(machine.samples[: machine.m], samples)
    np.testing.assert_array_equal(machine.slot_k, [k for k, _ in pairs])
    np.testing.assert_array_equal(machine.slot_v, [v for _, v in pairs])
    q = np.array([0.5, -1.0, 2.0], dtype=np.float32)
    np.testing.assert_allclose(machine.attend(q), naive_answer(q, state, 4, 6), rtol=1e-5)


def test_the_kernel_is_the_same_without_the_jit(monkeypatch: pytest.MonkeyPatch) -> None:
    Q, K, V = stream(40, seed=2)
    compiled, plain = (SubGen(Shape(40, 3, 4), seed=5, delta=0.3, t=3, s=2) for _ in range(2))
    compiled.extend(Q, K, V)
    monkeypatch.setattr(subgen, "insert", subgen.insert.py_func)
    with np.errstate(over="ignore"):
        plain.extend(Q, K, V)
    assert plain.save() == compiled.save()


def test_append_extend_and_a_cut_stream_are_one() -> None:
    Q, K, V = stream(90)
    whole, single, first = (SubGen(Shape(90, 3, 4), seed=1, t=5, s=3) for _ in range(3))
    whole.extend(Q, K, V)
    for q, k, v in zip(Q, K, V, strict=True):
        single.append(q, k, v)
    first.extend(Q[:37], K[:37], V[:37])
    second = first.fresh()
    second.restore(first.save())
    second.extend(Q[37:], K[37:], V[37:])
    assert whole.save() == single.save() == second.save()
    assert second.seen == 90
    other = SubGen(Shape(90, 3, 4), seed=2, t=5, s=3)
    other.extend(Q, K, V)
    assert other.save() != whole.save()


def test_the_message_is_what_the_class_says() -> None:
    Q, K, V = stream(60)
    machine = SubGen(Shape(60, 3, 4), delta=0.4, t=5, s=3)
    machine.extend(Q, K, V)
    several = int((machine.counts[: machine.m] > 1).sum())
    assert several > 0
    assert len(machine.save()) == 12 + 4 * (3 * 7 + machine.m * (1 + 3) + several * 5 * 3)
    empty = machine.fresh()
    empty.restore(empty.save())
    with pytest.raises(BadInput, match="append a token first"):
        empty.attend(np.zeros(3, dtype=np.float32))
    for message in (machine.save()[:-4], machine.save() + b"0000", b""):
        with pytest.raises(PluginFailure, match="same public parameters"):
            machine.fresh().restore(message)


def test_numerator_and_denominator_are_unbiased() -> None:
    """E z = sum e^{<q,k>} v and E tau = sum e^{<q,k>}, over seeds; 5 standard errors."""
    _, K, V = stream(50, seed=4)
    q = np.array([0.3, 0.4, -0.2])
    t, s, seeds = 2, 2, range(400)
    weights = np.exp(K.astype(float) @ q)
    z, tau = [], []
    for seed in seeds:
        one = SubGen(Shape(50, 3, 4), seed=seed, delta=1.0, t=t, s=s)
        one.extend(K, K, V)
        m = one.m
        tau.append(float(one.counts[:m] @ np.exp(one.samples[:m].astype(float) @ q).mean(axis=1)))
        squares = (one.slot_v.astype(float) ** 2).sum(axis=1)
        pull = np.exp(one.slot_k.astype(float) @ q) / squares
        z.append(one.mu[0] / s * pull @ one.slot_v.astype(float))
    for found, exact in ((np.array(tau)[:, None], [weights.sum()]), (np.array(z), weights @ V)):
        error = found.mean(axis=0) - exact
        assert (np.abs(error) <= 5 * found.std(axis=0) / np.sqrt(len(found))).all()


def test_one_cluster_and_equal_values_are_answered_exactly() -> None:
    """delta = 0 and many slots: every key its own cluster, tau exact; equal v: z/tau near v."""
    K = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    V = np.ones((20, 2), dtype=np.float32)
    machine = SubGen(Shape(20, 4, 2), delta=0.0, t=1, s=1)
    machine.extend(K, K, V)
    assert machine.m == 20
    q = np.zeros(4, dtype=np.float32)  # all scores equal: every draw is exact
    np.testing.assert_allclose(machine.attend(q), attention(q, K, V), rtol=1e-6)
    machine = SubGen(Shape(20, 4, 2))
    machine.extend(K, K, 0 * V)
    assert machine.attend(q).tolist() == [0.0, 0.0]


def test_scores_of_thousands_stay_finite_and_in_the_ball_of_values() -> None:
    K = np.random.default_rng(3).normal(size=(300, 4)).astype(np.float32)
    V = np.random.default_rng(4).normal(size=(300, 2)).astype(np.float32)
    machine = SubGen(Shape(300, 4, 2), delta=1.5, t=1, s=40)
    machine.extend(K, K, V)
    for seed in range(20):
        q = 2000 * np.random.default_rng(seed).normal(size=4).astype(np.float32)
        answer = machine.attend(q)
        assert np.isfinite(answer).all()
        assert np.linalg.norm(answer) <= np.linalg.norm(V) * (1 + 1e-6)


def test_theorem_11_sets_t_and_s() -> None:
    machine = SubGen(Shape(1000, 8, 8), eps=0.5, r=1.0, delta=0.5, constant=1.0)
    assert (machine.t, machine.s) == (76, 32)
    assert SubGen(Shape(1000, 8, 8), eps=0.5, r=1.0).s == 128
    for params, words in (
        ({"eps": 0.5}, "eps and r together"),
        ({"eps": 0.5, "r": 1.0, "t": 3}, "or else t and s"),
        ({"eps": 3.0, "r": 1.0}, "0 < eps <= 1"),
        ({"eps": 0.5, "r": 1.0, "constant": 0.0}, "constant before t and s"),
        ({"delta": -1.0}, "number >= 0, not -1"),
        ({"t": 0}, "t must be a whole number from 1"),
        ({"s": 1.5}, "s must be a whole number from 1"),
    ):
        with pytest.raises(BadInput, match=words):
            SubGen(Shape(1000, 8, 8), **params)


def test_a_budget_is_kept_by_joining_the_nearest() -> None:
    rng = np.random.default_rng(1)
    K = rng.normal(size=(400, 6)).astype(np.float32)
    for budget in (8_000, 8_001, 20_000):
        machine = SubGen(Shape(400, 6, 6), budget, t=2, delta=0.1)
        machine.extend(K, K, K)
        assert machine.m == machine.most < 400
        machine.extend(K, K, K)  # every cluster has two keys or more: the longest message
        assert charged_bits(len(machine.save())) <= budget
    with pytest.raises(BudgetTooSmall) as caught:
        SubGen(Shape(400, 6, 6), 500)
    least = caught.value.minimum_bits
    with pytest.raises(BudgetTooSmall):
        SubGen(Shape(400, 6, 6), least - 1, s=1)
    assert SubGen(Shape(400, 6, 6), least, s=1).most == 1


def test_numbers_that_are_not_finite_are_refused() -> None:
    machine = SubGen(Shape(4, 2, 2))
    with pytest.raises(BadInput, match="not finite"):
        machine.append(np.zeros(2), np.array([np.nan, 0]), np.zeros(2))


@pytest.mark.parametrize("jit", [True, False])
def test_distances_are_sums_in_order_of_coordinate(jit: bool) -> None:
    rng = np.random.default_rng(3)
    centres = np.asfortranarray(rng.standard_normal((9, 5)), dtype=np.float32)
    centres[6] = centres[2]
    nearest_of = subgen.nearest_of if jit else subgen.nearest_of.py_func
    for key in (centres[2], *rng.standard_normal((20, 5)).astype(np.float32)):
        wanted = []
        for centre in centres[:8].tolist():
            total = 0.0
            for x, y in zip(key.tolist(), centre, strict=True):
                total += (x - y) * (x - y)
            wanted.append(total)
        least = min(wanted)
        assert nearest_of(key, centres, 8, np.empty(9)) == (wanted.index(least), least)
    assert nearest_of(key, centres, 0, np.empty(9)) == (-1, np.inf)
