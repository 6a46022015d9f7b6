"""Which rows of a message Bob is asked for, and after which schedule; most messages have none.

What a schedule is made of (:mod:`.schedules`) is imported where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import coins
from .instance import Instance

if TYPE_CHECKING:
    from ..life.schedule import Schedule


def schedule_of(instance: Instance, key: bytes, message: int) -> Schedule | None:
    """The schedule of a message; None where there is none."""
    if instance.schedule is None:
        return None
    from .schedules import drawn

    return drawn(instance.schedule, key, instance.id, message, instance.n)


def rows_of(instance: Instance, key: bytes, message: int) -> NDArray[np.int64]:
    """The rows that Bob is asked for: the survivors, or those that public coins draw."""
    schedule = schedule_of(instance, key, message)
    if schedule is None:
        return coins.sampled_rows(key, instance.id, message, instance.secret_rows, instance.rows)
    from .schedules import survivors_of

    return survivors_of(schedule)[0]


def needs_of(instance: Instance) -> tuple[str, ...]:
    """The optional methods that a compressor must have to play an instance."""
    if instance.schedule is None:
        return ()
    from .schedules import needs_of

    return needs_of(instance.schedule)
