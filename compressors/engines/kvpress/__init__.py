"""The presses of kvpress on the carrier of transformers."""

from ..scheme import Scheme

SCHEME = Scheme(
    "kvpress",
    title="kvpress",
    module="press",
    cls="KVPress",
    probes=("kvpress",),
    needs="kvpress and the transformers that it is pinned to",
    example="kvpress:KnormPress?compression_ratio=0.5",
)
