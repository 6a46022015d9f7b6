"""``attack --model``: a sample of a model's cache, and the sentences before and after it."""

import json

import pytest

CONFIG = {"_name_or_path": "small", "num_hidden_layers": 4, "num_attention_heads": 4,
          "num_key_value_heads": 2, "head_dim": 32}  # fmt: skip


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    return str(path)


def test_a_model_is_sampled_and_the_sample_is_said(kvbarrier, config):
    what = "--model", config, "--context", "1024", "--sample", "rows=32"
    done = kvbarrier("attack", "exact", *what, "-b", "1", "-m", "1")
    assert done.code == 0, done.err
    assert "4 full layers of 2 KV heads, 1,024 x 32 each" in done.err
    assert "1 of 4 layers, 2 of 2 heads, 32 of 1,024 rows" in done.out
    assert "4 times as much" in done.out


def test_the_document_has_the_model(kvbarrier, config):
    what = "--model", config, "--context", "1024"
    done = kvbarrier("attack", "exact", *what, "-b", "1", "-m", "1", "--json")
    document = json.loads(done.out)
    assert document["model"]["times"] == 4
    point = document["points"][0]
    assert (point["n"], point["d"], point["layers"], point["heads"]) == (1024, 32, 1, 2)
    assert point["asked_bits"] == 64 * 2 * 32


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--n", "64"], "--n has no meaning with --model"),
        (["--rows", "64"], "--rows has no meaning with --model"),
        (["--reduction", "tensor"], "--model plays the index reduction"),
        (["--context", "1000"], "take --context 992"),
        (["--sample", "layers=5"], "give 1 to 4"),
    ],
)
def test_what_does_not_go_with_a_model(kvbarrier, config, words, says):
    done = kvbarrier("attack", "exact", "--model", config, *words)
    assert done.code == 2
    assert says in done.err


@pytest.mark.parametrize("option", [("--context", "64"), ("--sample", "heads=1")])
def test_a_context_or_a_sample_of_no_model(kvbarrier, option):
    done = kvbarrier("attack", "exact", *option)
    assert done.code == 2
    assert f"{option[0]} has a meaning only with --model" in done.err


def test_a_declared_message_that_none_can_be_is_refused_before_it_is_written(kvbarrier):
    what = "--keys", "bch", "--n", str(1 << 22), "--d", "64", "--rows", "64"
    done = kvbarrier("attack", "exact", *what, "-b", "2")
    assert done.code == 2
    assert "a message has at most 1073741824: take fewer tokens" in done.err
