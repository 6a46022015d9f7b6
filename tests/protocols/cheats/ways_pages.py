"""Ways out through the caches: Alice reads a page or asks for a name, and Bob sees whether she did.

``pages`` is a file on a disk, none of which is in memory when the game begins. Some of these need
no clock, some do.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import statistics
import struct
import time

import scene
from scene import bits_of, bytes_of, call, number_of

PAGE = mmap.PAGESIZE
BITS = 544
_NOWAIT = 8


@contextlib.contextmanager
def opened():
    fd = os.open(scene.folder / "pages", os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)  # or its neighbours would come with a page
    try:
        yield fd
    finally:
        os.close(fd)


def hide_pages(seed, data):
    with opened() as fd:
        for i, bit in enumerate(bits_of(data)):
            if bit:
                os.pread(fd, 1, i * PAGE)


def find_by_flag(seed):
    """preadv2 that does not wait."""
    bits = []
    with opened() as fd:
        for i in range(BITS):
            try:
                os.preadv(fd, [bytearray(1)], i * PAGE, _NOWAIT)
                bits.append(1)
            except BlockingIOError:
                bits.append(0)
    return bytes_of(bits)


def find_by_aio(seed):
    """The same, by way of io_submit."""
    context = ctypes.c_ulong()
    call(number_of(206, 0), 8, ctypes.byref(context))
    bits = []
    buffer = ctypes.create_string_buffer(1)
    with opened() as fd:
        for i in range(BITS):
            block = ctypes.create_string_buffer(
                struct.pack("=QIIHhIQQqQII", 0, 0, _NOWAIT, 0, 0, fd,
                            ctypes.addressof(buffer), 1, i * PAGE, 0, 0, 0)
            )  # fmt: skip
            list_ = (ctypes.c_void_p * 1)(ctypes.addressof(block))
            call(number_of(209, 2), context, ctypes.c_long(1), list_)
            event = (ctypes.c_int64 * 4)()
            one = ctypes.c_long(1)
            call(number_of(208, 4), context, one, one, event, None)
            bits.append(int(event[2] == 1))
    return bytes_of(bits)


def find_by_mincore(seed):
    seen = (ctypes.c_ubyte * BITS)()
    with opened() as fd, mmap.mmap(fd, BITS * PAGE, prot=mmap.PROT_READ) as pages:
        address = address_of(pages)
        call("mincore", ctypes.c_void_p(address), ctypes.c_size_t(BITS * PAGE), seen)
    return bytes_of([byte & 1 for byte in seen])


def address_of(pages):
    view = ctypes.pythonapi.PyObject_GetBuffer
    buffer = (ctypes.c_void_p * 16)()
    view(ctypes.py_object(pages), buffer, 0)
    address = buffer[0]
    ctypes.pythonapi.PyBuffer_Release(buffer)
    return address


def find_by_faults(seed):
    """A page that is not there is a major fault, and everybody may count his own."""
    bits = []
    with opened() as fd, mmap.mmap(fd, BITS * PAGE, prot=mmap.PROT_READ) as pages:
        pages.madvise(mmap.MADV_RANDOM)
        for i in range(BITS):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
            _ = pages[i * PAGE]
            bits.append(int(resource.getrusage(resource.RUSAGE_SELF).ru_majflt == before))
    return bytes_of(bits)


def by_time(act, times=1):
    """Bits from how much longer each takes the first time than the second, by the median: the
    shorter half of the gap at which they part best.
    """
    longer = [
        statistics.median(timed(act, i, k) / timed(act, i, k) for k in range(times))
        for i in range(BITS)
    ]
    ordered = sorted(longer)
    middle = range(BITS // 4, 3 * BITS // 4)
    cut = max(middle, key=lambda i: ordered[i + 1] / ordered[i])
    return bytes_of([int(one <= ordered[cut]) for one in longer])


def timed(act, *which):
    began = time.perf_counter()
    act(*which)
    return time.perf_counter() - began


def find_pages_by_time(seed):
    with opened() as fd:
        return by_time(lambda i, _: os.pread(fd, 1, i * PAGE))


NAMES = 9  # a bit: a look-up takes microseconds, which any other work on the machine disturbs


def ask_for(seed, i, k):
    os.path.exists(scene.folder / f"no-{seed}-{i}-{k}")


def find_names_by_time(seed):
    return by_time(lambda i, k: ask_for(seed, i, k), NAMES)


def hide_names(seed, data):
    for i, bit in enumerate(bits_of(data)):
        for k in range(NAMES * bit):
            ask_for(seed, i, k)


WAYS = {
    "pages-nowait": (hide_pages, find_by_flag),
    "pages-aio": (hide_pages, find_by_aio),
    "pages-mincore": (hide_pages, find_by_mincore),
    "pages-faults": (hide_pages, find_by_faults),
    "pages-time": (hide_pages, find_pages_by_time),
    "names-time": (hide_names, find_names_by_time),
}
