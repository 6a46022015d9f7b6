"""Rows in a storage format: attention over them is attention over what they hold, bit for bit."""

import numpy as np
import pytest
from kvbarrier.compressors.kit.state import from_storage, storage_dtype
from kvbarrier.errors import BadInput
from kvbarrier.reductions import attention, stored
from kvbarrier.reductions.stored import Stored, blocks


def drawn(t, d, seed, dtype):
    return np.random.default_rng(seed).standard_normal((t, d)).astype(storage_dtype(dtype))


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16", "fp8"])
@pytest.mark.parametrize("without", [-1, 0, 300, 699])
def test_attention_over_stored_rows_is_attention_over_their_numbers(dtype, without, monkeypatch):
    monkeypatch.setattr(stored, "BLOCK", 64)
    k, v = drawn(700, 16, 1, dtype), drawn(700, 8, 2, dtype)
    K, V = (Stored(rows, from_storage, without) for rows in (k, v))
    there = np.delete(np.arange(700), without) if without >= 0 else np.arange(700)
    plain = k[there].astype(np.float32), v[there].astype(np.float32)
    # Sharp enough that some rows are dominated, and not all.
    Q, own = 6 * drawn(600, 16, 3, "fp32"), drawn(600, 16, 4, "fp32")
    values, theta = drawn(600, 8, 5, "fp32"), np.zeros(600, dtype=np.float32)
    beside = own, values
    assert np.array_equal(
        attention.next_outputs(Q, *beside, K, V), attention.next_outputs(Q, *beside, *plain)
    )
    assert np.array_equal(attention.block_outputs(Q, K, V), attention.block_outputs(Q, *plain))
    for pair in (beside, (None, None)):
        bits = attention.next_bits(Q, *pair, K, V, theta)
        assert np.array_equal(bits, attention.next_bits(Q, *pair, *plain, theta))
        assert bits.any()
        assert not bits.all()


def test_slices_step_over_the_row_that_is_not_there():
    rows = np.arange(10, dtype=np.float16)[:, None]
    K = Stored(rows, from_storage, 4)
    kept = [0, 1, 2, 3, 5, 6, 7, 8, 9]
    for begin in range(10):
        for end in range(begin, 10):
            assert K[begin:end].ravel().tolist() == kept[begin:end]
    assert K[np.array([8, 3, 4])].ravel().tolist() == [9, 3, 5]
    assert np.concatenate(list(blocks(K))).ravel().tolist() == kept


def test_a_number_that_is_none_is_refused_wherever_it_is_stored(monkeypatch):
    monkeypatch.setattr(stored, "BLOCK", 64)
    k = drawn(700, 16, 1, "fp16")
    k[650, 3] = np.nan
    K, V = Stored(k, from_storage), Stored(drawn(700, 8, 2, "fp16"), from_storage)
    with pytest.raises(BadInput, match="NaN"):
        attention.block_outputs(drawn(3, 16, 3, "fp32"), K, V)
