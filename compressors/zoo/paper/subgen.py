"""SubGen: keys clustered online and sampled by cluster, values sampled by their squared norm."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from ....errors import BadInput, BudgetTooSmall, PluginFailure
from ....reductions.jit import njit
from ....reductions.subgen_bounds import CONSTANT, key_samples, memory_words, value_samples
from ...catalog_entry import CatalogEntry
from ...kit.blockwise import Blockwise, Own
from ...kit.distinct_rows import distinct_rows
from ...kit.state import check_fits
from ...kit.token_cache import whole
from ...plugin.contract import Float32, Shape, charged_bits, stack_outputs

_MASK = (1 << 64) - 1
_FLOAT32 = np.dtype(np.float32)
#: mu in float64 and the number of clusters in uint32
_HEAD_BYTES = 12
#: the square of e^300 times any of our numbers stays finite in float64
_MOST_NATS = 300.0
DEFAULT_DELTA, DEFAULT_T, DEFAULT_S = 0.5, 8, 64


class SubGen(Blockwise):
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

    name = "subgen"

    def set_up(
        self,
        *,
        delta: float = DEFAULT_DELTA,
        t: int | None = None,
        s: int | None = None,
        eps: float | None = None,
        r: float | None = None,
        constant: float = CONSTANT,
    ) -> None:
        shape, budget_bits = self.shape, self.budget_bits
        if not 0 <= delta < math.inf:
            raise BadInput(f"delta, the clusters' radius, is a number >= 0, not {delta!r}.")
        self.delta = float(delta)
        self.t, self.s = _samples(shape, self.delta, budget_bits, t, s, eps, r, constant)
        self.most = _clusters_within(budget_bits, shape, self.t, self.s)
        self.mu = np.zeros(1)
        self.m = 0
        self.counts = np.zeros(0, dtype=np.uint32)
        self.centres = np.zeros((0, shape.d_k), dtype=np.float32, order="F")
        self.samples = np.zeros((0, self.t, shape.d_k), dtype=np.float32)
        self.slot_k = np.zeros((self.s, shape.d_k), dtype=np.float32)
        self.slot_v = np.zeros((self.s, shape.d_v), dtype=np.float32)

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples in order.

        Raises:
            BadInput: a number is NaN or infinite.
        """
        K, V = (np.ascontiguousarray(block, dtype=np.float32) for block in (K, V))
        for block in (K, V):
            check_fits(block, _FLOAT32, self.name)
        start = np.uint64(coin(np.uint64(0), np.uint64(self.seed & _MASK)))
        done = 0
        while True:
            rule = self.delta**2, self.most, start
            clusters = self.counts, self.centres, self.samples
            held = self.seen, self.m, self.mu, *clusters, self.slot_k, self.slot_v
            more, self.m = insert(K[done:], V[done:], *rule, *held)
            done += more
            if done == len(K):
                return
            self._allot(max(16, 2 * self.m))

    @property
    def seen(self) -> int:
        """Tokens taken in."""
        return int(self.counts[: self.m].sum(dtype=np.int64))

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the output if triple r came next: float32[m, d_v].

        The coins are those of one position in every row, so equal tokens leave equal states.
        """
        answers = np.empty((len(Q), self.shape.d_v), dtype=np.float32)
        first, kind = distinct_rows(np.concatenate([K, V], axis=1))
        for which, (row, twin) in enumerate(zip(first, self._copies(self.save()), strict=False)):
            alike = kind == which
            twin.append(Q[row], K[row], V[row])
            answers[alike] = twin.answers(Q[alike])
        return answers

    def answers(self, Q: Float32, own: Own = None) -> Float32:
        """z / tau for each query: float32[m, d_v]. Float64 inside, the largest scores taken out.

        Raises:
            BadInput: nothing was appended yet.
        """
        if self.m == 0:
            raise BadInput("Attention over no token has no value: append a token first.")
        mu = float(self.mu[0])
        if mu == 0:
            return np.zeros((len(Q), self.shape.d_v), dtype=np.float32)
        samples, pairs = self.samples[: self.m].astype(np.float64), self.slot_k.astype(np.float64)
        values = self.slot_v.astype(np.float64)
        squares = np.square(values).sum(axis=1)
        outputs = []
        for q in np.asarray(Q, dtype=np.float64):
            scores, drawn = samples @ q, pairs @ q
            tau = float(self.counts[: self.m] @ np.exp(scores - scores.max()).mean(axis=1))
            weights = np.exp(drawn - drawn.max()) / squares
            # z and tau are sampled apart: a pair may outweigh all of tau's samples by any factor.
            ratio = math.exp(min(float(drawn.max() - scores.max()), _MOST_NATS))
            output = mu / self.s * (weights @ values) * (ratio / tau)
            longest = max(1.0, float(np.linalg.norm(output)) / math.sqrt(mu))
            outputs.append(output / longest)
        return stack_outputs(outputs)

    def save(self) -> bytes:
        """The state, as the class says."""
        held = slice(self.m)
        several = self.counts[held] > 1
        pairs = self.mu, np.array([self.m], dtype=np.uint32), self.slot_k, self.slot_v
        clusters = self.counts[held], self.centres[held], self.samples[held][several]
        return b"".join(part.tobytes() for part in (*pairs, *clusters))

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
        for name in ("counts", "centres", "samples"):
            held = getattr(self, name)[: self.m]
            order: Literal["F", "C"] = "F" if name == "centres" else "C"
            room = np.zeros((clusters, *held.shape[1:]), dtype=held.dtype, order=order)
            room[: self.m] = held
            setattr(self, name, room)


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


# The insertion of a block of tokens, as one loop; coins are hashes of addresses.


_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32, _S11 = (np.uint64(s) for s in (27, 30, 31, 32, 11))
_UNIT = 2.0**-53


@njit(cache=True, nogil=True, error_model="numpy")
def coin(start: Any, address: Any) -> Any:
    """64 bits: output ``address`` of the SplitMix64 (Steele, Lea, Flood 2014) begun at ``start``.

    Both uint64. Integers only, so equal on every machine.
    """
    z = start + (address + np.uint64(1)) * _GAMMA
    z = (z ^ (z >> _S30)) * _M1
    z = (z ^ (z >> _S27)) * _M2
    return z ^ (z >> _S31)


@njit(cache=True, nogil=True, error_model="numpy")
def _copy(row: Any, to: Any) -> None:
    # Assigned by a slice it takes a second to compile.
    for j in range(len(row)):
        to[j] = row[j]


@njit(cache=True, nogil=True, error_model="numpy")
def nearest_of(key: Any, centres: Any, m: Any, sums: Any) -> Any:
    """Which of the first m centres is nearest to a key, the first of equals, and |key - centre|^2.

    Args:
        key: float32[d].
        centres: float32[c, d], column by column in memory: the sums grow side by side.
        sums: float64[c], overwritten; each is added up in order of coordinate.

    Returns (-1, inf) of none.
    """
    sums[:m] = 0.0
    for j in range(len(key)):
        x = np.float64(key[j])  # because Numba's float() leaves a float32 what it is
        for c in range(m):
            gap = x - np.float64(centres[c, j])
            sums[c] += gap * gap
    nearest, least = -1, np.inf
    for c in range(m):
        if sums[c] < least:
            nearest, least = c, sums[c]
    return nearest, least


@njit(cache=True, nogil=True, error_model="numpy")
def insert(
    K: Any,
    V: Any,
    radius2: Any,
    most: Any,
    start: Any,
    seen: Any,
    m: Any,
    mu: Any,
    counts: Any,
    centres: Any,
    samples: Any,
    slot_k: Any,
    slot_v: Any,
) -> Any:
    """Insert tokens in order until all are in, or a new cluster finds no room in the arrays.

    Token i of the stream, from 0, owns the t + s coins from i (t + s) on: the first t for the slots
    of its cluster, the others for the value slots.

    Args:
        K, V: float32[b, d_k], float32[b, d_v].
        radius2: delta^2; distances are float64 sums in order of coordinate.
        most: clusters that may be opened; beyond them the nearest takes every key.
        start: uint64, the coins' beginning.
        seen, m: tokens and clusters so far.
        mu: float64[1], the sum of |v|^2, updated.
        counts, centres, samples: uint32[c], float32[c, d_k] column by column, float32[c, t, d_k],
            updated.
        slot_k, slot_v: float32[s, d_k], float32[s, d_v], updated.

    Returns (tokens inserted, clusters now).
    """
    t, s = samples.shape[1], slot_k.shape[0]
    sums = np.empty(len(centres))
    for i in range(K.shape[0]):
        nearest, least = nearest_of(K[i], centres, m, sums)
        address = np.uint64((seen + i) * (t + s))
        if nearest < 0 or (least > radius2 and m < most):
            if m == counts.shape[0]:
                return i, m
            counts[m] = 1
            _copy(K[i], centres[m])
            for slot in range(t):
                _copy(K[i], samples[m, slot])
            m += 1
        else:
            counts[nearest] += np.uint32(1)
            # floor(h size / 2^32) = 0, h the upper half: probability 1/size within 2^-32
            most_half = np.uint64(0xFFFFFFFF) // np.uint64(counts[nearest])
            taken = 0  # mostly by none, which is seen many coins at a time
            for slot in range(t):
                taken += coin(start, address + np.uint64(slot)) >> _S32 <= most_half
            for slot in range(t if taken else 0):
                if coin(start, address + np.uint64(slot)) >> _S32 <= most_half:
                    _copy(K[i], samples[nearest, slot])
        weight = 0.0
        for j in range(V.shape[1]):
            weight += np.float64(V[i, j]) * np.float64(V[i, j])
        mu[0] += weight
        taken = 0
        for slot in range(s):
            bits = coin(start, address + np.uint64(t + slot)) >> _S11
            taken += np.float64(bits) * _UNIT * mu[0] < weight
        if taken:
            for slot in range(s):
                bits = coin(start, address + np.uint64(t + slot)) >> _S11
                uniform = np.float64(bits) * _UNIT
                if uniform * mu[0] < weight:
                    _copy(K[i], slot_k[slot])
                    _copy(V[i], slot_v[slot])
    return K.shape[0], m


ENTRY = CatalogEntry(
    SubGen,
    summary="samples of keys by cluster, and of key-value pairs by the values' norms",
    source="Zandieh, Han, Mirrokni, Karbasi 2024, SubGen (Theorem 11)",
    budgets="any: clusters as many as fit; free: as many as the keys need",
    square="time",
)
