"""What is said of an engine's cache beside the message, from points written by hand."""

from __future__ import annotations

from typing import Any

import pytest
from kvbarrier.protocols.game.instances import Index, SlidingLayers, Tensor
from kvbarrier.runs.engine_report import declared_share, engine_report, of_arithmetic

CACHE = 8_000
MEMORIES = {
    "logical": 1000, "resident": 1000, "side": 0, "claimed": None, "basis": "", "constant": None,
    "beside": 0, "beside_is": "",
}  # fmt: skip


def point(error: float, wire: float = 1.0, basis: str = "literal", **params: Any) -> Any:
    return {
        "params": params, "basis": basis, "queries": "zero", "compression_ratio": 1 / wire,
        "bit_error": {"estimate": error},
    }  # fmt: skip


def said(memories: dict[str, Any], *points: Any, target: str = "hf:mine.py:Mine") -> Any:
    settings = {tuple(p["params"].items()): p["params"] for p in points}
    entries = [
        {"params": params, "memories": MEMORIES | memories, "versions": {}}
        for params in settings.values()
    ]
    return engine_report(target, entries, points, CACHE)


@pytest.mark.parametrize(
    ("memories", "points", "findings"),
    [
        ({}, [point(0.1)], []),
        ({"claimed": 250}, [point(0.0)], ["claimed 0.25, real bytes 1"]),
        ({"resident": 3000}, [point(0)], ["3.00 stays in memory behind tensors that show 1.00"]),
        ({"side": 100}, [point(0)], ["0.10 more is parked on modules"]),
        ({"constant": 500}, [point(0)], ["0.50 of the message does not depend on the stream"]),
        (
            {},
            [point(0, wire=1.5)],
            [
                "the message has 1.50 where arrays of 1.00 are in memory: the rest is how they are "
                "written, and what lies outside of arrays"
            ],
        ),
        (
            {"beside": 480, "beside_is": "63 tokens wait"},
            [point(0, wire=1.5)],
            ["the message has 1.50 where arrays of 1.00 are in memory: 63 tokens wait"],
        ),
        (
            {"beside": 470, "beside_is": "63 tokens wait"},
            [point(0, wire=1.5)],
            [
                "the message has 1.50 where arrays of 1.00 are in memory: the rest is how they are "
                "written, and what lies outside of arrays"
            ],
        ),
        (
            {},
            [point(0), point(0.3, basis="rotated")],
            ["the basis decides: 0.000 literal, 0.300 rotated"],
        ),
    ],
)
def test_every_finding_that_the_page_promises(
    memories: dict[str, Any], points: list[Any], findings: list[str]
) -> None:
    (one,) = said(memories, *points)
    assert one["findings"] == findings


def test_two_bobs_of_one_setting_are_held_against_each_other() -> None:
    told = said({}, point(0.45, bits=2), point(0.0, bits=2, bob="reads"), point(0.4, bits=4))
    hides = ["hides and does not free: 0.450 by asking, 0.000 by reading"]
    assert [one["findings"] for one in told] == [hides, hides, []]


def test_another_stream_or_feed_is_no_other_basis() -> None:
    decoy = point(0.4, basis="rotated") | {"queries": "decoy"}
    streamed = point(0.4, basis="rotated", feed="stream")
    told = said({}, point(0.0), decoy, streamed)
    assert [one["findings"] for one in told] == [[], []]


def test_shares_are_of_the_16_bit_cache() -> None:
    (one,) = said({"logical": 250, "side": 20}, point(0, wire=0.3))
    assert one["shares"] == {
        "declared": None, "claimed": None, "logical": 0.25, "resident": 1.0, "side": 0.02,
        "constant": None, "beside": 0.0, "wire": 0.3,
    }  # fmt: skip


def test_what_the_table_declares() -> None:
    params = {"backend": "quanto", "nbits": 2, "axis": 0}
    assert declared_share("hf:quantized", params | {"bob": "reads"}) == 2 / 16
    assert declared_share("hf:quantized", params | {"nbits": 3}) is None
    (one,) = said({}, point(0, wire=0.3, **params), target="hf:quantized")
    assert one["findings"] == ["declared 0.125, real bytes 0.3"]
    (one,) = said({}, point(0, wire=0.3), target="hf:quantized?backend=quanto&nbits=2&axis=0")
    assert one["findings"] == ["declared 0.125, real bytes 0.3"]


def test_tokens_whose_bits_the_float_type_may_turn() -> None:
    """Of keys on a circle bf16 certifies none, fp32 all; of 512 Kerdock keys every type all."""
    close, wide = Index(n=64, d=2, keys="circle"), Index(n=512, d=64, keys="kerdock")
    (said,) = of_arithmetic("hf:dynamic", {}, close)
    assert said.startswith("rounding in bf16 may turn bits of 64 of 64 tokens at this scale")
    assert of_arithmetic("hf:dynamic?dtype=fp32", {"dtype": "fp32"}, close) == []
    (said,) = of_arithmetic("kvpress:KnormPress", {"model": "gemma2"}, close)
    assert said.startswith("rounding and the cap of its scores in bf16")
    layers = SlidingLayers(n=64, d=2, keys="circle", layers=2, every=2, window=33)
    assert len(of_arithmetic("hf:dynamic", {}, layers)) == 1
    for dtype in ("bf16", "fp16", "fp32"):
        assert of_arithmetic("hf:dynamic", {"dtype": dtype}, wide) == []
    # What is no carrier of ours, and what has no such keys, is not spoken of.
    assert of_arithmetic("llamacpp:f16", {}, close) == of_arithmetic("exact", {}, close) == []
    assert of_arithmetic("hf:dynamic", {}, Tensor(n=16, d=16)) == []
