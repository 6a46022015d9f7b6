"""What Alice and Bob do with a compressor, and the sentences for what it may do to them.

Pure play, in whatever process it runs: ``inline`` calls it in ours, ``process`` and ``namespaces``
in a child forked for one message. Always through ``save``, and ``restore`` on a fresh instance.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compressors.catalog import is_builtin
from ...compressors.plugin.answers import WrongAnswer, given, numbers
from ...compressors.plugin.blame import (
    is_our_fault,
    our_fault,
    raised_by_us,
    their_frame,
    written,
)
from ...compressors.plugin.contract import Float32, Shape, plain_bytes
from ...compressors.plugin.declaration import declared_by
from ...errors import BadInput, HarnessFault, KVBarrierError
from ...reductions.reduction import Public
from .channel import MAX_MESSAGE_BYTES, Message

_SENTENCE = 300
_WARM = 1 << 14

Triples = tuple[Float32, Float32, Float32]


class PlayerFault(Exception):
    """A player failed at its task; the text is one short sentence for the results."""


@dataclass(frozen=True)
class Table:
    """What is public before any secret is drawn, and enough to build the compressor anywhere.

    ``folder`` is where relative targets start; ``public`` is the reduction's ``public()``;
    ``needs`` are the operations that the game's schedules use (``plugin.operations``).
    """

    target: str
    folder: str
    params: Mapping[str, Any]
    shape: Shape
    budget_bits: int | None
    public: Mapping[str, Any]
    needs: Sequence[str] = ()

    def told(self) -> dict[str, Any]:
        """As it goes to a host. What ships with us makes many keys itself, if it reads any."""
        ours = is_builtin(self.target) and isinstance(self.public, Public)
        public = self.public.told() if ours else dict(self.public)  # type: ignore[attr-defined]
        return {**vars(self), "shape": asdict(self.shape), "public": public}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Table:
        """What was told so."""
        parts = {"shape": Shape(**told["shape"]), "public": Public.of(told["public"])}
        return cls(**{**told, **parts})


@dataclass(frozen=True)
class Facts:
    """What a constructed compressor says of itself, before any secret is drawn.

    ``builtin`` is what the harness knows from the target's name alone. ``batched``: a built-in that
    defines ``next_bits``. ``versions``: the packages that do the work of an engine. ``files`` and
    ``version``: what ``source`` is the digest of, for the harness to see for itself. ``declares``:
    the words of its declaration, or None. ``modules``: what was imported in its rehearsal, for the
    hosts of later lives to import before they fork. ``budgeted``: the constructor takes a budget.
    """

    name: str
    source: str
    builtin: bool
    streaming: bool
    message_bytes: int | None
    batched: bool
    versions: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    version: str = ""
    declares: tuple[str, ...] | None = None
    modules: tuple[str, ...] = ()
    budgeted: bool = True


Build = Callable[[int], Any]


def builder(table: Table) -> tuple[Any, Build]:
    """Resolve the target and return it with ``build(seed)``, each call a fresh instance.

    Raises:
        BadInput: there is no such target.
    """
    from ...compressors.targets import resolve

    target = resolve(table.target)
    return target, partial(built, target, table)


def built(target: Any, table: Table, seed: int) -> Any:
    """Return a fresh instance of a target, with its own copies of the table's public arrays.

    So writing into them tells nobody; one of ours gets its copy when it reads an array. Where keys
    are drawn for each message, they are those of the seed, the same for Alice and for Bob. Raises
    what ``Target.factory`` raises.
    """

    def own(name: str) -> Any:
        value = table.public[name]
        return value.copy() if isinstance(value, np.ndarray) else value

    makes: dict[str, Callable[[], Any]] = {name: partial(own, name) for name in table.public}
    if table.public.get("redrawn"):
        from ...reductions.gaussian import drawn_keys

        n, d = table.public["keys"].shape
        makes["keys"] = partial(drawn_keys, n, d, seed)
    public: Mapping[str, Any] = Public({}, **makes)
    if not is_builtin(table.target):
        public = dict(public)
    made = target.factory(table.shape, table.budget_bits, seed, public, **dict(table.params))
    if table.needs:
        from ...compressors.plugin.operations import refuse_lacking

        refuse_lacking(made, table.needs, target.name)
    return made


def facts(target: Any, compressor: Any, *, builtin: bool) -> Facts:
    """Return what the target and an instance of it declare, before its rehearsal.

    Raises:
        PlayerFault: ``message_bytes`` is no length.
        BadInput: ``declares`` is no declaration.
    """
    return Facts(
        name=str(target.name),
        source=str(target.source),
        builtin=builtin,
        streaming=bool(getattr(compressor, "streaming", True)),
        message_bytes=declared_length(compressor),
        batched=builtin and hasattr(compressor, "next_bits"),
        versions=_versions(compressor),
        files=tuple(map(str, target.files)),
        version=str(target.version),
        declares=_words_of(compressor),
        budgeted=bool(target.budgeted),
    )


def _words_of(compressor: Any) -> tuple[str, ...] | None:
    said = declared_by(compressor)
    return None if said is None else said.words()


def facts_again(target: Any, before: Mapping[str, Any]) -> dict[str, Any]:
    """The frame of a later life, whose target says the rest of itself as ``before``.

    What an instance declares was told by the first life, before any secret; here nothing is built
    before a message is.
    """
    now = {
        "name": str(target.name),
        "source": str(target.source),
        "files": list(map(str, target.files)),
        "version": str(target.version),
    }
    return {"facts": {**before, **now}}


def _versions(compressor: Any) -> dict[str, str]:
    said = getattr(getattr(compressor, "inner", compressor), "versions", None)
    return {} if said is None else dict(said())


def declared_length(compressor: Any) -> int | None:
    """Return the constant message length in bytes that an instance declares, or None.

    Raises:
        PlayerFault: it is no length.
        BadInput: no message has that length.
    """
    declared = getattr(compressor, "message_bytes", None)
    if declared is None:
        return None
    if isinstance(declared, bool) or not isinstance(declared, int | np.integer) or declared < 0:
        raise PlayerFault(f"message_bytes must be a length in bytes or None, not {declared!r}.")
    if declared > MAX_MESSAGE_BYTES:
        raise BadInput(
            f"A message of {declared} bytes is declared, and a message has at most "
            f"{MAX_MESSAGE_BYTES}: take fewer tokens, layers or heads, or a smaller budget."
        )
    return int(declared)


def handed(message: Any, *, builtin: bool) -> Any:
    """A message, or None, as a player's ``restore`` gets it: bytes, and ours the memory itself."""
    return message and (memoryview(message) if builtin else bytes(message))


def feed(compressor: Any, triples: Triples, earlier: Message | None = None) -> None:
    """Alice: take the triples, after what an ``earlier`` message holds."""
    if earlier is not None:
        compressor.restore(earlier)
    compressor.extend(*triples)


def write(
    compressor: Any,
    triples: Triples,
    earlier: Message | None = None,
    schedule: Mapping[str, Any] | None = None,
    build: Callable[[], Any] | None = None,
) -> tuple[bytes, int]:
    """Alice: take the triples, after what an ``earlier`` message holds, and save.

    With a ``schedule`` (``Schedule.as_dict``) she feeds the triples and operates as it says; where
    it saves, an instance made by ``build`` goes on.

    Returns the message and its payload in bytes (framing left out, where that is known).

    Raises:
        PlayerFault: ``save`` returned something else than bytes, or more than the channel takes.
    """
    if schedule is None:
        feed(compressor, triples, earlier)
    else:
        compressor = _lived(compressor, build, triples, schedule)
    message = compressor.save()
    try:
        message = plain_bytes(message)
    except TypeError:
        who, where = written(compressor, "save")
        said = "None" if message is None else f"a {type(message).__name__}"
        raise PlayerFault(f"{who} returned {said}: it must return bytes{where}.") from None
    if len(message) > MAX_MESSAGE_BYTES:
        raise PlayerFault(
            f"save returned {len(message)} bytes: a message has at most {MAX_MESSAGE_BYTES}."
        )
    return message, _payload(compressor, message)


def _lived(
    compressor: Any, build: Callable[[], Any] | None, triples: Triples, said: Mapping[str, Any]
) -> Any:
    """The instance that is there after a schedule."""
    from ..life.actor import Actor
    from ..life.schedule import Schedule

    assert build is not None
    schedule = Schedule.of_dict(said)
    first = iter([compressor])
    actor = Actor(lambda: next(first, None) or build(), triples, schedule.sequences)
    for operation in schedule.operations:
        actor.do(operation)
    return actor.live[0]


def memories(compressor: Any, message: bytes) -> dict[str, Any] | None:
    """Return the memories of an engine's cache (``compressors.engines.memories``), else None."""
    said = getattr(getattr(compressor, "inner", compressor), "accounts", None)
    return None if said is None else dict(said(message).as_dict())


def _payload(compressor: Any, message: bytes) -> int:
    from ...compressors.plugin.contract import Compressor
    from ...compressors.plugin.packing import payload_bytes

    # Only the default save frames its message in a way that we can tell apart.
    if getattr(type(compressor), "save", None) is not Compressor.save:
        return len(message)
    return payload_bytes(message)


def answer(
    compressor: Any,
    message: Message,
    queries: Triples,
    thresholds: Float32 | None,
    block: int = 1,
) -> NDArray[Any]:
    """Bob: restore the message and answer every query from its own copy of that state.

    With ``thresholds`` (float32[m], for built-ins that define ``next_bits``) returns bool[m, d_v],
    otherwise the checked outputs, float32[m, d_v]. With ``block`` = b > 1, b queries at a time
    share a copy, to which all b tokens were appended first (b divides m).

    Raises:
        PlayerFault: the outputs have a wrong type or shape, or are not finite.
    """
    m, *axes = queries[2].shape
    if thresholds is None and block == 1:
        after = partial(compressor.outputs_after, message)
        return _answered(compressor, "next_outputs", after, queries, (m, *axes))
    compressor.restore(message)
    if thresholds is not None:
        return np.asarray(compressor.next_bits(*queries, thresholds), dtype=bool)
    blocks = [tuple(part[at : at + block] for part in queries) for at in range(0, m, block)]
    door = compressor.block_outputs
    return np.concatenate([
        _answered(compressor, "block_outputs", door, part, (block, *axes)) for part in blocks
    ])  # fmt: skip


def _answered(
    compressor: Any,
    door: str,
    ask: Callable[..., Any],
    queries: Sequence[Float32],
    shape: tuple[int, ...],
) -> Float32:
    try:
        return given(compressor, door, ask(*queries), shape)
    except WrongAnswer as wrong:
        raise PlayerFault(str(wrong)) from wrong


def check_outputs(outputs: Any, *shape: int, door: str = "next_outputs") -> Float32:
    """Return outputs as float32 of that shape, [rows, d_v] or [rows, layers, heads, d_v].

    Any floating type will do. ``door`` gave them.

    Raises:
        PlayerFault: naming the first thing wrong.
    """
    try:
        return numbers(outputs, shape, door)
    except WrongAnswer as wrong:
        raise PlayerFault(str(wrong)) from wrong


def rehearse(build: Build, table: Table, tokens: int = 64, rows: int = 2) -> None:
    """Play once on a public dummy stream, so that what is slow only the first time has happened.

    A batch algorithm sees as many tokens as in the game: it may learn only then that they do not
    fit its budget.
    """
    shape = table.shape
    alice, bob = build(0), build(0)
    m = min(shape.tokens, tokens) if getattr(alice, "streaming", True) else shape.tokens
    token = (shape.layers, shape.kv_heads) if shape.layers * shape.kv_heads > 1 else ()
    keys = np.linspace(-1, 1, m * shape.d_k, dtype=np.float32).reshape(m, shape.d_k)
    keys = np.broadcast_to(keys.reshape(m, *(1 for _ in token), shape.d_k), (m, *token, shape.d_k))
    if not is_builtin(table.target) or alice.knows_keys:
        # Controls that know the game take no other keys.
        keys = np.array(table.public.get("keys", keys)[:m], dtype=np.float32)
    values = (np.indices((m, *token, shape.d_v)).sum(axis=0) % 2).astype(np.float32)
    message, _ = write(alice, (np.zeros_like(keys), keys, values))
    queries = (keys[:rows].copy(), np.zeros_like(keys[:rows]), np.zeros_like(values[:rows]))
    bob.restore(message)
    if hasattr(bob, "next_bits"):
        bob.next_bits(*queries, np.full(queries[0].shape[:-1], 0.5, dtype=np.float32))
    else:
        bob.next_outputs(*queries)


def shortened(table: Table) -> Table:
    """A table of a stream that is not long, with its share of the budget: what warms up on it.

    The whole state of 2^20 tokens would take a second and a half GiB for each life of a player.
    """
    shape, tokens = table.shape, min(table.shape.tokens, _WARM)
    budget = table.budget_bits and table.budget_bits * tokens // shape.tokens
    return replace(table, shape=replace(shape, tokens=tokens), budget_bits=budget)


# -- sentences ----------------------------------------------------------------------------------


def one_line(text: str, limit: int = _SENTENCE) -> str:
    """Return text as one line of at most ``limit`` characters, ending as a sentence does.

    >>> one_line("two  lines\\nof it"), one_line("Did you mean 'h2o'?")
    ('two lines of it.', "Did you mean 'h2o'?")
    """
    flat = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(flat) > limit:
        flat = flat[: limit - 1] + "…"
    return flat if flat.endswith((".", "?", "…")) else flat + "."


def fault_of(
    exc: BaseException, role: str, folder: str | None = None, builtin: bool = False
) -> PlayerFault | HarnessFault:
    """The fault that an exception in a round is: the compressor's, unless the failure was ours.

    See ``compressors.plugin.blame.is_our_fault`` for which is which, :func:`describe` for the rest.
    That we failed is for us to say: a HarnessFault that somebody else raised is theirs.
    """
    if isinstance(exc, HarnessFault) and (builtin or raised_by_us(exc)):
        return exc
    if is_our_fault(exc, builtin and not isinstance(exc, PlayerFault)):
        return our_fault(exc, f"{role} played")
    return PlayerFault(describe(exc, role, folder))


def describe(exc: BaseException, role: str, folder: str | None = None) -> str:
    """Return one sentence for an exception, with the plug-in's own line where there is one.

    Our own errors are sentences already. The line is the deepest frame inside ``folder`` (the
    plug-in's), else the deepest outside this package; for what we ship the deepest of all.
    """
    if isinstance(exc, PlayerFault | KVBarrierError):
        return one_line(f"{role}: {exc}")
    frames = traceback.extract_tb(exc.__traceback__)
    where = _place(frames, folder)
    try:
        text = str(exc)
    except Exception:
        text = "an exception that cannot be printed"
    if isinstance(exc, MemoryError):
        return one_line(f"{role} ran out of memory{where}")
    reason = one_line(f"{role} raised {type(exc).__name__}{': ' if text else ''}{text}")
    return one_line(f"{reason.rstrip('.…')}{where}", _SENTENCE + 120)


def _place(frames: traceback.StackSummary, folder: str | None) -> str:
    frame = their_frame(frames, folder)
    if frame is None and folder is None and frames:
        frame = frames[-1]
    # In a stranger's plug-in no place is better than one of ours, which they did not write.
    return f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})" if frame else ""
