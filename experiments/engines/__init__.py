"""The referee's table: the caches that people run, attacked in their own environments."""

from ..kit.experiment import Experiment, claims_of
from . import claims
from .measure import run

EXPERIMENT = Experiment(
    name="engines",
    title="The caches that people run: memory said and memory sent, and the bits that survive",
    run=run,
    claims=claims_of(claims),
    # Full is an estimate: kvpress, vllm, onnxruntime and openvino, 214 of 615 lines, took 6.6 CPU
    # minutes.
    minutes={"quick": 12, "full": 20},
)
