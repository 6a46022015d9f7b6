"""Keys in one dimension: softmax samples for every later query, by lazy Gumbel sampling."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, BudgetTooSmall, PluginFailure
from ...kit.blockwise import Blockwise, Own
from ...kit.state import check_fits
from ...kit.token_cache import whole
from ...plugin.contract import Float32, charged_bits, stack_outputs
from .one_dimension_kernels import gumbels, keep_frontier, keep_top, starts

_COUNTER = np.dtype("<i8")
_INDEX = np.dtype("<u4")
_FLOAT = np.dtype("<f4")


class OneDimension(Blockwise):
    """Mean of ``copies`` independent draws from the softmax, for d_k = 1, in expected space sqrt n.

    **The paper's** (Appendix E, reconstructed): keep the k = floor(sqrt n) largest and the k
    smallest keys (the sign of q decides which of the two is the top set), and beside them samples
    of the rest, from which Algorithm 2 draws its m lazy Gumbels; expected space O(sqrt n).

    **Ours**: when the stream passes, neither q nor m is known. Make the coins first: token t has
    in copy s the public Gumbel number G_st, a hash of (seed, s, t), which costs no memory. For
    q >= 0 Algorithm 2 looks, outside the upper set T, at the tokens with G > B only, and
    B >= max_T G, since M >= x_i + G_i >= min_T x + G_i for each i in T. So

        held = upper set, lower set, and every other token with G_st > max over the upper set, or
               over the lower set, of the copy's G, in some copy s;
        answer to q = mean over s of the value of the held token with the largest q k_t + G_st.

    *Exact.* A dropped token was once outside both sets, with a G at most that of some i in T. That
    i has a key at least as large, so q k_i + G_si >= q k_t + G_st for all q >= 0: i *beats* t on
    the upper side; likewise on the lower. If i is dropped later, another beats it, and beating is
    transitive. So each copy's winner over the held tokens is the winner over all tokens, which has
    the softmax law, and copies are independent. The answer is unbiased, with variance Var(v)/copies
    in each coordinate, for every stream, query and time, also beyond ``shape.tokens``. (For a fixed
    seed, answers to several queries share the G.)

    *Space.* Let the n keys be distinct, fixed before the coins, 2 k <= n. Dropping earlier only
    shrinks the set, so every token outside both sets is held with probability at most
    1 - (1-p)^copies: in a copy, G exceeds the k Gumbels of the upper set with probability 1/(k+1),
    those of the lower likewise, all 2k with 1/(2k+1), so p = 2/(k+1) - 1/(2k+1). Hence

        E[tokens] <= 2 k + (n - 2k) (1 - (1-p)^copies) <= 2 k + 2 copies n/k,                (1)

    O(copies sqrt n) at k = floor(sqrt n), with no failure probability. k needs the horizon n.

    **Ours, without a horizon** (``keep="frontier"``): hold a token while in some copy no other one
    beats it on the upper side, or none on the lower. This is exact for the same reason. The token
    with the r-th largest key is unbeaten above iff its G is the largest of r independent ones,
    probability 1/r; likewise below; both iff it has the largest G of all, 1/n. With H_n = 1 + 1/2
    + .. + 1/n the expected tokens are 2 H_n - 1 in one copy, and at most copies (2 H_n - 1): for
    every order of the stream, at every time n, and exponentially fewer than sqrt n.

    State: the number of tokens seen, int64, and for each held token its index (uint32), key and
    d_v values (float32), by index. Its length is random and so charged by what it is.

    Args:
        copies: independent draws in an answer.
        keep: "top" (the paper's sets) or "frontier".

    Raises:
        BadInput: d_k is not 1, or there is no such ``keep``.
        BudgetTooSmall: the budget is below the worst case, every token: the space is small in
            expectation only.
    """

    name = "one-dimension"

    def set_up(self, *, copies: int = 1, keep: str = "top") -> None:
        shape, budget_bits = self.shape, self.budget_bits
        if shape.d_k != 1:
            raise BadInput(
                f"one-dimension is Appendix E's algorithm, whose hypothesis is d = 1, and these "
                f"keys have d_k = {shape.d_k}: give it a stream of scalar keys."
            )
        if keep not in ("top", "frontier"):
            raise BadInput(f"keep must be top or frontier, not {keep!r}.")
        self.keep = keep
        self.copies = whole(copies, "copies", 1)
        self.top = math.isqrt(max(shape.tokens, 1))
        worst = _COUNTER.itemsize + (shape.tokens + shape.extra) * self.token_bytes
        if budget_bits is not None and charged_bits(worst) > budget_bits:
            raise BudgetTooSmall(
                "one-dimension in the worst case", budget_bits, charged_bits(worst)
            )
        self.seen = 0
        self.index: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.keys: Float32 = np.empty(0, dtype=np.float32)
        self.values: Float32 = np.empty((0, shape.d_v), dtype=np.float32)

    @property
    def token_bytes(self) -> int:
        """Bytes of state for a held token: its index, key and values."""
        return _INDEX.itemsize + _FLOAT.itemsize * (1 + self.shape.d_v)

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples, and drop what can win no more.

        Raises:
            BadInput: a number is NaN, infinite or too large; or these are more than 2^32 tokens.
        """
        if self.seen + len(K) > 1 << 32:
            raise BadInput("one-dimension counts up to 2^32 tokens: split the stream.")
        for block in (K, V):
            check_fits(np.asarray(block), _FLOAT, "one-dimension")
        fresh = np.ascontiguousarray(np.asarray(K, dtype=np.float32)[:, 0])
        coins = self._coins()
        if self.keep == "top":
            held = np.sort(keep_top(self.index, self.keys, fresh, self.seen, coins, self.top))
        else:
            held = np.unique(keep_frontier(self.index, self.keys, fresh, self.seen, coins))
        old = np.isin(self.index, held, assume_unique=True)
        new = held[held >= self.seen] - self.seen
        self.keys = np.concatenate([self.keys[old], fresh[new]])
        self.values = np.concatenate([self.values[old], np.asarray(V, dtype=np.float32)[new]])
        self.index = held
        self.seen += len(K)

    def winners(self, q: float) -> NDArray[np.int64]:
        """Each copy's draw from softmax(q k), as the index of its token: int64[copies].

        Raises:
            BadInput: nothing was appended yet, or q is not finite.
        """
        return self.index[self._places(q)]

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """The mean of the copies' values: float32[m, d_v]; raises as :meth:`winners`."""
        return stack_outputs([self._answer(q) for q in Q])

    def _answer(self, q: Float32) -> Float32:
        chosen = self.values[self._places(float(np.asarray(q)[0]))]
        mean: Float32 = chosen.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    def save(self) -> bytes:
        """The counter, then the held tokens' indices, keys and values."""
        parts = (
            np.array([self.seen], dtype=_COUNTER),
            self.index.astype(_INDEX),
            self.keys.astype(_FLOAT),
            self.values.astype(_FLOAT),
        )
        return b"".join(part.tobytes() for part in parts)

    def restore(self, message: bytes) -> None:
        """Take over a saved state.

        Raises:
            PluginFailure: no whole number of tokens fits that length.
        """
        count, left = divmod(len(message) - _COUNTER.itemsize, self.token_bytes)
        if left or count < 0:
            raise PluginFailure(
                f"A message of {len(message)} bytes is not one of one-dimension's: build Alice and "
                "Bob from the same public parameters."
            )
        d_v = self.shape.d_v
        at = _COUNTER.itemsize
        self.seen = int(np.frombuffer(message, _COUNTER, 1)[0])
        self.index = np.frombuffer(message, _INDEX, count, at).astype(np.int64)
        at += count * _INDEX.itemsize
        self.keys = np.frombuffer(message, _FLOAT, count, at).astype(np.float32)
        at += count * _FLOAT.itemsize
        self.values = np.frombuffer(message, _FLOAT, count * d_v, at).astype(np.float32)
        self.values = self.values.reshape(count, d_v)

    def _places(self, q: float) -> NDArray[np.int64]:
        if not len(self.index):
            raise BadInput("one-dimension has no token to attend to: append at least one.")
        if not math.isfinite(q):
            raise BadInput("one-dimension was asked with a query that is not finite.")
        scores = q * self.keys.astype(np.float64)
        won = [int(np.argmax(scores + gumbels(start, self.index))) for start in self._coins()]
        return np.array(won, dtype=np.int64)

    def _coins(self) -> NDArray[np.uint64]:
        coins: NDArray[np.uint64] = starts(np.uint64(self.seed), self.copies)
        return coins
