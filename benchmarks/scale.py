"""The tight scale of random keys: float32 on half of the Gram matrix against float64 on all."""

from __future__ import annotations

from kvbarrier.reductions import interference
from kvbarrier.reductions.blas import one_thread
from kvbarrier.reductions.keys import make
from kvbarrier.reductions.margins import condition
from kvbarrier.reductions.scale import choose_scale
from paired import middle, ratio, rounds


def measure(n: int, d: int, count: int) -> dict[str, float]:
    """Seconds of both, and their ratio; they return one number."""
    keys, rule = make("jl", n, d), condition("01", 0.5, None)

    def chosen(many: int) -> float:
        interference._MANY = many
        return choose_scale(keys, rule, "tight")

    assert chosen(0) == chosen(n + 1), "another scale: the two must be one, bit for bit"
    with one_thread:
        taken = rounds({"float32": lambda: chosen(0), "float64": lambda: chosen(n + 1)}, count)
    return {
        "float64 s": middle(taken["float64"]),
        "float32 s": middle(taken["float32"]),
        "x": ratio(taken, "float64", "float32"),
    }
