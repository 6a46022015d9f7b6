"""What a player may say: each frame out of a process that is not ours is read here and only here.

The harness knows a frame's fields, exact types and sizes beforehand; anything else is a BadFrame,
and so a failed message. What nobody but the player can know stays a claim: names, versions, what
its cache occupies, the payload in a message. Claims are shown and never counted with.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import errors
from ...compressors.catalog import is_builtin
from ...compressors.engines.schemes import REGISTERED, is_engine
from ...compressors.plugin.code_identity import identity
from ...compressors.plugin.declaration import Declaration
from .channel import MAX_MESSAGE_BYTES, BadFrame, Message
from .play import Facts, Table, one_line
from .sealed import LARGE

WORDS = 1 << 20
"""Bytes of a frame that holds no message and no arrays."""

_SENTENCE = 1000
_NAME = 200
_DECLARED = 4
_DETAIL = 1 << 16
_MOST = 1 << 63
_PACKAGES = 64
_MOST_NAMES = 1 << 13
_SOURCE_BYTES = 1 << 26
_SOURCE = frozenset("0123456789abcdef")


def fields(said: Any, *names: str) -> list[Any]:
    """Return the values of a frame that has these fields and no other.

    >>> fields({"b": 2, "a": 1}, "a", "b")
    [1, 2]

    Raises:
        BadFrame: it has others, or is no frame of fields.
    """
    if type(said) is not dict or set(said) != set(names):
        raise BadFrame(f"it sent other fields than {', '.join(names)}")
    return [said[name] for name in names]


def failure(said: Any, role: str, *, builtin: bool) -> str | None:
    """Return the sentence of a frame that tells a failure, None of any other frame.

    That the harness itself failed is believed of what ships with us. Anybody else could end the
    runs that go badly with it, so there it is a failed message like any other.

    Raises:
        BadFrame: it is more or less than a sentence.
        HarnessFault: our own code failed.
    """
    if type(said) is not dict or not said.keys() & {"failed", "error"}:
        return None
    if "error" in said:
        error, text = fields(said, "error", "text")
        if type(error) is not str or error != "HarnessFault":  # an array is neither equal nor not
            raise BadFrame("it reports an error of an unknown kind")
        if builtin:
            raise errors.HarnessFault(_line(text))
    else:
        (text,) = fields(said, "failed")
    sentence = _line(text)
    return sentence if sentence.startswith(role) else f"{role} says: {sentence}"


def declared(said: Any) -> int | None:
    """Return the message length in bytes that an instance declares, or None.

    Raises:
        BadFrame: it is no length.
    """
    (length,) = fields(said, "declared")
    return None if length is None else _count(length, MAX_MESSAGE_BYTES)


def fed(said: Any) -> None:
    """Read that a part of the stream was taken.

    Raises:
        BadFrame: it is told otherwise.
    """
    (yes,) = fields(said, "fed")
    if yes is not True:
        raise BadFrame("it took no part of the stream")


def message(said: Any) -> tuple[Message, int, dict[str, Any] | None]:
    """Return Alice's message, its payload in bytes, and what her cache occupies.

    Raises:
        BadFrame: the message is not bytes, or what is said of it is not as it should be.
    """
    message, payload, held = fields(said, "message", "payload", "memories")
    if (
        type(message) is not np.ndarray
        or (message.dtype, message.ndim) != (np.uint8, 1)
        or len(message) > MAX_MESSAGE_BYTES
    ):
        raise BadFrame("its message is not bytes, or is too long")
    plain = message.data if len(message) >= LARGE else message.tobytes()
    return plain, _count(payload, len(message)), memories(held)


def memories(said: Any) -> dict[str, Any] | None:
    """Return the memories of a cache (``compressors.engines.memories``), where they are told.

    Raises:
        BadFrame: they are no such numbers.
    """
    if said is None:
        return None
    from ...compressors.engines.memories import Memories

    told = dict(zip(names := [*Memories.__dataclass_fields__], fields(said, *names), strict=True))
    for name, one in told.items():
        unknown = one is None and name in ("claimed", "constant")
        checked = _words if name in ("basis", "beside_is", "played") else _count
        told[name] = None if unknown else checked(one)
    return Memories(**told).as_dict()


def array(said: Any, name: str, dtype: type, *shape: int) -> NDArray[Any]:
    """Return the array of a frame that has one field.

    Raises:
        BadFrame: it is none of that type and shape.
    """
    (value,) = fields(said, name)
    if type(value) is not np.ndarray or value.dtype != dtype or value.shape != shape:
        raise BadFrame(f"its {name} is not {np.dtype(dtype)}[{', '.join(map(str, shape))}]")
    return value


def blob(said: Any, name: str, size: int) -> bytes:
    """Return the bytes of a frame that has one field.

    Raises:
        BadFrame: the frame does not hold them, or not that many.
    """
    (value,) = fields(said, name)
    if type(value) is not bytes or len(value) != size:
        raise BadFrame(f"its {name} is not {size} bytes")
    return value


def plan(said: Any, size: int) -> bytes | None:
    """Return the packed plan in a frame, or None for the empty one of an adaptive algorithm.

    Raises:
        BadFrame: it holds neither.
    """
    (packed,) = fields(said, "plan")
    if type(packed) is bytes and not packed:
        return None
    return blob(said, "plan", size)


def answer_or_question(
    said: Any, d: int
) -> NDArray[np.float32] | tuple[str, NDArray[np.int64], NDArray[np.int64]]:
    """Return the answer of a non-adaptive algorithm, float32[d], or the cells that it asks for.

    Raises:
        BadFrame: it is neither.
    """
    if type(said) is dict and "answer" in said:
        return array(said, "answer", np.float32, d)
    return question(said)


def question(said: Any) -> tuple[str, NDArray[np.int64], NDArray[np.int64]]:
    """Return the cells that a non-adaptive algorithm asks for: kind, indices, coordinates.

    Raises:
        BadFrame: it asks for no cells.
    """
    (asked,) = fields(said, "ask")
    if type(asked) is not list or len(asked) != 3 or type(asked[0]) is not str:
        raise BadFrame("its question names no cells")
    kind, indices, coordinates = asked
    for part in (indices, coordinates):
        if type(part) is not np.ndarray or part.dtype != np.int64 or part.ndim != 1:
            raise BadFrame("its question names no cells")
    if coordinates.shape not in ((0,), indices.shape):
        raise BadFrame("its question has more or fewer coordinates than indices")
    return _words(kind), indices, coordinates


def facts(said: Any, *, builtin: bool, engine: bool) -> Facts:
    """Return the facts in a host's opening frame.

    Whose code it is was known before anybody was asked: ``builtin`` says it, and only a built-in
    may be asked for bits at once. Versions are an ``engine``'s.

    Raises:
        BadFrame: the frame does not hold them.
        KVBarrierError: the host tells that it could not begin, and why.
    """
    if type(said) is dict and "error" in said:
        raise _error(said)
    (told,) = fields(said, "facts")
    (
        name, source, _, streaming, length, batched, versions, files, version, declares, modules,
        budgeted,
    ) = fields(
        told, "name", "source", "builtin", "streaming", "message_bytes", "batched", "versions",
        "files", "version", "declares", "modules", "budgeted",
    )  # fmt: skip
    if type(source) is not str or len(source) != 16 or not set(source) <= _SOURCE:
        raise BadFrame("its source is not a digest")
    if not all(type(said) is bool for said in (streaming, batched, budgeted)):
        raise BadFrame("its streaming, batched and budgeted are not true or false")
    return Facts(
        name=_words(name),
        source=source,
        builtin=builtin,
        streaming=streaming,
        message_bytes=None if length is None else _count(length, MAX_MESSAGE_BYTES),
        batched=builtin and batched,
        versions=_versions(versions) if engine else {},
        files=_names(files, "files"),
        version=_words(version),
        declares=_declaration(declares),
        modules=_names(modules, "modules"),
        budgeted=budgeted,
    )


def facts_of(table: Table, said: Any) -> Facts:
    """Return the facts of whoever plays a table, whose source is seen to be that of its files.

    Raises what :func:`facts` and :func:`check_source` raise.
    """
    engine = is_engine(table.target) or table.target.startswith(REGISTERED)
    found = facts(said, builtin=is_builtin(table.target), engine=engine)
    check_source(found, table.target, table.folder)
    return found


def _declaration(said: Any) -> tuple[str, ...] | None:
    if said is None:
        return None
    if type(said) not in (list, tuple) or len(said) > _DECLARED or {type(w) for w in said} - {str}:
        raise BadFrame("its declaration is not a list of words")
    try:
        return Declaration.of_words(said).words()
    except errors.BadInput:
        raise BadFrame("its declaration is not valid") from None


def check_source(facts: Facts, target: str, folder: str) -> None:
    """See for ourselves that ``source`` is the digest of the files, and that the target's is one.

    Raises:
        BadFrame: it is not.
    """
    named = target.partition(":")[2] if is_engine(target) else target
    place = named.partition("?")[0]
    place = place if place.endswith(".py") else place.rpartition(":")[0]
    if place.endswith(".py") and str((Path(folder) / place).resolve()) not in facts.files:
        raise BadFrame("its source leaves out its own file")
    files = [Path(file) for file in facts.files]
    try:
        size = sum(_size(file) for file in files)
        same = size <= _SOURCE_BYTES and identity(files, facts.version) == facts.source
    except (OSError, ValueError, RuntimeError):  # the last of links in a circle
        same = False
    if not same:
        raise BadFrame("its source is not the digest of its files")


def _size(file: Path) -> float:
    """Its bytes on a disk, infinitely many of what is none there: some files of /proc never end."""
    place = file.resolve()
    on_disk = place.is_file() and place.parts[1:2] not in (("proc",), ("sys",))
    return place.stat().st_size if on_disk else math.inf


def _names(said: Any, what: str) -> tuple[str, ...]:
    if type(said) is not list or len(said) > _MOST_NAMES or {type(name) for name in said} - {str}:
        raise BadFrame(f"its {what} are not a list of names")
    return tuple(said)


def _versions(said: Any) -> dict[str, str]:
    if type(said) is not dict or len(said) > _PACKAGES:
        raise BadFrame("its versions are not names with versions")
    return {_words(name): _words(version) for name, version in said.items()}


def _error(said: dict[str, Any]) -> errors.KVBarrierError:
    """The error that was raised in the player, with its own words."""
    said = {"detail": None, "budget": None, **said}
    kind, text, detail, budget = fields(said, "error", "text", "detail", "budget")
    sentence = _line(text)
    if type(kind) is not str:
        raise BadFrame("it reports an error of an unknown kind")
    if kind == "BudgetTooSmall" and type(budget) is list and len(budget) == 3:
        return errors.BudgetTooSmall(_words(budget[0]), _count(budget[1]), _count(budget[2]))
    if kind == "BadInput":
        return errors.BadInput(sentence)
    if kind == "HarnessFault":
        return errors.HarnessFault(sentence)
    if kind != "PluginFailure" or type(detail) not in (str, type(None)):
        raise BadFrame("it reports an error of an unknown kind")
    return errors.PluginFailure(sentence, None if detail is None else _traceback(detail))


def _count(said: Any, most: int = _MOST) -> int:
    if type(said) is not int or not 0 <= said <= most:
        raise BadFrame("a number in it is not a whole number, or is out of range")
    return said


def _line(said: Any) -> str:
    """One sentence: what a player says reaches terminals and reports."""
    if type(said) is not str:
        raise BadFrame("a text in it is not text")
    return one_line(said[: 4 * _SENTENCE], _SENTENCE)


def _words(said: Any) -> str:
    """A name, or a few words."""
    if type(said) is not str:
        raise BadFrame("a text in it is not text")
    return "".join(c if c.isprintable() else " " for c in said[:_NAME])


def _traceback(text: str) -> str:
    """Its lines stay lines; of a long one the last part."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text[-_DETAIL:])
