"""Frames from a player that is not ours any more: refused with a sentence, whatever is in them."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from kvbarrier.compressors.plugin.code_identity import identity
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.readers.contract import Plan
from kvbarrier.errors import KVBarrierError
from kvbarrier.protocols.players import channel as ch
from kvbarrier.protocols.players.isolation import Limits
from kvbarrier.protocols.players.keeper import CLEAN
from kvbarrier.protocols.players.play import Facts, PlayerFault, Table
from kvbarrier.protocols.players.query_seats import HostQuerySeat
from kvbarrier.protocols.players.reader import Cells, OutsidePlan
from kvbarrier.protocols.players.seats import HostSeat, Place

N, D = 4, 2
TABLE = Table("plugin:Mine", "/", {}, Shape(N, D, D), 64, {})
SOURCE = hashlib.sha256(b"").hexdigest()[:16]  # of no file and no version
FACTS = {
    "name": "plugin.py:Mine", "source": SOURCE, "builtin": False, "streaming": True,
    "message_bytes": 8, "batched": False, "versions": {}, "files": [], "version": "",
    "declares": None,
    "modules": [], "budgeted": True,
}  # fmt: skip
HELD = {
    "logical": 1, "resident": 2, "side": 0, "claimed": None, "basis": "numel", "constant": 3,
    "beside": 4, "beside_is": "a tail", "played": "a word",
}  # fmt: skip
OUTPUTS = np.zeros((N, D), dtype=np.float32)
BITS = np.zeros((N, D), dtype=bool)
WHOLE = np.arange(N)
AB = np.frombuffer(b"ab", dtype=np.uint8)
TRIPLES = (OUTPUTS, OUTPUTS, OUTPUTS)
GOOD = {
    "sit": {"facts": FACTS},
    "begin": {"declared": 8},
    "write": {"message": np.arange(8, dtype=np.uint8), "payload": 8, "memories": HELD},
    "answer": {"answer": OUTPUTS},
    "bits": {"answer": BITS},
    "plan": {"plan": bytes((2 * N * D + 7) // 8)},
    "ask": {"ask": ["K", WHOLE, WHOLE[:0]]},
    "output": {"answer": OUTPUTS[0]},
}


@contextmanager
def seated(body: bytes, make=HostSeat):
    """A seat whose player says this one frame and goes."""
    theirs, ours_out = os.pipe()
    ours_in, said = os.pipe()
    os.write(said, len(body).to_bytes(8, "big") + body)
    os.close(said)
    seat = make(Place.prepare("Alice", "process", Limits(1)), Limits(1))
    channel = ch.Channel(ours_in, ours_out)

    def end():
        channel.close()
        return CLEAN, ""

    seat._life = SimpleNamespace(channel=channel, end=end)
    try:
        yield seat
    finally:
        seat._stop()
        os.close(theirs)


def hear(door: str, body: bytes):
    """What comes out of the harness for a frame: a checked value, or the sentence of its error."""
    query = door in ("plan", "ask", "output")
    with seated(body, HostQuerySeat if query else HostSeat) as seat:
        try:
            if door == "sit":
                (facts,) = seat.open([TABLE])
                return str(facts) if isinstance(facts, KVBarrierError) else checked_facts(facts)
            seat._tables, seat._opened = [TABLE], [Facts(**FACTS)]
            if door == "begin":
                declared = seat.begin(TABLE, 1, "Alice")
                assert declared is None or (type(declared) is int and declared >= 0)
                return declared
            if door == "write":
                message, payload = seat.write(TRIPLES, None, None, True)
                assert type(message) is bytes
                assert type(payload) is int
                assert 0 <= payload <= len(message)
                return message, payload, checked_memories(seat.memories())
            if door == "plan":
                plan = seat.plan(1)
                # None is an adaptive algorithm, whose plan is the empty one.
                assert plan is None or plan.cells.shape == (2, N, D)
                return plan
            if query:
                cells = Cells(Plan.of(WHOLE, N, D), OUTPUTS, OUTPUTS)
                out = seat.answer(OUTPUTS[0], cells)
                assert (out.dtype, out.shape) == (np.float32, (D,))
                return out
            out = seat.answer(b"", TRIPLES, OUTPUTS[:, 0] if door == "bits" else None, 1)
            assert type(out) is np.ndarray
            assert (out.dtype, out.shape) == (bool if door == "bits" else np.float32, (N, D))
            assert np.isfinite(out).all()
            assert out.flags.c_contiguous
            return out
        except (PlayerFault, KVBarrierError, OutsidePlan) as error:
            sentence = str(error)
            assert sentence.isprintable(), sentence[:200]
            assert len(sentence) < 1500
            detail = getattr(error, "detail", None) or ""
            assert detail.replace("\n", "").isprintable()
            return sentence


def checked_facts(facts):
    assert type(facts) is Facts
    assert facts.builtin is facts.batched is False
    assert type(facts.streaming) is bool
    assert len(facts.source) == 16
    assert facts.name.isprintable()
    assert dict(facts.versions) == {}
    return facts


def checked_memories(held):
    if held is not None:
        assert list(held) == list(HELD)
        assert all(type(v) in (int, str, type(None)) for v in held.values())
        assert held["basis"].isprintable()
        assert held["beside_is"].isprintable()
    return held


@pytest.mark.parametrize("door", GOOD)
def test_what_an_honest_player_says_is_heard(door):
    heard = hear(door, ch.pack(GOOD[door]))
    # Who asks for cells is answered, and goes without another word.
    if door == "ask":
        assert heard == "Alice ended its own host process."
    else:
        assert type(heard) is not str


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=6)
    | st.binary(max_size=9)
    | hnp.arrays(
        st.sampled_from(["f2", "f4", ">f4", "f8", "i8", "u1", "?"]),
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
    )
    | st.sampled_from([*GOOD.values(), FACTS, HELD, "K", "\x1b[2J", 2**40])
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
names = st.sampled_from(
    ["failed", "facts", "declared", "message", "payload", "memories", "answer", "plan", "ask",
     "error", "text", "detail", "budget", *FACTS, *HELD],
)  # fmt: skip


@st.composite
def nearly(draw, door):
    """A good frame with one part of it, at any depth, replaced, taken away, or added."""

    def broken(part):
        keys = list(part)
        key = draw(st.sampled_from(keys) | names)
        inner = part.get(key)
        if type(inner) is dict and inner and draw(st.booleans()):
            return {**part, key: broken(inner)}
        if draw(st.integers(0, 4)) == 0:
            return {k: v for k, v in part.items() if k != key}
        return {**part, key: draw(values)}

    return broken(GOOD[door])


frames = st.dictionaries(names, values, max_size=4) | values
errors = st.fixed_dictionaries(
    {
        "error": st.sampled_from(["BudgetTooSmall", "BadInput", "PluginFailure", "other"]) | values,
        "text": st.text() | values,
    },
    optional={"detail": st.text() | values, "budget": st.lists(values, max_size=4) | values},
)


@pytest.mark.parametrize("door", GOOD)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_frame_reaches_the_harness_unread(door, data):
    frame = data.draw(nearly(door) | frames | errors)
    try:
        body = ch.pack(frame)
    except (TypeError, OverflowError, ValueError):
        return
    hear(door, body)


@pytest.mark.parametrize("door", GOOD)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255), junk=st.binary(max_size=40))
def test_nor_do_bytes_that_are_no_frame(door, at, byte, junk):
    body = bytearray(ch.pack(GOOD[door]))
    body[at % len(body)] = byte
    hear(door, bytes(body))
    hear(door, junk)


LONG = "x" * 20000 + "\x1b[2J\n" * 2000


@pytest.mark.parametrize(
    ("door", "frame", "said"),
    [
        ("write", {"message": b"ab", "payload": 0, "memories": None}, "its message is not bytes"),
        ("write", {"message": BITS, "payload": 0, "memories": None}, "its message is not bytes"),
        ("write", {"message": [1, 2], "payload": 0, "memories": None}, "its message is not bytes"),
        ("write", {"message": {1: 2}, "payload": 0, "memories": None}, "not a frame"),
        ("write", {"message": "ab", "payload": 0, "memories": None}, "its message is not bytes"),
        ("write", {"message": AB, "payload": 3, "memories": None}, "out of range"),
        ("write", {"message": AB, "payload": True, "memories": None}, "out of range"),
        ("write", {"message": AB, "payload": 2, "memories": {"a": 1}}, "other fields than"),
        ("write", {"message": AB, "payload": 2, "memories": None, "x": 1}, "other fields"),
        ("write", {"failed": LONG}, "Alice says: xxx"),
        ("write", {"failed": ["a"]}, "a text in it is not text"),
        ("begin", {"error": np.arange(2), "text": ""}, "an error of an unknown kind"),
        ("begin", {"declared": -1}, "out of range"),
        ("begin", {"declared": 1.0}, "out of range"),
        ("begin", {"declared": True}, "out of range"),
        ("begin", [], "other fields than declared"),
        ("begin", 7, "other fields than declared"),
        ("answer", {"answer": OUTPUTS.T.copy()}, "its answer is not float32[4, 2]"),
        ("answer", {"answer": OUTPUTS.astype(">f4")}, "arrays of this type"),
        ("answer", {"answer": OUTPUTS.astype(float)}, "its answer is not float32[4, 2]"),
        ("answer", {"answer": OUTPUTS.tolist()}, "its answer is not float32[4, 2]"),
        ("answer", {"answer": OUTPUTS * np.nan}, "NaN or infinity"),
        ("bits", {"answer": OUTPUTS}, "its answer is not bool[4, 2]"),
        ("bits", {"answer": BITS[:1]}, "its answer is not bool[4, 2]"),
        ("plan", {"plan": b"1"}, "its plan is not 2 bytes"),
        ("plan", {"plan": np.zeros(2, np.float16)}, "its plan is not 2 bytes"),
        ("plan", {"plan": b"", "more": 1}, "other fields than plan"),
        ("ask", {"ask": ["K", WHOLE]}, "its question names no cells"),
        ("ask", {"ask": ["K", WHOLE, WHOLE[:2]]}, "more or fewer coordinates"),
        ("ask", {"ask": ["K", OUTPUTS[0], WHOLE]}, "its question names no cells"),
        ("sit", {"facts": {**FACTS, "source": "no digest"}}, "its source is not a digest"),
        ("sit", {"facts": {**FACTS, "source": "0" * 16}}, "not the digest of its files"),
        ("sit", {"facts": {**FACTS, "files": ["/dev/zero"]}}, "not the digest of its files"),
        ("sit", {"facts": {**FACTS, "files": ["/no/such\0file"]}}, "not the digest of its files"),
        ("sit", {"facts": {**FACTS, "files": "ab"}}, "its files are not a list of names"),
        ("sit", {"facts": {**FACTS, "streaming": 1}}, "streaming, batched and budgeted"),
        ("sit", {"facts": {**FACTS, "budgeted": None}}, "streaming, batched and budgeted"),
        ("sit", {"facts": {**FACTS, "message_bytes": 2**62}}, "out of range"),
        ("sit", {"error": "PluginFailure", "text": LONG, "detail": LONG}, "xxx"),
        ("sit", {"error": "KeyboardInterrupt", "text": ""}, "an unknown kind"),
        ("sit", {"error": np.arange(2), "text": ""}, "an unknown kind"),
        ("sit", {"error": "BudgetTooSmall", "text": "", "budget": ["a", "b", 1]}, "out of range"),
    ],
)  # fmt: skip
def test_a_wrong_frame_is_a_sentence(door, frame, said):
    assert said in hear(door, ch.pack(frame))


def test_a_player_is_a_built_in_if_its_target_is_and_not_if_it_says_so():
    facts = hear("sit", ch.pack({"facts": {**FACTS, "builtin": True, "batched": True}}))
    assert (facts.builtin, facts.batched) == (False, False)


def test_versions_are_an_engines_and_nobody_elses():
    facts = {**FACTS, "versions": {"numpy": "9\x1b[2J", "torch": "2"}}
    assert hear("sit", ch.pack({"facts": facts})).versions == {}
    with seated(ch.pack({"facts": facts})) as seat:
        table = Table("hf:dynamic", "/", {}, Shape(N, D, D), None, {})
        (told,) = seat.open([table])
        assert told.versions == {"numpy": "9 [2J", "torch": "2"}


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x91" * 200 + b"\xc0",
        b"\x92\xc0" * 2000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdc\x1f\xff" + b"\x90" * 8191,
        b"\x98" + b"\xdc\x1f\xff" * 8,
        b"\xc6\xff\xff\xff\xff",
        msgpack.packb(msgpack.Timestamp(1)),
        msgpack.packb(msgpack.ExtType(1, msgpack.packb(["f4," * 9000, [1]]))),
        msgpack.packb(msgpack.ExtType(1, msgpack.packb(["<f4", [-1]]))),
        msgpack.packb(msgpack.ExtType(1, msgpack.packb(["<f4", [True]]))),
        msgpack.packb(msgpack.ExtType(1, msgpack.packb(["<f4", [1.0]]))),
        msgpack.packb(msgpack.ExtType(1, msgpack.packb(["<f4", [1 << 39, 1 << 39]]))),
        msgpack.packb(msgpack.ExtType(1, msgpack.packb(["|b1", 1]))),
        msgpack.packb(msgpack.ExtType(1, msgpack.packb({"a": 1}))),
    ],
)
def test_bombs_are_refused(bomb):
    body = len(bomb).to_bytes(4, "big") + bomb
    for door in ("begin", "write", "sit"):
        for rest in (b"", bytes(64)):
            assert "broke" in hear(door, body + rest)


def test_files_that_are_no_files_are_not_read():
    """Of those in /proc some never end, and a stranger would have the harness wait for them."""
    for file in ("/proc/version", "/proc/self/../version"):
        facts = {**FACTS, "files": [file], "source": identity([Path(file)], FACTS["version"])}
        assert "not the digest of its files" in hear("sit", ch.pack({"facts": facts}))


def test_links_in_a_circle_are_no_files(tmp_path):
    circle = tmp_path / "mine.py"
    circle.symlink_to(circle)
    said = {**FACTS, "files": [str(circle)]}
    assert "not the digest of its files" in hear("sit", ch.pack({"facts": said}))


def test_files_too_large_to_be_sources_together_are_not_read(tmp_path):
    files = [tmp_path / f"{i}.py" for i in range(3)]
    for file in files:
        file.touch()
        os.truncate(file, 30 << 20)
    said = {**FACTS, "files": list(map(str, files)), "source": identity(files, FACTS["version"])}
    assert "not the digest of its files" in hear("sit", ch.pack({"facts": said}))


def test_a_source_is_the_digest_of_files_of_which_one_is_the_targets_own(tmp_path):
    own, other = tmp_path / "mine.py", tmp_path / "other.py"
    own.write_text("1")
    other.write_text("2")
    table = Table("mine.py:Mine", str(tmp_path), {}, Shape(N, D, D), 64, {})
    for files, whose, said in (
        ([own, other], [own, other], None),
        ([other], [other], "its source leaves out its own file"),
        ([own], [own, other], "its source is not the digest of its files"),
    ):
        source = identity(whose)
        facts = {**FACTS, "source": source, "files": [str(file) for file in files]}
        with seated(ch.pack({"facts": facts})) as seat:
            (told,) = seat.open([table])
            if said is None:
                assert told.source == source
            else:
                assert said in str(told)
