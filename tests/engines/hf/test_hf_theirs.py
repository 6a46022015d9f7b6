"""Somebody's class of cache behind ``hf:``, and one sentence for what cannot be had."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="caches of transformers hold tensors of torch")
pytest.importorskip("transformers", reason="it is its caches that are attacked")

from kvbarrier.compressors.targets import resolve  # noqa: E402
from kvbarrier.errors import BadInput, PluginFailure  # noqa: E402
from kvbarrier.protocols.game.instances import Index  # noqa: E402

INSTANCE = Index(n=128, d=64, keys="kerdock", eta=0.5)
FULL = INSTANCE.shape.cache_bits_16 // 8


def build(target, seed=0):
    reduction = INSTANCE.build()
    return resolve(target).factory(INSTANCE.shape, None, seed, reduction.public())


def secret():
    return np.random.default_rng(7).integers(0, 2, (128, 64)).astype(np.uint8)


THEIRS = '''
from dataclasses import dataclass
from transformers import DynamicCache, PreTrainedConfig

class Halves(DynamicCache):
    """Keeps the first half of what it is given."""
    def __init__(self, config, share, names=()):
        super().__init__(config=config)
        self.share, self.names = share, names

    def update(self, k, v, layer, *args, **kwargs):
        keys, values = super().update(k, v, layer, *args, **kwargs)
        if k.shape[-2] > 1:
            self.layers[layer].keys = keys[:, :, : int(self.share * keys.shape[-2])]
            self.layers[layer].values = values[:, :, : int(self.share * keys.shape[-2])]
        return keys, values

class Turned(DynamicCache):
    """Holds a rotation drawn from the global generator."""
    def __init__(self):
        super().__init__()
        import torch
        self.rotation = torch.randn(64, 64)

class OwnConfig(DynamicCache):
    """Its config is one of its own: with the model's it is made, and fails at the first token."""
    def __init__(self, config=None):
        super().__init__()
        self.bits = 16 if config is None else config

    def update(self, k, v, layer, *args, **kwargs):
        return super().update(k.to(k.dtype) * (self.bits / 16), v, layer, *args, **kwargs)

@dataclass
class Plan:
    budget: int = 8
    spare: int = 2

class Planned(DynamicCache):
    """Wants the model's settings under another name, and its own as an object."""
    def __init__(self, *, model_config: "PreTrainedConfig", start: int, plan: Plan | None = None):
        super().__init__(config=model_config)
        self.plan, self.start = plan, start

class Sized(DynamicCache):
    def __init__(self, num_layers, n_kv_heads, dim, max_seq_len, dtype, batch_size):
        super().__init__()
        self.sizes = (num_layers, n_kv_heads, dim, max_seq_len, str(dtype), batch_size)

class Scores(DynamicCache):
    """Returns other things than rows."""
    def update(self, k, v, layer, *args, **kwargs):
        keys, values = super().update(k, v, layer, *args, **kwargs)
        return (keys, values) if k.abs().sum() or k.shape[2] > 1 else [keys, values]

class Says(DynamicCache):
    def __init__(self):
        raise ValueError("no " * 200 + "end")

class OnTheGPU(DynamicCache):
    def __init__(self):
        super().__init__()
        import torch
        self.table = torch.zeros(3, device="cuda")
'''


def test_a_class_in_a_file(tmp_path):
    file = tmp_path / "theirs.py"
    file.write_text(THEIRS)
    target = f"hf:{file}:Halves?share=0.5&names=[1]"
    reduction, rows, x = INSTANCE.build(), np.arange(128), secret()
    alice, bob = build(target), build(target)
    alice.extend(*reduction.stream(x))
    memories = alice.inner.memories()
    assert (memories.logical, memories.resident) == (FULL // 2, FULL)
    bob.restore(alice.save())
    read = reduction.decode(bob.next_outputs(*reduction.queries(rows)), rows)
    # The first half is there; of the other every second bit is guessed.
    assert np.array_equal(read[:64], x[:64])
    assert (read[64:] != x[64:]).mean() == pytest.approx(0.5, abs=0.04)
    for query, sentence in (
        ("Halves", "needs the parameter 'share': give ?share=VALUE"),
        ("Halves?shard=1", "has no parameter 'shard'. Did you mean 'share'?"),
        ("Halve", "has no class 'Halve'. Did you mean 'Halves'?"),
        ("OnTheGPU", "needs a GPU, but kvbarrier plays it on the CPU"),
    ):
        with pytest.raises(BadInput, match=sentence.replace("?", r"\?")):
            build(f"hf:{file}:{query}")


def test_a_constructor_is_chosen_by_playing(tmp_path):
    file = tmp_path / "theirs.py"
    file.write_text(THEIRS)
    assert build(f"hf:{file}:OwnConfig").inner.cache.bits == 16


def test_sizes_that_the_model_knows_are_filled_in_by_name(tmp_path):
    file = tmp_path / "theirs.py"
    file.write_text(THEIRS)
    sizes = build(f"hf:{file}:Sized").inner.cache.sizes
    assert sizes == (1, 1, 64, 129, "torch.bfloat16", 1)
    assert build(f"hf:{file}:Sized?max_seq_len=7").inner.cache.sizes[3] == 7


def test_a_configuration_of_its_own_is_made_of_its_parameters(tmp_path):
    file = tmp_path / "theirs.py"
    file.write_text(THEIRS)
    cache = build(f"hf:{file}:Planned?start=1&budget=5").inner.cache
    assert (cache.start, cache.plan.budget, cache.plan.spare) == (1, 5, 2)
    assert build(f"hf:{file}:Planned?start=1").inner.cache.plan is None
    with pytest.raises(BadInput, match="has no parameter 'badget'"):
        build(f"hf:{file}:Planned?start=1&badget=5")


def test_the_rows_of_anybodys_class_are_read_from_update(tmp_path):
    file = tmp_path / "theirs.py"
    file.write_text(THEIRS)
    target = f"hf:{file}:Halves?share=0.5&bob=reads"
    reduction, rows, x = INSTANCE.build(), np.arange(128), secret()
    alice, bob = build(target), build(target)
    alice.extend(*reduction.stream(x))
    bob.restore(alice.save())
    read = reduction.decode(bob.next_outputs(*reduction.queries(rows)), rows)
    assert np.array_equal(read[:64], x[:64])
    assert (read[64:] != x[64:]).mean() == pytest.approx(0.5, abs=0.04)
    scores = build(f"hf:{file}:Scores?bob=reads")
    scores.extend(*reduction.stream(x))
    with pytest.raises(BadInput, match=r"update returns no rows that can be read.*Use bob=asks"):
        scores.next_outputs(*reduction.queries(rows))


def test_their_words_are_shown_whole(tmp_path):
    file = tmp_path / "theirs.py"
    file.write_text(THEIRS)
    with pytest.raises(PluginFailure, match="no no end"):
        build(f"hf:{file}:Says")


def test_what_is_drawn_is_drawn_from_the_public_coins(tmp_path):
    file = tmp_path / "turned.py"
    file.write_text(THEIRS)
    first, again, other = (build(f"hf:{file}:Turned", seed) for seed in (0, 0, 1))
    assert torch.equal(first.inner.cache.rotation, again.inner.cache.rotation)
    assert not torch.equal(first.inner.cache.rotation, other.inner.cache.rotation)
    first.extend(*INSTANCE.build().stream(secret()))
    # Both sides have it: it is not sent, and Bob's is Alice's.
    message = first.save()
    assert len(message) < FULL + 200
    again.restore(message)
    assert torch.equal(first.inner.cache.rotation, again.inner.cache.rotation)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("hf:dynamik", "there is no cache hf:dynamik. Did you mean 'dynamic'"),
        ("hf:dynamic?bits=2", "hf:dynamic has no parameter 'bits'"),
        ("hf:sliding?size=2", "hf:sliding has no parameter 'size'"),
        ("hf:sliding?window=1", "window must be a whole number, 2 or more, not 1"),
        ("hf:static?max_cache_len=100", "the stream and one question need 129 tokens"),
        ("hf:static?ask=mask", "hf:static takes ask=serial, not mask"),
        ("hf:quantized?backend=kivi", "hf:quantized has no backend 'kivi'"),
        ("hf:quantized?axis=0&axis_key=0", "axis sets both axis_key and axis_value"),
        ("hf:quantized?backend=fp8&nbits=2", "does not support"),
        ("hf:dynamic?dtype=int4", "bf16, fp16 or fp32, not 'int4'"),
        ("hf:dynamic?attention=flash", "sdpa or eager, not flash"),
        ("hf:no_such_module:Cache", "there is no module 'no_such_module'"),
        ("hf:transformers:LlamaConfig", "not a cache of transformers"),
        ("hf:transformers.cache_utils:DynamicLayer", "one layer of a cache"),
        ("hf:transformers:DynamicCache?offloading=true", "needs a GPU"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(target, sentence):
    with pytest.raises(BadInput, match=sentence) as caught:
        build(target)
    assert "\n" not in str(caught.value)
