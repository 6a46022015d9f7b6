"""A toy engine: two NumPy arrays."""

from ..scheme import Scheme

SCHEME = Scheme(
    "toy",
    title="a toy",
    module="cache",
    cls="ToyEngine",
    probes=("numpy",),
    needs="numpy",
    example="toy:plain",
)
