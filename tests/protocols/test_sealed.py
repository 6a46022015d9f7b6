"""Large frames are handed over as sealed memory: what is taken, what is refused, what Bob gets."""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import sys
import tempfile
import threading

import numpy as np
import pytest
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.index_game import play_batch, written
from kvbarrier.protocols.game.instances import Index
from kvbarrier.protocols.players import channel as ch
from kvbarrier.protocols.players import isolation
from kvbarrier.protocols.players.isolation import Limits
from kvbarrier.protocols.players.sealed import LARGE, Sealed, is_sealed, seal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files in memory are Linux's")

KEY = b"the key of what is handed over.."
FLAG = 1 << 63
ALL = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
apart = pytest.mark.parametrize(
    "kind",
    [
        "process",
        pytest.param(
            "namespaces",
            marks=pytest.mark.skipif(
                not isolation.namespaces_available(), reason=f"{isolation.namespaces_problem()}"
            ),
        ),
    ],
)


@pytest.fixture
def ends():
    before = set(os.listdir("/proc/self/fd"))
    a, b = (ch.Channel(end.detach()) for end in socket.socketpair())
    yield a, b
    a.close()
    b.close()
    assert set(os.listdir("/proc/self/fd")) == before


def memory(size, seals=ALL):
    fd = os.memfd_create("theirs", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def say(end, length, *fds):
    with ch._as_socket(end.fd_out) as theirs:
        socket.send_fds(theirs, [length.to_bytes(8, "big")], list(fds))
    for fd in fds:
        os.close(fd)


def test_a_large_frame_is_handed_over_and_a_small_one_is_not(ends):
    a, b = ends
    big = np.random.default_rng(0).integers(0, 256, LARGE, dtype=np.uint8)
    for value, handed in ((big, True), (big[: LARGE // 2], False)):
        # Who hands over waits for nobody; a socket holds less than half a MiB.
        thread = threading.Thread(target=a.send, args=({"x": value}, ch.Deadline(20)))
        thread.start()
        body = b.body(ch.Deadline(20))
        thread.join()
        assert isinstance(body, Sealed) == handed
        assert np.array_equal(ch.unpack(body)["x"], value)
    assert ends[0].send([1]) is None
    assert b.receive(ch.Deadline(5)) == [1]


def test_what_is_written_into_a_body_stays_with_who_wrote_it(ends):
    a, b = ends
    a.send(np.zeros(LARGE, dtype=np.uint8))
    body = b.body(ch.Deadline(5))
    array = ch.unpack(body)
    array[:] = 7
    b.forward(body)
    assert not a.receive(ch.Deadline(5)).any()
    with pytest.raises(PermissionError):
        os.pwrite(body.fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(body.fd, 2 * LARGE)
    with pytest.raises(PermissionError):
        mmap.mmap(body.fd, LARGE)


@pytest.mark.parametrize("missing", [1, 2, 4, 8])
def test_memory_that_could_still_change_is_refused(ends, missing):
    # 1: more seals could follow, which is harmless; yet the rule is all four.
    a, b = ends
    say(a, FLAG | LARGE, memory(LARGE, ALL & ~missing))
    with pytest.raises(ch.BadFrame, match="not sealed memory"):
        b.receive(ch.Deadline(5))


@pytest.mark.parametrize("size", [0, LARGE - 1, LARGE + 1, LARGE + 4096])
def test_memory_of_another_length_is_refused(ends, size):
    a, b = ends
    say(a, FLAG | LARGE, memory(size))
    with pytest.raises(ch.BadFrame, match="not sealed memory of the length"):
        b.receive(ch.Deadline(5))


def test_what_is_no_memory_is_refused(ends):
    a, b = ends
    with tempfile.TemporaryFile() as file:
        file.truncate(LARGE)
        read, write = os.pipe()
        for fd in (os.dup(file.fileno()), read, write, os.open("/dev/zero", os.O_RDONLY)):
            say(a, FLAG | LARGE, fd)
            with pytest.raises(ch.BadFrame, match="not sealed memory"):
                b.receive(ch.Deadline(5))


def test_neither_more_nor_fewer_descriptors_than_one_are_taken(ends):
    a, b = ends
    say(a, FLAG | LARGE)
    with pytest.raises(ch.BadFrame, match="not a frame"):
        b.receive(ch.Deadline(5))
    say(a, 3, memory(LARGE))  # a small frame needs none
    with pytest.raises(ch.BadFrame, match="not a frame"):
        b.receive(ch.Deadline(5))
    # One with every byte of the length.
    head = (FLAG | LARGE).to_bytes(8, "big")
    with ch._as_socket(a.fd_out) as theirs:
        for byte in head:
            fd = memory(LARGE)
            socket.send_fds(theirs, [bytes([byte])], [fd])
            os.close(fd)
    with pytest.raises(ch.BadFrame, match="not a frame"):
        b.receive(ch.Deadline(5))
    # Of several at once the kernel gives the first; none of the others stays open.
    say(a, FLAG | LARGE, memory(LARGE), memory(7), memory(7))
    assert len(b.body(ch.Deadline(5))) == LARGE
    # A frame that never comes leaves none open either.
    with ch._as_socket(a.fd_out) as theirs:
        fd = memory(LARGE)
        socket.send_fds(theirs, [head[:5]], [fd])
        os.close(fd)
    with pytest.raises(ch.ChannelTimeout):
        b.receive(ch.Deadline(0.05))


def test_the_limit_holds_before_anything_is_mapped(ends):
    a, b = ends
    say(a, FLAG | 1 << 40, memory(1 << 40))
    with pytest.raises(ch.BadFrame, match="over the limit"):
        b.receive(ch.Deadline(5))


def test_a_pipe_hands_nothing_over():
    read, write = os.pipe()
    end = ch.Channel(read, os.dup(write))
    os.write(write, (FLAG | LARGE).to_bytes(8, "big"))
    with pytest.raises(ch.BadFrame, match="over the limit"):
        end.receive(ch.Deadline(5))
    end.close()
    os.close(write)


def test_who_still_maps_memory_for_writing_cannot_seal_it():
    fd = os.memfd_create("theirs", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, LARGE)
    with mmap.mmap(fd, LARGE), pytest.raises(OSError, match="busy"):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, ALL)
    assert not is_sealed(fd)
    os.close(fd)


def test_where_there_is_no_such_memory_a_frame_goes_as_a_small_one_does(ends, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    assert seal([b"x"]) is None
    test_a_frame = np.arange(LARGE, dtype=np.uint8)
    thread = threading.Thread(target=ends[0].send, args=(test_a_frame, ch.Deadline(20)))
    thread.start()
    body = ends[1].body(ch.Deadline(20))
    thread.join()
    assert type(body) is bytearray
    assert np.array_equal(ch.unpack(body), test_a_frame)


# -- played -------------------------------------------------------------------------------------

CHEAT = '''
"""Its message is long; way says what it does to the memory in which that is handed over."""

import fcntl
import mmap
import os
import time

import numpy as np
from kvbarrier.compressors.plugin.contract import Compressor
from kvbarrier.protocols.players import channel, sealed

SIZE = 3 << 20
honest = sealed.seal


def open_end(parts):
    """Not sealed, and written to by a process that stays."""
    fd = os.memfd_create("frame")
    for part in parts:
        os.write(fd, part)
    if os.fork() == 0:
        for i in range(2000):
            os.pwrite(fd, bytes([i % 256]) * 100, SIZE // 2)
            time.sleep(0.001)
        os._exit(0)
    return fd


def mapped(parts):
    """Sealed against the calls that write, and mapped before."""
    fd = os.memfd_create("frame", os.MFD_ALLOW_SEALING)
    for part in parts:
        os.write(fd, part)
    keep.append(mmap.mmap(fd, 0))
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 16 | 1 | 2 | 4)  # F_SEAL_FUTURE_WRITE
    return fd


def longer(parts):
    """More bytes behind those that are told."""
    fd = os.memfd_create("frame", os.MFD_ALLOW_SEALING)
    for part in [*parts, bytes(1 << 16)]:
        os.write(fd, part)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 15)
    return fd


def marked(parts):
    """Honest memory, with a word in its name, its offset, its times and its mode."""
    fd = os.memfd_create("SECRET", os.MFD_ALLOW_SEALING)
    for part in parts:
        os.write(fd, part)
    os.lseek(fd, 4242, os.SEEK_SET)
    os.utime(fd, (42, 42))
    os.chmod(fd, 0o123)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 15)
    return fd


keep = []
WAYS = {"open": open_end, "mapped": mapped, "longer": longer, "marked": marked, "honest": honest}


class Long(Compressor):
    message_bytes = SIZE

    def set_up(self, *, way="honest"):
        self.way = way
        self.V = []

    def append(self, q, k, v):
        self.V.append(v)

    def save(self):
        channel.seal = WAYS[self.way]
        said = np.array(self.V, dtype=np.float32).tobytes()
        return said + bytes(SIZE - len(said))

    def restore(self, message):
        shape = self.shape
        self.V = np.frombuffer(message, dtype=np.float32)[: shape.tokens * shape.d_v]
        self.V = self.V.reshape(-1, shape.d_v)
        aims = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                if os.path.lexists(f"/proc/self/fd/{fd}")}
        files = [int(fd) for fd, aim in aims.items() if "memfd" in aim]
        assert files, "nothing was handed over"
        maps = open("/proc/self/maps").read()
        assert "SECRET" not in maps + str(aims)
        for fd in files:
            now = os.fstat(fd)
            assert now.st_mode & 0o777 != 0o123 and now.st_mtime > 1000 and now.st_atime > 1000
            assert os.lseek(fd, 0, os.SEEK_CUR) == now.st_size
            assert SIZE < now.st_size < SIZE + 20000, now.st_size

    def next_outputs(self, Q, K, V):
        rows = [np.argmax(self.keys_of() @ q) for q in Q]
        return self.V[rows]

    def keys_of(self):
        return self.public["keys"]

    def attend(self, q):
        raise NotImplementedError
'''


def played(tmp_path, kind, way):
    path = tmp_path / "long.py"
    path.write_text(CHEAT)
    cell = Cell(Index(32, 16, keys="hypercube"), f"{path}:Long", (("way", way),), None, 2)
    return play_batch(cell, KEY, 1, kind, Limits(20, 1 << 30)).records


@apart
@pytest.mark.parametrize("way", ["honest", "marked"])
def test_bob_gets_memory_that_the_harness_wrote(tmp_path, kind, way):
    for record in played(tmp_path, kind, way):
        assert record.failed is None
        assert sum(record.wrong_by_age) == 0
        assert record.charged_bits == 8 * (3 << 20)


@apart
@pytest.mark.parametrize("way", ["open", "mapped", "longer"])
def test_a_message_in_memory_that_is_not_sealed_has_failed(tmp_path, kind, way):
    for record in played(tmp_path, kind, way):
        assert "Alice broke the channel: not a frame: what was handed over" in record.failed
        assert record.charged_bits == 64


MARKS = '''
"""Marks whatever file in memory it has, and tells by its message what it found marked."""

import os

import numpy as np
from kvbarrier.compressors.plugin.contract import Compressor


def files():
    for fd in os.listdir("/proc/self/fd"):
        if os.path.lexists(place := f"/proc/self/fd/{fd}") and "memfd" in os.readlink(place):
            yield int(fd)


class Marks(Compressor):
    streaming = False
    message_bytes = 8

    def set_up(self):
        self.found = any(
            os.lseek(fd, 0, os.SEEK_CUR) == 4242 or os.fstat(fd).st_mode & 0o777 == 0o123
            for fd in files()
        )

    def extend(self, Q, K, V):
        assert self.public["keys"].shape == (1 << 13, 64)
        self.public["keys"][:] = 42
        for fd in files():
            os.lseek(fd, 4242, os.SEEK_SET)
            os.chmod(fd, 0o123)

    def append(self, q, k, v):
        self.extend(q[None], k[None], v[None])

    def attend(self, q):
        return np.zeros(self.shape.d_v, dtype=np.float32)

    def save(self):
        return np.array([self.found or self.public["keys"][0, 0] != 42], dtype=np.int64).tobytes()

    def restore(self, message):
        self.found = np.frombuffer(message, dtype=np.int64)[0]
'''


@apart
def test_the_memory_of_public_keys_carries_nothing_from_a_message_to_the_next(tmp_path, kind):
    path = tmp_path / "marks.py"
    path.write_text(MARKS)
    cell = Cell(Index(1 << 13, 64, keys="bch", rows=16), f"{path}:Marks", (), None, 3)
    sent = written(cell, KEY, range(3), kind, Limits(20, 1 << 30))
    assert [int.from_bytes(bytes(one.message.open()), "little") for one in sent] == [0, 0, 0]
