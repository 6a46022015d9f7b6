"""The probes of a check. Each yields (code, detail) of what it found in the running process.

A probe may raise: that, too, is a finding, made by whoever runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...compressors.plugin.answers import WrongAnswer, given
from ...compressors.plugin.blame import blame, written
from ...compressors.plugin.contract import Compressor, Shape, plain_bytes
from ...compressors.plugin.lifting import WholeToken
from ...compressors.plugin.packing import sent_attributes
from ...errors import BudgetTooSmall, KVBarrierError, PluginFailure
from ..players.channel import charged_bits
from .subject import CUTS, QUESTIONS, Subject, apart, close

Found = Iterator[tuple[str, str]]
Probe = Callable[[Subject], Found]

_BUDGET_SHAPE = Shape(tokens=256, d_k=16, d_v=16)
_WIDE_SHAPE = Shape(tokens=20, d_k=12, d_v=20, extra=QUESTIONS)
_EVEN_SHAPE = Shape(tokens=20, d_k=32, d_v=64, extra=QUESTIONS)
_HEADS_SHAPE = Shape(
    tokens=24, d_k=16, d_v=16, extra=QUESTIONS, layers=2, heads=2, kv_heads=2
)  # fmt: skip
_LEAST_RUN = 64
_LARGEST_SLOT = 512


def wrong_answer(
    compressor: Compressor, method: str, answer: Any, shape: tuple[int, ...], here: str = ""
) -> tuple[str, str] | None:
    """The finding for an answer that is not finite real numbers of that shape, or None."""
    try:
        given(compressor, method, answer, shape)
    except WrongAnswer as wrong:
        return code_of(wrong), f"{here}{wrong}"
    return None


def code_of(wrong: WrongAnswer) -> str:
    """The code of a wrong answer."""
    return "wrong-output" if wrong.finite else "not-finite"


def plays(subject: Subject) -> Found:
    """Build, append, ask, save: the whole of a game, once."""
    compressor = subject.played()
    q = subject.questions()[0][0]
    d_v = compressor.shape.d_v
    one = subject.played()
    if problem := wrong_answer(one, "attend", one.attend(q), (d_v,)):
        yield problem
        return
    outputs = compressor.next_outputs(*subject.questions())
    if problem := wrong_answer(compressor, "next_outputs", outputs, (QUESTIONS, d_v)):
        yield problem
        return
    message = compressor.save()
    try:
        plain_bytes(message)
    except TypeError:
        who, where = written(compressor, "save")
        said = "None" if message is None else f"a {type(message).__name__}"
        yield "bad-message", f"{who} returned {said}{where}."


def same_coins_same_result(subject: Subject) -> Found:
    """Two instances, one stream."""
    one, two = subject.played(), subject.played()
    if saved(one) != saved(two):
        yield "not-deterministic", "two instances that saw the same stream saved other messages."
    elif not np.array_equal(straight(subject), straight(subject)):
        yield "not-deterministic", "two instances that saw the same stream answered differently."


def instances_are_apart(subject: Subject) -> Found:
    """One sees a stream, another a second one, and the first is asked."""
    expected = straight(subject)[0]
    one = subject.played(1)
    subject.played(2)
    q, k, v = (part[0] for part in subject.questions())
    one.append(q, k, v)
    answer = one.attend(q)
    if not close(expected, answer):
        yield (
            "state-elsewhere",
            "after another instance saw another stream, the first one's answer changed "
            f"{apart(expected, answer)}.",
        )


def straight(subject: Subject) -> Any:
    """The answers without any save: for every question the whole stream again."""
    rows = []
    for q, k, v in zip(*subject.questions(), strict=True):
        compressor = subject.played()
        compressor.append(q, k, v)
        rows.append(np.array(compressor.attend(q), dtype=np.float64))
    return np.stack(rows)


def restores(subject: Subject) -> Found:
    """Save, and ask fresh instances of this process that restored the message."""
    expected, answers = straight(subject), looped(subject, subject.played())
    if not close(expected, answers):
        yield "restore-differs", f"the answers differ {apart(expected, answers)}."


def looped(subject: Subject, compressor: Compressor) -> Any:
    """The answers by save, restore, append and attend, whatever doors it has of its own."""
    return Compressor.next_outputs(compressor, *subject.questions())


def saved(compressor: Compressor) -> bytes:
    """The message as it is charged."""
    return plain_bytes(compressor.save())


def has_own(compressor: Compressor, door: str) -> bool:
    """Whether a batched door is the author's and not the inherited loop."""
    inner = compressor._stateful()
    if inner is not compressor:
        return hasattr(inner, door)
    return getattr(type(compressor), door) is not getattr(Compressor, door)


def batched_doors(subject: Subject) -> Found:
    """The extend, next_outputs and block_outputs that it has, against the loops they stand for."""
    ask, one = subject.questions(), subject.played()
    expected = looped(subject, one)
    if has_own(one, "extend"):
        at_once = subject.build()
        # In two pieces, unless it takes everything at once: an extend that starts from nothing is
        # right the first time only.
        for piece in (slice(0, 17), slice(17, None)) if one.streaming else (slice(None),):
            at_once.extend(*(part[piece] for part in subject.stream(1)))
        answers = looped(subject, at_once)
        if not close(expected, answers):
            yield "extend-differs", f"the answers differ {apart(expected, answers)}."
    if has_own(one, "next_outputs"):
        answers = subject.played().next_outputs(*ask)
        if not close(expected, answers):
            yield "batch-differs", f"next_outputs differs from the loop {apart(expected, answers)}."
    if has_own(one, "block_outputs"):
        answers = subject.played().block_outputs(*ask)
        expected = Compressor.block_outputs(subject.played(), *ask)
        if not close(expected, answers):
            yield (
                "batch-differs",
                f"block_outputs differs from the loop {apart(expected, answers)}.",
            )


def asking_changes_nothing(subject: Subject) -> Found:
    """Ask twice; save before and after."""
    compressor = subject.played()
    before = saved(compressor)
    first = np.array(compressor.next_outputs(*subject.questions()))
    second = compressor.next_outputs(*subject.questions())
    if not close(first, second):
        yield "asking-changes-it", f"the second time, the answers differ {apart(first, second)}."
    elif saved(compressor) != before:
        yield "asking-changes-it", "after next_outputs, save returned another message."


def cuts(subject: Subject) -> Found:
    """Save in the middle, restore on a fresh instance, go on."""
    if not subject.build().streaming:
        return
    expected = looped(subject, subject.played())
    triples = list(zip(*subject.stream(1), strict=True))
    for cut in CUTS:
        first, second = subject.build(), subject.build()
        for triple in triples[:cut]:
            first.append(*triple)
        second.restore(saved(first))
        for triple in triples[cut:]:
            second.append(*triple)
        answers = looped(subject, second)
        if not close(expected, answers):
            yield "cut-differs", f"cut after {cut} tokens, {apart(expected, answers)}."
            return


def declared_length(subject: Subject) -> Found:
    """The length that was declared, at every cut and for two streams."""
    declared = subject.build().message_bytes
    if declared is None:
        return
    if isinstance(declared, bool) or not isinstance(declared, int | np.integer) or declared < 0:
        yield "declared-length", f"message_bytes is {declared!r}, not a length in bytes."
        return
    lengths = {len(saved(subject.played(which))) for which in (1, 2)}
    if subject.build().streaming:
        lengths.add(len(saved(subject.begun(17))))
    for length in sorted(lengths - {declared}):
        yield "declared-length", f"declared {declared} bytes, saved {length}."


def keeps_budgets(subject: Subject) -> Found:
    """Charged bits against the budget, at several."""
    lengths: set[int | None] = set()
    over = None
    for share in (64, 16, 4, 1):
        budget = _BUDGET_SHAPE.cache_bits_16 // share
        at = f"at 1/{share} of the 16-bit cache, {budget} bits,"
        try:
            compressor = subject.played(1, _BUDGET_SHAPE, budget)
            length = len(saved(compressor))
        except BudgetTooSmall:
            lengths.add(None)
            continue
        except BaseException as error:
            yield "fails-at-budget", f"{at} {told(error)}"
            return
        lengths.add(length)
        charged = charged_bits(length, compressor.message_bytes)
        if charged > budget and over is None:
            over = f"{at} a message of {length} bytes is charged {charged}."
    if lengths == {None}:
        yield "no-budget", "the smallest budget that it accepts is larger."
    elif over is not None:
        # Who asks for no budget is not reproached for what follows from it.
        yield ("ignores-budget" if len(lengths) == 1 else "over-budget"), over


def told(error: BaseException) -> str:
    """One sentence, and below it the plug-in's own traceback if there is one."""
    if isinstance(error, KVBarrierError) and not isinstance(error, PluginFailure):
        return str(error)
    failure = blame(error, "it")
    return f"{failure}\n{failure.detail}" if failure.detail else str(failure)


def score_scale(subject: Subject) -> Found:
    """Two tokens with scores L and 0 and values 1 and 0: the answer is sigmoid(scale L)."""
    if subject.target.knows_keys:
        return  # it answers for the public keys, whatever was appended
    # Room for many more tokens: a cache that keeps its budget must hold these two.
    shape = Shape(tokens=64, d_k=16, d_v=16)
    scales = []
    for length in (2.0, 4.0):
        compressor = subject.build(shape)
        K = np.eye(2, 16, dtype=np.float32)
        V = np.zeros((2, 16), dtype=np.float32)
        V[0] = 1
        for k, v in zip(K, V, strict=True):
            compressor.append(np.zeros_like(k), k, v)
        q = np.zeros(16, dtype=np.float32)
        q[0] = length
        answer = float(np.mean(np.asarray(compressor.attend(q), dtype=np.float64)))
        if not 0 < answer < 1:
            return
        scales.append(np.log(answer / (1 - answer)) / length)
    if all(abs(4 * scale - 1) < 0.1 for scale in scales):
        yield "scaled-scores", f"at d_k = 16 the scores are multiplied by {np.mean(scales):.3f}."


def long_queries(subject: Subject) -> Found:
    """Scores of some hundreds."""
    here = "with scores of some hundreds "
    compressor = subject.played()
    try:
        outputs = compressor.next_outputs(*subject.questions(length=100.0))
    except WrongAnswer as wrong:
        yield code_of(wrong), f"{here}{wrong}"
        return
    shape = (QUESTIONS, compressor.shape.d_v)
    if problem := wrong_answer(compressor, "next_outputs", outputs, shape, here):
        yield problem


def sends_public(subject: Subject) -> Found:
    """Long runs of bytes that the messages of two unlike streams share."""
    one, two = subject.played(1), subject.played(2)
    a, b = (np.frombuffer(saved(c), dtype=np.uint8) for c in (one, two))
    size = min(len(a), len(b))
    shared = _longest_run(a[:size], a[:size] == b[:size])
    if shared < _LEAST_RUN:
        return
    names = _same_attributes(one, two)
    which = f" ({', '.join(names)})" if names else ""
    yield "sends-public", f"{shared} bytes in a row are the same for two unlike streams{which}."


def _longest_run(data: np.ndarray[Any, Any], same: np.ndarray[Any, Any]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(np.int8), [0]])))
    runs = edges.reshape(-1, 2)
    return max((_told_bytes(data[a:b]) for a, b in runs if b - a >= _LEAST_RUN), default=0)


def _told_bytes(run: np.ndarray[Any, Any]) -> int:
    """The bytes of a run that are not of empty slots, which are for another day: they may fill up.

    Slots are alike, so where 64 bytes repeat what stood a slot before, of whatever size, they and
    the slot before are empty.
    """
    empty = np.zeros(len(run), dtype=bool)
    for slot in range(1, min(_LARGEST_SLOT, len(run) - _LEAST_RUN) + 1):
        repeats = np.concatenate([[0], (run[slot:] == run[:-slot]).astype(np.int8), [0]])
        for start, stop in np.flatnonzero(np.diff(repeats)).reshape(-1, 2):
            if stop - start >= _LEAST_RUN:
                empty[start : stop + slot] = True
    return int(np.count_nonzero(~empty))


def _same_attributes(one: Compressor, two: Compressor) -> list[str]:
    if type(one).save is not Compressor.save:
        return []
    a, b = (sent_attributes(c._stateful(), c.fresh()._stateful()) for c in (one, two))
    return [
        name
        for name in a.keys() & b.keys()
        if isinstance(a[name], np.ndarray)
        and np.array_equal(a[name], b[name])
        and _told_bytes(np.frombuffer(a[name].tobytes(), dtype=np.uint8)) >= _LEAST_RUN
    ]


def other_shapes(subject: Subject) -> Found:
    """Keys and values of different widths; of powers of two if it takes no others."""
    problem = _at_widths(subject, _WIDE_SHAPE)
    if problem is None:
        return
    even = _at_widths(subject, _EVEN_SHAPE)
    yield ("odd-widths", problem) if even is None else ("other-shapes", even)


def _at_widths(subject: Subject, shape: Shape) -> str | None:
    """What is wrong at these widths, in a sentence, or None."""
    here = f"with d_k = {shape.d_k}, d_v = {shape.d_v} "
    try:
        compressor = subject.played(1, shape)
        outputs = compressor.next_outputs(*subject.questions(shape))
    except WrongAnswer as wrong:
        return f"{here}{wrong}"
    except BaseException as error:
        return f"{here}{told(error)}"
    problem = wrong_answer(compressor, "next_outputs", outputs, (QUESTIONS, shape.d_v), here)
    return None if problem is None else problem[1]


def several_heads(subject: Subject) -> Found:
    """Two layers of two heads, for who asked for the whole token."""
    if not isinstance(subject.build(), WholeToken):
        return
    shape, here = _HEADS_SHAPE, "with 2 layers of 2 heads "
    try:
        compressor = subject.played(1, shape)
        outputs = compressor.next_outputs(*subject.questions(shape))
        expected = Compressor.next_outputs(compressor, *subject.questions(shape))
    except WrongAnswer as wrong:
        yield "several-heads", f"{here}{wrong}"
        return
    except BaseException as error:
        yield "several-heads", f"{here}{told(error)}"
        return
    wanted = (QUESTIONS, shape.layers, shape.kv_heads, shape.d_v)
    if problem := wrong_answer(compressor, "next_outputs", outputs, wanted, here):
        yield "several-heads", problem[1]
    elif not close(expected, outputs):
        yield "several-heads", f"next_outputs differs from the loop {apart(expected, outputs)}."


GATES: tuple[Probe, ...] = (plays, same_coins_same_result, instances_are_apart, restores)
"""In this order, and each only if the one before found nothing: the rest would repeat it."""

REST: tuple[Probe, ...] = (
    batched_doors,
    asking_changes_nothing,
    cuts,
    declared_length,
    keeps_budgets,
    score_scale,
    long_queries,
    sends_public,
    other_shapes,
    several_heads,
)
