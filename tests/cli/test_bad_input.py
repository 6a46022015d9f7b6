"""Bad input of every kind: one sentence, a documented exit code, and never a traceback of ours.

Results files, certificates, arguments, plug-ins and environments are generated, a few hundred here
and thousands under ``make soak``; nearly all are given to the command line in this process, some to
one of their own. The seed is printed; KVBARRIER_BAD_INPUT_SEED plays it again.
"""

from __future__ import annotations

import contextlib
import copy
import csv
import functools
import io
import json
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import kvbarrier as package
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from kvbarrier.cli import VERBS, main
from kvbarrier.protocols.certificates.document import digest as seal
from kvbarrier.protocols.game.instance import digest
from kvbarrier.runs.results import ResultsWarning

DOCUMENTED = {0, 1, 2, 3, 4}
HOUSE = str(Path(package.__file__).resolve().parent)
FRAME_OF_OURS = re.compile(rf'File "{re.escape(HOUSE)}/(?!tests/|\.venv/)')
SECONDS = 120

JSON_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 17, 2**31, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308,
    -1e308, 1e-320, "", "0", "-1", "1/0", "1e999999999", "nan", "inf", "exact", "no-such-thing",
    "$\\frac{", "a$b$", "\ud800", "\udfff x", "\x1b[31m", "\x00", "é", "\u202e", "x" * 5000, "_x",
    "../x.py:A", "/etc/passwd", "a.py:A", "os:system", "zero?x=1", "zero?", "codec:x.py", "hf:",
    "engine:x", [], {}, [1], {"a": 1}, [[[[]]]], [None], ["x"], "experiments", "00", "inline",
)  # fmt: skip
DEEP = "[" * 100_000 + "]" * 100_000
WORDS: tuple[str, ...] = (
    "", "0", "-1", "1", "2", "3", "16", "nan", "inf", "-inf", "1e400", "1e-400", "1/0", "1/4",
    "free",
    "0.5", "99999999999999999999", "-99999999999999999999", "x", "a=1", "a=1,2", "=", "a=", "tight",
    "$", "\udcff", "é", "\x1b[31m", "x" * 5000, "../x", "/dev/null", "/dev/full", "/proc/self/mem",
    ".", "none.py", "none.py:A", "zero", "exact", "bit_error<=0.1", "bit_error<=x @ budget=0.25",
    "tcp://127.0.0.1:1", "--", "-", "jl", "kerdock", "all", "best", "linear", "index",
    "key-payload",
    "visual", "tensor", "sliding-window", "indistinguishability", "hypercube", "gaussian",
    "rotated",
)  # fmt: skip


class Said(NamedTuple):
    code: int
    out: str
    err: str


def run(*argv: str, where: Path) -> Said:
    """The command line in this process, in a folder; a hang is an error."""
    out, err = io.StringIO(), io.StringIO()
    before = Path.cwd()
    old = signal.signal(signal.SIGALRM, _late)
    signal.alarm(SECONDS)
    try:
        os.chdir(where)
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
        ):
            # Told on stderr, as a user has it; of the tests' own settings a warning is an error.
            warnings.simplefilter("default", ResultsWarning)
            main(list(argv))
    except SystemExit as stop:
        code = 0 if stop.code is None else int(stop.code)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        os.chdir(before)
    return Said(code, out.getvalue(), err.getvalue())


def _late(*_: object) -> None:
    raise AssertionError(f"not done after {SECONDS} s")


def apart(*argv: str, where: Path, **environment: str) -> Said:
    """The command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "kvbarrier", *argv],
        cwd=where, env=os.environ | environment, capture_output=True, text=True, check=False,
        timeout=SECONDS, errors="replace", stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def judge(said: Said, told: object) -> None:
    """What holds of every run; ``told`` is what was given."""
    shown = f"{str(told)[:2000]}\n{said.err[-3000:]}"
    assert said.code in DOCUMENTED, f"exit code {said.code} of {shown}"
    assert "a bug in kvbarrier" not in said.err, shown
    assert "Traceback" not in said.err or said.code == 3, shown
    assert not FRAME_OF_OURS.search(said.err), shown
    assert "\x1b" not in said.err, shown
    assert "\ud800" not in said.err, shown
    # A check's findings in JSON are told on stdout.
    if said.code in (2, 3) and not said.out:
        assert re.search(r"kvbarrier: |Error: |failed: |error: ", said.err), shown


# -- material -------------------------------------------------------------------------------------

GAME = ("--n", "32", "--d", "16", "--keys", "hypercube", "--messages", "4")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sound files: two results files and two certificates."""
    folder = tmp_path_factory.mktemp("good")
    for name, file in (("reservoir", "a.csv"), ("zero", "b.csv")):
        one = ("attack", name, *GAME, "--budget", "1/2", "--resume", file)
        assert run(*one, "--certificate", f"{name}.json", where=folder).code == 0
    bound = ("bound", "--n", "16", "--d", "16", "--keys", "hypercube")
    assert run(*bound, "--certificate", "bound.json", where=folder).code == 0
    return folder


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all parts of plain data."""
    yield path
    parts = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for name, part in parts:
        yield from places(part, (*path, name))


def changed(tree: Any, rng: random.Random) -> Any:
    """Plain data with one part replaced, dropped or doubled."""
    tree = copy.deepcopy(tree)
    *path, last = rng.choice([one for one in places(tree) if one] or [("",)])
    part = functools.reduce(lambda node, name: node[name], path, tree)
    if last == "":
        return rng.choice(JSON_VALUES)
    way = rng.random()
    if way < 0.15:
        del part[last]
    elif way < 0.25 and isinstance(part, dict):
        part[rng.choice(("x", "\ud800", "", "n", "target"))] = rng.choice(JSON_VALUES)
    elif way < 0.35 and type(part[last]) is int:
        part[last] += rng.choice((1, -1, 2**40))
    else:
        part[last] = rng.choice(JSON_VALUES)
    return tree


def torn(data: bytes, rng: random.Random) -> bytes:
    """Bytes with some of them changed, lost or doubled."""
    at, to = sorted(rng.randrange(len(data) + 1) for _ in "ab")
    return rng.choice((
        data[:at], data[at:], data[:at] + data[to:], data[:to] + data[at:],
        data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
        data[:at] + rng.choice((b"\0", b"\xff\xfe", b"\n", b"\r", b'"', b",", b"\xef\xbb\xbf",
        b"{" * 9)) + data[at:],
        data.replace(b"\n", b"\r\n"), data.upper(), data * 2, b"",
    ))  # fmt: skip


def results_file(data: bytes, rng: random.Random) -> bytes:
    """A results file with one thing wrong, and often with ids that are right all the same."""
    if rng.random() < 0.2:
        return torn(data, rng)
    header, *rows = csv.reader(data.decode().splitlines())
    row = rng.choice(rows)
    name = rng.choice(header)
    at = header.index(name)
    if rng.random() < 0.45:
        name, at = "spec", header.index("spec")
    try:
        parsed = json.loads(row[at])
    except ValueError:
        parsed = row[at]
    if rng.random() < 0.04:
        row[at] = DEEP
    elif isinstance(parsed, dict | list) and rng.random() < 0.9:
        row[at] = json.dumps(changed(parsed, rng))
    else:
        value = rng.choice(JSON_VALUES)
        row[at] = value if isinstance(value, str) else json.dumps(value)
    if name == "spec" and rng.random() < 0.9:
        with contextlib.suppress(Exception):
            spec = json.loads(row[at])
            row[header.index("cell")] = digest(spec)
            row[header.index("instance")] = digest(spec["instance"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows, *([row] if rng.random() < 0.1 else [])])
    return text.getvalue().encode("utf-8", "surrogatepass")


def bad_results(good: Path, folder: Path, rng: random.Random) -> tuple[str, ...]:
    file = folder / "bad.csv"
    file.write_bytes(results_file((good / rng.choice(("a.csv", "b.csv"))).read_bytes(), rng))
    cells = re.findall(r"\b[0-9a-f]{16}\b", file.read_bytes().decode(errors="replace")) or ["0"]
    return rng.choice((
        ("report", "bad.csv", "--json"),
        ("report", "bad.csv", str(good / "b.csv"), "--json"),
        ("report", "bad.csv") if rng.random() < 0.2 else ("report", "bad.csv", "--json"),
        ("plot", "bad.csv") if rng.random() < 0.2 else ("report", "bad.csv", "--json"),
        ("replay", "bad.csv", rng.choice(cells), "0", "--isolation", "inline"),
        ("replay", "bad.csv", rng.choice(("", *cells)), rng.choice(("0", "1")), "--target", "zero",
         "--isolation", "inline"),
        ("attack", "zero", *GAME, "--budget", "1/2", "--resume", "bad.csv", "--json"),
        ("attack", "zero", *GAME, "--budget", "1/2", "--baseline", "bad.csv", "--json",
         "--isolation", "inline"),
    ))  # fmt: skip


def bad_certificate(good: Path, folder: Path, rng: random.Random) -> tuple[str, ...]:
    data = (good / rng.choice(("reservoir.json", "zero.json", "bound.json"))).read_bytes()
    if rng.random() < 0.3:
        data = torn(data, rng)
    elif rng.random() < 0.03:
        data = data.replace(b'"bound"', DEEP.encode())
    else:
        document = changed(json.loads(data), rng)
        if isinstance(document, dict) and rng.random() < 0.8:
            with contextlib.suppress(Exception):
                document["sha256"] = seal(document)
        data = json.dumps(document).encode()
    (folder / "bad.json").write_bytes(data)
    return ("verify", "bad.json", *rng.choice(((), ("--json",))))


def options_of(verb: str) -> list[Any]:
    from kvbarrier.cli import cli

    command = cli.get_command(None, verb)  # type: ignore[arg-type]
    assert command is not None
    return [param for param in command.params if param.opts[0].startswith("--")]


def bad_arguments(good: Path, folder: Path, rng: random.Random) -> tuple[str, ...]:
    """A verb with options of its own, their values sound or not; nothing that runs for minutes."""
    verb = rng.choice([*VERBS, "attack", "attack", "bound", "bound"])
    file = str(good / rng.choice(("a.csv", "none.csv", "bound.json")))
    argv: list[str] = {
        "attack": [rng.choice(("zero", "zero", "lossless", "full-scan", rng.choice(WORDS))),
                   "--n", "32", "--d", "16",
                   "--keys", "hypercube", "--budget", "1/2", "--messages", "2"],
        "check": [rng.choice(("zero?x=1", *WORDS[:34]))],
        "bound": ["--n", "32", "--d", "16"],
        "verify": [file],
        "experiments": ["run", rng.choice(("", "x", "\udcff", "fan"))],
        "regress": ["--nothing"],
        "replay": [file, rng.choice(WORDS), rng.choice(WORDS)],
        "plot": [file],
        "report": [file, "--json"],
        "list": [rng.choice(("keys", "reductions", "engines", *WORDS))],
        "new": [rng.choice(("a.py", *WORDS))],
        "compare": ["zero", rng.choice(("lossless", *WORDS[:34])), "-n", "32", "-d", "16",
                    "--keys", "hypercube", "-m", "1"],
        "capture": [rng.choice(("smollm2", *WORDS[:34])), rng.choice((file, *WORDS[:34]))],
    }[verb]  # fmt: skip
    if verb == "check" and argv[0] in ("zero", "exact"):
        argv = ["no-such"]
    params = [] if verb in ("experiments", "regress") else options_of(verb)
    for param in rng.sample(params, min(len(params), rng.randrange(4))):
        if param.name in ("cluster", "model"):
            continue
        argv.append(param.opts[0])
        if not param.is_flag:
            known = getattr(param.type, "choices", None)
            value = rng.choice((*known, "x") if known and rng.random() < 0.7 else WORDS)
            argv.append(str(value))
    argv = [verb, *argv]
    if rng.random() < 0.1:
        argv.insert(rng.randrange(len(argv) + 1), rng.choice(WORDS))
    if argv[:1] in (["experiments"], ["regress"]) and len(argv) < 3:
        argv = ["bound", "--n", "x"]
    return tuple(one.replace("\0", "") for one in argv)


PLUGIN = """\
{head}
class Mine{base}:
    {attributes}
    def __init__(self, shape, budget_bits=None, seed=0, public=None{params}):
        {init}
        self.shape, self.rows = shape, []

    {decorator}
    def append(self, {append}):
        {appended}

    def attend(self, {attend}):
        {answer}
    {more}
{tail}
"""
ODD = (
    "pass", "return None", "return 'text'", "raise SystemExit(3)", "raise KeyError", "1 / 0",
    "return []",
    "raise type('E', (Exception,), {'__str__': lambda s: 1 / 0})()", "return {}", "yield 1",
    "return q[:1]", "return q + 1j", "return q * float('nan')", "return q.astype(str)",
    "return self",
    "return object()", "return np.zeros((10, 10))", "raise BaseException('all')", "return b''",
    "return 3",
    "raise kvbarrier.BudgetTooSmall('me', 1, 2)", "raise kvbarrier.BudgetTooSmall('me', 1, -2)",
    "raise Exception('\\ud800')", "raise Exception('\\x1b[31m')", "raise RecursionError",
    "self.attend(q)",
    "raise GeneratorExit", "raise MemoryError", "assert False", "return np.array([object()] * 16)",
)  # fmt: skip
PARTS: dict[str, tuple[str, ...]] = {
    "head": ("", "import numpy as np, kvbarrier", "import no_such_module", "raise SystemExit(0)",
             "\t1",
             "raise Exception('\\ud800')", "\x00", "# -*- coding: no-such -*-",
             "import sys; sys.exit('bye')",
             "def compress(Q, K): return K, K", "from .x import y"),
    "base": ("(kvbarrier.Compressor)", "(dict)", "(kvbarrier.Compressor, dict)",
             "(object, metaclass=None)", "(None)"),
    "attributes": ("message_bytes = -1", "message_bytes = 'x'", "message_bytes = 10",
                   "layout = 'heads'",
                   "layout = 'x'", "layout = 3", "streaming = None", "streaming = False",
                   "append = 3",
                   "__slots__ = ()", "knows_keys = 'x'", "attend = property(lambda s: 1 / 0)",
                   "restore = 3", "__getattr__ = None"),
    "params": (", need", ", *a, **k", ", *, need", ", seed2=1"),
    "init": ODD,
    "decorator": ("@staticmethod", "@classmethod", "@property", "@None"),
    "append": ("k, v", "", "*a", "q, k, v, x", "q, k, v, *, x", "q, /, k, v", "self"),
    "appended": ODD,
    "attend": ("", "*q", "q, x", "**q"),
    "answer": ODD,
    "more": ("def save(self): return b''", "save = restore = None", "def __eq__(self, o): 1 / 0",
             "def save(self): return 'x'\n    def restore(self, m): pass",
             "def save(self): return b'x' * 9\n    def restore(self, m): 1 / 0",
             "def extend(self, Q, K, V): 1 / 0", "def extend(self, Q): pass",
             "def next_outputs(self, Q, K, V): return Q",
             "def next_outputs(self, Q, K, V): return None",
             "def __setattr__(self, n, v): raise TypeError",
             "def __getattribute__(self, n): raise TypeError",
             "def block_outputs(self, *a): return 1"),
    "tail": ("Mine = None", "Mine = Mine, 1", "Mine = lambda: 1", "del Mine",
             "Mine.__init__ = None",
             "class Other(Mine): pass", "Mine.__module__ = None", "Mine.__name__ = '\\ud800'",
             "1 / 0"),
}  # fmt: skip
USUAL = {
    "head": "import numpy as np\nimport kvbarrier", "base": "", "attributes": "pass",
    "params": "", "init": "pass",
    "decorator": "", "append": "q, k, v", "appended": "self.rows.append((k, v))", "attend": "q",
    "answer": "return np.mean([v for _, v in self.rows], axis=0)", "more": "", "tail": "",
}  # fmt: skip


def bad_plug_in(good: Path, folder: Path, rng: random.Random) -> tuple[str, ...]:
    parts = dict(USUAL)
    for name in rng.sample(list(PARTS), rng.choice((1, 1, 1, 2, 3))):
        parts[name] = rng.choice(PARTS[name])
    name = f"bad_{secrets.token_hex(4)}.py"
    text = PLUGIN.format(**parts)
    data = text.encode("utf-8", "surrogatepass")
    (folder / name).write_bytes(torn(data, rng) if rng.random() < 0.1 else data)
    where = rng.choice((name, f"{name}:Mine", f"{name}:Mine?x=1", f"{name}:None", f"{name}:rows"))
    small = ("--n", "16", "--d", "16", "--keys", "hypercube", "--budget", "1/2", "--messages", "1")
    return ("attack", where, *small, "--isolation", "inline")


KINDS: dict[str, Callable[[Path, Path, random.Random], tuple[str, ...]]] = {
    "results": bad_results,
    "certificates": bad_certificate,
    "arguments": bad_arguments,
    "plug-ins": bad_plug_in,
}


@contextlib.contextmanager
def forgotten() -> Iterator[None]:
    """Plug-ins are imported here: leave no module or path of theirs behind."""
    modules, path = set(sys.modules), list(sys.path)
    try:
        yield
    finally:
        for name in set(sys.modules) - modules:
            if name.startswith("bad_"):
                del sys.modules[name]
        sys.path[:] = path


def play(kind: str, number: int, good: Path) -> None:
    """One input of a kind; it is a function of the number."""
    rng = random.Random(f"{kind} {number}")
    with tempfile.TemporaryDirectory() as folder, forgotten():
        argv = KINDS[kind](good, Path(folder), rng)
        try:
            judge(run(*argv, where=Path(folder)), argv)
        except BaseException as error:
            files = {p.name: p.read_bytes()[:3000] for p in Path(folder).glob("bad*")}
            error.add_note(f"{kind}, number {number}: {argv}\n{files}")
            raise


def play_many(kind: str, start: int, count: int, good: Path) -> None:
    print(f"{kind}: KVBARRIER_BAD_INPUT_SEED={start}, {count} inputs")

    @seed(start)
    @settings(
        max_examples=count, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.integers(0, 2**64 - 1))
    def each(number: int) -> None:
        play(kind, number, good)

    each()


ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "HOME": ("", "/nowhere", "/dev/null", "\udcff"),
    "TMPDIR": ("/nowhere", "/dev/null", ""),
    "XDG_CACHE_HOME": ("/dev/null",),
    "PATH": ("",),
    "KVBARRIER_FAULT": ("x", "3", "3:", ":full", "0:full", "1:full", "2:full", "-1:kill", "1:x"),
    "MPLBACKEND": ("no-such", "TkAgg"),
    "MPLCONFIGDIR": ("/dev/null", "/nowhere"),
    "NUMBA_NUM_THREADS": ("x", "0", "-1", "100000"),
    "NUMBA_CACHE_DIR": ("/dev/null/x",),
    "NUMBA_DISABLE_JIT": ("x", "1"),
    "NUMBA_OPT": ("x",),
    "OMP_NUM_THREADS": ("x", "-1"),
    "OPENBLAS_NUM_THREADS": ("x",),
    "COLUMNS": ("x", "-1", "0", "1"),
    "TERM": ("", "no-such", "dumb"),
    "LANG": ("xx_YY.UTF-9",),
    "LC_ALL": ("C", "xx"),
    "PYTHONIOENCODING": ("ascii", "latin-1"),
    "PYTHONUTF8": ("0",),
    "NO_COLOR": ("1",),
    "SOURCE_DATE_EPOCH": ("x",),
}


def bad_environment(folder: Path, rng: random.Random) -> tuple[tuple[str, ...], dict[str, str]]:
    """A sound command, and an environment that is not."""
    argv = rng.choice((
        ("list", "keys"),
        ("report", "a.csv"),
        ("report", "a.csv", "--json"),
        ("plot", "a.csv"),
        ("new", "mine.py"),
        ("verify", "zero.json"),
        ("bound", "--n", "16", "--d", "16", "--keys", "hypercube"),
        ("attack", "zero", *GAME, "--budget", "1/2", "--resume", "c.csv"),
        ("attack", "zero", *GAME, "--budget", "1/2", "--isolation", "process"),
        ("check", "none.py"),
    ))  # fmt: skip
    names = rng.sample(list(ENVIRONMENT), rng.choice((1, 1, 2, 3)))
    return argv, {name: rng.choice(ENVIRONMENT[name]) for name in names}


def play_apart(count: int, start: int, good: Path) -> None:
    print(f"environments: KVBARRIER_BAD_INPUT_SEED={start}, {count} inputs")
    for number in range(count):
        rng = random.Random(f"environments {start} {number}")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file in good.iterdir():
                if file.is_file():
                    (folder / file.name).write_bytes(file.read_bytes())
            argv, environment = bad_environment(folder, rng)
            judge(apart(*argv, where=folder, **environment), (number, argv, environment))


SEED = int(os.environ.get("KVBARRIER_BAD_INPUT_SEED", "20250701"))
FAST = {"results": 100, "certificates": 100, "arguments": 60, "plug-ins": 80}
SOAK = {"results": 900, "certificates": 600, "arguments": 500, "plug-ins": 500}


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_told_in_a_sentence(kind: str, good: Path) -> None:
    play_many(kind, SEED, FAST[kind], good)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_bad_inputs_are(kind: str, good: Path) -> None:
    again = "KVBARRIER_BAD_INPUT_SEED" in os.environ
    play_many(kind, SEED if again else secrets.randbits(32), SOAK[kind], good)


def test_so_are_bad_environments(good: Path) -> None:
    play_apart(5, SEED, good)


@pytest.mark.soak
def test_dozens_of_bad_environments_are(good: Path) -> None:
    again = "KVBARRIER_BAD_INPUT_SEED" in os.environ
    play_apart(100, SEED if again else secrets.randbits(32), good)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_some_are_in_a_process_of_their_own(kind: str, good: Path) -> None:
    """What a process does at its end, and what it does to ours, is seen from outside only."""
    for number in range(10):
        rng = random.Random(f"{kind} apart {number}")
        with tempfile.TemporaryDirectory() as folder:
            argv = KINDS[kind](good, Path(folder), rng)
            judge(apart(*argv, where=Path(folder)), (number, argv))


@pytest.mark.parametrize("verb", [["report", "a.csv", "--json"], ["list", "keys"], ["new", "x.py"]])
def test_a_working_folder_that_is_gone(verb: list[str], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m kvbarrier {' '.join(verb)}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    judge(Said(done.returncode, done.stdout, done.stderr), verb)


@pytest.mark.parametrize("variable", ["NUMBA_NUM_THREADS", "SOURCE_DATE_EPOCH"])
def test_a_package_that_the_environment_breaks_is_named(good: Path, variable: str) -> None:
    said = apart("report", "a.csv", "--json", where=good, **{variable: "x"})
    judge(said, variable)
    assert said.code == 0 or "cannot be imported here (" in said.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("stream", ["1", "2"])
def test_an_output_that_is_full(stream: str, tmp_path: Path) -> None:
    verb = "list keys" if stream == "1" else "new x.py"  # which says that it wrote the file
    command = f"exec {sys.executable} -m kvbarrier {verb} {stream}>/dev/full"
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert stream == "2" or "the output: No space left on device" in done.stderr
