"""Tables that look like an experiment's, from formulas alone."""

from __future__ import annotations

from typing import Any

import pytest


def point(series: str, rate: float, error: float, half_width: float = 0.02) -> dict[str, Any]:
    return {
        "series": series,
        "compressor": series,
        "params": {},
        "reduction": "index",
        "keys": "jl",
        "n": 512,
        "d": 64,
        "messages": 64,
        "bits_per_secret_bit": rate,
        "compression_ratio": 32 / rate if rate else None,
        "bit_error": {
            "estimate": error,
            "low": max(0.0, error - half_width),
            "high": min(1.0, error + half_width),
            "level": 0.95,
        },
    }


@pytest.fixture
def points() -> list[dict[str, Any]]:
    found = [point("zero", 0.0, 0.5)]
    found += [point("time-sharing", k / 8, (1 - k / 8) / 2) for k in range(1, 8)]
    found += [point("lossless", 1.0, 0.0), point("covering-code", 0.5217, 0.124)]
    for name in ("sliding-window", "streaming-llm", "reservoir"):
        found += [point(name, 32 * 2.0**-k, (1 - 2.0**-k) / 2) for k in range(7)]
    found += [point("quantized per token", 2.0 * b + 2, 0.2 / b) for b in (1, 2, 4, 8)]
    found += [point("quantized per channel", 2.0 * b + 1.2, 0.1 / b) for b in (1, 2, 4, 8)]
    found += [point("exact", r, 0.0) for r in (16.0, 32.0, 64.0)]
    return found
