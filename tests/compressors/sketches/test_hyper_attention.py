from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.sketch.hyper_attention import HyperAttention
from kvbarrier.reductions.attention import attention


def test_buckets_beside_one_another_differ_in_one_sign():
    # sortLSH (their Definition 1). The Gray code of three signs, least significant first:
    # ---, +--, ++-, -+-, -++, +++, +-+, --+.
    one = HyperAttention(Shape(8, 3, 1), projections=3)
    one.directions = np.eye(3)
    order = ["---", "+--", "++-", "-+-", "-++", "+++", "+-+", "--+"]
    X = np.array([[1.0 if s == "+" else -1.0 for s in signs] for signs in order])
    assert one.ranks(X).tolist() == list(range(8))
    assert (np.abs(np.diff(X, axis=0)).sum(axis=1) == 2).all()


def test_a_query_reads_the_block_where_its_hash_falls():
    # One projection a coordinate, keys of ranks 0, 0, 1, 2, 2, 3, in blocks of 2 in that order.
    one = HyperAttention(Shape(6, 2, 1), projections=2, block=2, samples=0)
    one.directions = np.eye(2)
    of_rank = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    K = of_rank[[3, 0, 2, 0, 1, 2]]  # so tokens 1, 3 | 4, 2 | 5, 0
    prepared = one.prepare(K)
    read = one.weigh(of_rank, np.zeros((4, 6)), prepared, None)
    # Rank 2 fills the places 3 and 4: its middle is 4, the last block.
    assert [np.flatnonzero(row).tolist() for row in read] == [[1, 3], [2, 4], [0, 5], [0, 5]]
    # An own token of rank 0 comes third, after its equals, and moves 4, 2, 5, 0 up by one.
    own = np.repeat(of_rank[:1], 4, axis=0)
    read = one.weigh(of_rank, np.zeros((4, 7)), prepared, own)
    # 1 3 | own 4 | 2 5 | 0, the last one moved back to 5 0
    assert [np.flatnonzero(row).tolist() for row in read] == [[1, 3], [4, 6], [2, 5], [0, 5]]


def test_the_estimate_of_the_rest_is_unbiased():
    # With all scores 0 a weight is a count: 1 in the block, and outside it n/samples times a
    # binomial of mean samples/n, so variance below n/samples = 5 and over 2000 seeds .0025.
    rng = np.random.default_rng(0)
    K, q = rng.standard_normal((40, 8)), rng.standard_normal((1, 8))
    total = np.zeros(40)
    inside = 0
    for seed in range(2000):
        one = HyperAttention(Shape(40, 8, 1), seed=seed, block=4, samples=8)
        W = one.weigh(q, np.zeros((1, 40)), one.prepare(K), None)[0].astype(np.float64)
        total += W
        inside += (W == 1).sum()
        assert set(W.tolist()) <= {0.0, 1.0, 5.0, 10.0, 15.0, 20.0, 25.0}
    assert inside == 4 * 2000
    assert total / 2000 == pytest.approx(1, abs=5 * 0.05)
    assert (total / 2000).mean() == pytest.approx(1, abs=0.02)


def test_large_scores_that_hash_alike_and_a_flat_rest():
    # 16 clusters of 8 keys in the first 32 coordinates; a query in the direction of one. A long
    # part in the other 32 changes no score, but the hash falls elsewhere, and of the cluster's 8
    # tokens the 16 draws of 128 hit one on average, or none.
    rng = np.random.default_rng(1)
    K = np.zeros((128, 64), dtype=np.float32)
    centres = rng.standard_normal((16, 32))
    K[:, :32] = np.repeat(centres, 8, axis=0) + 0.02 * rng.standard_normal((128, 32))
    V = np.repeat(rng.choice([0.0, 1.0], (16, 32)), 8, axis=0).astype(np.float32)
    one = HyperAttention(Shape(128, 64, 32), block=16, samples=16)
    one.extend(K, K, V)
    errors = []
    for length in (0.0, 40.0):
        Q = np.zeros((16, 64), dtype=np.float32)
        Q[:, :32] = centres / 4
        Q[:, 32:] = length * rng.standard_normal((16, 32))
        errors.append(np.mean([np.abs(one.attend(q) - attention(q, K, V)).mean() for q in Q]))
    assert errors[0] < 0.02
    assert errors[1] > 4 * errors[0]
