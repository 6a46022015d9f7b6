"""The Index reduction with b bits a number: values from an alphabet of B = 2^b levels (ours).

Alice's secret is x in {0,1}^{n x d_v b}: coordinate j of row i is the level whose number has the
*reflected Gray code* x[i, jb:(j+1)b], the highest bit first. Two neighbouring levels differ in one
bit, so an answer that is off by a level costs one wrong bit of b. The game, its ledger and its
verdicts count bits, as for two levels; any bijection between levels and words would do for them.
One answer within the tolerance tells the number with all its bits, so an answer that is within it
with probability 9/10 leaves each bit wrong with probability at most 1/10, as a verdict has it.

The condition for every level, the two alphabets (geometric under a relative error, an even grid
under an additive one), the precision law and its caveat are in ``levels``; a scale is found as for
two levels (``scale``), since the condition is S'_i + w e^{-a_i} < bound again. At such a scale
**any** algorithm whose answers meet the guarantee gives Bob n d_v b bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .index import MIN_TOKENS, OnKeys
from .keys.base import KeySet
from .levels import LevelCondition, geometric_levels, grid_levels, level_condition
from .scale import choose_scale, float32_queries

Bits = NDArray[np.uint8]
Symbols = NDArray[np.int64]
Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]

#: the largest alphabet that is played
MOST_LEVELS = 4096


def bits_per_number(count: int) -> int:
    """b = log2 B; BadInput unless B is a power of two from 2 to 4096.

    >>> bits_per_number(16)
    4
    """
    if not 2 <= count <= MOST_LEVELS or count & (count - 1):
        raise BadInput(
            f"An alphabet must have B = 2^b levels for b bits per number, 2 to {MOST_LEVELS}, "
            f"not {count}."
        )
    return count.bit_length() - 1


def symbols_of(bits: ArrayLike, count: int) -> Symbols:
    """Level numbers of Gray-coded bits, uint8[..., d b] -> int64[..., d].

    >>> symbols_of([0, 0, 0, 1, 1, 1, 1, 0], 4).tolist()
    [0, 1, 2, 3]
    """
    b = bits_per_number(count)
    words = np.asarray(bits, dtype=np.uint8)
    if words.ndim < 1 or words.shape[-1] % b:
        raise BadInput(f"Rows of bits are cut into numbers of {b}, not of shape {words.shape}.")
    words = words.reshape(*words.shape[:-1], words.shape[-1] // b, b)
    # A Gray code's bit is the sum of two neighbouring bits of the number, so sums undo it.
    bit = words[..., 0]
    numbers: Symbols = bit.astype(np.int64)
    for place in range(1, b):
        bit = bit ^ words[..., place]
        numbers = 2 * numbers + bit
    return numbers


def bits_of(symbols: ArrayLike, count: int) -> Bits:
    """The inverse of :func:`symbols_of`: int64[..., d], each below B -> uint8[..., d b].

    >>> bits_of([3, 2], 4).tolist()
    [1, 0, 1, 1]
    """
    b = bits_per_number(count)
    numbers = np.asarray(symbols, dtype=np.int64)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < count:
        raise BadInput(f"A level must be a number from 0 to {count - 1}.")
    every = np.arange(count)
    gray = (every ^ (every >> 1))[:, None] >> np.arange(b - 1, -1, -1) & 1
    words = gray.astype(np.uint8)[numbers]
    return words.reshape(*numbers.shape[:-1], numbers.shape[-1] * b)


def symbol_error(said: ArrayLike, secret: ArrayLike, count: int) -> float:
    """The share of numbers with a wrong bit, for bits uint8[..., d b] as the game has them.

    With e the bit error it lies between e and b e.

    >>> symbol_error([0, 0, 0, 1], [0, 0, 1, 0], 4)
    0.5
    """
    return float((symbols_of(said, count) != symbols_of(secret, count)).mean())


def level_number(values: ArrayLike, cuts: ArrayLike) -> Symbols:
    """How many of the rising cuts [B-1] each number is greater than: int64; 0 for a nan.

    >>> level_number([0.4, 0.5, 0.6, float("nan")], [0.1, 0.5]).tolist()
    [1, 1, 2, 0]
    """
    numbers = np.asarray(values, dtype=np.float32)
    ends = np.asarray(cuts, dtype=np.float32)
    if len(ends) == 1:  # a bit a number: no search, and no comparison holds of a nan
        return (numbers > ends[0]).astype(np.int64)
    found = np.searchsorted(ends, numbers, side="left")
    return np.where(np.isnan(numbers), 0, found).astype(np.int64)


@dataclass(frozen=True, eq=False)
class AlphabetReduction(OnKeys):
    """One hard instance. Make it with :meth:`build`; the bare constructor checks nothing.

    Attributes:
        keys: the public keys, float32[n, d].
        d_v: numbers in a value.
        levels: float32[B], rising, the values that are sent.
        eta, gamma: the relative or the additive tolerance; exactly one is not None.
        scale: C; scores are <q, k>, with no 1/sqrt(d).
    """

    keys: KeySet
    d_v: int
    levels: Float32
    eta: float | None = 0.5
    gamma: float | None = None
    scale: float = 1.0

    @classmethod
    def build(
        cls,
        keys: KeySet,
        d_v: int,
        *,
        levels: int,
        eta: float | None = 0.5,
        gamma: float | None = None,
        scale: str | float = "tight",
    ) -> AlphabetReduction:
        """B = ``levels`` levels and a scale at which every key tells all of them apart.

        Geometric under eta, a grid in [0,1] under gamma. ``scale``: "tight" (ours: exact), "closed"
        (ours: from the closest pair) or a number.

        Raises BadInput for B that is no power of two, n < 16, d < 2, d_v < 1 or levels that the
        tolerance lets meet; NoScale where no scale, or not the one given, separates every key, or
        float32 cannot hold it or the levels.

        >>> from .keys import make
        >>> kerdock = make("kerdock", None, 64)
        >>> grid = AlphabetReduction.build(kerdock, 64, levels=16, eta=None, gamma=0.01)
        >>> grid.width, round(grid.scale, 2)
        (256, 12.27)
        """
        bits_per_number(levels)
        if keys.n < MIN_TOKENS or keys.d < 2 or d_v < 1:
            raise BadInput(
                f"The Index reduction needs n >= {MIN_TOKENS} keys, d >= 2 and d_v >= 1, not n = "
                f"{keys.n}, d = {keys.d}, d_v = {d_v}."
            )
        if (eta is None) == (gamma is None):
            raise BadInput("Give exactly one of eta (relative error) and gamma (additive error).")
        sent = grid_levels(levels) if eta is None else geometric_levels(levels, eta)
        rule = level_condition(sent.tolist(), eta, gamma)
        return cls(keys, d_v, sent, eta, gamma, choose_scale(keys, rule, scale))

    @property
    def count(self) -> int:
        """B."""
        return len(self.levels)

    @property
    def bits(self) -> int:
        """b = log2 B bits a number."""
        return bits_per_number(self.count)

    @property
    def width(self) -> int:
        """d_v b bits in a row."""
        return self.d_v * self.bits

    @property
    def secret_bits(self) -> int:
        """n d_v b."""
        return self.n * self.width

    @property
    def condition(self) -> LevelCondition:
        """The margin condition in force, for the float32 levels."""
        return level_condition(self.levels.tolist(), self.eta, self.gamma)

    def public(self) -> dict[str, Any]:
        """What compressors are told: everything but the secret."""
        tolerance = {"eta": self.eta} if self.eta is not None else {"gamma": self.gamma}
        return {
            "reduction": "index",
            "keys": self.keys.rows,
            "values": "levels",
            "levels": self.levels,
            **tolerance,
            "scale": self.scale,
            "softmax_scale": 1.0,
            "attention": "softmax",
        }

    # -- Alice -----------------------------------------------------------------------------------

    def stream(self, x: Bits) -> tuple[Float32, Float32, Float32]:
        """Alice's triples for x, uint8[n, d_v b]: float32 Q = 0 [n, d], K [n, d], V [n, d_v]."""
        self.check_secret(x)
        V: Float32 = self.levels[symbols_of(x, self.count)]
        return np.zeros_like(self.keys.rows), self.keys.rows, V

    # -- Bob -------------------------------------------------------------------------------------

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the rows asked (all by default): float32 fl(C k_i), 0, 0.

        Shapes [m, d], [m, d], [m, d_v].
        """
        Q = float32_queries(self.keys, self.scale, self._at(rows))
        return Q, np.zeros_like(Q), np.zeros((len(Q), self.d_v), dtype=np.float32)

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """Float32[m, B-1]: coordinate j of row i has level > b iff its output is above cut b."""
        return self.condition.threshold(*self._measured(self._at(rows))).astype(np.float32)

    def symbols(self, outputs: ArrayLike, rows: ArrayLike | None = None) -> Symbols:
        """Outputs [m, d_v] for the rows asked -> level numbers, int64[m, d_v]; a nan is 0."""
        cuts, found = self.thresholds(rows), np.asarray(outputs, dtype=np.float32)
        both = zip(found, cuts, strict=True)
        return np.array([level_number(row, cut) for row, cut in both]).reshape(found.shape)

    def decode(self, outputs: ArrayLike, rows: ArrayLike | None = None) -> Bits:
        """Outputs [m, d_v] for the rows asked -> uint8[m, d_v b]; a nan is read as level 0."""
        return bits_of(self.symbols(outputs, rows), self.count)

    def demands(self, rows: ArrayLike | None = None) -> Floats:
        """Float64[m]: the demand of each row's condition; all levels are apart iff below 1."""
        return self.condition.demand(*self._measured(self._at(rows)))
