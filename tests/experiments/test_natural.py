"""Natural text beside the hard instance: settings, claims and figure, on tables from formulas."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from breaks.natural import BREAKS
from kvbarrier.experiments.natural import EXPERIMENT
from kvbarrier.experiments.natural import claims as natural_claims
from kvbarrier.experiments.natural import measure as natural
from kvbarrier.figures import natural as figure
from kvbarrier.figures import style

KINDS = ("prose", "code", "tables", "multilingual")
CLAIMS = {claim.name: claim for claim in EXPERIMENT.claims}
#: setting, its compressor, family, share, increase of loss, bit error (literal)
SETTINGS = (
    ("exact dtype=fp32", "exact", "baselines", 2.0, 0.0, 0.0),
    ("snapkv 1/8", "snapkv", "eviction", 0.125, 0.25, 0.4375),
    ("h2o 1/8", "h2o", "eviction", 0.125, 0.4, 0.4375),
    ("streaming-llm 1/8", "streaming-llm", "baselines", 0.125, 0.6, 0.4375),
    ("quantized bits=2", "quantized", "baselines", 0.15625, 3.0, 0.0),
    ("turboquant bits=2", "turboquant", "quantisation", 0.1485, 2.8, 0.03),
    ("quantized bits=4", "quantized", "baselines", 0.28125, 0.1, 0.0),
    ("snapkv 1/2", "snapkv", "eviction", 0.5, 0.05, 0.25),
)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    losses = [
        {"kind": kind, "text": f"text {i}", "setting": setting, "compressor": compressor,
         "family": of, "share": share, "attention_error": math.sqrt(increase),
         "increase": increase * (1 + 0.1 * i)}
        for kind in KINDS
        for i in range(2)
        for setting, compressor, of, share, increase, _ in SETTINGS
    ]  # fmt: skip
    hard = [
        {"setting": setting, "compressor": compressor, "basis": basis, "n": 512, "d": 64,
         "messages": 4, "share": share, "bit_error": error + 0.05 * (basis == "rotated")}
        for setting, compressor, _, share, _, error in SETTINGS
        for basis in ("literal", "rotated")
    ]  # fmt: skip
    geometry = [
        {"kind": kind, "text": "text", "layer": layer, "range_05": 4.0, "range_50": 7.0,
         "range_95": 11.0, "range_max": 15.0 + layer, "dimension": 20.0, "addressed": 0.9,
         "cosine_centred": 0.17}
        for kind in KINDS
        for layer in range(30)
    ]  # fmt: skip
    geometry += [geometry[0] | {"kind": "hard", "dimension": 64.0, "addressed": 1.0}]
    ranges = [{"n": 512, "d": 64, "keys": "kerdock", "logit_range": 7.65},
              {"n": 4096, "d": 64, "keys": "kerdock", "logit_range": 10.04}]  # fmt: skip
    tables = ((natural.LOSS, losses), (natural.HARD, hard),
              (natural.GEOMETRY, geometry), (natural.RANGES, ranges))  # fmt: skip
    for name, rows in tables:
        pd.DataFrame(rows).to_csv(tmp_path / name, index=False)
    return tmp_path


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_holds_and_its_break_is_seen(name: str, folder: Path) -> None:
    judgement = CLAIMS[name].check(folder)
    assert judgement.verdict == "holds", judgement.evidence
    BREAKS[name](folder)
    assert CLAIMS[name].check(folder).verdict == "fails"


def test_texts_that_disagree_leave_the_inversion_undecided(folder: Path) -> None:
    rows = pd.read_csv(folder / natural.LOSS)
    turned = (rows["setting"] == natural_claims.KEEPS_ALL) & (rows["text"] == "text 0")
    rows["increase"] = rows["increase"].where(~turned, -3.0)
    rows.to_csv(folder / natural.LOSS, index=False)
    assert CLAIMS["natural.inversion"].check(folder).verdict == "undecided"


def test_an_interval_is_students() -> None:
    # t(.975; 1) = tan(.475 pi) = 12.706.
    low, middle, high = natural_claims.interval(pd.Series([0.0, 2.0]))
    assert (low, middle, high) == pytest.approx((1 - 12.7062, 1.0, 1 + 12.7062), abs=1e-3)
    assert natural_claims.interval(pd.Series([2.0])) == (-math.inf, 2.0, math.inf)


def test_settings_have_names_of_their_own_and_the_pair_is_among_them() -> None:
    for scale in ("quick", "full"):
        labels = [one.label for one in natural.SETTINGS[scale]]
        assert len(set(labels)) == len(labels)
        assert {natural_claims.KEEPS_ALL, natural_claims.KEEPS_FEW} < set(labels)
        assert natural.FULL_CACHE.label in labels


def test_a_budget_is_a_share_of_one_heads_16_bit_cache() -> None:
    assert natural.Setting("h2o", Fraction(1, 8)).budget_bits == 512 * 128 * 16 // 8


def test_the_hard_instance_is_half_of_what_is_evicted() -> None:
    row = natural.hard(natural.Setting("snapkv", Fraction(1, 8)), "literal", 2)
    assert row["bit_error"] == pytest.approx((1 - 1 / 8) / 2, abs=0.01)
    assert row["share"] == pytest.approx(1 / 8, rel=1e-3)
    # Two values a number, kept as the ends of the scale.
    assert natural.hard(natural.Setting("quantized", None, (("bits", 2),)), "literal", 2)[
        "bit_error"
    ] == 0  # fmt: skip


def test_the_hard_instances_geometry_is_kerdocks() -> None:
    _, _, [row] = natural.on_hard_instance()
    # Queries are C k_i and the other scores lie around 0: the range is C, less than a nat apart.
    assert row["range_05"] == pytest.approx(row["query_norm"], abs=1)
    assert row["dimension"] == pytest.approx(64, abs=1)
    assert row["addressed"] == 1


def test_rows_are_shares_and_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"charged_bits": 90 * natural.HEAD_BITS // 4, "wire_bytes": 1, "attention_error": 0.5,
             "loss": 3.0}  # fmt: skip
    text = {"kind": "prose", "name": "one", "digest": "0", "loss": 2.5, "settings": [found],
            "geometry": [{"range_50": 1.0}, {"range_50": 2.0}]}  # fmt: skip
    asked: list[Any] = []
    answer = {"versions": {"torch": "2"}, "texts": [text]}
    monkeypatch.setattr(natural, "asked", lambda _, request: asked.append(request) or answer)
    setting = natural.Setting("h2o", Fraction(1, 4))
    facts, losses, geometry = natural.on_texts((("prose", "one"),), (setting,))
    assert asked[0]["settings"] == [
        {"target": "h2o", "params": {}, "budget_bits": natural.HEAD_BITS // 4}
    ]
    assert (losses[0]["share"], losses[0]["increase"], losses[0]["family"]) == (
        0.25, 0.5, "eviction",
    )  # fmt: skip
    assert facts[0]["torch"] == "2"
    assert [row["layer"] for row in geometry] == [0, 1]


# -- the figure --------------------------------------------------------------------------------


def _drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    caught: list[Any] = []
    monkeypatch.setattr(style, "save", lambda drawn, path: caught.append(drawn))
    figure.picture(folder, folder / "unused.png")
    return caught[0]


def test_axes_say_what_they_are_and_memory_is_shared(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard, loss = _drawn(folder, monkeypatch).axes
    assert "nats a token" in loss.get_ylabel()
    assert "16-bit cache" in loss.get_xlabel()
    assert hard.get_shared_x_axes().joined(hard, loss)


def test_settings_that_lie_on_one_another_share_a_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard, loss = _drawn(folder, monkeypatch).axes
    assert "snapkv 1/8, h2o 1/8, streaming-llm 1/8" in {text.get_text() for text in hard.texts}
    assert {"snapkv 1/8", "h2o 1/8"} < {text.get_text() for text in loss.texts}


def test_every_setting_is_drawn_in_both_panels(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard, loss = _drawn(folder, monkeypatch).axes
    for axes, column in ((hard, 5), (loss, 4)):
        placed = [
            point for line in axes.get_lines() for point in zip(*line.get_data(), strict=True)
        ]
        for setting in SETTINGS:
            # The mean over two texts, of which the second has a tenth more.
            expected = setting[column] * (1.05 if axes is loss else 1)
            assert np.isclose(placed, (setting[3], expected)).all(axis=1).any(), setting


def test_styles_differ() -> None:
    assert len({tuple(figure.style(index).items()) for index in range(20)}) == 20
