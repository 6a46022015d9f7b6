"""What an engine does to a cache beside appending, and how a compressor says that it can do it.

Six methods, each optional and found by presence; ``Compressor`` defines none of them, and an
attribute of such a name that cannot be called (``drop = 0.1``) is none:

* ``crop(tokens)``: keep the first ``tokens`` of what was appended, forget the rest (drafts that
  were rejected, a turn that is taken back).
* ``drop(begin, end)``: take tokens begin .. end-1 out of the middle; what came after closes up.
* ``select(indices)``: sequence j of the batch is from now on what sequence ``indices[j]`` was;
  indices may repeat and leave out (beam search). A list of ints, at least one.
* ``fork()``: return another instance with the same state. Both go on, and neither sees the other.
* ``reset()``: be as just constructed.
* ``shift(by)``: the positions of all that is held move by ``by``, an int that may be negative (a
  context shift after ``drop``). The game's queries carry no position, so answers stay.

**The law.** After any of them the compressor answers as one that was only fed the tokens that
survive, up to its declared loss, and a token that is gone answers no more. A compressor that
cannot do an operation at that moment raises, ``ValueError`` say, **before it changes anything**:
then it refused, which is no fault. All but ``fork`` return nothing.

**A batch of sequences** is there only where ``shape.sequences`` is a number B: then every array has
an axis of sequences in front of a token's own axes. ``append`` takes q, k [B, d_k] and v [B, d_v]
([B, layers, kv_heads, d] for the whole token), ``attend`` q [B, d_k] and returns [B, d_v],
``extend`` and ``next_outputs`` [m, B, ..]. After ``select`` B is the number of its indices. All
sequences of a batch are of one length; ``crop``, ``drop``, ``shift`` and ``reset`` are for all of
them. Only a class with ``select`` is ever given a batch; in every game ``shape.sequences`` is None
and there is no such axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import BadInput, PluginFailure
from .blame import written

OPERATIONS: dict[str, tuple[str, ...]] = {
    "crop": ("tokens",),
    "drop": ("begin", "end"),
    "select": ("indices",),
    "fork": (),
    "reset": (),
    "shift": ("by",),
}
"""The optional methods, with what each is called with by position."""


def operations_of(compressor: Any) -> tuple[str, ...]:
    """The operations that an instance, or a class, has.

    >>> class Cropped:
    ...     def crop(self, tokens): ...
    >>> operations_of(Cropped())
    ('crop',)
    """
    return tuple(name for name in OPERATIONS if callable(getattr(compressor, name, None)))


def refuse_lacking(compressor: Any, needs: Sequence[str], name: str) -> None:
    """Refuse a compressor that lacks an operation which is asked of it.

    Raises:
        BadInput: it has no such method.
    """
    for need in needs:
        if need not in operations_of(compressor):
            call = f"{need}({', '.join(OPERATIONS[need])})"
            raise BadInput(
                f"{name} has no {need}, and the schedule uses it: write {call}, or take a schedule "
                "without it."
            )


def operate(compressor: Any, name: str, *arguments: Any) -> Any:
    """Call an operation; return the other instance of ``fork``, None of the rest.

    Raises:
        PluginFailure: it returned something that it must not return.
        Exception: whatever the operation raises.
    """
    said = getattr(compressor, name)(*arguments)
    if name == "fork":
        if said is compressor or type(said) is not type(compressor):
            what = "itself" if said is compressor else _kind(said)
            who, where = written(compressor, name)
            raise PluginFailure(
                f"{who} returned {what}: it must return another {type(compressor).__name__} with "
                f"the same state{where}."
            )
        return said
    if said is not None and said is not compressor:
        who, where = written(compressor, name)
        raise PluginFailure(
            f"{who} returned {_kind(said)}: it must change the cache itself and return "
            f"nothing{where}."
        )
    return None


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


class PassesOn:
    """What an adapter is as well: it has each operation that everything has which it wraps.

    An adapter keeps what it wraps in ``inner``, one thing or a list.
    """

    inner: Any

    def __getattr__(self, name: str) -> Callable[..., Any]:
        # Only called for what is not found: before ``inner`` is there nothing is.
        wrapped = _wrapped(self.__dict__.get("inner")) if name in OPERATIONS else []
        if not wrapped or not all(callable(getattr(one, name, None)) for one in wrapped):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        if name == "fork":
            return self._fork
        return lambda *arguments: self._each(name, arguments)

    def _each(self, name: str, arguments: Sequence[Any]) -> None:
        for one in _wrapped(self.inner):
            operate(one, name, *arguments)

    def _fork(self) -> Any:
        twin: Any = self.fresh()
        forks = [operate(one, "fork") for one in _wrapped(self.inner)]
        twin.inner = forks if isinstance(self.inner, list) else forks[0]
        return twin


def _wrapped(inner: Any) -> list[Any]:
    if inner is None:
        return []
    return inner if isinstance(inner, list) else [inner]
