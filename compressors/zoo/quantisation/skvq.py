"""SKVQ: channels grouped by their range, clipped rounding, sinks and a window in fp16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput, BudgetTooSmall
from ....reductions.jit import njit
from ...catalog_entry import CatalogEntry
from ...kit.key_value_bits import pairs
from ...kit.softmax_cache import Part, SoftmaxCache
from ...kit.state import State, from_storage, storage_dtype, to_storage
from ...kit.token_cache import whole
from ...plugin.contract import Float32

#: bits by which a number of levels is known -> levels, and how many of them 16 bits hold
LEVELS = {8: (256, 2), 4: (16, 4), 3: (8, 5), 2: (4, 8), 1.5: (3, 10)}
#: a clip factor is 1 - i/32, with i from here
CLIPS = np.arange(17)
_STARTS, _ROUNDS = 10, 100
#: bits of a key's and a value's number that a budget chooses from
LADDER = ((8, 8), (4, 4), (3, 3), (2, 2), (2, 1.5), (1.5, 1.5))
_FP16 = np.dtype(np.float16)
_WINDOW, _SHORTEST = 128, 32
_Fields = dict[str, tuple[tuple[int, ...], Any]]
Array = NDArray[Any]


@dataclass(frozen=True)
class Law:
    """What is fitted: uint8[d], the group of each channel, and float32[groups], clip factors."""

    group: NDArray[np.uint8]
    clip: Float32


@dataclass(frozen=True)
class Rounding:
    """Rounding to ``bits`` (a key of ``LEVELS``) with scales and zeros in the dtype ``meta``."""

    bits: float
    meta: np.dtype[Any]

    def words(self, d: int) -> int:
        """How many 16-bit words the levels of d numbers are."""
        return -(-d // LEVELS[self.bits][1])

    def quantise(self, X: Float32, law: Law) -> tuple[Array, Array, NDArray[np.uint16]]:
        """Scales and zeros, [m, groups], and levels, uint16[m, words], of tokens float32[m, d].

        With alpha the clip factor of a group, zero = alpha min and
        scale = alpha (max - min) / (levels - 1); what lies outside goes to the nearer end.

        Raises:
            BadInput: a scale or zero does not fit the dtype.
        """
        X = np.ascontiguousarray(X, dtype=np.float32)
        low, high = (np.empty((len(X), len(law.clip)), np.float32) for _ in range(2))
        extremes(X, law.group, low, high)
        levels, digits = LEVELS[self.bits]
        scale = to_storage(law.clip * (high - low) / np.float32(levels - 1), self.meta, "SKVQ")
        zero = to_storage(law.clip * low, self.meta, "SKVQ")
        codes = np.empty((len(X), self.words(X.shape[1])), np.uint16)
        encode(X, law.group, from_storage(scale), from_storage(zero), levels, digits, codes)
        return scale, zero, codes

    def restore(self, scale: Array, zero: Array, codes: Array, law: Law) -> Float32:
        """zero + scale * level: float32[m, d] from what :meth:`quantise` returns."""
        X = np.empty((len(codes), len(law.group)), np.float32)
        numbers = from_storage(scale), from_storage(zero)
        decode(codes, law.group, *numbers, *LEVELS[self.bits], X)
        return X

    def clips(self, X: Float32, group: NDArray[np.uint8], groups: int) -> NDArray[np.uint8]:
        """For each group the i of ``CLIPS`` with the least squared error: uint8[groups]."""
        errors = np.empty((len(CLIPS), groups))
        for i in CLIPS:
            law = Law(group, np.full(groups, clip_factor(i), np.float32))
            gap = X - self.restore(*self.quantise(X, law), law)
            squares = np.square(gap, dtype=np.float64).sum(axis=0)
            errors[i] = np.bincount(group, squares, groups)
        best: NDArray[np.uint8] = errors.argmin(axis=0).astype(np.uint8)
        return best


def clip_factor(i: Any) -> Float32:
    """The clip factor that an i stands for.

    >>> clip_factor(np.array([0, 16])).tolist()
    [1.0, 0.5]
    """
    factor: Float32 = np.float32(1) - np.asarray(i, np.float32) / np.float32(32)
    return factor


def alike(X: Float32, groups: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Channels grouped by the range they have in X, float32[m, d]: uint8[d].

    K-means of the points (min, max), the best of several k-means++ starts (Lloyd 1982; Arthur and
    Vassilvitskii 2007). Groups are as large as they come out, and may be empty.
    """
    points = np.stack([X.min(axis=0), X.max(axis=0)], axis=1).astype(np.float64)
    best, least = np.zeros(len(points), np.int64), np.inf
    for _ in range(_STARTS):
        centres = points[[rng.integers(len(points))]]
        while len(centres) < groups:
            far = _squares(points, centres).min(axis=1)
            chance = far / far.sum() if far.sum() > 0 else None
            centres = np.concatenate([centres, points[[rng.choice(len(points), p=chance)]]])
        nearest = _squares(points, centres).argmin(axis=1)
        for _ in range(_ROUNDS):
            sizes = np.bincount(nearest, minlength=groups)
            for axis in range(2):
                sums = np.bincount(nearest, points[:, axis], groups)
                centres[sizes > 0, axis] = sums[sizes > 0] / sizes[sizes > 0]
            moved = _squares(points, centres).argmin(axis=1)
            if (moved == nearest).all():
                break
            nearest = moved
        cost = float(_squares(points, centres).min(axis=1).sum())
        if cost < least:
            best, least = nearest, cost
    return best.astype(np.uint8)


def _squares(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    gaps: NDArray[np.float64] = np.square(points[:, None] - centres).sum(axis=2)
    return gaps


_Taken = tuple[tuple[NDArray[Any], ...], Law | None, NDArray[np.float16], int]


class SKVQ(SoftmaxCache):
    """SKVQ (Duanmu et al. 2024, Sliding-window Key and Value Cache Quantization, 2405.06219).

    The first ``sinks`` and the newest ``window`` tokens stay in fp16. When a token leaves the
    window it is rounded: its channels lie in groups of about ``group`` that had like ranges when
    the law was fitted (k-means of minimum and maximum), and each group of a token has its own
    minimum and scale, both shrunk by the group's clip factor. 1.5 bits are three levels, ten of
    them in 16 bits.

    The law, groups and clip factors, is fitted once, to the tokens held when the first one leaves,
    and is state. For a factor that is the least squared error on them.

    State: the number of tokens; the law, a byte a channel and a byte a group; sinks and window in
    fp16; scales and minima in ``meta``; levels in words of 16 bits.

    Args:
        k_bits, v_bits: 8, 4, 3, 2 or 1.5 a number; by default the most that fit the budget, or 2.
        group: channels that share a scale, on average (32).
        window: newest tokens in fp16; by default as many as the budget holds beside these bits, or
            128.
        sinks: first tokens in fp16 (5).
        clip: one clip factor for all groups, above 0 and up to 1; by default fitted.
        meta: fp8 (e4m3fn, numbers up to 448) or fp16 (fp8).

    Raises:
        BudgetTooSmall: the tokens do not fit the budget at these bits (or at 1.5).
        BadInput: a parameter is none of these.

    Mechanisms:
        channel reorder by similarity: adapted, fitted to the stream's first tokens and charged, in
            the paper offline; within a head, where the paper's groups may mix a layer's heads.
        clipped dynamic quantisation by group: adapted, factors fitted to the same tokens by the
            numbers' own error, in the paper offline.
        sliding window in full precision: implemented.
        attention sinks in full precision: implemented.
        scales and zeros in fp8: implemented.
        1.5 bits as three levels: implemented.
        quantisation before rotary positions: not meaningful here, the game has no positions.
    """

    name = "skvq"

    def set_up(
        self,
        *,
        k_bits: float | None = None,
        v_bits: float | None = None,
        group: int = 32,
        window: int | None = None,
        sinks: int = 5,
        clip: float | None = None,
        meta: str = "fp8",
    ) -> None:
        shape, budget_bits = self.shape, self.budget_bits
        if clip is not None and not 0 < clip <= 1:
            raise BadInput(f"clip is a factor above 0 and up to 1, not {clip!r}.")
        if meta not in ("fp8", "fp16"):
            raise BadInput(f"meta is 'fp8' or 'fp16', not {meta!r}.")
        self.group, self.sinks = whole(group, "group", 1), whole(sinks, "sinks", 0)
        self.clip, self.meta = clip, storage_dtype(meta)
        self.capacity = shape.tokens + shape.extra
        self.groups = {"k": -(-shape.d_k // group), "v": -(-shape.d_v // group)}
        if max(self.groups.values()) > 256:
            raise BadInput(f"There are at most 256 groups of channels: group = {group} is small.")
        wanted = None if window is None else whole(window, "window", 1)
        rungs = LADDER if budget_bits is not None else ((2, 2),)
        tried = pairs(rungs, tuple(LEVELS), k_bits=k_bits, v_bits=v_bits)
        if budget_bits is None:
            self.window = wanted or _WINDOW
            self._set(*tried[0])
        else:
            self._fit(budget_bits, tried, wanted)
        fields = self._fields(shape.tokens)
        self.short = {name: size[0] for name, (size, _) in fields.items()}
        self.message_bytes = _bytes(fields)
        self.state = State(**self._fields(self.capacity))
        if budget_bits is None:
            # With a budget the window grows to what it holds, and no number costs the same.
            self.declares = {"keeps": "all", "bytes": self._token_bytes()}

    def _token_bytes(self) -> int:
        """Bytes of a token once it is rounded; a stream that ends in the window is not."""
        shape, meta = self.shape, self.meta.itemsize
        sizes = {"k": shape.d_k, "v": shape.d_v}
        if not self._split(shape.tokens)[1]:
            return 2 * sum(sizes.values())
        return sum(
            2 * self.rounding[x].words(d) + 2 * meta * self.groups[x] for x, d in sizes.items()
        )

    def _set(self, k_bits: float, v_bits: float) -> None:
        self.rounding = {"k": Rounding(k_bits, self.meta), "v": Rounding(v_bits, self.meta)}

    def _fit(self, budget_bits: int, tried: list[tuple[float, float]], wanted: int | None) -> None:
        """The most bits that fit with a short window; then the longest window."""
        costs = []
        for pair in tried:
            self._set(*pair)
            windows = [wanted or _SHORTEST]
            if wanted is None:
                windows += range(_SHORTEST, max(self.shape.tokens, _SHORTEST) + 1)
            low, high = 0, len(windows)
            while low < high:  # the cost grows with the window
                middle = (low + high) // 2
                self.window = windows[middle]
                fits = 8 * _bytes(self._fields(self.shape.tokens)) <= budget_bits
                low, high = (middle + 1, high) if fits else (low, middle)
            self.window = windows[max(0, low - 1)]
            if low:
                return
            costs.append(8 * _bytes(self._fields(self.shape.tokens)))
        raise BudgetTooSmall(self.name, budget_bits, min(costs))

    def _fields(self, tokens: int) -> _Fields:
        """The fields of a state that so many tokens come to, the widest numbers first."""
        fields: _Fields = {"count": ((1,), np.uint32)}
        sinks, rounded, waiting = self._split(tokens)
        for name, d in (("k", self.shape.d_k), ("v", self.shape.d_v)):
            groups = self.groups[name]
            fields |= {
                name + "_sinks": ((sinks, d), _FP16),
                name + "_window": ((waiting, d), _FP16),
                name + "_codes": ((rounded, self.rounding[name].words(d)), np.uint16),
                name + "_scale": ((rounded, groups), self.meta),
                name + "_zero": ((rounded, groups), self.meta),
                name + "_group": ((d,), np.uint8),
                name + "_clip": ((groups if self.clip is None else 0,), np.uint8),
            }
        return dict(sorted(fields.items(), key=lambda one: -np.dtype(one[1][1]).itemsize))

    def _split(self, tokens: int) -> tuple[int, int, int]:
        """Of so many tokens: how many are sinks, rounded, and in the window."""
        beyond = max(0, tokens - self.sinks)
        rounded = max(0, beyond - self.window)
        return min(self.sinks, tokens), rounded, beyond - rounded

    @property
    def count(self) -> int:
        """Tokens held."""
        return int(self.state["count"][0])

    # -- the contract ----------------------------------------------------------------------------

    def extend(self, Q: Float32, K: Float32, V: Float32) -> None:
        """Take m triples; what leaves the window is rounded.

        Raises:
            BadInput: a number is NaN, infinite or too large, or there is no room.
        """
        self.room_for(self.count + len(K))
        taken = [(name, self._taken(name, X)) for name, X in (("k", K), ("v", V))]
        for name, (codes, law, tokens, first) in taken:
            if law is not None:
                self.state[name + "_group"][:] = law.group
                if self.clip is None:
                    self.state[name + "_clip"][:] = np.rint((1 - law.clip) * 32)
            for part, rows in zip(("_scale", "_zero", "_codes"), codes, strict=False):
                self.state[name + part][first : first + len(rows)] = rows
            sinks, _, waiting = self._split(self.count + len(K))
            self.state[name + "_sinks"][:sinks] = tokens[:sinks]
            self.state[name + "_window"][:waiting] = tokens[len(tokens) - waiting :]
        self.state["count"][0] += len(K)

    def _taken(self, name: str, X: Float32) -> _Taken:
        """New codes, a law if it is new, all tokens in fp16, and the first new row of codes."""
        tokens = np.concatenate([self._whole(name), to_storage(X, _FP16, self.name)])
        before, after = (self._split(t)[1] for t in (self.count, self.count + len(X)))
        if before == after:
            return (), None, tokens, before
        law = None if before else self._fitted(name, tokens[: self.sinks + self.window])
        leaving = tokens[self.sinks : self.sinks + after - before].astype(np.float32)
        return self.rounding[name].quantise(leaving, law or self._law(name)), law, tokens, before

    def _fitted(self, name: str, tokens: NDArray[np.float16]) -> Law:
        """The law of these tokens, all that are held when the first leaves."""
        X, groups = tokens.astype(np.float32), self.groups[name]
        group = alike(X, groups, self.rng("kv".index(name)))
        if self.clip is not None:
            return Law(group, np.full(groups, self.clip, np.float32))
        return Law(group, clip_factor(self.rounding[name].clips(X, group, groups)))

    def _law(self, name: str) -> Law:
        group = self.state[name + "_group"]
        if self.clip is not None:
            return Law(group, np.full(self.groups[name], self.clip, np.float32))
        return Law(group, clip_factor(self.state[name + "_clip"]))

    def _whole(self, name: str) -> NDArray[np.float16]:
        """The tokens in fp16, sinks and then the window."""
        sinks, _, waiting = self._split(self.count)
        parts = self.state[name + "_sinks"][:sinks], self.state[name + "_window"][:waiting]
        return np.concatenate(parts)

    def save(self) -> bytes:
        """The fields as the data tokens fill them, or with Bob's room once that is used."""
        if self.count > self.shape.tokens:
            return self.state.to_bytes()
        return self.state.to_bytes({name: slice(rows) for name, rows in self.short.items()})

    def restore(self, message: bytes) -> None:
        self.state.load(message, self.short if len(message) == self.message_bytes else None)

    # -- batched doors ---------------------------------------------------------------------------

    def kept(self, coming: int = 0) -> tuple[Float32, Float32]:
        """K, V as they are held, oldest first, or as they will be beside ``coming`` = 1 token."""
        return self._held("k", coming), self._held("v", coming)

    def _held(self, name: str, coming: int) -> Float32:
        sinks, rounded, _ = self._split(self.count)
        leaving = self._split(self.count + coming)[1] - rounded
        tokens, rounding = self._whole(name), self.rounding[name]
        window = tokens[sinks:].astype(np.float32)
        parts = [tokens[:sinks].astype(np.float32)]
        if rounded:
            scale, zero, codes = (
                self.state[name + part][:rounded] for part in ("_scale", "_zero", "_codes")
            )
            parts.append(rounding.restore(scale, zero, codes, self._law(name)))
        if leaving:
            law = self._law(name) if rounded else self._fitted(name, tokens)
            parts.append(rounding.restore(*rounding.quantise(window[:leaving], law), law))
        return np.concatenate([*parts, window[leaving:]])

    def parts(self, Q: Float32, K: Float32, V: Float32) -> list[Part]:
        """One part: the oldest token of a full window is rounded, whatever comes."""
        self.room_for(self.count + 1)
        k, v = (to_storage(X, _FP16, self.name).astype(np.float32) for X in (K, V))
        return [(slice(None), (k, v), self.kept(coming=1))]


def _bytes(fields: _Fields) -> int:
    return sum(int(np.prod(size)) * np.dtype(kind).itemsize for size, kind in fields.values())


# Strict float32, no fastmath: a state is the same, bit for bit, with and without the JIT.


_HALF = np.float32(0.5)
_NONE = np.float32(0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def extremes(X: Any, group: Any, low: Any, high: Any) -> None:
    """The least and the largest number of each token in each group of channels.

    Args:
        X: float32[m, d].
        group: uint8[d], the group of each channel.
        low, high: float32[m, groups], written; both 0 for a group without channels.
    """
    for t in range(X.shape[0]):
        for g in range(low.shape[1]):
            low[t, g] = np.float32(np.inf)
            high[t, g] = np.float32(-np.inf)
        for j in range(X.shape[1]):
            g = group[j]
            low[t, g] = min(low[t, g], X[t, j])
            high[t, g] = max(high[t, g], X[t, j])
        for g in range(low.shape[1]):
            if low[t, g] > high[t, g]:
                low[t, g] = _NONE
                high[t, g] = _NONE


@njit(cache=True, nogil=True, error_model="numpy")
def encode(X: Any, group: Any, scale: Any, zero: Any, levels: Any, digits: Any, codes: Any) -> None:
    """codes[t] = the levels floor((X[t] - zero) / scale + 1/2), ``digits`` of them a word.

    Levels outside 0 .. levels - 1 go to the nearer end; scale 0 gives level 0. Word w has the
    channels digits * w and on, the first as its lowest digit.

    Args:
        X, group: as in :func:`extremes`.
        scale, zero: float32[m, groups].
        levels: L, with L ** digits at most 2 ** 16.
        codes: uint16[m, ceil(d / digits)], written.
    """
    most = np.float32(levels - 1)
    for t in range(X.shape[0]):
        for w in range(codes.shape[1]):
            word = 0
            base = 1
            for j in range(w * digits, min((w + 1) * digits, X.shape[1])):
                unit = scale[t, group[j]]
                level = np.floor((X[t, j] - zero[t, group[j]]) / unit + _HALF)
                level = level if level > _NONE else _NONE  # also where 0 / 0 is not a number
                level = level if level < most else most
                word += base * int(level if unit > _NONE else _NONE)
                base *= levels
            codes[t, w] = word


@njit(cache=True, nogil=True, error_model="numpy")
def decode(codes: Any, group: Any, scale: Any, zero: Any, levels: Any, digits: Any, X: Any) -> None:
    """X[t, j] = zero + scale * level, in float32; arguments as in :func:`encode`."""
    for t in range(X.shape[0]):
        for w in range(codes.shape[1]):
            word = int(codes[t, w])
            for j in range(w * digits, min((w + 1) * digits, X.shape[1])):
                X[t, j] = zero[t, group[j]] + scale[t, group[j]] * np.float32(word % levels)
                word //= levels


ENTRY = CatalogEntry(
    SKVQ,
    summary="every token at a few bits, in clipped groups of like channels; the first and the "
    "newest tokens in fp16",
    source="Duanmu et al. 2024, SKVQ: Sliding-window Key and Value Cache Quantization for "
    "Large Language Models",
    budgets="at n = 1024, d = 64 from about 3/16 (1.5 bits a number) to 1 (a window of all)",
    assumes="channels that keep their range, so that like ones can share a scale",
    broken_by="channels that are all alike: there is nothing to sort",
    settings=tuple(
        {"k_bits": k, "v_bits": v, "window": 32}
        for k, v in ((1.5, 1.5), (2, 1.5), (2, 2), (3, 3), (4, 4), (8, 8))
    ),
)
