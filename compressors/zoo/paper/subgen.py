"""SubGen: keys clustered online and sampled by cluster, values sampled by their squared norm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ....errors import BadInput, BudgetTooSmall, PluginFailure
from ....reductions.subgen_bounds import CONSTANT, key_samples, memory_words, value_samples
from ...catalog_entry import CatalogEntry
from ...kit.state import check_fits
from ...kit.token_cache import whole
from ...plugin.contract import Compressor, Float32, Shape, charged_bits

_MASK = (1 << 64) - 1
_FLOAT32 = np.dtype(np.float32)
#: mu in float64 and the number of clusters in uint32
_HEAD_BYTES = 12
#: the square of e^300 times any of our numbers stays finite in float64
_MOST_NATS = 300.0
DEFAULT_DELTA, DEFAULT_T, DEFAULT_S = 0.5, 8, 64


class SubGen(Compressor):
    """SubGen (Zandieh, Han, Mirrokni, Karbasi 2024): sublinear memory on clusterable keys.

    State: m clusters (centre x_c, t uniform samples S_c of its keys, their number n_c), s pairs
    (k, v) drawn with probability |v|^2/mu, and mu = sum |v|^2. A key joins the nearest centre if
    that is within ``delta``, else opens a cluster of its own; each of the t slots takes it with
    probability 1/n_c, each of the s pairs with probability |v|^2/mu. The answer is z / tau,

        z   = sum_{(k,v) in M} mu / (s |v|^2) e^{<q,k>} v,
        tau = sum_c n_c/t sum_{k in S_c} e^{<q,k>},

    both unbiased for the numerator and the denominator of softmax(K q)^T V. It is shortened to norm
    sqrt(mu) if it is longer (ours): the exact output is a mean of values, none longer than that,
    and the nearest point of a ball is never farther from a point of the ball.

    Message: mu, m, the pairs, n_c, x_c and S_c; float32, and no samples of a cluster of one key,
    which all are its centre. The coins are ``seed`` and the number of tokens, sum n_c. Its length
    depends on the stream through m, which nobody knows beforehand. **With a budget** (ours) no
    cluster is opened that might not fit; from then on keys join the nearest centre however far it
    is, and the guarantee, which needs delta, is gone.

    Args:
        delta: the clusters' radius (0.5).
        t: samples of a cluster's keys (8).
        s: pairs (64; with a budget at most what half of it holds).
        eps, r: instead of t and s, those of Theorem 11 for an error eps and queries |q| <= r.
        constant: the factor before them, which the theorem leaves open (4, ours: measured).

    Raises:
        BudgetTooSmall: the pairs and one cluster do not fit.
        BadInput: a parameter outside its range; eps without r; both eps and t or s.
    """

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
        *,
        delta: float = DEFAULT_DELTA,
        t: int | None = None,
        s: int | None = None,
        eps: float | None = None,
        r: float | None = None,
        constant: float = CONSTANT,
    ) -> None:
        super().__init__(shape, budget_bits, seed, public)
        if not 0 <= delta < math.inf:
            raise BadInput(f"delta, the clusters' radius, is a number >= 0, not {delta!r}.")
        self.delta = float(delta)
        self.t, self.s = _samples(shape, self.delta, budget_bits, t, s, eps, r, constant)
        self.most = _clusters_within(budget_bits, shape, self.t, self.s)
        self.mu = np.zeros(1)
        self.m = 0
        self.counts = np.zeros(0, dtype=np.uint32)
        self.centres = np.zeros((0, shape.d_k), dtype=np.float32)
        self.samples = np.zeros((0, self.t, shape.d_k), dtype=np.float32)
        self.slot_k = np.zeros((self.s, shape.d_k), dtype=np.float32)
        self.slot_v = np.zeros((self.s, shape.d_v), dtype=np.float32)

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Take one triple; q is not needed."""
        self.extend(np.asarray(q)[None], np.asarray(k)[None], np.asarray(v)[None])

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples in order.

        Raises:
            BadInput: a number is NaN or infinite.
        """
        from .subgen_kernels import coin, insert

        K, V = (np.ascontiguousarray(block, dtype=np.float32) for block in (K, V))
        for block in (K, V):
            check_fits(block, _FLOAT32, "subgen")
        start = np.uint64(coin(np.uint64(0), np.uint64(self.seed & _MASK)))
        done = 0
        while True:
            more, self.m = insert(
                K[done:], V[done:], self.delta**2, self.most, start, self.seen, self.m, self.mu,
                self.counts, self.centres, self.samples, self.slot_k, self.slot_v,
            )  # fmt: skip
            done += more
            if done == len(K):
                return
            self._allot(max(16, 2 * self.m))

    @property
    def seen(self) -> int:
        """Tokens taken in."""
        return int(self.counts[: self.m].sum(dtype=np.int64))

    def attend(self, q: Float32) -> Float32:
        """z / tau for ``q``: float32[d_v]. Float64 inside, the largest scores taken out.

        Raises:
            BadInput: nothing was appended yet.
        """
        if self.m == 0:
            raise BadInput("Attention over no token has no value: append a token first.")
        query = np.asarray(q, dtype=np.float64)
        mu = float(self.mu[0])
        if mu == 0:
            return np.zeros(self.shape.d_v, dtype=np.float32)
        scores = self.samples[: self.m].astype(np.float64) @ query
        drawn = self.slot_k.astype(np.float64) @ query
        values = self.slot_v.astype(np.float64)
        tau = float(self.counts[: self.m] @ np.exp(scores - scores.max()).mean(axis=1))
        weights = np.exp(drawn - drawn.max()) / np.square(values).sum(axis=1)
        # z and tau are sampled apart: a pair may outweigh all of tau's samples by any factor.
        ratio = math.exp(min(float(drawn.max() - scores.max()), _MOST_NATS))
        output = mu / self.s * (weights @ values) * (ratio / tau)
        longest = max(1.0, float(np.linalg.norm(output)) / math.sqrt(mu))
        answer: Float32 = (output / longest).astype(np.float32)
        return answer

    def save(self) -> bytes:
        """The state, as the class says."""
        held = slice(self.m)
        several = self.counts[held] > 1
        parts = (self.mu, np.array([self.m], dtype=np.uint32), self.slot_k, self.slot_v,
                 self.counts[held], self.centres[held], self.samples[held][several])  # fmt: skip
        return b"".join(part.tobytes() for part in parts)

    def restore(self, message: bytes) -> None:
        """Take over a saved state.

        Raises:
            PluginFailure: the message is not one of this compressor's.
        """
        reader = _Reader(message)
        self.mu[...] = reader.take((1,), np.float64)
        m = int(reader.take((1,), np.uint32)[0])
        self.slot_k[...] = reader.take(self.slot_k.shape)
        self.slot_v[...] = reader.take(self.slot_v.shape)
        counts = reader.take((m,), np.uint32)
        self.m = 0
        self._allot(m)
        self.counts[:m] = counts
        self.centres[:m] = reader.take(self.centres[:m].shape)
        several = np.flatnonzero(counts > 1)
        self.samples[:m] = self.centres[:m, None]
        self.samples[several] = reader.take((len(several), *self.samples.shape[1:]))
        self.m = m
        reader.end()

    def _allot(self, clusters: int) -> None:
        """Room for so many clusters, at least; what is held stays."""
        d, m = self.shape.d_k, self.m
        counts = np.zeros(clusters, dtype=np.uint32)
        centres = np.zeros((clusters, d), dtype=np.float32)
        samples = np.zeros((clusters, self.t, d), dtype=np.float32)
        if m:
            counts[:m], centres[:m], samples[:m] = (
                self.counts[:m], self.centres[:m], self.samples[:m],
            )  # fmt: skip
        self.counts, self.centres, self.samples = counts, centres, samples


class _Reader:
    """Arrays out of a message, one after another."""

    def __init__(self, message: bytes) -> None:
        self.message, self.at = message, 0

    def take(self, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray[Any, Any]:
        """The next array; PluginFailure where the message is too short for it."""
        count = math.prod(shape)
        end = self.at + count * np.dtype(dtype).itemsize
        if end > len(self.message):
            raise PluginFailure(self._sentence())
        found = np.frombuffer(self.message, dtype=dtype, count=count, offset=self.at)
        self.at = end
        return found.reshape(shape)

    def end(self) -> None:
        """PluginFailure unless everything was read."""
        if self.at != len(self.message):
            raise PluginFailure(self._sentence())

    def _sentence(self) -> str:
        return (
            f"A message of {len(self.message)} bytes is not one of this subgen: build Alice and "
            "Bob from the same public parameters."
        )


def _samples(
    shape: Shape,
    delta: float,
    budget_bits: int | None,
    t: int | None,
    s: int | None,
    eps: float | None,
    r: float | None,
    constant: float,
) -> tuple[int, int]:
    """T and s, given, from Theorem 11, or by default."""
    if eps is not None or r is not None:
        if eps is None or r is None or t is not None or s is not None:
            raise BadInput("Give subgen eps and r together (Theorem 11), or else t and s.")
        if not 0 < constant < math.inf:
            raise BadInput(f"The constant before t and s is a positive number, not {constant!r}.")
        return (
            key_samples(eps, delta, r, max(shape.tokens, 2), constant),
            value_samples(eps, shape.d_v, constant),
        )
    if s is None:
        s = DEFAULT_S
        if budget_bits is not None:
            s = min(s, max(1, budget_bits // (64 * (shape.d_k + shape.d_v))))
    return whole(DEFAULT_T if t is None else t, "t", 1), whole(s, "s", 1)


def _clusters_within(budget_bits: int | None, shape: Shape, t: int, s: int) -> int:
    """How many clusters a message within the budget holds for certain."""
    most = shape.tokens + shape.extra
    if budget_bits is None:
        return most
    pairs = _HEAD_BYTES + 4 * s * (shape.d_k + shape.d_v)
    cluster = 4 * int(memory_words(1, t, 0, shape.d_k, shape.d_v) - 2)
    least = charged_bits(pairs + cluster)
    if least > budget_bits:
        raise BudgetTooSmall("subgen", budget_bits, least)
    length = budget_bits // 8
    while charged_bits(length) > budget_bits:
        length -= 1
    return min(most, (length - pairs) // cluster)


ENTRY = CatalogEntry(
    "subgen",
    SubGen,
    summary="samples of keys by cluster, and of key-value pairs by the values' norms",
    source="Zandieh, Han, Mirrokni, Karbasi 2024, SubGen (Theorem 11)",
    budgets="any: clusters as many as fit; free: as many as the keys need",
)
