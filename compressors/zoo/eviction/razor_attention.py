"""RazorAttention: a few retrieval heads keep everything, the others a window and one token more."""

from __future__ import annotations

import math

import numpy as np

from ....errors import BadInput
from ....reductions.memo import remembered
from ...catalog_entry import EVICTS, CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from .kept_heads import KeptHeads, Rows, causal_weights, rows_at

_TIMES_BYTES = 4


@remembered(most=1 << 24)
def attention_outside(Q: Float32, K: Float32, sinks: int, window: int) -> float:
    """The mean attention that a query gives to tokens outside sinks and window."""
    weights = causal_weights(Q, K)
    n, at = len(K), np.arange(len(K))
    near = (at[None, :] > at[:, None] - window) | (at[None, :] < sinks)
    return float(weights[~near].sum() / max(1, n))


class RazorAttention(KeptHeads):
    """RazorAttention (Tang et al. 2024, Efficient KV Cache Compression Through Retrieval Heads,
    arXiv 2407.15891).

    Retrieval heads keep all tokens. Every other head keeps the first ``sinks`` and the last W, and
    for the N tokens dropped between them one *compensation token*: the mean of their keys and the
    mean of their values, which counts N times.

    Which heads retrieve is found in the prefill: those whose queries give most attention to tokens
    outside sinks and window. With a budget, as many heads of the wanted ones are retrieval heads as
    leave every other head ``sinks + 2`` tokens, and W takes what is left.

    State: a bit a head (retrieval or not), how many tokens a compensation token stands for
    (uint32), K and V in fp16.

    Args:
        retrieval: part of the heads that keep everything (0.15).
        sinks: first tokens that stay (4).
        window: W; by default what the budget holds, or n/5.

    Raises:
        BudgetTooSmall: sinks, one token and a compensation token do not fit in every head.
        BadInput: ``retrieval`` lies outside [0, 1], or another parameter is negative.

    Mechanisms:
        retrieval heads keep everything: implemented.
        sinks and a local window in the other heads: implemented.
        compensation token, the mean of dropped keys and values counted N times: implemented.
        retrieval heads by echo and induction scores on repeated random text: adapted, by the
            attention that leaves the window in the prefill; there is no model to be probed.
        head groups under grouped queries: not meaningful here, a head has one query head.
        windows from the slopes of ALiBi: not meaningful here, the game has no positions.
    """

    name = "razor-attention"

    def set_up(self, *, retrieval: float = 0.15, sinks: int = 4, window: int | None = None) -> None:
        super().set_up()
        shape, budget_bits = self.shape, self.budget_bits
        if not 0 <= retrieval <= 1:
            raise BadInput(f"retrieval is a part of the heads from 0 to 1, not {retrieval!r}.")
        self.sinks = whole(sinks, "sinks", 0)
        n, heads = shape.tokens, len(self.heads)
        least = min(
            n, self.sinks + 2 if window is None else self.sinks + 1 + whole(window, "window", 1)
        )
        self.retrieving = math.ceil(retrieval * heads - 1e-9)
        self.others = min(n, self.sinks + 1 + (n // 5 if window is None else window))
        if budget_bits is not None:
            room = (budget_bits - 8 * self.head_bytes()) // (8 * self.row_bytes)
            self.need(8 * (self.head_bytes() + self.row_bytes * heads * least))
            fits = (room - heads * least) // max(1, n - least) if n > least else heads
            self.retrieving = min(self.retrieving, fits)
            rest = heads - self.retrieving
            if rest:
                self.others = min(n, (room - self.retrieving * n) // rest)
            if window is not None:
                self.others = min(self.others, least)
        self.message_bytes = self.head_bytes() + self.row_bytes * (
            self.retrieving * n + (heads - self.retrieving) * self.others
        )

    def counts(self) -> list[int]:
        """Of the heads that do not retrieve; the message says which do."""
        return [self.others] * len(self.heads)

    def head_bytes(self) -> int:
        """A bit a head, and 4 bytes."""
        return -(-len(self.heads) // 8) + _TIMES_BYTES

    def write_head(self, kept: list[Rows]) -> bytes:
        """Which heads keep everything, and how often a compensation token counts."""
        times = max((int(rows.times) for rows in kept), default=1)
        flags = np.packbits([rows.times == 0 for rows in kept]).tobytes()
        return flags + times.to_bytes(_TIMES_BYTES, "little")

    def read_head(self, head: bytes, counts: list[int]) -> tuple[list[int], list[float]]:
        """All tokens for a retrieval head; elsewhere the last row stands for what was dropped."""
        head = head.ljust(self.head_bytes(), b"\0")
        flags = np.unpackbits(np.frombuffer(head[:-_TIMES_BYTES], np.uint8))[: len(counts)]
        times = int.from_bytes(head[-_TIMES_BYTES:], "little")
        often = float(max(times, 1))
        rows = [self.shape.tokens if flag else c for flag, c in zip(flags, counts, strict=True)]
        return rows, [1.0 if flag else often for flag in flags]

    def _room(self, kept: list[Rows]) -> list[int]:
        return [self.shape.tokens if rows.times == 0 else self.others for rows in kept]

    def keep(self, Q: Float32, K: Float32, V: Float32) -> list[Rows]:
        """All rows of the retrieval heads; sinks, window and the compensation token of others."""
        window = max(1, self._window())
        outside = [
            attention_outside(Q[:, l, h], K[:, l, h], self.sinks, window) for l, h in self.heads
        ]
        order = np.argsort(-np.array(outside), kind="stable")
        retrieving = set(order[: self.retrieving].tolist())
        found = []
        for number, (l, h) in enumerate(self.heads):
            k, v = K[:, l, h], V[:, l, h]
            if number in retrieving:
                everything = rows_at(k, v, np.arange(len(k)))
                found.append(Rows(everything.K, everything.V, times=0))
            elif self.others >= len(k):
                found.append(rows_at(k, v, np.arange(len(k))))
            else:
                found.append(self._razed(k, v))
        return found

    def _window(self) -> int:
        return max(0, self.others - 1 - self.sinks)

    def _razed(self, K: Float32, V: Float32) -> Rows:
        n, sinks = len(K), min(self.sinks, self.others - 1)
        newest = self.others - 1 - sinks
        dropped = slice(sinks, n - newest)
        kept = [X[np.r_[0:sinks, n - newest : n]] for X in (K, V)]
        means = [X[dropped].mean(axis=0, keepdims=True) for X in (K, V)]
        rows = [np.concatenate(pair).astype(np.float16) for pair in zip(kept, means, strict=True)]
        return Rows(rows[0], rows[1], times=float(n - sinks - newest))


ENTRY = CatalogEntry(
    RazorAttention,
    summary="a few heads whole; in the others sinks, a window, and a mean for all the rest",
    source="Tang et al. 2024, RazorAttention: Efficient KV Cache Compression Through Retrieval "
    "Heads",
    budgets=EVICTS,
    assumes="only few heads look far back",
    broken_by="a question about an old token in any other head",
    square="time and memory",
    own_size={"layers": 2, "heads": 2},
    own_size_reason="it tells heads apart",
)
