"""Layers that slide and layers that attend to all: what is hidden, what is asked, Lemma BE."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.errors import BadInput
from kvbarrier.protocols.game.cell import Cell, cell_of
from kvbarrier.protocols.game.instances import Index, SlidingLayers
from kvbarrier.reductions import keys
from kvbarrier.reductions.index import IndexReduction
from kvbarrier.reductions.interference import tight_scale
from kvbarrier.reductions.margins import condition

N, D, WINDOW, LAYERS, HEADS = 48, 16, 18, 5, 2


def game(**more):
    return SlidingLayers(
        **{"n": N, "d": D, "window": WINDOW, "layers": LAYERS, "heads": HEADS, "every": 2, **more}
    )


def secret(hard, seed=0):
    coins = np.random.default_rng(seed)
    return coins.integers(0, 2, (hard.rows, hard.width)).astype(np.uint8)


def answers(hard, x, attended):
    """Softmax attention by its definition, over the ``attended(layer)`` newest data tokens."""
    _, K, V = (part.reshape(N, LAYERS, HEADS, D) for part in hard.stream(x))
    Q = hard.queries()[0].reshape(-1, LAYERS, HEADS, D)
    out = np.empty_like(Q)
    for l in range(LAYERS):
        here = slice(N - attended(l), N)
        for h in range(HEADS):
            weights = np.exp(Q[:, l, h].astype(np.float64) @ K[here, l, h].T)
            out[:, l, h] = weights @ V[here, l, h] / (weights.sum(axis=1) + 1)[:, None]
    return out


@pytest.mark.parametrize("basis", ["literal", "rotated"])
@pytest.mark.parametrize("values", ["01", "pm1"])
def test_every_bit_comes_back_from_windows_and_from_whole_streams(basis, values):
    hard = game(basis=basis, values=values).build()
    held = [WINDOW - 1 if (l + 1) % 2 else N for l in range(LAYERS)]
    # 3 layers hold 17 tokens, 2 hold 48, with two heads of 16 bits each.
    assert (hard.rows, hard.width) == (3 * 17 + 2 * 48, 32)
    x = secret(hard)
    for attended in (lambda l: held[l], lambda l: N, lambda l: (held[l] + N) // 2):
        assert np.array_equal(hard.decode(answers(hard, x, attended)), x)
    # One token less, and the oldest row of every layer that slides is lost.
    less = hard.decode(answers(hard, x, lambda l: min(held[l], 16 if held[l] < N else N)))
    wrong = (less != x).any(axis=1)
    lost = {(int(t), int(l)) for t, l in hard.places[wrong]}
    assert lost == {(N - 17, l) for l in (0, 2, 4)}


def test_what_no_layer_attends_to_carries_nothing():
    hard = game().build()
    x, y = secret(hard), secret(hard, 1)
    _, K, V = hard.stream(x)
    # Slides in layers 0, 2, 4: tokens 0-30 have values of bits 0 there, whatever the secret.
    assert not V[:31, [0, 2, 4]].any()
    assert V[:31, [1, 3]].any()
    assert np.array_equal(K, hard.stream(y)[1])
    assert hard.public()["windows"] == (18, None, 18, None, 18)
    ages = hard.places[:, 0]
    assert (np.diff(ages) >= 0).all()


def test_the_charge_is_what_the_layers_hold():
    shape = game().shape
    assert shape.held == (17, 48, 17, 48, 17)
    assert shape.cache_bits_16 == 16 * HEADS * 147 * 2 * D
    # A window that is longer than the stream holds all of it.
    assert game(window=500).shape.cache_bits_16 == Shape(N, D, D, 1, LAYERS, 2, 2).cache_bits_16
    assert Shape(**{**vars(shape), "windows": list(shape.windows)}) == shape


@pytest.mark.parametrize("how", [{"eta": 0.5}, {"eta": None, "gamma": 0.2},
                                 {"eta": 0.5, "values": "pm1"}])  # fmt: skip
def test_the_cut_of_all_keys_reads_any_of_them(how):
    """Lemma BE in mpmath, a hair above the scale at which n keys are separated: every window."""
    made = keys.make("jl", 24, 16, seed=3)
    c = condition(how.get("values", "01"), how["eta"], how.get("gamma"))
    scale = tight_scale(made, c.bound, c.zero_token) * (1 + 1e-4)
    hard = IndexReduction(made, 1, scale=scale, **how)
    lo = -1 if how.get("values") == "pm1" else 0
    for i in (3, 23):
        q = [mpmath.mpf(float(a)) for a in hard.queries([i])[0][0]]
        scores = [sum(a * mpmath.mpf(float(b)) for a, b in zip(q, k, strict=True)) for k in
                  made.rows]  # fmt: skip
        weights = [mpmath.exp(s - scores[i]) for s in scores]
        cut = mpmath.mpf(float(hard.thresholds([i])[0]))
        for first in range(i + 1):
            others = sum(weights[first:]) - 1
            total = 1 + others + mpmath.exp(-scores[i])
            eta, gamma = how["eta"] or 0, how.get("gamma") or 0
            high, low = (lo + others) / total, (1 + lo * others) / total
            assert high + eta * abs(high) + gamma <= cut < low - eta * abs(low) - gamma


def test_an_instance_is_its_fields():
    one = game()
    assert cell_of(Cell(one, "exact").spec()).instance == one
    assert game(layers=1, every=0).spec()["every"] == 0
    assert cell_of(Cell(game(layers=1), "exact").spec()).instance == game(layers=1)
    assert len({one.id, game(every=3).id, game(window=17).id, game(layers=6).id}) == 4
    # What came before has the id that it had.
    assert "every" not in Index(n=64, d=16).spec()


def test_bits_by_token_layer_and_head():
    one = game()
    hard, rows = one.build(), np.array([0, 1, 2, 140])
    bits = np.arange(1, 5, dtype=np.uint8)[:, None] * np.ones((4, 32), np.uint8)
    tokens, placed = one.placed(rows, bits)
    assert tokens.tolist() == list(range(N))
    assert placed.shape == (N, LAYERS, HEADS, D)
    for row, number in zip(rows, (1, 2, 3, 4), strict=True):
        token, layer = hard.places[row]
        assert (placed[token, layer] == number).all()
    assert int((placed > 0).sum()) == 4 * 32
    assert one.tokens_of(rows).tolist() == hard.places[rows, 0].tolist()


def test_what_it_refuses():
    with pytest.raises(BadInput, match=r"window of 16 holds 15 data tokens .* --window 17 or more"):
        game(window=16).build()
    with pytest.raises(BadInput, match="--every 0 or more, got 5, 2 and -1"):
        game(every=-1)
    with pytest.raises(BadInput, match="The secret has shape"):
        game().build().stream(np.zeros((3, 32), np.uint8))
