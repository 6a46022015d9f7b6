"""Players: what may be returned, and one sentence with the plug-in's line for all that may fail."""

from __future__ import annotations

import ast
import os
import pickle
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure
from kvbarrier.protocols.game import coins
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.index_game import play_batch, probe_construction
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import isolation, play
from kvbarrier.protocols.players.channel import Channel, Deadline
from kvbarrier.protocols.players.child import _OnlyIn
from kvbarrier.protocols.players.isolation import Limits
from kvbarrier.protocols.players.play import PlayerFault

CHEATS = Path(__file__).parent / "cheats"
KEY = b"players' test key, 32 bytes long"
INSTANCE = Index(32, 16, keys="hypercube")
needs_namespaces = pytest.mark.skipif(
    not isolation.namespaces_available(), reason=f"{isolation.namespaces_problem()}"
)

# -- outputs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_any_floating_type_becomes_float32(dtype):
    out = play.check_outputs(np.full((3, 2), 0.5, dtype=dtype), 3, 2)
    assert out.dtype == np.float32
    assert out.tolist() == [[0.5, 0.5]] * 3
    assert play.check_outputs([[0.5, 1.0]], 1, 2).tolist() == [[0.5, 1.0]]


NAN = np.array([[0.0, 1.0], [np.nan, 0.0], [np.inf, 0.0]])


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        (np.zeros((2, 3)), r"float64\[2, 3\]: it must be float32\[3, 2\]"),
        (np.zeros(6), r"float64\[6\]: it must be"),
        (np.zeros((3, 2), dtype=int), "int64 numbers"),
        (np.zeros((3, 2), dtype=bool), "bool numbers"),
        (np.zeros((3, 2), dtype=complex), "complex128 numbers"),
        (np.zeros((3, 2), dtype=object), "object numbers"),
        ([[0.0], [1.0, 2.0], [3.0]], "a list, not an array"),
        (None, r"next_outputs returned None: it must be float32\[3, 2\]"),
        (NAN, "NaN or infinity, first in row 1"),
        (NAN[[0, 0, 2]], "NaN or infinity, first in row 2"),
        (np.full((3, 2), 1e300), "NaN or infinity, first in row 0"),
    ],
)
def test_outputs_that_are_none(outputs, sentence):
    with pytest.raises(PlayerFault, match=sentence):
        play.check_outputs(outputs, 3, 2)


@pytest.mark.parametrize("bad", [-1, 2.5, "4", True])
def test_a_declared_length_is_a_length(bad):
    class Declares:
        message_bytes = bad

    with pytest.raises(PlayerFault, match="a length in bytes or None"):
        play.declared_length(Declares())
    Declares.message_bytes = np.int64(7)
    assert play.declared_length(Declares()) == 7


# -- writing ------------------------------------------------------------------------------------


class Keeps(Compressor):
    """Packed by the default save: float32 rows, and an attribute that never changes."""

    def __init__(self, *args, **params):
        super().__init__(*args, **params)
        self.rows = []
        self.name = "public"

    def append(self, q, k, v):
        self.rows.append(v.copy())

    def attend(self, q):
        return np.mean(self.rows, axis=0)


class Saves(Keeps):
    saved: object = b""

    def save(self):
        return self.saved


SHAPE = Shape(tokens=4, d_k=2, d_v=3)
ONES = (np.ones((4, 2), "f4"), np.ones((4, 2), "f4"), np.ones((4, 3), "f4"))


def test_the_payload_leaves_out_the_framing_of_the_default_save():
    message, payload = play.write(Keeps(SHAPE), ONES)
    assert payload == 4 * 3 * 4  # 4 rows of 3 float32
    assert payload < len(message) < payload + 24


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_message_is_bytes_of_any_kind_and_all_payload_if_it_is_their_own(kind):
    compressor = Saves(SHAPE)
    compressor.saved = kind(b"abc")
    assert play.write(compressor, ONES) == (b"abc", 3)


def test_a_stream_goes_on_from_an_earlier_message():
    parts = [tuple(a[:1] for a in ONES), tuple(a[1:] for a in ONES)]
    first, _ = play.write(Keeps(SHAPE), parts[0])
    assert play.write(Keeps(SHAPE), parts[1], first) == play.write(Keeps(SHAPE), ONES)


@pytest.mark.parametrize("saved", ["text", None, [b""], np.zeros(3)])
def test_a_message_that_is_not_bytes_is_refused(saved):
    compressor = Saves(SHAPE)
    compressor.saved = saved
    said = "None" if saved is None else f"a {type(saved).__name__}"
    with pytest.raises(PlayerFault, match=f"returned {said}: it must return bytes"):
        play.write(compressor, ONES)


def test_a_message_over_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(play, "MAX_MESSAGE_BYTES", 2)
    compressor = Saves(SHAPE)
    compressor.saved = b"abc"
    with pytest.raises(PlayerFault, match="3 bytes: a message has at most 2"):
        play.write(compressor, ONES)


# -- sentences ----------------------------------------------------------------------------------


def test_sentences_are_one_short_line():
    try:
        raise ValueError("first\nsecond\t\x1b[31m" + "x" * 1000)
    except ValueError as exc:
        text = play.describe(exc, "Bob")
    assert text.startswith("Bob raised ValueError: first second")
    assert text.endswith(", in test_sentences_are_one_short_line).")
    assert len(text) < 450
    assert text.isprintable()


def test_the_line_is_the_plug_ins_own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import json\n\ndef go():\n    json.loads('{')\n")
    scope = {}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    with pytest.raises(ValueError, match="Expecting") as caught:
        scope["go"]()
    text = play.describe(caught.value, "Alice", str(tmp_path) + os.sep)
    assert "raised JSONDecodeError: Expecting property name" in text
    assert "(mine.py, line 4, in go)" in text  # not json/decoder.py, which is deeper


def test_an_exception_that_cannot_be_printed_is_named_all_the_same():
    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError

    text = play.describe(Unprintable(), "Alice")
    assert text == "Alice raised Unprintable: an exception that cannot be printed."


# -- in processes of their own ------------------------------------------------------------------

LINES = {  # where misbehave.py does it, found by the compiler and not by hand
    node.body[0].lineno: ast.unparse(node.test)
    for node in ast.walk(ast.parse((CHEATS / "misbehave.py").read_text()))
    if isinstance(node, ast.If)
}


def line(way):
    return next(n for n, test in LINES.items() if test == f"way == '{way}'")


PATIENCE = 5
"""Seconds: who hangs sleeps, and who plays well may wait for a processor meanwhile."""
GOOD = ("", "print", "twin", "brood", "bob-double", "bob-twin", "bob-print", "")
WHERE = r" \(misbehave.py, line \d+\)\."
BAD = {
    "raise": r"Alice raised ValueError: no such luck \(misbehave.py, line {line}, in do\)\.",
    "exit": r"Alice ended with exit code 7 without an answer\.",
    "sys-exit": r"Alice raised SystemExit: bye \(misbehave.py, line {line}, in do\)\.",
    "segv": r"Alice was killed by SIGSEGV without an answer \(misbehave.py, line {line}, in do\)\.",
    "hang": rf"Alice did not answer within {PATIENCE} s \(misbehave.py, line \d+, in do\)\.",
    "memory": r"Alice ran out of memory \(misbehave.py, line \d+, in do\)\.",
    "close": r"Alice closed its channel without an answer\.",
    "stray": r"Alice broke the channel: .*\.",
    "short": r"Alice: save returned 63 bytes, declared were message_bytes = 64\.",
    "list": r"Alice: Misbehave.save returned a list: it must return bytes" + WHERE,
    "none": r"Alice: Misbehave.save returned None: it must return bytes" + WHERE,
    "kill-host": rf"Alice (ended its own host process|did not answer within {PATIENCE} s).*\.",
    "bob-raise": r"Bob raised ValueError: no such luck \(misbehave.py, line {line}, in do\)\.",
    "bob-exit": r"Bob ended with exit code 7 without an answer\.",
    "bob-nan": r"Bob: Misbehave.next_outputs returned NaN or infinity, first in row 3" + WHERE,
    "bob-shape": r"Bob: Misbehave.next_outputs returned float32\[32, 15\]: it must be "
    r"float32\[32, 16\]" + WHERE,
    "bob-ints": r"Bob: Misbehave.next_outputs returned int64 numbers: it must be float32\[32, 16\]"
    + WHERE,
    "bob-objects": r"Bob: Misbehave.next_outputs returned object numbers: .*",
    "bob-ragged": r"Bob: Misbehave.next_outputs returned a list, not an array: .*",
    "bob-hang": rf"Bob did not answer within {PATIENCE} s \(misbehave.py, line \d+, in do\)\.",
}


SOME = ("raise", "segv", "hang", "memory", "close", "kill-host")  # where the kernel has a part


@pytest.mark.parametrize(
    ("kind", "bad"),
    [("process", tuple(BAD)), pytest.param("namespaces", SOME, marks=needs_namespaces)],
)
def test_whatever_a_player_does_is_one_failed_message(kind, bad, capfd):
    ways = [*GOOD[:4], *bad, *GOOD[4:]]
    seeds = [coins.public_seed(KEY, INSTANCE.id, number) for number in range(len(ways))]
    plan = ";".join(f"{seed}={way}" for seed, way in zip(seeds, ways, strict=True) if way)
    target = f"{CHEATS}/misbehave.py:Misbehave"
    cell = Cell(INSTANCE, target, params=(("plan", plan),), batch_size=len(ways))
    batch = play_batch(cell, KEY, 0, kind, Limits(PATIENCE, 64 << 20))
    assert len(batch.records) == len(ways)
    for number, (way, record) in enumerate(zip(ways, batch.records, strict=True)):
        assert record.asked == 512
        if way in GOOD:
            assert (record.failed, record.wrong, record.charged_bits) == (None, 0, 512), way
            assert record.payload_bytes == 64
            continue
        pattern = BAD[way]
        if "{line}" in pattern:
            pattern = pattern.replace("{line}", str(line(way.removeprefix("bob-"))))
        assert re.fullmatch(pattern, record.failed or ""), (way, record.failed)
        guesses = coins.guess_bits(KEY, INSTANCE.id, number, 512)
        secret = coins.secret_bits(KEY, INSTANCE.id, number, 512)
        assert record.wrong == int((guesses != secret).sum())
        assert (record.charged_bits, record.payload_bytes) == (64, 0)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_a_fork_of_a_player_stays_silent():
    read, write = os.pipe()
    channel = _OnlyIn(os.getpid(), Channel(os.dup(read), write))
    pid = os.fork()
    if pid == 0:
        try:
            channel.send("from the fork")
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    channel.send("from the player")
    assert Channel(read, os.dup(write)).receive(Deadline(5)) == "from the player"


# -- before the first secret --------------------------------------------------------------------


def plugin(tmp_path, text):
    path = tmp_path / "plugin.py"
    head = "import os, sys, time\nfrom kvbarrier.compressors.plugin.contract import Compressor\n"
    methods = "    def append(self, q, k, v): pass\n    def attend(self, q): pass\n"
    path.write_text(f"{head}{text}\n{methods}")
    return Cell(INSTANCE, f"{path}:Mine", budget=Fraction(1, 8), batch_size=2)


CLASS = "class Mine(Compressor):\n"


@pytest.mark.parametrize("kind", ["inline", "process"])
@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        (
            "from kvbarrier.errors import BudgetTooSmall\n"
            + CLASS
            + "    def __init__(self, shape, "
            "budget_bits): raise BudgetTooSmall('mine', budget_bits, 5000)",
            BudgetTooSmall,
            "mine does not fit into 2048 bits: give it a budget of at least 5000 bits.",
        ),
        (
            CLASS + "    def __init__(self, shape):\n        raise KeyError('x')",
            PluginFailure,
            r"raised KeyError: 'x' \(plugin.py, line 5",
        ),
        ("raise OSError('no')\n" + CLASS, PluginFailure, r"raised OSError: no \(plugin.py, line 3"),
        (CLASS + "    message_bytes = -5", PluginFailure, "must be a length in bytes"),
        ("class Other(Compressor):\n", BadInput, "Did you mean|has no class 'Mine'"),
    ],
)
def test_errors_before_the_first_secret_are_raised(kind, text, error, sentence, tmp_path):
    cell = plugin(tmp_path, text)
    with pytest.raises(error, match=sentence) as caught:
        play_batch(cell, KEY, 0, kind, Limits(20, 512 << 20))
    if error is BudgetTooSmall:
        assert caught.value.minimum_bits == 5000
        assert pickle.loads(pickle.dumps(caught.value)).minimum_bits == 5000  # as workers do
    assert caught.value.exit_code == {PluginFailure: 3}.get(error, 2)


def test_a_module_that_ends_the_process_is_a_plug_in_failure(tmp_path):
    cell = plugin(tmp_path, "os._exit(4)\n" + CLASS)
    with pytest.raises(PluginFailure, match="The compressor cannot be imported"):
        probe_construction(cell, "process", Limits(20, 512 << 20))


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_the_probe_says_what_is_declared(kind, tmp_path):
    cell = plugin(tmp_path, CLASS + "    message_bytes = 12\n    streaming = False")
    facts = probe_construction(cell, kind, Limits(20, 512 << 20))
    assert (facts.name, facts.builtin) == ("plugin.py:Mine", False)
    assert (facts.message_bytes, facts.streaming, facts.batched) == (12, False, False)
    assert len(facts.source) == 16
