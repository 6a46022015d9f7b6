"""The figures of tolerance and sparsity: axes say what they are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from kvbarrier.experiments.sparsity.measure import GAUSSIAN, HARD, Setting, weight_rows
from kvbarrier.experiments.tolerance.measure import (
    TOLERANCES,
    Keys,
    Subject,
    Tolerance,
    compressor_rows,
    worst_rows,
)
from kvbarrier.figures import sparsity, style, tolerance


@pytest.fixture(scope="module")
def worst() -> pd.DataFrame:
    sets = (Keys("jl", 16, 8), Keys("hypercube", 16, 8))
    return pd.DataFrame([row for s in sets for t in TOLERANCES for row in worst_rows(s, t)])


@pytest.fixture(scope="module")
def compressors() -> pd.DataFrame:
    subjects = (Subject("exact", (("dtype", "fp16"),)), Subject("zero"))
    half = Tolerance("01", eta=0.5)
    played = [compressor_rows(s, Keys("jl", 16, 8), half, 2) for s in subjects]
    return pd.DataFrame([row for rows in played for row in rows])


@pytest.fixture(scope="module")
def weights() -> pd.DataFrame:
    settings = (Setting("jl", 32, 16), Setting("kerdock", 32, 16))
    found = [weight_rows(s, kind) for s in settings for kind in (HARD, GAUSSIAN)]
    return pd.DataFrame([row for rows in found for row in rows])


@pytest.fixture(scope="module")
def memory() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"size": n, "other": 32, "charged_bits": cost * n, "messages": 4, "k": k, "window": n}
            | {"dtype": dtype, "floor_per_secret_bit": 0.531}
            for k, dtype, cost in ((1, "fp16", 820), (8, "fp8", 410))
            for n in (128, 1024, 16384)
        ]
    )


def test_every_setting_is_a_point_and_the_caption_says_how_many(
    worst, compressors, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = []
    monkeypatch.setattr(style, "save", lambda figure, path: caught.append(figure))
    tolerance.draw(worst, compressors, Path("unused.png"))
    scatter = caught[0].axes[2]
    placed = {
        (round(float(x), 9), round(float(y), 9))
        for line in scatter.get_lines()
        for x, y in zip(*line.get_data(), strict=True)
    }
    for _, row in compressors.iterrows():
        assert (round(row["largest"] / row["eta"], 9), round(row["bit_error"], 9)) in placed
    caption = caught[0].legends[0].get_title().get_text()
    assert "2 settings" in caption
    assert "2 independent messages" in caption
    assert "relative error" in scatter.get_xlabel()


def test_the_limit_is_n_d_times_the_floor(weights, memory, monkeypatch: pytest.MonkeyPatch) -> None:
    caught = []
    monkeypatch.setattr(style, "save", lambda figure, path: caught.append(figure))
    sparsity.draw(weights, memory, Path("unused.png"))
    [limit] = [x for x in caught[0].axes[1].get_lines() if x.get_label().startswith("limit")]
    assert limit.get_ydata()[0] == pytest.approx(128 * 32 * 0.531)
    assert "1.000 of the tokens" in " ".join(t.get_text() for t in caught[0].legends[0].get_texts())
