"""Alphabets of many levels: exact at both edges, the precision law, the code, the refusals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kvbarrier.errors import BadInput, NoScale
from kvbarrier.reductions import keys
from kvbarrier.reductions.alphabet import (
    AlphabetReduction,
    bits_of,
    bits_per_number,
    level_number,
    symbol_error,
    symbols_of,
)
from kvbarrier.reductions.interference import tight_scale
from kvbarrier.reductions.keys import KeySet
from kvbarrier.reductions.levels import (
    geometric_levels,
    geometric_ratio,
    grid_levels,
    level_condition,
    most_geometric_levels,
    most_grid_levels,
)
from kvbarrier.reductions.margins import condition

#: B and the tolerances it is played at
GAMES = [
    (4, 0.5, None), (4, 0.0, None), (4, None, 0.1), (4, None, 0.0),
    (16, 0.5, None), (16, 0.1, None), (16, None, 0.03), (16, None, 0.0),
    (256, 0.03, None), (256, 0.0, None), (256, None, 0.001), (256, None, 0.0019),
]  # fmt: skip
SETS = {
    "jl": ("jl", 40, 12),
    "jl-raw": ("jl-raw", 20, 48),
    "hypercube": ("hypercube", 32, 8),
    "kerdock": ("kerdock", 64, 16),
}


def gray(symbols: np.ndarray, b: int) -> np.ndarray:
    """Reflected Gray code by its recursion: first half of the table, mirrored with a 1 before."""
    table = [""]
    for _ in range(b):
        table = ["0" + w for w in table] + ["1" + w for w in reversed(table)]
    words = np.array([[int(c) for c in word] for word in table], dtype=np.uint8)
    return words[symbols].reshape(len(symbols), -1)


def all_levels(game: AlphabetReduction, i: int, context: int) -> np.ndarray:
    """Exact outputs at row i, float64[B]: coordinate b has level b there and ``context`` elsewhere.

    Softmax attention as the paper writes it, Bob's own token in the cache.
    """
    symbols = np.full((game.n, game.count), context)
    symbols[i] = np.arange(game.count)
    _, K, V = game.stream(gray(symbols, game.bits))
    q, k, v = (part[0] for part in game.queries([i]))
    assert not k.any()
    assert not v.any()
    score = np.vstack([K, k]).astype(np.float64) @ q.astype(np.float64)
    weight = np.exp(score - score.max())
    return weight @ np.vstack([V, v]).astype(np.float64) / weight.sum()


def answers(game: AlphabetReduction, i: int, share: float = 1.0) -> np.ndarray:
    """float64[4, B]: both extreme contexts, both ends of ``share`` times the error allowed."""
    out = np.array([all_levels(game, i, context) for context in (0, game.count - 1)])
    if game.eta is not None:
        return np.vstack([out * (1 - share * game.eta), out * (1 + share * game.eta)])
    assert game.gamma is not None
    return np.vstack([out - share * game.gamma, out + share * game.gamma])


def misread(game: AlphabetReduction, i: int, share: float = 1.0) -> set[int]:
    """The levels that some extreme answer, in float64, has read as another."""
    cuts = game.thresholds([i])[0].astype(np.float64)
    read = (answers(game, i, share)[:, :, None] > cuts).sum(axis=2)
    return set(np.flatnonzero((read != np.arange(game.count)).any(axis=0)).tolist())


def formula(count: int, eta: float | None, gamma: float | None) -> tuple[float, float]:
    """Theory C1 and C2, word for word: bound and the share of Bob's own token."""
    if eta is not None:
        beta = geometric_ratio(count, eta)
        return ((1 - eta) * beta - (1 + eta)) / ((1 + eta) * beta ** (count - 1) - (1 - eta)), 0.0
    # 1/(B-1) > S' + 2 gamma (1 + S' + e^-C)
    assert gamma is not None
    return (1 / (count - 1) - 2 * gamma) / (1 + 2 * gamma), 2 * gamma / (1 + 2 * gamma)


def bare(made: KeySet, scale: float, count: int, eta, gamma) -> AlphabetReduction:
    levels = grid_levels(count) if eta is None else geometric_levels(count, eta)
    return AlphabetReduction(made, count, levels, eta, gamma, scale)


@pytest.mark.parametrize(("count", "eta", "gamma"), GAMES)
@pytest.mark.parametrize("which", SETS)
def test_the_scale_is_exact_on_both_sides(count, eta, gamma, which: str) -> None:
    """Just above the condition's scale every level of every key is read right, whatever the rest
    and the error; just below it levels of the worst key are misread."""
    made = keys.make(*SETS[which], seed=3)
    edge = tight_scale(made, *formula(count, eta, gamma))
    inside = bare(made, edge * (1 + 1e-3), count, eta, gamma)
    assert inside.demands().max() < 1
    some = range(0, made.n, 1 if count < 256 else 7)
    assert [misread(inside, i) for i in some] == [set()] * len(some)
    outside = bare(made, edge * (1 - 1e-3), count, eta, gamma)
    worst = int(outside.demands().argmax())
    assert outside.demands()[worst] > 1
    # geometric: the lowest pair, as (C1) has it; a grid: every level
    assert misread(outside, worst) >= ({0, 1} if gamma is None else set(range(count)))
    # No other cuts would do: the lowest pair's moved ends have met.
    ends = answers(outside, worst)
    assert ends[:, 0].max() > ends[:, 1].min()


@pytest.mark.parametrize(("count", "eta", "gamma"), GAMES)
@pytest.mark.parametrize("which", SETS)
def test_the_error_allowed_is_exact_on_both_sides(count, eta, gamma, which: str) -> None:
    """At the very scale that build picks: the whole error is read right, also from float32 answers,
    and a little more of it is not."""
    made = keys.make(*SETS[which], seed=3)
    game = AlphabetReduction.build(made, count, levels=count, eta=eta, gamma=gamma)
    rows = range(0, made.n, 5)
    assert [misread(game, i) for i in rows] == [set()] * len(rows)
    for i in rows:
        said = answers(game, i).astype(np.float32)
        np.testing.assert_array_equal(game.symbols(said, [i] * 4), [np.arange(count)] * 4)
    if eta or gamma:
        worst = int(game.demands().argmax())
        assert misread(game, worst, 1.02)
    edge = tight_scale(made, *formula(count, eta, gamma))
    assert edge * (1 - 1e-6) < game.scale < edge * (1 + 2e-3)


@pytest.mark.parametrize("count", [4, 16, 256])
@pytest.mark.parametrize("how", ["eta", "gamma"])
def test_four_thousand_keys(count: int, how: str) -> None:
    """n = 4096, Kerdock in d = 64: the worst case on a few rows, random secrets on more."""
    made = keys.make("kerdock", None, 64)
    allowed = {"eta": None, "gamma": 0.4 / (count - 1)} if how == "gamma" else {"eta": 0.03}
    game = AlphabetReduction.build(made, count, levels=count, **allowed)
    assert [misread(game, i) for i in (0, 4095)] == [set()] * 2
    lower = bare(made, game.scale * 0.997, count, game.eta, game.gamma)
    assert misread(lower, 4095)
    plain = AlphabetReduction(made, 3, game.levels, game.eta, game.gamma, game.scale)
    x = np.random.default_rng(1).integers(0, 2, (4096, 3 * game.bits), dtype=np.uint8)
    _, K, V = plain.stream(x)
    rows = np.arange(0, 4096, 64)
    Q, _, _ = plain.queries(rows)
    score = Q @ K.T  # float32, and Bob's own token has score 0
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    total = weight.sum(axis=1, keepdims=True) + np.exp(-score.max(axis=1, keepdims=True))
    np.testing.assert_array_equal(plain.decode(weight @ V / total, rows), x[rows])


@pytest.mark.parametrize(
    ("levels", "values", "eta", "gamma"),
    [
        ((0, 1), "01", 0.5, None),
        ((0, 1), "01", 0.0, None),
        ((0, 1), "01", None, 0.2),
        ((-1, 1), "pm1", None, 0.3),
    ],
)
def test_two_levels_are_the_conditions_of_the_index_game(levels, values, eta, gamma) -> None:
    ours, theirs = level_condition(levels, eta, gamma), condition(values, eta, gamma)
    assert ours.factor == pytest.approx(theirs.factor, rel=1e-14)
    assert ours.zero_factor == pytest.approx(theirs.zero_factor, rel=1e-14)
    S, own = np.array([0.01, 0.2]), np.array([3.0, 9.0])
    np.testing.assert_allclose(ours.threshold(S, own)[:, 0], theirs.threshold(S, own), atol=1e-16)
    assert ours.closed_scale(100, 0.5) == pytest.approx(theirs.closed_scale(100, 0.5), rel=1e-14)


@pytest.mark.parametrize(("count", "eta"), [(4, 0.5), (16, 0.5), (16, 0.1), (256, 0.02), (8, 0.9)])
def test_the_ratio_is_near_the_best(count: int, eta: float) -> None:
    """Of all ratios above rho ours has nearly the largest bound, so nearly the smallest scale:
    ln(bound), which is what the scale grows by, is within a nat's twentieth."""
    rho, beta = (1 + eta) / (1 - eta), geometric_ratio(count, eta)
    tried = rho * (1 + np.geomspace(1e-4, 100, 4000))
    logs = np.log((1 - eta) * tried - (1 + eta)) - (count - 1) * np.log(tried)
    logs -= np.log1p(eta - (1 - eta) * tried ** -(count - 1.0))
    ours = math.log(level_condition(geometric_levels(count, eta).tolist(), eta, None).bound)
    assert beta > rho
    assert ours == pytest.approx(float(logs.max()), abs=0.05)


def test_scales_known_from_elsewhere() -> None:
    """Kerdock d = 64: weights A_28 = A_36 = 64 (2^5 - 1), A_32 = 2 64 - 2, A_64 = 1 (MacWilliams,
    Sloane, ch. 15), inner products 1 - 2w/64. So S' = 1984 (e^{-7C/8} + e^{-9C/8}) + 126 e^-C +
    e^-2C; a grid of 16 without error needs S' < 1/15, geometric levels what (C1) says."""
    from mpmath import findroot, mp

    def spectrum(C):
        near = mp.exp(-7 * C / 8) + mp.exp(-9 * C / 8)
        return 1984 * near + 126 * mp.exp(-C) + mp.exp(-2 * C)

    with mp.workdps(30):
        root = findroot(lambda C: spectrum(C) - mp.mpf(1) / 15, 12)
        beta = mp.mpf(45) / 14
        rhs = (beta / 2 - mp.mpf(3) / 2) / (mp.mpf(3) / 2 * beta**15 - mp.mpf(1) / 2)
        geometric = findroot(lambda C: spectrum(C) - rhs, 30)
    made = keys.make("kerdock", None, 64)
    grid = AlphabetReduction.build(made, 64, levels=16, eta=None, gamma=0.0)
    assert grid.scale == pytest.approx(float(root), rel=1e-5)
    assert AlphabetReduction.build(made, 64, levels=16).scale == pytest.approx(
        float(geometric), rel=1e-5
    )
    closed = AlphabetReduction.build(made, 64, levels=16, scale="closed").scale
    assert closed == pytest.approx(float(math.log(4095 / rhs) / (7 / 8)), rel=1e-5)
    assert (grid.width, grid.secret_bits) == (256, 4096 * 64 * 4)


# -- the precision law ---------------------------------------------------------------------------


def test_the_law_at_the_numbers_of_theory() -> None:
    """V = 2^16: 1 + the whole number below ln V/ln rho; [0,1]: below 1/(2 gamma)."""
    assert [most_geometric_levels(2**16, e) for e in (0.5, 0.1, 0.01, 0.001)] == [11, 56, 555, 5546]
    bits = [math.log2(most_geometric_levels(2**16, eta)) for eta in (0.5, 0.1, 0.01, 0.001)]
    assert bits == pytest.approx([3.46, 5.81, 9.12, 12.44], abs=0.005)
    assert [most_grid_levels(gamma) for gamma in (0.01, 0.001, 0.25, 0.5, 7.0)] == [
        50,
        500,
        2,
        1,
        1,
    ]


@given(st.fractions(Fraction(1, 40), Fraction(4, 5), max_denominator=40), st.integers(1, 10**6))
def test_the_geometric_law_is_the_largest_number_of_levels(eta: Fraction, ratio: int) -> None:
    """B levels fit iff neighbours can be a factor above rho apart: rho^(B-1) < V, in fractions."""
    rho, fit = (1 + eta) / (1 - eta), 1
    while rho**fit < ratio:
        fit += 1
    assert most_geometric_levels(ratio, eta) == fit


@given(st.integers(1, 12))
def test_the_law_at_whole_quotients(m: int) -> None:
    """V = rho^m exactly leaves m levels, not m + 1; a little more leaves m + 1."""
    assert most_geometric_levels(Fraction(3) ** m, Fraction(1, 2)) == m
    more = Fraction(3) ** m * (1 + Fraction(1, 10**12))
    assert most_geometric_levels(more, Fraction(1, 2)) == m + 1


@given(st.fractions(Fraction(1, 500), Fraction(2), max_denominator=2000))
def test_the_grid_law_is_the_largest_number_of_levels(gamma: Fraction) -> None:
    fit = 1
    while fit * 2 * gamma < 1:
        fit += 1
    assert most_grid_levels(gamma) == fit


@pytest.mark.parametrize(("eta", "gamma"), [(0.5, None), (0.1, None), (None, 0.04), (None, 0.25)])
def test_so_many_numbers_are_enough_memory(eta: float | None, gamma: float | None) -> None:
    """The law's other half: values kept as one of so many cells give averages in the guarantee."""
    rng = np.random.default_rng(2)
    V = 2.0**16 if gamma is None else 1.0
    if eta is not None:
        x = np.exp(rng.uniform(0, math.log(V), (2000, 30)))
        rho, cells = (1 + eta) / (1 - eta), most_geometric_levels(2**16, eta)
        number = np.minimum(np.floor(np.log(x) / math.log(rho)), cells - 1)
        kept = (1 + eta) * rho**number
    else:
        x, cells = rng.uniform(0, 1, (2000, 30)), most_grid_levels(gamma)
        number = np.minimum(np.floor(x / (2 * gamma)), cells - 1)
        kept = (2 * number + 1) * gamma
    assert len(np.unique(number)) == cells
    weight = rng.dirichlet(np.full(30, 0.1), 2000)
    exact, said = (weight * x).sum(axis=1), (weight * kept).sum(axis=1)
    error = np.abs(said - exact) / (exact if gamma is None else 1)
    assert error.max() <= (eta if gamma is None else gamma) * (1 + 1e-12)


# -- the code ------------------------------------------------------------------------------------


@given(st.integers(1, 10), st.data())
def test_symbols_and_bits_are_one_thing(b: int, data: st.DataObject) -> None:
    count = 1 << b
    numbers = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=20))
    symbols = np.array([numbers, numbers[::-1]])
    bits = bits_of(symbols, count)
    assert (bits.shape, bits.dtype) == ((2, len(numbers) * b), np.uint8)
    np.testing.assert_array_equal(bits, gray(symbols, b))
    np.testing.assert_array_equal(symbols_of(bits, count), symbols)


def test_a_level_off_is_one_bit_off() -> None:
    """And one wrong bit is one wrong number: the extremes of e <= symbol error <= b e."""
    for count in (2, 4, 16, 256, 4096):
        words = bits_of(np.arange(count)[:, None], count)
        assert (np.abs(np.diff(words.astype(int), axis=0)).sum(axis=1) == 1).all()
    x = np.random.default_rng(0).integers(0, 2, (50, 80), dtype=np.uint8)
    one = x.copy()
    one[:, ::4] ^= 1
    assert ((one != x).mean(), symbol_error(one, x, 16)) == (0.25, 1.0)
    whole = x.copy()
    whole[:, :4] ^= 1
    assert ((whole != x).mean(), symbol_error(whole, x, 16)) == (0.05, 0.05)
    assert symbols_of(np.zeros((0, 8), dtype=np.uint8), 16).shape == (0, 2)
    assert bits_of(np.zeros((0, 2), dtype=int), 16).shape == (0, 8)


def test_numbers_are_counted_against_cuts_strictly() -> None:
    cuts = np.float32([0.25, 0.5])
    just = np.nextafter(np.float32(0.25), np.float32(1))
    said = [0.25, just, 0.5, 0.75, -1, np.nan, np.inf, -np.inf]
    assert level_number(said, cuts).tolist() == [0, 1, 1, 2, 0, 0, 2, 0]


def test_rows_asked_are_rows_answered() -> None:
    game = AlphabetReduction.build(keys.make("jl", 48, 16), 5, levels=4, eta=None, gamma=0.1)
    rows = np.array([40, 3, 3, 17])
    fresh = AlphabetReduction(game.keys, 5, game.levels, None, 0.1, game.scale)
    np.testing.assert_allclose(fresh.thresholds(rows), game.thresholds()[rows], rtol=1e-6)
    assert game.thresholds(rows).dtype == np.float32
    np.testing.assert_array_equal(game.queries(rows)[0], game.queries()[0][rows])
    outputs = np.tile(game.thresholds(rows)[:, 1:2], (1, 5))
    outputs[:, 2] += 1e-3
    outputs[1, 2] = np.nan
    expected = np.full((4, 5), 1)
    expected[:, 2] = [2, 0, 2, 2]
    np.testing.assert_array_equal(game.symbols(outputs, rows), expected)
    np.testing.assert_array_equal(game.decode(outputs, rows), gray(expected, 2))


def test_public_tells_everything_but_the_secret() -> None:
    made = keys.make("jl", 16, 8)
    game = AlphabetReduction.build(made, 4, levels=4)
    public = game.public()
    np.testing.assert_array_equal(public.pop("keys"), made.rows)
    levels = public.pop("levels")
    assert levels.dtype == np.float32
    # rho (B-1)/(B-2) = 4.5, around 1
    np.testing.assert_allclose(levels, 4.5 ** np.array([-1.5, -0.5, 0.5, 1.5]), rtol=1e-7)
    assert public == {
        "reduction": "index",
        "values": "levels",
        "eta": 0.5,
        "scale": game.scale,
        "softmax_scale": 1.0,
        "attention": "softmax",
    }
    additive = AlphabetReduction.build(made, 4, levels=4, eta=None, gamma=0.05).public()
    assert (additive["gamma"], "eta" in additive) == (0.05, False)
    assert additive["levels"].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert (game.tokens, game.rows, game.d_k, game.width) == (16, 16, 8, 8)


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"levels": 3}, "B = 2.b levels"),
        ({"levels": 1}, "not 1"),
        ({"levels": 8192}, "2 to 4096"),
        ({"levels": 16, "eta": 1.0}, "eta in .0, 1"),
        ({"levels": 16, "eta": float("nan")}, "eta in .0, 1"),
        ({"levels": 16, "gamma": 0.1}, "exactly one"),
        ({"levels": 16, "eta": None}, "exactly one"),
        ({"levels": 16, "eta": None, "gamma": -0.1}, "gamma >= 0"),
        ({"levels": 16, "eta": None, "gamma": 0.034}, "more than 2 gamma = 0.068"),
        ({"levels": 4096, "eta": None, "gamma": 0.000122}, "with room for float32"),
        ({"levels": 16, "d_v": 0}, "d_v = 0"),
        ({"levels": 16, "scale": "paper"}, "needs values 01"),
    ],
)
def test_bad_input_says_what_was_expected(how: dict, words: str) -> None:
    how = {"d_v": 4, **how}
    with pytest.raises(BadInput, match=words):
        AlphabetReduction.build(keys.make("jl", 32, 16), how.pop("d_v"), **how)


def test_more_refusals() -> None:
    with pytest.raises(NoScale, match=r"span a factor of 2\^406"):
        AlphabetReduction.build(keys.make("jl", 32, 16), 4, levels=256, eta=0.5)
    with pytest.raises(NoScale, match="is not separated"):
        AlphabetReduction.build(keys.make("jl", 32, 16), 4, levels=16, scale=3.0)
    with pytest.raises(BadInput, match="n >= 16"):
        AlphabetReduction.build(keys.make("jl", 15, 16), 4, levels=16)
    with pytest.raises(BadInput, match="Levels 1 and 2 of 3, 2 and 4, overlap"):
        level_condition((0.5, 2.0, 4.0), 0.5, None)
    with pytest.raises(BadInput, match="two or more finite numbers in increasing order"):
        level_condition((0.5, 0.5), 0.1, None)
    with pytest.raises(BadInput, match="not be negative, as -1 is"):
        level_condition((-1.0, 1.0), 0.1, None)
    game = AlphabetReduction.build(keys.make("jl", 16, 8), 4, levels=4)
    with pytest.raises(BadInput, match=r"give bits\[16, 8\]"):
        game.stream(np.zeros((16, 4), dtype=np.uint8))
    with pytest.raises(BadInput, match="must be a number from 0 to 3"):
        bits_of([4], 4)
    with pytest.raises(BadInput, match="cut into numbers of 4"):
        symbols_of([0, 1], 16)
    with pytest.raises(BadInput, match="exact answers"):
        most_grid_levels(0.0)
    with pytest.raises(BadInput, match="exact answers"):
        most_geometric_levels(10, 0.0)
    assert [bits_per_number(count) for count in (2, 4, 16, 256)] == [1, 2, 4, 8]
