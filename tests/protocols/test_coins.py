"""Coins: reproducible from their definition, independent by label, rows stratified by age."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.game import coins
from kvbarrier.protocols.game.deal import deal

from tests.naive.deal import deal as naive_deal

KEY = bytes(range(32))
ID = "0123456789abcdef"


def shake(label: str, message: int, count: int) -> bytes:
    """The definition, written down a second time: SHAKE-256 of length-prefixed fields."""
    fields = [b"kvbarrier 1", label.encode(), KEY, ID.encode(), str(message).encode()]
    text = b"".join(len(f).to_bytes(8, "big") + f for f in fields)
    return hashlib.shake_256(text).digest(count)


def test_secret_bits_are_the_hash_bit_by_bit():
    raw = shake("secret", 5, 3)
    expected = [byte >> (7 - bit) & 1 for byte in raw for bit in range(8)][:21]
    bits = coins.secret_bits(KEY, ID, 5, 21)
    assert bits.tolist() == expected
    assert bits.dtype == np.uint8


def test_public_seed_is_63_bits_of_its_own_label():
    assert coins.public_seed(KEY, ID, 3) == int.from_bytes(shake("public coins", 3, 8), "big") >> 1
    seeds = [coins.public_seed(KEY, ID, m) for m in range(2000)]
    assert len(set(seeds)) == 2000
    assert max(seeds) < 2**63
    assert max(seeds) > 2**62


def test_labels_keys_instances_and_messages_all_matter():
    count = 4096
    draws = {
        "secret": coins.secret_bits(KEY, ID, 1, count),
        "guess": coins.guess_bits(KEY, ID, 1, count),
        "message": coins.secret_bits(KEY, ID, 2, count),
        "instance": coins.secret_bits(KEY, ID[::-1], 1, count),
        "key": coins.secret_bits(bytes(32), ID, 1, count),
    }
    for a, x in draws.items():
        # Fair and pairwise independent: each count is Bin(4096, 1/2), whose 6 sigma is 192.
        assert abs(int(x.sum()) - count // 2) < 192, a
        for b, y in draws.items():
            if a != b:
                assert abs(int((x != y).sum()) - count // 2) < 192, (a, b)


def test_fields_cannot_slide_into_each_other():
    # Without the lengths, (instance "a1", message 2) and (instance "a", message 12) would agree.
    assert not np.array_equal(
        coins.secret_bits(KEY, "a1", 2, 64), coins.secret_bits(KEY, "a", 12, 64)
    )


def test_fresh_keys_differ_and_committed_ones_are_the_hash_of_their_names():
    assert coins.fresh_key() != coins.fresh_key()
    assert len(coins.fresh_key()) == 32
    assert sorted(coins.COMMITTED_KEYS) == ["experiments", "regress", "regress-2"]
    for name, key in coins.COMMITTED_KEYS.items():
        assert key == hashlib.sha256(f"kvbarrier committed key: {name}".encode()).digest()


@pytest.mark.parametrize("bad", [b"", bytes(31), bytes(33)])
def test_a_key_of_another_length_is_refused(bad):
    with pytest.raises(BadInput, match="32 bytes"):
        coins.secret_bits(bad, ID, 0, 8)


def test_negative_messages_are_refused():
    with pytest.raises(BadInput, match="numbered from 0"):
        coins.public_seed(KEY, ID, -1)


@pytest.mark.parametrize(
    ("n", "rows"), [(64, 16), (64, 20), (512, 64), (20, 18), (16, 5), (17, 17)]
)
def test_rows_are_stratified_by_age(n, rows):
    for message in range(20):
        asked = coins.sampled_rows(KEY, ID, message, n, rows)
        assert asked.dtype == np.int64
        assert len(asked) == rows == len(set(asked.tolist()))
        assert np.array_equal(asked, np.sort(asked))
        assert 0 <= asked[0] <= asked[-1] < n
        sizes = Counter(16 * i // n for i in range(n))
        dealt = Counter(16 * int(i) // n for i in asked)
        # As even as the sizes allow: a bucket that got fewer than another is exhausted, or is one
        # behind by chance in the last round.
        for a in range(16):
            for b in range(16):
                assert dealt[a] >= min(sizes[a], dealt[b] - 1)


def test_rows_are_uniform_inside_their_bucket():
    # 16 rows of 64: one of four in each bucket; 2000 messages give Bin(2000, 1/4), 6 sigma = 117.
    hits = np.zeros(64)
    for message in range(2000):
        hits[coins.sampled_rows(KEY, ID, message, 64, 16)] += 1
    assert np.abs(hits - 500).max() < 117


def test_the_extra_rows_fall_on_every_bucket():
    # 17 rows of 64: one bucket, at random, gets two; 1600 messages, Bin(1600, 1/16), 6 sigma = 59.
    twice = np.zeros(16)
    for message in range(1600):
        buckets = 16 * coins.sampled_rows(KEY, ID, message, 64, 17) // 64
        twice[np.bincount(buckets, minlength=16) == 2] += 1
    assert twice.sum() == 1600
    assert np.abs(twice - 100).max() < 59


def test_none_asks_all_rows_and_impossible_numbers_are_refused():
    assert coins.sampled_rows(KEY, ID, 0, 20, None).tolist() == list(range(20))
    for rows in (0, 21, -3):
        with pytest.raises(BadInput, match="from 1 to 20"):
            coins.sampled_rows(KEY, ID, 0, 20, rows)


def test_every_fourth_message_is_cut_somewhere_inside():
    cuts = [coins.cut_point(KEY, ID, message, 5) for message in range(4000)]
    assert all((cut is None) == (message % 4 != 0) for message, cut in enumerate(cuts))
    places = Counter(cut for cut in cuts if cut is not None)
    assert sorted(places) == [1, 2, 3, 4]
    # Bin(1000, 1/4), 6 sigma = 82.
    assert all(abs(count - 250) < 82 for count in places.values())
    assert coins.cut_point(KEY, ID, 0, 1) is None


def test_bucket_of_is_the_definition():
    rows = np.arange(100)
    assert coins.bucket_of(rows, 100).tolist() == [16 * i // 100 for i in range(100)]


@pytest.mark.parametrize("n", [16, 17, 31, 50, 100, 1000, 4097])
def test_sixteen_rows_are_one_of_each_age_bucket_where_n_is_no_multiple_of_16_too(n: int) -> None:
    for message in range(20):
        rows = coins.sampled_rows(bytes(32), "x", message, n, 16)
        assert coins.bucket_of(rows, n).tolist() == list(range(16))
    assert coins.sampled_rows(bytes(32), "x", 0, n, n).tolist() == list(range(n))


STARTS = {n: [-(-b * n // 16) for b in range(17)] for n in (1, 5, 16, 17, 40, 100)}


@pytest.mark.parametrize("n", STARTS)
def test_the_dealing_kernel_is_python_with_dictionaries(n: int) -> None:
    # Small words make every remainder, the largest ones are left out: 2^64 - 1 below 3, 5, 15.
    rng = np.random.default_rng(n)
    for rows in {1, max(1, n // 3), n}:
        words = rng.integers(0, 1 << 64, 3 * n + 60, dtype=np.uint64)
        words[rng.random(len(words)) < 0.2] = (1 << 64) - 1
        wanted = naive_deal(words.tolist(), STARTS[n], rows)
        starts = np.array(STARTS[n])
        assert deal(words, starts, rows).tolist() == wanted
        assert deal.py_func(words, starts, rows).tolist() == wanted


def test_a_word_of_the_incomplete_interval_is_left_out() -> None:
    # 2^64 = 1 mod 3: the last word alone. Of one bucket of 3 rows: which bucket, 0; which row, 2.
    starts = np.array([0, 3])
    words = np.array([0, (1 << 64) - 1, (1 << 64) - 2], dtype=np.uint64)
    assert deal(words, starts, 1).tolist() == [2]
    assert len(deal(words[:2], starts, 1)) == 0, "words ran out"
