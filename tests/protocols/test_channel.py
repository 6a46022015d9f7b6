"""Frames: what goes through, what is refused, and that nothing waits for ever."""

from __future__ import annotations

import math
import os
import threading
import time

import msgpack
import numpy as np
import pytest
from kvbarrier.protocols.players import channel as ch


def pair() -> tuple[ch.Channel, ch.Channel]:
    a_in, b_out = os.pipe()
    b_in, a_out = os.pipe()
    return ch.Channel(a_in, a_out), ch.Channel(b_in, b_out)


@pytest.fixture
def ends():
    a, b = pair()
    yield a, b
    a.close()
    b.close()


def test_charged_bits_are_a_prefix_code_of_the_length():
    for length in [0, 1, 2, 3, 7, 8, 100, 65535, 1 << 20]:
        gamma = 2 * math.floor(math.log2(length + 1)) + 1
        assert ch.charged_bits(length, None) == 8 * length + gamma
        assert ch.charged_bits(length, length) == 8 * length
    # Kraft: sum over all messages, 2^(8 L) of each length L, of 2^-charged = sum 2^-gamma <= 1.
    # The lengths with equal gamma 2g+1 are the 2^g with floor(log2(L+1)) = g: 2^g 2^-(2g+1).
    kraft = sum(2.0 ** (8 * L - ch.charged_bits(L, None)) for L in range(2**12 - 1))
    assert kraft == sum(2.0 ** -(g + 1) for g in range(12))
    assert kraft < 1


def test_plain_data_comes_back_as_it_was():
    value = {
        "none": None,
        "bool": True,
        "int": -(2**62),
        "float": 0.1,
        "str": "Ω(nd)",
        "bytes": b"\x00\xff",
        "list": [1, [2.5, "x"]],
        "empty": {},
    }
    assert ch.unpack(ch.pack(value)) == value


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "bool", "int64", "float16"])
def test_arrays_come_back_bit_for_bit_and_writable(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for given in (array, array[:, ::-1], np.asfortranarray(array), array[:0], array[0, 0, 0:1]):
        back = ch.unpack(ch.pack(given))
        assert back.dtype == given.dtype
        assert back.shape == given.shape
        assert back.tobytes() == given.tobytes()
        assert back.flags.writeable
        assert back.flags.c_contiguous
    odd = np.array([np.nan, -0.0, np.inf], dtype="float32")
    assert ch.unpack(ch.pack(odd)).tobytes() == odd.tobytes()


def test_numpy_numbers_become_numbers():
    assert ch.unpack(ch.pack([np.int32(3), np.float32(0.5)])) == [3, 0.5]


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()]), np.array(["a"]), 1j])
def test_what_is_not_plain_is_refused_on_our_side(value):
    with pytest.raises(TypeError):
        ch.pack(value)


def test_arrays_of_a_frame_lie_in_its_body_apart_and_aligned():
    body = bytearray(ch.pack([np.ones(3, "uint8"), np.zeros(2), "x", np.ones(1, "int64")]))
    arrays = [one for one in ch.unpack(body) if isinstance(one, np.ndarray)]
    for array in arrays:
        assert array.flags.aligned
        array[:] = 7
    assert [array.tolist() for array in arrays] == [[7] * 3, [7.0] * 2, [7]]
    assert ch.unpack(body)[2] == "x"


def framed(head, arrays=b""):
    body = len(head).to_bytes(4, "big") + head
    return body + bytes(-len(body) % 16) + arrays if arrays else body


FLOATS = msgpack.packb(msgpack.ExtType(1, msgpack.packb(("<f4", [2, 2]))))


def test_a_frame_is_its_head_and_the_memory_of_its_arrays():
    quarter = np.arange(4, dtype="float32").reshape(2, 2)
    assert ch.pack(quarter) == framed(FLOATS, quarter.tobytes())


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"", "not a frame"),
        (framed(b"\xc1"), "not a frame"),
        (framed(b"\x01\x02"), "not a frame"),
        (ch.pack([1, 2])[:-1], "not a frame"),
        (ch.pack([1, 2]) + b"x", "longer or shorter"),
        (framed(FLOATS), "does not fit its bytes"),
        (framed(FLOATS, bytes(12)), "does not fit its bytes"),
        (framed(FLOATS, bytes(20)), "longer or shorter"),
        (framed(msgpack.packb(msgpack.ExtType(1, b"junk"))), "not a frame"),
        (framed(msgpack.packb(msgpack.ExtType(9, b""))), "unknown extension"),
        (framed(msgpack.packb(msgpack.ExtType(1, msgpack.packb(("|O", [1])))), bytes(8)), "type"),
        (framed(msgpack.packb(msgpack.ExtType(1, msgpack.packb(("none", [1])))), b"x"), "type"),
    ],
)
def test_what_is_no_frame_is_refused_on_theirs(frame, why):
    with pytest.raises(ch.BadFrame, match=why):
        ch.unpack(frame)


def test_frames_larger_than_a_pipe_go_both_ways(ends):
    a, b = ends
    big = np.random.default_rng(0).integers(0, 256, 5_000_000, dtype=np.uint8)

    def echo():
        b.send(b.receive(ch.Deadline(20)), ch.Deadline(20))

    thread = threading.Thread(target=echo)
    thread.start()
    a.send({"x": big}, ch.Deadline(20))
    back = a.receive(ch.Deadline(20))
    thread.join()
    assert np.array_equal(back["x"], big)


def test_frames_keep_their_borders(ends):
    a, b = ends
    for value in (1, "two", [3], b""):
        a.send(value)
    assert [b.receive(ch.Deadline(5)) for _ in range(4)] == [1, "two", [3], b""]


def test_reading_and_writing_stop_at_the_deadline(ends):
    a, _ = ends
    began = time.monotonic()
    with pytest.raises(ch.ChannelTimeout):
        a.receive(ch.Deadline(0.05))
    with pytest.raises(ch.ChannelTimeout):
        a.send(bytes(1 << 22), ch.Deadline(0.05))  # nobody reads: the pipe fills up
    assert time.monotonic() - began < 2


def test_a_frame_that_trickles_stops_at_the_deadline_too():
    read, write = os.pipe()
    end = ch.Channel(read, os.dup(write))
    os.write(write, (100).to_bytes(8, "big") + b"abc")
    with pytest.raises(ch.ChannelTimeout):
        end.receive(ch.Deadline(0.05))
    end.close()
    os.close(write)


@pytest.mark.parametrize("said", [b"", b"\x00\x00", (10).to_bytes(8, "big") + b"abc"])
def test_an_end_in_the_middle_is_an_end(said):
    read, write = os.pipe()
    end = ch.Channel(read, os.dup(2))
    os.write(write, said)
    os.close(write)
    with pytest.raises(ch.ChannelClosed):
        end.receive(ch.Deadline(5))
    end.close()


def test_a_frame_over_the_limit_is_refused_before_it_is_read():
    read, write = os.pipe()
    end = ch.Channel(read, os.dup(write))
    os.write(write, (2**60).to_bytes(8, "big"))
    with pytest.raises(ch.BadFrame, match="over the limit"):
        end.receive(ch.Deadline(5))
    os.write(write, (11).to_bytes(8, "big"))
    with pytest.raises(ch.BadFrame, match="over the limit of 10"):
        end.receive(ch.Deadline(5), limit=10)
    end.close()
    os.close(write)


def test_writing_to_nobody_says_so_and_closing_twice_is_fine(ends):
    a, b = ends
    b.close()
    with pytest.raises(ch.ChannelClosed):
        a.send("x")
    with pytest.raises(ch.ChannelClosed):
        a.receive(ch.Deadline(5))
    a.close()
    a.close()
    with pytest.raises(ch.ChannelClosed):
        a.receive()
