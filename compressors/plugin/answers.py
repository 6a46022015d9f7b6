"""Check that an answer is finite real numbers of one shape, and name its author if not.

Answers are checked where they are returned: otherwise our own loop over ``attend`` would get the
blame for what the author's ``attend`` returned.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PluginFailure
from .blame import written

Float32 = NDArray[np.float32]


class WrongAnswer(PluginFailure):
    """A wrong answer; ``finite`` is False if only its numbers are not finite."""

    def __init__(self, sentence: str, *, finite: bool = True) -> None:
        super().__init__(sentence)
        self.finite = finite


def numbers(
    answer: Any, shape: tuple[int, ...], who: str, where: str = "", *, integers: bool = False
) -> Float32:
    """Return an answer as float32 of that shape; any floating type will do, as lists will.

    ``who`` gave it, as ``Mine.attend``; ``where`` that is written, in parentheses, or nothing.

    Raises:
        WrongAnswer: naming the first thing wrong.

    >>> numbers(None, (2,), "Mine.attend", " (mine.py, line 4)")
    Traceback (most recent call last):
    kvbarrier.compressors.plugin.answers.WrongAnswer: Mine.attend returned None: it must be \
float32[2] (mine.py, line 4).
    """
    wanted = f"it must be float32[{', '.join(map(str, shape))}]{where}."
    if answer is None or isinstance(answer, str | bytes):
        said = "None" if answer is None else f"a {type(answer).__name__}"
        raise WrongAnswer(f"{who} returned {said}: {wanted}")
    try:
        array = np.asarray(answer)
    except Exception as exc:
        said = f"a {type(answer).__name__}, not an array"
        raise WrongAnswer(f"{who} returned {said}: {wanted}") from exc
    if array.dtype == object and array.shape == ():
        raise WrongAnswer(f"{who} returned a {type(answer).__name__}: {wanted}")
    if array.shape != shape:
        found = ", ".join(map(str, array.shape))
        raise WrongAnswer(f"{who} returned {array.dtype}[{found}]: {wanted}")
    kinds = "fiu" if integers else "f"
    # ml_dtypes' floats are of NumPy's kind V.
    if array.dtype.kind not in kinds and not array.dtype.name.startswith(("bfloat", "float")):
        raise WrongAnswer(f"{who} returned {array.dtype} numbers: {wanted}")
    with np.errstate(over="ignore"):
        array = np.asarray(array, dtype=np.float32)
    if not np.isfinite(array).all():
        finite = np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
        row = f", first in row {int(np.flatnonzero(~finite)[0])}" if array.ndim > 1 else ""
        raise WrongAnswer(f"{who} returned NaN or infinity{row}{where}.", finite=False)
    return array


def given(compressor: Any, method: str, answer: Any, shape: tuple[int, ...]) -> Float32:
    """The same for what a compressor's ``method`` answered, with its author's file and line.

    Raises:
        WrongAnswer: naming the first thing wrong.
    """
    # What nearly every answer is, told as fast as can be: Bob asks thousands.
    usual = type(answer) is np.ndarray and answer.dtype == np.float32 and answer.shape == shape
    if usual and np.isfinite(answer).all():
        return np.asarray(answer)
    integers = method == "attend"
    with suppress(WrongAnswer):
        return numbers(answer, shape, method, integers=integers)
    # Only now: whose line it is takes longer to tell than most answers took.
    who, where = written(compressor, method)
    return numbers(answer, shape, who, where, integers=integers)
