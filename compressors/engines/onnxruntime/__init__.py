"""ONNX Runtime's GroupQueryAttention, whose cache goes in and out of the graph."""

from ..scheme import Scheme

SCHEME = Scheme(
    "onnxruntime",
    title="ONNX Runtime",
    module="cache",
    cls="OnnxRuntimeCache",
    probes=("onnxruntime",),
    needs="onnxruntime and onnx",
    example="onnxruntime:int4",
)
