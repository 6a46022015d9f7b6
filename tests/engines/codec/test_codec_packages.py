"""Published codecs on the hard instance: what they lose and what they send.

Wire: bits / 16 and the scales of a vector of 64 numbers, in closed form. Errors are of one secret
at n = 512, d = 64, Kerdock keys, the tight scale: 0 where the quantiser separates the two values,
near 1/2 where it keeps nothing; otherwise measured once.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier import attack
from kvbarrier.compressors.engines.codec.cache import CodecCache
from kvbarrier.compressors.plugin.lifting import fit_layout
from kvbarrier.protocols.game.instances import Index

N, D = 512, 64
F32, F16 = 32 / (16 * D), 16 / (16 * D)


def levels(bits: int) -> float:
    """Levels and borders in 64 bits, as a share of the numbers that they are sent with."""
    return (2 ** (bits + 1) - 1) * 64 / (16 * N * D)


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
    # One row of 512 is made of equal numbers, and becomes zero.
    ("adaptivekv", "adaptivekv_groups:Groups", {"bits": 4}, 1 / N, 0, 4 / 16 + 2 * F16),
    ("adaptivekv", "adaptivekv_groups:Groups", {"bits": 2}, 1 / N, 0.08, 2 / 16 + 2 * F16),
    # Rows are filled up to 128 codes.
    ("akv", "akv_cache:Quantizer", {}, 0, 0, 2 * 4 / 16 + 2 * F16),
    ("akv", "akv_cache:Quantizer", {"group_size": 64}, 0, 0, 4 / 16 + 2 * F16),
    ("akv", "akv_cache:Quantizer", {"group_size": 64, "symmetric": True}, 0, 0.12,
     4 / 16 + 2 * F16),
    ("flashcodec", "flashcodec:Jpeg", {}, 0.5, 0.5, 2 / 8),
    ("flashcodec", "flashcodec:Jpeg", {"quant_bits": 8}, 0.5, 0.5, 1 / 8 + F32 / 4),
    ("flashcodec", "flashcodec:Png", {}, 0, 0, 1 / 8 + 2 * 7 / 8),
    # A byte a code, a bit a sign, two numbers a row.
    ("spectral_kv", "spectral_kv:Jarvis", {"bits": 4}, 0.06, 0.05, 9 / 16 + 2 * F16),
    ("kvquant", "kvquant_plus_plus:Mse", {"num_bits": 2}, 0.035, 0.047, 4 + F32),
    ("kvquant", "kvquant_plus_plus:InnerProduct", {"num_bits": 3}, 0.08, 0.075,
     4 + 1 / 16 + 2 * F32),
    # A norm of 64 bits a row; a matrix of 64 by 64 doubles, two for the sketch.
    ("pyturboquant_cpu", "pyturboquant_cpu:Mse", {"bits": 4}, 0, 0,
     4 / 16 + 2 * F32 + 4 * D / N + levels(4)),
    ("pyturboquant_cpu", "pyturboquant_cpu:Prod", {"bits": 4}, 0.01, 0.012,
     4 / 16 + 4 * F32 + 8 * D / N + levels(3)),
    ("turboquant_vectors", "turboquant_vectors:Vectors", {"bits": 4}, 0, 0,
     8 / 16 + F32 + D / N),
    ("turboquant_vectors", "turboquant_vectors:Vectors", {"bits": 3}, 0.2, 0.23,
     8 / 16 + F32 + D / N),
    ("turboquant_vectors", "turboquant_vectors:Vectors", {"bits": 2}, 0.047, 0.048,
     8 / 16 + F32 + D / N),
    # 8 bytes a code, a byte for each of 64 signs, two matrices of doubles for K and V together.
    ("turboquant_llm", "turboquant_llm:Batch", {"bits": 4}, 0.001, 0, 4 + 8 / 16 + 4 * D / N),
    ("polykv", "polykv_llm:Mse", {}, 0.34, 0.003, 8 / 16 + F16),
    ("tqa", "tqkv:Packed", {"bits": 4}, 0, 0, 4 / 16 + F32),
    ("tqa", "tqkv:Packed", {"bits": 2}, 0.035, 0.045, 2 / 16 + F32),
    ("icw_kv_quant", "icw_kv_quant:Int8", {}, 0, 0.001, 8 / 16),
    # 8 bytes a code, 4 a sign, two norms.
    ("turboquantdc", "turboquantdc:Residual", {"bits": 3}, 0.004, 0.004, 6 + 2 * F32),
    ("turboquantcpu", "turboquantcpu:Values", {"mode": "int8"}, 0, 0, 8 / 16 + 2 * F16),
    ("lmcache", "lmcache_serdes:Kivi", {}, 0, 0, 1),
    ("lmcache", "lmcache_serdes:Fp8", {}, 0, 0, 8 / 16),
    ("lmcache", "lmcache_serdes:K16V8", {}, 0, 0, 12 / 16),
    # Seven channels in 16 bits, 57 as one radius, prototype and eight signs, and their spans.
    ("zerokv", "zerokv_neo:Block", {}, 0.5, 0.5, 0.155),
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
        # The message is the data and little more, and less where a sign takes a byte.
        signs = N * D * 2 * 7 // 8 if described.endswith("InnerProduct") else 0
        least = min(memories.logical, memories.resident) - signs
        assert least <= share * N * D * 4 <= memories.logical + 800


def test_lossless_compression_finds_what_is_not_random() -> None:
    pytest.importorskip("blosc2")
    literal, rotated = (play("blosc2_arrays:Lossless", b) for b in ("literal", "rotated"))
    assert literal[0] == rotated[0] == 0
    # n d bits are random, and 2 n d 16 are kept: no lossless code is below 1/32.
    assert 1 / 32 < literal[1] < 0.06
    assert 0.5 < rotated[1] < 1


# description, parameters, error, wire; a row has D numbers. fastvq's codes and radii have 32 bits
# for two numbers, its signs 8; two matrices of D x D in 32 bits are in every message.
_MATRICES = 2 * 32 * D * D / (16 * 2 * N * D)
APART = [
    ("fastvq:KV", {}, 0.39, 1 + 1 + 8 / 16 + F32 + _MATRICES),
    ("fastvq:KV", {"bit_width": 4, "use_qjl": False}, 0.019, 1 + 1 + F32 + _MATRICES / 2),
    ("turboquant_kv:Prod", {}, 0.075, (64 + 32) / 16 + 2 * F32),
    ("turboquant_kv:Prod", {"bits": 4}, 0.01, (64 + 32) / 16 + 2 * F32),
]


@pytest.mark.parametrize(("described", "params", "error", "wire"), APART)
def test_played_apart(described: str, params: dict[str, Any], error: float, wire: float) -> None:
    """In a process of its own, as its module has the name of another package's."""
    distribution = described.partition(":")[0].replace("_", "-")
    if not (Path(sys.prefix) / "apart" / distribution).exists():
        pytest.skip("run make engines/codec")
    played = f"play({described!r}, 'rotated', **{params})"
    code = f"from test_codec_packages import play; print(*{played}[:2])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parent, timeout=600,
    )  # fmt: skip
    lost, sent = map(float, done.stdout.split())
    assert lost == pytest.approx(error, abs=0.01)
    assert sent == pytest.approx(wire, abs=0.005)


def test_who_lies_apart_is_found_in_a_game() -> None:
    """Its players import what a rehearsal needed: not the other package of that name before it."""
    if not (Path(sys.prefix) / "apart" / "fastvq").exists():
        pytest.skip("run make engines/codec")
    described = "kvbarrier.compressors.engines.codec.packages.fastvq:KV"
    report = attack(f"codec:{described}", n=64, d=64, keys="kerdock", messages=1)
    (point,) = report.points
    assert 0.2 < point["bit_error"]["estimate"] < 0.48


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
    from kvbarrier.compressors.engines.codec.data import Kinds, as_plain, from_plain
    from kvbarrier.compressors.plugin.packing import pack_plain, unpack_plain

    names = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8",
             "uint8", "int16", "int64", "bool")  # fmt: skip
    base = torch.arange(-6, 6).reshape(3, 4)
    data = [base.to(getattr(torch, name))[:, ::2].T for name in names]
    back = from_plain(unpack_plain(pack_plain(as_plain(data, Kinds(), "encode"))), Kinds())
    for sent, got in zip(data, back, strict=True):
        assert sent.dtype == got.dtype
        assert torch.equal(sent.float(), got.float())


@pytest.mark.parametrize("kind", ["sparse", "quantised", "meta"])
def test_tensors_that_hide_others_are_refused(kind: str) -> None:
    torch = pytest.importorskip("torch")
    from kvbarrier.compressors.engines.codec.data import Kinds, as_plain
    from kvbarrier.errors import PluginFailure

    ones = torch.ones(2, 2)
    tensor = {
        "sparse": lambda: ones.to_sparse(),
        "quantised": lambda: torch.quantize_per_tensor(ones, 0.1, 0, torch.qint8),
        "meta": lambda: ones.to("meta"),
    }[kind]()
    with pytest.raises(PluginFailure, match=r"returned a Tensor of .* not a plain CPU tensor"):
        as_plain([tensor], Kinds(), "encode")
