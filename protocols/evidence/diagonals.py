"""Diagonals: the token number modulo m against the channel group, as scale blocks have them.

Where a table [token, group] is written in one layout and read in another, all tokens have as many
wrong bits as one another, and so have all channels: only pairs tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .places import PERIODS, likelihood
from .relabelling import log2_evidence

GROUPS = (8, 16, 32)
MODULI = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Blocks:
    """Diagonals: the channel group c // ``group``, and the token number plus ``shift``, modulo m.

    The place is where they are ``equal``, or where they are not.
    """

    modulo: int
    group: int
    shift: int
    equal: bool

    def words(self) -> str:
        """As the subject of a sentence."""
        number = f"number plus {self.shift}" if self.shift else "number"
        return (
            f"the values of tokens whose {number} modulo {self.modulo} is "
            f"{'' if self.equal else 'not '}the channel group (of {self.group} channels)"
        )


def inside_of(
    blocks: Blocks, tokens: NDArray[np.int64], columns: int, width: int
) -> NDArray[np.bool_]:
    """bool[rows, columns]: which bits a place has; ``columns`` are heads of ``width`` channels."""
    group = np.arange(columns) % width // blocks.group % blocks.modulo
    same = (tokens[:, None] + blocks.shift) % blocks.modulo == group[None, :]
    return np.asarray(same == blocks.equal)


def diagonals(
    wrong: NDArray[np.float32],
    tokens: NDArray[np.int64],
    block: NDArray[np.int64],
    width: int,
    needed: float,
) -> Blocks | None:
    """The diagonals that explain most, if they beat chance by ``needed`` bits beside their code's.

    ``wrong`` float32[rows, columns]; ``tokens`` int64[rows]; ``block``: :func:`.pieces`.
    """
    pairs = [
        (m, group) for group in GROUPS for m in MODULI
        if width % group == 0 and m * group <= width and PERIODS * m <= len(tokens)
    ]  # fmt: skip
    some = block >= 0
    group_of = np.arange(wrong.shape[1]) % width
    best: tuple[float, Blocks] | None = None
    for m, group in pairs:
        # counts[block, s]: wrong bits where the group is the token number plus s, modulo m.
        member = (group_of[:, None] // group % m == np.arange(m)).astype(np.float32)
        shift = (np.arange(m)[None, :] - tokens[:, None]) % m
        counts = np.zeros((int(block.max(initial=0)) + 1, m))
        np.add.at(counts, (block[some, None], shift[some]), (wrong @ member)[some])
        total, asked = counts.sum(axis=0), wrong.size / m
        for equal in (True, False):
            s = int(total.argmax() if equal else total.argmin())
            k, a = (total[s], asked) if equal else (total.sum() - total[s], asked * (m - 1))
            score = float(likelihood(k, a, float(total.sum()), asked * m))
            if not np.isfinite(score) or (best is not None and score <= best[0]):
                continue
            chosen = np.broadcast_to((np.arange(m) == s) == equal, counts.shape)
            # Whether equal or not; which pair of sizes; which shift.
            bits = 1.0 + math.log2(len(pairs)) + math.log2(m)
            if log2_evidence(counts, chosen) >= bits + needed:
                best = score, Blocks(m, group, s, equal)
    return None if best is None else best[1]
