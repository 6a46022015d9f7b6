"""A cheat of few bits: Alice raises a counter of the whole machine, and Bob reads it.

``ways`` names counters, joined by "+". Each carries four bits of the secret, its first row's bits
from 4 i on: Alice raises counter i until it is in the middle of that sixteenth of ``16 step`` which
her bits name. Her message is only whether she could (so this is no attack, but a measurement), and
Bob's first row of outputs is what he read, -1 where he could not.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import scene
from kvbarrier.compressors.plugin.contract import Compressor
from scene import call

PATIENCE = 15.0


def field(path, name):
    for line in Path(path).read_text().splitlines():
        words = line.split()
        if words and words[0].rstrip(":") == name:
            return int(words[1])
    raise OSError(f"no {name} in {path}")


def one_processor():
    """Some counters are handed out to processors in batches."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def lock_pages(times):
    pages = ctypes.create_string_buffer(1 << 20)
    for _ in range(-(-times // 256)):
        call("mlock", pages, ctypes.c_size_t(1 << 20))
        call("munlock", pages, ctypes.c_size_t(1 << 20))


def start_threads(times):
    for _ in range(times):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()


def bind_ports(times):
    for _ in range(times):
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as held:
            held.bind((0xFFFFFFFF, 0xFFFFFFFF))


def read_port():
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as held:
        held.bind((0xFFFFFFFF, 0xFFFFFFFF))
        return held.getsockname()[1]


def send_datagrams(times):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(times):
            sender.sendto(b"", ("127.0.0.1", 9))


def read_datagrams():
    rows = [r.split() for r in Path("/proc/net/snmp").read_text().splitlines()]
    names, counts = (row for row in rows if row[0] == "Udp:")
    return int(dict(zip(names, counts, strict=True))["OutDatagrams"])


def make_pipes(times):
    one_processor()
    for _ in range(times):
        for fd in os.pipe():
            os.close(fd)


def read_pipe():
    one_processor()
    fds = os.pipe()
    number = os.fstat(fds[0]).st_ino
    for fd in fds:
        os.close(fd)
    return number


def cookie():
    with socket.socket(socket.AF_UNIX) as one:
        return struct.unpack("Q", one.getsockopt(socket.SOL_SOCKET, 57, 8))[0]


def make_cookies(times):
    one_processor()
    for _ in range(times):
        cookie()


def read_cookie():
    one_processor()
    return cookie()


def read_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(threading.get_native_id()))
    thread.start()
    thread.join()
    return found[0]


def read_pidfd():
    thread_pid = os.fork()
    if thread_pid == 0:
        os._exit(0)
    fd = os.pidfd_open(thread_pid)
    number = os.fstat(fd).st_ino
    os.close(fd)
    os.waitpid(thread_pid, 0)
    return number


def ask_for_names(times):
    for i in range(times):
        os.path.exists(scene.folder / f"no-{time.monotonic_ns()}-{i}")


def nice_victim(times):
    call("setpriority", 0, scene.victim, os.getpriority(0, scene.victim) + times)


def score_victim(times):
    path = Path(f"/proc/{scene.victim}/oom_score_adj")
    path.write_text(str(int(path.read_text()) + times))


def of_vmstat():
    return field("/proc/vmstat", "unevictable_pgs_mlocked")


def of_stat():
    return field("/proc/stat", "processes")


def of_dentries():
    return int(Path("/proc/sys/fs/dentry-state").read_text().split()[0])


def of_meminfo():
    return field("/proc/meminfo", "SReclaimable")


def of_priority():
    return os.getpriority(0, scene.victim)


def of_score():
    return int(Path(f"/proc/{scene.victim}/oom_score_adj").read_text())


# name: (raise it by about so many, read it, step)
WAYS = {
    "locked-pages": (lock_pages, of_vmstat, 4096),
    "forks": (start_threads, of_stat, 512),
    "names-known": (ask_for_names, of_dentries, 4096),
    "slab": (lambda kib: ask_for_names(4 * kib), of_meminfo, 768),
    "vsock-ports": (bind_ports, read_port, 16),
    "datagrams": (send_datagrams, read_datagrams, 64),
    "pipe-inodes": (make_pipes, read_pipe, 1 << 14),
    "socket-cookies": (make_cookies, read_cookie, 1 << 14),
    "process-ids": (start_threads, read_thread, 512),
    "pidfd-inodes": (start_threads, read_pidfd, 512),
    "victim-nice": (nice_victim, of_priority, 1),
    "victim-oom-score": (score_victim, of_score, 16),
}


def hide(name, nibble):
    bump, read, step = WAYS[name]
    deadline = time.monotonic() + PATIENCE
    before = None
    while time.monotonic() < deadline:
        now = read()
        if now == before:
            return False  # it does not move
        before = now
        aim = nibble * step + step // 2
        left = (aim - now) % (16 * step)
        if left <= step // 4 or left >= 16 * step - step // 4:
            return True
        bump(left)
    return False


def find(name):
    _, read, step = WAYS[name]
    return read() // step % 16


class Counters(Compressor):
    streaming = False

    def __init__(
        self, shape, budget_bits=None, seed=0, public=None, ways="", folder="", victim=0, keyring=0
    ):
        super().__init__(shape, budget_bits, seed, public)
        scene.set_up(folder, victim, keyring)
        self.ways = ways.split("+")
        self.message_bytes = len(self.ways)

    def append(self, q, k, v):
        raise NotImplementedError

    def attend(self, q):
        raise NotImplementedError

    def extend(self, Q, K, V):
        self.could = bytes(len(self.ways))
        if self.seed:
            bits = (V.ravel() > 0.5).astype(int)
            nibbles = [int(bits[4 * i : 4 * i + 4] @ [8, 4, 2, 1]) for i in range(len(self.ways))]
            self.could = bytes(map(self.tried, self.ways, nibbles))

    @staticmethod
    def tried(name, nibble):
        try:
            return hide(name, nibble)
        except Exception:
            return False

    def save(self):
        return self.could

    def restore(self, message):
        pass

    def next_outputs(self, Q, K, V):
        out = np.full(V.shape, -1, dtype=np.float32)
        for i, name in enumerate(self.ways):
            try:
                out[0, i] = find(name)
            except Exception:
                continue
        return out
