"""The caches of OpenVINO in the table, and those that cannot be played here."""

from __future__ import annotations

from ..rows import EngineRow

_SCALES = "a scale and a zero point in 32 bits for every row"

ROWS = (
    EngineRow("openvino:u8", {}, f"the default on a CPU; {_SCALES}", "openvino", 8 / 16,
              streams=True),
    EngineRow("openvino:f16", {}, "", "openvino", 1.0, streams=True),
    EngineRow("openvino:f32", {}, "twice the 16-bit cache", "openvino", 2.0, shown=False),
)  # fmt: skip

#: caches that the CPU plug-in has and that cannot be sent
OUT_OF_REACH = {
    "openvino:bf16": "with INFERENCE_PRECISION_HINT=f32, under which the same numbers come out on "
    "every machine, its state has 32 bits where 16 are asked for (2026.4.1)",
    "openvino:u4": "its query_state shows the codes 0 to 15 without their scales, and setting that "
    "state ends the process (2026.4.1): it attends, but nobody can save it",
    "openvino:u8 with KEY_CACHE_QUANT_MODE=BY_CHANNEL": "its query_state reads well, but a request "
    "that is set to it answers wrongly (2026.4.1): it attends, but nobody can restore it",
    "openvino:u4 with KEY_CACHE_QUANT_MODE=BY_CHANNEL": "it answers wrongly and corrupts the heap "
    "of its process (2026.4.1)",
}
