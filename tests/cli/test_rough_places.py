"""The verbs that people use, where terminals are narrow, locales are old and names are odd."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest
from kvbarrier.cli import main

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ten_line_cache.py"
SMALL = ("--n", "32", "--d", "16", "--keys", "hypercube")
COLUMNS = 40

VERBS = {
    "attack": (("attack", "{file}", *SMALL, "-m", "4", "-b", "1/4,1", "--resume", "{csv}"), 0),
    "several": (("attack", "{file}", "zero", *SMALL, "-m", "4", "-b", "1/2"), 0),
    "check": (("check", "{file}", "--expect", "keeps=last:4"), None),
    "list": (("list", "compressors", "--long"), 0),
    "report": (("report", "{good}", "--out", "{html}"), 0),
    "compare": (("compare", "{file}", "zero", *SMALL, "-m", "2", "-b", "1/2"), 0),
}

PLACES = {
    "40 columns": {},
    "NO_COLOR": {"NO_COLOR": "1"},
    "LANG=C": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "no HOME": {"HOME": None},
    "odd names": {},
}


def environment(place: str) -> dict[str, str]:
    wanted = {"TERM": "xterm-256color", **PLACES[place]}
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
    kept |= {name: value for name, value in wanted.items() if value is not None}
    return {name: value for name, value in kept.items() if name not in wanted or wanted[name]}


def on_a_terminal(argv: list[str], where: Path, env: dict[str, str]) -> tuple[int, str]:
    """Exit code and what a terminal of 40 columns got, on stdout and stderr alike."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    process = subprocess.Popen(
        argv, cwd=where, env=env, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    got = bytearray()

    def read() -> None:
        while True:
            try:
                data = os.read(ours, 1 << 16)
            except OSError:  # the other side is closed
                return
            if not data:
                return
            got.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    code = process.wait(timeout=300)
    reader.join(timeout=10)
    os.close(ours)
    return code, got.decode(errors="replace")


def folder_for(place: str, tmp_path: Path) -> Path:
    folder = tmp_path / ("a folder? with ünïcode" if place == "odd names" else "plain")
    folder.mkdir()
    shutil.copy(EXAMPLE, folder / "my cache.py" if place == "odd names" else folder / "cache.py")
    return folder


@pytest.fixture(scope="module", params=PLACES)
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, several, told_apart
) -> tuple[str, dict[str, tuple[int, str]]]:
    """A place, and of each verb there its exit code and all that it wrote."""
    place = request.param
    folder = folder_for(place, tmp_path_factory.mktemp("rough"))
    names = {
        "file": "my cache.py" if place == "odd names" else "cache.py",
        "csv": "new results é.csv" if place == "odd names" else "new.csv",
        "good": "good results.csv",
        "html": "page é.html" if place == "odd names" else "page.html",
    }
    with pytest.raises(SystemExit):
        main(["attack", "zero", *SMALL, "-m", "4", "-b", "1/2", "--resume",
              str(folder / names["good"])])  # fmt: skip
    words = [[word.format(**names) for word in words] for words, _ in VERBS.values()]
    argv = several(*words)
    if place == "40 columns":
        ended, text = on_a_terminal(argv, folder, environment(place))
    else:
        done = subprocess.run(argv, cwd=folder, env=environment(place), check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)  # fmt: skip
        ended, text = done.returncode, done.stdout.decode(errors="replace")
    verbs = told_apart(text)
    assert (ended, len(verbs)) == (0, len(VERBS)), text
    return place, dict(zip(VERBS, verbs, strict=True))


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_works_in_a_rough_place(
    verb: str, told: tuple[str, dict[str, tuple[int, str]]]
) -> None:
    place, verbs = told
    code = VERBS[verb][1]
    ended, text = verbs[verb]
    if place == "40 columns":
        # Progress is drawn on the same line again: what is left between moves of the cursor.
        lines = [part for line in text.split("\n") for part in line.split("\r")]
        assert max(len(plain(line)) for line in lines) <= COLUMNS, text
    else:
        assert "\x1b" not in text
        if place == "LANG=C":
            assert text.isascii()
    assert "a bug in kvbarrier" not in text
    assert "Traceback" not in text
    # The example drops tokens and its check says so: 3, as documented.
    assert ended == code if code is not None else ended in (0, 3), text
    if verb in ("attack", "several", "compare"):
        assert "zero" in text or "cache.py" in plain(text).replace("\n", "").replace("\r", "")


def plain(text: str) -> str:
    """Without the sequences that move a cursor or colour."""
    import re

    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_the_narrow_terminal_would_show_a_long_line(tmp_path: Path) -> None:
    code, text = on_a_terminal(
        [sys.executable, "-c", "print('x' * 50)"], tmp_path, dict(os.environ)
    )
    assert code == 0
    assert max(map(len, text.splitlines())) == 50


def test_json_is_whole_where_the_locale_is_old(tmp_path: Path) -> None:
    folder = folder_for("odd names", tmp_path)
    argv = [sys.executable, "-m", "kvbarrier", "attack", "my cache.py", *SMALL, "-m", "2", "-b",
            "1", "--json"]  # fmt: skip
    done = subprocess.run(argv, cwd=folder, env=environment("LANG=C"), capture_output=True,
                          check=True)  # fmt: skip
    assert json.loads(done.stdout)["target"] == "my cache.py"
