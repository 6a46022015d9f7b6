"""The variants of the Index stream: layers and heads, Alice's queries, the basis."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions import keys
from kvbarrier.reductions.attention import attention
from kvbarrier.reductions.index import IndexReduction
from kvbarrier.reductions.stream_family import StreamFamily, rotated_keys, rotation, victims

N, D = 48, 16


def family(layers: int = 1, heads: int = 1, queries: str = "zero", basis: str = "literal"):
    rows = keys.make("jl", N, D, 0)
    index = IndexReduction.build(rotated_keys(rows) if basis == "rotated" else rows, D, eta=0.3)
    return StreamFamily(index, layers, heads, queries, basis)


def secret(one: StreamFamily, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (one.rows, one.width)).astype(np.uint8)


def answers(one: StreamFamily, x: np.ndarray, error: float = 0.0, seed: int = 1) -> np.ndarray:
    """Exact attention in float64, head by head, each output off by up to ``error`` of itself."""
    _, K, V = (a.reshape(N, one.layers, one.heads, D) for a in one.stream(x))
    Q, Kq, Vq = (a.reshape(N, one.layers, one.heads, D) for a in one.queries())
    out = np.empty(Q.shape)
    for t, l, h in np.ndindex(Q.shape[:3]):
        rows = [np.vstack([A[:, l, h], own[t : t + 1, l, h]]) for A, own in ((K, Kq), (V, Vq))]
        out[t, l, h] = attention(Q[t, l, h], *rows)
    out *= 1 + error * np.random.default_rng(seed).choice([-1, 1], out.shape)
    return out if one.layers * one.heads > 1 else out[:, 0, 0]


@pytest.mark.parametrize(
    ("layers", "heads", "basis"),
    [(1, 1, "literal"), (1, 1, "rotated"), (2, 3, "literal"), (2, 1, "rotated")],
)
def test_exact_attention_gives_every_bit(layers: int, heads: int, basis: str) -> None:
    one = family(layers, heads, "zero", basis)
    x = secret(one)
    assert one.width == layers * heads * D
    assert np.array_equal(one.decode(answers(one, x)), x)


def test_heads_bear_the_error_that_the_one_head_bears() -> None:
    one = family(2, 2)
    x = secret(one)
    assert np.array_equal(one.decode(answers(one, x, error=0.3)), x)
    # Far outside the tolerance the thresholds must not hold: the check can fail.
    assert not np.array_equal(one.decode(answers(one, x, error=0.95)), x)


def test_heads_have_one_key_set_in_orders_of_their_own() -> None:
    one = family(2, 2)
    _, K, _ = one.stream(secret(one))
    first = K[:, 0, 0]
    assert np.array_equal(first, one.index.keys.rows)
    orders = set()
    for l, h in np.ndindex(2, 2):
        places = [np.flatnonzero((first == key).all(axis=1))[0] for key in K[:, l, h]]
        assert sorted(places) == list(range(N))
        orders.add(tuple(places))
    assert len(orders) == 4
    assert np.array_equal(one.public()["keys"], K)


def test_rows_asked_are_those_of_the_whole() -> None:
    one = family(2, 2, "zero", "rotated")
    x = secret(one)
    rows = np.array([3, 17, 40])
    for part, whole in zip(one.queries(rows), one.queries(), strict=True):
        assert np.array_equal(part, whole[rows])
    assert np.array_equal(one.decode(answers(one, x)[rows], rows), x[rows])


def test_the_rotation_keeps_inner_products_and_is_no_permutation() -> None:
    for purpose in ("keys", "values"):
        R = rotation(D, purpose)
        assert np.allclose(R.T @ R, np.eye(D), atol=1e-12)
        assert (np.abs(R) < 0.999).all()
    assert not np.allclose(rotation(D, "keys"), rotation(D, "values"))
    rows = keys.make("jl", N, D, 0)
    turned = rotated_keys(rows).rows.astype(float)
    assert np.allclose(turned @ turned.T, rows.rows.astype(float) @ rows.rows.T, atol=1e-6)


def test_rotated_values_are_no_bits() -> None:
    one = family(basis="rotated")
    _, _, V = one.stream(secret(one))
    assert len(np.unique(V.round(3))) > 100


def test_the_policies_attend_where_they_say() -> None:
    zero = family(queries="zero").stream(secret(family()))[0]
    assert not zero.any()
    one = family(queries="self")
    Q, K, _ = one.stream(secret(one))
    assert np.array_equal(Q, one.queries()[0])
    assert np.array_equal((Q @ K.T).argmax(axis=1), np.arange(N))
    one = family(queries="gaussian")
    Q = one.stream(secret(one))[0]
    # E |q|^2 = C^2, and |q|^2 d / C^2 is chi-square: N d coordinates, standard error sqrt(2/(N d)).
    assert np.square(Q).sum() / N / one.scale**2 == pytest.approx(1, abs=6 * np.sqrt(2 / (N * D)))


def test_decoys_are_all_but_the_victims_and_never_in_the_future() -> None:
    one = family(heads=2, queries="decoy")
    Q, K, _ = one.stream(secret(one))
    for h in range(2):
        attended = (Q[:, 0, h] @ K[:, 0, h].T).argmax(axis=1)
        assert (attended <= np.arange(N)).all()
        assert not np.isin(attended, victims(N)).any()
        assert len(np.unique(attended)) > N // 4
    assert victims(N).tolist() == [21, 22, 23]  # 16 t // 48 = 7 iff 21 <= t < 24


def test_a_shape_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="must be 1 or more, not 0 and 2"):
        family(0, 2)
    with pytest.raises(BadInput, match=r"give bits\[48, 32\]"):
        family(heads=2).stream(np.zeros((N, D), np.uint8))
