"""Where wrong bits lie: the simplest place that beats chance, and what is read there.

A place is a product of factors: rows (by token number, place in the batch of questions, sequence,
distance from a cut), layers, heads, channels; or a set of diagonals of token number modulo m
against channel group. The search is greedy (:mod:`.search`): of all axes the one place is taken
that explains most (:mod:`.places`), if it beats chance (:mod:`.relabelling`, where the proof is);
then the search goes on inside it. What it means where something is named, and where nothing is:
docs/theory-map.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...errors import BadInput
from .description import LEVEL, Blocks, Description
from .places import Places
from .record import Reading
from .search import Search

__all__ = ["LEVEL", "Blocks", "Description", "Places", "Reading", "localise"]


def localise(
    readings: Sequence[Reading], level: float = LEVEL, parameters: Sequence[int] = ()
) -> Description:
    """The simplest description of where bits are wrong that beats chance, at confidence ``level``.

    ``readings``: one a message, all with the same layers, heads and channels. ``parameters``:
    integers of the cache (a block, a window, a group), whose residues are tried too and cost less.
    With probability at least ``level`` nothing is named along an axis that does not matter.

    Raises BadInput for a level outside (0, 1), and readings whose layers, heads or channels differ.

    >>> import numpy as np
    >>> secret = np.random.default_rng(0).integers(0, 2, (512, 1, 1, 64), dtype=np.uint8)
    >>> said = secret.copy()
    >>> said[:256] = 0
    >>> print(localise([Reading(np.arange(512), secret, said, n=512)]).sentence)
    Lost: tokens 0-255, all channels: every bit is read as 0. Elsewhere no bit is wrong.
    """
    if not 0.0 < level < 1.0:
        raise BadInput(f"A level of {level} is not a probability: give one above 0 and below 1.")
    shapes = sorted({one.secret.shape[1:] for one in readings})
    if len(shapes) > 1:
        raise BadInput(
            f"Readings with layers, heads and channels {shapes[0]} and {shapes[1]} have no map in "
            "common: give those of one shape."
        )
    wrong = sum(int(one.wrong.sum()) for one in readings)
    asked = sum(one.secret.size for one in readings)
    base = Description("none", "", len(readings), wrong, asked, level)
    if wrong == 0:
        return replace(base, sentence=f"No bit of {asked:,} is wrong.", outside=(0, asked))
    return Search(readings, level, parameters).described(base)
