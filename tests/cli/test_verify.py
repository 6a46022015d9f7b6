"""`verify` on what we write, and on hundreds of files that somebody spoiled."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kvbarrier.errors import KVBarrierError
from kvbarrier.protocols.certificates.document import (
    digest,
    document_text,
    parse_document,
    read_document,
)
from kvbarrier.protocols.certificates.of_limit import limit_certificate
from kvbarrier.protocols.certificates.of_own_keys import own_keys_certificate
from kvbarrier.protocols.certificates.verify import verify_document
from kvbarrier.protocols.game.instances import Index
from kvbarrier.reductions.limit import index_limit
from kvbarrier.reductions.own_keys import own_tokens
from kvbarrier.runs.attack import Attack, play
from kvbarrier.runs.certificate import attack_certificate

from tests.cli.false_certificates import FALSE, HOSTILE

Document = dict[str, Any]
KINDS = ("flat", "rows", "own", "attack")
SMALL = ("--n", "32", "--d", "16", "--keys", "hypercube", "--messages", "4")


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    plan = Attack("sliding-window", Index(n=32, d=16, keys="hypercube"), messages=20)
    return {
        "flat": limit_certificate(index_limit("kerdock", None, 16)),
        "rows": limit_certificate(index_limit("jl", 16, 6, gamma=0.1, eta=None)),
        "own": own_keys_certificate(
            own_tokens(np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32), 4.0),
            0.9,
            6,
        ),
        "attack": attack_certificate(play(plan).outcomes[4:6], "results.csv"),
    }


def sealed(document: Document) -> str:
    """The text with its digest made right, so that what is wrong has to be found otherwise."""
    try:
        return json.dumps(document | {"sha256": digest(document)})
    except ValueError:  # NaN
        return json.dumps(document)


def rejection(data: str | bytes) -> tuple[int, str]:
    """Exit code and sentence; an assertion unless it is refused, soon, by one sentence."""
    data = data.encode() if isinstance(data, str) else data
    began = time.process_time()
    try:
        said, error = verify_document(parse_document(data)).sentence, None
    except KVBarrierError as refused:
        error = refused
    seconds = time.process_time() - began
    assert error is not None, f"accepted: {data[:300]!r}\n{said}"
    sentence = str(error)
    assert error.exit_code in (1, 2)
    assert sentence.isascii()
    assert sentence.isprintable()
    assert 15 < len(sentence) < 500
    assert sentence[-1] in ".?"
    assert seconds < 3
    return error.exit_code, sentence


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to everything that is no object or list, and the path to every one of these."""
    yield path
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for name, item in items:
        yield from leaves(item, (*path, name))


def spoiled(document: Document, path: tuple[Any, ...], change: Callable[[Any, Any], Any]) -> str:
    """A copy in which ``change(holder, name)`` was done at the path, with its digest made right."""
    copy = deepcopy(document)
    holder: Any = copy
    for name in path[:-1]:
        holder = holder[name]
    change(holder, path[-1])
    return json.dumps(copy) if path == ("sha256",) else sealed(copy)


def put(value: Any) -> Callable[[Any, Any], Any]:
    return lambda holder, name: holder.__setitem__(name, value)


NONSENSE: list[Any] = [
    None, True, -1, 10**59, -(10**59), 10**200, 0.5, float("nan"), float("inf"), "", "x\n", "1/0",
    "NaN", "é", "\x00", "9" * 5000, [], {}, [[]], {"x": 1},
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_nonsense_in_any_field_is_refused(documents, kind: str) -> None:
    document = documents[kind]
    free = {("made_by",), ("results",), ("keys", "family")}
    tried = 0
    for path in leaves(document):
        for value in NONSENSE:
            text = path in free or path[-1:] in (("source",), ("key",))
            if path and not (text and value in ("1/0", "NaN")):
                rejection(spoiled(document, path, put(value)))
                tried += 1
    assert tried > 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_left_out_put_in_or_written_twice_is_refused(documents, kind: str) -> None:
    document = documents[kind]
    tried = 0
    for path in leaves(document):
        if path and isinstance(path[-1], str):
            code, _ = rejection(spoiled(document, path, lambda holder, name: holder.pop(name)))
            assert code == 2
            code, _ = rejection(spoiled(document, (*path[:-1], "extra"), put(1)))
            assert code == 2
            tried += 2
    text = sealed(document)
    for name in document:
        _, sentence = rejection(text.replace("{", f'{{"{name}": 1, ', 1))
        assert f'"{name}" occurs twice' in sentence
    assert tried > 30


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_or_a_lost_end_is_refused(documents, kind: str) -> None:
    data = document_text(documents[kind]).encode()
    verify_document(parse_document(data))
    for i in range(60):
        assert rejection(data[: i * (len(data) - 2) // 60])[0] == 2
        where = (2 * i + 1) * len(data) // 121
        changed = bytes([data[where] ^ (1 << i % 7)])
        rejection(data[:where] + changed + data[where + 1 :])


@pytest.mark.parametrize("kind", KINDS)
def test_false_claims_with_a_right_digest_are_refused(documents, kind: str) -> None:
    codes = [rejection(sealed(false))[0] for _, false in FALSE[kind](documents[kind])]
    assert len(codes) > 20
    assert codes.count(1) > 2


def test_what_only_says_where_it_is_from_may_change(documents) -> None:
    """The mutations above would mean little if every change were refused."""
    rows, counts = documents["rows"], documents["attack"]
    for true in (
        rows | {"keys": rows["keys"] | {"seed": 5}},
        rows | {"made_by": "by hand"},
        rows | {"values": "pm1"},
        documents["flat"] | {"tolerance": {"eta": "1/3"}},
        documents["own"] | {"norm": "5"},
        counts | {"results": "elsewhere.csv"},
        counts | {"cells": counts["cells"][::-1]},
    ):
        assert verify_document(parse_document(sealed(true).encode())).sentence


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_files_are_refused(data: str | bytes) -> None:
    assert rejection(data)[0] == 2


@pytest.mark.parametrize("depth", [9, 200, 900, 100_000])
def test_deep_nesting_is_refused_as_that(depth: int) -> None:
    # Some depths can be parsed and not written again, for the digest: they must not get that far.
    text = '{"format": "kvbarrier-certificate", "version": 1, "a": ' + "[" * depth + "]" * depth
    assert "nested" in rejection(text + "}")[1]


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none", "/dev/zero"):
        with pytest.raises(KVBarrierError, match=r"^\S+ (is not a plain file|cannot be read)"):
            read_document(path)


# ---------------------------------------------------------------- the command line


def spoil(path: Path, name: str, value: Any) -> None:
    document = json.loads(path.read_text()) | {name: value}
    path.write_text(sealed(document))


def test_bound_writes_what_verify_proves(kvbarrier) -> None:
    said = kvbarrier("bound", "--keys", "kerdock", "--d", "16", "--certificate", "c.json", "--json")
    assert (said.code, json.loads(said.out)["bound_bits"] // 1) == (0, 2174)
    proof = kvbarrier("verify", "c.json")
    assert (proof.code, proof.err) == (0, "")
    assert proof.out in said.err.removeprefix("wrote c.json: ")
    assert proof.out.count("\n") == 1
    assert "at least 2174 bits of entropy" in proof.out
    document = json.loads(kvbarrier("verify", "c.json", "--json").out)
    assert document["proved"] is True
    assert document["sentence"] == proof.out.rstrip("\n")
    assert (document["facts"]["n"], document["facts"]["taken"]) == (256, "nothing")
    spoil(Path("c.json"), "bound_bits", 2175)
    said = kvbarrier("verify", "c.json")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "kvbarrier: the claim is false: 'bound_bits' is 2175, where N (1 - h(1 - success)) gives "
        "2174.\n"
    )
    Path("c.json").write_text("{}")
    assert kvbarrier("verify", "c.json").code == 2


@pytest.mark.parametrize("beside", [("--model", "c.json"), ("--logit-range", "12")])
def test_other_bounds_have_no_certificate(kvbarrier, beside: tuple[str, ...]) -> None:
    Path("c.json").write_text("{}")
    said = kvbarrier("bound", *beside, "--certificate", "new.json")
    assert said.code == 2
    assert "--certificate has no meaning with" in said.err
    assert not Path("new.json").exists()


def test_attack_writes_counts_that_can_be_played_again(kvbarrier) -> None:
    play = ("attack", "sliding-window", *SMALL, "--budget", "1/4,1/2", "--resume", "r.csv")
    said = kvbarrier(*play, "--certificate", "a.json")
    assert said.code == 0
    proof = kvbarrier("verify", "a.json")
    assert (proof.code, proof.err) == (0, "")
    assert proof.out in said.err
    cell = json.loads(Path("a.json").read_text())["cells"][0]
    # 1/4 of 2*16*32*16 bits for the newest 8 tokens: 8*32 numbers of 16 bits.
    assert cell["batches"][0]["charged"] == [4096] * 4
    # Largest after one message: 512 bits asked, 4096 charged, 512 - 4096 - log2(513) = -3593.003,
    # rounded down; after all four it would be -14348.
    assert "excludes nothing (without a wrong bit the largest would be -3594 bits, and 41 " in (
        proof.out
    )
    assert kvbarrier("replay", "r.csv", cell["cell"], "0").code == 0
    kvbarrier(*play, "--certificate", "again.json")
    assert Path("again.json").read_bytes() == Path("a.json").read_bytes()


CHEAT = """
import hashlib
from kvbarrier import Compressor
import numpy as np
HIDDEN = {}
class Cheat(Compressor):
    def __init__(self, *a, **k):
        super().__init__(*a, **k)
        self.K, self.V = [], []
    def append(self, q, k, v):
        self.K.append(k), self.V.append(v)
    def attend(self, q):
        w = np.exp(np.array(self.K) @ q)
        return (w @ np.array(self.V) / w.sum()).astype("float32")
    def save(self):
        message = hashlib.sha256(repr(self.V).encode()).digest()[:4]
        HIDDEN[message] = list(self.K), list(self.V)
        open("sent", "ab").write(message)
        return message
    def restore(self, message):
        self.K, self.V = map(list, HIDDEN[message])
"""


def test_an_impossible_memory_is_certified_and_named(kvbarrier) -> None:
    Path("cheat.py").write_text(CHEAT)
    said = kvbarrier(
        "attack", "cheat.py:Cheat", *SMALL, "--budget", "free", "--isolation", "inline",
        "--out", "out", "--certificate", "a.json",
    )  # fmt: skip
    assert said.code == 4
    facts = json.loads(kvbarrier("verify", "a.json", "--json").out)["facts"]
    assert (facts["verdict"], facts["results"]) == ("impossible", "results.csv")
    # Four bytes, made self-delimiting: 32 + 2 floor(log2(4+1)) + 1 bits a message.
    largest, sent = facts["largest"], Path("sent").read_bytes()
    assert (largest["charged"], largest["wrong"]) == (37 * 4, 0)
    messages = [sent[i : i + 4] for i in range(0, len(sent), 4)]
    # Once in the attack and once for the certificate; second halves are written after all others.
    again = [hashlib.sha256(m).hexdigest() for m in messages].count(largest["message_sha256"])
    assert again >= 2
    assert largest["peak_bits"] >= 40
    assert "so the memory that was charged is impossible" in kvbarrier("verify", "a.json").out


def test_a_compressor_that_is_charged_otherwise_again_is_not_certified(kvbarrier) -> None:
    longer = 'HIDDEN["n"] = HIDDEN.get("n", b"") + b"x"; return message + HIDDEN["n"]'
    code = CHEAT.replace("return message", longer)
    code = code.replace("HIDDEN[message])", "HIDDEN[message[:4]])")
    Path("cheat.py").write_text(code)
    said = kvbarrier(
        "attack", "cheat.py:Cheat", *SMALL, "--budget", "free", "--isolation", "inline",
        "--out", "out", "--certificate", "a.json",
    )  # fmt: skip
    assert said.code == 2
    assert "only deterministic results can be certified" in said.err
    assert not Path("a.json").exists()


def test_a_certificate_of_an_attack_asks_for_a_file_to_replay(kvbarrier) -> None:
    said = kvbarrier("attack", "zero", *SMALL, "--certificate", "a.json")
    assert said.code == 2
    assert "add --resume FILE or --out DIR" in said.err
    assert not Path("a.json").exists()


PROBE = """
import sys
from kvbarrier.cli import main
try:
    main({argv!r})
except SystemExit as stop:
    print("CODE", stop.code)
heavy = ("numpy", "numba", "pandas", "matplotlib", "scipy")
print("LOADED", [m for m in heavy if m in sys.modules])
"""


def probe(*argv: str) -> str:
    code = PROBE.format(argv=list(argv))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout


@pytest.mark.parametrize("kind", KINDS)
def test_verify_loads_nothing_heavy(documents, kind: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(document_text(documents[kind]))
    said = probe("verify", str(tmp_path / "c.json"))
    assert "CODE 0\n" in said
    assert said.endswith("LOADED []\n")


def test_the_probe_can_fail() -> None:
    assert "'numpy'" in probe("bound", "--keys", "kerdock", "--d", "16")


def test_the_real_program_says_one_line(documents, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    flat = documents["flat"]
    texts = {
        document_text(flat): 0,
        sealed(flat | {"bound_bits": flat["bound_bits"] + 1}): 1,
        sealed(flat | {"scale": float("nan")}): 2,
        document_text(flat)[:-20]: 2,
        "[" * 200_000: 2,
    }
    for text, code in texts.items():
        path.write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "kvbarrier", "verify", str(path)],
            capture_output=True, text=True, env=os.environ | {"PYTHONIOENCODING": "ascii"},
        )  # fmt: skip
        assert done.returncode == code
        said, silent = (done.stdout, done.stderr) if code == 0 else (done.stderr, done.stdout)
        assert (said.count("\n"), silent) == (1, "")
        assert "Traceback" not in said
