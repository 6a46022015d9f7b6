"""BalanceKV: batches of tokens halved by a self-balancing walk, again and again up a tree."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ....reductions.jit import njit
from ...catalog_entry import CatalogEntry
from ...kit.blockwise import Own
from ...kit.softmax_cache import Part, SoftmaxCache
from ...kit.state import State, check_fits
from ...kit.token_cache import whole
from ...plugin.contract import Float32

Int64 = NDArray[np.int64]
Float16 = NDArray[np.float16]

_HALF = np.dtype(np.float16)
_SEEN_BITS = 64


class BalanceKV(SoftmaxCache):
    """BalanceKV (Han, Kapralov, Kochetkova, Sheth, Zandieh 2025, arXiv 2502.07861).

    "BalanceKV: KV Cache Compression through Discrepancy Theory". Level 0 takes the tokens. A level
    that has ``batch`` of them is halved: a self-balancing walk gives each token a sign so that, for
    every query, both signs have nearly the same sum of e^{<q,k>} v; one half goes to the level
    above, with twice the weight. Level ``levels`` is not halved. The answer is attention with
    weight 2^level e^{<q,k>}. The walk runs on the kernel

        <u_i, u_j> = e^{temperature <k_i - k', k_j - k'>} (1 + <v_i, v_j>),    k' the batch's mean,

    divided by its largest diagonal entry, so that no u is longer than 1.

    Exactly half of a batch stays: the walk's minus side, filled up or cut down by further coins.
    Each token stays with probability exactly 1/2 (ours: turning all signs round turns who stays
    into who goes), so numerator and denominator are unbiased.

    State: how many tokens came, int64, from which all levels' sizes follow; K and V in fp16, the
    highest level first, an empty slot NaN. Coins are ``seed``, that number and the level.

    Args:
        batch: tokens at which a level is halved, even (64; with a budget see below).
        levels: how often a token may be halved (2; with a budget see below).
        c: the walk's constant (1, ours: the paper's proof needs 30 ln(n/delta), with which a batch
            of any practical size is a fair coin's).
        temperature: factor in the kernel's exponent (1, as the scores have no 1/sqrt(d)).

    With a budget, ``batch`` (a power of two, or three times one) and ``levels``, as far as they are
    not given, are those whose levels fit at all times and hold the most tokens at the end.

    Raises:
        BudgetTooSmall: the levels do not fit, whatever batch and levels.
        BadInput: ``batch`` is not even and positive, ``levels`` negative, c not positive, or the
            temperature negative.

    Mechanisms:
        self-balancing walk on keys and values: implemented.
        merge and reduce in a stream: implemented.
        separate runs for numerator and denominator: adapted, one run balances both, by the 1 beside
            <v_i, v_j> (.025 in the authors' code).
        halves by sign: adapted, exactly half, as in the authors' code; they fill up by position,
            we by coins.
        failure of a walk that leans beyond c: adapted, its probability is cut to [0, 1], as in the
            authors' code.
        keys centred in a batch: implemented.
        first and last tokens kept in full: left out, as in the paper's theorem; their code for
            language models keeps 16 and 64, and here the newest are at level 0 anyway.
    """

    name = "balance-kv"
    message_bytes: int

    def set_up(
        self,
        *,
        batch: int | None = None,
        levels: int | None = None,
        c: float = 1.0,
        temperature: float = 1.0,
    ) -> None:
        shape, budget_bits = self.shape, self.budget_bits
        if batch is not None and whole(batch, "batch", 2) % 2:
            raise BadInput(f"A batch is halved: give an even number of tokens, not {batch}.")
        if levels is not None:
            whole(levels, "levels", 0)
        if not 0 < c < math.inf or not 0 <= temperature < math.inf:
            raise BadInput(
                f"c > 0 and temperature >= 0 are numbers, not {c!r} and {temperature!r}."
            )
        self.c, self.temperature = float(c), float(temperature)
        total, token = shape.tokens + shape.extra, 16 * (shape.d_k + shape.d_v)
        slots = None if budget_bits is None else (budget_bits - _SEEN_BITS) // token
        self.batch, self.levels, self.slots = _tree(shape.tokens, total, slots, batch, levels)
        self.need(_SEEN_BITS + token * self.slots)
        self.state = State(
            seen=((1,), np.int64),
            k=((self.slots, shape.d_k), _HALF),
            v=((self.slots, shape.d_v), _HALF),
        )
        self.message_bytes = self.state.nbytes

    # -- the contract ----------------------------------------------------------------------------

    @property
    def seen(self) -> int:
        """Tokens taken in."""
        return int(self.state["seen"][0])

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples in order.

        Raises:
            BadInput: a number is NaN, infinite or too large for fp16, or there is no room.
        """
        K, V = np.asarray(K), np.asarray(V)
        for block in (K, V):
            check_fits(block, _HALF, self.name)
        seen = self.seen
        self.room_for(seen + len(K))
        held = self._levels()
        new = np.concatenate([K.astype(_HALF), V.astype(_HALF)], axis=1)
        done = 0
        while done < len(new):
            take = min(self.batch - len(held[0]), len(new) - done) if self.levels else len(new)
            held[0] = np.concatenate([held[0], new[done : done + take]])
            done += take
            for level in range(self.levels):
                if len(held[level]) < self.batch:
                    break
                full, held[level] = held[level][: self.batch], held[level][self.batch :]
                half = full[self._half(full, seen + done, level)]
                held[level + 1] = np.concatenate([held[level + 1], half])
        rows = np.concatenate(held[::-1])
        self.state["k"][:] = np.nan
        self.state["v"][:] = np.nan
        self.state["k"][: len(rows)] = rows[:, : self.shape.d_k]
        self.state["v"][: len(rows)] = rows[:, self.shape.d_k :]
        self.state["seen"][0] = seen + len(K)

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """Attention with weights 2^level e^{<q,k>} over what is held: float32[m, d_v]."""
        return super().answers(_lifted(Q), own)

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        return super().next_outputs(_lifted(Q), K, V)

    def next_bits(
        self, Q: Float32, K: Float32, V: Float32, thresholds: Float32
    ) -> NDArray[np.bool_]:
        return super().next_bits(_lifted(Q), K, V, thresholds)

    def parts(self, Q: Float32, K: Float32, V: Float32) -> Iterable[Part]:
        """A token waits at level 0 with weight 1, unless it completes a batch that is halved."""
        K, V = np.asarray(K), np.asarray(V)
        self.room_for(self.seen + 1)
        if self.levels > 0 and (self.seen + 1) % self.batch == 0:
            return self.by_token(K, V)
        for block in (K, V):
            check_fits(block, _HALF, self.name)
        level_0 = np.zeros((len(K), 1))
        keys = np.concatenate([K.astype(_HALF), level_0], axis=1, dtype=np.float32)
        own = keys, V.astype(_HALF).astype(np.float32)
        return [(slice(None), own, self.kept())]

    def kept(self) -> tuple[Float32, Float32]:
        """Keys with level ln 2 as one coordinate more, and values: a query has a 1 there."""
        counts = self._counts(self.seen)
        filled = int(counts.sum())
        bonus = np.repeat(np.arange(self.levels, -1, -1) * math.log(2.0), counts[::-1])
        K = np.concatenate([self.state["k"][:filled], bonus[:, None]], axis=1, dtype=np.float32)
        return K, self.state["v"][:filled].astype(np.float32)

    # -- inside ----------------------------------------------------------------------------------

    def _counts(self, seen: int) -> Int64:
        return occupancy(np.array([seen]), self.batch, self.levels)[:, 0]

    def _levels(self) -> list[Float16]:
        """K and V side by side, level by level from 0."""
        counts = self._counts(self.seen)
        filled = int(counts.sum())
        rows = np.concatenate([self.state["k"][:filled], self.state["v"][:filled]], axis=1)
        return np.split(rows, np.cumsum(counts[::-1])[:-1])[::-1]

    def _half(self, rows: Float16, time: int, level: int) -> Int64:
        """Which half of a batch stays, ascending: int64[batch / 2]."""
        coins = np.random.default_rng([self.seed & (1 << 64) - 1, time, level]).random(
            (2, len(rows))
        )
        signs = np.empty(len(rows))
        numbers = rows.astype(np.float64)
        d = self.shape.d_k
        gram = kernel(numbers[:, :d], numbers[:, d:], self.temperature)
        balancing_walk(gram, self.c, coins[0], signs)
        return np.sort(np.lexsort((coins[1], signs))[: len(rows) // 2])


def _lifted(Q: Float32) -> Float32:
    Q = np.asarray(Q)
    return np.concatenate([Q, np.ones((len(Q), 1))], axis=1, dtype=np.float32)


def kernel(K: NDArray[np.float64], V: NDArray[np.float64], temperature: float) -> NDArray[Any]:
    """The walk's Gram matrix, as the class says, its largest diagonal entry 1: float64[t, t]."""
    K = K - K.mean(axis=0)
    exponent = temperature * (K @ K.T)
    gram: NDArray[Any] = np.exp(exponent - exponent.diagonal().max()) * (1.0 + V @ V.T)
    gram /= gram.diagonal().max()
    return gram


def occupancy(seen: Int64, batch: int, levels: int) -> Int64:
    """How many tokens each level holds after so many came: int64[levels + 1, len(seen)].

    >>> occupancy(np.array([7, 8, 15, 16]), 4, 2).tolist()
    [[3, 0, 3, 0], [2, 0, 2, 0], [0, 2, 2, 4]]
    """
    counts, arrived = [], np.asarray(seen)
    for _ in range(levels):
        counts.append(arrived % batch)
        arrived = arrived // batch * (batch // 2)
    return np.array([*counts, arrived])


@functools.cache
def _tree(
    tokens: int, total: int, slots: int | None, batch: int | None, levels: int | None
) -> tuple[int, int, int]:
    """Batch, levels and the most tokens held at any time; where none fit, those with the fewest."""
    if slots is None:
        batch, levels = batch or 64, 2 if levels is None else levels
    sizes = [batch] if batch else sorted(b << i for b in (2, 6) for i in range(total.bit_length()))
    depths = range(total.bit_length() + 1) if levels is None else [levels]
    times, best = np.arange(total + 1), None
    for depth in depths:
        for size in sizes:
            held = occupancy(times, size, depth).sum(axis=0)
            most, last = int(held.max()), int(held[tokens])
            fits = slots is None or most <= slots
            # More tokens at the end; of as many the larger batch, whose halves are better balanced.
            rank = (1, last, size) if fits else (0, -most, 0)
            if best is None or rank > best[0]:
                best = rank, (size, depth, most)
    if best is None:
        raise AssertionError("there is always a tree")
    return best[1]


@njit(cache=True, nogil=True, error_model="numpy")
def balancing_walk(gram: Any, c: Any, coins: Any, signs: Any) -> None:
    """Signs of vectors u_1, u_2, .. so that w = sum of sign times vector stays short.

    Vector i is added with probability 1/2 - <w, u_i>/(2c), cut to [0, 1], else subtracted
    (Alweiss, Liu, Sawhney 2021).

    Args:
        gram: float64[t, t], the inner products.
        c: the walk's constant.
        coins: float64[t] in [0, 1).
        signs: float64[t], written.
    """
    for i in range(len(signs)):
        lean = 0.0
        for j in range(i):
            lean += gram[i, j] * signs[j]
        signs[i] = 1.0 if coins[i] < 0.5 - lean / (2.0 * c) else -1.0


ENTRY = CatalogEntry(
    BalanceKV,
    summary="tokens halved by a self-balancing walk, again and again, with weights 2^level",
    source="Han, Kapralov, Kochetkova, Sheth, Zandieh 2025, BalanceKV: KV Cache Compression "
    "through Discrepancy Theory",
    budgets="any above log2 n tokens: it chooses batch and levels",
    assumes="tokens that resemble one another, so that one half stands for the other",
    broken_by="near-orthogonal keys with independent values: no token stands for another",
    square="time",
)
