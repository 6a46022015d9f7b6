"""The filter of system calls: its numbers, its program on a plain machine, and what it spares."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from kvbarrier.protocols.players import seccomp

# The kernel's own tables, where its headers are installed.
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
# AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64, AUDIT_ARCH_I386 of linux/audit.h
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386 = 0x40000003
ALLOW, EPERM, ENOSYS, NOTHING = 0x7FFF0000, 0x50001, 0x50026, 0x50000

machines = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
needs_filter = pytest.mark.skipif(seccomp.problem() is not None, reason=f"{seccomp.problem()}")


def run(program, number, args=(), arch=None):
    """A plain machine for classic BPF, after bpf(4) and seccomp(2): what the program returns."""
    words = [number, arch, 0, 0]
    for arg in (*args, *[0] * (6 - len(args))):
        words += [arg & 0xFFFFFFFF, arg >> 32 & 0xFFFFFFFF]
    a = at = 0
    while True:
        code, true, false, k = program[at]
        at += 1
        if code == 0x20:  # ld [k]
            a = words[k // 4]
        elif code == 0x54:  # and #k
            a &= k
        elif code == 0x15:  # jeq #k
            at += true if a == k else false
        elif code == 0x25:  # jgt #k
            at += true if a > k else false
        elif code == 0x06:  # ret #k
            return k
        else:
            raise AssertionError(f"no such instruction: {code:#x}")


def said(machine, name, *args, own_mounts=True):
    number = seccomp.NUMBERS[name][seccomp.MACHINES[machine][0]]
    return run(seccomp.program(machine, own_mounts=own_mounts), number, args, ARCH[machine])


@machines
def test_the_numbers_are_the_kernels(machine):
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not installed")
    text = HEADERS[machine].read_text()
    theirs = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text))
    theirs.pop("syscalls", None)  # how many there are
    column = seccomp.MACHINES[machine][0]
    known = {name: n[column] for name, n in seccomp.NUMBERS.items() if name in theirs}
    assert known == {name: int(theirs[name]) for name in known}
    # What the header does not have is newer than it, or of the other machine.
    newest = max(map(int, theirs.values()))
    for name in seccomp.NUMBERS.keys() - known.keys():
        number = seccomp.NUMBERS[name][column]
        assert number is None or number > newest


@machines
@pytest.mark.parametrize("own_mounts", [True, False])
def test_no_call_of_another_machine_or_of_tomorrow_passes(machine, own_mounts):
    program = seccomp.program(machine, own_mounts=own_mounts)
    assert len(program) < 4096  # BPF_MAXINSNS
    assert run(program, 0, arch=ARCH[machine]) in (ALLOW, EPERM)
    assert run(program, 0, arch=I386) == EPERM
    for number in (470, 1000, 0x40000000, 0x40000000 + 16, 0xFFFFFFFF):
        assert run(program, number, arch=ARCH[machine]) == ENOSYS
    listed = {numbers[seccomp.MACHINES[machine][0]] for numbers in seccomp.NUMBERS.values()}
    for number in set(range(470)) - listed:
        assert run(program, number, arch=ARCH[machine]) == ALLOW


PID, POINTER = 4321, 0x7F0000000000
NEWUSER, NEWNET, NEWTIME, THREAD = 0x10000000, 0x40000000, 0x80, 0x3D0F00


@machines
@pytest.mark.parametrize(
    ("name", "args", "wanted"),
    [
        ("keyctl", (1,), EPERM),
        ("mincore", (POINTER, 4096, POINTER), EPERM),
        ("clone3", (POINTER, 88), ENOSYS),
        ("openat2", (0, POINTER, POINTER, 24), ENOSYS),
        ("io_uring_setup", (8, POINTER), ENOSYS),
        # one's own limits, and asking for those of others
        ("prlimit64", (0, 7, POINTER, POINTER), ALLOW),
        ("prlimit64", (PID, 7, 0, POINTER), ALLOW),
        ("prlimit64", (PID, 7, POINTER, 0), EPERM),
        ("prlimit64", (PID, 7, 1 << 32, 0), EPERM),
        ("setpriority", (0, 0, 5), ALLOW),
        ("setpriority", (0, PID, 5), EPERM),
        ("setpriority", (2, 0, 5), EPERM),  # all of one's user's
        ("ioprio_set", (1, 0, 5), ALLOW),
        ("ioprio_set", (1, PID, 5), EPERM),
        ("ioprio_set", (3, 0, 5), EPERM),
        ("sched_setaffinity", (0, 8, POINTER), ALLOW),
        ("sched_setaffinity", (PID, 8, POINTER), EPERM),
        ("preadv2", (3, POINTER, 1, 0, 0, 0), ALLOW),
        ("preadv2", (3, POINTER, 1, 0, 0, 8), EPERM),
        ("fadvise64", (3, 0, 0, 2), ALLOW),
        ("fadvise64", (3, 0, 0, 4), EPERM),
        ("fcntl", (3, 2, 1), ALLOW),
        ("fcntl", (3, 1035, POINTER), ALLOW),
        ("fcntl", (3, 1036, POINTER), EPERM),
        ("fcntl", (3, 1038, POINTER), EPERM),
        ("getsockopt", (3, 1, 77, POINTER, POINTER), EPERM),  # SO_PEERPIDFD
        ("getsockopt", (3, 1, 3, POINTER, POINTER), ALLOW),  # SO_TYPE, which Python asks
        ("setsockopt", (3, 1, 76, POINTER, 4), EPERM),  # SO_PASSPIDFD
        ("setsockopt", (3, 1, 7, POINTER, 4), ALLOW),
        ("socket", (1, 1, 0), ALLOW),
        ("socket", (2, 1, 0), EPERM),  # AF_INET
        ("socket", (40, 1, 0), EPERM),  # AF_VSOCK
        ("clone", (THREAD, POINTER), ALLOW),
        ("clone", (NEWUSER | 17, 0), EPERM),
        ("unshare", (0x400,), ALLOW),  # CLONE_FILES
        ("unshare", (NEWNET,), EPERM),
        ("unshare", (NEWTIME,), EPERM),
        ("ioctl", (0, 0x5401), ALLOW),  # TCGETS
        ("ioctl", (0, 0x5402), EPERM),  # TCSETS
        ("ioctl", (0, 0x5414), EPERM),  # TIOCSWINSZ
        ("ioctl", (0, 0x5406), EPERM),  # TCSETA
        ("ioctl", (0, 0x402C542B), EPERM),  # TCSETS2
        ("ioctl", (0, 0x540C), EPERM),  # TIOCEXCL
        ("ioctl", (0, 0x802C542A), ALLOW),  # TCGETS2
        ("ioctl", (0, 0x5413), ALLOW),  # TIOCGWINSZ
        ("ioctl", (0, 0x5451), ALLOW),  # FIOCLEX
        ("ioctl", (0, 0x541B), ALLOW),  # FIONREAD
        ("ioctl", (0, 0x5421), ALLOW),  # FIONBIO
        ("ioctl", (3, 0x40086602), EPERM),  # FS_IOC_SETFLAGS
        ("ioctl", (3, 0x401C5820), EPERM),  # FS_IOC_FSSETXATTR
        ("ioctl", (3, 0xC020462A), ALLOW),  # a graphics card's
    ],
)
def test_what_a_call_gets(machine, name, args, wanted):
    for own_mounts in (True, False):
        assert said(machine, name, *args, own_mounts=own_mounts) == wanted


@machines
def test_marks_on_files_are_refused_where_mounts_are_not_ones_own(machine):
    refused = ("fsetxattr", "truncate", "shmget", "mq_open")
    without_effect = ("fchmod", "utimensat")
    wanted_of = dict.fromkeys(refused, EPERM) | dict.fromkeys(without_effect, NOTHING)
    for name, wanted in wanted_of.items():
        assert said(machine, name) == ALLOW
        assert said(machine, name, POINTER, POINTER, POINTER, own_mounts=False) == wanted
    # Setting the present time is how one asks for a file that is not there yet to be made.
    assert said(machine, "utimensat", 0, POINTER, 0, own_mounts=False) == EPERM
    assert said(machine, "utimensat", 3, 0, 0, own_mounts=False) == NOTHING


@pytest.mark.parametrize("machine", ["riscv64", "s390x"])
def test_where_there_is_no_filter_that_is_said(machine, monkeypatch):
    name = os.uname()
    monkeypatch.setattr(seccomp, "LINUX", True)
    monkeypatch.setattr(os, "uname", lambda: type(name)((*name[:4], machine)))
    with pytest.raises(OSError, match=f"x86_64 and aarch64 .64 bits., and this is {machine}") as e:
        seccomp.restrict(own_mounts=True)
    assert e.value.errno == errno.ENOSYS


INNOCENT = """
import ctypes, multiprocessing, os, shutil, socket, subprocess, sys, tempfile, threading
from pathlib import Path
from kvbarrier.protocols.players import namespaces, seccomp

def square(x):
    return x * x

import numba, numpy as np
namespaces.drop_power()
seccomp.restrict(own_mounts=sys.argv[1] == "own")

with tempfile.TemporaryDirectory() as room:
    a = Path(room) / "a"
    a.write_text("x")
    shutil.copy(a, Path(room) / "b")
    shutil.copy2(a, Path(room) / "c")
    shutil.copytree(room, Path(room) / "tree" / "d", ignore=lambda *_: ["tree"])
    shutil.move(Path(room) / "b", Path(room) / "e")
    shutil.make_archive(str(Path(room) / "z"), "tar", room, "tree")
    shutil.unpack_archive(str(Path(room) / "z.tar"), Path(room) / "out", filter="data")
    a.touch()
    a.unlink()
    a.touch()
    assert a.exists()
    subprocess.run(["touch", a, Path(room) / "f"], check=True)
    assert (Path(room) / "f").exists()
with tempfile.NamedTemporaryFile() as file:
    file.write(b"x")
    file.flush()
    np.memmap(file.name, dtype=np.uint8)[0]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(square, range(4)) == [0, 1, 4, 9]
assert subprocess.run(["true"]).returncode == 0
thread = threading.Thread(target=lambda: None)
thread.start()
thread.join()
left, right = socket.socketpair()
left.send(b"x")
assert right.recv(1) == b"x"
os.sched_setaffinity(0, os.sched_getaffinity(0))
os.nice(1)
numba.set_num_threads(1)

@numba.njit(parallel=True)
def total(x):
    s = 0.0
    for i in numba.prange(len(x)):
        s += x[i]
    return s

assert total(np.ones(1000)) == 1000
assert np.linalg.svd(np.eye(8))[1].sum() == 8
print("fine")
"""


@needs_filter
@pytest.mark.parametrize("mounts", ["own", "shared"])
def test_innocent_code_does_not_notice(mounts, tmp_path):
    script = tmp_path / "innocent.py"
    script.write_text(INNOCENT)
    done = subprocess.run([sys.executable, script, mounts], capture_output=True, text=True)
    assert done.stdout == "fine\n", done.stderr
