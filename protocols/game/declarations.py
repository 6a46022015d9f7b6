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


def unjudged(instance: Instance, declaration: Declaration | None = None) -> str:
    """Why no bit of this game is held against a declaration; "" where they are.

    After a schedule of operations all that survive are held if all are; which tokens are the last
    ones then is the operations' own matter.

    Every scale of an instance is certified: one that separates no bits is refused.

    >>> from .instances import Index, LinearIndex
    >>> unjudged(Index(n=32, d=8)), unjudged(LinearIndex(n=32, d=8))
    ('', 'the linear Bob reads each bit from all answers together')
    """
    if instance.reduction != "index":
        return f"the rows of the {instance.reduction} game are not the tokens of its stream"
    if instance.bob == "linear":
        return "the linear Bob reads each bit from all answers together"
    if instance.schedule is not None and declaration is not None and declaration.keeps != "all":
        return "after a schedule of operations keeps=all alone names the tokens that are held"
    return ""


def shorter(cell: Cell) -> Cell | None:
    """The same cell on a shorter stream, by a power of two, at most half; None if there is none.

    >>> from .instances import Index
    >>> [shorter(Cell(Index(n=n, d=8), "exact")).instance.n for n in (512, 500, 576)]
    [256, 372, 320]
    """
    instance = cell.instance
    tokens = instance.n - (1 << max(0, (instance.n // 2).bit_length() - 1))
    plain = instance.reduction == "index" and instance.schedule is None
    if not plain or tokens < _SHORTEST:
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
    tokens and its charge in bits (:func:`shorter`); (): there is none; None: it is not known.
    Raises BadInput for words that contradict the shape.
    """
    return judge_declared(
        declaration,
        records,
        shape=instance.shape,
        unjudged=unjudged(instance, declaration),
        after=instance.shape.extra,
        bits_a_number=(instance.levels or 2).bit_length() - 1,
        rows=rows,
        # A batch holds several streams, and operations change their lengths.
        shorter=less if instance.schedule is None else None,
    )
