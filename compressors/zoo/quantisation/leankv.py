"""LeanKV: what was attended to gets high precision, other tokens low precision or nothing."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, PluginFailure
from ...catalog_entry import CatalogEntry
from ...kit.key_value_bits import pairs
from ...kit.min_max import quantise, restore
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from ..eviction.kept_heads import KeptHeads, Rows, causal_weights

#: queries at the end of the prompt that score its tokens, as in the authors' code
_SCORED_BY = 64
_ALPHA_HIGH, _ALPHA_LOW = 1.0, 0.02
_PRECISION = re.compile(r"K([1-8])V([1-8])")
#: grades of a token
_PRUNED, _LOW, _HIGH = 0, 1, 2

Grades = NDArray[np.int64]
Bits = tuple[int, int]


class LeanKV(KeptHeads):
    """LeanKV, later DiffKV (Zhang et al. 2024, Unifying KV Cache Compression, 2412.03131).

    A token's significance is the mean softmax weight that the last queries of the prompt, 64 or as
    many as came from it on, gave it. With n tokens it is kept in the precision ``high`` from
    ``alpha_high`` / n on, in ``low`` from ``alpha_low`` / n on, and else pruned; the newest
    ``window`` tokens are always kept in ``high``. The thresholds are the same in all heads, so each
    head keeps as many tokens as it attends to. A key and a value are each rounded between minimum
    and maximum, which come as an fp16 scale and zero a token.

    A budget sets the thresholds: all tokens come down to ``low`` before one is pruned. Of equal
    significance the newer token is kept better.

    A prefill method: graded once, after ``shape.tokens`` tokens. Bob's are kept beside it in fp16.

    State: how many tokens of each precision a head has, 4 bytes each; their scales, zeros and
    codes. With a budget there are as many over all heads whatever the data, so that the length is
    public; without one the length is charged.

    Args:
        high, low: bits of a number of keys and values, 1 to 8 ("K8V4" and "K4V2").
        k_bits, v_bits: of a key's number and of a value's in ``high``, which is then not given;
            ``low`` has half of them, and at least 1.
        alpha_high, alpha_low: thresholds times n, without a budget (1 and 0.02).
        window: newest tokens kept in ``high`` (64; less where that is half of the budget).

    Raises:
        BudgetTooSmall: not one token a head fits in ``low``.
        BadInput: there is no such precision, ``low`` costs more than ``high``, the thresholds are
            out of order, or they come with a budget.

    Mechanisms:
        keys in more bits than values: implemented.
        three grades of tokens by significance: implemented.
        one pair of thresholds for all heads, so memory by head and request: implemented.
        newest tokens in high precision: implemented.
        thresholds calibrated offline on a workload: adapted, given, or set by the budget.
        a group's largest weight over its query heads: not meaningful here, a head has one.
        generated tokens graded down one at a time: left out, Bob's are few and stay in fp16.
        unified paging and parallel compaction on the GPU: not meaningful here, no fragments.
    """

    name = "leankv"

    def set_up(
        self,
        *,
        high: str | None = None,
        low: str | None = None,
        k_bits: int | None = None,
        v_bits: int | None = None,
        alpha_high: float | None = None,
        alpha_low: float | None = None,
        window: int = 64,
    ) -> None:
        super().set_up()
        shape, budget_bits = self.shape, self.budget_bits
        #: bits of a key's and a value's number, by grade
        self.bits = _grades(high, low, k_bits, v_bits)
        #: bytes of a token, by grade
        self.cost = {grade: self._token_bytes(bits) for grade, bits in self.bits.items()}
        if self.cost[_LOW] > self.cost[_HIGH]:
            low, high = ("K{}V{}".format(*self.bits[grade]) for grade in (_LOW, _HIGH))
            raise BadInput(f"low = {low} takes more room than high = {high}: turn them round.")
        self.window = min(whole(window, "window", 0), shape.tokens)
        if budget_bits is None:
            self.alpha_high = _ALPHA_HIGH if alpha_high is None else alpha_high
            self.alpha_low = min(_ALPHA_LOW, self.alpha_high) if alpha_low is None else alpha_low
            if not 0 <= self.alpha_low <= self.alpha_high:
                raise BadInput("0 <= alpha_low <= alpha_high: below alpha_low tokens are pruned.")
        elif alpha_high is not None or alpha_low is not None:
            raise BadInput("A budget sets the thresholds: give alpha_high and alpha_low, or it.")
        else:
            self._fit(budget_bits)

    def _token_bytes(self, bits: Bits) -> int:
        d_k, d_v = self.shape.d_k, self.shape.d_v
        return 8 + -(-d_k * bits[0] // 8) - (-d_v * bits[1] // 8)

    def _fit(self, budget_bits: int) -> None:
        """How many tokens of each grade all heads have together."""
        heads = len(self.heads)
        least = heads * (8 + self.cost[_LOW])
        self.need(8 * least)
        high, low = self.cost[_HIGH], self.cost[_LOW]
        room, tokens = budget_bits // 8 - 8 * heads, heads * self.shape.tokens
        self.window = min(self.window, room // (2 * heads * high))
        self.of_high = heads * self.window
        left = room - self.of_high * high
        self.of_low = min(tokens - self.of_high, left // low)
        left -= self.of_low * low
        if self.of_high + self.of_low == tokens:
            better = self.of_low if high == low else min(self.of_low, left // (high - low))
            self.of_high, self.of_low = self.of_high + better, self.of_low - better
        self.message_bytes = 8 * heads + self.of_high * high + self.of_low * low

    # -- grades ----------------------------------------------------------------------------------

    def grades(self, significance: Float32) -> Grades:
        """0: pruned, 1: low, 2: high, from float32[heads, n]; of the newest tokens it is infinite.

        >>> from kvbarrier import Shape
        >>> one = LeanKV(Shape(4, 8, 8), alpha_high=2, alpha_low=0.8, window=1)
        >>> one.grades(np.float32([[0.6, 0.3, 0.1, np.inf]])).tolist()
        [[2, 1, 0, 2]]
        """
        heads, n = significance.shape
        if self.budget_bits is None:
            high = significance >= np.float32(self.alpha_high / max(1, n))
            low = significance >= np.float32(self.alpha_low / max(1, n))
            return np.where(high, _HIGH, np.where(low, _LOW, _PRUNED))
        head, at = np.indices(significance.shape).reshape(2, -1)
        order = np.lexsort((head, -at, -significance.ravel()))
        found = np.zeros(heads * n, dtype=np.int64)
        found[order[: self.of_high + self.of_low]] = _LOW
        found[order[: self.of_high]] = _HIGH
        return found.reshape(heads, n)

    def significance(self, Q: Float32, K: Float32) -> Float32:
        """Of one head's tokens: float32[n], infinite for the newest."""
        n = len(K)
        if not n:
            return np.empty(0, np.float32)
        first = max(0, n - _SCORED_BY)
        asked = np.minimum(np.arange(n, 0, -1), _SCORED_BY).astype(np.float32)
        found: Float32 = causal_weights(Q, K, first).sum(axis=0) / asked
        found[n - min(n, self.window) :] = np.inf
        return found

    # -- the message -----------------------------------------------------------------------------

    def keep(self, Q: Float32, K: Float32, V: Float32) -> list[Rows]:
        """What each head keeps of a prefill, as Bob reads it."""
        return self._rows(self.write(Q, K, V))

    def write(self, Q: Float32, K: Float32, V: Float32) -> bytes:
        """Counts of both grades of every head, then their scales, zeros and codes."""
        scores = np.array([self.significance(Q[:, l, h], K[:, l, h]) for l, h in self.heads])
        graded = self.grades(scores)
        counts = [[int(np.count_nonzero(g == one)) for one in (_HIGH, _LOW)] for g in graded]
        parts = [np.array(counts, np.uint32).tobytes()]
        for (l, h), grade in zip(self.heads, graded, strict=True):
            for one in (_HIGH, _LOW):
                for X, bits in zip((K, V), self.bits[one], strict=True):
                    rows = X[grade == one, l, h][:, None]
                    if len(rows):
                        parts += [part.tobytes() for part in quantise(rows, bits)]
        # Of a prompt shorter than announced there are fewer tokens than the length has room for.
        return b"".join(parts).ljust(self.message_bytes or 0, b"\0")

    def _rows(self, message: bytes) -> list[Rows]:
        at = 8 * len(self.heads)
        if len(message) < at or self.message_bytes not in (None, len(message)):
            raise self._foreign(message)
        counts = np.frombuffer(message, np.uint32, at // 4).reshape(-1, 2).astype(int)
        room = at + int((counts @ [self.cost[_HIGH], self.cost[_LOW]]).sum())
        if room > len(message) or (self.message_bytes is None and room != len(message)):
            raise self._foreign(message)
        found = []
        for of_head in counts:
            halves: list[list[NDArray[np.float16]]] = [[], []]
            for one, count in zip((_HIGH, _LOW), of_head, strict=True):
                widths = self.shape.d_k, self.shape.d_v
                for half, d, bits in zip(halves, widths, self.bits[one], strict=True):
                    size = -(-d * bits // 8)
                    scale, zero = np.frombuffer(message, np.float16, 2 * count, at).reshape(2, -1)
                    codes = np.frombuffer(message, np.uint8, count * size, at + 4 * count)
                    at += (4 + size) * int(count)
                    codes = codes.reshape(count, 1, size)
                    rows = restore(scale[:, None], zero[:, None], codes, bits, d)
                    half.append(rows[:, 0].astype(np.float16))
            k, v = (np.concatenate(half) for half in halves)
            found.append(Rows(k, v))
        return found

    def _foreign(self, message: bytes) -> PluginFailure:
        return PluginFailure(
            f"A message of {len(message)} bytes is not one of leankv: build Alice and Bob from the "
            "same public parameters."
        )


def _grades(
    high: str | None, low: str | None, k_bits: int | None, v_bits: int | None
) -> dict[int, Bits]:
    """Bits of a key's and a value's number, by grade."""
    if k_bits is None and v_bits is None:
        return {_LOW: _precision(low or "K4V2", "low"), _HIGH: _precision(high or "K8V4", "high")}
    if high is not None:
        raise BadInput("high says the bits of keys and values: leave k_bits and v_bits out.")
    ((of_k, of_v),) = pairs([(8, 4)], range(1, 9), k_bits=k_bits, v_bits=v_bits)
    halves = max(1, of_k // 2), max(1, of_v // 2)
    return {_LOW: _precision(low, "low") if low else halves, _HIGH: (of_k, of_v)}


def _precision(name: str, what: str) -> Bits:
    """The bits of a key's and a value's number.

    >>> _precision("K8V4", "high")
    (8, 4)
    """
    match = _PRECISION.fullmatch(str(name))
    if match is None:
        raise BadInput(f"{what} is a precision like K8V4, with 1 to 8 bits, not {name!r}.")
    return int(match[1]), int(match[2])


ENTRY = CatalogEntry(
    LeanKV,
    summary="what the last queries attend to at 8 and 4 bits, less at 4 and 2, the rest not at all",
    source="Zhang et al. 2024, Unifying KV Cache Compression for Large Language Models with LeanKV",
    budgets="any; above 13/32 at d = 64 it has no use for more",
    assumes="the last queries of a prompt attend to what will be asked",
    broken_by="a question about what the last queries did not look at",
)
