"""The synthetic GPT-2 for llama.cpp, against a forward pass in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.engines.engine import attention_over
from kvbarrier.compressors.engines.llamacpp.carrier import EPSILON, Carrier, weights, write_model
from kvbarrier.errors import BadInput

SMALL = Carrier(layers=2, heads=2, d=4, positions=8)


def triples(m: int, carrier: Carrier = SMALL, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    shape = (m, carrier.layers, carrier.heads, carrier.d)
    return [rng.standard_normal(shape, dtype=np.float32) for _ in range(3)]


def layer_norm(x: Any, tensors: Any, name: str) -> Any:
    """As ggml does it: float32 throughout, mean and variance over the row."""
    mean = x.sum(axis=1, dtype=np.float64).astype(np.float32)[:, None] / np.float32(x.shape[1])
    centred = x - mean
    variance = (centred * centred).mean(axis=1, dtype=np.float32)[:, None]
    scale = np.float32(1) / np.sqrt(variance + np.float32(EPSILON))
    return centred * scale * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def forward(carrier: Carrier, tensors: Any, x: Any) -> Any:
    """GPT-2 with grouped KV heads, causal; the logits, and what a cache would get."""
    m, width = x.shape
    x = x + tensors["position_embd.weight"][:m].astype(np.float32)
    cached = []
    for layer in range(carrier.layers):
        at = f"blk.{layer}."
        normed = layer_norm(x, tensors, at + "attn_norm")
        qkv = normed @ tensors[at + "attn_qkv.weight"].T + tensors[at + "attn_qkv.bias"]
        side = carrier.heads * carrier.d
        q, k, v = np.split(qkv, [width, width + side], axis=1)
        q = q.reshape(m, carrier.query_heads, carrier.d)
        k, v = (part.reshape(m, carrier.heads, carrier.d) for part in (k, v))
        cached.append((k, v))
        group = carrier.query_heads // carrier.heads
        heads = np.empty((m, carrier.query_heads, carrier.d))
        for head in range(carrier.query_heads):
            scores = q[:, head].astype(np.float64) @ k[:, head // group].T / np.sqrt(carrier.d)
            scores[np.triu_indices(m, 1)] = -np.inf
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            heads[:, head] = shares / shares.sum(axis=1, keepdims=True) @ v[:, head // group]
        flat = heads.reshape(m, width).astype(np.float32)
        x = x + flat @ tensors[at + "attn_output.weight"].T + tensors[at + "attn_output.bias"]
        normed = layer_norm(x, tensors, at + "ffn_norm")
        inner = gelu(normed @ tensors[at + "ffn_up.weight"].T + tensors[at + "ffn_up.bias"])
        x = x + inner @ tensors[at + "ffn_down.weight"].T + tensors[at + "ffn_down.bias"]
    return layer_norm(x, tensors, "output_norm") @ tensors["output.weight"].T, cached


def test_the_logits_are_the_attention_outputs() -> None:
    Q, K, V = triples(8)
    logits, _ = forward(SMALL, weights(SMALL), SMALL.hidden(Q, K, V))
    keys, values = (
        [[part[:7, layer, head] for head in range(2)] for layer in range(2)] for part in (K, V)
    )
    wanted = attention_over(keys, values, Q[7:], K[7:], V[7:])
    assert np.allclose(SMALL.outputs(logits)[7:], wanted, atol=1e-6)


def test_keys_and_values_reach_the_cache_bit_for_bit() -> None:
    Q, K, V = triples(8)
    _, cached = forward(SMALL, weights(SMALL), SMALL.hidden(100 * Q, K, 3 * V))
    for layer, (k, v) in enumerate(cached):
        assert np.array_equal(k, K[:, layer])
        assert np.array_equal(v, 3 * V[:, layer])


@pytest.mark.parametrize("size", [1e-3, 1.0, 200.0])
def test_layer_norm_is_the_identity_up_to_a_variance_of_65536(size: float) -> None:
    x = SMALL.hidden(*(np.float32(size) * part for part in triples(8)))
    assert x.var() < 2**16
    assert np.array_equal(layer_norm(x, weights(SMALL), "output_norm"), x)


def test_layer_norm_beyond_that_shrinks_as_documented() -> None:
    x = SMALL.hidden(*(np.float32(3e4) * part for part in triples(8)))
    normed = layer_norm(x, weights(SMALL), "output_norm")
    expected = 1 - x.var(axis=1, keepdims=True) / 2**41
    assert not np.array_equal(normed, x)
    assert np.allclose(normed, x * expected, rtol=1e-5, atol=0)


def test_every_coordinate_has_its_mirror() -> None:
    x = SMALL.hidden(*triples(3))
    assert x.shape == (3, 8 * 2 * 2 * 4)
    assert np.array_equal(x[:, 0::2], -x[:, 1::2])


def test_a_table_of_hidden_states_is_the_vocabulary() -> None:
    x = SMALL.hidden(*triples(5))
    tensors = weights(Carrier(2, 2, 4, 8, vocabulary=5), x)
    assert tensors["token_embd.weight"].shape == (16, SMALL.width)  # a logit for each of 2·2·4
    assert np.array_equal(tensors["token_embd.weight"][:5], x)


def test_a_model_file_has_a_limit() -> None:
    with pytest.raises(BadInput, match=r"64 layers of 8 heads .* the largest made is 1024 MiB"):
        Carrier(layers=64, heads=8, d=64, positions=512)


def test_the_file_holds_these_tensors_and_its_size_is_foreseen(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf", reason="gguf is in the llamacpp environment")
    path = tmp_path / "model.gguf"
    table = SMALL.hidden(*triples(5))
    carrier = Carrier(2, 2, 4, 8, vocabulary=5)
    write_model(path, carrier, table)
    reader = gguf.GGUFReader(path)
    found = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    wanted = weights(carrier, table)
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    assert reader.get_field("general.architecture").contents() == "gpt2"
    assert reader.get_field("gpt2.attention.head_count_kv").contents() == 2
    assert reader.get_field("gpt2.attention.layer_norm_epsilon").contents() == 2.0**40
    assert 0.9 < carrier.bytes / path.stat().st_size < 1.1


def test_equal_arguments_write_equal_bytes(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="gguf is in the llamacpp environment")
    for name in ("a", "b"):
        write_model(tmp_path / name, SMALL)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
