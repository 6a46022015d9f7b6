"""The limits of a results row: a file may come from anybody, so larger values are refused.

Anybody can compute the ids of a row, so neither its spec nor its counts are trusted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..protocols.players.channel import FAILED_CHARGE, MAX_MESSAGE_BYTES, charged_bits

if TYPE_CHECKING:
    from .rows import BatchRow

MOST_SECRET_BITS = 1 << 40
MOST_CHARGED_BITS = max(FAILED_CHARGE, charged_bits(MAX_MESSAGE_BYTES))
LARGEST_BATCH = 1 << 31
LONGEST_TEXT = 4096

_BUDGET = re.compile(r"[0-9]{1,18}(/[0-9]{1,18})?")
_TEXTS = ("basis", "bob", "keys", "queries", "reduction", "values")


def check_limits(row: BatchRow) -> None:
    """Raise ValueError, which says what is wrong, for counts or a spec that kvbarrier never writes.

    This checks only kinds and sizes; ``points.cell_of`` reads the meaning of a spec.
    """
    if row.batch >= LARGEST_BATCH:
        raise ValueError(f"its batch must be below {LARGEST_BATCH}")
    if row.secret > MOST_SECRET_BITS:
        raise ValueError(f"its secret must have at most {MOST_SECRET_BITS} bits")
    if max(row.charged) > MOST_CHARGED_BITS or max(row.payload) > MAX_MESSAGE_BYTES:
        raise ValueError(f"its messages must have at most {MAX_MESSAGE_BYTES} bytes")
    if not (math.isfinite(row.seconds) and row.seconds >= 0):
        raise ValueError("its seconds are not a length of time")
    _check_spec(row.spec_dict, row.size)


def _check_spec(spec: Mapping[str, Any], size: int) -> None:
    if not isinstance(spec["target"], str) or not 0 < len(spec["target"]) <= LONGEST_TEXT:
        raise ValueError(f"its target must be a text of 1 to {LONGEST_TEXT} characters")
    if spec["batch_size"] != size:
        raise ValueError("it does not have as many messages as its spec says")
    budget = spec["budget"]
    # A fraction of a huge power of ten would be computed first and refused then.
    if budget is not None and not (isinstance(budget, str) and _BUDGET.fullmatch(budget)):
        raise ValueError('its budget must be null or a fraction, such as "1/4"')
    instance = spec["instance"]
    for name, value in (*spec["params"].items(), *instance.items()):
        if value is not None and not isinstance(value, bool | int | float | str):
            raise ValueError(f"its {name[:40]} is neither a number nor a text")
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise ValueError(f"its {name[:40]} is longer than {LONGEST_TEXT} characters")
    for name in _TEXTS:
        if name in instance and not isinstance(instance[name], str):
            raise ValueError(f"its {name} must be a text")
