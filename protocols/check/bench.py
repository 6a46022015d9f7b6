"""What an examination works with: streams whose every number is known, and ways to read them back.

A token t has a unit key k_t and a value v_t. For the query C k_t exact attention answers

    sum_s exp(C(<k_s,k_t> - 1)) v_s / sum_s exp(C(<k_s,k_t> - 1)),

which is v_t up to S = sum_{s != t} exp(C(<k_s,k_t> - 1)) times the spread of the values. The
scale C is the least at which S <= 1/64 for every token (*tight*): whoever holds the token then
answers within 1/64 of the spread of its value, and a number of {0, 1} is read on its side of 1/2.
At q = 0 every token held has the same weight.
"""

from __future__ import annotations

import inspect
import re
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compressors.kit.blockwise import Blockwise
from ...compressors.plugin.answers import given
from ...compressors.plugin.contract import Compressor, Float32, Shape
from ...errors import BudgetTooSmall, KVBarrierError
from ...reductions import keys as key_sets
from .subject import Subject, public_for

D = 64
EXTRA = 96
INTERFERENCE = 1 / 64
WINDOW = re.compile("window|size|context|capacity|recent|last|length|keep")
LONGEST = 700
LENGTHS = (LONGEST, 520, 264, 131, 97)
"""The longest stream of an examination, in tokens."""


@dataclass(frozen=True)
class Stream:
    """Keys and values float32[n, ..., d] and the tight scale; queries that are appended are 0."""

    keys: Float32
    values: Float32
    scale: float

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, begin: int, end: int) -> tuple[Float32, Float32, Float32]:
        """The triples ``begin`` .. ``end - 1``, as extend takes them."""
        keys = self.keys[begin:end]
        return np.zeros_like(keys), keys, self.values[begin:end]

    def first(self, n: int) -> Stream:
        """The first ``n`` tokens."""
        return Stream(self.keys[:n], self.values[:n], self.scale)

    def questions(self, tokens: Iterable[int]) -> Float32:
        """The queries C k_t."""
        asked: Float32 = np.float32(self.scale) * self.keys[np.asarray(list(tokens), dtype=int)]
        return asked


@lru_cache(maxsize=32)
def unit_keys(n: int, d: int = D, seed: int = 1) -> Float32:
    """n unit keys of d numbers; at d = 64 Kerdock's, whose inner products are at most 1/8.

    Their entries are +-1/8, so that a quantiser with two levels or more of its own has them exact.
    """
    rng = np.random.default_rng([seed, n, d])
    if d == D:
        # Fewer rows have fewer opposite pairs and are made faster.
        rows = min(2 * D * -(-2 * n // (2 * D)), D * D)
        chosen = rng.permutation(rows)[:n]
        keys: Float32 = key_sets.make("kerdock", rows, D).rows_at(chosen)
        return keys
    keys = rng.standard_normal((n, d)).astype(np.float32)
    unit: Float32 = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    return unit


@lru_cache(maxsize=1)
def hadamard() -> Float32:
    """Sylvester's Hadamard matrix: float32[64, 64] of +-1, row 0 all ones."""
    rows = np.arange(D)
    bits = rows[:, None] & rows[None, :]
    odd = np.array([[bin(int(x)).count("1") % 2 for x in row] for row in bits])
    return (1 - 2 * odd).astype(np.float32)


@lru_cache(maxsize=64)
def tight_scale(n: int, d: int = D, seed: int = 1, interference: float = INTERFERENCE) -> float:
    """The least of 4, 5, ... at which S_t <= 1/64 for every token of these :func:`unit_keys`."""
    if n < 2:
        return 4.0
    keys = unit_keys(n, d, seed).astype(np.float64)
    gaps = 1 - keys @ keys.T
    np.fill_diagonal(gaps, np.inf)
    scale = 4.0
    while np.exp(-scale * gaps).sum(axis=1).max() > interference and scale < 400:
        scale += 1
    return scale


def two_valued(n: int, d: int = D, seed: int = 1) -> Float32:
    """Secret bits as values {0, 1}; channel 0 is 1 in every token."""
    bits = np.random.default_rng([seed, 2]).integers(0, 2, (n, d)).astype(np.float32)
    bits[:, 0] = 1
    return bits


def real_valued(n: int, d: int = D, seed: int = 1) -> Float32:
    """Values of both signs and magnitudes 1/2 .. 3/2: no grid of theirs is a quantiser's own."""
    rng = np.random.default_rng([seed, 3])
    signs = rng.integers(0, 2, (n, d)) * 2 - 1
    return (signs * rng.uniform(0.5, 1.5, (n, d))).astype(np.float32)


def stream(n: int, values: Float32, d_k: int = D, seed: int = 1) -> Stream:
    """Distinct keys with these values [n, d_v]."""
    return Stream(unit_keys(n, d_k, seed), values[:n], tight_scale(n, d_k, seed))


class OutOfTime(BaseException):
    """A rung has had its time. No ``Exception``: whoever catches a plug-in's must not catch it."""


@dataclass
class Bench:
    """A subject, the clock, and what one law leaves for the next.

    Attributes:
        deadline: ``time.monotonic()`` at which no further rung begins. rung_ends, work_ends: the
        same for the rung that is tried, on the clock of the wall and on that
            of the process: then :class:`OutOfTime` is raised.
        holds: what it holds, in words, once that is known.
        untried: what was not tried, and why, in words.
        words: of a declaration: those that come before the cache's own, and those that come after.
        skipped: why the rung that is tried has nothing to try, in two words.
        found: the codes of what was found so far.
        kept: what one law leaves for the next.
    """

    subject: Subject
    deadline: float
    holds: str | None = None
    untried: list[str] = field(default_factory=list)
    rung_ends: float = float("inf")
    work_ends: float = float("inf")
    words: tuple[Sequence[str], Sequence[str]] = ((), ())
    skipped: str = ""
    found: set[str] = field(default_factory=set)
    kept: dict[str, object] = field(default_factory=dict)

    def go_on(self) -> None:
        """Raise OutOfTime if the rung has had its time."""
        if time.process_time() > self.work_ends or time.monotonic() > self.rung_ends:
            raise OutOfTime

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def shape(self, tokens: int, d_k: int = D, d_v: int = D, **heads: Any) -> Shape:
        """The shape of an examination's stream."""
        return Shape(tokens=tokens, d_k=d_k, d_v=d_v, extra=EXTRA, **heads)

    def build(self, shape: Shape, budget_bits: int | None = None) -> Compressor:
        """A fresh instance; without a budget with room for twice the float32 cache."""
        if budget_bits is not None:
            return self.subject.build(shape, budget_bits)
        with suppress(BudgetTooSmall):
            return self.subject.build(shape, 4 * shape.cache_bits_16 + (1 << 16))
        return self.subject.build(shape)

    @cached_property
    def is_of_another_rule(self) -> bool:
        """Whether it refuses a game that asks for plain softmax (``public["attention"]``)."""
        shape = self.shape(8)
        self.build(shape)
        public = {**public_for(shape), "attention": "softmax"}
        try:
            self.subject.target.factory(shape, None, self.subject.seed, public)
        except BudgetTooSmall:
            return False
        except KVBarrierError:
            return True
        return False

    @cached_property
    def streaming(self) -> bool:
        """Whether it says that the append loop equals extend."""
        return bool(self.build(self.shape(8)).streaming)

    @cached_property
    def whole_tokens(self) -> bool:
        """Whether it asks for tokens with their heads."""
        return self.subject.target._factory.layout == "heads"

    @cached_property
    def asking_is_free(self) -> bool:
        """Whether ``attend`` leaves the message as it is; else every question has its own copy."""
        one = stream(9, real_valued(9))
        compressor = self.fed(one)
        before = bytes(compressor.save())
        compressor.attend(one.questions([3])[0])
        return bytes(compressor.save()) == before

    @cached_property
    def is_softmax(self) -> bool:
        """Whether its weights are those of a softmax over rows, whatever their keys.

        Then log(w_t/w_s) is linear in q, and 0 at q = 0. Estimates of attention by features,
        samples or clusters are not; nor is it known of a cache whose values are too coarse to
        read weights.
        """
        n = 12
        one = stream(n, real_valued(n))
        step = (one.keys[0] + one.keys[3] - one.keys[7]).astype(np.float32)
        queries = np.stack([0 * step, step, 2 * step])
        weights = self.weights(one, queries, self.shape(n)).astype(np.float64)
        if (weights <= 0).any():
            return False
        scores = np.log(weights / weights[:, :1])
        return bool(
            np.abs(scores[0]).max() < 0.05 and np.abs(scores[2] - 2 * scores[1]).max() < 0.15
        )

    def weighs_alike(self, one: Stream, shape: Shape) -> bool:
        """Whether the tokens that have weight at q = 0 have the same."""
        (level,) = self.weights(one, np.zeros((1, one.keys.shape[1]), np.float32), shape)
        rows = attended(level)
        return not len(rows) or float(np.abs(level[rows] / level[rows].mean() - 1).max()) < 0.05

    @cached_property
    def longest(self) -> int:
        """The longest stream of at most 700 tokens for which it can be built."""
        *longer, least = LENGTHS
        for n in longer:
            try:
                self.build(self.shape(n))
            except Exception as error:
                self.untried.append(f"{n} tokens and more ({str(error).splitlines()[0][:80]})")
            else:
                return n
        return least

    @cached_property
    def most(self) -> int:
        """The most tokens that it can be given: it may be full at one of its sizes.

        A batch algorithm is given its tokens at once, so it takes what its constructor takes.
        """
        if not self.streaming:
            return self.longest
        top = min(self.longest, max(LENGTHS[-2], 4 * max(self.sizes, default=1)))
        one = stream(top, two_valued(top))
        compressor = self.build(self.shape(top))
        for t in range(top):
            try:
                self.append(compressor, one, t, t + 1)
            except Exception as error:
                if t not in self.sizes:
                    return self.longest  # whoever feeds it says so
                self.kept["full"] = f"append {t + 1} raises {type(error).__name__}"
                return t
        return self.longest

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The whole numbers that it is made with: parameters, attributes, constants of its module.

        From 2 to :data:`LONGEST`, without those of the shape.
        """
        params = set(_numbers(self.subject.target.params.values()))
        shape = self.shape(self.longest)
        one = _inmost(self.build(shape))
        found = params | set(_numbers(_attributes(one).values()))
        found |= set(_numbers(_defaults(type(one)).values()))
        found |= set(_numbers(_constants(type(one)).values()))
        others = {shape.tokens, shape.extra, shape.d_k, shape.d_v, shape.tokens + shape.extra}
        small = {n for n in found if 2 <= n <= LONGEST} - (others - params)
        return tuple(sorted(small))

    @cached_property
    def named_sizes(self) -> dict[str, int]:
        """The constructor's whole-number parameters by name, as they are set here."""
        one = _inmost(self.build(self.shape(self.longest)))
        said = {**_defaults(type(one)), **self.subject.target.params}
        return {k: int(v) for k, v in said.items() if _is_size(v)}

    @cached_property
    def window_sizes(self) -> dict[str, int]:
        """The same, and attributes and constants that are named like a window."""
        one = _inmost(self.build(self.shape(self.longest)))
        others = {**_constants(type(one)), **_attributes(one)}
        alike = {k: int(v) for k, v in others.items() if _is_size(v) and WINDOW.search(k.lower())}
        return {**alike, **self.named_sizes}

    def fed(
        self, one: Stream, shape: Shape | None = None, budget_bits: int | None = None
    ) -> Compressor:
        """An instance that saw the stream: by append, or by extend if it is a batch algorithm."""
        shape = shape or self.shape(len(one), one.keys.shape[-1], one.values.shape[-1])
        compressor = self.build(shape, budget_bits)
        if compressor.streaming:
            self.append(compressor, one, 0, len(one))
        else:
            compressor.extend(*one.part(0, len(one)))
        return compressor

    def append(self, compressor: Compressor, one: Stream, begin: int, end: int) -> None:
        """Append the tokens ``begin`` .. ``end - 1`` one by one."""
        for triple in zip(*one.part(begin, end), strict=True):
            self.go_on()
            compressor.append(*triple)

    def answers(self, compressor: Compressor, queries: Float32, d_v: int) -> Float32:
        """``attend`` for each query, from the same state: float32[m, ..., d_v]."""
        shape = (*np.shape(queries)[1:-1], d_v)
        ours = getattr(compressor.attend, "__func__", None) is Blockwise.attend
        if ours and isinstance(compressor, Blockwise) and self.asking_is_free:
            # A question is a block of one.
            self.go_on()
            return given(compressor, "attend", compressor.answers(queries), (len(queries), *shape))
        rows = []
        for q in queries:
            self.go_on()
            twin = compressor if self.asking_is_free else self.copy(compressor)
            rows.append(np.array(given(twin, "attend", twin.attend(q), shape)))
        return np.stack(rows) if rows else np.empty((0, *shape), dtype=np.float32)

    def copy(self, compressor: Compressor) -> Compressor:
        """A fresh instance with the same state."""
        twin = compressor.fresh()
        twin.restore(compressor.save())
        return twin

    def read(self, compressor: Compressor, one: Stream, tokens: Sequence[int]) -> Float32:
        """What it answers to the keys of these tokens: float32[m, d_v]."""
        return self.answers(compressor, one.questions(tokens), one.values.shape[-1])

    def weights(self, one: Stream, queries: Float32, shape: Shape | None = None) -> Float32:
        """The weight of each token of the stream for each query: float32[m, n].

        The values are rows 1, 2, .. of a Hadamard matrix H, for 63 tokens at a time, and 0 else:
        the answer a = sum_t w_t h_t has w_t = <h_t, a>/64. All their numbers are +-1, which every
        scale and step of a quantiser's own has exactly; row 0, all ones, is left out, so that
        what rows that nobody appended have alike in all channels is no token's. (What a cache
        keeps may depend on values, of course: then this is what it does with these.)
        """
        n = len(one)
        found = np.zeros((len(queries), n), dtype=np.float32)
        code = hadamard()
        for begin in range(0, n, D - 1):
            here = min(D - 1, n - begin)
            values = np.zeros((n, D), dtype=np.float32)
            values[begin : begin + here] = code[1 : here + 1]
            compressor = self.fed(Stream(one.keys, values, one.scale), shape)
            answers = self.answers(compressor, queries, D)
            found[:, begin : begin + here] = answers @ code[1 : here + 1].T / D
        return found


def _inmost(compressor: Compressor) -> object:
    """What the author wrote, inside our adapters."""
    one: object = compressor._stateful()
    while isinstance(one, Compressor) and isinstance(
        inner := getattr(one, "inner", None), Compressor
    ):
        one = inner._stateful()
    return one


def attended(weights: Float32) -> NDArray[np.int64]:
    """The tokens that have weight: a quarter of the largest or more."""
    most = float(weights.max(initial=0.0))
    return np.flatnonzero(weights > max(most / 4, 1e-6))


def _is_size(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.bool_)


def _numbers(values: Iterable[Any]) -> list[int]:
    return [int(value) for value in values if _is_size(value)]


def _attributes(thing: object) -> dict[str, Any]:
    names = [n for cls in type(thing).__mro__ for n in getattr(cls, "__slots__", ())]
    return {
        **{n: getattr(thing, n, None) for n in names if isinstance(n, str)},
        **getattr(thing, "__dict__", {}),
    }


def _defaults(cls: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for method in ("__init__", "set_up"):
        try:
            parameters = inspect.signature(getattr(cls, method)).parameters.values()
        except (AttributeError, TypeError, ValueError):
            continue
        found |= {p.name: p.default for p in parameters if p.default is not p.empty}
    for ours in ("shape", "budget_bits", "seed", "public"):
        found.pop(ours, None)
    return found


def _constants(cls: type) -> dict[str, Any]:
    module = sys.modules.get(cls.__module__)
    return {} if module is None else {k: v for k, v in vars(module).items() if k.isupper()}
