"""What the sparsity experiment measures, on a small instance."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from kvbarrier.experiments import sparsity, sparsity_tables
from kvbarrier.experiments.sparsity_tables import GAUSSIAN, HARD, Setting
from kvbarrier.reductions.attention import attention

SMALL = Setting("kerdock", 64, 16)


def test_the_weights_are_the_definition():
    reduction = SMALL.build()
    Q = reduction.queries()[0]
    weights = sparsity_tables.attention_weights(reduction, Q)
    K, V = np.vstack([reduction.keys.rows, np.zeros(16)]), np.vstack([np.eye(64), np.zeros(64)])
    for i in (0, 40):
        assert weights[i] == pytest.approx(attention(Q[i], K, V), abs=1e-6)


def test_own_weights_against_the_spectrum_by_hand():
    reduction, row = SMALL.build(), sparsity_tables.weight_rows(SMALL, HARD)[0]
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
        np.linalg.norm(sparsity_tables.queries(reduction, SMALL, kind), axis=1)
        for kind in (HARD, GAUSSIAN)
    ]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    row = sparsity_tables.weight_rows(SMALL, GAUSSIAN)[0]
    assert row["median"] < 0.5
    assert row["own_low"] is None


def test_a_cut_row_decodes_alike():
    half, tight = sparsity_tables.truncation_rows(SMALL, 2)
    names = ("wrong", "wrong_cut", "wrong_best", "changed_cut", "changed_best")
    assert tight["ratio"] == 1.0
    assert [tight[name] for name in names] == [0] * 5
    assert half["wrong"] > 0
    assert half["wrong_best"] == 0  # the largest score is a unit key's own at any scale


def test_slopes_of_a_power_law():
    sizes = np.array([64, 128, 1024, 16384])
    table = pd.DataFrame({"size": sizes, "charged_bits": 7.0 * sizes**0.9, "k": 1, "dtype": "fp16"})
    table.loc[0, "charged_bits"] = 1.0  # below the two decades
    assert sparsity.slopes(table)["top-1 fp16"] == pytest.approx(0.9)
