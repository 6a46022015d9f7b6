"""Index on the unmasked window: exact margins for every n, thresholds, sizes, and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kvbarrier.errors import BadInput, NoScale
from kvbarrier.protocols.game.instances import SlidingWindow, instance_of
from kvbarrier.reductions.attention import attention, sliding_window_attention
from kvbarrier.reductions.index import IndexReduction
from kvbarrier.reductions.keys import make
from kvbarrier.reductions.sliding_window import SlidingWindowReduction, window_paper_scale


def build(**changes):
    return SlidingWindowReduction.build(**({"n": 100, "d": 16, "window": 33, "eta": 0.5} | changes))


def rule(reduction, x, row):
    """The last output by the definition, over the whole stream and Bob's token: float64[d]."""
    q, k, v = reduction.queries([row])
    _, K, V = reduction.stream(x)
    K, V = np.vstack([K, k]), np.vstack([V, v])
    windowed = sliding_window_attention(q[0], K, V, reduction.window, masked=False)
    # Older keys are 0, so plain softmax is the same rule on this instance.
    assert windowed == pytest.approx(attention(q[0], K, V), rel=1e-12)
    return windowed


@pytest.mark.parametrize("n", [32, 33, 100, 5000])
@pytest.mark.parametrize("keys", ["jl", "hypercube", "kerdock"])
def test_every_bit_of_the_window_is_decoded(n, keys):
    one = build(n=n, keys_name=keys)
    x = np.random.default_rng(n).integers(0, 2, (32, 16)).astype(np.uint8)
    outputs = np.stack([rule(one, x, row) for row in range(32)])
    for factor in (0.5, 1.0, 1.5):
        assert (one.decode(factor * outputs) == x).all()
    assert (one.decode(outputs[[3, 31]], [3, 31]) == x[[3, 31]]).all()
    assert one.decode(np.full((32, 16), np.nan)).sum() == 0


@pytest.mark.parametrize("n", [32, 100, 5000])
@pytest.mark.parametrize("eta", [0.0, 0.5, 0.9])
def test_the_margin_is_sharp_at_every_n(n, eta):
    tight = build(n=n, eta=eta)
    for scale, apart in ((tight.scale, True), (0.9999 * tight.scale, False)):
        one = SlidingWindowReduction(tight.usable, n, eta, scale)
        row = int(one.demands().argmax())
        x = np.ones((32, 16), np.uint8)
        x[row] = 0
        largest_zero = (1 + eta) * rule(one, x, row)[0]
        least_one = (1 - eta) * rule(one, 1 - x, row)[0]
        assert (least_one > largest_zero) == apart
        assert (one.demands().max() < 1) == apart
        if apart:
            assert largest_zero < one.thresholds()[row] < least_one


def test_the_scale_is_index_s_of_the_usable_keys_at_every_n():
    scales = {build(n=n).scale for n in (32, 33, 1000, 10**6)}
    assert scales == {IndexReduction.build(make("jl", 32, 16), 16).scale}
    # Hypercube addresses of 4 bits: (1 + e^{-2c})^4 - 1 = 1/3 and C = 4 c, from the binomial sum.
    c = -0.5 * math.log((4 / 3) ** 0.25 - 1)
    assert build(window=17, keys_name="hypercube").scale == pytest.approx(4 * c, rel=1e-5)


def test_only_the_threshold_knows_n():
    # sqrt((1-eta^2) S e^a) / (e^a + S + n - W + 2), by hand from the keys that are sent.
    one = build(n=1000)
    q, keys = one.queries()[0].astype(float), one.usable.rows.astype(float)
    weights = np.exp(q @ keys.T)
    own = weights.diagonal()
    S = weights.sum(axis=1) - own
    want = np.sqrt(0.75 * S * own) / (own + S + 1000 - 33 + 2)
    assert one.thresholds() == pytest.approx(want, rel=1e-6)


def test_the_paper_s_scale_is_reconstructed_84():
    one = build(n=5000, d=512, scale="paper")
    gram = one.usable.rows.astype(float) @ one.usable.rows.T.astype(float)
    eps = np.abs(gram - np.eye(32)).max()
    assert one.scale == pytest.approx(math.log(5001 * 3) / (1 - 2 * eps), rel=1e-6)
    assert one.scale == window_paper_scale(one.usable, 5000, 0.5)
    with pytest.raises(BadInput, match="eps < 1/2"):
        build(d=4, scale="paper")


def test_what_is_public():
    public = build().public()
    assert public["attention"] == "unmasked-window"
    assert public["window"] == 33
    assert public["secret_tokens"].tolist() == list(range(68, 100))
    assert not public["keys"][:68].any()
    assert (public["keys"][68:] == make("jl", 32, 16).rows).all()
    assert public["known_values"].shape == (100, 16)
    assert not public["known_values"].any()


def test_the_game_builds_it():
    instance = SlidingWindow(n=100, d=16, window=33)
    assert instance.secret_rows == 32
    assert instance.row_bits == 16
    assert instance.shape.tokens == 100
    with pytest.raises(BadInput, match="a window within the stream"):
        SlidingWindow(n=100, d=16).build()
    with pytest.raises(BadInput, match=r"--gamma 0\.1, which is for --reduction index"):
        instance_of({"n": 100, "d": 16, "reduction": "sliding-window", "window": 33, "gamma": 0.1})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"window": 16}, "at least 17"),
        ({"n": 31}, "at most n \\+ 1"),
        ({"eta": 1.0}, "eta < 1"),
        ({"d": 1}, "d >= 2"),
        ({"keys_name": "kerdock", "d": 4}, "16"),
        ({"scale": 0.5}, "not separated"),
    ],
)
def test_what_is_refused(changes, words):
    with pytest.raises((BadInput, NoScale), match=words):
        build(**changes)


def test_a_secret_of_another_shape_is_refused():
    with pytest.raises(BadInput, match=r"bits\[32, 16\]"):
        build().stream(np.zeros((100, 16), np.uint8))


def test_the_masked_window_is_another_rule():
    # It leaves out the older tokens' weights, so far above e^C of them its zeros look like ones.
    x = np.random.default_rng(0).integers(0, 2, (32, 16)).astype(np.uint8)
    errors = []
    for n in (40, 10**5):
        one = build(n=n)
        q, k, v = one.queries()
        _, K, V = one.stream(x)
        K, V = np.vstack([K[-32:], k[:1]]), np.vstack([V[-32:], v[:1]])
        outputs = np.stack([sliding_window_attention(row, K, V, 33) for row in q])
        errors.append(np.mean(one.decode(outputs) != x))
    assert errors[0] == 0
    assert errors[1] > 0.4
