"""Cheats: each is harmless through isolation, or convicted by the ledger, or admitted by the row.

Every way out is first shown to work where nothing is closed (inline), so that "harmless" below
means that isolation closed it and not that the cheat is broken.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import shutil
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.index_game import play_batch
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import isolation, landlock, seats, seccomp
from kvbarrier.protocols.players.isolation import Limits

CHEATS = Path(__file__).parent / "cheats"
INSTANCE = Index(32, 16, keys="hypercube")
LIMITS = Limits(20, 512 << 20)
TINY, HALF = Fraction(1, 1000), Fraction(1, 2)
CONVICTED = 40

MEMORY = ("global", "class", "builtin", "environment", "thread")
PRIVATE = ("home", "tmpdir", "cwd", "cache")
SHARED = ("shm", "python-shm", "sysv", "sysv-queue")
DAEMONS = ("tcp", "abstract", "unix")
ELSEWHERE = ("slash-tmp", "var-tmp", "beside", "kernels", "shm-folder")
ALL = (*MEMORY, *PRIVATE, *SHARED, *DAEMONS, *ELSEWHERE)

# What is to be expected of each way out: closed, or open (then the ledger convicts it where it can
# see it, and the row says under which isolation it was played).
CLOSED = {
    "inline": (),
    "bare process": (*MEMORY, *PRIVATE, *SHARED, *DAEMONS),
    "process": ALL,
    "namespaces": ALL,
}

needs_namespaces = pytest.mark.skipif(
    not isolation.namespaces_available(), reason=f"{isolation.namespaces_problem()}"
)
needs_landlock = pytest.mark.skipif(landlock.version() < 1, reason="no Landlock here")


def surprise(records):
    """s = N - m - log2(N+1) - log2 C(N, k), with N, m, k summed over messages first."""
    N = sum(r.asked for r in records)
    m = sum(r.charged_bits for r in records)
    k = sum(r.wrong for r in records)
    log2_binomial = (math.lgamma(N + 1) - math.lgamma(k + 1) - math.lgamma(N - k + 1)) / math.log(2)
    return N - m - math.log2(N + 1) - log2_binomial


def smuggle(ways, budget, where, monkeypatch, messages=4, **scene):
    """Play some messages; returns the error, the surprise and the batch."""
    if where == "bare process":
        monkeypatch.setattr(seats, "landlock_available", lambda: False)
    kind = "process" if where == "bare process" else where
    params = (("ways", "+".join(ways)), ("junk", budget == HALF), *scene.items())
    cell = Cell(INSTANCE, f"{CHEATS}/smuggler.py:Smuggler", params, budget, batch_size=messages)
    # Another key, hence other seeds, for each game: ways out are named by the seed.
    key = hashlib.sha256(f"{ways}{budget}{where}{os.getpid()}".encode()).digest()
    batch = play_batch(cell, key, 0, kind, LIMITS)
    assert [r.failed for r in batch.records] == [None] * messages
    assert batch.isolation == kind
    assert {r.charged_bits for r in batch.records} == {8192 if budget == HALF else 16}
    error = sum(r.wrong for r in batch.records) / sum(r.asked for r in batch.records)
    return error, surprise(batch.records), batch


def assert_harmless(error, s):
    # Bob knows nothing: k is Bin(2048, 1/2), whose standard deviation is .011 of N.
    assert 0.43 < error < 0.57
    assert s < 0


@pytest.mark.parametrize("way", ALL)
def test_every_way_out_works_where_nothing_is_closed_and_the_ledger_convicts_it(way, monkeypatch):
    error, s, _ = smuggle([way], TINY, "inline", monkeypatch)
    assert error == 0
    assert s >= CONVICTED


def test_at_half_the_cache_the_ledger_is_blind_and_the_row_admits_how_it_was_played(monkeypatch):
    error, s, batch = smuggle(["global"], HALF, "inline", monkeypatch)
    assert error == 0
    assert s < 0
    assert batch.isolation == "inline"


@pytest.mark.parametrize(
    ("where", "budget"),
    [
        ("bare process", HALF),
        pytest.param("process", HALF, marks=needs_landlock),
        pytest.param("namespaces", HALF, marks=needs_namespaces),
        pytest.param("namespaces", TINY, marks=needs_namespaces),
    ],
)
def test_what_isolation_closes_is_harmless_at_any_budget(where, budget, monkeypatch):
    # All at once: one that came through would bring the error to 0.
    error, s, _ = smuggle(CLOSED[where], budget, where, monkeypatch)
    assert_harmless(error, s)


@pytest.mark.parametrize("way", ["beside", "kernels", "shm-folder", "slash-tmp"])
def test_what_bare_process_isolation_leaves_open_is_convicted_at_a_tiny_budget(way, monkeypatch):
    error, s, batch = smuggle([way], TINY, "bare process", monkeypatch)
    assert error == 0
    assert s >= CONVICTED
    assert batch.isolation == "process"


def test_and_at_half_the_cache_it_is_admitted_by_the_row(monkeypatch):
    error, s, batch = smuggle(["slash-tmp"], HALF, "bare process", monkeypatch)
    assert error == 0
    assert s < CONVICTED
    assert batch.isolation == "process"  # and not "namespaces", where it would be closed


# -- by what the kernel keeps, past processes, files and sockets ---------------------------------

SMALL = Fraction(1, 64)
KEPT = ("keyring", "posix-queue", "sysv-given-away", "host-name", "limits")
MARKS = ("xattr", "mtime", "mode", "length", "inode-flags", "write-hints", "undeletable")
TOLD = ("known-names", "pages-nowait", "pages-aio", "pages-mincore")
# What is told by a clock, or by a count of one's own faults, stays open everywhere.
OPEN = ("pages-faults", "pages-time", "names-time")
ROUND = (*KEPT, *MARKS, *TOLD)
# Whether these can be done at all hangs on the filesystem, and on who we are.
NOT_EVERYWHERE = {"host-name", *MARKS, *TOLD, *OPEN, "atime"}

needs_filter = pytest.mark.skipif(seccomp.problem() is not None, reason=f"{seccomp.problem()}")
NEW_UTS = 0x4000000


@pytest.fixture(scope="module")
def names_are_ours():
    """Whether a host's name that gets through is only ours; only root may have it so."""
    return ctypes.CDLL(None).unshare(NEW_UTS) == 0


@pytest.fixture
def scene(names_are_ours):
    """A folder on a disk, a process, and our keyring."""
    folder = Path(tempfile.mkdtemp(prefix="kvcheat-", dir="/var/tmp"))
    with (folder / "pages").open("wb") as pages:
        pages.write(bytes(544 * 4096))
        os.fsync(pages.fileno())
        os.posix_fadvise(pages.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    libc = ctypes.CDLL(None)
    keyctl = {"x86_64": 250, "aarch64": 219}.get(os.uname().machine, -1)
    with subprocess.Popen(["sleep", "600"]) as victim:
        keyring = libc.syscall(keyctl, 0, -4, 1)  # KEYCTL_GET_KEYRING_ID of our user's
        os.mkfifo(folder / "fifo")
        held = os.open(folder / "fifo", os.O_RDWR)
        yield {"folder": str(folder), "victim": victim.pid, "keyring": keyring}
        os.close(held)
        victim.kill()
    shutil.rmtree(folder)


def fill(scene):
    """Put files there that are nobody's in the game, for who leaves a mark on each."""
    for i in range(544):
        file = os.path.join(scene["folder"], str(i))
        with open(file, "wb") as one:
            one.write(b"x")
        os.utime(file, (0, 1))


def half(error):
    """Whether Bob knew nothing of one message: k is Bin(512, 1/2), so .1 is 4.5 deviations."""
    return abs(error - 0.5) < 0.1


@needs_filter
@pytest.mark.parametrize("budget", [SMALL, HALF])
@pytest.mark.parametrize("way", [*ROUND, "atime"])
def test_every_way_round_works_where_nothing_is_closed(
    way, budget, monkeypatch, scene, names_are_ours
):
    if way == "host-name" and not names_are_ours:
        pytest.skip("only root may change the host's name, and only in a namespace of ours")
    if way in (*MARKS, "atime"):
        fill(scene)
    error, s, batch = smuggle([way], budget, "inline", monkeypatch, 1, **scene)
    if half(error) and way in NOT_EVERYWHERE:
        pytest.skip(f"{way} does not work here at all")
    # Asking for a page may bring in another.
    assert error < 0.05 if way in TOLD else error == 0
    assert (s >= CONVICTED) == (budget == SMALL)
    assert batch.isolation == "inline"


@needs_filter
@pytest.mark.parametrize("budget", [SMALL, HALF])
@pytest.mark.parametrize(
    "where",
    [
        "bare process",
        pytest.param("process", marks=needs_landlock),
        pytest.param("namespaces", marks=needs_namespaces),
    ],
)
def test_every_way_round_is_closed(where, budget, monkeypatch, scene):
    fill(scene)
    ways = (*ROUND, "atime") if where == "namespaces" else ROUND
    error, s, _ = smuggle(ways, budget, where, monkeypatch, 1, **scene)
    assert half(error)
    assert s < 0


@needs_filter
@pytest.mark.parametrize("budget", [SMALL, HALF])
def test_what_was_read_shows_in_process_isolation_and_the_row_admits_it(budget, monkeypatch, scene):
    fill(scene)
    error, s, batch = smuggle(["atime"], budget, "process", monkeypatch, 1, **scene)
    if half(error):
        pytest.skip("no times of access are kept here")
    assert error == 0
    assert (s >= CONVICTED) == (budget == SMALL)
    assert batch.isolation == "process"


@needs_landlock
@pytest.mark.parametrize("budget", [SMALL, HALF])
@pytest.mark.parametrize(
    ("where", "closed"),
    [
        ("inline", False),
        ("bare process", False),
        ("process", True),
        pytest.param("namespaces", True, marks=needs_namespaces),
    ],
)
def test_a_pipe_with_a_name_is_no_file_that_a_mount_closes(
    where, closed, budget, monkeypatch, scene
):
    error, s, _ = smuggle(["fifo"], budget, where, monkeypatch, 1, **scene)
    assert half(error) if closed else error == 0
    assert (s >= CONVICTED) == (budget == SMALL and not closed)


@needs_filter
@needs_namespaces
@pytest.mark.parametrize("budget", [SMALL, pytest.param(HALF, marks=pytest.mark.soak)])
@pytest.mark.parametrize("way", OPEN)
def test_what_a_clock_or_ones_own_faults_tell_stays_open_and_is_convicted(
    way, budget, monkeypatch, scene
):
    error, s, batch = smuggle([way], budget, "namespaces", monkeypatch, 1, **scene)
    if half(error):
        pytest.skip("what is in memory does not show here")
    # Measured beside two other jobs: 0 by faults, by the clock .4 % (names) and 2.5 % (pages).
    assert error < (0.01 if way == "pages-faults" else 0.2)
    assert (s >= CONVICTED) == (budget == SMALL)
    assert batch.isolation == "namespaces"


# -- lies about the message itself --------------------------------------------------------------


def lie(thing, kind="inline", folder=CHEATS):
    key = hashlib.sha256(f"{thing}{kind}".encode()).digest()
    cell = Cell(INSTANCE, f"{folder}/lying.py:{thing}", (), TINY, batch_size=16)
    batch = play_batch(cell, key, 0, kind, LIMITS)
    return batch, sum(r.wrong for r in batch.records) / (16 * 512), surprise(batch.records)


def test_bytes_that_say_they_are_two_are_counted_and_lose_what_they_carry():
    batch, error, s = lie("Understated")
    # All 64 bytes are there, and are charged: 8 * 64 + 2 * 6 + 1.
    assert {r.charged_bits for r in batch.records} == {525}
    assert error > 0.43
    assert s < 0


def test_a_view_of_a_larger_buffer_is_cut_out_of_it():
    batch, error, s = lie("View")
    assert {r.charged_bits for r in batch.records} == {16 + 2 + 1}
    assert_harmless(error, s)


def test_information_in_the_length_is_charged_for():
    batch, error, s = lie("Length")
    # Eleven bits a message come through, and nothing else does.
    assert all(r.wrong_by_age[0] < 32 for r in batch.records)
    assert 0.43 < error < 0.57
    assert all(r.charged_bits >= 11 for r in batch.records if r.charged_bits > 64)
    assert s < 0


def test_and_is_a_failure_under_a_declared_length():
    batch, error, s = lie("DeclaredLength")
    assert all("declared were message_bytes = 0" in r.failed for r in batch.records)
    assert_harmless(error, s)


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_a_length_declared_too_late_is_none(kind):
    batch, _, s = lie("LateDeclaration", kind)
    assert s < 0
    for record in batch.records:
        assert record.failed is not None
        assert record.charged_bits == 64


def test_failing_is_a_signal_that_costs_more_than_it_says():
    batch, error, s = lie("Failing")
    assert 0 < sum(r.failed is not None for r in batch.records) < 16
    assert_harmless(error, s)


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("bare process", "The compressor's code changed between Alice and Bob."),
        pytest.param("namespaces", "Read-only file system", marks=needs_namespaces),
    ],
)
def test_a_plug_in_that_rewrites_itself_is_another_plug_in(where, sentence, tmp_path, monkeypatch):
    shutil.copy(CHEATS / "lying.py", tmp_path)
    if where == "bare process":
        monkeypatch.setattr(seats, "landlock_available", lambda: False)
    kind = "process" if where == "bare process" else where
    batch, error, s = lie("Rewriter", kind, tmp_path)
    assert all(sentence in r.failed for r in batch.records)
    assert_harmless(error, s)
