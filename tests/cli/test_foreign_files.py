"""Results files from anybody, and files of ours in places of anybody's making."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kvbarrier.protocols.game.instance import digest
from kvbarrier.protocols.game.instances import Index

SMALL = ("--n", "32", "--d", "16", "--keys", "hypercube", "--messages", "4", "--budget", "1/2")


@pytest.fixture
def forged(kvbarrier, tmp_path: Path) -> Callable[..., str]:
    """A results file with fields changed, the ids made right again; returns the cell's id."""
    assert kvbarrier("attack", "reservoir", *SMALL, "--resume", "good.csv").code == 0

    def forge(spec: dict[str, Any] | None = None, instance: Any = None, **fields: str) -> str:
        header, row = csv.reader((tmp_path / "good.csv").read_text().splitlines())
        values = dict(zip(header, row, strict=True))
        whole = json.loads(values["spec"]) | (spec or {})
        whole["instance"] |= instance or {}
        values |= {"spec": json.dumps(whole), "cell": digest(whole),
                   "instance": digest(whole["instance"])} | fields  # fmt: skip
        with (tmp_path / "r.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, header, lineterminator="\n")
            writer.writeheader()
            writer.writerow(values)
        return values["cell"]

    return forge


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"versions": DEEP}, "nested too deeply"),
        ({"versions": "not json"}, "line 2, is not a results row"),
        ({"spec": {"target": 5}}, "its target must be a text"),
        ({"spec": {"target": "x" * 5000}}, "its target must be a text"),
        ({"spec": {"budget": "1e999999999"}}, "its budget must be null or a fraction"),
        ({"spec": {"budget": "1/0"}}, "cannot be read"),
        ({"spec": {"params": {"a": [1]}}}, "its a is neither a number nor a text"),
        ({"spec": {"batch_size": 10**9}}, "does not have as many messages as its spec says"),
        ({"instance": {"n": 10**12}}, "give at most 1073741824"),
        ({"instance": {"n": 1}}, "another secret than the 16 bits of their instance"),
        ({"instance": {"n": 64}}, "another secret than the 1024 bits of their instance"),
        ({"instance": {"d": -16}}, "another secret|at least|positive"),
        ({"instance": {"keys": 5}}, "its keys must be a text"),
        ({"charged": "[1,2,3,1" + "0" * 400 + "]"}, "at most 1073741824 bytes"),
        ({"charged": "[1,2,3,-4]"}, "'-4' is not a count"),
        ({"payload": f"[1,2,3,{2**40}]"}, "at most 1073741824 bytes"),
        ({"secret": "9" * 30}, "not a whole number below"),
        ({"batch": str(2**40)}, "its batch must be below"),
        ({"seconds": "nan"}, "seconds are not a length of time"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
@pytest.mark.parametrize("verb", ["report", "plot"])
def test_a_row_that_no_run_of_ours_writes_is_refused(
    kvbarrier, forged, tmp_path: Path, change: dict[str, Any], sentence: str, verb: str
) -> None:
    forged(**change)
    said = kvbarrier(verb, "r.csv")
    assert said.code == 2, said.err
    assert re.search(sentence, said.err)
    assert not [p for p in tmp_path.iterdir() if p.suffix in (".html", ".png", ".partial")]


@pytest.mark.parametrize(
    "text",
    ["$\\frac{", "$a$", "$", "a_b^c$d$", "\ud800", "\x1b[31m", "_hidden", "é" * 300, "\\$x$"],
)
def test_names_are_drawn_as_they_are(kvbarrier, forged, tmp_path: Path, text: str) -> None:
    forged({"target": text, "params": {"p": text}})
    assert kvbarrier("report", "r.csv").code == 0
    assert kvbarrier("plot", "r.csv", "--title", text.replace("\ud800", "?")).code == 0
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "plot.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "target",
    [
        "../mine.py:Mine",
        "/{}/mine.py",
        "sub/mine.py:Mine?a=1",
        "codec:../mine.py:Mine",
        "..\\mine.py",
        "hf:/x/y.py:C",
    ],
)
def test_a_row_that_names_a_place_is_not_played(
    kvbarrier, forged, tmp_path: Path, target: str
) -> None:
    ran = tmp_path.parent / f"{tmp_path.name}-ran"
    for folder in (tmp_path.parent, tmp_path / "sub", tmp_path):
        folder.mkdir(exist_ok=True)
        (folder / "mine.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    cell = forged({"target": target.format(tmp_path)})
    try:
        said = kvbarrier("replay", "r.csv", cell, "0")
        assert said.code == 2
        assert "a path on this machine" in said.err
        assert "--target" in said.err
        assert not ran.exists()
    finally:
        (tmp_path.parent / "mine.py").unlink()


PLUGIN = """\
import os
{head}

class Mine:
    def __init__(self, shape):
        self.rows = []

    def append(self, q, k, v):
        self.rows.append((k, v))

    def attend(self, q):
        return 0 * q
"""


def test_a_row_that_says_inline_does_not_bring_foreign_code_in_here(
    kvbarrier, forged, tmp_path: Path
) -> None:
    # What runs in this process would find this variable; players have an environment of their own.
    os.environ["KVBARRIER_TEST_SECRET"] = "here"
    (tmp_path / "mine.py").write_text(
        PLUGIN.format(head="assert 'KVBARRIER_TEST_SECRET' not in os.environ, 'in-process'")
    )
    try:
        cell = forged({"target": "mine.py:Mine"}, isolation="inline", key="ab" * 32)
        said = kvbarrier("replay", "r.csv", cell, "0", "--json")
        assert "in-process" not in said.err
        assert json.loads(said.out)["isolation"] in ("process", "namespaces")
        # Who asks for it in so many words gets it.
        said = kvbarrier("replay", "r.csv", cell, "0", "--isolation", "inline")
        assert "in-process" in said.err
        assert "mine" not in sys.modules
    finally:
        del os.environ["KVBARRIER_TEST_SECRET"]


def test_a_key_that_is_none_is_told(kvbarrier, forged) -> None:
    cell = forged(key="no such key")
    said = kvbarrier("replay", "r.csv", cell, "0")
    assert said.code == 2
    assert "neither a key in hexadecimal digits nor the name of a committed one" in said.err


# -- where files are written ----------------------------------------------------------------------


def links(tmp_path: Path, name: str) -> Path:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(precious)
    return precious


@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("out.html", ("report", "good.csv", "--out", "out.html")),
        ("out.png", ("plot", "good.csv", "--out", "out.png")),
        ("out/verdict.json", ("attack", "zero", *SMALL, "--out", "out")),
        ("out/plot.png", ("attack", "zero", *SMALL, "--out", "out")),
        ("out/results.csv", ("attack", "zero", *SMALL, "--out", "out")),
        ("c.json", ("attack", "zero", *SMALL, "--resume", "z.csv", "--certificate", "c.json")),
        ("c.json", ("bound", "--n", "16", "--d", "16", "--certificate", "c.json")),
        ("x.py", ("new", "x.py")),
    ],
)
def test_nothing_is_written_through_a_link(
    kvbarrier, forged, tmp_path: Path, name: str, argv: tuple[str, ...]
) -> None:
    precious = links(tmp_path, name)
    said = kvbarrier(*argv)
    assert said.code == 2, said.err
    assert name.rpartition("/")[2] in said.err
    assert precious.read_text() == "precious"
    assert (tmp_path / name).is_symlink()
    assert not (tmp_path / "z.csv").exists()  # before the first message


@pytest.mark.parametrize(
    "argv",
    [
        ("attack", "zero", *SMALL, "--resume", "pipe"),
        ("attack", "zero", *SMALL, "--junit", "pipe"),
        ("attack", "zero", *SMALL, "--resume", "z.csv", "--certificate", "pipe"),
        ("check", "zero", "--junit", "pipe"),
        ("bound", "--n", "16", "--d", "16", "--certificate", "pipe"),
    ],
)
def test_a_device_or_a_pipe_is_not_replaced_by_a_file(
    kvbarrier, forged, tmp_path: Path, argv: tuple[str, ...]
) -> None:
    """A file moved to its place would be no pipe any more; for root, no /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    said = kvbarrier(*argv)
    assert (said.code, "pipe is a device or a pipe" in said.err) == (2, True)
    assert (tmp_path / "pipe").is_fifo()
    assert not (tmp_path / "z.csv").exists()  # before the first message


def test_an_old_half_is_no_way_round(kvbarrier, forged, tmp_path: Path) -> None:
    precious = links(tmp_path, "plot.png.partial")
    assert kvbarrier("plot", "good.csv").code == 0
    assert precious.read_text() == "precious"


FULL = """
import os, resource, sys
from kvbarrier.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
main({argv!r})
"""


@pytest.mark.parametrize(
    ("name", "size", "argv"),
    [
        ("report.html", 0, ("report", "good.csv")),
        ("plot.png", 10_000, ("plot", "good.csv")),
        ("mine.py", 100, ("new", "mine.py")),
        ("c.json", 100, ("bound", "--n", "16", "--d", "16", "--certificate", "c.json")),
        ("verdict.json", 900, ("attack", "zero", *SMALL, "--out", "out")),
    ],
)
def test_a_full_disk_is_told_with_the_files_name_and_leaves_nothing(
    kvbarrier, forged, tmp_path: Path, name: str, size: int, argv: tuple[str, ...]
) -> None:
    if name == "report.html":
        assert kvbarrier("report", "good.csv").code == 0
        # Room for its picture, and not for the page.
        size = (tmp_path / name).stat().st_size - 10
        (tmp_path / name).write_text("an older one")
    if name == "verdict.json":
        assert kvbarrier("attack", "zero", *SMALL, "--out", "out").code == 0
        size = (tmp_path / "out" / "results.csv").stat().st_size + 10
        (tmp_path / "out" / "verdict.json").unlink()
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"}
    done = subprocess.run(
        [sys.executable, "-c", FULL.format(size=size, argv=list(argv))],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert f"{name} could not be written (File too large)" in done.stderr
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"}
    assert after == before


def test_the_limit_of_the_test_is_one() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


# -- absurd values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("attack", "zero", "--messages", "100000000000"), "from 1 to 1048576"),
        (("attack", "zero", "--workers", "1000"), r"give --workers \d+ or less"),
        (("experiments", "run", "fano", "--workers", "1000"), r"give --workers \d+ or less"),
        (("regress", "--workers", "1000"), r"give --workers \d+ or less"),
        (("attack", "zero", "--n", "100000000"), "give at most 1073741824"),
        (("attack", "zero", "--layers", "1000000000"), "from 1 to 1048576"),
        (("attack", "zero", "--layers", "100000"), "give at most 1073741824"),
        (("bound", "--n", "9" * 20), "at most 1099511627776"),
        (("bound", "--d", "9" * 11), "at most 65536"),
        (("bound", "--d", "65536", "--n", "1099511627776"), "use a smaller --n or --d"),
        (("attack", "zero", "--timeout", "inf"), "--timeout inf is not a time limit"),
        (("attack", "zero", "--timeout", "nan"), "--timeout nan is not a time limit"),
        (("check", "zero", "--timeout", "-1"), "--timeout -1 is not a time limit"),
        (("attack", "zero", "--memory", "nan"), "--memory nan GiB is not a memory limit"),
    ],
)
def test_absurd_values_are_refused_with_the_largest_sensible_one(
    kvbarrier, argv: tuple[str, ...], sentence: str
) -> None:
    said = kvbarrier(*argv)
    assert said.code == 2
    assert re.search(sentence, said.err), said.err


def test_batches_are_wanted_one_by_one() -> None:
    """A rule that wants 10^12 batches costs no memory before the first of them is played."""
    from kvbarrier.protocols.game.cell import Cell
    from kvbarrier.runs.results import Results
    from kvbarrier.runs.runner import Facts, run_cells
    from kvbarrier.runs.stopping import FixedMessages

    class Stop(Exception):
        pass

    def play(*_: object) -> Any:
        raise Stop

    cell = Cell(Index(n=32, d=16, keys="hypercube"), "zero", batch_size=16)
    with pytest.raises(Stop):
        run_cells(
            [cell], Results(), stopping=FixedMessages(16 * 10**12), play=play,
            isolation="inline", facts=lambda _: Facts("0", builtin=True),
        )  # fmt: skip
