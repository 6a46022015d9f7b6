"""What compressors share, against the loop that it stands for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.compressors.catalog import CATALOG
from kvbarrier.compressors.kit import outer_products
from kvbarrier.compressors.kit.distinct_rows import distinct_rows
from kvbarrier.compressors.kit.state import FORMATS, from_storage, narrowed, storage_dtype
from kvbarrier.compressors.kit.step_coins import step_coins
from kvbarrier.compressors.plugin.contract import Compressor, Shape


@pytest.mark.parametrize("jit", [True, False])
def test_outer_products_are_added_token_after_token(jit: bool) -> None:
    rng = np.random.default_rng(0)
    A, B = (rng.standard_normal((9, width)).astype(np.float32) for width in (5, 3))
    S = rng.standard_normal((5, 3)).astype(np.float32)
    exact = [[Fraction(float(s)) for s in row] for row in S]
    naive = S.copy()
    for a, b in zip(A, B, strict=True):
        naive += a[:, None] * b
        for i, j in np.ndindex(5, 3):
            exact[i][j] += Fraction(float(a[i])) * Fraction(float(b[j]))
    add = outer_products.add_outer_products
    (add if jit else add.py_func)(A, B, S)
    np.testing.assert_array_equal(S, naive)
    np.testing.assert_allclose(S, np.array(exact, dtype=float), rtol=1e-5, atol=1e-6)


def test_coins_of_steps_are_those_of_a_generator_a_step() -> None:
    cache = CATALOG["linformer"].cls(Shape(4, 2, 2), None, 2**63 + 5)
    for t, coins in enumerate(step_coins(cache.seed, 2**40, 5), 2**40):
        ours = coins.standard_normal(3, dtype=np.float32), coins.integers(7, size=3)
        alone = cache.rng(t)
        np.testing.assert_array_equal(ours[0], alone.standard_normal(3, dtype=np.float32))
        np.testing.assert_array_equal(ours[1], alone.integers(7, size=3))


def test_rows_are_alike_where_their_bytes_are() -> None:
    rows = np.array([[0.0, 1.0], [2.0, 1.0], [0.0, 1.0], [-0.0, 1.0]], dtype=np.float32)
    first, kind = distinct_rows(rows)
    assert first.tolist() == [0, 1, 3]
    assert kind.tolist() == [0, 1, 0, 2]
    first, kind = distinct_rows(rows[:0])
    assert len(first) == len(kind) == 0


@pytest.mark.parametrize("name", ["subgen", "performer", "linear-attention"])
def test_tokens_that_are_alike_are_taken_once(name: str) -> None:
    """The same answers as from a copy of the state for each question."""
    n, d = 60, 5
    rng = np.random.default_rng(1)
    cache = CATALOG[name].cls(Shape(n, d, d), None, 3)
    cache.extend(*rng.standard_normal((3, n, d)).astype(np.float32))
    Q, K, V = rng.standard_normal((3, 20, d)).astype(np.float32)
    K[4:], V[4:12], V[12:] = 0, 0, 1
    # Both routes of the sums are float64 until the end; those of subgen take the same steps.
    tolerance = 0 if name == "subgen" else 1e-5
    one_by_one = Compressor.next_outputs(cache, Q, K, V)
    np.testing.assert_allclose(
        cache.next_outputs(Q, K, V), one_by_one, rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("name", FORMATS)
def test_every_stored_number_is_read_back_as_a_cast_reads_it(name: str) -> None:
    dtype = storage_dtype(name)
    size = 8 * min(dtype.itemsize, 2)
    stored = np.arange(1 << size, dtype=f"u{dtype.itemsize}").view(dtype)[:, None]
    read = from_storage(stored)
    assert read.dtype == np.float32
    # Bit for bit, NaNs among them.
    assert np.array_equal(read.view(np.uint32), stored.astype(np.float32).view(np.uint32))
    assert not np.shares_memory(read, stored)


@pytest.mark.parametrize("name", FORMATS)
def test_zeros_are_stored_with_their_signs(name: str) -> None:
    dtype = storage_dtype(name)
    for rows in ([0.0, 0.0], [0.0, -0.0], [-0.0, -0.0], [0.0, 1.5]):
        stored = narrowed(np.array(rows, dtype=np.float32), dtype)
        assert stored.dtype == dtype
        assert from_storage(stored).tolist() == rows
        assert np.signbit(from_storage(stored)).tolist() == np.signbit(rows).tolist()
