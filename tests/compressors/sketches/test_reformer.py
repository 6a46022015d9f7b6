from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.sketch.reformer import Reformer
from kvbarrier.reductions.attention import attention


def test_two_buckets_collide_as_a_random_hyperplane_says():
    # argmax [x.r; -x.r] is the sign of x.r: two directions at the angle a share it with
    # probability 1 - a/pi (Goemans, Williamson 1995); -x never with x.
    one = Reformer(Shape(8, 2, 1), rounds=4000, buckets=2)
    angles = np.array([0.0, 1 / 3, 1 / 2, 1.0]) * np.pi
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    hashes = one.hashes(X)
    shares = (hashes == hashes[0]).mean(axis=1)
    assert shares[[0, 3]].tolist() == [1, 0]
    assert shares == pytest.approx(1 - angles / np.pi, abs=5 * 0.5 / np.sqrt(4000))


def test_it_hashes_directions_into_as_many_buckets():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 16))
    one = Reformer(Shape(8, 16, 1), rounds=3, buckets=8)
    assert (one.hashes(X) == one.hashes(7 * X)).all()
    # The buckets of x and -x are b and b + 4.
    assert ((one.hashes(X) - one.hashes(-X)) % 8 == 4).all()
    # 400 of 8 buckets: 50 each, deviation 6.6
    for r in range(3):
        counts = np.bincount(one.hashes(X)[:, r], minlength=8)
        assert counts.min() > 15
        assert counts.max() < 95


def test_a_query_reads_the_union_of_its_buckets_each_key_once():
    rng = np.random.default_rng(0)
    K, Q = rng.standard_normal((50, 8)), rng.standard_normal((20, 8))
    one = Reformer(Shape(50, 8, 1), rounds=3, buckets=4)
    W = one.weigh(Q, np.zeros((20, 50)), one.prepare(K), None)
    keys, asked = one.hashes(K), one.hashes(Q)
    several = 0
    for i in range(20):
        for j in range(50):
            rounds = sum(asked[i, r] == keys[j, r] for r in range(3))
            assert W[i, j] == (rounds > 0)
            several += rounds > 1
    assert several > 100


def test_an_empty_bucket_leaves_the_newest_token():
    one = Reformer(Shape(2, 4, 1), rounds=1, buckets=2)
    K = np.array([[1.0, 2, 3, 4], [2, 4, 6, 8]])
    for t in range(2):
        one.append(K[t], K[t], np.array([t]))
    assert one.attend(-K[0]).tolist() == [1]  # its scores are -30 and -60
    assert one.attend(K[0]) == pytest.approx([1], abs=1e-6)


def test_what_no_key_sees_changes_nothing_but_the_hash():
    # Keys fill 8 of 16 coordinates. A query in a key's direction reads it; with a long part in the
    # other 8 all scores are the same, and so is attention, but the bucket is another one's.
    rng = np.random.default_rng(2)
    K = np.zeros((128, 16), dtype=np.float32)
    K[:, :8] = rng.standard_normal((128, 8))
    K *= 4 / np.linalg.norm(K, axis=1, keepdims=True)
    V = rng.choice([0.0, 1.0], (128, 16)).astype(np.float32)
    one = Reformer(Shape(128, 16, 16), rounds=2, buckets=16)
    one.extend(K, K, V)
    errors = []
    for length in (0.0, 40.0):
        off = np.zeros((128, 16), dtype=np.float32)
        off[:, 8:] = length * rng.standard_normal((128, 8))
        errors.append(np.mean([np.abs(one.attend(q) - attention(q, K, V)).mean() for q in K + off]))
    assert errors[0] < 0.1 < 0.3 < errors[1]
