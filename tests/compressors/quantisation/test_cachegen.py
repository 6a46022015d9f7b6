"""CacheGen: the bitstream is real and near the entropy, and differences pay where tokens drift."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape, charged_bits
from kvbarrier.compressors.zoo.quantisation import cachegen
from kvbarrier.compressors.zoo.quantisation.cachegen import CacheGen, decode, encode
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure

SHAPE = Shape(tokens=64, d_k=16, d_v=16, extra=4)
DEEP = Shape(tokens=60, d_k=8, d_v=8, layers=6, heads=2, kv_heads=2)


def stream(shape: Shape = SHAPE, seed: int = 0, drift: float = 1.0) -> tuple[np.ndarray, ...]:
    """Independent tokens, or with a small drift a walk from one to the next."""
    rng = np.random.default_rng(seed)
    size = (shape.tokens, shape.layers, shape.kv_heads)
    parts = [rng.standard_normal((*size, d)) for d in (shape.d_k, shape.d_k, shape.d_v)]
    if drift < 1:
        parts = [part[:1] + np.cumsum(drift * part, axis=0) for part in parts]
    return tuple(part.astype(np.float32) for part in parts)


def flat(shape: Shape, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return np.concatenate([K, V], axis=-1).reshape(shape.tokens, -1)


@pytest.mark.parametrize("shape", [SHAPE, DEEP])
@pytest.mark.parametrize("step", [1 / 64, 0.5, 4.0, None])
def test_what_is_decoded_is_what_was_quantised(shape: Shape, step: float | None) -> None:
    _, K, V = stream(shape)
    one = CacheGen(shape)
    X = flat(shape, K, V)
    message = encode(X, step, one)
    found = decode(message, one)
    first = np.arange(shape.tokens) % one.group == 0
    # Anchors: half a level of 255 between a channel's extremes, and fp16's rounding of both.
    spread = np.ptp(X[first], axis=0)
    assert (np.abs(found - X)[first] <= spread / 510 + 2e-3 * np.abs(X).max()).all()
    if step == 1 / 64:
        coarsest = 2 / 64 * np.abs(X - found.mean()).max()
        assert np.abs(found - X).max() < coarsest
    assert decode(encode(found[:0], step, one), one).shape == (0, one.channels)


def test_the_bitstream_is_near_the_entropy() -> None:
    # Differences of independent Laplace tokens are coded at their empirical entropy plus little.
    shape = Shape(tokens=4000, d_k=4, d_v=4)
    rng = np.random.default_rng(2)
    X = rng.laplace(size=(4000, 8)).astype(np.float32)
    one = CacheGen(shape)
    lengths = {step: len(encode(X, step, one)) for step in (0.25, 0.5, 1.0)}
    anchors = len(encode(X, None, one))
    rest = (np.arange(4000) % 10 > 0).sum() * 8
    bits = {step: 8 * (length - anchors) / rest for step, length in lengths.items()}
    # Twice the step is one bit less where steps are small (h(X) - log2 of the step).
    assert bits[0.25] - bits[0.5] == pytest.approx(1, abs=0.08)
    # The difference of X and an anchor: h = log2(step^-1) + h(sum of two Laplace / its deviation).
    grid = np.arange(-60, 60, 0.01)
    density = (1 + np.abs(grid)) * np.exp(-np.abs(grid)) / 4  # of the sum of two unit Laplace laws
    entropy = -np.sum(density * np.log2(density)) * 0.01 - np.log2(0.25 * 2)
    assert bits[0.25] == pytest.approx(entropy, abs=0.12)
    assert bits[0.25] > entropy - 0.03


def test_deeper_layers_are_coarser() -> None:
    factors = CacheGen(DEEP).layer_factors().reshape(6, -1)
    assert factors[:, 0].tolist() == [1, 1, 1.5, 1.5, 2, 2]
    assert (factors == factors[:, :1]).all()
    assert CacheGen(SHAPE).layer_factors().tolist() == [1.0] * 32


def test_it_does_well_where_neighbours_are_alike() -> None:
    # At one step, in units of a channel's own spread, drifting tokens cost less than strangers.
    lengths = {}
    for drift in (0.01, 1.0):
        _, K, V = stream(drift=drift)
        one = CacheGen(SHAPE)
        X = flat(SHAPE, K, V)
        scale = X.std() / (X - np.repeat(X[::10], 10, axis=0)[:64])[1:].std()
        lengths[drift] = len(encode(X, 0.1 * float(scale), one))
    assert lengths[0.01] < 0.7 * lengths[1.0]


@pytest.mark.parametrize("share", [4, 3, 2])
def test_a_budget_takes_the_finest_stream_that_fits(share: int) -> None:
    budget = SHAPE.cache_bits_16 // share
    one = CacheGen(SHAPE, budget)
    one.extend(*stream())
    message = one.save()
    assert charged_bits(len(message)) <= budget
    two = CacheGen(SHAPE, budget)
    two.restore(message)
    asked = tuple(part[:4] for part in stream(seed=5))
    assert np.array_equal(one.next_outputs(*asked), two.next_outputs(*asked))
    expected = Compressor.next_outputs(two, *asked)
    assert np.allclose(two.next_outputs(*asked), expected, atol=1e-5)
    expected = Compressor.block_outputs(two, *asked)
    assert np.allclose(two.block_outputs(*asked), expected, atol=1e-5)


@pytest.mark.parametrize("share", [8, 5, 4, 3, 2])
@pytest.mark.parametrize("drift", [0.05, 1.0])
def test_the_finest_stream_that_fits_is_found_in_few_tries(
    share: int, drift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = SHAPE.cache_bits_16 // share
    _, K, V = stream(drift=drift)
    one = CacheGen(SHAPE, budget)
    one.extend(K, K, V)
    # Every rung, finest first: the first whose stream fits, or the anchors alone.
    every = [encode(flat(SHAPE, K, V), step, one) for step in (*cachegen.LADDER, None)]
    wanted = next(one for one in every if charged_bits(len(one)) <= budget)
    coder, coded = cachegen._coder, []
    monkeypatch.setattr(cachegen, "_coder", lambda *given: coded.append(0) or coder(*given))
    assert one.save() == wanted
    assert len(coded) <= 4  # of 37: the right one, a neighbour, and two for a guess that was not


def test_more_budget_is_less_error() -> None:
    _, K, V = stream()
    errors = []
    for share in (4, 3, 2):
        one = CacheGen(SHAPE, SHAPE.cache_bits_16 // share)
        one.extend(K, K, V)
        errors.append(np.abs(decode(one.save(), one) - flat(SHAPE, K, V)).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


def test_a_single_token_is_an_anchor_and_nothing_else() -> None:
    Q, K, V = (part[:1] for part in stream())
    one = CacheGen(SHAPE, SHAPE.cache_bits_16)
    one.extend(Q, K, V)
    # eight bits between the least and the greatest number, which are both its own
    wanted = np.concatenate([K, V], axis=-1).reshape(1, -1)
    assert decode(one.save(), one) == pytest.approx(wanted, rel=1e-3, abs=1e-3)


def test_what_is_refused() -> None:
    with pytest.raises(BudgetTooSmall) as refused:
        CacheGen(SHAPE, 100)
    one = CacheGen(SHAPE, refused.value.minimum_bits + 64)
    one.extend(*stream())
    assert charged_bits(len(one.save())) <= refused.value.minimum_bits + 64
    with pytest.raises(BadInput, match="step is a positive number"):
        CacheGen(SHAPE, step=0)
    with pytest.raises(BadInput, match="not finite"):
        CacheGen(SHAPE).extend(*(part * np.float32(1e6) for part in stream()))
    whole = CacheGen(SHAPE)
    whole.extend(*stream())
    message = whole.save()
    with pytest.raises(PluginFailure, match="ended too early"):
        decode(message[:100], whole)
    whole.append(*(part[0] for part in stream()))
    with pytest.raises(PluginFailure, match="done once, after the prefill"):
        whole.save()
    tight = CacheGen(SHAPE, SHAPE.cache_bits_16 // 4, step=1 / 64)
    tight.extend(*stream())
    with pytest.raises(BudgetTooSmall):
        tight.save()
