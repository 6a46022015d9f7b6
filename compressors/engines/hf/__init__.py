"""transformers' caches, and anybody's Cache class, in a carrier model."""

from ..scheme import Scheme

SCHEME = Scheme(
    "hf",
    title="transformers",
    module="cache",
    cls="TransformersCache",
    probes=("transformers",),
    needs="torch and transformers",
    example="hf:dynamic",
    shares=True,
)
