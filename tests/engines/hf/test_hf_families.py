"""DynamicCache in the models of each family loses nothing; a layer that slides is its window.

Small streams: n = 64 tokens, jl keys, the family's own widths; what is asked is certified for the
type (``reductions.rounding``), so a wrong bit would be the cache's.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="caches of transformers hold tensors of torch")
transformers = pytest.importorskip("transformers", reason="it is its caches that are attacked")

from kvbarrier.compressors.engines.hf.carrier import DTYPES, Carrier  # noqa: E402
from kvbarrier.compressors.engines.hf.families import FAMILIES, arithmetic  # noqa: E402
from kvbarrier.compressors.plugin.contract import Shape  # noqa: E402
from kvbarrier.compressors.targets import resolve  # noqa: E402
from kvbarrier.errors import BadInput  # noqa: E402
from kvbarrier.protocols.game.instances import Index, SlidingLayers  # noqa: E402
from kvbarrier.reductions.index import IndexReduction  # noqa: E402
from kvbarrier.reductions.keys.base import KeySet  # noqa: E402
from kvbarrier.reductions.rounding import certified  # noqa: E402

N, WINDOW = 64, 33
#: every family with its smallest width
WIDTHS = [(name, min(one.scales)) for name, one in FAMILIES.items() if one.scales]
MIXED = [(name, d) for name, d in WIDTHS if FAMILIES[name].mixes]


def secret(inst, seed=7):
    coins = np.random.default_rng(seed)
    return coins.integers(0, 2, (inst.secret_rows, inst.row_bits)).astype(np.uint8)


def build(target, inst):
    made = resolve(target).factory(inst.shape, None, 0, inst.build().public())
    return made, getattr(made, "inner", made)


def play(target, inst):
    """The message's share of the 16-bit cache, and which bits Bob reads wrong, bool[rows, bits]."""
    x, hard = secret(inst), inst.build()
    alice, _ = build(target, inst)
    alice.extend(*hard.stream(x))
    message = alice.save()
    bob, _ = build(target, inst)
    bob.restore(message)
    outputs = bob.next_outputs(*hard.queries(np.arange(inst.secret_rows)))
    return 8 * len(message) / inst.shape.cache_bits_16, hard.decode(outputs) != x


def mixed(d, **more):
    return SlidingLayers(n=N, d=d, layers=2, every=2, window=WINDOW, **more)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("model", "d"), WIDTHS)
def test_a_dynamic_cache_loses_nothing_at_its_charge(model, d, dtype):
    inst = Index(n=N, d=d, layers=1, heads=2)
    said = {"model": model, "dtype": dtype}
    assert certified(inst.build().index, arithmetic(said)).all()
    charge, wrong = play(f"hf:dynamic?model={model}&dtype={dtype}", inst)
    assert not wrong.any()
    # fp32 numbers are two of 16 bits, and every message has a few bytes that say what it is.
    assert 0 <= charge / (2 if dtype == "fp32" else 1) - 1 < 0.01


@pytest.mark.parametrize("target", ["hf:dynamic", "hf:static"])
@pytest.mark.parametrize(("model", "d"), MIXED)
def test_layers_that_slide_hold_their_window_and_no_token_more(model, d, target):
    charge, wrong = play(f"{target}?model={model}", mixed(d))
    assert not wrong.any()
    # A static layer has a row for Bob's token as well, in each of two layers.
    assert 0 <= charge - (1 if target == "hf:dynamic" else 98 / 96) < 0.01


@pytest.mark.parametrize("ask", ["mask", "serial"])
@pytest.mark.parametrize("feed", ["prefill", "stream"])
def test_however_it_is_fed_and_asked(feed, ask):
    target = f"hf:dynamic?model=gemma3&feed={feed}&ask={ask}"
    assert not play(target, mixed(128, basis="rotated"))[1].any()


@pytest.mark.parametrize("ask", ["mask", "serial"])
def test_one_token_behind_the_window_is_lost(ask):
    """The model slides by 33, and the game asks as if it were 34: the oldest row of layer 0."""
    inst = SlidingLayers(n=N, d=128, layers=2, every=2, window=WINDOW + 1)
    hard, x = inst.build(), secret(inst)
    smaller = build(f"hf:dynamic?model=gemma3&ask={ask}", mixed(128))[0]
    smaller.extend(*hard.stream(x))
    outputs = smaller.next_outputs(*hard.queries())
    wrong = (hard.decode(outputs) != x).any(axis=1)
    assert [tuple(place) for place in hard.places[wrong].tolist()] == [(N - WINDOW, 0)]


WHOLE = """
from transformers import DynamicCache


class Whole(DynamicCache):
    def __init__(self):
        super().__init__()
"""


@pytest.mark.parametrize("ask", ["mask", "serial"])
def test_a_cache_that_does_not_slide_pays_and_answers_as_one_that_does(tmp_path, ask):
    """It keeps all tokens in every layer, and the model attends to the window only."""
    (tmp_path / "whole.py").write_text(WHOLE)
    target = f"hf:{tmp_path / 'whole.py'}:Whole?model=gemma3&ask={ask}"
    charge, wrong = play(target, mixed(128))
    assert not wrong.any()
    # 64 tokens in two layers, where 32 and 64 are attended to.
    assert charge == pytest.approx(128 / 96, abs=0.01)
    # Asked for one token more than the model's window it has the token, and does not show it.
    inst = SlidingLayers(n=N, d=128, layers=2, every=2, window=WINDOW + 1)
    hard, x = inst.build(), secret(inst)
    cache = build(target, mixed(128))[0]
    cache.extend(*hard.stream(x))
    wrong = (hard.decode(cache.next_outputs(*hard.queries())) != x).any(axis=1)
    assert [tuple(place) for place in hard.places[wrong].tolist()] == [(N - WINDOW, 0)]


def test_what_a_quantiser_loses_it_loses_in_every_family():
    pytest.importorskip("hqq", reason="hqq does the quantising")
    inst = Index(n=N, d=128, basis="rotated")
    lost = [
        float(play(f"hf:quantized?backend=hqq&nbits=1&model={model}", inst)[1].mean())
        for model in ("plain", "qwen2", "qwen3")
    ]
    # The same keys and values, so the same loss, but for what bf16 rounds otherwise.
    assert lost[0] > 0.2
    assert max(lost) - min(lost) < 0.02


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_bf16_reads_keys_that_it_tells_apart_and_no_others(attention):
    """Two keys whose product is 1 - gap, in the real model: u/4 is lost in bf16, not in fp32."""
    unit, d = 2.0**-8, 16
    x = np.random.default_rng(1).integers(0, 2, (d, d)).astype(np.uint8)
    x[0], x[1] = 0, 1
    # Theorem BD with r = 3: 25 units and the scale that they take are certified.
    for gap, scale, lost in ((unit / 4, "tight", True), (25 * unit, 12 / (25 * unit), False)):
        rows = np.eye(d, dtype=np.float32)
        rows[1, :2] = 1 - gap, np.sqrt(gap * (2 - gap))
        hard = IndexReduction.build(KeySet("pair", d, 0, rows), d, scale=scale)
        for dtype in ("bf16", "fp32"):
            carrier = Carrier(Shape(d, d, d), dtype, attention)
            cache = transformers.DynamicCache(config=carrier.config)
            carrier.forward(cache, carrier.embed(*(part[:, None, None] for part in hard.stream(x))))
            mask = torch.ones((1, 1, d, 2 * d), dtype=torch.bool)
            mask[..., d:] = torch.eye(d, dtype=torch.bool)
            asked = carrier.embed(*(part[:, None, None] for part in hard.queries()))
            bits = hard.decode(carrier.forward(cache, asked, mask)[:, 0, 0])
            certain = certified(hard, arithmetic({"dtype": dtype, "attention": attention}))
            assert certain[:2].all() == (bits == x).all() == (dtype == "fp32" or not lost)


def test_what_a_user_is_told():
    inst = Index(n=N, d=64)
    with pytest.raises(BadInput, match=r"no model 'qwen'.* Did you mean"):
        build("hf:dynamic?model=qwen", inst)
    with pytest.raises(BadInput, match=r"heads of gemma3 have 128 or 256 numbers, .* 64: use --d"):
        build("hf:dynamic?model=gemma3", inst)
    with pytest.raises(BadInput, match=r"mistral has layers that all slide, .* 1 of 2 layers"):
        build("hf:dynamic?model=mistral", mixed(128))
    with pytest.raises(BadInput, match="only supported for models with only full attention"):
        build("hf:quantized?backend=hqq&nbits=4&model=gemma3", mixed(128))
    with pytest.raises(BadInput, match=r"plain has no layers that slide.* model=qwen2"):
        build("hf:dynamic", mixed(128))
