"""llama.cpp's caches, unmodified, in a synthetic model."""

from ..scheme import Scheme

SCHEME = Scheme(
    "llamacpp",
    title="llama.cpp",
    module="cache",
    cls="LlamaCpp",
    probes=("llama_cpp", "cyllama"),
    needs="a binding of llama.cpp and gguf",
    example="llamacpp:q8_0",
)
