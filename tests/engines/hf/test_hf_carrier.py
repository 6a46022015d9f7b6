"""The carrier gives a cache K and V bit by bit, and shows what attention made of them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the carrier is a model of transformers, on torch")
pytest.importorskip("transformers", reason="the carrier is a model of transformers")

from kvbarrier.compressors.engines.hf.carrier import FAMILIES, Carrier  # noqa: E402
from kvbarrier.compressors.plugin.contract import Shape  # noqa: E402
from kvbarrier.errors import BadInput  # noqa: E402

LAYERS, HEADS, D, N = 2, 3, 16, 40
SHAPE = Shape(N, D, D, layers=LAYERS, heads=HEADS, kv_heads=HEADS)


def stream(m=N, d_v=D, seed=0):
    coins = np.random.default_rng(seed)
    size = (m, LAYERS, HEADS)
    return (
        coins.standard_normal((*size, D), np.float32),
        coins.standard_normal((*size, D), np.float32),
        coins.standard_normal((*size, d_v), np.float32),
    )


def softmax_attention(q, K, V):
    """Float64 attention with no 1/sqrt(d), of one question over all rows: [layers, heads, d_v]."""
    scores = np.einsum("lhd,nlhd->nlh", q, K, dtype=np.float64)
    weights = np.exp(scores - scores.max(axis=0))
    return np.einsum("nlh,nlhd->lhd", weights / weights.sum(axis=0), V)


def fed(carrier, tokens):
    import transformers

    cache = transformers.DynamicCache(config=carrier.config)
    return cache, carrier.forward(cache, tokens)


def in_cache(cache, name, layer):
    return getattr(cache.layers[layer], name)[0].transpose(0, 1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_keys_and_values_land_bit_by_bit(family, attention, dtype):
    carrier = Carrier(SHAPE, dtype, attention, family=family)
    Q, K, V = stream()
    # Large and small numbers too: nothing is added to them, and nothing normalised.
    K[0], V[0] = 100.0, 2.0**-20
    cache, _ = fed(carrier, carrier.embed(Q, K, V))
    for layer in range(LAYERS):
        for name, rows in (("keys", K), ("values", V)):
            expected = torch.from_numpy(rows[:, layer].copy()).to(carrier.dtype)
            assert torch.equal(in_cache(cache, name, layer), expected)


def test_fp16_is_exact_for_what_the_game_sends():
    carrier = Carrier(SHAPE, "fp16")
    Q, K, V = stream()
    # Kerdock keys have entries +-1/sqrt(d), and the values are bits.
    K, V = np.sign(K) / np.float32(4), (V > 0).astype(np.float32)
    cache, _ = fed(carrier, carrier.embed(Q, K, V))
    for layer in range(LAYERS):
        assert np.array_equal(in_cache(cache, "keys", layer).float().numpy(), K[:, layer])
        assert np.array_equal(in_cache(cache, "values", layer).float().numpy(), V[:, layer])


@pytest.mark.parametrize(("dtype", "tolerance"), [("fp32", 1e-5), ("bf16", 0.05)])
def test_outputs_are_attention_without_a_root(dtype, tolerance):
    carrier = Carrier(SHAPE, dtype)
    Q, K, V = stream()
    _, outputs = fed(carrier, carrier.embed(Q, K, V))
    assert outputs.shape == (N, LAYERS, HEADS, D)
    for row in (0, 7, N - 1):
        expected = softmax_attention(Q[row], K[: row + 1], V[: row + 1])
        assert np.abs(outputs[row] - expected).max() < tolerance


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
    with pytest.raises(BadInput, match=r"family 'Lama'.* 'Llama'"):
        Carrier(SHAPE, family="Lama")
    with pytest.raises(BadInput, match="do not fit into a vocabulary of 96"):
        Carrier(SHAPE).write_table(90, *stream())
