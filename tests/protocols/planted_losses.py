"""Faults planted in what is read back, each with the description that is right.

Every plant says what Bob would read of a secret; nothing here knows how the map is made. A number
that is lost reads as a fair coin, so that half of the lost bits are right by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from kvbarrier.protocols.evidence.record import Reading

Bits = np.ndarray[Any, np.dtype[np.uint8]]
Plant = Callable[[Bits, np.random.Generator, int], Bits]
CUTS = (200, None, 77, None)


@dataclass(frozen=True)
class Planted:
    """A fault: ``plant(secret, rng, message)`` is what is read. ``right``: the description.

    ``right`` names the places (a list of numbers), effect, source, value, kind; whatever place it
    does not name must not be named.
    """

    row: str
    name: str
    plant: Plant
    right: dict[str, Any]
    shape: tuple[int, int, int, int] = (256, 1, 1, 64)
    more: dict[str, Any] = field(default_factory=dict)
    parameters: tuple[int, ...] = ()


def readings(planted: Planted, seed: int, messages: int = 4, noise: float = 0.0) -> list[Reading]:
    """What comes back of some messages under the fault, with a share of other wrong bits."""
    rng = np.random.default_rng(seed)
    n = planted.shape[0]
    found = []
    for message in range(messages):
        secret = rng.integers(0, 2, planted.shape, dtype=np.uint8)
        more = {name: make(rng, message) for name, make in planted.more.items()}
        tokens = more.pop("tokens", np.arange(n))
        rows = planted.plant(secret.copy(), rng, message)
        rows ^= (rng.random(planted.shape) < noise).astype(np.uint8)
        length = 1 + int(tokens.max())
        found.append(Reading(tokens, secret, rows, n=length, **more))
    return found


def absent(*where: Any) -> Plant:
    """The numbers at these places read as coins."""

    def plant(said: Bits, rng: np.random.Generator, message: int) -> Bits:
        for one in where:
            said[one] = rng.integers(0, 2, said[one].shape, dtype=np.uint8)
        return said

    return plant


def when(test: Callable[[Any], Any]) -> Plant:
    """The rows whose token number passes read as coins."""

    def plant(said: Bits, rng: np.random.Generator, message: int) -> Bits:
        rows = np.asarray(test(np.arange(len(said))))
        said[rows] = rng.integers(0, 2, said[rows].shape, dtype=np.uint8)
        return said

    return plant


def read_as(change: Callable[[Bits], Bits]) -> Plant:
    """A change of the secret, without coins."""
    return lambda said, rng, message: change(said)


def changed(where: Any, change: Callable[[Bits], Any]) -> Plant:
    """The numbers at these places read as what ``change`` makes of the whole secret there."""

    def plant(said: Bits, rng: np.random.Generator, message: int) -> Bits:
        whole = said.copy()
        said[where] = change(whole)[where]
        return said

    return plant


def at_questions(first: int, last: int) -> tuple[Plant, dict[str, Any]]:
    """Rows asked in a public random order; questions first..last read as coins."""

    def order(rng: np.random.Generator, message: int) -> Any:
        return np.random.default_rng(message + 9).permutation(256)

    def plant(said: Bits, rng: np.random.Generator, message: int) -> Bits:
        rows = (order(rng, message) >= first) & (order(rng, message) <= last)
        said[rows] = rng.integers(0, 2, said[rows].shape, dtype=np.uint8)
        return said

    return plant, {"questions": order}


def at_cut(low: int, high: int) -> tuple[Plant, dict[str, Any]]:
    """Streams 0 and 2 are cut; tokens cut+low .. cut+high-1 of theirs read as coins."""

    def plant(said: Bits, rng: np.random.Generator, message: int) -> Bits:
        cut = CUTS[message % len(CUTS)]
        if cut is not None:
            rows = slice(max(0, cut + low), max(0, cut + high))
            said[rows] = rng.integers(0, 2, said[rows].shape, dtype=np.uint8)
        return said

    return plant, {"cut": lambda rng, message: CUTS[message % len(CUTS)]}


def _batch(rng: np.random.Generator, message: int) -> Any:
    return np.repeat(np.arange(4), 64)


BATCH: dict[str, Any] = {
    "sequences": _batch,
    "tokens": lambda rng, message: np.tile(np.arange(64), 4),
}


def in_batch(change: Callable[[Bits], Bits]) -> Plant:
    """A change of the secret as [sequence, token, ...], 4 sequences of 64 tokens."""
    return lambda said, rng, message: change(said.reshape(4, 64, *said.shape[1:])).reshape(
        said.shape
    )


def _zero_sequence(x: Bits) -> Bits:
    x[1:] = x[:1]
    return x


def _flip_end(x: Bits) -> Bits:
    x[3, 60:] ^= 1
    return x


def _lost_sequence(x: Bits, rng: np.random.Generator, message: int) -> Bits:
    x[64:192] = rng.integers(0, 2, x[64:192].shape, dtype=np.uint8)
    return x


def _ones(where: Any, value: int, share: float) -> Plant:
    def plant(said: Bits, rng: np.random.Generator, message: int) -> Bits:
        flip = (rng.random(said[where].shape) < share) & (said[where] == value)
        said[where] ^= flip.astype(np.uint8)
        return said

    return plant


def _diagonal(m: int, group: int, equal: bool) -> Plant:
    def plant(said: Bits, rng: np.random.Generator, message: int) -> Bits:
        token, channel = np.arange(len(said)) % m, np.arange(said.shape[-1]) // group
        hit = (token[:, None] == channel[None, :]) == equal
        coins = rng.integers(0, 2, said.shape, dtype=np.uint8)
        return np.where(hit[:, None, None, :], coins, said)

    return plant


def span(*ends: tuple[int, int]) -> list[int]:
    """Numbers of half-open ranges."""
    return [number for first, last in ends for number in range(first, last)]


S4 = (128, 2, 4, 32)
S8 = (128, 1, 8, 32)
GRID = (128, 4, 4, 32)
q_all, q_rows = at_questions(1, 255)
q_first, _ = at_questions(0, 15)
q_last, _ = at_questions(250, 255)
before, cut_1 = at_cut(-30, 0)
after, cut_2 = at_cut(0, 20)
gone, cut_3 = at_cut(-1000, 0)

PLANTED = (
    # ranges of tokens
    Planted(
        "range",
        "three tokens",
        absent(np.s_[130:133]),
        {"tokens": span((130, 133)), "effect": "absent"},
    ),
    Planted(
        "range",
        "the first 100",
        absent(np.s_[:100]),
        {"tokens": span((0, 100)), "effect": "absent"},
    ),
    Planted(
        "range", "the last 7", absent(np.s_[249:]), {"tokens": span((249, 256)), "effect": "absent"}
    ),
    Planted(
        "range",
        "all but a sink and a window",
        absent(np.s_[4:192]),
        {"tokens": span((4, 192)), "effect": "absent"},
    ),
    Planted(
        "range",
        "two ranges",
        absent(np.s_[20:50], np.s_[160:200]),
        {"tokens": span((20, 50), (160, 200)), "effect": "absent"},
    ),
    Planted("range", "one token", absent(np.s_[77]), {"tokens": [77], "effect": "absent"}),
    # residues
    Planted(
        "residue",
        "5 of every 16",
        when(lambda t: t % 16 == 5),
        {"tokens": span((0, 256))[5::16], "effect": "absent"},
    ),
    Planted(
        "residue",
        "9-15 of every 16",
        when(lambda t: t % 16 >= 9),
        {"tokens": [t for t in range(256) if t % 16 >= 9], "effect": "absent"},
    ),
    Planted(
        "residue",
        "0 of every 3",
        when(lambda t: t % 3 == 0),
        {"tokens": span((0, 256))[::3], "effect": "absent"},
    ),
    Planted(
        "residue",
        "the last of every 32 in the first half",
        when(lambda t: (t % 32 == 31) & (t < 128)),
        {"tokens": [31, 63, 95, 127], "effect": "absent"},
    ),
    # heads
    Planted(
        "head",
        "heads 1-3 of 4",
        absent(np.s_[:, :, 1:]),
        {"heads": [1, 2, 3], "effect": "absent"},
        S4,
    ),
    Planted("head", "head 5 of 8", absent(np.s_[:, :, 5]), {"heads": [5], "effect": "absent"}, S8),
    Planted(
        "head",
        "odd heads of 8",
        absent(np.s_[:, :, 1::2]),
        {"heads": [1, 3, 5, 7], "effect": "absent"},
        S8,
    ),
    Planted(
        "head",
        "head 2 from token 64 on",
        absent(np.s_[64:, :, 2]),
        {"heads": [2], "tokens": span((64, 128)), "effect": "absent"},
        S4,
    ),
    # layers
    Planted("layer", "layer 1 of 2", absent(np.s_[:, 1]), {"layers": [1], "effect": "absent"}, S4),
    Planted(
        "layer",
        "layers 2-3 of 4",
        absent(np.s_[:, 2:]),
        {"layers": [2, 3], "effect": "absent"},
        GRID,
    ),
    Planted(
        "layer",
        "head 3 of layer 2",
        absent(np.s_[:, 2, 3]),
        {"layers": [2], "heads": [3], "effect": "absent"},
        GRID,
    ),
    # channels
    Planted("channel", "one channel", absent(np.s_[..., 7]), {"channels": [7], "effect": "absent"}),
    Planted(
        "channel",
        "a group of 16",
        absent(np.s_[..., 16:32]),
        {"channels": span((16, 32)), "effect": "absent"},
    ),
    Planted(
        "channel",
        "odd channels",
        absent(np.s_[..., 1::2]),
        {"channels": span((0, 64))[1::2], "effect": "absent"},
    ),
    Planted(
        "channel",
        "three odd ones",
        absent(np.s_[..., [3, 40, 41]]),
        {"channels": [3, 40, 41], "effect": "absent"},
    ),
    Planted(
        "channel",
        "32-63 of the last 16 tokens",
        absent(np.s_[240:, :, :, 32:]),
        {"channels": span((32, 64)), "tokens": span((240, 256)), "effect": "absent"},
    ),
    Planted(
        "channel", "not the scale block", _diagonal(4, 16, False), {"blocks": (4, 16, 0, False)}
    ),
    Planted("channel", "the scale block of 8", _diagonal(8, 8, True), {"blocks": (8, 8, 0, True)}),
    # values
    Planted(
        "value",
        "ones of tokens 100-149",
        _ones(np.s_[100:150], 1, 0.6),
        {"tokens": span((100, 150)), "value": 1, "effect": "misread"},
    ),
    Planted(
        "value",
        "zeros everywhere, 5 %",
        _ones(np.s_[:], 0, 0.05),
        {"value": 0, "effect": "misread"},
    ),
    Planted(
        "value",
        "ones of channels 8-15",
        _ones(np.s_[..., 8:16], 1, 0.3),
        {"channels": span((8, 16)), "value": 1, "effect": "misread"},
    ),
    # cuts
    Planted(
        "cut", "30 before the cut", before, {"cut": span((-30, 0)), "effect": "absent"}, more=cut_1
    ),
    Planted(
        "cut", "20 after the cut", after, {"cut": span((0, 20)), "effect": "absent"}, more=cut_2
    ),
    Planted(
        "cut", "all before the cut", gone, {"cut": span((-200, 0)), "effect": "absent"}, more=cut_3
    ),
    # questions
    Planted(
        "question",
        "all but the first",
        q_all,
        {"questions": span((1, 256)), "effect": "absent"},
        more=q_rows,
    ),
    Planted(
        "question",
        "the first 16",
        q_first,
        {"questions": span((0, 16)), "effect": "absent"},
        more=q_rows,
    ),
    Planted(
        "question",
        "the last 6",
        q_last,
        {"questions": span((250, 256)), "effect": "absent"},
        more=q_rows,
    ),
    # sequences of a batch
    Planted(
        "sequence",
        "sequences 1 and 2",
        _lost_sequence,
        {"sequences": [1, 2], "effect": "absent"},
        more=BATCH,
    ),
    Planted(
        "sequence",
        "sequence 0's rows",
        in_batch(_zero_sequence),
        {"sequences": [1, 2, 3], "effect": "copied", "source": {"sequence": 0}},
        more=BATCH,
    ),
    Planted(
        "sequence",
        "the last 4 tokens of sequence 3",
        in_batch(_flip_end),
        {"sequences": [3], "tokens": [60, 61, 62, 63], "effect": "flipped"},
        more=BATCH,
    ),
    # effects
    Planted(
        "effect",
        "stuck at 0",
        changed(np.s_[10:40], np.zeros_like),
        {"tokens": span((10, 40)), "effect": "stuck", "source": {"value": 0}, "value": 1},
    ),
    Planted(
        "effect",
        "stuck at 1",
        changed(np.s_[..., 32:40], np.ones_like),
        {"channels": span((32, 40)), "effect": "stuck", "source": {"value": 1}, "value": 0},
    ),
    Planted(
        "effect",
        "flipped",
        changed(np.s_[:, :, 1], lambda x: 1 - x),
        {"heads": [1], "effect": "flipped"},
        S4,
    ),
    Planted(
        "effect",
        "head 0's values",
        changed(np.s_[:, :, 1:], lambda x: np.repeat(x[:, :, :1], 4, 2)),
        {"heads": [1, 2, 3], "effect": "copied", "source": {"head": 0}},
        S4,
    ),
    Planted(
        "effect",
        "layer 1's values",
        changed(np.s_[:, 2:], lambda x: np.repeat(x[:, 1:2], 4, 1)),
        {"layers": [2, 3], "effect": "copied", "source": {"layer": 1}},
        GRID,
    ),
    Planted(
        "effect",
        "token 4's row",
        changed(np.s_[100:], lambda x: np.repeat(x[4:5], len(x), 0)),
        {"tokens": span((100, 256)), "effect": "copied", "source": {"token": 4}},
    ),
    Planted(
        "effect",
        "3 places later",
        changed(np.s_[60:200], lambda x: np.roll(x, -3, 0)),
        {"tokens": span((60, 200)), "effect": "displaced", "source": {"step": 3}},
    ),
    Planted(
        "effect",
        "everything one place earlier",
        read_as(lambda x: np.roll(x, 1, 0)),
        {"kind": "everywhere", "effect": "displaced", "source": {"step": -1}},
    ),
    Planted(
        "effect",
        "two channels exchanged",
        read_as(lambda x: x[..., [*range(10), 20, *range(11, 20), 10, *range(21, 64)]]),
        {"channels": [10, 20], "effect": "exchanged", "source": {"channel": [20, 10]}},
    ),
)
