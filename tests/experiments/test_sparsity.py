"""What the sparsity experiment measures, on a small instance."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from kvbarrier.experiments.sparsity import measure as sparsity
from kvbarrier.experiments.sparsity.claims import _room
from kvbarrier.experiments.sparsity.measure import ALICE, GAUSSIAN, HARD, Setting
from kvbarrier.reductions.attention import attention
from kvbarrier.reductions.stream_family import StreamFamily

SMALL = Setting("kerdock", 64, 16)


def test_the_weights_are_the_definition():
    reduction = SMALL.build()
    Q = reduction.queries()[0]
    weights = sparsity.attention_weights(reduction, Q)
    K, V = np.vstack([reduction.keys.rows, np.zeros(16)]), np.vstack([np.eye(64), np.zeros(64)])
    for i in (0, 40):
        assert weights[i] == pytest.approx(attention(Q[i], K, V), abs=1e-6)


def test_own_weights_against_the_spectrum_by_hand():
    reduction, row = SMALL.build(), sparsity.weight_rows(SMALL, HARD)[0]
    C = reduction.scale
    # Two blocks of 32 keys: one opposite, 30 orthogonal, 16 each at +-1/4.
    others = math.exp(-2 * C) + 30 * math.exp(-C)
    others += 16 * (math.exp(-0.75 * C) + math.exp(-1.25 * C))
    assert row["own_low"] == pytest.approx(1 / (1 + others + math.exp(-C)), abs=1e-6)
    assert row["margin"] == pytest.approx(3 / (4 + 3 * math.exp(-C)), rel=1e-12)
    assert row["slack"] > 0
    assert row["own_top"] == row["queries"] == 64
    assert row["tail_high"] == pytest.approx(1 - row["low"], abs=1e-6)


def test_gaussian_queries_have_the_same_norms_and_flat_rows():
    reduction = SMALL.build()
    norms = [
        np.linalg.norm(sparsity.queries(reduction, SMALL, kind), axis=1)
        for kind in (HARD, GAUSSIAN)
    ]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    row = sparsity.weight_rows(SMALL, GAUSSIAN)[0]
    assert row["median"] < 0.5
    assert row["own_low"] is None


def test_a_cut_row_decodes_alike():
    half, tight = sparsity.truncation_rows(SMALL, 2)
    names = ("wrong", "wrong_cut", "wrong_best", "changed_cut", "changed_best")
    assert tight["ratio"] == 1.0
    assert [tight[name] for name in names] == [0] * 5
    assert half["wrong"] > 0
    assert half["wrong_best"] == 0  # the largest score is a unit key's own at any scale


def test_alices_rows_are_the_definition_of_causal_attention():
    reduction = SMALL.build()
    asked = np.array([0, 1, 5, 63])
    rows = sparsity.rows_of_alice(reduction, asked)
    K = reduction.keys.rows
    for t, row in zip(asked, rows, strict=True):
        want = attention(reduction.scale * K[t], K[: t + 1], np.eye(64)[: t + 1])
        assert row == pytest.approx(want, abs=1e-6)


def test_a_sample_of_alices_rows_says_how_many_they_are(monkeypatch):
    whole = sparsity.weight_rows(SMALL, ALICE)[0]
    monkeypatch.setattr(sparsity, "MOST_OF_ALICE", 16)
    row = sparsity.weight_rows(SMALL, ALICE)[0]
    assert (row["queries"], row["own_top"]) == (16, 16)
    assert row["excess"] < 1e-6
    assert row["slack"] == whole["slack"]  # of all rows, asked or not
    assert row["own_low"] >= whole["own_low"]


def test_alices_rows_are_one_hot_too():
    row = sparsity.weight_rows(SMALL, ALICE)[0]
    # Her last row has all other keys in it, as Bob's has, and no token of score 0; eta = 1/2.
    assert row["own_low"] > 3 / 4
    assert row["excess"] < 1e-6
    assert row["own_top"] == 64


def test_uniform_rows_of_alice_would_be_seen(monkeypatch):
    monkeypatch.setattr(
        "kvbarrier.reductions.stream_family.StreamFamily",
        lambda index, queries_of_alice: StreamFamily(index, queries_of_alice="zero"),
    )
    row = sparsity.weight_rows(SMALL, ALICE)[0]
    assert row["own_low"] == pytest.approx(1 / 64)
    assert row["excess"] > 0.7


def test_the_room_of_a_share_by_hand():
    table = pd.DataFrame({"size": [128, 1024], "messages": 4, "other": 32})
    # 4 * 128 rows of 32 bits; 4 * 256 rows, 64 in each of 16 buckets.
    want = [1 / 128 + 10 * math.sqrt(0.05 / 16384),
            1 / 256 + 10 * math.sqrt(0.05 / 32768) + 5 / 16 / 16]  # fmt: skip
    assert _room(table).tolist() == pytest.approx(want)
