"""Which games a declaration can be held against, and at which lengths its memory is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.declaration import Declaration
from ...errors import BadInput
from ..evidence.declared import Declared, judge_declared
from ..evidence.declared_memory import Shorter
from ..evidence.record import MessageRecord
from .cell import Cell
from .instance import Instance

_SHORTEST = 16
"""Tokens of the shortest stream that memory is compared with."""


def unjudged(instance: Instance) -> str:
    """Why no bit of this game is held against a declaration; "" where they are.

    Every scale of an instance is certified: one that separates no bits is refused.

    >>> from .instances import Index, LinearIndex
    >>> unjudged(Index(n=32, d=8)), unjudged(LinearIndex(n=32, d=8))
    ('', 'the linear Bob reads each bit from all answers together')
    """
    if instance.reduction != "index":
        return f"the rows of the {instance.reduction} game are not the tokens of its stream"
    if instance.bob == "linear":
        return "the linear Bob reads each bit from all answers together"
    if instance.schedule is not None:
        return "after a schedule tokens stand at other places of a sequence than in the stream"
    return ""


def shorter(cell: Cell) -> Cell | None:
    """The same cell on a shorter stream, by a power of two, at most half; None if there is none.

    >>> from .instances import Index
    >>> [shorter(Cell(Index(n=n, d=8), "exact")).instance.n for n in (512, 500, 576)]
    [256, 372, 320]
    """
    instance = cell.instance
    tokens = instance.n - (1 << max(0, (instance.n // 2).bit_length() - 1))
    scheduled = instance.schedule is not None
    if instance.reduction != "index" or scheduled or tokens < _SHORTEST:
        return None
    try:
        fewer = replace(instance, n=tokens, rows=None)
        fewer.build()
    except BadInput:
        return None
    return replace(cell, instance=fewer, batch_size=1)


def hold_against(
    declaration: Declaration,
    instance: Instance,
    records: Sequence[MessageRecord],
    *,
    rows: Sequence[NDArray[np.int64]] | None = None,
    less: Shorter | tuple[()] | None = (),
) -> Declared:
    """Judge a declaration by messages of an instance.

    ``rows``: which rows each message was asked for, None if all. ``less``: a shorter stream's
    tokens and its charge in bits (:func:`shorter`); (): there is none; None: it has no slope.
    Raises BadInput for words that contradict the shape.
    """
    return judge_declared(
        declaration,
        records,
        shape=instance.shape,
        unjudged=unjudged(instance),
        after=instance.shape.extra,
        bits_a_number=(instance.levels or 2).bit_length() - 1,
        rows=rows,
        shorter=less,
    )
