"""Growth: the intervals of exponents on times whose power is known, and one row measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from kvbarrier.compressors.zoo.control.zero import Zero
from kvbarrier.experiments.growth import claims, measure
from kvbarrier.experiments.growth.measure import SETTINGS, Setting, lengths, point


def times(power: float, noise: float = 1.0, target: str = "exact") -> pd.DataFrame:
    n = np.array([1 << 10, 1 << 12, 1 << 14])
    seconds = 1e-6 * n.astype(float) ** power
    return pd.DataFrame({"target": target, "d": 64, "n": n, "seconds": seconds,
                         "seconds_median": noise * seconds})  # fmt: skip


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("noise", [1.0, 2.0])
def test_the_interval_contains_the_power_and_is_as_wide_as_the_noise(power, noise):
    ((low, high),) = claims.exponents(times(power, noise), "seconds", "seconds_median").values()
    # A factor 4 in n: noise of a factor 2 is half an exponent to either side.
    assert (low, high) == pytest.approx((power - np.log(noise) / np.log(4),
                                         power + np.log(noise) / np.log(4)))  # fmt: skip


@pytest.mark.parametrize(
    ("power", "noise", "verdict"),
    [(1.0, 1.2, "holds"), (2.0, 1.2, "fails"), (1.4, 2.0, "undecided"), (1.6, 2.0, "undecided")],
)
def test_noise_makes_a_claim_undecided_and_never_false(tmp_path, power, noise, verdict):
    times(power, noise).to_csv(tmp_path / measure.TABLE)
    assert claims.linear.check(tmp_path).verdict == verdict
    square = {"holds": "fails", "fails": "holds"}.get(verdict, verdict)
    times(power, noise, target="h2o").to_csv(tmp_path / measure.TABLE)
    assert claims.square.check(tmp_path).verdict == square


@pytest.mark.parametrize(("power", "verdict"), [(1.65, "undecided"), (1.85, "fails")])
def test_a_long_stream_that_a_neighbour_slows_all_the_time_breaks_no_claim(
    tmp_path, power, verdict
):
    times(power, 1.01).to_csv(tmp_path / measure.TABLE)
    assert claims.linear.check(tmp_path).verdict == verdict
    said = times(2.0, 1.01, target="h2o").assign(square="every token meets all that is kept")
    silent = times(power, 1.01).assign(square=None)
    pd.concat([said, silent]).to_csv(tmp_path / measure.INGEST)
    assert claims.catalog.check(tmp_path).verdict == verdict


@pytest.mark.parametrize(
    ("power", "noise", "verdict"),
    [(1.0, 1.1, "fails"), (1.2, 1.5, "undecided"), (1.4, 1.1, "holds")],
)
def test_performer_is_told_from_linear_and_not_from_a_square(tmp_path, power, noise, verdict):
    times(power, noise, target="performer").to_csv(tmp_path / measure.TABLE)
    assert claims.square.check(tmp_path).verdict == verdict


def test_every_claim_about_an_exponent_has_its_targets_in_the_table():
    assert {one.target for one in SETTINGS} == {*claims.LINEAR, *claims.SQUARE}
    assert not set(claims.LINEAR) & set(claims.SQUARE)


def test_lengths_end_with_the_longest():
    assert list(lengths(10, 16)) == [10, 12, 14, 16]
    assert list(lengths(10, 13)) == [11, 13]


def test_a_row_of_the_table():
    row = point(Setting("exact", "1", 12, 12), 1 << 12, 32)
    assert row["secret_bits"] == 4096 * 32
    assert row["charged_bits"] == 32 * 4096 * 32  # fp16 K and V, declared
    assert row["cache_bytes"] == 2 * 4 * 4096 * 32
    assert 0 < row["seconds"] <= row["seconds_median"]
    # Alice's state and message, at least, were there together.
    assert row["peak_bytes"] > 2 * row["charged_bits"] / 8
    assert 0 < row["read_seconds"] < row["seconds"]


def test_a_catalog_that_says_too_little_or_cannot_be_told_apart(tmp_path):
    def judged(**powers: float) -> str:
        rows = [times(power, 1.1, target=name).assign(square="time" if name == "h2o" else None)
                for name, power in powers.items()]  # fmt: skip
        pd.concat(rows).to_csv(tmp_path / measure.INGEST)
        return claims.catalog.check(tmp_path).verdict

    assert judged(h2o=2.0, exact=1.0) == "holds"
    assert judged(h2o=2.0, exact=1.9) == "fails"
    assert judged(h2o=1.0, exact=1.0) == "fails"
    assert judged(h2o=1.16, exact=1.0) == "undecided"
    assert judged(h2o=2.0, exact=1.48) == "undecided"


@pytest.mark.parametrize(
    ("times", "kept"),
    [
        ([1.0, 1.1, 1.0, 9.0], 3),  # calm
        ([1.0, 2.0, 2.0, 1.1, 1.1, 9.0], 5),  # two of three were slowed
        ([1.0, *[2.0] * 20], 12),  # neighbours all the time
        ([0.01] * 20, 5),  # short ones add up
        ([0.001] * 60, 30),
    ],
)
def test_a_time_is_measured_until_neighbours_are_not_felt(monkeypatch, times, kept):
    waiting = iter(times)
    monkeypatch.setattr(measure, "_seconds", lambda act: act())
    prepared = []
    found = measure._times(lambda number: prepared.append(number) or (lambda: next(waiting)))
    assert found == times[:kept]
    assert prepared == list(range(kept))


def test_no_stream_is_measured_twice(monkeypatch):
    met = []
    usual = Zero.extend
    monkeypatch.setattr(
        Zero, "extend", lambda self, Q, K, V: met.append(K.tobytes()) or usual(self, Q, K, V)
    )
    measure.ingest("zero", "quick")
    assert len(met) >= 2 * measure.REPEATS
    assert len(set(met)) == len(met)


def test_two_streams_of_a_compressor_are_measured_at_its_budget_or_without():
    rows = measure.ingest("zero", "quick")
    assert [row["n"] for row in rows] == [2048, 8192]
    assert all(0 < row["seconds"] <= row["seconds_median"] for row in rows)
    assert {"h2o", "fastgen"} <= set(measure.catalogued())
    assert "two-cache" not in measure.catalogued()
