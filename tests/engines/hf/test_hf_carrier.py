"""The carrier gives a cache K and V bit by bit, and shows what attention made of them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the carrier is a model of transformers, on torch")
pytest.importorskip("transformers", reason="the carrier is a model of transformers")

from kvbarrier.compressors.engines.hf.carrier import Carrier  # noqa: E402
from kvbarrier.compressors.engines.hf.families import FAMILIES  # noqa: E402
from kvbarrier.compressors.plugin.contract import Shape  # noqa: E402
from kvbarrier.errors import BadInput  # noqa: E402

LAYERS, HEADS, D, N = 2, 3, 16, 40
SHAPE = Shape(N, D, D, layers=LAYERS, heads=HEADS, kv_heads=HEADS)


def stream(m=N, d_v=None, seed=0, d=D, layers=LAYERS, heads=HEADS):
    coins = np.random.default_rng(seed)
    size = (m, layers, heads)
    return (
        coins.standard_normal((*size, d), np.float32),
        coins.standard_normal((*size, d), np.float32),
        coins.standard_normal((*size, d_v or d), np.float32),
    )


def shape_of(d, tokens=N, layers=LAYERS, heads=HEADS, windows=None):
    return Shape(tokens, d, d, layers=layers, heads=heads, kv_heads=heads, windows=windows)


#: every family with each of its widths; the plain one takes any
WIDTHS = [(name, d) for name, one in FAMILIES.items() for d in one.scales or (D,)]


def softmax_attention(q, K, V, cap=None):
    """Float64 attention with no 1/sqrt(d), of one question over all rows: [layers, heads, d_v]."""
    scores = np.einsum("lhd,nlhd->nlh", q, K, dtype=np.float64)
    scores = scores if cap is None else cap * np.tanh(scores / cap)
    weights = np.exp(scores - scores.max(axis=0))
    return np.einsum("nlh,nlhd->lhd", weights / weights.sum(axis=0), V)


def fed(carrier, tokens):
    import transformers

    cache = transformers.DynamicCache(config=carrier.config)
    return cache, carrier.forward(cache, tokens)


def in_cache(cache, name, layer):
    return getattr(cache.layers[layer], name)[0].transpose(0, 1)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(("family", "d"), WIDTHS)
def test_keys_and_values_land_bit_by_bit(family, d, dtype, attention):
    if FAMILIES[family].eager and attention == "sdpa":
        with pytest.raises(BadInput, match="caps its scores, which sdpa cannot: use"):
            Carrier(shape_of(d), dtype, attention, family=family)
        return
    carrier = Carrier(shape_of(d), dtype, attention, family=family)
    Q, K, V = stream(d=d)
    # Large and small numbers too: nothing is added to them, and nothing normalised.
    K[0], V[0] = 100.0, 2.0**-20
    cache, _ = fed(carrier, carrier.embed(Q, K, V))
    for layer in range(LAYERS):
        for name, rows in (("keys", K), ("values", V)):
            expected = torch.from_numpy(rows[:, layer].copy()).to(carrier.dtype)
            assert torch.equal(in_cache(cache, name, layer), expected)


@pytest.mark.parametrize(("family", "d"), [one for one in WIDTHS if FAMILIES[one[0]].shift])
def test_norms_that_multiply_in_float32_are_exact_in_fp16(family, d):
    carrier = Carrier(shape_of(d), "fp16", family=family)
    Q, K, V = stream(d=d)
    cache, _ = fed(carrier, carrier.embed(Q, K, V))
    for name, rows in (("keys", K), ("values", V)):
        expected = torch.from_numpy(rows[:, 1].copy()).to(carrier.dtype)
        assert torch.equal(in_cache(cache, name, 1), expected)


def test_fp16_is_exact_for_what_the_game_sends():
    carrier = Carrier(SHAPE, "fp16")
    Q, K, V = stream()
    # Kerdock keys have entries +-1/sqrt(d), and the values are bits.
    K, V = np.sign(K) / np.float32(4), (V > 0).astype(np.float32)
    cache, _ = fed(carrier, carrier.embed(Q, K, V))
    for layer in range(LAYERS):
        assert np.array_equal(in_cache(cache, "keys", layer).float().numpy(), K[:, layer])
        assert np.array_equal(in_cache(cache, "values", layer).float().numpy(), V[:, layer])


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 1e-5), ("fp16", 0.01), ("bf16", 0.05)])
@pytest.mark.parametrize(("family", "d"), WIDTHS)
def test_outputs_are_attention_without_a_root(family, d, dtype, tolerance):
    carrier = Carrier(shape_of(d), dtype, family=family)
    Q, K, V = stream(d=d)
    # Scores of about 1, as random directions have at any width.
    Q, K = Q / np.float32(d**0.5), K / np.float32(d**0.25)
    _, outputs = fed(carrier, carrier.embed(Q, K, V))
    assert outputs.shape == (N, LAYERS, HEADS, d)
    for row in (0, 7, N - 2, N - 1):
        expected = softmax_attention(Q[row], K[: row + 1], V[: row + 1], FAMILIES[family].cap)
        assert np.abs(outputs[row] - expected).max() < tolerance


@pytest.mark.parametrize("family", [name for name, one in FAMILIES.items() if one.groups > 1])
def test_every_query_head_of_a_group_answers_alike(family):
    d = max(FAMILIES[family].scales)
    carrier = Carrier(shape_of(d, layers=1), "fp32", family=family)
    groups = FAMILIES[family].groups
    assert carrier.config.num_attention_heads == groups * carrier.config.num_key_value_heads
    Q, K, V = stream(d=d, layers=1)
    cache, _ = fed(carrier, carrier.embed(Q, K, V))
    assert cache.layers[0].keys.shape == (1, HEADS, N, d)
    # The same question over and over: row r is what query head r mod G has to say.
    q, k, v = (np.repeat(part[:1], 2 * groups, axis=0) for part in (Q, K, V))
    mask = torch.ones((1, 1, len(q), N + len(q)), dtype=torch.bool)
    mask[..., N:] = torch.eye(len(q), dtype=torch.bool)
    outputs = carrier.forward(cache, carrier.embed(q, k, v), mask)
    assert np.abs(outputs - outputs[0]).max() < 1e-6
    # And each is heard: what one of them does not write is not there.
    weight = carrier.model.model.layers[0].self_attn.o_proj.weight
    weight[:, (groups - 1) * d : groups * d] = 0
    outputs = carrier.forward(fed(carrier, carrier.embed(Q, K, V))[0], carrier.embed(q, k, v), mask)
    silent = [row for row in range(len(q)) if not outputs[row, 0, 0].any()]
    assert silent == [groups - 1, 2 * groups - 1]


def test_a_width_of_values_of_their_own():
    carrier = Carrier(Shape(N, D, 4, layers=LAYERS, heads=HEADS, kv_heads=HEADS), "fp32")
    Q, K, V = stream(d_v=4)
    _, outputs = fed(carrier, carrier.embed(Q, K, V))
    assert np.abs(outputs[-1] - softmax_attention(Q[-1], K, V)).max() < 1e-5


def test_logits_are_the_outputs_laid_flat():
    carrier = Carrier(SHAPE, "fp32")
    tokens = carrier.embed(*stream())
    _, outputs = fed(carrier, tokens)
    logits = carrier.model(inputs_embeds=tokens).logits[0, -1].numpy()
    assert np.array_equal(logits, outputs[-1].ravel())


def test_ids_are_the_same_stream():
    carrier = Carrier(SHAPE, vocabulary=N + 3)
    Q, K, V = stream()
    _, by_rows = fed(carrier, carrier.embed(Q, K, V))
    ids = carrier.write_table(3, Q, K, V)
    assert ids.tolist() == [list(range(3, N + 3))]
    _, by_ids = fed(carrier, ids)
    assert np.array_equal(by_rows, by_ids)
    carrier.forget_values()
    cache, outputs = fed(carrier, ids)
    assert not outputs.any()
    assert torch.equal(in_cache(cache, "keys", 1), torch.from_numpy(K[:, 1]).to(carrier.dtype))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_mask_decides_who_sees_whom(attention):
    carrier = Carrier(SHAPE, "fp32", attention)
    Q, K, V = stream()
    cache, _ = fed(carrier, carrier.embed(Q, K, V))
    q, k, v = stream(5, seed=1)
    mask = torch.zeros((1, 1, 5, N + 5), dtype=torch.bool)
    mask[..., :N] = True
    mask[0, 0, :, N:] = torch.eye(5, dtype=torch.bool)
    outputs = carrier.forward(cache, carrier.embed(q, k, v), mask)
    for row in range(5):
        expected = softmax_attention(
            q[row], np.concatenate([K, k[row : row + 1]]), np.concatenate([V, v[row : row + 1]])
        )
        assert np.abs(outputs[row] - expected).max() < 1e-5


def test_what_it_refuses():
    with pytest.raises(BadInput, match="bf16, fp16 or fp32, not 'int4'"):
        Carrier(SHAPE, "int4")
    with pytest.raises(BadInput, match=r"no model 'lama'.* 'llama'.* gemma2, gemma3\."):
        Carrier(SHAPE, family="lama")
    with pytest.raises(BadInput, match=r"qwen3 have 128 numbers, and those of this stream 16.*--d"):
        Carrier(SHAPE, family="qwen3")
    with pytest.raises(BadInput, match="root that is not exact"):
        Carrier(shape_of(128), vocabulary=N + 3, family="gemma3").write_table(0, *stream(d=128))
    with pytest.raises(BadInput, match="do not fit into a vocabulary of 96"):
        Carrier(SHAPE).write_table(90, *stream())
