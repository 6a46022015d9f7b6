"""Caches of ONNX Runtime's GroupQueryAttention, against NumPy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.engines.engine import attention_over
from kvbarrier.compressors.engines.onnxruntime.rows import OUT_OF_REACH, ROWS
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.errors import BadInput, PluginFailure

PINS = Path(__file__).resolve().parents[3] / "compressors" / "engines" / "onnxruntime" / "pins.txt"


def test_the_rows_are_settings_of_this_engine_and_pinned() -> None:
    settings = {(row.target, *sorted(row.params.items())) for row in ROWS}
    assert len(settings) == len(ROWS)
    assert not {row.target for row in ROWS} & OUT_OF_REACH.keys()
    lines = [line for line in PINS.read_text().splitlines() if line and not line.startswith("#")]
    pinned = dict(line.split("==") for line in lines)
    assert {"onnx", "onnxruntime", "numpy"} <= pinned.keys()
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pinned.values())


SHAPE = Shape(tokens=20, d_k=64, d_v=64, layers=2, heads=2, kv_heads=2)
#: codes of a symmetric quantiser reach this far
LIMIT = {"int8": 127, "int4": 7}


def engine(what: str, **params: Any) -> Any:
    pytest.importorskip("onnxruntime", reason="it is its caches that are attacked")
    from kvbarrier.compressors.engines.onnxruntime.cache import OnnxRuntimeCache

    return OnnxRuntimeCache(SHAPE, what=what, **params)


def triples(n: int = 26) -> list[Any]:
    rng = np.random.default_rng(3)
    return [rng.uniform(-1, 1, (n, 2, 2, 64)).astype(np.float32) for _ in range(3)]


def rounded(part: Any, what: str, largest: float) -> Any:
    """What a symmetric quantiser with this range makes of numbers: the definition, in NumPy."""
    if what == "fp16":
        return part.astype(np.float16).astype(np.float32)
    if what == "fp32":
        return part
    scale = np.float32(largest) / LIMIT[what]
    return (np.clip(np.rint(part / scale), -LIMIT[what] - 1, LIMIT[what]) * scale).astype("f4")


def by_head(part: Any) -> Any:
    return [[part[:20, layer, head] for head in range(2)] for layer in range(2)]


@pytest.mark.parametrize("feed", ["prefill", "stream"])
@pytest.mark.parametrize("what", ["fp32", "fp16", "int8", "int4"])
def test_it_attends_over_the_rounded_rows(what: str, feed: str) -> None:
    ranges = {"key_range": 1.0, "value_range": 1.0} if what in LIMIT else {}
    Q, K, V = triples()
    alice = engine(what, feed=feed, **ranges)
    alice.extend(Q[:20], K[:20], V[:20])
    message = alice.save()
    # The question's own token is rounded too, as every token in this cache is.
    Kr, Vr = (rounded(part, what, 1.0) for part in (K, V))
    expected = attention_over(by_head(Kr), by_head(Vr), Q[20:], Kr[20:], Vr[20:])
    tolerance = 3e-3 if what == "fp16" else 2e-5
    for ask in ("mask", "serial"):
        bob = engine(what, feed=feed, ask=ask, **ranges)
        bob.restore(message)
        assert np.allclose(bob.next_outputs(Q[20:], K[20:], V[20:]), expected, atol=tolerance)
    reader = engine(what, bob="reads", **ranges)
    reader.restore(message)
    keys, values = reader._rows()
    assert np.allclose(np.array(keys), np.array(by_head(Kr)), atol=1e-6)
    assert np.allclose(np.array(values), np.array(by_head(Vr)), atol=1e-6)


@pytest.mark.parametrize(("what", "bits"), [("fp32", 32), ("fp16", 16), ("int8", 8), ("int4", 4)])
def test_the_message_is_the_arrays_and_nothing_else(what: str, bits: int) -> None:
    Q, K, V = triples(20)
    one = engine(what)
    one.extend(Q, K, V)
    size = 2 * 2 * 2 * 20 * 64 * bits // 8
    held = one.memories()
    assert held.logical == held.resident == size
    assert size < len(one.save()) < size + 100


def test_scales_are_public_one_a_tensor_or_one_a_channel() -> None:
    tensor, channel = engine("int4"), engine("int4", per="channel")
    assert tensor._scales["key_scale"].shape == (1,)
    assert channel._scales["value_scale"].shape == (128,)
    assert channel._scales["value_scale"].max() == tensor._scales["value_scale"][0]


def test_what_does_not_fit_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"no cache onnxruntime:int3\. Did you mean 'int"):
        engine("int3")
    with pytest.raises(BadInput, match="takes per=tensor or channel, not row"):
        engine("int4", per="row")
    with pytest.raises(PluginFailure):
        engine("int4").restore(engine("int8").save())
    from kvbarrier.compressors.engines.onnxruntime.cache import OnnxRuntimeCache

    with pytest.raises(BadInput, match="a multiple of 8, not 12 and 12"):
        OnnxRuntimeCache(Shape(tokens=4, d_k=12, d_v=12), what="fp16")
