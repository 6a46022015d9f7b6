"""The ways in which a cache of transformers is examined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..way import BEAMS, Way, with_size

_LIVE = {"feed": "chunks", "rotary": "live", "dtype": "fp32"}
_SIZE = 16
"""Of a window or a residual that nobody gave: the schedules are short."""


def ways(what: str, params: Mapping[str, Any]) -> list[Way]:
    """What ``check`` tries of a target; ``what`` stands behind ``hf:``."""
    given = {**_LIVE, **params}
    if what == "sliding":
        given, tokens = with_size(given, "window", _SIZE)
        usual = [Way("", given, tokens)]
        if "record" not in given:
            recording = {**given, "record": True}
            usual.append(Way("recording the past", recording, tokens))
    elif what == "static" and "window" in given:
        usual = [Way("", given, with_size(given, "window", _SIZE)[1])]
    elif what == "static":
        slides, tokens = with_size(given, "window", _SIZE)
        usual = [Way("", given), Way("with layers that slide", slides, tokens)]
    elif what == "quantized" and given.get("backend") != "fp8":
        # Many questions at once raise where one by one they are answered wrongly.
        given.setdefault("ask", "serial")
        flushed, tokens = with_size(given, "residual_length", _SIZE)
        usual = [Way("with a residual that fills up", flushed, tokens)]
        if "residual_length" not in given:
            usual.insert(0, Way("", given))
    else:
        usual = [Way("", given)]
    if "beams" in given:
        return usual
    beams = {**usual[0].params, "beams": "reorder_cache"}
    return [*usual, Way("with reorder_cache", beams, usual[0].tokens, families=BEAMS)]
