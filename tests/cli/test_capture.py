"""`capture`: what is asked of the model's process, and what is refused before it starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.cli.capture import numbers
from kvbarrier.compressors.engines.natural import process
from kvbarrier.errors import BadInput


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Requests to the model's process, which writes a small file in its place."""
    made: list[Any] = []

    def asked(module: str, request: Any) -> Any:
        made.append((module, request))
        rng = np.random.default_rng(0)
        with Path(request["out"]).open("wb") as file:
            np.savez(
                file, keys=rng.normal(size=(1, 2, 40, 8)).astype("f4"),
                queries=rng.normal(size=(1, 4, 40, 8)).astype("f4"), layers=np.array([5]),
                heads=np.array([0, 2]),
            )  # fmt: skip
        return {"layers": [5], "heads": [0, 2], "tokens": 40, "d": 8, "group": 2}

    monkeypatch.setattr(process, "asked", asked)
    return made


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("Ein Satz.")
    return tmp_path / "text.txt"


def test_what_is_captured_can_be_bounded(kvbarrier, requests: list[Any], text: Path) -> None:
    said = kvbarrier(
        "capture", "smollm2", text, "--out", "k.npz", "--layers", "5", "--heads", "0,2",
        "--tokens", "40", "--json",
    )  # fmt: skip
    assert said.code == 0
    assert json.loads(said.out)["file"] == "k.npz"
    ((module, request),) = requests
    assert module == "capture"
    assert request["model"] is None
    assert (request["layers"], request["heads"], request["tokens"]) == ([5], [0, 2], 40)
    assert request["text"] == "Ein Satz."
    found = json.loads(kvbarrier("bound", "--keys", "k.npz", "--norm", "p50", "--json").out)
    assert [(h["layer"], h["head"]) for h in found["heads"]] == [(5, 0), (5, 2)]


def test_a_folder_is_a_model(kvbarrier, requests: list[Any], text: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    said = kvbarrier("capture", "model", text, "--out", "k.npz")
    assert said.code == 0
    assert "next: kvbarrier bound --keys k.npz --norm p50" in said.err
    assert requests[0][1]["model"] == str(tmp_path / "model")


def test_nothing_is_left_where_the_model_fails(
    kvbarrier, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(module: str, request: Any) -> Any:
        raise BadInput("The model has the layers 0 to 29, and no layer 30.")

    monkeypatch.setattr(process, "asked", fails)
    said = kvbarrier("capture", "smollm2", text, "--out", "k.npz", "--layers", "30")
    assert said.code == 2
    assert said.err == "kvbarrier: The model has the layers 0 to 29, and no layer 30.\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text.txt"]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["nowhere", "text.txt", "--out", "k.npz"], "neither smollm2 nor a folder"),
        (["smollm2", "text.txt", "--out", "k.npy"], "must have a name that ends in .npz"),
        (["smollm2", "text.txt", "--out", "k.npz", "--tokens", "1"], "2 or more"),
        (["smollm2", "text.txt", "--out", "k.npz", "--layers", "a"], "such as 0,5-7"),
        (["smollm2", "text.txt", "--out", "k.npz", "--heads", "2-1"], "such as 0,5-7"),
        (["smollm2", "bytes.bin", "--out", "k.npz"], "not UTF-8"),
    ],
)
def test_bad_requests_are_one_sentence(
    kvbarrier, requests: list[Any], text: Path, argv: list[str], sentence: str
) -> None:
    (text.parent / "bytes.bin").write_bytes(b"\xff\xfe\x00")
    said = kvbarrier("capture", *argv)
    assert said.code == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert requests == []


def test_numbers() -> None:
    assert numbers(None, "--layers") is None
    assert numbers("7, 0-2,1", "--layers") == [0, 1, 2, 7]
