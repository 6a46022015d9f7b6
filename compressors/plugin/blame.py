"""Assign an exception to a plug-in or to kvbarrier; report the plug-in's line and frames.

The author needs one sentence and their own part of the traceback, not our frames.
"""

from __future__ import annotations

import inspect
import os
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...errors import HarnessFault, KVBarrierError, PluginFailure

_HOUSE = Path(__file__).resolve().parents[2]
_TEXT = 1000
_ROOMS = ("reductions", "compressors", "protocols", "runs", "experiments", "figures", "cli")
_ROOMS_HERE = tuple(f"{_HOUSE / room}{os.sep}" for room in _ROOMS)


def is_ours(filename: str) -> bool:
    """Whether a frame's file is this package's, or Python's own machinery of imports."""
    if filename.startswith("<frozen "):
        return True
    # Most of the time the name says it, and no link has to be followed.
    if filename.startswith(_ROOMS_HERE) and ".." not in filename:
        return True
    try:
        parts = Path(filename).resolve().relative_to(_HOUSE).parts
    except ValueError:
        return False
    # In a checkout the virtual environment, the tests and the examples lie in the house too.
    return len(parts) == 1 or parts[0] in _ROOMS


def their_frames(error: BaseException) -> traceback.StackSummary:
    """The frames of the traceback that are not ours."""
    frames = traceback.extract_tb(error.__traceback__)
    return traceback.StackSummary.from_list([f for f in frames if not is_ours(f.filename)])


def is_our_fault(error: BaseException, builtin: bool = False) -> bool:
    """Whether no foreign compressor can have caused an exception.

    For a built-in every exception is ours, except our own error classes (:class:`..errors`) and a
    lack of memory. While foreign code plays, it is ours only if a module of ours cannot be
    imported; if one of our functions fails, they may have called or answered it wrongly.
    """
    if isinstance(error, KVBarrierError | MemoryError) or not isinstance(error, Exception):
        return False
    if builtin:
        return True
    frames = traceback.extract_tb(error.__traceback__)
    importing = [frame.filename for frame in frames if frame.name == "<module>"]
    return bool(importing) and is_ours(importing[-1])


def raised_by_us(error: BaseException) -> bool:
    """Whether the deepest frame of a traceback is ours."""
    frames = traceback.extract_tb(error.__traceback__)
    return not frames or is_ours(frames[-1].filename)


def their_traceback(error: BaseException) -> str:
    """Their frames and the exception, as Python prints them; without frames the exception alone."""
    frames = their_frames(error)
    lines = ["Traceback (most recent call last):\n", *frames.format()] if frames else []
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()


def their_line(error: BaseException, file: str | None = None) -> str | None:
    """``"cache.py, line 12"``: the deepest frame in ``file``, else the deepest that is theirs."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}, line {error.lineno}"
    frame = their_frame(traceback.extract_tb(error.__traceback__), file)
    return None if frame is None else f"{Path(frame.filename).name}, line {frame.lineno}"


def their_frame(
    frames: Iterable[traceback.FrameSummary], home: str | None = None
) -> traceback.FrameSummary | None:
    """The deepest frame in ``home``, their file or folder, else the deepest that is theirs.

    A frame of an installed package that they call counts only if no other frame is theirs, even if
    its virtual environment is in their folder.
    """
    theirs = [frame for frame in frames if not is_ours(frame.filename)]
    own = [frame for frame in theirs if not _is_installed(frame.filename)]
    inside = [f for f in own if home and f.filename.startswith(home)]
    if not inside and home and _is_installed(home):
        inside = [f for f in theirs if f.filename.startswith(home)]
    for frame in reversed(inside or own or theirs):
        return frame
    return None


def _is_installed(filename: str) -> bool:
    packages = {"site-packages", "dist-packages"} & set(Path(filename).parts)
    return bool(packages) or filename.startswith((sysconfig.get_path("stdlib"), "<"))


def author(compressor: Any) -> Any:
    """The instance of the author's class, inside our wrappers."""
    house = __name__.partition(".")[0]
    while type(compressor).__module__.partition(".")[0] == house and hasattr(compressor, "inner"):
        inside = compressor.inner
        compressor = inside[0] if isinstance(inside, list) else inside
    return compressor


def written(compressor: Any, method: str) -> tuple[str, str]:
    """``("Mine.attend", " (mine.py, line 12)")``: the name of a method, and where it is written.

    For a method that the author did not write, only its name.
    """
    made = author(compressor)
    function = getattr(made, method, None)
    if type(made).__module__.partition(".")[0] == __name__.partition(".")[0]:
        # The two-function form keeps the author's functions under such names.
        function = getattr(made, f"_{method}", function)
    place = place_of(function)
    if not place:
        return method, ""
    name = str(getattr(function, "__qualname__", method)).rpartition("<locals>.")[2]
    return name, place


def place_of(function: Any) -> str:
    """`` (mine.py, line 12)``, where their function is written; an empty text for one of ours."""
    try:
        code = getattr(inspect.unwrap(function), "__code__", None)
    except (ValueError, AttributeError):
        return ""
    if code is None or is_ours(code.co_filename):
        return ""
    return f" ({Path(code.co_filename).name}, line {code.co_firstlineno})"


def blame(error: BaseException, what: str, file: str | None = None) -> PluginFailure:
    """Return the PluginFailure for an exception of theirs; ``what`` was being done meanwhile.

    ``detail`` is their traceback. A failure that is reported already is passed on unchanged.

    Raises:
        HarnessFault: the exception is ours.
    """
    if isinstance(error, PluginFailure):
        return error
    if is_our_fault(error):
        raise our_fault(error, what) from error
    text = " ".join("".join(c if c.isprintable() else " " for c in _text(error)[:_TEXT]).split())
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    line = their_line(error, file)
    where = f" ({line})" if line else ""
    return PluginFailure(f"{what} raised {reason.rstrip('.')}{where}.", their_traceback(error))


def our_fault(error: BaseException, what: str) -> HarnessFault:
    """Return the HarnessFault for an exception of ours; ``what`` was being done meanwhile."""
    text = " ".join(_text(error).split()).rstrip(".")
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return HarnessFault(
        f"kvbarrier itself failed while {what}: {type(error).__name__}: {text}{where}. No "
        "message is charged for this: please report it, with the command."
    )


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return error.msg
    try:
        return str(error)
    except Exception:
        return ""
