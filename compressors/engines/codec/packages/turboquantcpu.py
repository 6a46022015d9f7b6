"""turboquantcpu: what it does to values, INT8 or INT4 in groups, for keys as well.

Its keys' quantisers only give scores: there is no way back from their codes to rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from turboquantcpu.value_quant import ValueQuantizer, ValueState


class Values:
    """``mode`` int8 or int4."""

    package = "turboquantcpu"
    layout = "nhd"
    objects = (ValueState,)

    def __init__(self, d: int, heads: int, mode: str = "int4", group_size: int = 32) -> None:
        self.quantizer = ValueQuantizer(d, heads, mode, group_size)

    def encode(self, x: Any) -> Any:
        """Its object."""
        return self.quantizer.compress(x)

    def decode(self, data: Any) -> Any:
        """float32[n, heads, d]."""
        return np.asarray(self.quantizer.decompress(data))
