"""Bits a number in the experiment ``bounds``: codes, games and bounds of known outcome."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kvbarrier.experiments.bounds import EXPERIMENT
from kvbarrier.experiments.bounds import precision as ours
from kvbarrier.experiments.kit.tables import write_table
from kvbarrier.reductions import keys
from kvbarrier.reductions.alphabet import AlphabetReduction

CHECKS = {claim.name: claim.check for claim in EXPERIMENT.claims}


@pytest.mark.parametrize("words", [1, 2, 3, 10, 500])
def test_a_code_of_equal_cells_loses_half_a_cell(words: int) -> None:
    """Additive: 1/(2 words). Relative, cells of ratio r: (r - 1)/(r + 1), the middle's error."""
    assert ours.coded_error(words, None) == pytest.approx(1 / (2 * words), rel=1e-9)
    r = 16 ** (1 / words)
    assert ours.coded_error(words, 16.0) == pytest.approx((r - 1) / (r + 1), rel=1e-9)


def test_rows_of_the_law() -> None:
    """In exact fractions: 8 bits in [0,1] are 256 levels; 3^10 < 2^16 < 3^11: 11 at eta = 1/2."""
    row = ours.law("additive", 2.0**-9, None)
    assert (row["levels"], row["bits"], row["used_levels"]) == (256, 8, 256)
    row = ours.law("relative", 0.5, 2.0**16)
    assert Fraction(3) ** 10 < 2**16 < Fraction(3) ** 11
    assert (row["levels"], row["bits"]) == (11, math.log2(11))
    # 3 (B-1)/(B-2) to the power B-1 is within 2^16 for B = 10 and not for 11
    assert (3 * 9 / 8) ** 9 < 2**16 < (3 * 10 / 9) ** 10
    assert row["used_levels"] == 10
    assert row["worst_error"] < 0.5 < row["worst_error_fewer"]
    assert math.isnan(ours.law("additive", 0.5, None)["worst_error_fewer"])


def test_floors_start_at_the_variance_and_end_at_none() -> None:
    rows = ours.floors(4)
    assert [row["bits_per_number"] for row in rows] == [k / 8 for k in range(17)]
    assert (rows[0]["symbol_error"], rows[0]["mse"]) == (0.75, 1.25)
    assert (rows[-1]["symbol_error"], rows[-1]["mse"], rows[-1]["mse_requantised"]) == (0, 0, 0)
    assert rows[8]["mse_requantised"] == 0.25  # 1 bit: cells of two levels
    for row in rows:
        assert row["mse_dither"] <= row["mse"] <= row["mse_time_sharing"] + 1e-12
        assert row["symbol_error"] <= row["symbol_time_sharing"] + 1e-12


def test_a_cache_with_the_bits_of_the_levels_loses_none() -> None:
    """Of 4 levels 2 bits lose nothing, and of 16 about what keeping 2 of 4 bits does: 3/4, 5/4.

    A number is charged 2 bits of K and V, and an fp16 scale and zero of each for 64 numbers.
    """
    row = ours.cache(4, 2, 1)
    assert (row["symbol_error"], row["mse"]) == (0, 0)
    assert row["bits_per_number"] == 2 * (2 + 32 / 64) == 2 * row["bits_per_number_v"]
    row = ours.cache(16, 2, 1)
    assert row["symbol_error"] == pytest.approx(0.75, abs=0.02)
    assert 1.25 < row["mse"] < 2.5  # min-max cells are wider by a step, and centred on the ends


@pytest.mark.parametrize(("eta", "gamma"), [(0.1, None), (None, 0.02)])
def test_the_scale_decides(eta: float | None, gamma: float | None) -> None:
    """Nothing is misread where it is played, something just below, nearly all at half of it."""
    made = keys.make("kerdock", 64, 16)
    hard = AlphabetReduction.build(made, 16, levels=16, eta=eta, gamma=gamma)
    assert ours.misread(hard, 5, 0.999) == 0
    for factor, least in ((0.999, 1), (0.5, 32)):
        low = AlphabetReduction(made, 16, hard.levels, eta, gamma, factor * hard.scale)
        assert ours.misread(low, 5, 1) >= least


def test_a_larger_error_than_allowed_is_misread() -> None:
    hard = AlphabetReduction.build(keys.make("kerdock", 64, 16), 4, levels=4, eta=0.5)
    assert ours.misread(hard, 9, 1.01) > 0


@pytest.fixture(scope="module")
def payload_rows() -> list[dict]:
    return [ours.payload(eta, 1) for eta in ours.PAYLOAD_ETAS]


def test_the_payload_is_read(payload_rows: list[dict], tmp_path: Path) -> None:
    for row in payload_rows:
        # 256 tokens: 32 numbers of a value, 32 - 8 of a key
        assert (row["bits_in_values"], row["bits_in_keys"]) == (256 * 32, 256 * 24)
        assert (row["wrong_in_values"], row["wrong_in_keys"], row["wrong_moved"]) == (0, 0, 0)
    write_table(tmp_path / ours.PAYLOAD, payload_rows)
    assert CHECKS["bounds.payload"](tmp_path).verdict == "holds"
    write_table(tmp_path / ours.PAYLOAD, payload_rows[:1])
    assert CHECKS["bounds.payload"](tmp_path).verdict == "fails"


def test_the_law_is_refuted_by_a_level_more_or_less(tmp_path: Path) -> None:
    wide = [ours.law("relative", 2.0**-k, 2.0**16) for k in (1, 4, 9)]
    write_table(
        tmp_path / ours.LAW, [*wide, *(ours.law("additive", 2.0**-k, None) for k in (1, 9))]
    )
    check = CHECKS["bounds.precision"]
    judged = check(tmp_path)
    assert judged.verdict == "holds"
    assert "256 levels in [0,1]" in judged.evidence
    table = pd.read_csv(tmp_path / ours.LAW)
    for column, change in (("levels", 1), ("levels", -1), ("worst_error", 0.1)):
        spoiled = table.assign(**{column: table[column] + change * (np.arange(5) == 2)})
        spoiled.to_csv(tmp_path / ours.LAW, index=False)
        assert check(tmp_path).verdict == "fails", (column, change)
