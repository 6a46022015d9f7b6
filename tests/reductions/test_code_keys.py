"""Keys from codes: published parameters and weights, brute-force Gram matrices, exact scales."""

from __future__ import annotations

import math
import pickle
import time
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions import keys
from kvbarrier.reductions.index import IndexReduction
from kvbarrier.reductions.interference import coherence, query_interference, tight_scale
from kvbarrier.reductions.keys import LazyKeySet, base
from kvbarrier.reductions.keys.cosets import LinearForms, sign_entry, walsh_counts
from kvbarrier.reductions.keys.devore import PolynomialGraphs, agreements
from kvbarrier.reductions.keys.gf2m import POLYNOMIALS, coset_size, power, product, trace
from kvbarrier.reductions.keys.gf2m import trace_functions as functions
from kvbarrier.reductions.keys.greedy import farthest_first
from kvbarrier.reductions.keys.reed_muller import monomials, second_order_counts, symplectic_forms
from kvbarrier.reductions.keys.trace_codes import goethals_forms, trace_counts, trace_keys
from kvbarrier.reductions.limit import index_limit
from kvbarrier.reductions.quadratic_forms import gold_forms


def weights(made: keys.KeySet) -> Counter[int]:
    """The weight enumerator of a sign code, from its spectrum: <k_l,k_i> = (d - 2w) r^2."""
    spectrum, square = made.spectrum, Fraction(float(sign_entry(made.d))) ** 2
    assert spectrum is not None
    found = {(made.d - p / square) / 2: count for p, count in spectrum.counts}
    assert all(w.denominator == 1 for w in found)
    return Counter({0: 1}) + Counter({int(w): count for w, count in found.items()})


def dual_weights(code: Counter[int], d: int) -> Counter[int]:
    """MacWilliams: sum_w A_w (1-z)^w (1+z)^{d-w} / |C|, in exact integers."""
    total = [0] * (d + 1)
    for w, count in code.items():
        for j in range(d + 1):
            krawtchouk = sum(
                (-1) ** i * math.comb(w, i) * math.comb(d - w, j - i) for i in range(j + 1)
            )
            total[j] += count * krawtchouk
    size = sum(code.values())
    assert all(value % size == 0 and value >= 0 for value in total)
    return +Counter({j: value // size for j, value in enumerate(total)})


# [d, k, least distance]. MacWilliams & Sloane 1977: ch. 13 (Reed-Muller), ch. 15 (Kerdock, Gold,
# Delsarte-Goethals (64, 2^17, 24) and (256, 2^23, 112)), ch. 9 (BCH [n,k,d], each one longer here).
PUBLISHED = [
    *(("rm1", 2**m, m + 1, 2 ** (m - 1)) for m in (2, 5, 6, 10)),
    *(("rm2", 2**m, 1 + m + m * (m - 1) // 2, 2 ** (m - 2)) for m in (4, 5, 6, 7, 10)),
    ("kerdock", 16, 8, 6), ("kerdock", 64, 12, 28), ("kerdock", 256, 16, 120),
    ("gold", 8, 7, 2), ("gold", 32, 11, 12), ("gold", 64, 13, 24), ("gold", 128, 15, 56),
    ("gold", 512, 19, 240),
    ("delsarte-goethals", 16, 11, 4), ("delsarte-goethals", 64, 17, 24),
    ("delsarte-goethals", 256, 23, 112),
    ("bch", 16, 7, 6), ("bch", 16, 11, 4),
    ("bch", 32, 11, 12), ("bch", 32, 16, 8), ("bch", 32, 21, 6),
    ("bch", 64, 10, 28), ("bch", 64, 16, 24), ("bch", 64, 18, 22), ("bch", 64, 24, 16),
    ("bch", 128, 15, 56), ("bch", 128, 22, 48), ("bch", 128, 29, 44),
    ("bch", 256, 13, 120), ("bch", 256, 21, 112), ("bch", 256, 29, 96),
]  # fmt: skip


@pytest.mark.parametrize(("name", "d", "k", "distance"), PUBLISHED)
def test_codes_have_the_published_parameters(name: str, d: int, k: int, distance: int) -> None:
    made = keys.make(name, 2**k, d)
    assert made.n == 2**k
    found = weights(made)
    assert found.total() == 2**k
    assert min(w for w in found if w) == distance
    assert coherence(made) == 1 - 2 * distance / d
    assert found[d] == 1  # the all-one word, so weights are symmetric
    assert all(found[w] == found[d - w] for w in found)
    if name != "bch":
        assert keys.default_n(name, d) == 2**k


# Published weight tables (d = 128: Desaki, Fujiwara, Kasami 1997), written down from memory before
# anything was computed; each sums to 2^k. Up to d/2, with w -> d - w.
WEIGHTS = {
    (64, 24): {
        0: 1, 16: 2604, 18: 10752, 22: 216576, 24: 291648, 26: 1645056, 28: 888832, 30: 4419072,
        32: 1828134,
    },
    (128, 29): {
        0: 1, 44: 373888, 48: 2546096, 52: 16044672, 56: 56408320, 60: 116750592, 64: 152623774,
    },
    (32, 16): {0: 1, 8: 620, 12: 13888, 16: 36518},
}  # fmt: skip


@pytest.mark.parametrize(("d", "k"), WEIGHTS)
def test_weight_enumerators_are_the_published_ones(d: int, k: int) -> None:
    found = weights(keys.make("bch", 2**k, d))
    assert {w: count for w, count in found.items() if w <= d // 2} == WEIGHTS[d, k]


def test_macwilliams_duals_are_what_theory_says() -> None:
    rm25 = weights(keys.make("rm2", None, 32))
    assert dual_weights(rm25, 32) == rm25  # RM(2,5) is its own dual
    dual = dual_weights(weights(keys.make("rm2", None, 64)), 64)  # RM(3,6), [64,42,8]
    assert (min(w for w in dual if w), dual[8], dual.total()) == (8, 11160, 2**42)
    # The dual of the narrow double-error-correcting code [32,21,6] is [32,11,12]: both are ours.
    assert dual_weights(weights(keys.make("bch", 2**11, 32)), 32) == weights(
        keys.make("bch", 2**21, 32)
    )
    for name, n, d, least in [
        ("gold", None, 64, 6), ("gold", None, 128, 6), ("bch", 2**22, 128, 8),
        ("kerdock", None, 64, 6), ("delsarte-goethals", None, 64, 8),
    ]:  # fmt: skip
        # Extended BCH codes correcting 2 and 3 errors; Preparata's and Goethals' distances.
        dual = dual_weights(weights(keys.make(name, n, d)), d)
        assert min(w for w in dual if w) == least


@pytest.mark.parametrize("m", [2, 3, 4, 5, 6])
def test_second_order_formula_is_what_a_count_gives(m: int) -> None:
    forms = LinearForms(monomials(m))
    assert second_order_counts(m) == walsh_counts(forms, range(2 ** len(monomials(m))), m)
    assert sum(symplectic_forms(m, r) for r in range(0, m + 1, 2)) == 2 ** len(monomials(m))


@pytest.mark.parametrize(
    ("name", "n", "d"),
    [
        ("rm1", 16, 8), ("rm2", 64, 8), ("rm2", 2048, 16), ("rm2", 1024, 32), ("rm2", 12, 16),
        ("gold", 128, 8), ("gold", 512, 16), ("gold", 2048, 32), ("gold", 64, 32),
        ("bch", 128, 16), ("bch", 64, 16), ("bch", 2048, 32), ("bch", 1024, 64), ("bch", 512, 256),
        ("delsarte-goethals", 2048, 16), ("delsarte-goethals", 512, 16),
        ("delsarte-goethals", 96, 16), ("kerdock", 256, 16),
    ],
)  # fmt: skip
def test_every_sign_key_sees_the_spectrum(name: str, n: int, d: int) -> None:
    """All pairs: the Gram matrix of the signs in whole numbers, each of its rows."""
    made = keys.make(name, n, d)
    assert made.spectrum is not None
    r = sign_entry(d)
    signs = (made.rows / r).astype(np.int64)
    assert (signs * r == made.rows).all()
    assert len(np.unique(signs, axis=0)) == n
    square = Fraction(float(r)) ** 2
    counts = {int(p / square): c for p, c in made.spectrum.counts}
    counts[d] = counts.get(d, 0) + 1
    for row in signs @ signs.T:
        values, found = np.unique(row, return_counts=True)
        assert dict(zip(values.tolist(), found.tolist(), strict=True)) == counts
    # and in rational arithmetic on the float32 numbers
    exact = [[Fraction(float(v)) for v in row] for row in made.rows[:40]]
    inner = {sum(a * b for a, b in zip(row, exact[1], strict=True)) for row in exact}
    assert inner <= {p for p, _ in made.spectrum.counts} | {made.spectrum.norm2}


@pytest.mark.parametrize(("n", "d"), [(4, 4), (16, 16), (64, 16), (256, 16), (512, 64), (121, 130)])
def test_every_devore_key_sees_the_spectrum(n: int, d: int) -> None:
    made = keys.make("devore", n, d)
    assert made.spectrum is not None
    q = round(made.spectrum.norm2 / Fraction(float(made.rows.max())) ** 2)
    graphs = (made.rows > 0).astype(np.int64)
    assert (graphs.sum(axis=1) == q).all()
    square = Fraction(float(np.float32(q**-0.5))) ** 2
    assert set(np.unique(made.rows)) == {np.float32(0), np.float32(q**-0.5)}
    assert not made.rows[:, q * q :].any()
    for i, row in enumerate(graphs @ graphs.T):
        found = Counter(np.delete(row, i).tolist())
        assert {value * square: count for value, count in found.items()} == dict(
            made.spectrum.counts
        )
    assert coherence(made) == pytest.approx((round(math.log(n, q)) - 1) / q)


def test_devore_keys_are_polynomials_of_low_degree() -> None:
    values = PolynomialGraphs(121, 3).values_at(np.arange(0, 11**4, 37))
    for _ in range(4):  # fourth differences of a cubic at consecutive points vanish
        values = np.diff(values, axis=1) % 11
    assert not values.any()
    # GF(8): y^8 = y, so the Frobenius map x^2 is a polynomial of degree 2 that is additive.
    square = PolynomialGraphs(64, 2).values_at(np.array([64]))[0]
    x = np.arange(8)
    assert (square[x[:, None] ^ x] == square[:, None] ^ square).all()
    assert sum(agreements(11, 4).values()) == 11**5 - 1


# Bounds at eta = 1/2 with |k| = 1: section B of the theory, to the decimals given there and more.
SCALES = [
    ("kerdock", None, 64, 10.04), ("bch", 2**16, 64, 13.52), ("rm2", None, 64, 19.45),
    ("gold", None, 128, 12.01), ("rm2", None, 32, 15.80), ("rm2", None, 16, 12.37),
    ("rm1", None, 64, 5.93), ("kerdock", None, 16, 7.83), ("kerdock", None, 256, 12.46),
    ("bch", 2**22, 128, 17.53), ("hypercube", 2**10, 64, 17.67), ("hypercube", 2**14, 64, 27.12),
    ("kissing", None, 8, 10.27), ("kissing", None, 24, 19.23),
]  # fmt: skip


@pytest.mark.parametrize(("name", "n", "d", "scale"), SCALES)
def test_exact_scales(name: str, n: int | None, d: int, scale: float) -> None:
    assert tight_scale(keys.make(name, n, d), 1 / 3) == pytest.approx(scale, abs=5.1e-3)


def test_other_tolerances_have_the_scales_of_the_table() -> None:
    for name, n, d, exact, nine in [
        ("kerdock", None, 64, 8.82, 12.11), ("bch", 2**16, 64, 12.19, 15.80),
        ("rm2", None, 64, 17.8, 22.4), ("gold", None, 128, 10.8, 14.0),
        ("bch", 2**22, 128, 16.3, 19.7), ("rm1", None, 64, 4.84, 7.78),
    ]:  # fmt: skip
        made = keys.make(name, n, d)
        assert tight_scale(made, 1.0) == pytest.approx(exact, abs=0.06)
        assert tight_scale(made, 1 / 19) == pytest.approx(nine, abs=0.06)


def least_distance(m: int, exponents: tuple[int, ...]) -> int:
    counts = trace_counts(m, exponents)
    counts[2**m] -= 1
    return 2 ** (m - 1) - max(abs(w) for w in +counts) // 2


def test_the_trap_at_64() -> None:
    """{x^3, x^9} and {x^5, x^9} are equally large; only the second has distance 24."""
    assert trace_counts(6, (3, 9)).total() == trace_counts(6, (5, 9)).total() == 2**9 * 64
    assert least_distance(6, (3, 9)) == 16
    assert least_distance(6, (5, 9)) == 24
    assert least_distance(6, (9,)) == 28
    chosen = keys.make("bch", 2**16, 64)
    assert coherence(chosen) == 0.25
    # Other choices that are as good as the BCH code's.
    assert least_distance(7, (3, 5)) == least_distance(7, (9, 5)) == 48
    assert least_distance(8, (3, 17)) == least_distance(8, (9, 17)) == 112


@pytest.mark.parametrize(
    ("m", "exponents"), [(5, (5, 3)), (6, (9, 5, 21)), (8, (17, 9)), (6, (3,))]
)
def test_orbits_count_what_all_forms_would(m: int, exponents: tuple[int, ...]) -> None:
    everything = trace_keys(m, exponents).forms
    forms = 2 ** sum(coset_size(e, m) for e in exponents)
    assert trace_counts(m, exponents) == walsh_counts(everything, range(forms), m)


@pytest.mark.parametrize("m", [4, 6])
def test_goethals_spectrum_is_the_same_from_every_form(m: int) -> None:
    forms, count = goethals_forms(m), 4 ** (m - 1)
    expected = walsh_counts(forms, range(count), m)
    for s in [*range(2 ** (m - 1)), count - 1, count // 2 + 3]:
        own = forms(np.array([s]))
        assert walsh_counts(lambda t, own=own: forms(t) ^ own, range(count), m) == expected
    # with g in a subspace, as for a smaller n
    part = count // 4
    expected = walsh_counts(forms, range(part), m)
    own = forms(np.array([part - 3]))
    assert walsh_counts(lambda t: forms(t) ^ own, range(part), m) == expected


def test_goethals_spectrum_at_256_from_three_forms() -> None:
    forms, count = goethals_forms(8), 4**7
    expected = walsh_counts(forms, range(count), 8)
    for s in (1, 77):
        own = forms(np.array([s]))
        assert walsh_counts(lambda t, own=own: forms(t) ^ own, range(count), 8) == expected


def test_goethals_begins_with_kerdock() -> None:
    made, kerdock = keys.make("delsarte-goethals", 4096, 64), keys.make("kerdock", None, 64)
    np.testing.assert_array_equal(made.rows, kerdock.rows)
    assert made.spectrum == kerdock.spectrum


def algebraic_degree(bits: np.ndarray) -> int:
    """The degree of the polynomial over GF(2), by the Moebius transform."""
    bits, m = bits.copy(), len(bits).bit_length() - 1
    for i in range(m):
        view = bits.reshape(-1, 2, 2**i)
        view[:, 1] ^= view[:, 0]
    return max((int(x).bit_count() for x in np.flatnonzero(bits)), default=0)


def test_words_have_the_degree_of_their_code() -> None:
    for name, d, degree in [
        ("rm1", 64, 1), ("rm2", 64, 2), ("gold", 64, 2), ("delsarte-goethals", 64, 2),
        ("bch", 64, 3), ("bch", 32, 3), ("bch", 256, 2),
    ]:  # fmt: skip
        made = keys.make(name, None, d)
        at = np.random.default_rng(0).integers(0, made.n, 60)
        rows = made.rows_at(at) < 0
        assert max(algebraic_degree(row.astype(np.uint8)) for row in rows) == degree


@pytest.mark.parametrize("m", POLYNOMIALS)
def test_fields(m: int) -> None:
    """x generates the nonzero elements, so the polynomial is primitive; products against Python."""
    two, order = np.array([2 if m > 1 else 1]), 2**m - 1
    assert power(two, order, m)[0] == 1
    for prime in {p for p in range(2, order + 1) if order % p == 0}:
        if all(prime % q for q in range(2, prime)) and order > 1:
            assert power(two, order // prime, m)[0] != 1

    def multiply(a: int, b: int) -> int:
        total = 0
        for i in range(m):
            total ^= (a << i) * (b >> i & 1)
        while total.bit_length() > m:
            total ^= POLYNOMIALS[m] << (total.bit_length() - m - 1)
        return total

    a, b = np.random.default_rng(m).integers(0, 2**m, (2, 50))
    assert product(a, b, m).tolist() == [
        multiply(i, j) for i, j in zip(a.tolist(), b.tolist(), strict=True)
    ]
    bits = trace(np.arange(2**m), m)
    assert sorted(set(bits.tolist())) == [0, 1]
    assert bits.sum() == 2 ** (m - 1)


def test_trace_functions_of_a_subfield_are_bits_and_independent() -> None:
    for exponent, m, k in [(9, 6, 3), (21, 6, 2), (17, 8, 4), (3, 7, 7), (5, 4, 2)]:
        rows = functions(exponent, m)
        assert rows.shape == (k, 2**m)
        assert set(np.unique(rows)) == {0, 1}
        assert len(np.unique(LinearForms(rows)(np.arange(2**k)), axis=0)) == 2**k
    np.testing.assert_array_equal(LinearForms(functions(3, 6))(np.arange(64)), gold_forms(64, 6))


@pytest.mark.parametrize(
    "name", ["rm1", "rm2", "gold", "bch", "delsarte-goethals", "kerdock", "devore", "hypercube"]
)
def test_keys_on_demand_are_the_rows(name: str) -> None:
    made = keys.make(name, 30, 16)
    assert isinstance(made, LazyKeySet)
    at = [29, 3, 3, 0]
    early = pickle.loads(pickle.dumps(made)).rows_at(at)
    assert "rows" not in made.__dict__
    assert early.dtype == np.float32
    np.testing.assert_array_equal(early, made.rows[at])
    np.testing.assert_array_equal(made.rows_at(at), early)
    assert made.rows is made.rows
    for wrong in (30, -1):
        with pytest.raises(BadInput, match="must be from 0 to 29"):
            made.rows_at([0, wrong])
    assert repr(made) == f"LazyKeySet({name!r}, d=16, n=30)"
    if name != "hypercube":
        np.testing.assert_array_equal(keys.make(name, 32, 16).rows[:30], made.rows)


def test_blocks_of_rows_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = keys.make("gold", 100, 16).rows
    monkeypatch.setattr(base, "_BLOCK", 16 * 7)
    np.testing.assert_array_equal(keys.make("gold", 100, 16).rows, whole)


def test_prefixes_that_are_no_codes_have_no_spectrum() -> None:
    for name, n, d in [
        ("rm2", 96, 16), ("rm1", 24, 16), ("gold", 500, 64), ("bch", 2**16 - 1, 64),
        ("delsarte-goethals", 3 * 256, 16), ("devore", 100, 64), ("bch", 2**28, 128),
    ]:  # fmt: skip
        assert keys.make(name, n, d).spectrum is None
    # and a scale all the same, from the rows, above that of the code inside
    odd, code = keys.make("bch", 700, 64), keys.make("bch", 512, 64)
    assert tight_scale(code, 1 / 3) < tight_scale(odd, 1 / 3) < 10


@pytest.mark.parametrize(
    ("name", "n", "d"), [("gold", 2048, 32), ("devore", 512, 64), ("bch", 1024, 128)]
)
def test_queries_stay_multiples_of_their_keys(name: str, n: int, d: int) -> None:
    """What the spectrum is allowed for: the interference of the float32 queries, row by row."""
    reduction = IndexReduction.build(keys.make(name, n, d), d)
    at = np.arange(0, n, 37)
    Q = reduction.queries(at)[0].astype(np.float64)
    met = query_interference(Q, at, reduction.keys.rows.astype(np.float64))
    np.testing.assert_allclose(met, reduction._measured(at)[0], rtol=1e-12)
    assert (reduction.demands(at) < 1).all()


def test_bounds_need_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MOST_NUMBERS", 0)
    start = time.perf_counter()
    limit = index_limit("rm2", d=64)
    assert (limit.n, limit.secret_bits) == (2**22, 2**28)
    assert limit.scale == pytest.approx(19.45, abs=0.005)
    assert limit.logit_range == limit.scale
    assert index_limit("rm2", d=1024).n == 2**56
    assert index_limit("bch", d=128, values="pm1", eta=None, gamma=0.2).coherence == 0.3125
    assert index_limit("hypercube", n=2**40, d=64).n == 2**40
    assert time.perf_counter() - start < 1
    with pytest.raises(BadInput, match="do not fit in memory"):
        index_limit("rm2", n=2**22 - 1, d=64)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("rm2", 16, 48), "power of two from 4 to 1024, not 48"),
        (("rm1", 65, 32), "only 64 rm1 keys of dimension 32, not 65"),
        (("gold", 16, 4), "from 8 to 1024, not 4"),
        (("bch", 16, 512), "from 16 to 256, not 512"),
        (("bch", 2**25, 64), "only 16777216 bch"),
        (("delsarte-goethals", 16, 32), "d = 16, 64 or 256, not 32"),
        (("devore", 2, 3), "need d >= 4"),
        (("devore", 257, 20), "only 256 devore keys of dimension 20, not 257"),
        (("greedy", 5000, 16), "at most 4096"),
        (("golds", 16, 16), "Did you mean 'gold'"),
    ],
)
def test_refusals_say_what_to_do(call: tuple[str, int, int], words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        keys.make(*call)
    assert words in str(refusal.value)


def test_greedy_takes_the_farthest_each_time() -> None:
    pool = keys.make("jl", 60, 5, seed=2).rows
    grid = [[round(2048 * float(v)) for v in row] for row in pool]
    taken = [0]
    for _ in range(11):
        worst = [
            math.inf
            if c in taken
            else max(sum(a * b for a, b in zip(grid[c], grid[t], strict=True)) for t in taken)
            for c in range(60)
        ]
        taken.append(worst.index(min(worst)))
    assert farthest_first(pool, 12).tolist() == taken


def test_greedy_keys_are_jl_keys_farther_apart() -> None:
    made, jl = keys.make("greedy", 256, 32, seed=1), keys.make("jl", 16384, 32, seed=1)
    assert {row.tobytes() for row in made.rows} <= {row.tobytes() for row in jl.rows}
    np.testing.assert_array_equal(keys.make("greedy", 100, 32, seed=1).rows, made.rows[:100])
    assert coherence(made) < 0.4 < coherence(keys.make("jl", 256, 32, seed=1))
    assert tight_scale(made, 1 / 3) < tight_scale(keys.make("jl", 256, 32, seed=1), 1 / 3)
