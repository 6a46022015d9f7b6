"""A reduction played without the machinery of cells: for instances that no Instance names.

Alice's stream, a saved message, a fresh Bob, all rows: what ``protocols.game.index_game`` plays
inline, with committed secrets and the same charge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compressors.plugin.contract import Compressor, Shape, charged_bits
from ...compressors.targets import resolve
from ...protocols.game import coins
from ...reductions.reduction import Reduction, questions_per_row

KEY = coins.COMMITTED_KEYS["experiments"]


@dataclass(frozen=True)
class Played:
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
    made: Compressor = resolve(target).factory(shape, budget, seed, reduction.public(), **params)
    return made


def play(
    reduction: Reduction,
    name: str,
    target: str,
    messages: int,
    *,
    params: Mapping[str, Any] | None = None,
    budget: int | None = None,
) -> Played:
    """Play messages 0 .. messages-1 of the instance called ``name``; Bob is asked for all rows."""
    errors, charged = [], []
    block = reduction.block
    rows = np.arange(reduction.rows)
    asked = len(rows) * questions_per_row(reduction)
    padded = np.minimum(np.arange(-(-asked // block) * block), asked - 1)
    Q, K, V = (array[padded] for array in reduction.queries(rows))
    for message in range(messages):
        x = secret(reduction, name, message)
        alice, bob = (
            build(reduction, target, params or {}, budget, coins.public_seed(KEY, name, message))
            for _ in range(2)
        )
        alice.extend(*reduction.stream(x))
        saved = alice.save()
        bob.restore(saved)
        if block == 1:
            outputs = bob.next_outputs(Q, K, V)
        else:
            parts = [slice(at, at + block) for at in range(0, len(padded), block)]
            outputs = np.concatenate([bob.block_outputs(Q[p], K[p], V[p]) for p in parts])
        wrong = reduction.decode(outputs[:asked], rows) != x
        errors.append(float(wrong.mean()))
        charged.append(charged_bits(len(saved), alice.message_bytes))
    return Played(tuple(errors), tuple(charged))
