"""No cheat yet: it looks around in its process, and its message is what it saw, as JSON."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import socket
import tempfile
import time
from pathlib import Path

import kvbarrier
import numpy as np
from kvbarrier.compressors.plugin.contract import Compressor


def tried(act):
    try:
        act()
    except OSError as error:
        return error.strerror or str(error)
    return "done"


def touch(folder):
    path = Path(folder) / f"kvwitness-{os.getpid()}"

    def act():
        path.write_bytes(b"x")
        path.unlink()

    return tried(act)


def connect(port):
    def act():
        with socket.socket() as asking:
            asking.settimeout(2)
            asking.connect(("127.0.0.1", port))

    return tried(act)


def device():
    """Ask a device how much entropy there is."""
    with open("/dev/random", "rb") as random:
        return tried(lambda: fcntl.ioctl(random, 0x80045200, bytes(4)))


def remount():
    """Try to get power back in a further user namespace, and to open the root for writing."""
    libc = ctypes.CDLL(None, use_errno=True)
    pid = os.fork()
    if pid == 0:
        ok = libc.unshare(0x10000000 | 0x20000) == 0
        ok = ok and libc.mount(None, b"/", None, ctypes.c_ulong(32 | 4096), None) == 0
        os._exit(0 if ok else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def status(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split(":")[1].strip()
    return None


def look(port, harness):
    kernels = Path(os.environ["NUMBA_CACHE_DIR"])
    before = kernels.exists()
    import numba  # noqa: F401, at which our kernels are copied

    ours = str(Path(kvbarrier.__file__).parent / "reductions" / "__pycache__")
    folders = ["/tmp", "/var/tmp", str(Path(__file__).parent), ours, "/dev/shm", os.getcwd()]
    folders += [os.environ["HOME"], tempfile.gettempdir()]
    fds = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            fds[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
    return {
        "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "tmpdir": tempfile.gettempdir(),
        "pid": os.getpid(),
        "pids": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
        "session": os.getsid(0),
        "group": os.getpgrp(),
        "fds": fds,
        "writes": {folder: touch(folder) for folder in folders},
        "sysctl": tried(lambda: Path("/proc/sys/kernel/domainname").write_text("x")),
        "processor": sorted(f.name for f in Path("/sys/devices/system/cpu/cpu0").glob("*")),
        "processors": tried(lambda: Path("/sys/devices/system/cpu/online").read_text()),
        "tcp": connect(port),
        "device": device(),
        "signal": tried(lambda: os.kill(harness, 0)),
        "memory": tried(lambda: Path(f"/proc/{harness}/mem").open("rb").close()),
        "remount": remount(),
        "kernels": [before, touch(kernels), len(list(kernels.rglob("*.nbi")))],
        "capabilities": [status("CapEff"), status("CapPrm"), status("CapBnd")],
        "no_new_privileges": status("NoNewPrivs"),
        "filtered": status("Seccomp"),
        "address_space": resource.getrlimit(resource.RLIMIT_AS)[0],
        "cores": resource.getrlimit(resource.RLIMIT_CORE)[0],
    }


class Witness(Compressor):
    streaming = False

    def __init__(self, shape, budget_bits=None, seed=0, public=None, port=0, harness=0):
        super().__init__(shape, budget_bits, seed, public)
        self.port, self.harness = port, harness
        self.saw = b""

    def append(self, q, k, v):
        raise NotImplementedError

    def attend(self, q):
        raise NotImplementedError

    def extend(self, Q, K, V):
        if self.seed:
            self.saw = json.dumps(look(self.port, self.harness)).encode()

    def save(self):
        return self.saw

    def restore(self, message):
        pass

    def next_outputs(self, Q, K, V):
        return np.zeros((len(Q), self.shape.d_v), dtype=np.float32)


class Daemon(Witness):
    """Leaves a daemon behind, and its message is the daemon's process id as the host sees it."""

    def extend(self, Q, K, V):
        if not self.seed:
            return
        read, write = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            os.write(write, str(os.getpid()).encode())
            os.closerange(0, 4096)
            import signal
            import time

            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            time.sleep(100)
            os._exit(0)
        self.saw = os.read(read, 100)
        if self.port:  # then it is a file to leave the id in, and to hang
            import time

            (Path.home() / "daemon").write_bytes(self.saw)
            time.sleep(100)


class Namer(Witness):
    """Leaves files of a telling name in its private folder, and processes of one."""

    def __init__(self, shape, budget_bits=None, seed=0, public=None, name=""):
        super().__init__(shape, budget_bits, seed, public)
        self.name = name

    def extend(self, Q, K, V):
        for copy in range(10):
            (Path.home() / f"{self.name}-{copy}").touch()
        if self.seed and os.fork() == 0:
            os.setsid()
            ctypes.CDLL(None).prctl(15, self.name.encode(), 0, 0, 0)  # PR_SET_NAME
            time.sleep(100)
        self.saw = b"done"
