"""A model's own keys: claims, rows and figure, on tables from formulas."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from breaks.own_keys import BREAKS
from kvbarrier.experiments.own_keys import EXPERIMENT
from kvbarrier.experiments.own_keys import measure as own_keys
from kvbarrier.figures import own_keys as figure
from kvbarrier.figures import style
from kvbarrier.reductions.own_keys import own_tokens

KINDS = ("prose", "code", "tables", "multilingual")
CLAIMS = {claim.name: claim for claim in EXPERIMENT.claims}


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    tokens = [
        {"kind": kind, "text": "text", "layer": layer, "head": head, "quantile": quantile,
         "norm": 2.0, "n": 512, "certified": (200 if layer < 5 else 500) + 10 * (quantile == "p90")}
        for kind in KINDS for layer in range(30) for head in range(3) for quantile in own_keys.NORMS
    ]  # fmt: skip
    precision = [
        {"kind": kind, "text": "text", "layer": place.layer, "head": 0, "norm": norm,
         "gamma": gamma, "most": math.log2(math.ceil(1 / (2 * gamma))),
         "bits": 0.9 * math.log2(math.ceil(1 / (2 * gamma)))}
        for kind, norm in [*((kind, 2.0) for kind in KINDS), ("explicit", 12.0)]
        for place in own_keys.PRECISE for gamma in own_keys.GAMMAS
    ]  # fmt: skip
    errors = {"exact dtype=fp32": 0.0, "sliding-window 1/2": 0.25, "streaming-llm 1/2": 0.26,
              "quantized bits=2": 0.01, own_keys.HALF: 0.25}  # fmt: skip
    played = [
        {"kind": kind, "text": "text", "layer": 5, "head": 0, "setting": setting,
         "secret_rows": 480, "messages": 4, "bit_error": error, "least": error, "most": error,
         "bits_per_secret_bit": 0.5 if setting == own_keys.HALF else 8.0}
        for kind in KINDS for setting, error in errors.items()
    ]  # fmt: skip
    points = [
        {"kind": kind, "text": "text", "layer": 5, "head": 0, "setting": f"quantized bits={bits}",
         "bits_a_number": 2.0 * bits, "gamma": 2.0**-bits / 2, "bound_a_number": bits - 1.5}
        for kind in KINDS for bits in (2, 4, 8)
    ]  # fmt: skip
    tables = ((own_keys.TOKENS, tokens), (own_keys.PRECISION, precision),
              (own_keys.PLAYED, played), (own_keys.POINTS, points))  # fmt: skip
    for name, rows in tables:
        pd.DataFrame(rows).to_csv(tmp_path / name, index=False)
    return tmp_path


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_holds_and_its_break_is_seen(name: str, folder: Path) -> None:
    judgement = CLAIMS[name].check(folder)
    assert judgement.verdict == "holds", judgement.evidence
    BREAKS[name](folder)
    assert CLAIMS[name].check(folder).verdict == "fails"


def test_every_claim_was_there_before_the_data() -> None:
    assert all(claim.preregistered for claim in EXPERIMENT.claims)


def test_settings_are_played_on_any_keys() -> None:
    K = np.random.default_rng(0).normal(size=(512, 64)).astype(np.float32)
    rows = {row["setting"]: row for row in own_keys.attacked(own_tokens(K, 1.0), "test", 2)}
    assert len(rows) == len(own_keys.SETTINGS) + 1
    assert rows["exact dtype=fp32"]["most"] == 0
    assert rows[own_keys.HALF]["bits_per_secret_bit"] == pytest.approx(0.5, abs=0.01)
    assert rows[own_keys.HALF]["bit_error"] == pytest.approx(0.25, abs=0.02)
    assert 0.2 < rows["sliding-window 1/2"]["bit_error"] < 0.3


def test_a_finer_cache_errs_less_and_is_asked_for_more() -> None:
    K = np.random.default_rng(0).normal(size=(512, 64)).astype(np.float32)
    rows = [own_keys.stored(own_tokens(K, 1.5), one) for one in own_keys.STORED]
    for name, rises in (("gamma", False), ("bound_a_number", True), ("bits_a_number", True)):
        values = [row[name] for row in rows]
        assert values == sorted(values, reverse=not rises)
    assert rows[-1]["gamma"] < 2**-11
    assert rows[-1]["bits_a_number"] == pytest.approx(32, abs=0.1)


def test_explicit_keys_reach_what_suffices() -> None:
    """At norm 24 S' of 512 Kerdock keys is below 512 e^{-21}: every level is told apart."""
    _, rows, _, _ = own_keys.explicit()
    wide = [row for row in rows if row["norm"] == 24.0 and row["gamma"] >= 0.01]
    assert [row["bits"] for row in wide] == pytest.approx([row["most"] for row in wide])


def test_every_kind_and_layer_is_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[Any] = []
    monkeypatch.setattr(style, "save", lambda drawn, path: caught.append(drawn))
    figure.picture(folder, folder / "unused.png")
    left, right = caught[0].axes
    assert len([line for line in left.lines if len(line.get_xdata()) == 30]) == 8
    named = {text.get_text() for text in right.texts}
    assert {"layer 0", "layers 1, 5, 15, 25", "explicit keys, norm 12"} <= named
    assert "suffices, with public keys" in named
