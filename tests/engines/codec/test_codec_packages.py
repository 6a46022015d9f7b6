"""Published codecs on the hard instance: what they lose and what they send.

Wire: bits / 16 and the scales of a vector of 64 numbers, in closed form. Errors are of one secret
at n = 512, d = 64, Kerdock keys, the tight scale: 0 where the quantiser separates the two values,
near 1/2 where it keeps nothing; otherwise measured once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.engines.codec.cache import CodecCache
from kvbarrier.compressors.plugin.lifting import fit_layout
from kvbarrier.protocols.game.instances import Index

N, D = 512, 64
F32, F16 = 32 / (16 * D), 16 / (16 * D)


def play(described: str, basis: str, layers: int = 1, heads: int = 1, **params: Any) -> Any:
    """The share of bits lost, the message as a share of the 16-bit cache, and Alice's memories."""
    instance = Index(n=N, d=D, keys="kerdock", eta=0.5, basis=basis, layers=layers, heads=heads)
    game = instance.build()
    secret = np.random.default_rng(1).integers(0, 2, (N, instance.row_bits)).astype(np.uint8)
    what = f"kvbarrier.compressors.engines.codec.packages.{described}"

    def cache(*args: Any, **kwargs: Any) -> CodecCache:
        return CodecCache(*args, what=what, **kwargs)

    alice, bob = (
        fit_layout("heads", cache, instance.shape, None, 3, game.public(), **params) for _ in "ab"
    )
    alice.extend(*game.stream(secret))
    message = alice.save()
    bob.restore(message)
    rows = np.arange(N)
    bits = game.decode(bob.next_outputs(*game.queries(rows)), rows)
    inner = getattr(alice, "inner", alice)
    share = 8 * len(message) / instance.shape.cache_bits_16
    return float((bits != secret).mean()), share, inner.memories()


# package module, description, parameters, error literal, error rotated, wire
PLAYED = [
    ("lmcache_turbo_quant_serde", "lmcache_turbo_quant_serde:Serde", {"bits": 2}, 0.045, 0.047,
     2 / 16 + F16),
    ("lmcache_turbo_quant_serde", "lmcache_turbo_quant_serde:Serde", {"bits": 4}, 0, 0,
     4 / 16 + F16),
    ("polarengine_vllm", "polarquant:KV", {"nbits": 3}, 0.345, 0.003, 3 / 16 + F16),
    ("polarengine_vllm", "polarquant:KV", {"nbits": 4}, 0.125, 0, 4 / 16 + F16),
    ("turboquant", "kvcrush:TurboQuant", {"bits": 2}, 0.5, 0.5, 2 / 16 + 64 / (16 * 32)),
    ("turboquant", "kvcrush:TurboQuant", {"bits": 4, "use_delta": False}, 0, 0,
     4 / 16 + 64 / (16 * 32)),
    # int8, an anchor in 16, a scale and a norm; of K and V together a place in 8 bytes.
    ("kvcodec", "kvcodec:Seq", {}, 0, 0, 8 / 16 + 1 / 16 + 2 * F32 + 64 / (2 * 16 * D)),
    # 8 bytes a code and a norm; for keys, a byte a sign of the residual and its norm too.
    ("turboquant", "turboquant_torch:KVCache", {"bit_width": 4, "residual_length": 0}, 0, 0,
     4 + F16 + (8 / 16 + F32) / 2),
    ("turboquant_pro", "turboquant_pro:TurboKV", {"bits": 2}, 0.046, 0.046, 2 / 16 + F32),
    ("turboquant_pro", "turboquant_pro:TurboKV", {"bits": 3, "packed": False}, 0.005, 0.006,
     8 / 16 + F32),
    ("turboquant_pro", "turboquant_pro:PerChannel", {"bits": 2}, 0, 0.069,
     2 / 16 + 64 / (16 * N)),
    ("turbo_quant_lite", "turbo_quant_lite:Vectors", {"bits": 3}, 0.446, 0.452, 8 / 16 + F32),
    ("remex", "remex:Vectors", {"bits": 2}, 0.046, 0.047, 2 / 16 + F32),
    ("remex", "remex:Vectors", {"bits": 4}, 0, 0, 4 / 16 + F32),
    ("bitpolar", "bitpolar:Vectors", {"bits": 4}, 0.023, 0.024, 1.64),
    ("gguf", "gguf_blocks:Blocks", {"kind": "Q8_0"}, 0, 0, 8.5 / 16),
    ("gguf", "gguf_blocks:Blocks", {"kind": "Q4_0"}, 0, 0, 4.5 / 16),
    ("gguf", "gguf_blocks:Blocks", {"kind": "TQ1_0"}, 0, 0.256, 1.6875 / 16),
    ("zfpy", "zfp:Rate", {"rate": 4}, 0.008, 0.014, 4 / 16),
    ("faiss", "faiss_quantizers:Codec", {"factory": "SQ4"}, 0, 0, 4 / 16 + 64 / (16 * N)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "described", "params", "literal", "rotated", "wire"),
    PLAYED,
    ids=[f"{one[1]} {one[2]}" for one in PLAYED],
)
def test_what_it_loses_and_what_it_sends(
    module: str, described: str, params: dict[str, Any], literal: float, rotated: float, wire: float
) -> None:
    pytest.importorskip(module)
    for basis, expected in (("literal", literal), ("rotated", rotated)):
        error, share, memories = play(described, basis, **params)
        assert error == pytest.approx(expected, abs=0.012 if expected else 2e-4)
        assert share == pytest.approx(wire, abs=0.004)
        # The message is the data and little more.
        assert memories.logical <= share * N * D * 4 <= memories.logical + 400


def test_lossless_compression_finds_what_is_not_random() -> None:
    pytest.importorskip("blosc2")
    literal, rotated = (play("blosc2_arrays:Lossless", b) for b in ("literal", "rotated"))
    assert literal[0] == rotated[0] == 0
    # n d bits are random, and 2 n d 16 are kept: no lossless code is below 1/32.
    assert 1 / 32 < literal[1] < 0.06
    assert 0.5 < rotated[1] < 1


CLAIMS = [
    ("polarengine_vllm", "polarquant:KV", {"nbits": 3}, 3 / 16),
    ("turboquant", "turboquant_torch:KVCache", {"bit_width": 3}, 3 / 16),
    ("turbo_quant_lite", "turbo_quant_lite:Vectors", {"bits": 3}, 3 / 16 + F32),
    ("kvcodec", "kvcodec:Seq", {}, 8 / 16 + 1 / 16 + F32 + 32 / (2 * 16 * D)),
    ("gguf", "gguf_blocks:Blocks", {"kind": "Q4_0"}, 4.5 / 16),
]


@pytest.mark.parametrize(("module", "described", "params", "claimed"), CLAIMS)
def test_what_it_claims(
    module: str, described: str, params: dict[str, Any], claimed: float
) -> None:
    pytest.importorskip(module)
    memories = play(described, "literal", **params)[2]
    assert memories.claimed / (N * D * 4) == pytest.approx(claimed, abs=0.001)


@pytest.mark.parametrize(
    ("module", "described", "params"),
    [
        ("lmcache_turbo_quant_serde", "lmcache_turbo_quant_serde:Serde", {"bits": 2}),
        ("polarengine_vllm", "polarquant:KV", {"nbits": 3}),
        ("kvcodec", "kvcodec:Seq", {}),
        ("turboquant_pro", "turboquant_pro:TurboKV", {"bits": 2}),
        ("gguf", "gguf_blocks:Blocks", {"kind": "Q4_0"}),
    ],
)
def test_a_stream_in_pieces_loses_the_same(
    module: str, described: str, params: dict[str, Any]
) -> None:
    pytest.importorskip(module)
    whole, wire, _ = play(described, "rotated", **params)
    pieces, longer, _ = play(described, "rotated", feed="stream", chunk=64, **params)
    # These quantise token by token, so the cuts change the framing and nothing else.
    assert pieces == pytest.approx(whole, abs=2e-3)
    assert longer == pytest.approx(wire, abs=0.01)


def test_several_layers_and_heads() -> None:
    pytest.importorskip("polarengine_vllm")
    one, wire, _ = play("polarquant:KV", "rotated", nbits=2)
    many, wires, _ = play("polarquant:KV", "rotated", layers=2, heads=2, nbits=2)
    assert many == pytest.approx(one, abs=0.01)
    assert wires == pytest.approx(wire, abs=0.001)


def test_versions_name_the_package_and_what_it_runs_on() -> None:
    pytest.importorskip("polarengine_vllm")
    instance = Index(n=N, d=D, keys="kerdock", eta=0.5)
    what = "kvbarrier.compressors.engines.codec.packages.polarquant:KV"
    said = CodecCache(instance.shape, what=what).versions()
    assert said["polarquant"] == "0.6.0"
    assert set(said) == {"polarquant", "torch"}


def test_every_class_of_tensors_travels() -> None:
    torch = pytest.importorskip("torch")
    from kvbarrier.compressors.engines.codec.data import as_plain, from_plain
    from kvbarrier.compressors.plugin.packing import pack_plain, unpack_plain

    names = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8",
             "uint8", "int16", "int64", "bool")  # fmt: skip
    base = torch.arange(-6, 6).reshape(3, 4)
    data = [base.to(getattr(torch, name))[:, ::2].T for name in names]
    back = from_plain(unpack_plain(pack_plain(as_plain(data, (), "encode"))), ())
    for sent, got in zip(data, back, strict=True):
        assert sent.dtype == got.dtype
        assert torch.equal(sent.float(), got.float())


@pytest.mark.parametrize("kind", ["sparse", "quantised", "meta"])
def test_tensors_that_hide_others_are_refused(kind: str) -> None:
    torch = pytest.importorskip("torch")
    from kvbarrier.compressors.engines.codec.data import as_plain
    from kvbarrier.errors import PluginFailure

    ones = torch.ones(2, 2)
    tensor = {
        "sparse": lambda: ones.to_sparse(),
        "quantised": lambda: torch.quantize_per_tensor(ones, 0.1, 0, torch.qint8),
        "meta": lambda: ones.to("meta"),
    }[kind]()
    with pytest.raises(PluginFailure, match=r"returned a Tensor of .* no plain CPU tensor"):
        as_plain([tensor], (), "encode")
