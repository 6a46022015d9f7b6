"""KVTC: principal components, bits where they lower the error most, and DEFLATE, as images have."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, PluginFailure
from ....reductions import attention
from ....reductions.memo import remembered
from ...catalog_entry import CatalogEntry
from ...kit.blockwise import Own
from ...kit.prefill import Prefill
from ...kit.token_cache import whole
from ...plugin.contract import Float32, charged_bits

Half = NDArray[np.float16]
Float64 = NDArray[np.float64]
_MOST = 8
_WINDOW = 128
#: mean bits of a number that a budget chooses from, finest first
LADDER = (8.0, 6.0, 5.0, 4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0, 0.75, 0.5, 0.25)
_HEAD = 12


def allocate(errors: Float64, total: int) -> NDArray[np.uint8]:
    """Bits of each component with the least sum of errors, ``total`` at most: uint8[d].

    The paper's dynamic program: with the components before it coded in t - b bits at best, a
    component takes the b that is best for t.

    Args:
        errors: float64[d, 9], of each component with 0 to 8 bits.

    >>> allocate(np.array([[9.0, 8, 1, *[0] * 6], [4.0, 1, 0.5, *[0] * 6]]), 3).tolist()
    [2, 1]
    """
    best, chosen = np.zeros(total + 1), []
    for own in errors:
        options = np.full((_MOST + 1, total + 1), np.inf)
        for b in range(min(_MOST, total) + 1):
            options[b, b:] = best[: total + 1 - b] + own[b]
        chosen.append(options.argmin(axis=0))
        best = options.min(axis=0)
    bits = np.zeros(len(errors), np.uint8)
    left = total
    for j in reversed(range(len(errors))):
        bits[j] = chosen[j][left]
        left -= int(bits[j])
    return bits


@dataclass(frozen=True)
class Components:
    """Rows in their principal components.

    Attributes:
        mean: float16[d], the mean row.
        turn: float16[d, d], the directions as columns, the widest first.
        low, high: float16[d], the extremes of each component.
        coefficients: float32[m, d].
        errors: float64[d, 9], mean squares of what 0 to 8 bits lose of a component.
    """

    mean: Half
    turn: Half
    low: Half
    high: Half
    coefficients: Float32
    errors: Float64
    _coded: dict[float, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, X: Float32) -> Self:
        """Those of float32[m, d]."""
        m, d = X.shape
        mean = X.mean(axis=0).astype(np.float16) if m else np.zeros(d, np.float16)
        centred = X - mean.astype(np.float32)
        _, directions = np.linalg.eigh(centred.astype(np.float64).T @ centred)
        turn = np.ascontiguousarray(directions[:, ::-1]).astype(np.float16)
        coefficients = centred @ turn.astype(np.float32)
        low, high = (
            end(coefficients, axis=0, initial=0).astype(np.float16) for end in (np.min, np.max)
        )
        errors = np.zeros((d, _MOST + 1))
        for b in range(_MOST + 1):
            bits = np.full(d, b, np.uint8)
            lost = coefficients - _centres(_cells(coefficients, low, high, bits), low, high, bits)
            errors[:, b] = np.square(lost, dtype=np.float64).sum(axis=0)
        return cls(mean, turn, low, high, coefficients, errors)

    def coded(self, bits: float) -> bytes:
        """At a mean of so many bits a number.

        Bits of each component, the mean row; of the components that have bits their extremes and
        directions, all in fp16; then their cells, one component after another, deflated.
        """
        if bits not in self._coded:
            self._coded[bits] = self._written(bits)
        return self._coded[bits]

    def _written(self, bits: float) -> bytes:
        given = allocate(self.errors, int(bits * len(self.errors)))
        kept = np.flatnonzero(given)
        low, high = self.low[kept], self.high[kept]
        cells = _cells(self.coefficients[:, kept], low, high, given[kept])
        packed = zlib.compress(np.ascontiguousarray(cells.T).tobytes())
        arrays = given, self.mean, low, high, np.ascontiguousarray(self.turn[:, kept])
        return b"".join(array.tobytes() for array in arrays) + packed


def _cells(X: Float32, low: Half, high: Half, bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Which of 2^b equal cells between the extremes each number lies in: uint8[m, components]."""
    count = np.exp2(bits, dtype=np.float32)
    width = (high.astype(np.float32) - low) / count
    inside = np.divide(X - low, width, out=np.zeros_like(X), where=width > 0)
    cells: NDArray[np.uint8] = np.clip(np.floor(inside), 0, count - 1).astype(np.uint8)
    return cells


def _centres(cells: NDArray[np.uint8], low: Half, high: Half, bits: NDArray[np.uint8]) -> Float32:
    """The middles of cells; without bits 0, which is the mean: float32[m, components]."""
    width = (high.astype(np.float32) - low) / np.exp2(bits, dtype=np.float32)
    middles = low + width * (cells.astype(np.float32) + np.float32(0.5))
    centres: Float32 = np.where(bits > 0, middles, np.float32(0))
    return centres


#: of keys, which in a game are the same in every message
_of_keys = remembered(most=1 << 24)(Components.of)


def decode(data: bytes, m: int, d: int) -> Float32:
    """The rows again: float32[m, d].

    Raises:
        ValueError, zlib.error: the bytes are not those of so many rows.
    """
    given = np.frombuffer(data, np.uint8, d)
    bits = given[given > 0]
    kept = len(bits)
    half = np.frombuffer(data[d:], np.float16, d + kept * (d + 2))
    mean, low, high, turn = np.split(half, np.cumsum([d, kept, kept]))
    packed = zlib.decompressobj()
    raw = packed.decompress(data[d + half.nbytes :], m * kept + 1)
    cells = np.frombuffer(raw, np.uint8).reshape(kept, m).T
    turned = turn.reshape(d, kept).astype(np.float32)
    rows: Float32 = _centres(cells, low, high, bits) @ turned.T + mean.astype(np.float32)
    return rows


class KVTC(Prefill):
    """KVTC (Staniszewski, Lancucki 2025, KV Cache Transform Coding, 2511.01815).

    After the prompt the first ``sinks`` and the newest ``window`` tokens stay in fp16. The keys
    between them, and so the values, are written in their principal components; each component has
    the bits that lower the squared error most, many have none, and is cut into as many equal cells
    between its extremes as these tell apart; the cells are deflated.

    A prefill method: coded once after ``shape.tokens`` tokens. Bob's are kept beside it.

    State: three counts; sinks and window in fp16; for keys and values each a byte a component,
    means, extremes and directions in fp16, and the deflated cells. Its length depends on the
    data, so it is charged.

    Args:
        bits: mean bits of a number, above 0 and up to 8; by default the most of a ladder from 1/4
            on whose real message fits the budget, or 4.
        k_bits, v_bits: of keys and of values (as ``bits``).
        sinks: first tokens in fp16 (4).
        window: newest tokens in fp16 (128, or less where they are a quarter of the budget).

    Raises:
        BudgetTooSmall: not even means and sinks fit; or the message at ``bits``, which is known
            when the data are there.
        BadInput: bits outside their range, or a number does not fit fp16.

    Mechanisms:
        principal components: adapted, of the prompt itself, head by head, and sent; the paper's are
            of all heads of a layer, calibrated beforehand on other text.
        bits by component by a dynamic program on the measured error: adapted, whole bits up to 8
            for each component; the paper chooses among formats for groups of components.
        DEFLATE: implemented.
        sinks and newest tokens left as they are: implemented.
        keys without their rotary positions: not meaningful here, the game has none.
    """

    name = "kvtc"

    def set_up(
        self,
        *,
        bits: float | None = None,
        k_bits: float | None = None,
        v_bits: float | None = None,
        sinks: int = 4,
        window: int | None = None,
    ) -> None:
        super().set_up()
        for one in (bits, k_bits, v_bits):
            if one is not None and not 0 < one <= _MOST:
                raise BadInput(f"A number has bits above 0 and up to {_MOST}, not {one!r}.")
        shape, budget_bits = self.shape, self.budget_bits
        self.bits = tuple(bits if own is None else own for own in (k_bits, v_bits))
        self.sinks = min(whole(sinks, "sinks", 0), shape.tokens)
        self.row_bytes = 2 * (shape.d_k + shape.d_v)
        most = _WINDOW if budget_bits is None else budget_bits // (4 * 8 * self.row_bytes)
        self.window = min(_WINDOW, most) if window is None else whole(window, "window", 0)
        # Bits of each component, the means, and an empty deflated stream, for keys and for values.
        bare = _HEAD + 3 * (shape.d_k + shape.d_v) + 2 * (4 + 8)
        tokens = min(self.sinks + self.window, shape.tokens)
        self.need(charged_bits(bare + tokens * self.row_bytes))

    # -- the contract ----------------------------------------------------------------------------

    def write(self, Q: Float32, K: Float32, V: Float32) -> bytes:
        """The message at ``bits``, or at the most bits that fit."""
        first, last = self._middle(len(K))
        sides = [_of_keys(K[first:last]), Components.of(V[first:last])]

        def coded(usual: float) -> bytes:
            k, v = (
                side.coded(usual if own is None else own)
                for side, own in zip(sides, self.bits, strict=True)
            )
            counts = np.array([len(K), last - first, len(k)], np.uint32)
            whole_rows = [part.astype(np.float16) for X in (K, V) for part in (X[:first], X[last:])]
            return b"".join([counts.tobytes(), *(rows.tobytes() for rows in whole_rows), k, v])

        if self.budget_bits is None or None not in self.bits:
            message = coded(4.0)
            self.need(charged_bits(len(message)))
            return message
        bare = coded(0.0)
        numbers = (last - first) * (self.shape.d_k + self.shape.d_v)
        free = (self.budget_bits - charged_bits(len(bare))) / max(1, numbers)
        return self.finest(bare, LADDER, coded, sum(bits > free for bits in LADDER))

    def _middle(self, n: int) -> tuple[int, int]:
        """The first token that is coded, and the first after them that is not."""
        first = min(self.sinks, n)
        return first, max(first, n - self.window)

    def read(self, message: bytes) -> None:
        """Decode it. Raises PluginFailure if it is none of this compressor's."""
        try:
            self.held = self._decoded(message)
        except (ValueError, zlib.error) as error:
            raise PluginFailure(
                f"A message of {len(message)} bytes is not one of kvtc: build Alice and Bob from "
                "the same public parameters."
            ) from error

    def _decoded(self, message: bytes) -> tuple[Float32, Float32]:
        n, middle, size = (int(x) for x in np.frombuffer(message, np.uint32, 3))
        first = min(self.sinks, n)
        last = n - first - middle
        if n > self.shape.tokens or last < 0:
            raise ValueError("counts that cannot be")
        at, ends = _HEAD, []
        for d in (self.shape.d_k, self.shape.d_v):
            for count in (first, last):
                rows = np.frombuffer(message, np.float16, count * d, at).reshape(count, d)
                ends.append(rows.astype(np.float32))
                at += rows.nbytes
        sides = message[at : at + size], message[at + size :]
        found = [
            np.concatenate([ends[2 * i], decode(side, middle, d), ends[2 * i + 1]])
            for i, (side, d) in enumerate(zip(sides, (self.shape.d_k, self.shape.d_v), strict=True))
        ]
        return found[0], found[1]

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """Exact attention over the decoded tokens and the tail: float32[m, d_v]."""
        self.open()
        K, V = self.with_tail(*self.held)
        if own is None:
            return attention.block_outputs(Q, K, V)
        return attention.next_outputs(Q, *own, K, V)


ENTRY = CatalogEntry(
    KVTC,
    summary="principal components of keys and values, bits where they help most, deflated",
    source="Staniszewski, Lancucki 2025, KV Cache Transform Coding for Compact Storage in LLM "
    "Inference",
    budgets="from about 1/16: the directions of a few components",
    assumes="keys and values lie near few directions",
    broken_by="independent values, which fill every direction alike",
)
