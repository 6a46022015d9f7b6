"""Limits of an import, and the time in which the harness itself was stopped."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest
from kvbarrier.errors import PluginFailure
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.index_game import probe_construction
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import codes, keeper, template
from kvbarrier.protocols.players.channel import Deadline
from kvbarrier.protocols.players.isolation import Limits

INSTANCE = Index(32, 16, keys="hypercube")
PLUGIN = """
{first}
import numpy as np
from kvbarrier.compressors.plugin.contract import Compressor
class Mine(Compressor):
    def append(self, q, k, v): {append}
    def attend(self, q): return np.zeros(16, dtype=np.float32)
"""


def cell(tmp_path: Path, first: str = "", append: str = "pass") -> Cell:
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN.format(first=first, append=append))
    return Cell(INSTANCE, f"{path}:Mine", (), Fraction(1, 2), batch_size=2)


def test_an_import_that_takes_all_memory_is_told(tmp_path):
    # 16 GiB of address space, untouched: nothing is taken of the machine that runs the test.
    hoard = "import numpy as np; hoard = [np.empty(1 << 27) for _ in range(16)]"
    with pytest.raises(PluginFailure, match=r"MemoryError.*plugin.py, line 2"):
        probe_construction(cell(tmp_path, hoard), "process", Limits(20, 64 << 20))


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_a_terminal_hears_no_control_characters_of_an_import(kind, tmp_path):
    raising = "raise ValueError('\\x1b[2J' + 'x' * 5000000)"
    with pytest.raises(PluginFailure) as caught:
        probe_construction(cell(tmp_path, raising), kind, Limits(20, 512 << 20))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1100


HANGS = """
import sys
from kvbarrier.protocols.players import host, template_process
host.IMPORT_SECONDS = 1.0
sys.exit(template_process.main())
"""


def test_an_import_that_hangs_is_told_with_its_line(tmp_path, monkeypatch, own_template):
    start = subprocess.Popen

    def quick(command, *args, **more):
        assert command[1:] == ("-P", "-m", "kvbarrier.protocols.players.template_process")
        return start((command[0], "-P", "-c", HANGS), *args, **more)

    monkeypatch.setattr(template.subprocess, "Popen", quick)
    began = time.monotonic()
    sentence = r"import of the compressor took longer than 120 s \(plugin.py, line 2, in <module>\)"
    with pytest.raises(PluginFailure, match=sentence):
        probe_construction(cell(tmp_path, "import time; time.sleep(1000)"), "process", Limits())
    assert time.monotonic() - began < 30
    assert codes.IMPORT_SECONDS == 120


# -- stopped ourselves --------------------------------------------------------------------------


def test_time_between_two_looks_counts_for_a_quarter_of_a_second_at_most(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    deadline = Deadline(1.0)
    now[0] += 0.2
    assert deadline.left() == pytest.approx(0.8)
    now[0] += 3600
    assert deadline.left() == pytest.approx(0.55)
    assert deadline.slice() == 0.25
    now[0] += 3600
    deadline.resume()
    assert deadline.left() == pytest.approx(0.55)
    for _ in range(3):
        now[0] += 0.25
        deadline.left()
    assert deadline.left() == deadline.slice() == 0


STOPPED = """
import sys, hashlib
from fractions import Fraction
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.index_game import play_batch
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import seats
from kvbarrier.protocols.players.isolation import Limits
seats._GRACE_SECONDS = 0.5
cell = Cell(Index(n=32, d=16, keys="hypercube"), sys.argv[1], (), Fraction(1, 2), batch_size=1)
print("playing", flush=True)
batch = play_batch(cell, bytes(32), 1, "process", Limits(3, 512 << 20))
print(batch.records[0].failed)
"""


def test_a_stopped_harness_is_nobodys_failure(tmp_path):
    target = cell(tmp_path, append="import time; time.sleep(0.05)").target
    run = [sys.executable, "-c", STOPPED, target]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout.readline() == "playing\n"
        for _ in range(3):  # wherever it is by then, for longer than a message may take
            time.sleep(0.9)
            os.kill(harness.pid, signal.SIGSTOP)
            time.sleep(4.5)
            os.kill(harness.pid, signal.SIGCONT)
        said = harness.communicate(timeout=60)[0]
    assert said == "None\n"


# -- what is left in a folder -------------------------------------------------------------------


def test_a_folder_without_rights_is_emptied_and_what_cannot_be_removed_is_told(tmp_path):
    locked = tmp_path / "home" / "locked"
    locked.mkdir(parents=True)
    (locked / "secret").write_text("x")
    (tmp_path / "link").symlink_to("/")
    locked.chmod(0)
    (tmp_path / "home").chmod(0)
    code = (
        "import os, sys\n"
        "from kvbarrier.protocols.players import residue\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([]); os.setresgid(65534, 65534, 65534)\n"
        "    os.setresuid(65534, 65534, 65534)\n"
        "print(residue.remove(sys.argv[1] + '/home'), os.listdir(sys.argv[1]))\n"
    )
    if os.geteuid() == 0:
        for path in (tmp_path, tmp_path / "home", locked, locked / "secret"):
            os.chown(path, 65534, 65534)
        for path in tmp_path.parents:
            if not path.stat().st_mode & stat.S_IXOTH:
                path.chmod(path.stat().st_mode | stat.S_IXOTH)
    run = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.stdout == "True ['link']\n", done.stderr


def test_what_cannot_be_removed_is_litter(tmp_path, monkeypatch):
    monkeypatch.setattr(keeper.residue, "remove", lambda folder: False)
    monkeypatch.setattr(keeper.reaper, "end_children", lambda: True)  # or it ends those of pytest
    assert keeper._clean("landlock", str(tmp_path), frozenset()) == keeper.LITTER
