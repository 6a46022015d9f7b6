"""The Index reduction: exact margins at their edges, thresholds, the scale, and what is refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.errors import BadInput, NoScale
from kvbarrier.reductions import keys
from kvbarrier.reductions.index import IndexReduction
from kvbarrier.reductions.interference import coherence, max_deviation, tight_scale
from kvbarrier.reductions.keys import KeySet
from kvbarrier.reductions.margins import closed_scale, condition
from kvbarrier.reductions.paper import jl_dimension, paper_Delta, paper_delta, paper_scale

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "reductions.json").read_text())

RULES = {
    "M01": {"values": "01", "eta": 0.5},
    "M01-exact": {"values": "01", "eta": 0.0},
    "M01-loose": {"values": "01", "eta": 0.9},
    "M+-": {"values": "pm1", "eta": 0.9},
    "A01": {"values": "01", "eta": None, "gamma": 0.1},
    "A01-loose": {"values": "01", "eta": None, "gamma": 0.45},
    "A+-": {"values": "pm1", "eta": None, "gamma": 0.2},
    "A+--loose": {"values": "pm1", "eta": None, "gamma": 0.9},
}
SETS = {
    "jl": ("jl", 40, 12),
    "jl-raw": ("jl-raw", 20, 48),
    "hypercube": ("hypercube", 40, 8),
    "hypercube-full": ("hypercube", 32, 8),
    "kerdock": ("kerdock", 64, 16),
}


def attend(q: np.ndarray, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Softmax attention in float64 as the paper writes it, (1)-(2)."""
    score = K.astype(np.float64) @ q.astype(np.float64)
    weight = np.exp(score - score.max())
    return weight @ V.astype(np.float64) / weight.sum()


def extreme_answers(game: IndexReduction, i: int) -> list[tuple[int, float]]:
    """(bit, the answer nearest to the wrong side) over both bits, both extreme contexts and both
    signs of the largest error the guarantee allows; Bob's own token is in the cache."""
    answers = []
    q, k, v = (part[0] for part in game.queries([i]))
    assert not k.any()
    assert not v.any()
    for bit in (0, 1):
        for context in (0, 1):
            x = np.full((game.n, game.d_v), context, dtype=np.uint8)
            x[i] = bit
            _, K, V = game.stream(x)
            out = float(attend(q, np.vstack([K, k]), np.vstack([V, v]))[0])
            for sign in (-1, 1):
                if game.eta is not None:
                    answers.append((bit, out * (1 + sign * game.eta)))
                else:
                    answers.append((bit, out + sign * float(game.gamma or 0)))
    return answers


def wrong(game: IndexReduction, i: int, *, rounded: bool = False) -> int:
    """How many extreme answers fall on the wrong side of the threshold (float64 arithmetic)."""
    cut = float(game.thresholds([i])[0])
    if rounded:
        return sum(
            int(game.decode([[np.float32(out)]], [i])[0, 0]) != b
            for b, out in extreme_answers(game, i)
        )
    return sum((out > cut) != bool(bit) for bit, out in extreme_answers(game, i))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("which", SETS)
def test_margins_are_exact_on_both_sides(rule: str, which: str) -> None:
    """Just above the condition's threshold every extreme answer decodes, for every key; just below
    it, for the worst key, both moved extremes are on the wrong side."""
    made = keys.make(*SETS[which], seed=3)
    how = RULES[rule]
    c = condition(how["values"], how["eta"], how.get("gamma"))
    edge = tight_scale(made, c.bound, c.zero_token)
    inside = IndexReduction(made, 1, scale=edge * (1 + 1e-3), **how)
    assert inside.condition == c
    assert inside.demands().max() < 1
    assert [wrong(inside, i) for i in range(made.n)] == [0] * made.n
    outside = IndexReduction(made, 1, scale=edge * (1 - 1e-3), **how)
    worst = int(outside.demands().argmax())
    assert outside.demands()[worst] > 1
    assert wrong(outside, worst) >= 2


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("which", SETS)
@pytest.mark.parametrize("scale", ["tight", "closed"])
def test_the_built_scale_leaves_room_for_float32_answers(rule: str, which: str, scale: str) -> None:
    """At the very scale that build picks, extreme answers rounded to float32 decode right."""
    made = keys.make(*SETS[which], seed=3)
    game = IndexReduction.build(made, 1, scale=scale, **RULES[rule])
    assert [wrong(game, i, rounded=True) for i in range(0, made.n, 3)] == [0] * len(
        range(0, made.n, 3)
    )
    c = game.condition
    edge = tight_scale(made, c.bound, c.zero_token)
    if scale == "tight":
        assert edge < game.scale < edge * (1 + 1e-4)
    else:
        assert game.scale > edge


@pytest.mark.parametrize("rule", RULES)
def test_demand_and_threshold_are_the_formulas_of_theory_b(rule: str) -> None:
    """Theory B in exact form, S_i and D_i not divided by anything, unequal norms."""
    made = keys.make("jl-raw", 20, 48, seed=3)
    game = IndexReduction(made, 1, scale=3.0, **RULES[rule])
    Q = game.queries()[0].astype(np.float64)
    E = np.exp(Q @ made.rows.astype(np.float64).T)
    own, S = np.diag(E), E.sum(axis=1) - np.diag(E)
    D = own + S + 1
    e, g = game.eta, game.gamma
    if e is not None:
        holds = own > (1 + e) / (1 - e) * S if game.values == "01" else own > S
        cut = np.sqrt((1 - e * e) * S * own) / D if game.values == "01" else 0 * D
    else:
        holds = own - S > (2 if game.values == "01" else 1) * g * D
        cut = (own + S) / (2 * D) if game.values == "01" else 0 * D
    np.testing.assert_array_equal(game.demands() < 1, holds)
    np.testing.assert_allclose(game.thresholds(), cut, rtol=2e-7)
    assert game.thresholds().dtype == np.float32


def test_thresholds_from_a_spectrum_are_those_of_the_rows() -> None:
    for name, n, d in [("hypercube", 128, 16), ("kerdock", 256, 16), ("hypercube", 32, 5)]:
        made = keys.make(name, n, d)
        plain = KeySet(name, d, 0, made.rows)
        for scale in (4.4444, 11.3):
            one, two = (IndexReduction(k, 3, scale=scale) for k in (made, plain))
            np.testing.assert_allclose(one.demands(), two.demands(), rtol=1e-11)
            np.testing.assert_allclose(one.thresholds(), two.thresholds(), rtol=1.3e-7)


def test_rows_asked_are_rows_answered() -> None:
    game = IndexReduction.build(keys.make("jl", 48, 16), 5)
    rows = np.array([40, 3, 3, 17])
    everything = game.thresholds()
    fresh = IndexReduction(game.keys, 5, scale=game.scale)
    np.testing.assert_allclose(fresh.thresholds(rows), everything[rows], rtol=1e-7)
    np.testing.assert_array_equal(game.queries(rows)[0], game.queries()[0][rows])
    outputs = np.tile(everything[rows][:, None], (1, 5))
    outputs[:, 2] += 1e-3
    np.testing.assert_array_equal(game.decode(outputs, rows), [[0, 0, 1, 0, 0]] * 4)
    outputs[1, 2] = np.nan
    assert game.decode(outputs, rows)[1, 2] == 0


@pytest.mark.parametrize("values", ["01", "pm1"])
@pytest.mark.parametrize(
    ("name", "n", "d"), [("jl", 512, 64), ("kerdock", 512, 64), ("hypercube", 500, 16)]
)
def test_every_random_bit_comes_back_through_exact_attention(
    values: str, name: str, n: int, d: int
) -> None:
    game = IndexReduction.build(keys.make(name, n, d), 8, values=values)
    x = np.random.default_rng(5).integers(0, 2, (n, 8), dtype=np.uint8)
    zeros, K, V = game.stream(x)
    assert not zeros.any()
    assert set(np.unique(V)) == ({0.0, 1.0} if values == "01" else {-1.0, 1.0})
    Q, k, v = game.queries()
    score = np.concatenate([Q @ K.T, (Q * k).sum(axis=1, keepdims=True)], axis=1)  # float32
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    out = weight @ np.vstack([V, v[:1]]) / weight.sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(game.decode(out), x)


def test_public_tells_everything_but_the_secret() -> None:
    made = keys.make("jl", 16, 8)
    game = IndexReduction.build(made, 4)
    public = dict(game.public())
    np.testing.assert_array_equal(public.pop("keys"), made.rows)
    assert public == {
        "reduction": "index",
        "values": "01",
        "eta": 0.5,
        "scale": game.scale,
        "softmax_scale": 1.0,
        "attention": "softmax",
    }
    additive = IndexReduction.build(made, 4, values="pm1", eta=None, gamma=0.25).public()
    assert (additive["gamma"], "eta" in additive) == (0.25, False)
    assert game.secret_bits == 64
    with pytest.raises(BadInput, match=r"give bits\[16, 4\]"):
        game.stream(np.zeros((16, 5), dtype=np.uint8))


# -- scales --------------------------------------------------------------------------------------


def test_scale_of_the_full_kerdock_family() -> None:
    made = keys.make("kerdock", None, 64)
    for eta, expected in [(0.0, 8.819), (0.5, 10.041), (0.9, 12.112)]:
        assert IndexReduction.build(made, 64, eta=eta).scale == pytest.approx(expected, abs=6e-4)
    big = IndexReduction.build(keys.make("kerdock", None, 256), 1)  # 65536 keys, from the spectrum
    assert big.scale == pytest.approx(12.464, abs=6e-4)
    assert big.thresholds([0, 60000]).shape == (2,)


@pytest.mark.parametrize("case", GOLDEN["formulas"], ids=lambda c: f"{c['n']}-{c['x']}")
def test_closed_and_paper_formulas(case: dict) -> None:
    """mpmath, from the formulas as theory states them (tests/golden/reductions.py)."""
    n, eta, x = case["n"], float(Fraction(case["eta"])), float(Fraction(case["x"]))
    close = {"rel": 1e-12}
    assert closed_scale(n, x, eta) == pytest.approx(float(case["closed"]), **close)
    pm = closed_scale(n, x, eta, values="pm1")
    assert pm == pytest.approx(float(case["closed_pm"]), **close)
    a01 = closed_scale(n, x, gamma=0.1)
    assert a01 == pytest.approx(float(case["closed_a01"]), **close)
    C = paper_scale(n, eta, x)
    assert pytest.approx(float(case["paper_scale"]), **close) == C
    assert paper_delta(n, x, C) == pytest.approx(float(case["paper_delta"]), **close)
    assert paper_Delta(n, x, C) == pytest.approx(float(case["paper_Delta"]), **close)
    assert jl_dimension(n, x) == pytest.approx(float(case["jl_dimension"]), **close)


def test_the_paper_bounds_hold_on_its_keys() -> None:
    """(12)-(15): no exact output for a 0 is above delta, none for a 1 below Delta."""
    made = keys.make("jl-raw", 16, 400, seed=1)
    eps = max_deviation(made)
    assert eps < 0.25
    game = IndexReduction.build(made, 1, eta=0.3, scale="paper")
    assert game.scale == paper_scale(16, 0.3, eps)
    low, high = (f(16, eps, game.scale) for f in (paper_delta, paper_Delta))
    assert 1.3 * low < 0.7 * high
    exact = IndexReduction(made, 1, eta=0.0, scale=game.scale)
    for i in range(16):
        for bit, out in extreme_answers(exact, i):
            assert out < low if bit == 0 else out > high
    assert game.scale > tight_scale(made, 0.7 / 1.3)


def test_closed_scale_is_tight_for_orthonormal_keys() -> None:
    """Coherence 0 for all pairs: both are ln(rho (n-1))."""
    made = keys.make("kerdock", 64, 64)
    assert coherence(made) == 0
    tight, closed = (IndexReduction.build(made, 1, scale=s).scale for s in ("tight", "closed"))
    assert tight == pytest.approx(math.log(3 * 63), rel=1e-6)
    assert closed == pytest.approx(math.log(3 * 63), rel=1e-6)
    assert closed_scale(64, 0.0, 0.5) == pytest.approx(math.log(3 * 63), rel=1e-12)


@pytest.mark.parametrize("gamma", [0.1, 0.45])
def test_closed_scale_below_zero_coherence_minds_bobs_own_token(gamma: float) -> None:
    """A regular simplex of 16: every inner product is -1/15, nearer to his token's 0 than to 1."""
    C = closed_scale(16, -1 / 15, gamma=gamma)
    e, S = math.exp(C), 15 * math.exp(-C / 15)
    assert e - S >= 2 * gamma * (e + S + 1)


def test_a_number_is_taken_or_refused_by_name() -> None:
    made = keys.make("jl", 64, 32)
    tight = IndexReduction.build(made, 4)
    assert IndexReduction.build(made, 4, scale=tight.scale + 1).scale == tight.scale + 1
    assert IndexReduction.build(made, 4, scale=str(tight.scale)).scale == tight.scale
    low = IndexReduction(made, 4, scale=tight.scale - 1)
    with pytest.raises(NoScale, match=f"key {low.demands().argmax()} is not separated"):
        IndexReduction.build(made, 4, scale=tight.scale - 1)


# -- refusals ------------------------------------------------------------------------------------

JL = ("jl", 32, 16)


@pytest.mark.parametrize(
    ("made", "how", "words"),
    [
        (("jl", 15, 16), {}, "needs n >= 16"),
        (("jl-raw", 16, 1), {}, "needs d >= 2"),
        (JL, {"d_v": 0}, "d_v >= 1"),
        (JL, {"eta": 1.0}, r"eta in \[0, 1\)"),
        (JL, {"eta": -0.1}, r"eta in \[0, 1\)"),
        (JL, {"eta": float("nan")}, r"eta in \[0, 1\)"),
        (JL, {"eta": None}, "exactly one of eta"),
        (JL, {"gamma": 0.1}, "exactly one of eta"),
        (JL, {"eta": None, "gamma": 0.5}, "constant answer 1/2 is within 0.5"),
        (JL, {"eta": None, "gamma": 1.0, "values": "pm1"}, "constant answer 0 is within 1 of"),
        (JL, {"eta": None, "gamma": 0.4999999}, "too close to 0.5 for float32"),
        (JL, {"values": "pm"}, "Did you mean 'pm1'"),
        (JL, {"scale": "tigth"}, "Did you mean 'tight'"),
        (JL, {"scale": 0.0}, "positive number"),
        (JL, {"scale": "paper"}, "needs eps < 1/2"),
        (JL, {"scale": "paper", "values": "pm1"}, "needs values 01"),
    ],
)
def test_bad_input_quotes_the_hypothesis(made: tuple, how: dict, words: str) -> None:
    how = {"d_v": 4, **how}
    with pytest.raises(BadInput, match=words):
        IndexReduction.build(keys.make(*made), how.pop("d_v"), **how)


def test_gamma_up_to_one_is_fine_for_signs() -> None:
    game = IndexReduction.build(keys.make(*JL), 1, values="pm1", eta=None, gamma=0.95)
    assert game.condition.name == "A+-"


def circle(n: int) -> KeySet:
    a = np.arange(n) * (2 * np.pi / n)
    return KeySet("circle", 2, 0, np.stack([np.cos(a), np.sin(a)], axis=1).astype(np.float32))


def test_no_scale_names_the_key() -> None:
    raw = keys.make("jl-raw", 512, 16)
    for scale in ("tight", "closed"):
        with pytest.raises(NoScale, match=r"Key \d+ of jl-raw .* dominated by key \d+"):
            IndexReduction.build(raw, 4, scale=scale)
    plain = keys.make("jl", 16, 8)
    with pytest.raises(NoScale, match=r"k_\d+ overflows float32"):
        IndexReduction.build(plain, 4, scale=1e39)
    with pytest.raises(NoScale, match=r"score of key \d+ can be wrong by .* uses up the margin"):
        IndexReduction.build(plain, 4, scale=1e6)
    # lengths do not matter as such: C grows as 1/|k|^2, the scores stay
    tiny = KeySet("tiny", 8, 0, plain.rows * np.float32(2.0**-60))
    expected = IndexReduction.build(plain, 4).scale * 2.0**120
    assert IndexReduction.build(tiny, 4).scale == pytest.approx(expected, rel=1e-12)
    # C (d+2) 2^-24 >= ln(2)/2 first at C = 1453634 for d = 2: N = 4000 on the circle
    assert IndexReduction.build(circle(1024), 2).scale == pytest.approx(9.567e4, rel=1e-3)
    with pytest.raises(NoScale, match="uses up the margin"):
        IndexReduction.build(circle(4100), 2)
    limit = 0.5 * math.log(2) * 2**24 / 4
    assert IndexReduction.build(circle(16), 2, scale=limit * 0.9999).scale > 1.4e6
    with pytest.raises(NoScale, match="uses up the margin"):
        IndexReduction.build(circle(16), 2, scale=limit * 1.0001)


def test_import_needs_numpy_only() -> None:
    code = (
        "import sys, kvbarrier.reductions.index, kvbarrier.reductions.bounds;"
        "heavy = {'numba', 'scipy', 'pandas', 'matplotlib', 'mpmath', 'llvmlite'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
