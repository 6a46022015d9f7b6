"""The attack's sizes: where a window that masks older tokens errs as its share says, and where not.

The masked window is the wrong rule on this instance: its denominator lacks the tokens outside.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.baseline.sliding_window import SlidingWindow
from kvbarrier.experiments.unmasked_window.measure import SIZE
from kvbarrier.reductions.sliding_window import SlidingWindowReduction


def wrong_kept(n: int, d: int, rows: int, share: float) -> float:
    """The share of wrong bits among the rows that a masked window of ``share rows`` holds."""
    hard = SlidingWindowReduction.build(n=n, d=d, window=rows + 1)
    x = np.random.default_rng(1).integers(0, 2, (rows, d), dtype=np.uint8)
    kept = int(share * rows)
    cut = SlidingWindow(Shape(n, d, d, 1), public=hard.public(), window=kept + 1)
    cut.extend(*hard.stream(x))
    at = np.arange(rows - kept, rows)
    return float((hard.decode(cut.next_outputs(*hard.queries(at)), at) != x[at]).mean())


@pytest.mark.parametrize("scale", SIZE)
def test_at_our_sizes_a_masked_window_reads_every_row_that_it_keeps(scale: str) -> None:
    n, d, rows = SIZE[scale]
    hard = SlidingWindowReduction.build(n=n, d=d, window=rows + 1)
    assert (hard.outside + 1) * math.exp(-hard.scale) < 1.5
    for share in (1 / 8, 1 / 2, 7 / 8):
        assert wrong_kept(n, d, rows, share) == 0.0


def test_where_n_is_large_beside_the_scale_it_does_not() -> None:
    hard = SlidingWindowReduction.build(n=4096, d=64, window=257)
    assert (hard.outside + 1) * math.exp(-hard.scale) > 8 / 3
    assert wrong_kept(4096, 64, 256, 7 / 8) > 0.02
