"""Planted families: what is planted where, margins at their edge, what controls make of them."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.control.covering_code import CoveringCode
from kvbarrier.compressors.zoo.control.lossless import Lossless
from kvbarrier.compressors.zoo.control.time_sharing import TimeSharing
from kvbarrier.errors import BadInput, NoScale
from kvbarrier.reductions.attention import attention
from kvbarrier.reductions.index import IndexReduction
from kvbarrier.reductions.keys import make
from kvbarrier.reductions.planted import FAMILIES, PlantedReduction

N, D = 256, 32


def built(family, **changes):
    return PlantedReduction.build(family, **({"n": N, "d": D} | changes))


def secret(game, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (game.rows, game.width)).astype(np.uint8)


def answers(game, x, rows=None):
    """The exact outputs by the definition, float64, Bob's token in the cache."""
    _, K, V = game.stream(x)
    return np.stack(
        [
            attention(q, np.vstack([K, k]), np.vstack([V, v]))
            for q, k, v in zip(*game.queries(rows), strict=True)
        ]
    )


@pytest.mark.parametrize("eta", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_bit_survives_the_worst_error_and_the_worst_context(family, eta):
    game = built(family, eta=eta)
    for context in (0, 1, None):
        for row in range(0, game.rows, 5):
            x = secret(game) if context is None else np.full((game.rows, game.width), context)
            x[row] = secret(game, 1)[row]
            exact = answers(game, x.astype(np.uint8), [row])
            # The adversary pulls ones down and zeros up, as far as the guarantee lets it.
            moved = exact * np.where(x[row] == 1, 1 - eta, 1 + eta)
            assert (game.decode(moved, [row])[0] == x[row]).all()
    assert game.demands().max() < 1
    assert game.decode(np.full((game.rows, game.width), np.nan)).sum() == 0


def test_the_margin_of_clusters_is_sharp():
    tight = built("clusters")
    for scale, apart in ((tight.scale, True), (tight.scale * (1 - 1e-4), False)):
        game = PlantedReduction("clusters", tight.keys, tight.asked, tight.row_of, 0.5, scale)
        row = int(game.demands().argmax())
        x = np.ones((game.rows, D), np.uint8)
        x[row] = 0
        largest_zero = 1.5 * answers(game, x, [row])[0, 0]
        least_one = 0.5 * answers(game, 1 - x, [row])[0, 0]
        assert (largest_zero < game.thresholds()[row] < least_one) == apart
        assert (game.demands()[row] < 1) == apart


@pytest.mark.parametrize("family", FAMILIES)
def test_a_larger_error_or_a_smaller_scale_than_allowed_loses_bits(family):
    game = built(family)
    x = secret(game)
    exact = answers(game, x)
    # A share of the threshold is outside the guarantee, and every one is lost to it.
    over = 0.999 * game.thresholds()[:, None] / exact
    assert (over[x == 1] < 0.5).all()
    assert (game.decode(exact * over)[x == 1] == 0).all()
    low = PlantedReduction(family, game.keys, game.asked, game.row_of, 0.5, 0.3 * game.scale)
    moved = answers(low, x) * np.where(x == 1, 0.5, 1.5)
    assert (low.decode(moved) != x).any()
    with pytest.raises(NoScale, match="not separated"):
        built(family, scale=0.3 * game.scale)


@pytest.mark.parametrize("family", ["heavy-hitters", "recency"])
def test_margins_of_single_tokens_are_those_of_index(family):
    game = built(family)
    places = np.flatnonzero(game.row_of >= 0)
    index = IndexReduction(make("jl", N, D), D, scale=game.scale)
    assert game.thresholds() == pytest.approx(index.thresholds(places), rel=1e-6)
    assert game.demands() == pytest.approx(index.demands(places), rel=1e-9)
    assert game.scale <= IndexReduction.build(make("jl", N, D), D).scale * (1 + 1e-9)
    assert 1 - 1e-5 < game.demands().max() < 1


def test_heavy_hitters_are_attended_to_and_lie_early():
    game = built("heavy-hitters")
    heavy = np.flatnonzero(game.row_of >= 0)
    assert len(heavy) == N // 8
    assert heavy.max() < 7 * N // 8
    assert (np.diff(game.row_of[heavy]) == 1).all()
    Q, K, V = game.stream(secret(game))
    weights = np.zeros(N)
    for t in range(N):
        j = game.attended[t]
        if t < heavy[0]:
            assert j == -1
            assert not Q[t].any()
            continue
        assert game.row_of[j] >= 0
        assert j <= t
        assert (Q[t] == (game.scale * K[j].astype(float)).astype(np.float32)).all()
        e = np.exp(K[: t + 1].astype(float) @ Q[t].astype(float))
        weights[: t + 1] += e / e.sum()
    assert (game.attended[heavy] == heavy).all()
    # Own share at least 1/(1 + 1/rho + 1/e^C) > .7; half of that still parts heavy from light.
    assert weights[heavy].min() > 0.7
    assert set(np.argsort(weights)[-N // 8 :]) == set(heavy)
    light = game.row_of < 0
    assert (V[light] == game.known_values[light]).all()
    assert 0.4 < V[light].mean() < 0.6


def test_recency_is_the_last_eighth():
    game = built("recency")
    Q, K, _ = game.stream(secret(game))
    assert game.public()["secret_tokens"].tolist() == list(range(7 * N // 8, N))
    assert ((game.scale * K.astype(float)).astype(np.float32) == Q).all()


def test_clusters_are_close_and_share_a_row():
    game = built("clusters")
    x = secret(game)
    Q, K, V = game.stream(x)
    assert not Q.any()
    assert (np.bincount(game.row_of) == 16).all()
    assert (x[game.row_of] == V).all()
    centres = game.asked.rows.astype(float)
    assert np.linalg.norm(centres, axis=1) == pytest.approx(1, rel=1e-6)
    assert np.linalg.norm(K.astype(float), axis=1) == pytest.approx(1, rel=1e-6)
    # |c + .1 u| turns a unit vector by at most arcsin .1.
    own = np.einsum("ij,ij->i", K.astype(float), centres[game.row_of])
    assert own.min() >= np.sqrt(1 - 0.01) - 1e-6
    first = game.public()["secret_tokens"]
    assert (game.row_of[first] == np.arange(game.rows)).all()
    assert (np.diff(first) > 0).all()
    # One centre of weight 16 for each cluster is all that a merging sketch keeps.
    q = game.queries()[0].astype(float)
    e = 16 * np.exp(q @ centres.T)
    assert (game.decode(e @ x / (e.sum(axis=1, keepdims=True) + 1)) == x).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_game_is_the_same_again(family):
    one, two = built(family), built(family)
    x = secret(one)
    for a, b in zip(one.stream(x), two.stream(x), strict=True):
        assert (a == b).all()
    assert one.scale == two.scale
    assert (one.public()["keys"] == one.stream(x)[1]).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_controls_know_who_carries_what(family):
    game = built(family)
    shape = Shape(tokens=game.tokens, d_k=D, d_v=D, extra=1)
    x, N_bits = secret(game), game.rows * game.width

    def error(cls, budget=None):
        alice, bob = (cls(shape, budget, 0, game.public()) for _ in "ab")
        Q, K, V = game.stream(x)
        alice.append(Q[0], K[0], V[0])
        alice.extend(Q[1:], K[1:], V[1:])
        message = alice.save()
        bob.restore(message)
        if cls is Lossless:
            assert (bob.values() == V).all()
        return len(message), np.mean(game.decode(bob.next_outputs(*game.queries())) != x)

    assert error(Lossless) == (N_bits // 8, 0.0)
    length, wrong = error(TimeSharing, N_bits // 2)
    assert length == N_bits // 16
    assert abs(wrong - 0.25) < 5 * 0.5 * np.sqrt(N_bits / 2) / N_bits
    length, wrong = error(CoveringCode)
    assert length < 0.53 * N_bits / 8 + 2
    assert abs(wrong - 0.124) < 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_other_scales_and_keys(family):
    assert built(family, scale="closed").scale > built(family).scale
    assert built(family, n=256, d=64, keys_name="kerdock").scale > 0
    assert built(family, scale=30).scale == 30


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"family": "heavy-hiters"}, "Did you mean 'heavy-hitters'"),
        ({"family": "clusters", "n": 240}, "multiple of 16 and at least 256, not 240"),
        ({"family": "recency", "n": 132}, "multiple of 8 and at least 128, not 132"),
        ({"family": "recency", "d": 1}, "d >= 2"),
        ({"family": "clusters", "eta": 1.0}, "eta < 1"),
        ({"family": "clusters", "scale": "paper"}, "nearly orthogonal"),
        ({"family": "recency", "scale": "paper"}, "eps < 1/2"),
        ({"family": "recency", "scale": "tigth"}, "Did you mean 'tight'"),
        ({"family": "recency", "scale": -1.0}, "positive"),
        ({"family": "clusters", "n": 1600, "d": 2}, "does not stand out"),
    ],
)
def test_what_is_refused(changes, words):
    with pytest.raises((BadInput, NoScale), match=words):
        built(**changes)
    game = built("recency")
    with pytest.raises(BadInput, match=r"bits\[32, 32\]"):
        game.stream(np.zeros((N, D), np.uint8))
