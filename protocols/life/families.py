"""Families of schedules, drawn from public coins: what engines do to their caches.

A family is drawn for n, the number of tokens that are ever fed, and for the operations that may be
used. ``chunks``, ``save``, ``speculate`` and ``beam`` need none: without ``crop`` and ``select``
drafts and beams live in other instances, made by ``fork`` or by save and restore.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from ...errors import BadInput, did_you_mean
from .oracle import Oracle
from .schedule import Operation, Schedule

MOST_BEAMS = 3
_ROUNDS = 5


class Coins(Protocol):
    """Public coins."""

    def below(self, bound: int) -> int:
        """An integer uniform on [0, bound)."""


class _Writer:
    """Writes legal operations; what is left of n is fed bit by bit."""

    def __init__(
        self, coins: Coins, n: int, can: Collection[str], sequences: int | None = None
    ) -> None:
        self.coins, self.can, self.sequences = coins, can, sequences
        self.free: tuple[str, ...] = ("copy", "switch")
        self._n = n
        self._oracle = Oracle(sequences)
        self._written: list[Operation] = []

    @property
    def left(self) -> int:
        """How many tokens are still to be fed."""
        return self._n - self._oracle.fed

    @property
    def length(self) -> int:
        """How many tokens are held."""
        return self._oracle.length

    @property
    def width(self) -> int:
        """How many sequences there are."""
        return len(self._oracle.batch)

    @property
    def instances(self) -> int:
        """How many instances there are."""
        return len(self._oracle.instances)

    @property
    def at(self) -> int:
        """The instance that one goes on with."""
        return self._oracle.at

    def between(self, low: int, high: int) -> int:
        """An integer uniform on low .. high."""
        return low + self.coins.below(high - low + 1)

    def do(self, name: str, *numbers: int) -> None:
        """One operation."""
        operation = Operation(name, numbers)
        self._oracle.apply(operation)
        self._written.append(operation)

    def feed(self, tokens: int, name: str = "append") -> None:
        """So many tokens, or what is left."""
        if tokens := min(tokens, self.left):
            self.do(name, tokens)

    def spread(self, steps: int) -> None:
        """Steps in which every sequence gets its own token, as many as can be fed."""
        if steps := min(steps, self.left // self.width):
            self.do("append-each", steps)

    def may(self, name: str) -> bool:
        """Whether the operation may be used."""
        return name in self.can

    def schedule(self) -> Schedule:
        """What was written."""
        return Schedule(tuple(self._written), self.sequences)


def _chunks(w: _Writer) -> None:
    """Prefill in chunks of random lengths, single tokens between."""
    while w.left:
        w.feed(w.between(1, max(1, w.left // 2)), "extend" if w.coins.below(3) else "append")


def _save(w: _Writer) -> None:
    """Saved and restored anywhere, also before the first token and twice in a row."""
    w.do("save")
    for _ in range(_ROUNDS):
        w.feed(w.between(1, max(1, w.left // 3)))
        w.do("save")
        if not w.coins.below(3):
            w.do("save")


def _speculate(w: _Writer) -> None:
    """Drafts are appended and some of them taken back; without ``crop`` all, by a copy."""
    w.feed(w.left // 2, "extend")
    for _ in range(_ROUNDS if w.may("crop") else MOST_BEAMS):
        if not w.left:
            break
        drafts = min(w.between(1, 6), w.left)
        if w.may("crop"):
            w.feed(drafts)
            w.do("crop", w.length - w.between(0, drafts))
        else:
            before = w.at
            w.do("fork" if w.may("fork") else "copy")
            w.do("switch", w.instances - 1)
            w.feed(drafts)
            if w.coins.below(2):  # rejected: on with what was before
                w.do("switch", before)
        w.feed(1)


def _beam(w: _Writer) -> None:
    """A common prompt, then every beam its own tokens; the best are gone on with."""
    w.feed(w.left // 2, "extend")
    if w.sequences is not None:
        for _ in range(_ROUNDS):
            if w.left < w.width:
                break
            w.spread(w.between(1, 2))
            w.do("select", *(w.between(0, w.width - 1) for _ in range(w.sequences)))
        return
    for _ in range(MOST_BEAMS - 1):
        w.do("fork" if w.may("fork") else "copy")
    for _ in range(2 * _ROUNDS):
        w.do("switch", w.between(0, w.instances - 1))
        w.feed(w.between(1, 2))


def _shift(w: _Writer) -> None:
    """A context shift: some of the middle goes, positions move, and the stream goes on."""
    w.feed(w.left // 2)
    for _ in range(_ROUNDS):
        if w.may("drop") and w.length > 2:
            begin = w.between(0, w.length // 2)
            w.do("drop", begin, w.between(begin + 1, min(w.length, begin + 1 + w.length // 4)))
        if w.may("shift"):
            w.do("shift", w.between(0, 8))
        if not w.coins.below(2):
            w.do("save")
        w.feed(w.between(1, 4))


def _turns(w: _Writer) -> None:
    """A conversation: answers are taken back and tried again, and at last another one begins."""
    for turn in range(4):
        w.feed(w.between(1, max(1, w.left // 4)), "extend")
        before = w.length
        w.feed(w.between(1, max(1, w.left // 4)))
        if w.may("crop") and w.coins.below(2):
            w.do("crop", before)
        if w.may("reset") and (turn == 1 or not w.coins.below(4)):
            w.do("reset")


def _random(w: _Writer) -> None:
    """Anything that is legal."""
    w.feed(w.between(1, max(1, w.left // 2)))
    for _ in range(w.between(2, 16)):
        names = ["append", "extend", "save", "ask", *w.free]
        names += [name for name in w.can if name not in ("select", "fork")]
        names += ["crop", "crop"] if w.may("crop") else []
        if w.may("fork"):
            names.append("fork")
        if w.sequences is not None:
            names += ["select", "select", "append-each", "append-each"]
        _random_step(w, sorted(names)[w.coins.below(len(names))])


def _random_step(w: _Writer, name: str) -> None:
    few = w.between(1, max(1, w.left // 3))
    if name in ("append", "extend"):
        w.feed(few, name)
    elif name == "append-each":
        w.spread(w.between(1, 2))
    elif name == "crop":
        most = w.length if not w.coins.below(3) else min(w.length, 8)
        w.do("crop", w.length - w.between(0, most))
    elif name == "drop" and w.length:
        begin = w.between(0, w.length - 1)
        w.do("drop", begin, w.between(begin + 1, min(w.length, begin + 8)))
    elif name == "select":
        w.do("select", *(w.between(0, w.width - 1) for _ in range(w.between(1, MOST_BEAMS))))
    elif name == "shift":
        w.do("shift", w.between(0, 8))
    elif name in ("fork", "copy") and w.instances < MOST_BEAMS:
        w.do(name)
    elif name == "switch" and w.instances > 1:
        w.do("switch", w.between(0, w.instances - 1))
    elif name in ("save", "ask", "reset"):
        w.do(name)


_FAMILIES: dict[str, Callable[[_Writer], None]] = {
    "chunks": _chunks, "save": _save, "speculate": _speculate, "beam": _beam, "shift": _shift,
    "turns": _turns, "random": _random,
}  # fmt: skip

FAMILIES = tuple(_FAMILIES)

USES: dict[str, tuple[str, ...]] = {
    "chunks": (), "save": (), "speculate": ("crop",), "beam": ("select",),
    "shift": ("drop", "shift"), "turns": ("crop", "reset"), "random": ("crop",),
}  # fmt: skip
"""What a family of a game uses: an instance names no compressor, so it cannot look at one."""


def draw(
    family: str, coins: Coins, n: int, can: Collection[str] | None = None, before: int = 0
) -> Schedule:
    """Draw a schedule that feeds n tokens; a ``random`` one feeds at most n.

    Args:
        family: one of ``FAMILIES``.
        coins: public.
        n: tokens that are ever fed, 1 or more.
        can: the operations that it may use; None: those of the game, ``USES``.
        before: tokens that are fed first, and are not counted in n.

    Raises:
        BadInput: there is no such family, or n is none.

    >>> from ..game.coins import schedule_draws
    >>> print(draw("speculate", schedule_draws(bytes(32), "doc", 0), 16))
    extend 8, append 2, crop 10, append 1, append 5, crop 13
    """
    if family not in _FAMILIES:
        raise BadInput(
            f"There is no family of schedules '{family}'.{did_you_mean(family, FAMILIES)}"
        )
    if n < 1:
        raise BadInput(f"A schedule must feed 1 token or more, not {n}.")
    of_a_game = can is None
    can = USES[family] if can is None else can
    beams = MOST_BEAMS if "select" in can and family in ("beam", "random") else None
    writer = _Writer(coins, before + n, can, beams)
    if of_a_game:
        writer.free = ()  # it charges the state of one instance
    writer.feed(before)
    _FAMILIES[family](writer)
    if family != "random":
        writer.feed(writer.left)
    return writer.schedule()
