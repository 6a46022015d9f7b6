"""The all-index decode: float64 oracle, kernel twins, the dominance test, JIT on and off."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kvbarrier.errors import BadInput
from kvbarrier.reductions import attention as doors
from kvbarrier.reductions import attention_kernels as kernels
from kvbarrier.reductions import attention_tiles as tiles
from kvbarrier.reductions.blas import one_thread

naive = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "naive" / "attention.py")))
U = 2.0**-24


def batch(m, t, d_k, d_v, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    made = [rng.standard_normal(s) for s in ((m, d_k), (m, d_k), (m, d_v), (t, d_k), (t, d_v))]
    made[0] *= scale
    return [a.astype(np.float32) for a in made]


def tolerance(Q, Kq, V, Vq, K):
    """Each weight is off by a factor within e^{+-x}, so an output by (e^{2x} - 1) max|v|."""
    keys = np.vstack([K, Kq]) if Kq is not None else K
    reach = np.linalg.norm(Q, axis=1) * np.linalg.norm(keys, axis=1).max()
    largest = max(np.abs(V).max(initial=0), 0 if Vq is None else np.abs(Vq).max(initial=0))
    x = (Q.shape[1] + 5) * U * reach + 4e-7
    return (np.expm1(2 * x) * largest + 1e-5 * largest)[:, None]


# Around every cut: blocks of 1024 rows, tiles of 256 keys a full block and of 1024 a thin one.
SHAPES = [
    (1, 0, 3, 2), (1, 1, 1, 1), (3, 5, 2, 7), (7, 1025, 4, 3), (40, 2050, 8, 5),
    (1023, 257, 16, 8), (1024, 256, 64, 64), (1025, 300, 8, 4), (2060, 600, 16, 5), (0, 4, 2, 2),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 8.0])
def test_next_outputs_match_the_oracle(shape, scale):
    Q, Kq, Vq, K, V = batch(*shape, scale=scale)
    got = doors.next_outputs(Q, Kq, Vq, K, V)
    assert got.dtype == np.float32
    assert got.shape == (shape[0], shape[3])
    error = np.abs(got - naive.oracle(Q, Kq, Vq, K, V))
    assert (error <= tolerance(Q, Kq, V, Vq, K)).all()


@pytest.mark.parametrize("shape", [s for s in SHAPES if s[1]])
def test_block_outputs_match_the_oracle(shape):
    Q, _, _, K, V = batch(*shape, scale=2.0)
    error = np.abs(doors.block_outputs(Q, K, V) - naive.oracle(Q, None, None, K, V))
    assert (error <= tolerance(Q, None, V, None, K)).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_scores_of_a_hundred_thousand(sign):
    # Integer scores are exact in float32: 1e5 and 1e5 - 1, weights e : 1.
    q, k = [[1000.0, 0.0]], [[sign * 100.0, 0], [sign * 100.0 - 0.001, 0], [-200.0, 0]]
    got = doors.next_outputs(q, [[-300.0, 0.0]], [[9.0]], k, [[1.0], [0.0], [5.0]])
    assert got[0, 0] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-2)


def test_a_bad_batch_is_refused():
    Q, Kq, Vq, K, V = batch(4, 5, 3, 2)
    with pytest.raises(BadInput, match="Vq has shape"):
        doors.next_outputs(Q, Kq, Vq[:, :1], K, V)
    with pytest.raises(BadInput, match="one threshold for each"):
        doors.next_bits(Q, Kq, Vq, K, V, np.zeros(3))
    with pytest.raises(BadInput, match="overflow"):
        doors.next_outputs(Q * np.float32(1e25), Kq * np.float32(1e25), Vq, K, V)
    Q[2, 1] = np.nan
    with pytest.raises(BadInput, match="NaN"):
        doors.next_outputs(Q, Kq, Vq, K, V)
    with pytest.raises(BadInput, match="append a token"):
        doors.block_outputs(Kq, K[:0], V[:0])
    with pytest.raises(BadInput, match="append a token"):
        doors.next_bits(Kq, None, None, K[:0], V[:0], np.zeros(4))


# -- the kernels ----------------------------------------------------------------------------------


def test_exp2_over_its_whole_range():
    y = np.linspace(-126, 0, 1_000_001).astype(np.float32)[1:]
    S = y[None].copy()
    top, total, O = np.zeros(1, np.float32), np.zeros(1), np.zeros((1, 1), np.float32)
    kernels.weigh_tile(S, top, total, O)
    assert np.abs(S[0] / np.exp2(y.astype(np.float64)) - 1).max() < 3e-7
    S = np.array([[0.0, -126.5, -1e4]], dtype=np.float32)
    kernels.weigh_tile(S, top, total, O)
    assert S[0].tolist() == pytest.approx([1.0, 0.0, 0.0], rel=3e-7)


def test_vanishing_weights_do_not_add_up_at_a_large_scale():
    # At C = 300 a 0 bit's output lies below 1e-38; a floor under the weights would exceed its cut.
    from kvbarrier.protocols.game.instances import Index

    reduction = Index(n=512, d=64, scale=300.0).build()
    x = np.random.default_rng(3).integers(0, 2, (512, 64), dtype=np.uint8)
    _, K, V = reduction.stream(x)
    outputs = doors.next_outputs(*reduction.queries(), K, V)
    assert np.array_equal(reduction.decode(outputs), x)
    bits = doors.next_bits(*reduction.queries(), K, V, reduction.thresholds())
    assert np.array_equal(bits, x.astype(bool))


def test_exp2_above_is_a_close_upper_bound():
    y = np.linspace(-126, 0, 300_001).astype(np.float32)
    ratio = np.array([kernels.exp2_above(v) for v in y[:: 1 if JIT else 50]], dtype=np.float64)
    ratio /= np.exp2(y[:: 1 if JIT else 50].astype(np.float64))
    assert ratio.min() > 1 - 3e-6 - 2.0**-22
    assert ratio.max() < 2 / (np.e * np.log(2)) + 3e-6  # (1 + f) 2^-f at f = 1/ln 2 - 1
    assert ratio.max() > 1.06
    assert kernels.exp2_above(np.float32(0)) == 1.0  # the top term is exact
    assert kernels.exp2_above(np.float32(-1e6)) == 2.0**-126


JIT = not kernels.config.DISABLE_JIT


def tile(rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    S = (rng.standard_normal((rows, columns)) * 9).astype(np.float32)
    top = (rng.standard_normal(rows) * 20).astype(np.float32)
    top[:2] = np.finfo(np.float32).min  # no token yet
    return S, top, np.where(top > -1e30, rng.uniform(1, 3, rows), 0.0)


@pytest.mark.parametrize("columns", [1, 7, 32, 257])
def test_bound_tile_is_an_upper_bound_on_its_twin(columns):
    S, top, total = tile(40, columns)
    argtop = np.full(40, -1)
    want = [a.copy() for a in (S, top, argtop, total)]
    kernels.bound_tile(S, 100, top, argtop, total)
    naive.bound_tile(want[0], 100, want[1], want[2], want[3])
    assert np.array_equal(S, want[0])
    assert (top == want[1]).all()
    assert (argtop == want[2]).all()
    assert (total >= want[3] * (1 - doors.SUM_ROUNDING)).all()
    assert (total <= want[3] * 1.0616 + columns * 2.0**-126).all()


@pytest.mark.parametrize("columns", [1, 7, 32, 257])
def test_weigh_tile_matches_its_twin(columns):
    S, top, total = tile(40, columns)
    O = np.random.default_rng(1).standard_normal((40, 5)).astype(np.float32)
    want = [a.copy() for a in (S, top, total, O)]
    kernels.weigh_tile(S, top, total, O)
    naive.weigh_tile(*want)
    assert (top == want[1]).all()
    for got, expected in zip((S, total, O), (want[0], want[2], want[3]), strict=True):
        # score - maximum is rounded to float32: up to 128 u ln 2 in the exponent.
        assert np.allclose(got, expected, rtol=6e-6, atol=1e-37)


def test_settle_rows_matches_its_twin():
    rng = np.random.default_rng(0)
    V = rng.choice([0.0, 0.25, 1.0], (30, 6)).astype(np.float32)
    argtop = rng.integers(-1, 30, 200)
    rest, theta = rng.exponential(0.5, 200), rng.uniform(-0.3, 1.3, 200)
    rest[:5] = 0.0
    bits, want = np.zeros((200, 6), bool), np.zeros((200, 6), bool)
    left = kernels.settle_rows(V, argtop, rest, theta, 0.0, 1.0, bits)
    expected = naive.settle_rows(V, argtop, rest, theta, 0.0, 1.0, want)
    assert left.tolist() == expected.tolist()
    settled = np.setdiff1d(np.arange(200), left)
    assert 20 < len(settled) < 180
    assert (bits[settled] == want[settled]).all()


# -- dominance ------------------------------------------------------------------------------------


def keyed(n, d, C, values, seed=0):
    """The Index game's batch: unit keys, q = C k, own token zero."""
    rng = np.random.default_rng(seed)
    K = rng.standard_normal((n, d))
    K = (K / np.linalg.norm(K, axis=1, keepdims=True)).astype(np.float32)
    V = rng.choice(values, (n, d)).astype(np.float32)
    return (C * K).astype(np.float32), np.zeros_like(K), np.zeros_like(V), K, V


VALUES = {"01": ([0.0, 1.0], 0.45), "pm1": ([-1.0, 1.0], 0.0), "many": ([-2, 0.3, 1, 4.5], 0.5)}


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("C", [3.0, 9.0, 12.0, 25.0])
def test_bits_are_the_outputs_bits(values, C):
    alphabet, theta = VALUES[values]
    Q, Kq, Vq, K, V = keyed(700, 64, C, alphabet)
    K, V = K[::2], V[::2]  # half of the keys are gone: those rows have no heavy weight
    exact = naive.oracle(Q, Kq, Vq, K, V)
    thresholds = np.full(700, theta, dtype=np.float32)
    clear = np.abs(exact - thresholds[:, None].astype(np.float64)) > tolerance(Q, Kq, V, Vq, K)
    assert clear.mean() > 0.9
    for dominance in (True, False):
        bits = doors.next_bits(Q, Kq, Vq, K, V, thresholds, dominance=dominance)
        assert (bits == (exact > thresholds[:, None]))[clear].all()


def undecided(Q, Kq, Vq, K, V, theta):
    found = tiles.heaviest(Q, Kq, K, np.full(len(Q), 1e-3))
    return tiles.dominated_bits(found, Vq, V, np.full(len(Q), theta))[1]


def test_dominance_settles_every_row_of_an_exact_cache_and_hardly_one_of_a_lost_key():
    Q, Kq, Vq, K, V = keyed(600, 64, 14.0, [0.0, 1.0])
    assert len(undecided(Q, Kq, Vq, K, V, 0.45)) == 0
    # Keys 0..299 lost. Rows 300.. are settled or, behind a block that failed, not asked.
    left = undecided(Q, Kq, Vq, K[300:], V[300:], 0.45).tolist()
    assert len(left) == len(set(left))
    assert len(set(left) & set(range(300))) > 290


def test_a_few_rows_are_asked_first_after_a_block_that_failed():
    # Keys of block 0 (1024 rows) lost, of block 1 kept: its first 32 rows find out, all settle.
    Q, Kq, Vq, K, V = keyed(2048, 64, 16.0, [0.0, 1.0])
    left = undecided(Q, Kq, Vq, K[1024:], V[1024:], 0.45)
    assert set(left.tolist()) <= set(range(1024))
    assert len(left) > 980
    # The other way round block 1 is asked in full, fails, and block 2 is only sampled.
    Q, Kq, Vq, K, V = keyed(3072, 64, 16.0, [0.0, 1.0])
    left = undecided(Q, Kq, Vq, K[:1024], V[:1024], 0.45)
    assert set(left.tolist()) <= set(range(1024, 3072))
    assert set(range(2048 + 32, 3072)) <= set(left.tolist())


@given(st.integers(0, 2**32), st.integers(1, 6), st.floats(-3, 3), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_settled_row_is_never_wrong(seed, t, theta, own):
    # Tiny caches, scores of every size, thresholds anywhere: dominance often only just holds.
    rng = np.random.default_rng(seed)
    Q = (rng.standard_normal((8, 2)) * rng.exponential(4)).astype(np.float32)
    K, V = rng.standard_normal((t, 2)), rng.choice([-1, 0, 0.5, 2], (t, 3))
    Kq, Vq = rng.standard_normal((8, 2)), rng.choice([-1, 0, 3], (8, 3))
    K, V, Kq, Vq = (a.astype(np.float32) for a in (K, V, Kq, Vq))
    if not own:
        Kq = Vq = None
    thresholds = np.full(8, theta, dtype=np.float32)
    reach = np.full(8, doors._reach((Q, None if Kq is None else (Kq, Vq), K, V)))
    slack = np.expm1(2 * 7 * U * reach + doors.SUM_ROUNDING)
    found = tiles.heaviest(Q, Kq, K, slack)
    bits, left = tiles.dominated_bits(found, Vq, V, thresholds.astype(float))
    settled = np.setdiff1d(np.arange(8), left)
    exact = naive.oracle(Q, Kq, Vq, K, V)
    sure = np.abs(exact - thresholds.astype(float)[:, None]) > 1e-12
    right = bits == (exact > thresholds[:, None].astype(float))
    assert (right | ~sure)[settled].all()


def test_a_row_that_only_just_dominates_is_not_settled():
    # Two tokens with values 1 and 0, threshold 1/2: bit 1 iff s_0 > s_1. Scores one ulp apart are
    # inside the slack, scores 0.2 apart are not (the chord bound costs at most 6.2 %).
    theta = np.array([0.5])
    for gap, settled in [(0.0, False), (1e-7, False), (1e-4, False), (0.2, True)]:
        K = np.array([[1 + gap], [1.0]], dtype=np.float32)
        V = np.array([[1.0], [0.0]], dtype=np.float32)
        slack = np.expm1(2 * 6 * U * np.array([1.2]) + doors.SUM_ROUNDING)
        found = tiles.heaviest(np.ones((1, 1), np.float32), None, K, slack)
        _, left = tiles.dominated_bits(found, None, V, theta)
        assert (len(left) == 0) == settled


# -- what is remembered ---------------------------------------------------------------------------


@pytest.fixture
def products(monkeypatch):
    """The shapes of the products of queries and keys that are made."""
    made, scores = [], tiles._scores
    monkeypatch.setattr(
        tiles, "_scores", lambda q, k, s: made.append((len(q), len(k))) or scores(q, k, s)
    )
    monkeypatch.setattr(doors, "_KNOWN", doors.Memo(1 << 26))
    return made


def test_a_second_message_with_the_same_keys_costs_no_product(products):
    Q, Kq, Vq, K, V = keyed(600, 64, 14.0, [0.0, 1.0])
    theta = np.full(600, 0.45, np.float32)
    assert (doors.next_bits(Q, Kq, Vq, K, V, theta) == (V > 0.5)).all()
    assert len(products) > 0
    products.clear()
    # Other arrays with the same numbers, and the complement of each value.
    assert (doors.next_bits(Q.copy(), Kq, Vq, K.copy(), 1 - V, theta) == (V < 0.5)).all()
    assert products == []
    # Without own tokens the sums are others.
    assert (doors.next_bits(Q, None, None, K, V, theta) == (V > 0.5)).all()
    assert len(products) > 0


@pytest.mark.parametrize("which", ["Q", "Kq", "K"])
def test_one_changed_number_is_another_key_set(products, which):
    Q, Kq, Vq, K, V = keyed(600, 64, 14.0, [0.0, 1.0])
    theta = np.full(600, 0.45, np.float32)
    doors.next_bits(Q, Kq, Vq, K, V, theta)
    products.clear()
    # In place: what is remembered must be a copy.
    changed = {"Q": Q, "Kq": Kq, "K": K}[which]
    changed[599] = 0.9 * K[3] if which == "K" else Q[3]
    exact = naive.oracle(Q, Kq, Vq, K, V)
    assert (doors.next_bits(Q, Kq, Vq, K, V, theta) == (exact > 0.45)).all()
    assert len(products) > 0


def test_the_bits_of_a_message_do_not_depend_on_those_before_it(products):
    # Keys of block 0 lost, and values by which rows of lost keys are settled as well (all are 1).
    Q, Kq, Vq, K, V = keyed(2048, 64, 9.0, [0.0, 1.0])
    K, V, theta = K[1024:], V[1024:], np.full(2048, 0.45, np.float32)
    found = []
    for values in (np.ones_like(V), V):
        doors._KNOWN = doors.Memo(1 << 26)
        doors.next_bits(Q, Kq, Vq, K, values, theta)
        found.append(doors._KNOWN.find((Q, K, Kq)))
    assert (found[0].key == found[1].key).all()
    assert (found[0].rest == found[1].rest).all()


def test_scores_that_overflow_are_refused_again(products):
    Q, Kq, Vq, K, V = keyed(40, 16, 9.0, [0.0, 1.0])
    for _ in range(2):
        with pytest.raises(BadInput, match="overflow"):
            doors.next_bits(Q * 1e30, Kq, Vq, K * 1e30, V, np.full(40, 0.45))


# -- threads, start-up ----------------------------------------------------------------------------


def test_blas_has_one_thread_inside_and_its_own_number_after():
    import threadpoolctl

    def blas():
        return [
            x["num_threads"] for x in threadpoolctl.threadpool_info() if x["user_api"] == "blas"
        ]

    with threadpoolctl.threadpool_limits(2, "blas"):
        before = blas()
        with one_thread:
            assert set(blas()) == {1}
        assert blas() == before
        # Overlapping threads: a enters, b enters, a leaves, b leaves.
        one_thread.__enter__()
        one_thread.__enter__()
        one_thread.__exit__(None, None, None)
        assert set(blas()) == {1}
        one_thread.__exit__(None, None, None)
        assert blas() == before


def test_the_definitions_do_not_import_numba():
    code = "import sys, kvbarrier.reductions.attention; print('numba' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


OFF = """
import sys, numpy as np
from kvbarrier.reductions import attention as doors, attention_kernels as kernels
given = np.load(sys.argv[1])
rows = [given[k] for k in ("Q", "Kq", "Vq", "K", "V")]
print(kernels.config.DISABLE_JIT)
np.savez(sys.argv[2], out=doors.next_outputs(*rows), theta=given["theta"],
         bits=doors.next_bits(*rows, given["theta"]))
"""


def test_without_the_jit_the_same_comes_out(tmp_path):
    Q, Kq, Vq, K, V = keyed(40, 16, 9.0, [0.0, 1.0])
    K, V, theta = K[:30], V[:30], np.full(40, 0.45, dtype=np.float32)
    np.savez(tmp_path / "in.npz", Q=Q, Kq=Kq, Vq=Vq, K=K, V=V, theta=theta)
    run = subprocess.run(
        [sys.executable, "-c", OFF, tmp_path / "in.npz", tmp_path / "out.npz"],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.strip() == "1"
    off = np.load(tmp_path / "out.npz")
    out = doors.next_outputs(Q, Kq, Vq, K, V)
    # Fused multiply-adds and the order of sums differ: a few float32 roundings, no more.
    assert np.abs(off["out"] - out).max() < 2e-6
    assert (off["bits"] == doors.next_bits(Q, Kq, Vq, K, V, theta)).all()


def test_threads_have_scores_of_their_own_and_calls_share_them():
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    meet = Barrier(2)

    def room():
        meet.wait()
        return tiles._scratch(), tiles._scratch()

    with ThreadPoolExecutor(2) as pool:
        (one, again), (other, _) = (f.result() for f in [pool.submit(room), pool.submit(room)])
    assert one is again
    assert one is not other
