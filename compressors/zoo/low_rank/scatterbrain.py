"""Scatterbrain: random features for all tokens, and exact scores where a hash finds them large."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, BudgetTooSmall, PluginFailure
from ....reductions.blas import one_thread
from ...catalog_entry import CatalogEntry
from ...kit.blockwise import Blockwise, Own
from ...kit.prefill import halved
from ...kit.state import State, check_fits
from ...kit.token_cache import whole
from ...plugin.contract import Float32, Shape
from ..sketch.performer import Performer

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
_FP16 = np.dtype(np.float16)
_BLOCK = 1 << 20


class MirroredPerformer(Performer):
    """Performer with the features of w and of -w, for an even number of them."""

    def drawn(self, m: int) -> Float64:
        half = super().drawn(m // 2)
        return np.concatenate([half, -half])


class Scatterbrain(Blockwise):
    """Scatterbrain (Chen, Dao, Winsor, Song, Rudra, Re 2021, Unifying Sparse and Low-rank Attention
    Approximation, arXiv 2110.15343).

    A token weighs phi(q) phi(k), with m random features, and where q and k share a bucket of some
    hash e^{<q,k>}: the low-rank estimate and a sparse matrix e^{<q,k>} - phi(q) phi(k) on top of
    it. Numerator and denominator are unbiased, since features and hashes are drawn apart. The
    answer is their ratio.

    The paper spares time and keeps every token. Here the newest ``window`` tokens are kept, and
    only they can be in the sparse part: an older token has its features' estimate for ever. Which
    tokens to keep is ours. No query is known beforehand; the newest are what a stream can keep,
    and they are the support of the authors' own local variant.

    State: sums of the features of the tokens that have left the window, as Performer's, in fp32,
    and the window in fp16, oldest first, empty rows NaN. The features of tokens in the window are
    computed when asked, which gives what sums over all tokens and a subtraction give, without its
    rounding. Tokens are rounded to fp16 first. Hashes and directions are public coins.

    Args:
        m: features, an even number (half of the budget, at most d log d).
        window: tokens kept (what the budget holds beside them; without one an eighth).
        rounds: independent hashes (4).
        buckets: of each hash, even (16).

    Raises:
        BudgetTooSmall: two features and a token, or what was asked for, do not fit.
        BadInput: a parameter is no whole number in its range.

    Mechanisms:
        low-rank part of positive random features, mirrored: implemented.
        sparse part minus the low-rank estimate on its support: implemented.
        support by locality-sensitive hashing: adapted, of the tokens in the window alone, with
            Reformer's angular hash and whole buckets, since one query cannot be cut into chunks.
        normalisation with both parts: implemented.
        unbiased estimate: implemented.
        local window as the support (their other variant): left out, ``rounds`` large comes near.
        redrawing the features: left out, it is for training; both players draw once.
        scaling by the temperature: not meaningful here, the game's scores are not scaled.
    """

    name = "scatterbrain"

    def set_up(
        self, *, m: int | None = None, window: int | None = None, rounds: int = 4, buckets: int = 16
    ) -> None:
        shape = self.shape
        self.rounds = whole(rounds, "rounds", 1)
        for value, what in ((m, "m"), (buckets, "buckets")):
            if value is not None and whole(value, what, 2) % 2:
                raise BadInput(f"{what} come in pairs, x and -x: an even number, not {value}.")
        window = None if window is None else whole(window, "window", 1)
        self.features, self.window = _shares(shape, self.budget_bits, m, window)
        self.low_rank = MirroredPerformer(shape, seed=self.seed, m=self.features)
        self.state = State(
            k=((self.window, shape.d_k), np.float16),
            v=((self.window, shape.d_v), np.float16),
        )
        self.message_bytes = (self.low_rank.message_bytes or 0) + self.state.nbytes
        size = (shape.d_k, self.rounds, buckets // 2)
        self.rotations = self.rng(1).standard_normal(size)

    # -- the contract ----------------------------------------------------------------------------

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples; those that the window has no room for become features, oldest first.

        Raises:
            BadInput: a number is NaN, infinite or too large for fp16.
        """
        K, V = self._rounded(K, V)
        held = self._held()
        K, V = np.concatenate([held[0], K]), np.concatenate([held[1], V])
        out = max(0, len(K) - self.window)
        self.low_rank.extend(K[:out], K[:out], V[:out])
        for name, X in (("k", K[out:]), ("v", V[out:])):
            self.state[name][: len(X)] = X

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if triple r came next; the oldest token leaves a full window."""
        own = self._rounded(K, V)
        held = self._held()
        if len(held[0]) < self.window:
            return self.answers(Q, own)
        twin = self.fresh()
        twin.low_rank.restore(self.low_rank.save())
        twin.low_rank.extend(held[0][:1], held[0][:1], held[1][:1])
        for name, X in zip("kv", held, strict=True):
            twin.state[name][: self.window - 1] = X[1:]
        return twin.answers(Q, own)

    def save(self) -> bytes:
        """The sums and the window."""
        return self.low_rank.save() + self.state.to_bytes()

    def restore(self, message: bytes) -> None:
        """Take over a saved state.

        Raises:
            PluginFailure: the message has another length.
        """
        if len(message) != self.message_bytes:
            raise PluginFailure(
                f"A message of {len(message)} bytes is not one of scatterbrain's, which have "
                f"{self.message_bytes}: build Alice and Bob from the same public parameters."
            )
        cut = len(message) - self.state.nbytes
        self.low_rank.restore(message[:cut])
        self.state.load(message[cut:])

    # -- the answer ------------------------------------------------------------------------------

    def hashes(self, X: Float64) -> Int64:
        """The rows' buckets in each round, argmax [xR; -xR]: int64[len(X), rounds]."""
        turned = np.tensordot(X, self.rotations, 1)
        found: Int64 = np.concatenate([turned, -turned], axis=2).argmax(axis=2)
        return found

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """The ratio of the two estimates: float32[m, d_v]."""
        K, V = (X.astype(np.float64) for X in self._held())
        queries = np.asarray(Q, dtype=np.float64)
        step = max(1, _BLOCK // (self.features + len(K)))
        out = np.empty((len(queries), self.shape.d_v), dtype=np.float32)
        with one_thread:
            for first in range(0, len(queries), step):
                rows = slice(first, first + step)
                mine = own and (own[0][rows].astype(np.float64), own[1][rows].astype(np.float64))
                out[rows] = self._block(queries[rows], K, V, mine)
        return out

    def _block(
        self, Q: Float64, K: Float64, V: Float64, own: tuple[Float64, Float64] | None
    ) -> Float64:
        """Answers of a block of queries, from the logarithms of all weights."""
        phi = self.log_features(Q)
        asked = self.hashes(Q)
        logs, values = [], []
        if not np.isnan(self.low_rank.state["top"][0]):
            logs.append(phi + self.low_rank._log_z() - math.log(self.features) / 2)
            values.append(self.low_rank._means())
        if len(K):
            logs.append(self.log_weights(Q, K, phi, asked))
            values.append(V)
        mine = np.full((len(Q), 1), -np.inf)
        if own is not None:
            exact = np.einsum("rd,rd->r", Q, own[0])
            found = (asked == self.hashes(own[0])).any(axis=1)
            both = phi + self.log_features(own[0])
            peak = both.max(axis=1)
            estimate = np.log(np.exp(both - peak[:, None]).sum(axis=1)) + peak
            mine = np.where(found, exact, estimate)[:, None]
        elif not logs:
            raise BadInput("Attention over no token has no value: append a token first.")
        top = np.max([part.max(axis=1) for part in (*logs, mine)], axis=0)[:, None]
        weights = [np.exp(part - top) for part in logs]
        last = np.exp(mine - top)
        sums = last * own[1] if own is not None else np.zeros((len(Q), self.shape.d_v))
        for part, rows in zip(weights, values, strict=True):
            sums = sums + part @ rows
            last = last + part.sum(axis=1, keepdims=True)
        answers: Float64 = sums / last
        return answers

    def log_weights(self, Q: Float64, K: Float64, phi: Float64, asked: Int64) -> Float64:
        """<q, k> where q and k share a bucket, else the logarithm of phi(q) phi(k).

        Args:
            Q, K: float64[m, d_k], float64[t, d_k].
            phi, asked: the queries' :meth:`log_features` and :meth:`hashes`.
        """
        logs = log_products(phi, self.log_features(K))
        np.copyto(logs, Q @ K.T, where=(asked[:, None] == self.hashes(K)).any(axis=2))
        return logs

    def log_features(self, X: Float64) -> Float64:
        """The logarithm of phi, <w_i, x> - |x|^2/2 - (log m)/2: float64[len(X), m]."""
        lengths = np.einsum("rd,rd->r", X, X)[:, None]
        logs: Float64 = X @ self.low_rank.directions.T
        logs -= (lengths + math.log(self.features)) / 2
        return logs

    # -- the window ------------------------------------------------------------------------------

    def _held(self) -> tuple[Float32, Float32]:
        """K, V in the window, oldest first."""
        filled = int(np.count_nonzero(~np.isnan(self.state["k"][:, 0])))
        k, v = (self.state[name][:filled].astype(np.float32) for name in "kv")
        return k, v

    def _rounded(self, K: Float32, V: Float32) -> tuple[Float32, Float32]:
        for block in (K, V):
            check_fits(np.asarray(block), _FP16, self.name)
        return halved(K), halved(V)


def log_products(A: Float64, B: Float64) -> Float64:
    """The logarithm of sum_i e^{A_ri + B_ti}, or, if that is less, of 1e-300 e^{max A_r + max B_t}.

    >>> np.exp(log_products(np.log([[1.0, 2.0]]), np.log([[3.0, 4.0]]))).round(6).tolist()
    [[11.0]]
    """
    tops = [X.max(axis=1, keepdims=True) for X in (A, B)]
    sums = np.exp(A - tops[0]) @ np.exp(B - tops[1]).T
    logs: Float64 = np.log(np.maximum(sums, 1e-300))
    logs += tops[0] + tops[1].T
    return logs


def _shares(
    shape: Shape, budget_bits: int | None, m: int | None, window: int | None
) -> tuple[int, int]:
    """Features and tokens: what is not given, from the budget."""
    feature, token = 32 * (shape.d_v + 1), 16 * (shape.d_k + shape.d_v)
    most = shape.tokens + shape.extra
    enough = 2 * math.ceil(shape.d_k * math.log(max(shape.d_k, 3)) / 2)
    least = 32 + feature * (m or 2) + token * (window or 1)
    if budget_bits is None:
        return m or enough, window or max(1, shape.tokens // 8)
    if least > budget_bits:
        raise BudgetTooSmall("scatterbrain", budget_bits, least)
    if m is None:
        free = budget_bits - 32 - token * (window or 1)
        part = free if window else min(free, budget_bits // 2)
        m = max(2, min(enough, 2 * (part // (2 * feature))))
    return m, window or min(most, (budget_bits - 32 - feature * m) // token)


ENTRY = CatalogEntry(
    Scatterbrain,
    summary="sums of random features of old tokens, and the last tokens, read by a hash",
    source="Chen et al. 2021, Scatterbrain: Unifying Sparse and Low-rank Attention Approximation",
    budgets="any above a token and two features in fp32: half of it for features",
    assumes="large scores on few tokens that are kept and hash alike, and small ones elsewhere",
    broken_by="large scores on old tokens, which only features with a variance e^|q+k|^2 know",
)
