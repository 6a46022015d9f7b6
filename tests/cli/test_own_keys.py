"""Keys of one's own on the command line: bound, verify, attack, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

RNG = np.random.default_rng(4)
KEYS = RNG.normal(size=(2, 2, 48, 16)).astype(np.float32)
QUERIES = RNG.normal(size=(2, 4, 48, 16)).astype(np.float32) * 0.4


@pytest.fixture
def one(tmp_path: Path) -> Path:
    np.save(tmp_path / "one.npy", KEYS[0, 0])
    return tmp_path / "one.npy"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    np.savez(tmp_path / "model.npz", keys=KEYS, queries=QUERIES, layers=np.array([3, 7]))
    return tmp_path / "model.npz"


def test_one_head_in_json(kvbarrier, one: Path) -> None:
    said = kvbarrier("bound", "--keys", one, "--norm", "2", "--json")
    found = json.loads(said.out)
    assert said.code == 0
    assert (found["n"], found["d"], found["norm"]) == (48, 16, 2.0)
    line = -np.log(3)
    below = sum(a < line for a in found["a"])
    assert found["certified_tokens"] == below > 0
    assert type(found["certified_tokens"]) is int
    assert found["secret_bits"] == below * 16
    h = -0.1 * np.log2(0.1) - 0.9 * np.log2(0.9)
    assert found["bound_bits"] == pytest.approx(below * 16 * (1 - h))
    (head,) = found["heads"]
    assert all(low <= a for low, a in zip(head["a_at_least"], head["a"], strict=True))
    assert len(head["not_certified"]) == 48 - below


def test_a_model_adds_up(kvbarrier, model: Path) -> None:
    found = json.loads(kvbarrier("bound", "--keys", model, "--norm", "p90", "--json").out)
    norms = np.quantile(np.linalg.norm(QUERIES.astype(np.float64), axis=3), 0.9, axis=2)
    assert [h["norm"] for h in found["heads"]] == pytest.approx(
        norms.reshape(2, 2, 2).max(axis=2).ravel().tolist()
    )
    assert [layer["layer"] for layer in found["layers"]] == [3, 7]
    for name in ("certified_tokens", "secret_bits", "bound_bits"):
        assert found[name] == pytest.approx(sum(h[name] for h in found["heads"]))
        assert found[name] == pytest.approx(sum(layer[name] for layer in found["layers"]))
    one = json.loads(
        kvbarrier("bound", "--keys", model, "--norm", "p90", "--at", "7.1", "--json").out
    )
    assert one["bound_bits"] == found["heads"][3]["bound_bits"]


def test_levels_under_an_additive_error(kvbarrier, one: Path) -> None:
    said = kvbarrier("bound", "--keys", one, "--norm", "4", "--gamma", "0.01", "--json")
    found = json.loads(said.out)
    levels = np.array(found["heads"][0]["levels"], dtype=float)
    assert levels.max() > 10
    assert found["secret_bits"] == pytest.approx(16 * np.log2(levels).sum())


def test_people_are_told_what_and_why(kvbarrier, tmp_path: Path) -> None:
    K = np.array(KEYS[0, 0])
    K[5] = K[9]
    np.save(tmp_path / "twins.npy", K)
    said = kvbarrier("bound", "--keys", "twins.npy", "--norm", "2.0")
    assert said.code == 0
    assert "2 tokens are not certified: another token has the same key" in said.out
    assert "of all values and of all queries" in said.out
    none = kvbarrier("bound", "--keys", "twins.npy", "--norm", "0.1")
    assert "No token is certified at this norm: the smallest norm that certifies one is" in none.out
    norm = none.out.split("certifies one is ")[1].split()[0].rstrip(".")
    least = json.loads(kvbarrier("bound", "--keys", "twins.npy", "--norm", norm, "--json").out)
    assert 0 < least["certified_tokens"] < 5


def test_half_precision_keys(kvbarrier, tmp_path: Path) -> None:
    np.save(tmp_path / "half.npy", KEYS[0, 0].astype(ml_dtypes.bfloat16))
    np.save(tmp_path / "same.npy", KEYS[0, 0].astype(ml_dtypes.bfloat16).astype(np.float32))
    half, same = (
        json.loads(kvbarrier("bound", "--keys", f"{name}.npy", "--norm", "2", "--json").out)
        for name in ("half", "same")
    )
    assert half["a"] == same["a"]


BAD: dict[str, tuple[Any, str]] = {
    "nan": (np.where(np.arange(16) == 3, np.nan, KEYS[0, 0]), "not finite"),
    "flat": (KEYS[0, 0, 0], "[layers, heads, tokens, d] is expected"),
    "single": (KEYS[0, 0, :1], "give a file with 2 or more"),
    "deep": (KEYS[None, None], "[layers, heads, tokens, d] is expected"),
    "whole": (np.arange(32).reshape(16, 2), "float16, bfloat16, float32 or float64"),
    "objects": (np.array([{}], dtype=object), "pickled Python objects"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_sentence(kvbarrier, tmp_path: Path, name: str) -> None:
    array, sentence = BAD[name]
    np.save(tmp_path / "bad.npy", array, allow_pickle=True)
    said = kvbarrier("bound", "--keys", "bad.npy", "--norm", "2")
    assert said.code == 2
    assert said.out == ""
    assert sentence in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--keys", "none.npy", "--norm", "1"], "cannot be read"),
        (["--keys", "one.npy"], "need --norm"),
        (["--keys", "one.npy", "--norm", "p50"], "no queries"),
        (["--keys", "one.npy", "--norm", "-1"], "--norm is a positive number"),
        (["--keys", "one.npy", "--norm", "1", "--at", "1.0"], "not 1.0"),
        (["--keys", "one.npy", "--norm", "1", "--n", "49"], "2 to 48"),
        (["--keys", "one.npy", "--norm", "1", "--d", "16"], "--d has no meaning"),
        (["--keys", "one.npy", "--norm", "1", "--success", "0.5"], "success must lie"),
        (["--keys", "one.npy", "--norm", "1", "--gamma", "0.5"], "gamma < 0.5"),
        (["--keys", "jl", "--norm", "1"], "only with --keys FILE"),
    ],
)
def test_bad_options_are_one_sentence(kvbarrier, one: Path, argv: list[str], sentence: str) -> None:
    said = kvbarrier("bound", *argv)
    assert said.code == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_attack_plays_on_them(kvbarrier, model: Path) -> None:
    argv = ("attack", "exact", "--keys", model, "--norm", "p90", "--at", "7.1", "--budget", "free")
    said = kvbarrier(*argv, "--messages", "4", "--resume", "r.csv", "--json")
    point = json.loads(said.out)["points"][0]
    assert said.code == 0
    assert (point["reduction"], point["keys"], point["n"]) == ("own-keys", "model.npz 7.1", 48)
    assert point["wrong_bits"] == 0
    bound = json.loads(
        kvbarrier("bound", "--keys", model, "--norm", "p90", "--at", "7.1", "--json").out
    )
    assert point["secret_bits"] == 4 * bound["secret_bits"]
    again = kvbarrier(*argv, "--messages", "4", "--resume", "r.csv", "--json")
    # What was read bit by bit is not kept in the file.
    assert json.loads(again.out)["points"][0] | {"map": None} == point | {"map": None}


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--keys", "one.npy"], "--keys FILE.npy --norm R"),
        (["--keys", "one.npy", "--norm", "0.1"], "give a larger --norm"),
        (["--keys", "one.npy", "--norm", "2", "--scale", "3"], "has no --scale"),
        (["--keys", "one.npy", "--norm", "2", "--heads", "2"], "has no --heads 2"),
        (["--keys", "one.npy", "--norm", "2", "--reduction", "tensor"], "makes its own keys"),
        (["--keys", "one.npy", "--norm", "2", "--at", "3.3"], "and not 3.3"),
        (["--keys", "none.npy", "--norm", "2"], "cannot be read"),
        (["--keys", "one.npy", "--norm", "2", "--d", "32"], "have dimension 16"),
        (["--reduction", "own-keys"], "--keys FILE.npy --norm R"),
        (["--norm", "2"], "only with --keys FILE"),
    ],
)
def test_bad_attacks_are_one_sentence(kvbarrier, one: Path, argv: list[str], sentence: str) -> None:
    said = kvbarrier("attack", "exact", *argv)
    assert said.code == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1
