"""Whole models: configurations as published, limits by hand, and sentences for bad fields."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.reductions import keys
from kvbarrier.reductions.index import IndexReduction
from kvbarrier.reductions.key_choice import most_tokens, smallest_range
from kvbarrier.reductions.model_limit import excluded, model_limit
from kvbarrier.reductions.model_shape import read_config

LLAMA_31_8B = """{
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
  "intermediate_size": 14336, "max_position_embeddings": 131072, "num_attention_heads": 32,
  "num_hidden_layers": 32, "num_key_value_heads": 8, "rope_theta": 500000.0,
  "torch_dtype": "bfloat16", "vocab_size": 128256
}"""
GEMMA_2_9B = """{
  "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "hidden_size": 3584,
  "head_dim": 256, "num_attention_heads": 16, "num_hidden_layers": 42, "num_key_value_heads": 8,
  "sliding_window": 4096, "max_position_embeddings": 8192, "attn_logit_softcapping": 50.0,
  "query_pre_attn_scalar": 256, "torch_dtype": "float32", "vocab_size": 256000
}"""
DEEPSEEK_V2_LITE = """{
  "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "hidden_size": 2048,
  "kv_lora_rank": 512, "q_lora_rank": null, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "v_head_dim": 128, "num_attention_heads": 16, "num_hidden_layers": 27,
  "num_key_value_heads": 16, "max_position_embeddings": 163840, "torch_dtype": "bfloat16"
}"""


def entropy(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def test_llama_by_hand() -> None:
    limit = model_limit(read_config(json.loads(LLAMA_31_8B)), 131072)
    [layer] = limit.layers
    assert (layer.layers, layer.heads, layer.d_k, layer.d_v) == (32, 8, 128, 128)
    # 131,072 bytes a token: 32 layers, 8 heads, 2 * 128 numbers of 2 bytes; 16 GiB in all.
    assert limit.cache_bits == 8 * 131072 * 131072
    secret = 32 * 8 * 131072 * 128
    assert layer.secret_bits == secret
    assert limit.bound_bits == pytest.approx(secret * (1 - entropy(0.1)), rel=1e-12)
    assert limit.compression == pytest.approx(32 / (1 - entropy(0.1)))
    # Keys hide 128 - 17 bits more a token.
    assert layer.secret_bits_kv == 32 * 8 * 131072 * (128 + 111)


def test_the_guarantee_decides_what_28x_means() -> None:
    shape = read_config({"num_hidden_layers": 1, "num_attention_heads": 1, "head_dim": 128})
    loose, strict = (model_limit(shape, 131072, success=s) for s in (0.9, 1.0))
    # 2 * 128 * 16 / (2 * 128 - 17) = 17.14 at zero error, 32.27 at success .9.
    assert strict.compression_kv == pytest.approx(4096 / 239, rel=1e-12)
    assert loose.compression_kv == pytest.approx(4096 / 239 / (1 - entropy(0.1)), rel=1e-12)
    assert excluded(loose, 28) is None
    assert excluded(strict, 28) == "keys and values"
    assert excluded(strict, 33) == "values"
    assert loose.logit_range_kv == pytest.approx(39.86, abs=0.01)


def test_gemmas_layers_alternate() -> None:
    shape = read_config(json.loads(GEMMA_2_9B))
    counts = {layer.kind: (count, layer.window) for layer, count in shape.layers}
    assert counts == {"sliding": (21, 4096), "full": (21, None)}
    limit = model_limit(shape, 8192)
    assert {one.kind: one.tokens for one in limit.layers} == {"sliding": 4096, "full": 8192}
    numbers = 2 * 8 * 256
    assert limit.cache_bits == 16 * numbers * 21 * (4096 + 8192)
    # Both kinds have the same ratio, so the sum has it too.
    assert limit.compression == pytest.approx(32 / (1 - entropy(0.1)))
    assert model_limit(shape, 1000).layers[0].tokens == 1000


def test_a_latent_is_counted_once() -> None:
    shape = read_config(json.loads(DEEPSEEK_V2_LITE))
    [(layer, count)] = shape.layers
    assert (layer.kind, count, layer.d_k, layer.d_v, layer.numbers) == ("latent", 27, 64, 512, 576)
    limit = model_limit(shape, 32768)
    assert limit.cache_bits == 27 * 32768 * 576 * 16
    assert limit.layers[0].secret_bits == limit.layers[0].secret_bits_kv == 27 * 32768 * 512
    assert limit.compression == pytest.approx(16 * 576 / 512 / (1 - entropy(0.1)))
    assert limit.layers[0].logit_range_kv is None
    assert "stacked W_UV" in limit.layers[0].hypothesis
    assert limit.layers[0].hypothesis.endswith("has rank 512")
    assert model_limit(read_config(json.loads(LLAMA_31_8B)), 32).layers[0].hypothesis is None


def test_heads_that_tell_less_than_the_latent_bound_its_rank() -> None:
    """2 heads of 128 values have a stacked W_UV of 256 rows: of 512 numbers 256 can be told."""
    few = json.loads(DEEPSEEK_V2_LITE) | {"num_attention_heads": 2, "num_key_value_heads": 2}
    limit = model_limit(read_config(few), 1024)
    assert limit.layers[0].secret_bits == 27 * 1024 * 256
    assert limit.cache_bits == 27 * 1024 * 576 * 16
    assert limit.layers[0].hypothesis.endswith("has rank 256")


def test_a_latent_is_read_off_independent_rows_of_all_heads() -> None:
    """The proof's stream, by the definition of latent attention: W_R c_l = x_l, in float64."""
    rng = np.random.default_rng(1)
    n, heads, d_h, d_c, d_r = 32, 4, 3, 8, 16
    W = rng.normal(size=(heads * d_h, d_c))
    rows = rng.permutation(heads * d_h)[:d_c]
    x = rng.integers(0, 2, (n, d_c))
    c = np.linalg.solve(W[rows], x.T).T
    hard = IndexReduction.build(keys.make("jl", n, d_r), d_c, eta=0.5)
    rotary, questions = hard.keys.rows.astype(np.float64), hard.queries()[0].astype(np.float64)
    W_UK = rng.normal(size=(heads, 5, d_c))  # keys of the latent, against which the query is 0
    said = []
    for q in questions:
        outputs = []
        for head in range(heads):
            scores = c @ W_UK[head].T @ np.zeros(5) + rotary @ q
            weights = np.append(np.exp(scores), 1.0)  # Bob's own token
            mixed = weights[:-1] @ c / weights.sum()
            outputs.append(W[head * d_h : (head + 1) * d_h] @ mixed)
        said.append(np.concatenate(outputs)[rows])
    worst = np.where(x == 1, 0.51, 1.49) * np.array(said)
    assert (hard.decode(worst) == x).all()


def test_layer_types_and_other_spellings() -> None:
    base = {"num_hidden_layers": 4, "num_attention_heads": 2, "head_dim": 8, "sliding_window": 32}
    named = base | {"layer_types": ["full_attention"] + ["sliding_attention"] * 3}

    def kinds(config: dict) -> dict[str, int]:
        return {layer.kind: count for layer, count in read_config(config).layers}

    assert kinds(named) == {"full": 1, "sliding": 3}
    assert kinds(base) == {"sliding": 4}
    assert kinds(base | {"use_sliding_window": False}) == {"full": 4}
    assert kinds(base | {"use_sliding_window": True, "max_window_layers": 3}) == {
        "full": 3, "sliding": 1,
    }  # fmt: skip
    assert kinds(base | {"sliding_window_pattern": 4}) == {"sliding": 3, "full": 1}
    assert kinds({"model_type": "gemma3", "text_config": base}) == {"sliding": 4}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_hidden_layers": None}, "'num_hidden_layers' must be a whole number"),
        ({"num_hidden_layers": 0}, "from 1, not 0"),
        ({"num_attention_heads": "8"}, "'num_attention_heads' must be a whole number"),
        ({"num_key_value_heads": 3}, "num_key_value_heads = 3 does not divide"),
        ({"hidden_size": 65}, "hidden_size = 65 is not a multiple"),
        ({"layer_types": ["full_attention"]}, "a name for each of num_hidden_layers = 2"),
        ({"layer_types": ["mamba", "mamba"]}, "names 'mamba'"),
        ({"layer_types": ["sliding_attention"] * 2}, "no field 'sliding_window'"),
        ({"kv_lora_rank": 512}, "no field 'qk_rope_head_dim'"),
        ({"head_dim": True}, "'head_dim' must be a whole number"),
        ({"head_dim": 1 << 40}, "'head_dim' must be a whole number"),
    ],
)
def test_the_sentence_names_the_field(change: dict, says: str) -> None:
    config = {"num_hidden_layers": 2, "num_attention_heads": 8, "hidden_size": 64} | change
    with pytest.raises(BadInput, match=says):
        read_config(config)


def test_a_missing_field_and_no_object() -> None:
    with pytest.raises(BadInput, match="no field 'num_hidden_layers'"):
        read_config({})
    with pytest.raises(BadInput, match="a JSON object"):
        read_config([1])  # type: ignore[arg-type]


def test_what_a_limit_refuses() -> None:
    shape = read_config({"num_hidden_layers": 1, "num_attention_heads": 1, "head_dim": 8})
    for params, says in (
        ({"context": 1}, "two tokens or more"),
        ({"context": 64, "success": 0.5}, "success must lie"),
        ({"context": 64, "dtype": "int3"}, "no number format"),
        ({"context": 1 << 20}, "largest has the 2\\^8 sign vectors"),
    ):
        with pytest.raises(BadInput, match=says):
            model_limit(shape, **params)
    with pytest.raises(BadInput, match="positive factor"):
        excluded(model_limit(shape, 64), 0)


@pytest.mark.parametrize(("n", "d"), [(100, 64), (512, 64), (1000, 32), (60, 8)])
def test_the_chosen_keys_really_have_that_range(n: int, d: int) -> None:
    choice = smallest_range(n, d)
    assert choice.n >= n
    assert choice.d <= d
    built = IndexReduction.build(keys.make(choice.keys, choice.n, choice.d), choice.d)
    norm2 = float((built.keys.rows[0].astype(float) ** 2).sum())
    # The game's scale leaves room for float32; the exact one does not.
    assert built.scale * norm2 == pytest.approx(choice.logit_range, rel=1e-3)
    # No plainer set does better.
    jl = IndexReduction.build(keys.make("jl", n, d), d).scale
    assert choice.logit_range < jl * 1.001


def test_more_range_is_more_tokens() -> None:
    found = [most_tokens(64, R) for R in (0.5, 8, 12, 16)]
    assert found[0] is None
    counts = [choice.n for choice in found[1:]]
    assert counts == sorted(counts)
    for choice, R in zip(found[1:], (8, 12, 16), strict=True):
        assert choice.logit_range <= R
        if choice.n < 1 << 29:
            assert smallest_range(2 * choice.n, 64).logit_range > R
