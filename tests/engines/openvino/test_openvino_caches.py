"""Caches of OpenVINO's CPU plug-in, against NumPy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.engines.engine import attention_over
from kvbarrier.compressors.engines.openvino.rows import OUT_OF_REACH, ROWS
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.errors import BadInput, PluginFailure

PINS = Path(__file__).resolve().parents[3] / "compressors" / "engines" / "openvino" / "pins.txt"


def test_the_rows_are_settings_of_this_engine_and_pinned() -> None:
    settings = {(row.target, *sorted(row.params.items())) for row in ROWS}
    assert len(settings) == len(ROWS)
    assert not {row.target for row in ROWS} & OUT_OF_REACH.keys()
    lines = [line for line in PINS.read_text().splitlines() if line and not line.startswith("#")]
    pinned = dict(line.split("==") for line in lines)
    assert {"openvino", "numpy"} <= pinned.keys()
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pinned.values())


SHAPE = Shape(tokens=20, d_k=64, d_v=64, layers=2, heads=2, kv_heads=2)
FLOATS: dict[str, Any] = {"f32": np.float32, "f16": np.float16}


def engine(what: str, **params: Any) -> Any:
    pytest.importorskip("openvino", reason="it is its caches that are attacked")
    from kvbarrier.compressors.engines.openvino.cache import OpenvinoCache

    return OpenvinoCache(SHAPE, what=what, **params)


def triples(n: int = 26) -> list[Any]:
    rng = np.random.default_rng(3)
    return [rng.standard_normal((n, 2, 2, 64)).astype(np.float32) for _ in range(3)]


def rounded(part: Any, what: str) -> Any:
    """What the precision makes of rows: of u8 256 levels from each row's least to its largest."""
    if what in FLOATS:
        return part.astype(FLOATS[what]).astype(np.float32)
    low, high = part.min(axis=-1, keepdims=True), part.max(axis=-1, keepdims=True)
    return low + np.rint((part - low) / (high - low) * 255) * (high - low) / 255


def by_head(part: Any) -> Any:
    return [[part[:20, layer, head] for head in range(2)] for layer in range(2)]


@pytest.mark.parametrize("feed", ["prefill", "stream"])
@pytest.mark.parametrize("what", [*FLOATS, "u8"])
def test_it_attends_over_the_rounded_rows(what: str, feed: str) -> None:
    Q, K, V = triples()
    Q *= 0.3
    alice = engine(what, feed=feed)
    alice.extend(Q[:20], K[:20], V[:20])
    message = alice.save()
    Kr, Vr = (rounded(part, what) for part in (K, V))
    expected = attention_over(by_head(Kr), by_head(Vr), Q[20:], Kr[20:], Vr[20:])
    # A code at the border of two may fall to either side: one level of some hundreds of numbers.
    tolerance = {"f32": 1e-5, "f16": 1e-3, "u8": 1e-2}[what]
    for ask in ("mask", "serial"):
        bob = engine(what, feed=feed, ask=ask)
        bob.restore(message)
        assert np.allclose(bob.next_outputs(Q[20:], K[20:], V[20:]), expected, atol=tolerance)
    reader = engine(what, bob="reads")
    reader.restore(message)
    keys, values = (np.array(part) for part in reader._rows())
    level = 0.03 if what == "u8" else 1e-6
    assert np.abs(keys - np.array(by_head(Kr))).max() < level
    assert np.abs(values - np.array(by_head(Vr))).max() < level


@pytest.mark.parametrize(("what", "row"), [("f32", 256), ("f16", 128), ("u8", 72)])
def test_the_message_is_the_rows_in_their_precision(what: str, row: int) -> None:
    Q, K, V = triples(20)
    one = engine(what)
    one.extend(Q, K, V)
    # K and V of 2 layers and 2 heads; a row of u8 has 64 codes and two numbers of 32 bits.
    size = 2 * 2 * 2 * 20 * row
    held = one.memories()
    assert held.logical == held.resident == size
    assert size < len(one.save()) < size + 200


@pytest.mark.parametrize("what", [*FLOATS, "u8"])
def test_a_state_that_was_sent_is_the_state(what: str) -> None:
    Q, K, V = triples(20)
    V[3] = 0.5  # a row of one number has no step
    alice, bob = engine(what), engine(what)
    alice.extend(Q, K, V)
    bob.restore(alice.save())
    for mine, theirs in zip(alice._states(), bob._states(), strict=True):
        assert np.abs(mine - theirs).max() < 1e-6
    assert np.allclose(*(one.next_outputs(Q[:5], K[:5], V[:5]) for one in (alice, bob)), atol=1e-6)


def test_what_is_not_there_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"no cache openvino:u16\. Did you mean"):
        engine("u16")
    with pytest.raises(BadInput, match="shows its codes without their scales"):
        engine("u4")
    Q, K, V = triples(20)
    one = engine("f16")
    one.extend(Q, K, V)
    with pytest.raises(PluginFailure):
        engine("u8").restore(one.save())
