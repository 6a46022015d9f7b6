"""Tensor attention: the rule, the pair keys, the exact margin, the game's reduction."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.errors import BadInput, NoScale
from kvbarrier.reductions import tensor_attention as rule
from kvbarrier.reductions.quadratic_forms import gold_forms, linear_forms
from kvbarrier.reductions.tensor import TensorReduction, key_caches


def stream(t: int, d_k: int, d_v: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((t, 2 * d_k)).astype(np.float32),
        rng.standard_normal((t, 2 * d_v)).astype(np.float32),
    )


def by_hand(q: np.ndarray, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """The definition, pair by pair, in exact order and in float64."""
    d, e = K.shape[1] // 2, V.shape[1] // 2
    total, out = 0.0, np.zeros(e)
    for i, j in itertools.product(range(len(K)), repeat=2):
        score = sum(float(q[c]) * float(K[i, c]) * float(K[j, d + c]) for c in range(d))
        weight = math.exp(score)
        total += weight
        out += weight * V[i, :e].astype(np.float64) * V[j, e:].astype(np.float64)
    return np.concatenate([out / total, np.zeros(e)])


@pytest.mark.parametrize(("t", "d_k", "d_v"), [(1, 2, 1), (5, 3, 4), (9, 8, 2)])
def test_the_definition_is_the_sum_over_pairs(t: int, d_k: int, d_v: int) -> None:
    K, V = stream(t, d_k, d_v, 1)
    q = stream(1, d_k, d_v, 2)[0][0]
    assert np.allclose(rule.attention(q, K, V), by_hand(q, K, V), atol=1e-12)


@pytest.mark.parametrize("t", [0, 1, 7, 33])
def test_four_caches_answer_as_the_pairs_do(t: int) -> None:
    K, V = stream(t, 6, 5, 3)
    Q, _ = stream(11, 6, 5, 4)
    Kq, Vq = stream(11, 6, 5, 5)
    got = rule.next_outputs(Q, Kq, Vq, K, V)
    want = [
        rule.attention(q, np.vstack([K, k]), np.vstack([V, v]))
        for q, k, v in zip(Q, Kq, Vq, strict=True)
    ]
    assert got.dtype == np.float32
    assert np.allclose(got, want, atol=3e-5)
    if t:
        want = [rule.attention(q, K, V) for q in Q]
        assert np.allclose(rule.block_outputs(Q, K, V), want, atol=3e-5)


def test_blocks_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    K, V = stream(12, 4, 4, 6)
    Q, _ = stream(10, 4, 4, 7)
    whole = rule.block_outputs(Q, K, V)
    monkeypatch.setattr(rule, "_BLOCK", 3 * 12 * 12)
    assert np.allclose(rule.block_outputs(Q, K, V), whole, atol=1e-6)


def test_long_scores_do_not_overflow() -> None:
    K, V = stream(6, 4, 4, 8)
    assert np.isfinite(rule.block_outputs(1000 * K[:2], K, V)).all()


def test_wrong_shapes_are_refused() -> None:
    K, V = stream(4, 3, 3, 9)
    with pytest.raises(BadInput, match="even number of coordinates, not 5"):
        rule.block_outputs(K[:, :5], K[:, :5], V)
    with pytest.raises(BadInput, match=r"shape \(3, 6\): it must be \(4, 6\)"):
        rule.block_outputs(K, K[:3], V)
    with pytest.raises(BadInput, match="append a token first"):
        rule.block_outputs(K, K[:0], V[:0])


# -- the pair keys -------------------------------------------------------------------------------


def trace_of_cube(u: int, x: int, m: int, polynomial: int) -> int:
    """Tr(u x^3) by multiplying polynomials over GF(2): the twin of the table of logarithms."""

    def times(a: int, b: int) -> int:
        product = 0
        for i in range(m):
            if b >> i & 1:
                product ^= a << i
        for i in range(2 * m - 2, m - 1, -1):
            if product >> i & 1:
                product ^= polynomial << (i - m)
        return product

    y = times(u, times(x, times(x, x)))
    total = 0
    for _ in range(m):
        total ^= y
        y = times(y, y)
    return total


@pytest.mark.parametrize(("m", "polynomial"), [(4, 0x13), (6, 0x43), (8, 0x11D)])
def test_gold_forms_are_traces_of_cubes(m: int, polynomial: int) -> None:
    count = min(2**m, 24)
    want = [[trace_of_cube(u, x, m, polynomial) for x in range(2**m)] for u in range(count)]
    assert gold_forms(count, m).tolist() == want
    assert linear_forms(2**m, m)[5].tolist() == [(5 & x).bit_count() % 2 for x in range(2**m)]


def test_forms_that_are_not_there() -> None:
    with pytest.raises(BadInput, match=r"each m in \[4, 6, 8\], not 8 for m = 5"):
        gold_forms(8, 5)
    with pytest.raises(BadInput, match="not 17 for m = 4"):
        gold_forms(17, 4)


@pytest.mark.parametrize(("d", "mu"), [(16, Fraction(1, 2)), (64, Fraction(1, 4))])
def test_the_whole_gram_of_the_pair_keys(d: int, mu: Fraction) -> None:
    rows = rule.pairs(*key_caches(d, d)).astype(np.float64)
    gram = rows @ rows.T
    assert (np.diag(gram) == 1).all()
    np.fill_diagonal(gram, -1)
    assert gram.max() == float(mu)
    # The pair keys are a group, so every one sees the same spectrum.
    assert (np.sort(gram, axis=1) == np.sort(gram[0])).all()


def test_the_weights_are_those_of_the_double_error_correcting_code() -> None:
    """At d = 64 the words Q_u + a.x, without the coordinate x = 0, are the dual of BCH [63, 51, 5].

    A dual distance of 5 fixes the first four moments (Pless): with S a sum of 63 independent signs,
    sum_w A_w (63-2w)^p = 2^12 E S^p, that is 1, 0, 63, 0, 3 63^2 - 2 63 times 2^12. With (G) the
    weights are 24, 28, 32, 36, 40, and five equations have one solution.
    """
    weights = [24, 28, 32, 36, 40]
    moments = 4096 * np.array([1, 0, 63, 0, 3 * 63**2 - 2 * 63], dtype=np.float64)
    zero_word = np.array([63.0**p for p in range(5)])
    matrix = np.array([[(63.0 - 2 * w) ** p for w in weights] for p in range(5)])
    want = np.rint(np.linalg.solve(matrix, moments - zero_word)).astype(int)
    assert want.tolist() == [210, 1512, 1071, 1176, 126]

    rows = rule.pairs(*key_caches(64, 64)).astype(np.float64)
    products, counts = np.unique(rows @ rows[0], return_counts=True)
    found = dict(zip((32 * (1 - products)).astype(int).tolist(), counts.tolist(), strict=True))
    assert found == {0: 1, **dict(zip(weights, want.tolist(), strict=True))}


# -- the margin ----------------------------------------------------------------------------------


def exact_output(hard: TensorReduction, row: int, x: np.ndarray) -> np.ndarray:
    """Bob's output in float64, over all (n+1)^2 pairs."""
    _, K, V = hard.stream(x)
    Q, k, v = hard.queries([row])
    return rule.attention(Q[0], np.vstack([K, k]), np.vstack([V, v]))[: hard.d]


@pytest.mark.parametrize(("n", "d"), [(9, 16), (16, 16), (13, 64)])
@pytest.mark.parametrize("eta", [0.0, 0.5, 0.9])
def test_the_condition_is_sharp_at_the_tight_scale(n: int, d: int, eta: float) -> None:
    tight = TensorReduction.build(n=n, d=d, eta=eta)
    for factor, separated in ((1.0, True), (0.999, False)):
        hard = TensorReduction(tight.K1, tight.K2, eta, factor * tight.scale)
        worst = int(hard.demands().argmax())
        assert bool(hard.demands()[worst] < 1) == separated
        theta = float(hard.thresholds([worst])[0])
        zero = exact_output(hard, worst, hard.worst_secret(worst, 0))
        one = exact_output(hard, worst, hard.worst_secret(worst, 1))
        assert ((1 + eta) * zero < theta).all() == separated
        assert ((1 - eta) * one > theta).all() == separated


def test_no_context_is_worse_than_the_worst() -> None:
    hard = TensorReduction.build(n=9, d=16)
    rng = np.random.default_rng(1)
    for row in (0, 1, 7, 14):
        for bit, side in ((0, 1), (1, -1)):
            edge = exact_output(hard, row, hard.worst_secret(row, bit))[0]
            x = (rng.random((hard.rows, hard.d)) < rng.random(hard.d)).astype(np.uint8)
            x[row] = bit
            assert (side * (exact_output(hard, row, x) - edge) <= 1e-12).all()


def test_the_scale_against_its_closed_form() -> None:
    tight = TensorReduction.build(n=64, d=64)
    closed = TensorReduction.build(n=64, d=64, scale="closed")
    assert closed.scale == pytest.approx(math.log(3 * (64**2 - 1)) / 0.75, rel=1e-6)
    assert tight.scale < closed.scale
    # The spectrum above gives (T) in closed form: all 4096 words less the 64 pairs (i, b).
    C, d = tight.scale, 64
    _, K, _ = tight.stream(np.zeros((126, 64), np.uint8))
    others = rule.pairs(np.delete(tight.K1, 3, 0), tight.K2) @ (tight.K1[3] * tight.K2[0])
    U = np.exp(C * (others.astype(np.float64) - 1)).sum()
    L = 1 + math.exp(C * (float(tight.K1[0] * tight.K2[0] @ (tight.K1[3] * tight.K2[0])) - 1))
    assert tight.demands()[4] == pytest.approx(3 * U / L, rel=1e-9)
    assert K.shape == (64, 2 * d)


def test_the_game_decodes_random_secrets() -> None:
    hard = TensorReduction.build(n=20, d=64)
    x = np.random.default_rng(2).integers(0, 2, (hard.rows, hard.width)).astype(np.uint8)
    _, K, V = hard.stream(x)
    outputs = rule.next_outputs(*hard.queries(), K, V)
    assert (hard.decode(outputs) == x).all()
    some = [3, 37, 0]
    assert (hard.decode(outputs[some], some) == x[some]).all()
    assert (hard.queries(some)[0] == hard.queries()[0][some]).all()
    public = hard.public()
    assert (public["known_values"][0] == 1).all()
    assert public["secret_tokens"].tolist() == list(range(1, 20))
    assert len({key.tobytes() for key in public["keys"]}) == 20


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"n": 8, "d": 64}, r"give n >= 9 data tokens, not 8"),
        ({"n": 65, "d": 64}, r"give n from 9 to 64 data tokens, not 65"),
        ({"n": 16, "d": 32}, r"one of 16, 64, 256, not 32"),
        ({"n": 16, "d": 64, "eta": 1.0}, r"choose eta in \[0, 1\)"),
        ({"n": 16, "d": 64, "scale": "paper"}, "Index under softmax attention"),
        ({"n": 16, "d": 64, "scale": "warm"}, "tight, closed or a number, not 'warm'"),
        ({"n": 16, "d": 64, "scale": -1.0}, "positive number, not -1"),
    ],
)
def test_hypotheses_are_quoted(arguments: dict, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        TensorReduction.build(**arguments)


def test_a_small_scale_is_refused() -> None:
    with pytest.raises(NoScale, match=r"condition T: .* is not below 1"):
        TensorReduction.build(n=16, d=64, scale=5.0)
    with pytest.raises(BadInput, match=r"shape \(2, 2\): give bits\[30, 64\]"):
        TensorReduction.build(n=16, d=64).stream(np.zeros((2, 2), np.uint8))
