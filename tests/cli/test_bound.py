"""`bound`: whole models, a logit range, a claimed compression, and what does not go together."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8,
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    return path


def test_a_model_in_json(kvbarrier, config: Path) -> None:
    said = kvbarrier("bound", "--model", config, "--compression", "28", "--json")
    document = json.loads(said.out)
    assert said.code == 0
    assert (document["context"], document["dtype"], document["success"]) == (131072, "bf16", 0.9)
    h = -0.1 * math.log2(0.1) - 0.9 * math.log2(0.9)
    assert document["compression_kv"] == pytest.approx(4096 / 239 / (1 - h))
    assert document["excluded_by"] is None
    strict = kvbarrier(
        "bound", "--model", config, "--compression", "28", "--success", "1", "--json"
    )
    assert json.loads(strict.out)["excluded_by"] == "keys and values"


def test_people_are_told_under_which_guarantee(kvbarrier, config: Path) -> None:
    said = kvbarrier("bound", "--model", config, "--compression", "28", "--success", "1")
    text = said.out + said.err
    assert "28x is excluded at success 1" in text
    assert "beyond 17.14x" in text
    said = kvbarrier("bound", "--keys", "kerdock", "--compression", "28")
    assert "28x is not excluded at success 0.9: up to 60.26x" in said.out + said.err


def test_dtype_and_context_reach_the_table(kvbarrier, config: Path) -> None:
    half = json.loads(kvbarrier("bound", "--model", config, "--dtype", "fp8", "--json").out)
    full = json.loads(kvbarrier("bound", "--model", config, "--json").out)
    assert half["cache_bits"] == full["cache_bits"] / 2
    assert half["compression"] == pytest.approx(full["compression"] / 2)
    short = json.loads(kvbarrier("bound", "--model", config, "--context", "1024", "--json").out)
    assert short["cache_bits"] == full["cache_bits"] / 128
    assert short["logit_range"] < full["logit_range"]


def test_a_logit_range_is_answered_with_keys(kvbarrier) -> None:
    document = json.loads(kvbarrier("bound", "--logit-range", "12", "--d", "64", "--json").out)
    assert document["needed_range"] <= 12
    assert document["n"] >= 4096  # Kerdock needs 10.04
    assert document["secret_bits"] == 64 * document["n"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--logit-range", "12", "--keys", "jl"), "--keys means nothing to --logit-range"),
        (("--logit-range", "0.1"), "allow more"),
        (("--logit-range", "nan"), "positive number of nats"),
        (("--context", "10"), "--context means something only with --model"),
        (("--compression", "-1"), "positive factor"),
    ],
)
def test_what_does_not_go_together(kvbarrier, argv: tuple[str, ...], says: str) -> None:
    said = kvbarrier("bound", *argv)
    assert said.code == 2
    assert says in said.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "a JSON object"),
        ("{}", "no field 'num_hidden_layers'"),
        (json.dumps(LLAMA | {"num_key_value_heads": 5}), "does not divide"),
    ],
)
def test_bad_configurations_are_told_which_field(
    kvbarrier, tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    said = kvbarrier("bound", "--model", path)
    assert said.code == 2
    assert says in said.err
    assert "Traceback" not in said.err


def test_a_model_has_no_keys_of_ours(kvbarrier, config: Path) -> None:
    said = kvbarrier("bound", "--model", config, "--n", "4096")
    assert (said.code, "--n means nothing to --model" in said.err) == (2, True)
    said = kvbarrier("bound", "--model", config, "--gamma", "0.1")
    assert said.code == 2
