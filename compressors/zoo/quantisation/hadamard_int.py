"""Integers after a Hadamard rotation: no number of a turned row stands out."""

from __future__ import annotations

import numpy as np

from ...catalog_entry import CatalogEntry
from ...plugin.contract import Float32
from .coded_tokens import Codec, TurnedCodec, WholeBits
from .qjl import MinMaxCodec


def hadamard(d: int, rng: np.random.Generator | None) -> Float32:
    """An orthogonal matrix, float32[d, d]: Sylvester's, with random signs of the rows.

    Of the largest power of two p that divides d, d/p times along the diagonal: a row of numbers is
    turned p by p. Without ``rng`` there are no signs, and the matrix is the same for all.

    >>> hadamard(2, None).astype(float).round(3).tolist()
    [[0.707, 0.707], [0.707, -0.707]]
    """
    block = np.ones((1, 1))
    while d % (2 * len(block)) == 0:
        block = np.block([[block, block], [block, -block]])
    turn = np.kron(np.eye(d // len(block)), block / np.sqrt(len(block)))
    signs = np.ones(d) if rng is None else rng.choice([-1.0, 1.0], d)
    turned: Float32 = (signs[:, None] * turn).astype(np.float32)
    return turned


class HadamardInt(WholeBits):
    """Rotated integers, as QuaRot's cache (Ashkboos et al. 2024, 2404.00456) and llama.cpp's.

    A key and a value are turned by a Hadamard matrix, with public random signs, and rounded between
    the turned row's minimum and maximum. After the rotation a number that stood out is spread over
    all; queries need no rotation here, as keys are turned back when they are read, which gives
    the same scores.

    State: an fp16 scale and zero a row, and b bits a number.

    Args:
        bits: b, 1 to 8; by default the most of 8, 4, 3, 2 and 1 that fit the budget, or 4.
        k_bits, v_bits: b of a key's number and of a value's (as ``bits``).
        signs: random signs before the rotation (true); without them the matrix is a fixed one.

    Raises:
        BudgetTooSmall: the tokens do not fit, at these bits or at 1.
        BadInput: there are no such bits, or a number is NaN or does not fit fp16.

    Mechanisms:
        Hadamard rotation of each head: implemented; where d is no power of two, in blocks.
        asymmetric integers, a scale and a zero a token and head: implemented.
        clipping of the range by a factor: left out, the paper tunes it on models.
        rotations fused into the weights: not meaningful here, they save time.
    """

    name = "hadamard-int"

    def set_up(
        self,
        *,
        bits: int | None = None,
        k_bits: int | None = None,
        v_bits: int | None = None,
        signs: bool = True,
    ) -> None:
        self.signs = signs
        super().set_up(bits=bits, k_bits=k_bits, v_bits=v_bits)

    def codec(self, d: int, bits: int, which: int) -> Codec:
        """The matrix from public coins, and the rounding."""
        coins = self.rng(which) if self.signs else None
        return TurnedCodec(MinMaxCodec(d, bits), hadamard(d, coins))


ENTRY = CatalogEntry(
    HadamardInt,
    summary="every token turned by a Hadamard matrix and rounded to a few bits a number",
    source="Ashkboos et al. 2024, QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs",
    budgets="at d = 64 from 3/32 (1 bit a number) to 17/32 (8 bits)",
    assumes="rows with few large numbers, which the rotation spreads",
    broken_by="rows that the rotation makes spiky: with signs=false, rows of the matrix itself",
)
