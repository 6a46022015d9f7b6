"""The float32 look at all keys: its bounds, and that the tight scale is the float64 one."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from kvbarrier.errors import NoScale
from kvbarrier.reductions import half_gram, interference, keys, scale
from kvbarrier.reductions.half_gram import interference_bounds, most
from kvbarrier.reductions.keys import KeySet
from kvbarrier.reductions.margins import condition

NAIVE = Path(__file__).parents[1] / "naive" / "tight_scale.py"
naive = SimpleNamespace(**runpy.run_path(str(NAIVE)))


@pytest.mark.parametrize(
    ("name", "n", "d", "C"),
    [
        ("jl", 700, 64, 8.0), ("jl", 513, 8, 40.0), ("jl", 512, 300, 9.0), ("jl", 2, 5, 1.0),
        ("jl-raw", 600, 64, 20.0), ("jl-raw", 600, 16, 90.0), ("circle", 90, 2, 3000.0),
    ],
)  # fmt: skip
def test_the_bounds_hold_for_keys_and_for_the_queries_sent(name, n, d, C):
    rows = keys.make(name, n, d, seed=4).rows
    found = interference_bounds(rows, C)
    assert found is not None
    low, high = found
    exact = rows.astype(np.float64)
    sent = (C * exact).astype(np.float32).astype(np.float64)
    for met in (
        naive.interference(exact, C),
        interference.query_interference(sent, np.arange(n), exact),
    ):
        assert (low <= met).all()
        assert (met <= high).all()
    # And they are no wider than they say.
    norms = np.square(exact).sum(axis=1)
    x = (d + 6) * 2.0**-24 * C * norms.max() + 1e-4
    vanished = n * 2.0**-126 * np.exp(C * (norms.max() - norms))
    assert (high <= low * np.exp(2.001 * x) + 1.001 * vanished).all()


def test_weights_below_float32_are_in_the_upper_bound():
    # At C = 300 the short key's weights are e^-300 of the long one's, which float32 does not have.
    rows = np.float32([[1.0, 0.0], [0.0, 0.1], [0.05, 0.1]])
    low, high = interference_bounds(rows, 300.0)
    met = naive.interference(rows.astype(np.float64), 300.0)
    assert (low <= met).all()
    assert (met <= high).all()
    assert low[1] == 0.0 < met[1]


@pytest.mark.parametrize("rows", [1e6 * np.eye(3), np.diag([1.0, 30.0, 1.0])])
def test_loose_bounds_are_not_given(rows):
    assert interference_bounds(rows.astype(np.float32), 1.0) is None


def test_most_holds_every_key_that_may_be_among_them():
    rng = np.random.default_rng(0)
    for _ in range(200):
        low = np.round(rng.random(30), 1)
        high = low + 0.1 * rng.integers(0, 3, 30)
        at = set(most(low, high, 5).tolist())
        values = low + (high - low) * rng.integers(0, 2, 30)
        assert at >= set(np.argsort(values, kind="stable")[-5:].tolist())
    assert most(low, high, 31).tolist() == list(range(30))


@pytest.fixture
def passes(monkeypatch):
    """The rows that float64 looks at, with float32 asked first from 64 keys on."""
    made, plain = [], interference.query_interference

    def counted(queries, own, rows):
        made.append(len(queries))
        return plain(queries, own, rows)

    for module in (interference, scale):
        monkeypatch.setattr(module, "query_interference", counted)
    monkeypatch.setattr(interference, "_MANY", 64)
    return made


RULES = [("01", 0.5, None), ("pm1", 0.2, None), ("01", None, 0.1), ("pm1", None, 0.4)]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("name", "n", "d"),
    [("jl", 700, 32), ("jl", 300, 16), ("jl-raw", 200, 128), ("greedy", 200, 8), ("sphere", 90, 3),
     ("circle", 64, 2)],
)  # fmt: skip
def test_the_tight_scale_is_the_float64_one_bit_for_bit(passes, name, n, d, rule):
    made, rule = keys.make(name, n, d, seed=1), condition(*rule)
    found = interference.tight_scale(made, rule.bound, rule.zero_token)
    want = naive.tight_scale(made, rule.bound, rule.zero_token, interference._root)
    assert found == want
    if name.startswith("jl"):
        assert max(passes) < n / 4  # float64 saw few of them; on a circle all are alike


def test_choosing_a_scale_looks_at_few_keys_in_float64(passes):
    made, rule = keys.make("jl", 700, 32, seed=1), condition("01", 0.5, None)
    found = scale.choose_scale(made, rule, "tight")
    assert max(passes) < 100
    # The key that is named where a scale is too small is the worst of all.
    demand = rule.demand(*scale.sent_interference(made, 0.9 * found, np.arange(700)))
    with pytest.raises(NoScale, match=rf"key {demand.argmax()} .*{demand.max():.6g} is not below"):
        scale.choose_scale(made, rule, 0.9 * found)


@pytest.mark.parametrize("where", [(3, 90), (150, 151)])
def test_equal_and_dominated_keys_are_named_all_the_same(passes, where):
    rows = keys.make("jl", 200, 32, seed=1).rows.copy()
    i, l = where
    rows[l] = rows[i]
    with pytest.raises(NoScale, match=f"Keys {i} and {l} of mine .* are equal"):
        interference.tight_scale(KeySet("mine", 32, 0, rows), 1 / 3)
    rows[l] = 1.5 * rows[i]
    with pytest.raises(NoScale, match=f"Key {i} of mine .* is dominated by key {l}"):
        interference.tight_scale(KeySet("mine", 32, 0, rows), 1 / 3)


def test_blocks_do_not_show(monkeypatch):
    rows = keys.make("jl", 300, 16, seed=2).rows
    whole = interference_bounds(rows, 9.0)
    monkeypatch.setattr(half_gram, "_TILE", 7)
    for one, other in zip(whole, interference_bounds(rows, 9.0), strict=True):
        assert np.allclose(one, other, rtol=1e-5)
