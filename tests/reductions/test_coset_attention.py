"""Attention over cosets of RM(1,m): float64 oracle, kernel twins, where it is used, JIT off."""

from __future__ import annotations

import math
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from kvbarrier.reductions import attention as doors
from kvbarrier.reductions import attention_tiles as tiles
from kvbarrier.reductions import coset_kernels as kernels
from kvbarrier.reductions.coset_attention import Cosets, Words
from kvbarrier.reductions.keys import make

NAIVE = Path(__file__).parents[1] / "naive"
naive = SimpleNamespace(**runpy.run_path(str(NAIVE / "coset_attention.py")))
oracle = runpy.run_path(str(NAIVE / "attention.py"))["oracle"]


def game(name, n, d, scale, share=1.0, seed=0, width=5):
    """Queries C k of all keys, own tokens, a random subset of the keys in random order, values."""
    rng = np.random.default_rng(seed)
    keys = make(name, n, d).rows
    K = np.ascontiguousarray(keys[rng.permutation(n)[: max(1, int(share * n))]])
    Q = (scale * keys.astype(np.float64)).astype(np.float32)
    Kq, Vq, V = (
        rng.standard_normal(s).astype(np.float32) for s in ((n, d), (n, width), (len(K), width))
    )
    return Q, 0.1 * Kq, Vq, K, V


# Scales about the tight one, at which a lost key's row weighs all others alike and a kept key's
# own weight is some thousands.
SETS = [
    ("kerdock", 256, 16, 8.0), ("kerdock", 100, 16, 6.0), ("gold", 512, 16, 7.0),
    ("gold", 1024, 32, 9.0), ("bch", 1024, 32, 8.0), ("delsarte-goethals", 2048, 16, 7.0),
    ("rm1", 32, 16, 9.0), ("rm2", 1024, 16, 6.0), ("kerdock", 16, 4, 3.0),
]  # fmt: skip


@pytest.mark.parametrize("case", SETS, ids=lambda c: f"{c[0]}-{c[1]}")
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("own", [True, False])
def test_outputs_are_those_of_real_numbers(case, share, own):
    Q, Kq, Vq, K, V = game(*case, share)
    plan = Cosets.of(Q, K)
    if plan is None:  # so few keys kept that there are about as many cosets
        assert share == 0.1
        return
    scores = np.einsum("ij,ij->i", Q.astype(float), Kq.astype(float))
    got = plan.outputs((scores, Vq) if own else None, V)
    exact = oracle(Q, Kq, Vq, K, V) if own else oracle(Q, None, None, K, V)
    assert got.dtype == np.float32
    # 2^-25 from the convolution and 2^-24 from the last rounding, of the largest value.
    largest = max(np.abs(V).max(), np.abs(Vq).max())
    assert np.abs(got - exact).max() <= (2.0**-25 + 2.0**-24) * largest


def test_with_kerdock_keys_the_weight_is_linear_in_the_score():
    # The formula of the module docstring, written out with plain products of float64.
    Q, _, _, K, V = game("kerdock", 256, 16, 7.0, share=0.6)
    gamma, z = 7.0, 7.0 / 4  # sqrt(16) = 4; entries 1/4 are exact
    unit, k, v = Q / 7.0, K.astype(float), V.astype(float)

    def total(u):  # of the weights times u
        linear = np.cosh(z) * u.sum(axis=0) + 4 * np.sinh(z) * unit @ (k.T @ u)
        frame = np.arange(256) // 32  # a coset is 32 keys
        own_frame = (
            np.array(
                [np.flatnonzero((make("kerdock", 256, 16).rows == row).all(axis=1))[0] for row in K]
            )
            // 32
        )
        for i in range(256):
            mates = own_frame == frame[i]
            products = np.rint(k[mates] @ unit[i])  # 0, 1 or -1
            weight = np.exp(gamma * products) - (np.cosh(z) + 4 * np.sinh(z) * products)
            linear[i] += weight @ u[mates]
        return linear

    want = total(v) / total(np.ones((len(v), 1)))
    got = Cosets.of(Q, K).outputs(None, V)
    assert np.abs(got - want).max() < 1e-6


def test_a_coset_may_have_lost_all_its_keys():
    Q = game("kerdock", 256, 16, 8.0)[0]
    K = make("kerdock", 256, 16).rows[32:]
    V = np.random.default_rng(2).standard_normal((224, 5)).astype(np.float32)
    got = Cosets.of(Q, np.ascontiguousarray(K)).outputs(None, V)
    assert np.abs(got - oracle(Q, None, None, K, V)).max() < 5e-7


def test_the_key_of_a_lost_row_may_have_its_negative_kept():
    keys = make("rm1", 16, 8).rows
    Q, K = 5 * keys, keys[8:]  # the negatives of keys 0..7
    V = np.eye(8, dtype=np.float32)
    got = Cosets.of(Q, np.ascontiguousarray(K)).outputs(None, V)
    w = math.exp(-5.0)  # by hand: the opposite key weighs e^-5, the seven others 1
    want = (np.ones((8, 8)) + (w - 1) * np.eye(8)) / (7 + w)
    assert np.abs(got[:8] - want).max() < 1e-7


def test_a_large_scale_leaves_the_lost_rows_right():
    # Against e^600 a float64 has nothing left of the other weights: they must not meet.
    keys = make("rm1", 64, 32).rows
    K = np.ascontiguousarray(keys[1:])
    V = np.random.default_rng(0).standard_normal((63, 3)).astype(np.float32)
    got = Cosets.of((600 * keys).astype(np.float32), K).outputs(None, V)
    assert np.abs(got[1:] - V).max() < 1e-6
    others = np.arange(63) != 31  # key 32 is -k_0: it weighs e^-600
    assert np.abs(got[0] - V[others].astype(float).mean(axis=0)).max() < 1e-7


DECLINED = {
    "a zero": lambda Q, K: K.__setitem__((3, 2), 0),
    "a number one step off": lambda Q, K: K.__setitem__(
        (3, 2), np.nextafter(K[3, 2], np.float32(2))
    ),
    "a query of another scale": lambda Q, K: Q.__setitem__(7, 2 * Q[7]),
    "a key stored twice": lambda Q, K: K.__setitem__(5, K[6]),
    "a NaN": lambda Q, K: K.__setitem__((3, 2), np.nan),
    "scores too large": lambda Q, K: Q.__imul__(4),
    "an infinity": lambda Q, K: Q.__imul__(np.float32(np.inf)),
}


@pytest.mark.parametrize("why", DECLINED)
def test_it_declines(why):
    Q, _, _, K, _ = game("kerdock", 256, 16, 8.0, share=0.5)
    assert Cosets.of(Q, K) is not None
    with np.errstate(over="ignore"):
        DECLINED[why](Q, K)
    assert Cosets.of(Q, K) is None


def test_one_key_alone_may_be_the_negative_of_the_query():
    # Its weight e^-20 is below the rounding of what others would weigh: it is left to the tiles.
    keys = make("rm1", 16, 8).rows
    Q = np.tile((20 * keys).astype(np.float32), (64, 1))
    assert Cosets.of(Q, keys[8:9].copy()) is None
    V = np.float32([[0.7], [0.1]])
    got = Cosets.of(Q, keys[8:10].copy()).outputs(None, V)  # -k_0 and -k_1
    w = math.exp(-20.0)
    assert got[:2, 0] == pytest.approx(
        [(0.7 * w + 0.1) / (1 + w), (0.7 + 0.1 * w) / (1 + w)], rel=2e-7
    )


def test_it_declines_random_signs_and_other_dimensions():
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], (600, 32)).astype(np.float32)
    assert Cosets.of(signs, signs) is None  # about as many cosets as keys
    assert Cosets.of(signs[:, :12].copy(), signs[:, :12].copy()) is None
    assert Cosets.of(signs, signs[:0]) is None


def test_keys_of_too_many_cosets_are_not_looked_at(monkeypatch):
    # 1000 queries of as many cosets, 2^16 keys of 2^10 at least: 2^25 weights and more.
    looked, plain = [], Words.of
    monkeypatch.setattr(Words, "of", lambda rows: looked.append(len(rows)) or plain(rows))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (1 << 16, 32)).astype(np.float32)
    assert Cosets.of(signs[:1000], signs) is None
    assert looked == [1000]


# -- the kernels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 5), (2, 4, 1), (3, 8, 7), (2, 64, 64)])
def test_walsh_matches_its_twin(shape):
    A = np.random.default_rng(0).integers(-9, 9, shape).astype(float)
    want = A.copy()
    kernels.walsh(A)
    naive.walsh(want)
    assert np.array_equal(A, want)


def test_place_and_gather_match_their_twins():
    rng = np.random.default_rng(1)
    t, m, cosets, d, w = 40, 30, 5, 8, 3
    V, own = (
        rng.standard_normal((t, w)).astype(np.float32),
        rng.standard_normal((m, w)).astype(np.float32),
    )
    spots = [rng.integers(0, cosets, t), rng.integers(0, d, t), rng.choice([-1.0, 1.0], t)]
    sums, want = np.zeros((2, cosets, d, w)), np.zeros((2, cosets, d, w))
    kernels.place(V, *spots, sums[0], sums[1])
    naive.place(V, *spots, want[0], want[1])
    assert np.allclose(sums, want, rtol=0, atol=1e-14)
    spots = [rng.integers(0, cosets, m), rng.integers(0, d, m), rng.choice([-1.0, 1.0], m)]
    near = rng.integers(-1, t, (2, m))
    weights = rng.random((m, 4))
    weights[:, 1:3] *= (near >= 0).T
    out, expected = np.empty((m, w), np.float32), np.empty((m, w), np.float32)
    kernels.gather(sums[0], sums[1], *spots, *near, V, own, weights, out)
    naive.gather(sums[0], sums[1], *spots, *near, V, own, weights, expected)
    assert np.allclose(out, expected, rtol=0, atol=1e-6)


def test_words_say_where_each_key_stands():
    # kerdock's order: coset l div 2d, sign (l mod 2d) div d, linear part l mod d plus that of Q_s,
    # which is one for the coset.
    words = Words.of(make("kerdock", 256, 16).rows)
    l = np.arange(256)
    shift = words.linear ^ (l % 16)
    assert (shift == np.repeat(shift[::32], 32)).all()
    assert (words.sign == 1 - 2.0 * (l % 32 // 16)).all()
    numbers = words.coset[::32]
    assert sorted(numbers) == list(range(8))
    assert (words.coset == np.repeat(numbers, 32)).all()


# -- the doors ------------------------------------------------------------------------------------


@pytest.fixture
def no_tiles(monkeypatch):
    """Whoever computes score by score fails."""

    def refuse(*_):
        raise AssertionError("tiles")

    monkeypatch.setattr(tiles, "_scores", refuse)
    monkeypatch.setattr(doors, "_COSETS", doors.Memo(1 << 26))


def test_all_doors_go_through_cosets(no_tiles):
    Q, Kq, Vq, K, V = game("kerdock", 256, 16, 8.0, share=0.5)
    for _ in range(2):  # found, then remembered
        exact = oracle(Q, Kq, Vq, K, V)
        assert np.abs(doors.next_outputs(Q, Kq, Vq, K, V) - exact).max() < 1e-6
        bits = doors.next_bits(Q, Kq, Vq, K, V, np.full(256, 0.1))
        assert (bits == (exact > np.float32(0.1)))[np.abs(exact - np.float32(0.1)) > 1e-6].all()
        alone = oracle(Q, None, None, K, V)
        assert np.abs(doors.block_outputs(Q, K, V) - alone).max() < 1e-6
        V = -V
    assert len(doors._COSETS._held) == 1


def test_a_perturbed_key_is_answered_as_it_is(monkeypatch):
    Q, Kq, Vq, K, V = game("kerdock", 256, 16, 8.0, share=0.5)
    before = doors.next_outputs(Q, Kq, Vq, K, V)
    K[4] *= np.float32(1.1)
    after = doors.next_outputs(Q, Kq, Vq, K, V)
    assert np.abs(after - oracle(Q, Kq, Vq, K, V)).max() < 1e-5
    assert np.abs(after - before).max() > 1e-2


def test_keys_without_a_number_have_equal_weights():
    nothing = np.zeros((3, 0), dtype=np.float32)
    got = doors.block_outputs(nothing, nothing, [[1.0], [2.0], [6.0]])
    assert got == pytest.approx(np.full((3, 1), 3.0), rel=1e-6)


def test_an_own_score_that_is_no_number_is_refused():
    from kvbarrier.errors import BadInput

    Q, Kq, Vq, K, V = game("kerdock", 256, 16, 8.0)
    Kq[9, 1] = np.nan
    with pytest.raises(BadInput, match="NaN"):
        doors.next_outputs(Q, Kq, Vq, K, V)


OFF = """
import sys, numpy as np
from kvbarrier.reductions import coset_kernels as kernels
from kvbarrier.reductions.coset_attention import Cosets
given = np.load(sys.argv[1])
print(type(kernels.walsh).__name__)
plan = Cosets.of(given["Q"], given["K"])
np.save(sys.argv[2], plan.outputs((given["scores"], given["Vq"]), given["V"]))
"""


def test_without_the_jit_the_same_comes_out(tmp_path):
    Q, Kq, Vq, K, V = game("kerdock", 256, 16, 8.0, share=0.5)
    scores = np.einsum("ij,ij->i", Q.astype(float), Kq.astype(float))
    np.savez(tmp_path / "in.npz", Q=Q, K=K, V=V, Vq=Vq, scores=scores)
    run = subprocess.run(
        [sys.executable, "-c", OFF, tmp_path / "in.npz", tmp_path / "out.npy"],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.strip() == "function"
    on = Cosets.of(Q, K).outputs((scores, Vq), V)
    assert np.abs(np.load(tmp_path / "out.npy") - on).max() <= 2.0**-23 * np.abs(V).max()
