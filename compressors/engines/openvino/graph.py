"""The smallest stateful model: one scaled dot-product attention over a state, as one layer has it.

ReadValue, Gather by ``beam_idx``, Concat and Assign around ScaledDotProductAttention is what
OpenVINO's converters make of a model with a cache, and what its CPU plug-in replaces by one node
that keeps the state in ``KV_CACHE_PRECISION``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.op.util import Variable, VariableInfo


def layer(heads: int, d_k: int, d_v: int) -> Any:
    """Inputs q, k, v [1, heads, new, d], mask [1, 1, new, all], beam_idx [1]; the output."""
    size = {"q": d_k, "k": d_k, "v": d_v}
    q, k, v = (ops.parameter([-1, heads, -1, d], np.float32, name=n) for n, d in size.items())
    mask = ops.parameter([-1, 1, -1, -1], np.float32, name="mask")
    beam = ops.parameter([-1], np.int32, name="beam_idx")
    all_rows, kept = [], []
    for name, new in (("key", k), ("value", v)):
        d = size[name[0]]
        info = VariableInfo()
        info.data_shape = ov.PartialShape([-1, heads, -1, d])
        info.data_type, info.variable_id = ov.Type.f32, name
        state = Variable(info)
        old = ops.read_value(ops.constant(np.zeros((1, heads, 0, d), np.float32)), state)
        chosen = ops.gather(old, beam, ops.constant(0, dtype=np.int64))
        whole = ops.concat([chosen, new], 2)
        all_rows.append(whole)
        kept.append(ops.assign(whole, state))
    one = ops.constant(np.float32(1.0))
    out = ops.scaled_dot_product_attention(q, *all_rows, mask, one, causal=False)
    return ov.Model([ops.result(out)], kept, [q, k, v, mask, beam], "carrier")
