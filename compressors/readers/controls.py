"""Readers that know the hard families of Theorem 19, and so attain what the theorem allows.

Controls: their results are known beforehand. See ``reductions.indistinguishability``.
"""

from __future__ import annotations

import numpy as np

from ...errors import BadInput
from .contract import Float32, NonAdaptive, Plan, Reader, coins
from .entry import ReaderEntry
from .patterns import Sampling, filled_attention

#: another stream of the same public coins than the one that chose the cells
_SECOND = 1 << 63


class Minimax(Sampling):
    """Uniform sampling that answers D_0's output with probability 1/(2-f) when it sees nothing.

    That is optimal in the worst case over D_0 and all D_i (``reductions.hiding``). The output of
    every D_i is (B+1)/2, 5.5 at eta = 1/2.

    Args:
        share: part of the n-1 earlier tokens that it may read, 0 to 1 (0.5).
        otherwise: what it answers when the coin says D_i (5.5).
    """

    def __init__(self, share: float = 0.5, otherwise: float = 5.5) -> None:
        super().__init__(share)
        self.otherwise = float(otherwise)

    def answer(self, q: Float32, reader: Reader) -> Float32:
        _, K, V = reader.tokens()
        known = filled_attention(q, K, V, reader.n)
        if np.ptp(K, axis=0).any() or np.ptp(V, axis=0).any():
            return known
        f = (len(K) - 1) / (reader.n - 1)
        says_0 = coins(reader.seed ^ _SECOND).random() < 1 / (2 - f)
        return known if says_0 else np.full_like(known, self.otherwise)


MINIMAX = ReaderEntry(
    "minimax",
    Minimax,
    "a random set of tokens; where it shows nothing, a coin says which stream it was",
    "control: the least error on the worst stream, (1-f)/(2-f)",
    control=True,
)


class OneCoordinate(NonAdaptive):
    """The first coordinate of the values of a random part of the tokens, and nothing else.

    In the family of Appendix H (reconstructed) that tells D_i from D_0: the odd value B among ones
    has weight 1/2. So n-1 single coordinates answer without error.

    Args:
        share: part of the n-1 earlier tokens, 0 to 1 (1.0).
    """

    def __init__(self, share: float = 1.0) -> None:
        self._tokens = Sampling(share)

    def plan(self, n: int, d: int, seed: int) -> list[tuple[str, int, int]]:
        """One cell a token."""
        most = round(self._tokens.share * (n - 1))
        return [("V", int(i), 0) for i in self._tokens.choose(n - 1, most, seed)]

    def answer(self, q: Float32, reader: Reader) -> Float32:
        """1, or the mean of 1 and the odd value."""
        i = reader.plan.touched()
        first = reader.cells("V", i, np.zeros_like(i))
        odd = first[first != 1]
        return np.full(reader.d, (1 + odd[0]) / 2 if len(odd) else 1.0, dtype=np.float32)


ONE_COORDINATE = ReaderEntry(
    "one-coordinate",
    OneCoordinate,
    "one coordinate of the values of a random part of the tokens",
    "control: the paper's family (as reconstructed) needs no more than one number a token",
    control=True,
)


class KeyCells(NonAdaptive):
    """A random part of the single coordinates of all keys: for the family D_ij.

    Unread cells are taken to be 0; the values are public there, 1 for the newest token, else 0.

    With ``coordinates`` it reads the first so many of as many keys as the share has room for.

    Args:
        share: part of the (n-1) d cells, 0 to 1 (0.5).
        coordinates: read only the first so many of each key; 0 for any (0).
        otherwise: the output of every D_ij, to be said with probability 1 - 1/(2-f) when nothing
            is seen, which is optimal in the worst case (``reductions.hiding``); None: never.
    """

    def __init__(
        self, share: float = 0.5, coordinates: int = 0, otherwise: float | None = None
    ) -> None:
        self.share = Sampling(share).share
        if coordinates < 0:
            raise BadInput(f"coordinates counts cells of a key: give 0 or more, not {coordinates}.")
        self.coordinates = int(coordinates)
        self.otherwise = None if otherwise is None else float(otherwise)

    def plan(self, n: int, d: int, seed: int) -> Plan:
        """The chosen cells of K."""
        width = min(self.coordinates, d) or d
        most = min(round(self.share * (n - 1) * d), (n - 1) * width)
        chosen = coins(seed).permutation((n - 1) * width)[:most]
        cells = np.zeros((2, n, d), dtype=np.bool_)
        cells[0, chosen // width, chosen % width] = True
        return Plan(cells)

    def answer(self, q: Float32, reader: Reader) -> Float32:
        """The exact output if all that is unread is 0, or ``otherwise``: see the class."""
        i, j = np.nonzero(reader.plan.cells[0])
        seen = reader.cells("K", i, j)
        odd = np.flatnonzero(seen)
        if self.otherwise is not None and not len(odd):
            f = len(seen) / ((reader.n - 1) * reader.d)
            if coins(reader.seed ^ _SECOND).random() >= 1 / (2 - f):
                return np.full(reader.d, self.otherwise, dtype=np.float32)
        total = reader.n - len(odd) + float(np.exp(seen[odd] * q[j[odd]]).sum())
        return np.full(reader.d, 1 / total, dtype=np.float32)


KEY_CELLS = ReaderEntry(
    "key-cells",
    KeyCells,
    "a random part of the single coordinates of all keys",
    "control for the family D_ij of experiment non-adaptive; knows nothing of D_i",
    control=True,
)
