"""Isolation: what a player sees, what it may touch, and that nothing of it outlives the game."""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import kvbarrier
import numpy as np
import pytest
from kvbarrier.compressors.catalog import is_builtin
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.index_game import probe_construction
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import (
    isolation,
    keeper,
    kernels,
    landlock,
    reaper,
    residue,
    seats,
    seccomp,
    template,
)
from kvbarrier.protocols.players.isolation import Limits
from kvbarrier.protocols.players.play import PlayerFault, Table
from kvbarrier.runs.attack import attack
from kvbarrier.runs.results import Results

HERE = Path(__file__).parent
KERNELS = str(Path(kvbarrier.__file__).parent / "reductions" / "__pycache__")
INSTANCE = Index(16, 8, keys="hypercube")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
needs_namespaces = pytest.mark.skipif(
    not isolation.namespaces_available(), reason=f"{isolation.namespaces_problem()}"
)
needs_filter = pytest.mark.skipif(seccomp.problem() is not None, reason=f"{seccomp.problem()}")
both = pytest.mark.parametrize(
    "kind", ["process", pytest.param("namespaces", marks=needs_namespaces)]
)


@contextmanager
def seated(kind, thing="Witness", limits=None, **params):
    limits = limits or Limits(30, 256 << 20)
    table = Table(
        target=f"cheats/witness.py:{thing}",
        folder=str(HERE),
        params=params,
        shape=INSTANCE.shape,
        budget_bits=None,
        public=INSTANCE.build().public(),
    )
    seat = seats.HostSeat(seats.Place.prepare("Alice", kind, limits), limits)
    seat.open([table])
    try:
        yield seat
    finally:
        seat.leave()


def message(seat, seed=1):
    seat.begin(seat._tables[0], seed, "Alice")
    return seat.write(INSTANCE.build().stream(np.zeros((16, 8), np.uint8)), None)[0]


@cache
def witness(kind):
    """What a player sees, and where it was; ``bare`` is process isolation without Landlock."""
    kernels.warm_kernels()  # as before every game, or there are none to copy
    with (
        socket.socket() as listening,
        pytest.MonkeyPatch.context() as patch,
    ):
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        patch.setenv("KVCHEAT_SECRET", "x")
        if kind == "bare":
            patch.setattr(seats, "landlock_available", lambda: False)
        port = listening.getsockname()[1]
        actual = "process" if kind == "bare" else kind
        with seated(actual, port=port, harness=os.getpid()) as seat:
            saw = json.loads(message(seat))
            keeper = seat._life.keeper
            return seat, {**saw, "keeper": keeper, "its_session": os.getsid(keeper)}


# -- what is decided before anything starts -----------------------------------------------------


def test_isolation_is_by_default_what_can_be_had(monkeypatch):
    assert isolation.default_isolation(True) == "inline"
    monkeypatch.setattr(isolation, "_known", {"namespaces": None})
    assert isolation.default_isolation(False) == "namespaces"
    isolation.learn_namespaces("not for you")
    assert isolation.default_isolation(False) == "process"
    with pytest.raises(BadInput, match=r"Namespaces are not available here \(not for you\)"):
        isolation.check_isolation("namespaces")
    with pytest.raises(BadInput, match="Did you mean 'process'"):
        isolation.check_isolation("proces")


def test_builtins_are_known_without_importing_anything():
    assert is_builtin("zero")
    assert is_builtin("time-sharing?keep=3")
    assert is_builtin("window?share=0.25")
    assert not is_builtin("zero.py:Zero")
    assert not is_builtin("module:exact")


@pytest.mark.parametrize("bad", [{"seconds": 0}, {"seconds": float("nan")}, {"memory_bytes": 5}])
def test_impossible_limits_are_refused(bad):
    with pytest.raises(BadInput, match="A player"):
        Limits(**bad)


def test_the_environment_is_an_allow_list():
    ours = {
        "PATH": "/bin",
        "SECRET_TOKEN": "x",
        "AWS_KEY": "x",
        "HOME": "/home/me",
        "OPENBLAS_CORETYPE": "Haswell",
        "OMP_NUM_THREADS": "64",
        "LD_PRELOAD": "x",
    }
    theirs = isolation.allowed_environment(ours)
    assert theirs["PATH"] == "/bin"
    assert theirs["OPENBLAS_CORETYPE"] == "Haswell"
    assert theirs["OMP_NUM_THREADS"] == "1"
    assert not {"SECRET_TOKEN", "AWS_KEY", "LD_PRELOAD", "HOME"} & set(theirs)


@linux
@needs_namespaces
def test_namespaces_work_for_an_unprivileged_user_too():
    # The interpreter may lie where only root can read, so the user changes after the imports.
    code = (
        "import ctypes, os, sys\n"
        "from kvbarrier.protocols.players import namespaces\n"
        "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"
        "os.chdir('/')\n"
        "print(namespaces.probe())\n"
    )
    if os.geteuid() != 0:
        pytest.skip("we are unprivileged already, and the probe above is this test")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "None", done.stderr


@linux
@needs_namespaces
def test_namespaces_need_the_filter():
    code = (
        "from kvbarrier.protocols.players import namespaces, seccomp\n"
        "seccomp.MACHINES.clear()\n"
        "print(namespaces.probe())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "the filter of system calls is written for" in done.stdout, done.stderr


REFUSING = """
import sys
from kvbarrier.protocols.players import namespaces, template_process
def refuse(*_):
    raise OSError(1, "none for you")
namespaces.{step} = refuse
sys.exit(template_process.main())
"""


@pytest.fixture(params=["enter", "settle"])
def no_namespaces(request, monkeypatch, own_template):
    """Templates whose keepers find that the kernel refuses that step."""
    start = subprocess.Popen

    def refusing(command, *args, **more):
        code = REFUSING.format(step=request.param)
        return start((command[0], "-P", "-c", code), *args, **more)

    monkeypatch.setattr(template.subprocess, "Popen", refusing)
    monkeypatch.setattr(isolation, "_known", {})


@linux
def test_where_namespaces_are_refused_processes_play(no_namespaces):
    store = Results()
    cache_file = str(HERE.parents[1] / "examples" / "ten_line_cache.py")
    attack(cache_file, instance=INSTANCE, store=store, messages=1, budgets=(None,))
    assert [(row.isolation, row.failed) for row in store.rows] == [("process", (None,))]
    assert "none for you" in isolation.namespaces_problem()  # and nobody tries again


@linux
def test_namespaces_that_were_asked_for_are_not_replaced(no_namespaces):
    cell = Cell(INSTANCE, str(HERE.parents[1] / "examples" / "ten_line_cache.py"), (), None, 1)
    with pytest.raises(
        BadInput, match=r"available here \(.*none for you.*\): use isolation 'process'"
    ):
        probe_construction(cell, "namespaces")


@linux
@needs_namespaces
@pytest.mark.parametrize("code", [keeper.NO_NAMESPACES, keeper.CLEAN])
def test_no_plug_in_gets_itself_out_of_its_namespaces(code, tmp_path):
    (tmp_path / "plugin.py").write_text(f"import os; os._exit({code})")
    with pytest.raises(PluginFailure, match="ended its own host process"):
        attack(f"{tmp_path}/plugin.py", instance=INSTANCE, messages=1)


# -- what a player sees -------------------------------------------------------------------------


@linux
@both
def test_a_players_world(kind):
    seat, saw = witness(kind)
    private = seat.place.private
    assert "KVCHEAT_SECRET" not in saw["environment"]
    assert saw["environment"]["HOME"] == saw["cwd"] == f"{private}/home"
    assert saw["environment"]["TMPDIR"] == saw["tmpdir"] == f"{private}/tmp"
    assert saw["environment"]["PYTHONHASHSEED"] == "0"
    assert saw["its_session"] == saw["keeper"]
    # A session whose leader is outside of one's own pid namespace is called 0, ours in CI too.
    assert saw["session"] == (0 if kind == "namespaces" else saw["keeper"])
    assert saw["group"] == saw["pid"]
    assert saw["cores"] == 0
    # 256 MiB beyond what the interpreter has mapped by then, which is some GiB at the very most
    assert 256 << 20 < saw["address_space"] < 256 << 24
    # 0 and 1 lead nowhere; 2 is a pipe, one more the channel's socket; one is the listing itself.
    assert saw["fds"]["0"] == saw["fds"]["1"] == "/dev/null"
    assert saw["fds"]["2"].startswith("pipe:")
    kinds = [aim.partition(":")[0] for aim in saw["fds"].values()]
    assert (kinds.count("pipe"), kinds.count("socket")) == (1, 1)
    assert len(saw["fds"]) <= 5
    for folder in (saw["cwd"], saw["tmpdir"]):
        assert saw["writes"][folder] == "done"
    # numba writes where it reads: a copy of our kernels, made for it, which goes with the player.
    originals = kernels.numba_caches(os.environ.get("NUMBA_CACHE_DIR"))
    cached = [file for folder in originals for file in folder.rglob("*.nbi")]
    assert saw["kernels"] == [False, "done", len(cached)]
    assert saw["environment"]["NUMBA_CACHE_DIR"] == f"{private}/numba"
    assert not Path(private).exists()


@linux
@both
def test_a_player_holds_nothing_of_another_life(kind):
    # It had a descriptor of the keeper of every life that was there before.
    with (
        template.held(),
        seated(kind, port=0, harness=0) as other,
        seated(kind, port=0, harness=0) as seat,
    ):
        assert other._life is not None
        aims = json.loads(message(seat))["fds"].values()
        assert [aim for aim in aims if "pidfd" in aim] == []


@linux
@needs_namespaces
def test_namespaces_close_the_outer_world():
    _, saw = witness("namespaces")
    for folder in ("/tmp", "/var/tmp", str(HERE / "cheats"), KERNELS):
        assert saw["writes"][folder] == "Read-only file system"
    assert saw["writes"]["/dev/shm"] == "done"
    # How long it slept, and how often it was too hot, would be counters.
    assert set(saw["processor"]) <= {"cache", "topology"}
    assert saw["processors"] == "done"
    assert saw["sysctl"] == "Read-only file system"
    assert saw["signal"] in ("No such process", "Operation not permitted")
    assert saw["memory"] == "No such file or directory"
    assert 1 in saw["pids"]
    assert len(saw["pids"]) == 2
    assert saw["pid"] < 100


@linux
@pytest.mark.skipif(landlock.version() < 6, reason="needs Landlock with scopes")
def test_landlock_hardens_process_isolation():
    _, saw = witness("process")
    for folder in ("/tmp", "/var/tmp", "/dev/shm", str(HERE / "cheats"), KERNELS):
        assert saw["writes"][folder] == "Permission denied"
    assert saw["signal"] == "Operation not permitted"
    assert saw["memory"] == "Permission denied"
    assert saw["device"] == "Permission denied"


@linux
@needs_filter
@pytest.mark.parametrize(
    "kind", ["bare", "process", pytest.param("namespaces", marks=needs_namespaces)]
)
def test_every_player_is_filtered_and_has_no_power(kind):
    _, saw = witness(kind)
    assert saw["filtered"] == "2"  # SECCOMP_MODE_FILTER, proc(5)
    assert saw["capabilities"] == ["0" * 16] * 3
    assert saw["no_new_privileges"] == "1"
    assert saw["tcp"] == "Operation not permitted"
    assert saw["remount"] is False


@linux
def test_without_landlock_process_isolation_leaves_these_open():
    _, saw = witness("bare")
    assert saw["writes"]["/tmp"] == "done"
    assert saw["device"] == "done"


def test_what_a_player_begins_with_is_fixed_before_anything_is_drawn():
    place = seats.Place.prepare("Bob", "process", Limits())
    assert not Path(place.private).exists()
    assert (place.role, place.python, place.host) == ("Bob", sys.executable, "host")
    assert "HOME" not in place.environment
    with pytest.raises(AttributeError):
        place.private = ""


# -- the end ------------------------------------------------------------------------------------


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid):
    """The living processes below one, as the tree is now."""
    found, front = set(), [pid]
    while front:
        front = [child for parent in front for child in reaper.children(parent) if alive(child)]
        found |= set(front)
    return found


@linux
def test_a_daemon_that_forks_twice_lives_to_meet_neither_the_next_message_nor_bob():
    with seated("process", "Daemon") as seat:
        first = int(message(seat, 1))
        second = int(message(seat, 2))
        assert first != second
        assert not alive(first)
        assert seat.leave() is None
        assert not alive(second)


@linux
@both
def test_nothing_outlives_a_harness_that_is_killed(kind, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import test_isolation as t\n"
        "with t.seated(sys.argv[2], 'Daemon', port=1) as seat:\n"
        "    print(seat.place.private, flush=True)\n"
        "    t.message(seat)\n"
    )
    command = [sys.executable, "-c", code, str(HERE), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as harness:
        private = harness.stdout.readline().strip()
        deadline = time.monotonic() + 20
        want = 5  # the template, the keeper, the host, its child, the daemon
        # Counted once: between two counts the daemon's parent ends.
        while len(found := descendants(harness.pid)) < want and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(found) >= want
        harness.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        while any(map(alive, found)) and time.monotonic() < killed + 10:
            time.sleep(0.01)
        assert not any(map(alive, found))
        assert time.monotonic() - killed < 5
        while Path(private).exists() and time.monotonic() < killed + 5:
            time.sleep(0.01)
        assert not Path(private).exists()


@linux
@both
def test_a_killed_keeper_is_no_clean_end(kind):
    with seated(kind) as seat:
        message(seat)
        below = descendants(seat._life.keeper)
        assert below
        os.kill(seat._life.keeper, signal.SIGKILL)
        # The channel is still open: it is the parent's death that ends the host.
        deadline = time.monotonic() + 5
        while any(map(alive, below)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(map(alive, below))
        trouble = seat.leave()
    assert trouble == "Alice's processes could not all be ended, so nothing that they said counts."


def memory(pid):
    """All that a process may write to, where we may read it."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            place, rights, *_ = line.split()
            begin, end = (int(at, 16) for at in place.split("-"))
            if rights.startswith("rw"):
                mem.seek(begin)
                yield mem.read(end - begin)


@linux
@both
def test_the_template_keeps_nothing_of_a_life(kind):
    # A name is enough to hold a secret, and whoever lists a folder has it in its memory.
    name = f"kvtrace-{os.getpid()}"
    with template.held():
        with seated(kind, "Namer", name=name) as seat:
            message(seat)
            pid = seat._life._template._process.pid
            try:
                found = sum(part.count(b"kvbarrier") for part in memory(pid))
            except PermissionError:
                pytest.skip("another process's memory cannot be read here")
            assert found  # where one looks there are names
            assert seat.leave() is None
        assert sum(part.count(name.encode()) for part in memory(pid)) == 0
        with seated(kind) as seat:  # the next one comes from the same
            message(seat)
            assert seat._life._template._process.pid == pid


def test_a_lost_host_is_started_again_for_the_next_message():
    with seated("process") as seat:
        os.kill(next(iter(reaper.children(seat._life.keeper))), signal.SIGKILL)
        with pytest.raises(PlayerFault, match="ended its own host process"):
            message(seat)
        assert json.loads(message(seat))
        assert seat.leave() is None


def test_players_outlive_the_thread_that_started_them():
    # A parent-death signal would be sent at the end of the thread, not of the process.
    place = []

    def start():
        context = seated("process")
        place.append((context, context.__enter__()))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    context, seat = place[0]
    assert json.loads(message(seat))
    context.__exit__(None, None, None)


def test_no_descriptor_is_left_open():
    def count():
        return len(os.listdir("/proc/self/fd"))

    before = count()
    with seated("process") as seat:
        message(seat)
        assert count() > before
    assert count() == before


# -- shared memory ------------------------------------------------------------------------------


@linux
def test_the_sweep_takes_what_is_new_and_nobody_holds():
    name = f"kvsweep-{os.getpid()}"
    old, new, held = (Path(f"/dev/shm/{name}-{i}") for i in range(3))
    old.write_bytes(b"x")
    before = residue.snapshot()
    new.write_bytes(b"x")
    held.write_bytes(bytes(100))
    try:
        with held.open("r+b") as file, mmap.mmap(file.fileno(), 100):
            removed = residue.sweep(before)
            assert str(new) in removed
            assert not new.exists()
            assert old.exists()
            assert held.exists()
        with held.open("r+b") as file:
            mapped = mmap.mmap(file.fileno(), 100)
        assert str(held) not in residue.sweep(before)  # mapped only, its descriptor is closed
        mapped.close()
        assert str(held) in residue.sweep(before)
    finally:
        for path in (old, new, held):
            path.unlink(missing_ok=True)


@linux
def test_the_sweep_goes_by_the_creator_of_a_segment_and_not_by_its_owner():
    libc = ctypes.CDLL(None, use_errno=True)
    before = residue.snapshot()
    pid = os.fork()
    if pid == 0:  # its creator is to be dead
        segment = libc.shmget(0, 4096, 0o1600)
        status = ctypes.create_string_buffer(256)
        libc.shmctl(segment, 2, status)  # IPC_STAT
        ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[1] = 65534
        os._exit(-libc.shmctl(segment, 1, status))  # IPC_SET
    assert os.waitpid(pid, 0)[1] == 0
    new = {entry for entry in residue.snapshot() - before if entry[0] == "shm"}
    assert new
    assert {name for _, name, _ in new} <= set(residue.sweep(before))
    assert not new & residue.snapshot()


# -- the private folder -------------------------------------------------------------------------


def grow(folder):
    """Folders without rights, one in the other, deeper than a path is long; and a way out."""
    (folder / "way-out").symlink_to(folder.parent)
    (folder / "file").write_text("x")
    (folder / "file").chmod(0)
    (folder / "shut" / "in").mkdir(parents=True)
    (folder / "shut" / "in" / "file").touch()
    (folder / "shut" / "in").chmod(0)
    (folder / "shut").chmod(0)
    here = os.getcwd()
    os.chdir(folder)
    for _ in range(1500):
        os.mkdir("down")
        os.chdir("down")
    os.chdir(here)


def as_nobody(act):
    """Act in a child, without root's powers over files if we have them; return its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setresuid(65534, 65534, 65534)
            os._exit(0 if act() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@linux
def test_a_folder_is_removed_whatever_its_modes_and_its_depth():
    with tempfile.TemporaryDirectory() as outside:
        os.chmod(outside, 0o777)
        bystander = Path(outside) / "bystander"
        bystander.touch()

        def act():
            folder = Path(outside) / "private"
            folder.mkdir()
            grow(folder)
            return residue.remove(str(folder)) and not folder.exists()

        assert as_nobody(act) == 0
        assert bystander.exists()


def test_only_the_name_of_a_link_is_removed_and_what_is_gone_is_gone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    assert residue.remove(str(tmp_path / "link"))
    assert (tmp_path / "mine").exists()
    assert residue.remove(str(tmp_path / "link"))


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that stays")
def test_a_private_folder_that_stays_spoils_the_game():
    with seated("process") as seat:
        message(seat)
        stone = Path(seat.place.private) / "tmp" / "stone"
        stone.touch()
        with stone.open() as file:  # which may move
            try:
                fcntl.ioctl(file, 0x40086602, struct.pack("l", 0x10))  # FS_IMMUTABLE_FL
            except OSError:
                pytest.skip("no file can be made immutable here")
            trouble = seat.leave()
            fcntl.ioctl(file, 0x40086602, struct.pack("l", 0))
    assert trouble == (
        "Alice's private folder could not be removed, so nothing that they said counts."
    )
    assert not Path(seat.place.private).exists()


@linux
def test_exit_sentences():
    assert reaper.ending(0) == "ended with exit code 0"
    assert reaper.ending(signal.SIGKILL) == "was killed by SIGKILL"
    assert reaper.ending(40) == "was killed by signal 40"


def test_kernels_are_compiled_before_players_need_them(tmp_path):
    # In a folder of its own, so that nothing is there yet; the second process finds it done.
    code = (
        "import sys\n"
        "from kvbarrier.protocols.players import kernels\n"
        "kernels.warm_kernels()\n"
        "print('numba' in sys.modules)\n"
    )

    def says():
        command = [sys.executable, "-c", code]
        env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, env=env
        ).stdout.strip()

    assert [says(), says()] == ["True", "False"]
    kept = list(tmp_path.rglob("attention*.nbi"))
    assert kept
    for file in kept:  # as when the sources are checked out again, with what they had in them
        os.utime(file, (0, 0))
    assert [says(), says()] == ["True", "False"]


def test_a_players_copy_of_the_kernels_is_the_one_that_numba_reads(tmp_path):
    kernels.warm_kernels()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from kvbarrier.protocols.players import kernels\n"
        "kernels.keep_kernels_apart(sys.argv[1])\n"
        "import numba\n"
        "def kept():\n"
        "    return {f: f.stat().st_mtime_ns for f in Path(sys.argv[1]).rglob('*.nb*')}\n"
        "before = kept()\n"
        "from kvbarrier.reductions.attention import next_outputs\n"
        "rows = np.eye(2, dtype=np.float32)\n"
        "next_outputs(rows, rows, rows, rows, rows)\n"
        "print(len(before) > 0 and kept() == before)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "True", done.stderr
