"""A reduction played without the machinery of cells: for instances that no Instance names.

Alice's stream, a saved message, a fresh Bob: what ``protocols.game.index_game`` plays inline, with
committed secrets and the same charge. ``play`` asks for all rows and counts; ``ask`` hands over
Bob's outputs, for who wants more of them than the bits, and ``told`` Bob himself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.contract import Compressor, Float32, Shape, charged_bits
from ...compressors.targets import resolve
from ...protocols.game import coins
from ...reductions.reduction import Reduction, questions_per_row

KEY = coins.COMMITTED_KEYS["experiments"]


@dataclass(frozen=True)
class Outcome:
    """Per message: the share of wrong bits, and the charged bits of the message."""

    errors: tuple[float, ...]
    charged: tuple[int, ...]


def secret(reduction: Reduction, name: str, message: int) -> np.ndarray[Any, Any]:
    """Uint8[rows, width]: the committed secret of a message of the instance called ``name``."""
    count = reduction.rows * reduction.width
    return coins.secret_bits(KEY, name, message, count).reshape(reduction.rows, reduction.width)


def build(
    reduction: Reduction, target: str, params: Mapping[str, Any], budget: int | None, seed: int = 0
) -> Compressor:
    """The compressor that Alice and Bob construct; ``budget`` in bits."""
    shape = Shape(reduction.tokens, reduction.d_k, reduction.d_v, reduction.extra)
    return _factory(target)(shape, budget, seed, reduction.public(), **params)


@cache
def _factory(target: str) -> Callable[..., Compressor]:
    # To resolve a target is to read the texts of its code: once is enough for a run.
    return resolve(target).factory


def told(
    reduction: Reduction, x: np.ndarray[Any, Any], player: Callable[[], Compressor]
) -> tuple[Compressor, int]:
    """Bob, who has what Alice saved after the stream of x and nothing else; its charged bits."""
    alice, bob = player(), player()
    alice.extend(*reduction.stream(x))
    saved = alice.save()
    bob.restore(saved)
    return bob, charged_bits(len(saved), alice.message_bytes)


def ask(
    reduction: Reduction,
    x: np.ndarray[Any, Any],
    player: Callable[[], Compressor],
    rows: NDArray[np.int64] | None = None,
) -> tuple[Float32, int]:
    """Bob's outputs for the questions of these rows (None: all), and his message's charged bits."""
    bob, charged = told(reduction, x, player)
    rows = np.arange(reduction.rows) if rows is None else rows
    asked, block = len(rows) * questions_per_row(reduction), reduction.block
    if block == 1:
        return bob.next_outputs(*reduction.queries(rows)), charged
    # The last block is as long as the others: its last question is asked again.
    padded = np.minimum(np.arange(-(-asked // block) * block), asked - 1)
    Q, K, V = (array[padded] for array in reduction.queries(rows))
    parts = [slice(at, at + block) for at in range(0, len(padded), block)]
    outputs = np.concatenate([bob.block_outputs(Q[part], K[part], V[part]) for part in parts])
    return outputs[:asked], charged


def play(
    reduction: Reduction,
    name: str,
    target: str,
    messages: int,
    *,
    params: Mapping[str, Any] | None = None,
    budget: int | None = None,
) -> Outcome:
    """Play messages 0 .. messages-1 of the instance called ``name``; Bob is asked for all rows."""
    errors, charged, rows = [], [], np.arange(reduction.rows)
    for message in range(messages):
        x, seed = secret(reduction, name, message), coins.public_seed(KEY, name, message)
        player = partial(build, reduction, target, params or {}, budget, seed)
        outputs, bits = ask(reduction, x, player)
        errors.append(float((reduction.decode(outputs, rows) != x).mean()))
        charged.append(bits)
    return Outcome(tuple(errors), tuple(charged))
