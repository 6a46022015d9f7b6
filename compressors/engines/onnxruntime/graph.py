"""The smallest graph with a cache: one GroupQueryAttention of ``com.microsoft``, one a layer.

Its cache is two inputs, ``past_key`` and ``past_value`` [1, heads, held, d], and two outputs with
the new tokens appended. Integer caches have static scales, one a tensor or one a channel, which are
inputs as well: a model's author calibrates them once, so they are public.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper

OPSET, IR = 21, 10


@dataclass(frozen=True)
class Kind:
    """A type of cache.

    Attributes:
        bits: of a number; 4: two to a byte, the even channel in the low half, 8 added to each.
        dtype: of the arrays that hold it.
        onnx: the same, as ONNX calls it.
        limit: the largest code; 0: no codes.
    """

    bits: int
    dtype: Any
    onnx: int
    limit: int = 0


KINDS = {
    "fp32": Kind(32, np.float32, TensorProto.FLOAT),
    "fp16": Kind(16, np.float16, TensorProto.FLOAT16),
    "int8": Kind(8, np.int8, TensorProto.INT8, 127),
    "int4": Kind(4, np.uint8, TensorProto.UINT8, 7),
}


def model(kind: Kind, heads: int, d: int, per: str) -> bytes:
    """The graph as bytes; its queries are fp16 where its cache is, fp32 otherwise."""
    numbers = TensorProto.FLOAT16 if kind.bits == 16 else TensorProto.FLOAT
    width = d // 2 if kind.bits == 4 else d
    held = [1, heads, "held", width]
    inputs: dict[str, tuple[int, Any]] = {
        name: (numbers, [1, "new", heads * d]) for name in ("query", "key", "value")
    }
    inputs |= {"past_key": (kind.onnx, held), "past_value": (kind.onnx, held)}
    inputs |= {"last": (TensorProto.INT32, [1]), "total": (TensorProto.INT32, [1])}
    attributes: dict[str, Any] = {"num_heads": heads, "kv_num_heads": heads, "scale": 1.0}
    # Rotary tables and positions stay out; the bias is the mask.
    names = [*inputs, "", "", "", "bias"]
    inputs["bias"] = (numbers, [1, 1, "new", "all"])
    if kind.limit:
        scales = dict.fromkeys(("key_scale", "value_scale"), (TensorProto.FLOAT, None))
        names += ["", *scales]
        inputs |= scales
        quantised = {"k_quant_type": per, "v_quant_type": per, "kv_cache_bit_width": kind.bits}
        attributes |= quantised
    present = [1, heads, "all", width]
    outputs = {"out": (numbers, [1, "new", heads * d])}
    outputs |= dict.fromkeys(("present_key", "present_value"), (kind.onnx, present))
    node = helper.make_node(
        "GroupQueryAttention", names, list(outputs), domain="com.microsoft", **attributes
    )
    ends = (
        [helper.make_tensor_value_info(name, *what) for name, what in one.items()]
        for one in (inputs, outputs)
    )
    graph = helper.make_graph([node], "carrier", *ends)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR)
    return bytes(made.SerializeToString())


def decoded(codes: Any, kind: Kind, scale: Any) -> Any:
    """The numbers that a cache stands for: float32[1, heads, held, d]."""
    if not kind.limit:
        return codes.astype(np.float32)
    if kind.bits == 4:
        pairs = np.stack([codes & 15, codes >> 4], axis=-1).astype(np.int8) - 8
        codes = pairs.reshape(*codes.shape[:-1], -1)
    heads = codes.shape[1]
    scales = np.broadcast_to(scale, (heads * codes.shape[-1],)).reshape(1, heads, 1, -1)
    return codes.astype(np.float32) * scales
