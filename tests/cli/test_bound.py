"""`bound`: models, a logit range, alphabets, keys, a claim, and what does not go together."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.reductions.key_payload import KeyPayloadReduction

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
    assert "more than 17.14x" in text
    said = kvbarrier("bound", "--keys", "kerdock", "--compression", "28")
    assert "28x is not excluded at success 0.9: no instance" in said.out + said.err
    assert "here forbids compressions up to 60.26x" in said.out + said.err


def test_a_models_tables_fit_into_eighty_columns(kvbarrier, config: Path) -> None:
    """In a pipe, and so in a page: no word and no number is broken over two lines."""
    said = kvbarrier("bound", "--model", config).out
    for word in ("layers", "KV heads", "tokens", "bf16 cache (MiB)", "values", "keys and values"):
        assert word in said, word
    for cell in ("131072", "128, 128", "16384", "60.26x", "32.27x"):
        assert cell in said, cell
    assert max(map(len, said.splitlines())) <= 80


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
        (("--logit-range", "12", "--keys", "jl"), "--keys has no meaning with --logit-range"),
        (("--logit-range", "0.1"), "give a larger --logit-range"),
        (("--logit-range", "nan"), "positive number of nats"),
        (("--context", "10"), "--context has a meaning only with --model"),
        (("--compression", "-1"), "positive factor"),
        (("--alphabet", "3"), "B = 2^b levels"),
        (("--alphabet", "4", "--values", "pm1"), "--values has no meaning with --alphabet"),
        (("--alphabet", "4", "--certificate", "c"), "--certificate has no meaning with --alphabet"),
        (("--alphabet", "4", "--success", "0.25"), "(1/4, 1] for 4 levels, not 0.25"),
        (("--alphabet", "16", "--gamma", "0.05"), "use fewer levels or a smaller error"),
        (("--alphabet", "4", "--logit-range", "9"), "--alphabet has no meaning with --logit-range"),
        (("--key-bits", "2"), "only with --reduction key-payload"),
        (("--reduction", "key-payload", "--keys", "jl"), "--keys has no meaning with --reduction"),
        (("--reduction", "key-payload", "--gamma", "0.1"), "relative error: give --eta"),
        (("--reduction", "key-payload", "--alphabet", "4"), "--alphabet has no meaning"),
        (("--reduction", "key-payload", "--d", "9"), "use d > 9 or a smaller n"),
        (("--reduction", "key-payload", "--success", "0.5"), "(1/2, 1], not 0.5"),
        (("--reduction", "tensor"), "must be index or key-payload"),
    ],
)
def test_what_does_not_go_together(kvbarrier, argv: tuple[str, ...], says: str) -> None:
    said = kvbarrier("bound", *argv)
    assert said.code == 2
    assert says in said.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
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


def root(holds: Callable[[float], bool]) -> float:
    """The least C at which a condition holds that fails below it and holds above."""
    low, high = 0.0, 200.0
    for _ in range(60):
        low, high = (low, (low + high) / 2) if holds((low + high) / 2) else ((low + high) / 2, high)
    return high


def kerdock_16(C: float) -> float:
    """S' of the 256 Kerdock keys in d = 16, (5) of docs/theory.md: 8 blocks of 32 keys."""
    others = 7 * 16 * (math.exp(-C * 3 / 4) + math.exp(-C * 5 / 4))
    return math.exp(-2 * C) + 30 * math.exp(-C) + others


def test_an_even_grid_of_16_levels(kvbarrier) -> None:
    """(C2): 1/15 > S' + 2 gamma (1 + S' + e^-C); Fano for a symbol of 4 bits; gamma = .01."""
    play = ("--keys", "kerdock", "--d", "16", "--alphabet", "16", "--gamma", "0.01", "--json")
    document = json.loads(kvbarrier("bound", *play).out)
    exact = root(lambda C: kerdock_16(C) + 0.02 * (1 + kerdock_16(C) + math.exp(-C)) < 1 / 15)
    assert document["scale"] == pytest.approx(exact, rel=1e-4)
    assert document["logit_range"] == pytest.approx(exact, rel=1e-4)  # unit keys
    assert (document["bits_per_number"], document["secret_bits"]) == (4, 256 * 16 * 4)
    fano = 4 - (-0.1 * math.log2(0.1) - 0.9 * math.log2(0.9)) - 0.1 * math.log2(15)
    assert document["bound_bits"] == pytest.approx(256 * 16 * fano)
    assert document["bound_bits_per_token"] == pytest.approx(16 * fano)
    assert document["compression_ratio_limit"] == pytest.approx(32 / fano)
    assert (document["levels"], document["most_levels"], document["value_range"]) == (16, 50, None)


def test_geometric_levels(kvbarrier) -> None:
    """(C1) at its own ratio beta = rho 15/14, and the law for values within beta^15."""
    play = ("--keys", "kerdock", "--d", "16", "--alphabet", "16", "--eta", "0.1", "--json")
    document = json.loads(kvbarrier("bound", *play).out)
    beta = 1.1 / 0.9 * 15 / 14
    step = (0.9 * beta - 1.1) / (1.1 * beta**15 - 0.9)
    assert document["scale"] == pytest.approx(root(lambda C: kerdock_16(C) < step), rel=1e-4)
    assert document["value_range"] == pytest.approx(beta**15, rel=1e-6)
    assert document["most_levels"] == math.ceil(15 * math.log(beta) / math.log(1.1 / 0.9))
    assert document["values"] == "geometric levels"


def test_no_error_costs_every_bit(kvbarrier) -> None:
    play = ("bound", "--keys", "kerdock", "--d", "16", "--success", "1", "--json")
    for levels, b in ((2, 1), (4, 2), (256, 8)):
        said = json.loads(kvbarrier(*play, "--alphabet", levels, "--gamma", "0.001").out)
        assert said["bound_bits"] == said["secret_bits"] == 256 * 16 * b
        assert said["compression_ratio_limit"] == 32 / b
    exact = json.loads(kvbarrier(*play, "--alphabet", "4", "--eta", "0").out)
    assert exact["most_levels"] is None


def test_two_levels_are_the_bound_that_there_was(kvbarrier) -> None:
    play = ("bound", "--keys", "kerdock", "--gamma", "0.1", "--success", "0.8", "--json")
    two, plain = (json.loads(kvbarrier(*play, *more).out) for more in (("--alphabet", "2"), ()))
    for name in ("scale", "logit_range", "closed_scale", "secret_bits", "bound_bits",
                 "bound_bits_per_token", "compression_ratio_limit", "coherence"):  # fmt: skip
        assert two[name] == pytest.approx(plain[name], rel=1e-5), name


def test_people_read_the_alphabet(kvbarrier) -> None:
    play = ("bound", "--keys", "kerdock", "--alphabet", "16", "--compression")
    said = kvbarrier(*play, "12", "--gamma", "0.01")
    text = " ".join((said.out + said.err).split())
    assert said.code == 0
    for words in ("16, an even grid in [0, 1]", "12x is excluded at success 0.9, by secrets in the "
                  "values", "more than 10.19x", "success probability per number"):  # fmt: skip
        assert words in text
    said = kvbarrier(*play, "9", "--eta", "0.1")
    text = " ".join((said.out + said.err).split())
    assert "16, geometric, over a factor of 57.11" in text
    assert (
        "9x is not excluded at success 0.9: no instance here forbids compressions up to 10.19x"
        in text
    )


@pytest.mark.parametrize("eta", [0.3, 0.8])
def test_secrets_in_keys_as_well(kvbarrier, eta: float) -> None:
    """256 tokens, d = 32: 8192 + 6144 bits, M01 on all 2^8 addresses, the largest score asked."""
    play = ("bound", "--reduction", "key-payload", "--n", "256", "--d", "32", "--eta", eta)
    document = json.loads(kvbarrier(*play, "--json").out)
    assert (document["secret_bits_in_values"], document["secret_bits_in_keys"]) == (8192, 6144)
    assert document["secret_bits"] == 256 * (2 * 32 - 8) == 14336
    h = -0.1 * math.log2(0.1) - 0.9 * math.log2(0.9)
    assert document["bound_bits"] == pytest.approx(14336 * (1 - h))
    assert document["compression_ratio_limit"] == pytest.approx(16 * 256 * 64 / 14336 / (1 - h))
    assert document["bits_per_number"] == 14336 / (2 * 256 * 32)
    rho = (1 + eta) / (1 - eta)
    exact = -4 * math.log((1 + 1 / rho) ** (1 / 8) - 1)
    assert document["scale"] == pytest.approx(exact, rel=1e-4)
    hard = KeyPayloadReduction.build(n=256, d=32, eta=eta)
    _, K, _ = hard.stream(np.ones((256, 56), dtype=np.uint8))  # payloads highest
    Q, _, _ = hard.queries([0, 100])
    assert document["logit_range"] == pytest.approx(float((Q @ K.T).max()), rel=1e-5)


def test_bits_in_keys_cost_what_bits_in_values_do(kvbarrier) -> None:
    """Theorem AA, b = 2: d_p = 24 levels a token, one answer a bit, given the bit above it."""
    play = ("bound", "--reduction", "key-payload", "--n", "256", "--d", "32", "--json")
    document = json.loads(kvbarrier(*play, "--key-bits", "2").out)
    h1 = -0.1 * math.log2(0.1) - 0.9 * math.log2(0.9)
    assert document["bound_bits"] == pytest.approx(256 * (32 + 2 * 24) * (1 - h1))
    assert document["secret_bits"] == 256 * (32 + 2 * 24)
    # eight bits at success .6: a number may always be wrong, and yet its bits tell something
    weak = json.loads(kvbarrier(*play, "--key-bits", "8", "--success", "0.6", "--eta", "0").out)
    h4 = -0.4 * math.log2(0.4) - 0.6 * math.log2(0.6)
    assert weak["bound_bits"] == pytest.approx(256 * (32 + 8 * 24) * (1 - h4))
    said = kvbarrier(*play[:-1], "--compression", "40")
    text = " ".join(said.out.split())
    assert "14336 = 8192 + 6144" in text
    assert "40x is excluded at success 0.9, by secrets in the keys and values" in text


def test_a_model_has_no_keys_of_ours(kvbarrier, config: Path) -> None:
    said = kvbarrier("bound", "--model", config, "--n", "4096")
    assert (said.code, "--n has no meaning with --model" in said.err) == (2, True)
    said = kvbarrier("bound", "--model", config, "--gamma", "0.1")
    assert said.code == 2
