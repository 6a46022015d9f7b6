"""PolarQuant: numbers as angles, pair by pair and level by level, and few radii."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ...catalog_entry import CatalogEntry
from ...plugin.contract import Float32
from .coded_tokens import Bytes, Codec, CodedTokens, pack, product, unpack
from .lloyd_max import codebook, nearest

LEVELS = 4
BLOCK = 1 << LEVELS
#: bits of the first level's angles and of the others, by rate
LADDER = ((6, 4), (5, 3), (4, 2), (3, 2), (3, 1), (2, 1))
_KEYS, _VALUES = 0, 1


@functools.cache
def angle_codebook(level: int, bits: int) -> NDArray[np.float64]:
    """The angles that ``bits`` bits stand for: float64[2^bits].

    Level 1: uniform on [0, 2 pi). Level l > 1: the angle of two radii that are each the length of
    2^(l-1) independent Gaussians has the density sin(2 psi)^(2^(l-1) - 1) on [0, pi/2] up to a
    constant (their Lemma 2), for which this is the Lloyd-Max codebook.

    >>> angle_codebook(1, 2).round(4).tolist()
    [0.7854, 2.3562, 3.927, 5.4978]
    """
    if level == 1:
        even = np.arange(1 << bits, dtype=np.float64) + 0.5
        circle: NDArray[np.float64] = even * (2 * np.pi / (1 << bits))
        return circle
    power = (1 << (level - 1)) - 1
    return codebook(lambda x: power * np.log(np.sin(2 * x)), 0.0, np.pi / 2, 1 << bits)


@dataclass(frozen=True)
class PolarCodec:
    """Rotate, cut into blocks of 16, transform each to 15 angles and a radius, code the angles.

    Attributes:
        turn: float32[d, blocks * 16], an isometry.
        first, others: bits of an angle at level 1 and at levels 2 to 4.
    """

    turn: Float32
    first: int
    others: int

    @property
    def blocks(self) -> int:
        """Blocks of 16 numbers."""
        return int(self.turn.shape[1]) // BLOCK

    def _angles(self) -> list[tuple[int, int, int]]:
        """For each level how many angles a row has, their bits, and the bytes of both."""
        found = []
        for level in range(1, LEVELS + 1):
            count = self.blocks * (BLOCK >> level)
            bits = self.first if level == 1 else self.others
            found.append((count, bits, -(-count * bits // 8)))
        return found

    @property
    def row_bytes(self) -> int:
        """fp16 radii, and the angles of each level in whole bytes."""
        return 2 * self.blocks + sum(size for _, _, size in self._angles())

    def encode(self, X: Float32) -> Bytes:
        """uint8[m, row_bytes] of float32[m, d]."""
        rest = product(X, self.turn).reshape(len(X), self.blocks, BLOCK)
        parts = []
        for level, (_, bits, _) in enumerate(self._angles(), 1):
            one, two = rest[..., ::2], rest[..., 1::2]
            angles = np.arctan2(two, one)
            if level == 1:
                angles %= 2 * np.pi
            symbols = nearest(angle_codebook(level, bits), angles)
            parts.append(pack(symbols.reshape(len(X), -1), bits))
            rest = np.hypot(one, two)
        radii = np.ascontiguousarray(rest[..., 0].astype(np.float16)).view(np.uint8)
        return np.concatenate([radii.reshape(len(X), -1), *parts], axis=1)

    def decode(self, codes: Bytes) -> Float32:
        """float32[m, d] of uint8[m, row_bytes]."""
        m, blocks, end = len(codes), self.blocks, self.row_bytes
        radii = np.ascontiguousarray(codes[:, : 2 * blocks]).view(np.float16)
        rest = radii.reshape(m, blocks, 1).astype(np.float32)
        for level, (count, bits, size) in reversed(list(enumerate(self._angles(), 1))):
            symbols = unpack(codes[:, end - size : end], bits, count)
            end -= size
            book = angle_codebook(level, bits)
            pairs = np.stack([np.cos(book), np.sin(book)], axis=1).astype(np.float32)
            turned = pairs[symbols].reshape(m, blocks, -1, 2)
            rest = (rest[..., None] * turned).reshape(m, blocks, -1)
        rows: Float32 = rest.reshape(m, -1) @ self.turn.T
        return rows


def angles(bits: float) -> tuple[int, int]:
    """The rung of ``LADDER`` with the most bits a number, radii included, up to so many.

    A block of 16 numbers has an fp16 radius, 8 angles of level 1 and 7 of the others.

    Raises:
        BadInput: even the lowest takes more.

    >>> angles(4), angles(3)
    ((4, 2), (3, 1))
    """
    rates = {rung: (16 + 8 * rung[0] + 7 * rung[1]) / BLOCK for rung in LADDER}
    fit = [rung for rung, rate in rates.items() if rate <= bits]
    if not fit:
        least = min(rates.values())
        raise BadInput(f"A number takes {least} bits or more in angles and radii, not {bits!r}.")
    return fit[0]


class PolarQuant(CodedTokens):
    """PolarQuant (Han, Kacham, Karbasi, Mirrokni, Zandieh 2025, arXiv 2502.02617).

    Keys and values are turned by a public random rotation, cut into blocks of 16 numbers, and each
    block is written as a radius and 15 angles: pairs to polar coordinates, the radii again in
    pairs, four times. After the rotation the angles' laws are known, so their codebooks need no
    normalisation and no data.

    State: fp16 radii and coded angles of every token; (16 + 8 first + 7 others)/16 bits a number,
    each level of a row in whole bytes.

    Args:
        first: bits of an angle of level 1 (4, or with a budget the most of a ladder that fit).
        others: bits of an angle of levels 2 to 4 (2).
        k_bits, v_bits: of a key's number and of a value's: the best angles of the ladder that take
            at most so many, radii included (as ``first`` and ``others``).

    Raises:
        BudgetTooSmall: the tokens do not fit, with these bits or with (2, 1).
        BadInput: bits of an angle outside 1 to 8, bits of a number that no angles of the ladder
            take, or a number is NaN or does not fit fp16.

    Mechanisms:
        random preconditioning: implemented, by a rotation.
        recursive polar transformation, four levels: implemented.
        codebooks for the analytic laws of angles: implemented, as Lloyd-Max codebooks.
        4 bits at the first level, 2 at the others: implemented, as the default.
        codebooks clustered online from the data: left out, the paper's other variant.
        rotation of blocks whose length is no multiple of 16: adapted, an isometry into the next
            multiple.
    """

    name = "polarquant"

    def set_up(
        self,
        *,
        first: int | None = None,
        others: int | None = None,
        k_bits: float | None = None,
        v_bits: float | None = None,
    ) -> None:
        for bits in (first, others):
            if bits is not None and (isinstance(bits, bool) or bits not in range(1, 9)):
                raise BadInput(f"An angle has 1 to 8 bits, not {bits!r}.")
        chosen = 4 if first is None else first, 2 if others is None else others
        of_k, of_v = (None if bits is None else angles(bits) for bits in (k_bits, v_bits))
        if (first or others) and of_k and of_v:
            raise BadInput("k_bits and v_bits say all angles' bits: leave first and others out.")
        rungs = (chosen,) if self.budget_bits is None or first or others else LADDER
        self.fit(list(dict.fromkeys((of_k or rung, of_v or rung) for rung in rungs)))

    def codecs(self) -> tuple[Codec, Codec]:
        """Rotations of keys and of values, from public coins, and the bits."""
        turns = []
        for purpose, d in ((_KEYS, self.shape.d_k), (_VALUES, self.shape.d_v)):
            turns.append(self.turn(purpose, d, -(-d // BLOCK) * BLOCK))
        keys, values = self.bits
        return PolarCodec(turns[0], *keys), PolarCodec(turns[1], *values)


ENTRY = CatalogEntry(
    PolarQuant,
    summary="every token turned at random and written in angles, a few bits each, and radii",
    source="Han, Kacham, Karbasi, Mirrokni, Zandieh 2025, PolarQuant: Quantizing KV Caches "
    "with Polar Transformation",
    budgets="at d = 64 from 5/32 (2 and 1 bits an angle) to 3/8 (6 and 4)",
    assumes="nothing about the data: the rotation gives angles a known law",
    broken_by="fewer bits than a bit of the secret needs",
    settings=tuple(
        {"first": first, "others": others}
        for first, others in ((2, 1), (3, 1), (3, 2), (4, 2), (5, 3), (6, 4))
    ),
)
