"""Where results are written is known before the work; names of files may be no UTF-8."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.files import refuse_place

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "ten_line_cache.py"
SMALL = ("--n", "48", "--d", "16", "-b", "1", "-m", "1")
WORK = {
    "kvbarrier.runs.several.play_several", "kvbarrier.protocols.check.ladder.check",
    "kvbarrier.protocols.check.cases.replay_case", "kvbarrier.runs.compared.compare",
    "kvbarrier.runs.query_attack.play_attack", "kvbarrier.runs.reported.reported",
    "kvbarrier.compressors.engines.natural.process.asked",
    "kvbarrier.protocols.life.engine_check.check_engine",
}  # fmt: skip
"""What takes long, and begins only where its result can be written."""


@pytest.mark.parametrize(
    ("argv", "option", "name"),
    [
        (("attack", "zero", *SMALL), "--junit", "j.xml"),
        (("attack", "zero", *SMALL), "--map", "m.png"),
        (("attack", "zero", *SMALL), "--save-case", "c.json"),
        (("attack", "zero", *SMALL, "--resume", "r.csv"), "--certificate", "c.json"),
        (("attack", "uniform", "--reduction", "indistinguishability"), "--out", "o"),
        (("check", "exact"), "--junit", "j.xml"),
        (("check", "exact"), "--badge", "b.svg"),
        (("check", "exact"), "--save-case", "c.json"),
        (("check", "--case", "case.json"), "--junit", "j.xml"),
        (("check", "--case", "case.json"), "--badge", "b.svg"),
        (("check", "hf:dynamic"), "--junit", "j.xml"),
        (("compare", "zero", "exact"), "--out", "c.png"),
        (("bound", "--n", "64", "--d", "16"), "--certificate", "c.json"),
        (("capture", "smollm2", "text.txt"), "--out", "k.npz"),
        (("report", "r.csv"), "--out", "r.html"),
        (("plot", "r.csv"), "--out", "p.png"),
    ],
)
def test_a_place_is_refused_before_the_work(kvbarrier, tmp_path, monkeypatch, argv, option, name):
    def never(*_args, **_options):
        pytest.fail("it worked first")

    for one in WORK:  # all of them first: who is imported later would keep what it finds
        importlib.import_module(one.rpartition(".")[0])
    for one in WORK:
        monkeypatch.setattr(one, never)
    for file in ("case.json", "r.csv", "text.txt"):
        (tmp_path / file).write_text('{"kvbarrier_case": 1}')
    (tmp_path / "file").write_text("x")
    said = kvbarrier(*argv, option, f"file/{name}")
    assert said.code == 2
    assert f"file/{name}" in said.err or "file" in said.err
    if name != "o":
        said = kvbarrier(*argv, option, f"missing/{name}")
        assert said.code == 2
        assert "missing" in said.err


def test_where_a_file_cannot_be(tmp_path):
    (tmp_path / "file").write_text("x")
    for path, why in [
        (tmp_path, "is a folder"),
        (tmp_path / "file" / "x", "Not a directory"),
        (tmp_path / "none" / "x", "no folder"),
        (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path / "a\0b", "null"),
    ]:
        with pytest.raises(BadInput, match=why):
            refuse_place(path)
    refuse_place(tmp_path / "new")
    refuse_place(tmp_path / "file")
    refuse_place(tmp_path / "out" / "j.xml", made=tmp_path / "out")


def test_a_file_in_the_folder_of_out(kvbarrier, tmp_path):
    said = kvbarrier("attack", "zero", *SMALL, "--out", "o", "--junit", "o/j.xml")
    assert said.code == 0
    assert (tmp_path / "o" / "j.xml").exists()


@pytest.mark.parametrize(
    "argv",
    [
        ("--case", "case.json", "--param", "a=1"),
        ("--case", "case.json", "--expect", "keeps=all"),
        ("--case", "case.json", "--explain"),
        ("--case", "case.json", "--save-case", "d.json"),
        ("exact", "--explain", "--junit", "j.xml"),
        ("exact", "--explain", "--expect", "keeps=all"),
        ("hf:dynamic", "--explain"),
        ("hf:dynamic", "--save-case", "d.json"),
    ],
)
def test_check_ignores_no_option(kvbarrier, tmp_path, argv):
    (tmp_path / "case.json").write_text("{}")
    said = kvbarrier("check", *argv)
    assert said.code == 2
    assert "no meaning with" in said.err


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
@pytest.mark.parametrize("environment", [{}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}])
def test_names_that_are_no_utf8(tmp_path, environment, several, told_apart):
    folder = tmp_path / "ordn\udcff\u00e9r"
    folder.mkdir()
    plugin = folder / "t\udcff.py"
    plugin.write_bytes(EXAMPLE.read_bytes())
    verbs = (
        ("attack", plugin.name, *SMALL, "--out", "o\udcff"),
        ("attack", str(plugin), *SMALL, "--expect", "keeps=all", "--isolation", "process"),
        ("check", plugin.name, "--junit", "j.xml"),
    )
    done = subprocess.run(
        several(*(map(os.fsencode, argv) for argv in verbs)), cwd=os.fsencode(folder),
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said = done.stdout.decode(errors="replace")
    codes = [code for code, _ in told_apart(said)]
    assert done.returncode == 0, said
    assert len(codes) == len(verbs), said
    assert set(codes) <= {0, 1}, said


@pytest.mark.parametrize(
    "argv", [("attack",), ("check",), ("compare", "zero"), ("attack", "codec:link.py:X")]
)
def test_a_plug_in_that_is_a_link_to_itself(kvbarrier, tmp_path, argv):
    (tmp_path / "link.py").symlink_to("link.py")
    said = kvbarrier(*argv, *(("link.py",) if "codec" not in argv[-1] else ()))
    assert said.code == 2
    assert "link.py cannot be found" in said.err
