"""The catalog says what the classes are; every name can be built and played."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from kvbarrier.compressors import catalog
from kvbarrier.compressors import zoo as entries
from kvbarrier.compressors.catalog_entry import REDUCTIONS_OF
from kvbarrier.compressors.plugin.contract import Compressor, Shape, charged_bits
from kvbarrier.compressors.plugin.signature import OFFERED, Signature
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import BadInput

FAMILIES = {
    "baseline": {
        "exact", "sliding-window", "streaming-llm", "reservoir", "quantized", "top-k",
    },
    "paper": {"running-sum", "algorithm-1", "subgen", "four-cache", "two-cache"},
    "eviction": {
        "h2o", "scissorhands", "tova", "snapkv", "pyramidkv", "fastgen", "razor-attention",
        "keydiff", "expected-attention", "r-kv",
    },
    "quantisation": {
        "kivi", "skvq", "leankv", "cachegen", "qjl", "turboquant", "polarquant",
        "absmax", "block-fp4", "hadamard-int", "eden", "rabitq", "kvtc",
    },
    "low rank": {"minicache", "low-rank", "scatterbrain"},
    "sketch": {
        "algorithm-2", "balance-kv", "performer", "linear-attention", "linformer",
        "hyper-attention", "reformer", "knn-attention",
    },
    "pattern": {"sparse-transformer-strided", "sparse-transformer-fixed", "big-bird"},
    "control": {"lossless", "zero", "time-sharing", "covering-code", "trellis-code"},
}  # fmt: skip
"""Every algorithm that the paper speaks of, and the controls."""
NAMES = catalog.names()
CONTROLS = {"lossless", "zero", "time-sharing", "covering-code", "trellis-code"}


def test_names() -> None:
    assert {kind: set(members) for kind, members in entries.FAMILIES.items()} == (FAMILIES)
    assert len(set(NAMES)) == len(NAMES) == sum(map(len, FAMILIES.values()))
    assert all(name in FAMILIES[catalog.family(name)] for name in NAMES)
    assert {one.name for one in catalog.CATALOG.values() if one.control} == CONTROLS
    assert [row["name"] for row in catalog.describe()] == NAMES
    with pytest.raises(BadInput, match=r"no compressor 'reservoire'\. Did you mean 'reservoir'"):
        catalog.entry("reservoire")


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_true(name: str) -> None:
    entry = catalog.entry(name)
    cls = entry.cls
    assert issubclass(cls, Compressor)
    assert not inspect.isabstract(cls)
    own = set(Signature.of_constructor(cls).names) - set(OFFERED)
    assert own == set(entry.params)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_plays_within_its_budget(name: str) -> None:
    shape = Shape(tokens=64, d_k=16, d_v=16)
    rng = np.random.default_rng(1)
    keys = ((np.arange(64)[:, None] >> np.arange(16) & 1) * 0.5 - 0.25).astype(np.float32)
    values = rng.integers(0, 2, (64, 16)).astype(np.float32)
    public = {"keys": keys, "values": "01", "scale": 12.0, "softmax_scale": 1.0}
    # All of the products that two-cache keeps beside two-byte factors: 1 + n/2 times the cache.
    budget = (33 if name == "two-cache" else 2) * shape.cache_bits_16
    alice, bob = (resolve(name).factory(shape, budget, 3, public) for _ in "ab")
    alice.extend(np.zeros_like(keys), keys, values)
    message = alice.save()
    assert charged_bits(len(message), alice.message_bytes) <= budget
    bob.restore(message)
    zero = np.zeros((2, 16), np.float32)
    outputs = bob.next_outputs(12 * keys[-2:], zero, zero)
    assert outputs.shape == (2, 16)
    assert np.isfinite(outputs).all()


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_a_message_may_lie_in_a_players_memory(name: str, heads: int) -> None:
    shape = Shape(tokens=64, d_k=16, d_v=16, heads=heads, kv_heads=heads)
    keys = ((np.arange(64)[:, None] >> np.arange(16) & 1) * 0.5 - 0.25).astype(np.float32)
    values = np.random.default_rng(1).integers(0, 2, (64, 16)).astype(np.float32)
    if heads > 1:
        keys, values = (np.stack([part, part], axis=1)[:, None] for part in (keys, values))
    public = {"keys": keys, "values": "01", "scale": 12.0, "softmax_scale": 1.0}
    budget = (33 if name == "two-cache" else 2) * shape.cache_bits_16
    alice, bob, other = (resolve(name).factory(shape, budget, 3, public) for _ in "abc")
    alice.extend(np.zeros_like(keys), keys, values)
    message = alice.save()
    bob.restore(message)
    other.restore(memoryview(bytearray(message)))
    asked = (12 * keys[-2:], np.zeros_like(keys[:2]), np.zeros_like(values[:2]))
    assert np.array_equal(other.next_outputs(*asked), bob.next_outputs(*asked))
    assert other.save() == bob.save()


RULES = ("softmax", "unmasked-window", "tensor")
PLAYED = {
    "softmax": {"softmax", "unmasked-window"},
    "unmasked-window": {"unmasked-window"},
    "tensor": {"tensor"},
    "any": set(RULES),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NAMES)
def test_nobody_answers_to_another_rule_than_the_games(name: str, rule: str) -> None:
    shape = Shape(tokens=16, d_k=16, d_v=16)
    public = {"keys": np.eye(16, dtype=np.float32), "values": "01", "scale": 9.0, "window": 9}
    build = resolve(name).factory
    if rule in PLAYED[catalog.entry(name).attention]:
        build(shape, None if name != "time-sharing" else 512, 0, {**public, "attention": rule})
        return
    with pytest.raises(
        BadInput, match=f"^{name} answers .* attack it with --reduction [a-z, -]+.$"
    ):
        build(shape, None, 0, {**public, "attention": rule})


def test_the_refusal_names_where_it_plays() -> None:
    told = {}
    for name, rule in (("exact", "tensor"), ("four-cache", "softmax"), ("running-sum", "softmax")):
        with pytest.raises(BadInput) as caught:
            catalog.entry(name).check_rule({"attention": rule})
        told[name] = str(caught.value).rpartition("--reduction ")[2]
    assert told == {
        "exact": "index, heavy-hitters, clusters, recency, sliding-layers, visual, gaussian, "
        "key-payload, own-keys or sliding-window.",
        "four-cache": "tensor.",
        "running-sum": "sliding-window.",
    }
    # Who builds one by hand, outside of any game, is not asked.
    catalog.entry("four-cache").check_rule({})


def test_rules_are_those_of_the_reductions(tmp_path) -> None:
    from kvbarrier.protocols.game.instances import instance_of
    from kvbarrier.reductions import REDUCTIONS

    sizes = {name: {"n": 256} for name in ("heavy-hitters", "clusters", "recency")}
    sizes |= {"tensor": {"n": 16}, "visual": {"n": 30}, "sliding-window": {"n": 40, "window": 17}}
    np.save(tmp_path / "k.npy", np.eye(16, dtype=np.float32))
    sizes |= {"sliding-layers": {"n": 40, "window": 17}}
    sizes |= {"own-keys": {"keys": str(tmp_path / "k.npy"), "norm": 9.0}}
    asked = {
        name: instance_of({"n": 16, "d": 16, "reduction": name, **sizes.get(name, {})})
        .build()
        .public()["attention"]
        for name in REDUCTIONS
    }
    listed = {name: rule for rule, names in REDUCTIONS_OF.items() for name in names}
    assert listed == asked
