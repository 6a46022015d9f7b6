"""Strangers' classes and functions played through the contract."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.plugin.adapters import adapt
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.plugin.packing import payload_bytes
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure

SHAPE = Shape(tokens=9, d_k=4, d_v=3)
RNG = np.random.default_rng(3)
Q, K = RNG.standard_normal((2, 9, 4)).astype(np.float32)
V = RNG.standard_normal((9, 3)).astype(np.float32)


def softmax_rows(q: Any, K: Any, V: Any) -> Any:
    """The definition, in float64."""
    s = np.asarray(K, dtype=np.float64) @ np.asarray(q, dtype=np.float64)
    w = np.exp(s - s.max())
    return (w / w.sum()) @ np.asarray(V, dtype=np.float64)


def with_own_token(K: Any, V: Any) -> Any:
    """Row r of next_outputs when (Q[r], K[r], V[r]) comes after rows K, V."""
    return np.stack(
        [softmax_rows(Q[r], [*K, GLOBAL_K[r]], [*V, GLOBAL_V[r]]) for r in range(len(GLOBAL_K))]
    )


GLOBAL_K, GLOBAL_V = K[:2] * 2, V[:2] * 2


class Shapely:
    """Takes the shape alone, inherits nothing."""

    def __init__(self, shape: Shape) -> None:
        self.rows: list[Any] = []
        self.shape = shape

    def append(self, q: Any, k: Any, v: Any) -> None:
        self.rows.append((k, v))

    def attend(self, q: Any) -> Any:
        return softmax_rows(q, *zip(*self.rows, strict=True))


class Saving(Shapely):
    streaming = False
    message_bytes = 2

    def __init__(self, shape: Shape, *, wide: int = 3, **rest: Any) -> None:
        super().__init__(shape)
        self.wide, self.rest = wide, rest

    def save(self) -> bytes:
        return len(self.rows).to_bytes(2, "big")

    def restore(self, message: bytes) -> None:
        self.rows = [(np.zeros(4), np.ones(3))] * int.from_bytes(message, "big")

    def next_outputs(self, Q: Any, K: Any, V: Any) -> Any:
        return np.full((len(Q), 3), 7.0)

    def block_outputs(self, Q: Any, K: Any, V: Any) -> Any:
        return np.full((len(Q), 3), 8.0)

    def extend(self, Q: Any, K: Any, V: Any) -> None:
        self.rows = [(k, v) for k, v in zip(K, V, strict=True)]


class OnlyBudget(Shapely):
    def __init__(self, budget_bits: int, seed: int) -> None:
        self.rows = []
        self.given = (budget_bits, seed)


class Bare(Shapely):
    def __init__(self) -> None:
        self.rows = []


class Sub(Compressor):
    def append(self, q: Any, k: Any, v: Any) -> None:
        self.last = v

    def attend(self, q: Any) -> Any:
        return self.last


class SubOfItsOwn(Sub):
    def __init__(self, shape: Shape, seed: int = 0, depth: int = 1) -> None:
        super().__init__(shape, seed=seed)
        self.depth = depth


@pytest.mark.parametrize("cls", [Shapely, OnlyBudget, Bare])
def test_a_look_alike_plays(cls: type) -> None:
    alice, bob = (adapt(cls)(SHAPE, 10**6, 5, {"scale": 2.0}) for _ in "ab")
    alice.extend(Q, K, V)
    message = alice.save()
    bob.restore(message)
    expected = with_own_token(K, V)
    np.testing.assert_allclose(bob.next_outputs(Q[:2], GLOBAL_K, GLOBAL_V), expected, rtol=1e-5)
    # The default save, so framing can be told from payload: 9 rows of 7 float32.
    assert type(alice).save is Compressor.save
    assert payload_bytes(message) == 9 * 7 * 4
    assert len(message) <= 9 * 7 * 4 + 30


def test_arguments_go_by_name() -> None:
    assert adapt(OnlyBudget)(SHAPE, 77, 5, {}).inner.given == (77, 5)
    one = adapt(Saving)(SHAPE, 77, 5, {"scale": 2.0}, wide=4, free="x")
    assert one.inner.wide == 4
    assert one.inner.rest == {
        "budget_bits": 77,
        "seed": 5,
        "public": {"scale": 2.0},
        "free": "x",
    }
    sub = adapt(SubOfItsOwn)(SHAPE, 77, 5, {"scale": 2.0}, depth=6)
    assert (sub.depth, sub.seed, sub.budget_bits, sub.fresh().depth) == (6, 5, None, 6)
    assert adapt(Sub)(SHAPE, 77, 5, {"scale": 2.0}).public == {"scale": 2.0}


def test_what_it_has_is_used() -> None:
    one = adapt(Saving)(SHAPE)
    assert (one.streaming, one.message_bytes, Shapely.__name__) == (False, 2, "Shapely")
    one.extend(Q, K, V)
    assert one.save() == b"\x00\x09"
    twin = one.fresh()
    twin.restore(b"\x00\x02")
    assert twin.attend(Q[0]).tolist() == [1, 1, 1]
    assert one.next_outputs(Q, K, V)[0, 0] == 7
    assert one.block_outputs(Q, K, V)[0, 0] == 8


@pytest.mark.parametrize(
    ("cls", "params", "sentence"),
    [
        (Shapely, {"wide": 1}, "Shapely has no parameter 'wide'. It takes none."),
        (SubOfItsOwn, {"dept": 1}, "no parameter 'dept'. Did you mean 'depth'"),
        (Sub, {"x": 1}, "Sub has no parameter 'x'. It takes none."),
        (SubOfItsOwn, {"seed": 1}, "the game sets seed"),
    ],
)
def test_unknown_parameters(cls: type, params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence.replace(".", r"\.")):
        adapt(cls).refuse_unknown(params)


def test_needed_parameters() -> None:
    class Needs(Shapely):
        def __init__(self, shape: Shape, bits: int) -> None:
            super().__init__(shape)

    with pytest.raises(BadInput, match="needs the parameter 'bits': give --param bits=VALUE"):
        adapt(Needs).refuse_missing({})
    adapt(Needs).refuse_missing({"bits": 3})
    adapt(Saving).refuse_unknown({"whatever": 3})


def test_incomplete_classes_are_told_what_they_lack() -> None:
    class Half:
        def append(self, q: Any, k: Any, v: Any) -> None: ...

    class Abstract(Compressor):
        def append(self, q: Any, k: Any, v: Any) -> None: ...

    class HalfSaved(Shapely):
        def save(self) -> bytes:
            return b""

    for cls in (Half, Abstract):
        with pytest.raises(PluginFailure, match="has no attend: a compressor has append"):
            adapt(cls)
    with pytest.raises(PluginFailure, match="has no append and no attend"):
        adapt(int)
    with pytest.raises(PluginFailure, match="has save without restore: write both"):
        adapt(HalfSaved)
    with pytest.raises(PluginFailure, match="neither a class nor a function"):
        adapt(SimpleNamespace())


class Plain:
    """An author's own cache, which needs no query to append."""

    def __init__(self) -> None:
        self.k: list[Any] = []
        self.v: list[Any] = []

    def append(self, k: Any, v: Any) -> None:
        self.k.append(k)
        self.v.append(v)

    def attend(self, q: Any) -> Any:
        w = np.exp(np.stack(self.k) @ q)
        return w @ np.stack(self.v) / w.sum()


class WithPosition(Plain):
    def append(self, key: Any, value: Any, position: Any = None) -> None:
        assert position is None
        super().append(key, value)


class WithExtend(Plain):
    def extend(self, K: Any, V: Any) -> None:
        for k, v in zip(K, V, strict=True):
            self.append(k, v)


class WithStatic(Plain):
    @staticmethod
    def append(*given: Any) -> None:
        assert len(given) == 3


@pytest.mark.parametrize("cls", [Plain, WithPosition, WithExtend])
def test_a_cache_that_needs_no_query_takes_none(cls: type) -> None:
    rng = np.random.default_rng(0)
    Q, K, V = rng.normal(size=(3, 5, 4)).astype(np.float32)
    one = adapt(cls)(Shape(6, 4, 4))
    one.append(Q[0], K[0], V[0])
    one.extend(Q[1:], K[1:], V[1:])
    w = np.exp(K @ Q[0])
    assert one.attend(Q[0]) == pytest.approx(w @ V / w.sum())
    other = one.fresh()
    other.restore(one.save())
    assert other.attend(Q[0]) == pytest.approx(one.attend(Q[0]))


def test_who_takes_any_number_gets_the_query_too() -> None:
    adapt(WithStatic)(Shape(6, 4, 4)).append(*np.ones((3, 4), dtype=np.float32))


def test_a_query_at_another_place_is_not_given_a_key() -> None:
    class Last(Plain):
        def append(self, k: Any, v: Any, q: Any) -> None:
            super().append(k, v)

    with pytest.raises(
        PluginFailure, match=r"Last\.append is called with \(q, k, v\), and its first"
    ):
        adapt(Last)


def test_only_where_a_key_comes_too_is_the_name_of_the_first_looked_at() -> None:
    class Batched(Plain):
        def extend(self, K: Any, V: Any, Q: Any) -> None: ...

    class Asked(Plain):
        def attend(self, key_or_query: Any) -> Any: ...

    adapt(Asked)  # what an attend calls its query is its own matter
    with pytest.raises(PluginFailure, match=r"Batched\.extend is called .* and its first"):
        adapt(Batched)


def test_a_constructor_that_raises_is_blamed_with_its_line() -> None:
    class Broken(Shapely):
        def __init__(self, shape: Shape) -> None:
            self.room = shape.rooms  # type: ignore[attr-defined]

    with pytest.raises(PluginFailure) as caught:
        adapt(Broken, file=__file__)(SHAPE)
    line = sys._getframe().f_lineno - 4
    assert "constructing Broken raised AttributeError" in str(caught.value)
    assert f"(test_adapters.py, line {line})" in str(caught.value)
    assert caught.value.detail is not None
    assert 'adapters.py", line' in caught.value.detail  # theirs: this file's name ends like it
    assert "/compressors/adapters.py" not in caught.value.detail.replace("tests/compressors", "")


def test_budget_too_small_passes_through() -> None:
    class Greedy(Shapely):
        def __init__(self, shape: Shape, budget_bits: int) -> None:
            raise BudgetTooSmall("greedy", budget_bits, 9)

    with pytest.raises(BudgetTooSmall, match="at least 9 bits"):
        adapt(Greedy)(SHAPE, 3)


# -- two functions -------------------------------------------------------------------------------


def halves(Q: Any, K: Any, V: Any, budget_bits: int) -> Any:
    return K[:5].astype(np.float16), V[:5].astype(np.float16)


def played(compress: Any, attend: Any = None, **params: Any) -> Compressor:
    alice, bob = (adapt(compress, "it", attend)(SHAPE, 10**6, 5, {}, **params) for _ in "ab")
    alice.extend(Q, K, V)
    bob.restore(alice.save())
    assert not bob.streaming
    return bob


@pytest.mark.parametrize(
    "compress",
    [
        halves,
        lambda Q, K, V: {"keys": K[:5].astype(np.float16), "values": V[:5].astype(np.float16)},
        lambda q, k, v, **rest: [k[:5].astype(np.float16), v[:5].astype(np.float16)],
    ],
)
def test_rows_are_attended_exactly_with_the_tail(compress: Any) -> None:
    kept_K, kept_V = K[:5].astype(np.float16), V[:5].astype(np.float16)
    bob = played(compress)
    expected = with_own_token(kept_K, kept_V)
    np.testing.assert_allclose(bob.next_outputs(Q[:2], GLOBAL_K, GLOBAL_V), expected, rtol=1e-4)
    np.testing.assert_allclose(
        Compressor.next_outputs(bob, Q[:2], GLOBAL_K, GLOBAL_V), expected, rtol=1e-4
    )
    # The block: both tokens are there for both queries.
    block = [softmax_rows(Q[r], [*kept_K, *GLOBAL_K], [*kept_V, *GLOBAL_V]) for r in (0, 1)]
    np.testing.assert_allclose(bob.block_outputs(Q[:2], GLOBAL_K, GLOBAL_V), block, rtol=1e-4)


def test_their_attend_with_and_without_the_tail() -> None:
    def last(state: Any, q: Any, tail: Any) -> Any:
        state[0] += 1  # each question has its own copy
        return tail[1][-1] + state[0]

    def mean(state: Any, q: Any, times: int = 1) -> Any:
        return state[0] * times

    def compress(Q: Any, K: Any, V: Any, seed: int) -> Any:
        return [V.mean(axis=0)] if seed == 5 else None

    out = played(compress, last).next_outputs(Q[:2], GLOBAL_K, GLOBAL_V)
    np.testing.assert_allclose(out, GLOBAL_V + V.mean(axis=0) + 1, rtol=1e-5)
    out = played(compress, mean, times=3).next_outputs(Q[:2], GLOBAL_K, GLOBAL_V)
    np.testing.assert_allclose(out, [3 * V.mean(axis=0)] * 2, rtol=1e-5)


def test_the_bound_for_a_zero_token_left_out() -> None:
    # True output Z o / (Z + 1), so leaving it out is the factor 1 + 1/Z exactly.
    q = 3 * K[2]
    Z = np.exp(K.astype(np.float64) @ q).sum()
    without = softmax_rows(q, K, V)
    true = softmax_rows(q, [*K, np.zeros(4)], [*V, np.zeros(3)])
    np.testing.assert_allclose(without / true, 1 + 1 / Z, rtol=1e-9)
    assert np.exp(3 * K[2] @ K[2]) <= Z


def test_functions_are_told_what_is_wrong() -> None:
    with pytest.raises(PluginFailure, match=r"return \(K, V\) or"):
        played(lambda Q, K, V: K)
    with pytest.raises(PluginFailure, match=r"the state that compress returned\[0\] is a"):
        played(lambda Q, K, V: [print], lambda state, q: state)
    with pytest.raises(BadInput, match=r"no parameter 'deeep'\. Did you mean 'deep'"):
        adapt(lambda Q, K, V, deep=1: 0, "it", lambda state, q, tail: 0).refuse_unknown(
            {"deeep": 0}
        )
    adapt(halves, "it", lambda state, q, deep=3: 0).refuse_unknown({"deep": 0})
    late = played(halves)
    late.append(Q[0], K[0], V[0])
    with pytest.raises(PluginFailure, match="1 tokens came after compress"):
        late.save()


@pytest.mark.parametrize(
    "compress",
    [
        lambda K, V, budget_bits: (K, V),
        lambda Q, V, K: (K, V),
        lambda Q, K: (K, K),
        lambda K, V, seed: (K, V),
    ],
)
def test_compress_takes_q_k_v_by_position(compress):
    from kvbarrier.compressors.plugin.contract import Shape
    from kvbarrier.compressors.plugin.two_functions import TwoFunctions
    from kvbarrier.errors import BadInput

    with pytest.raises(BadInput, match="gets Q, K, V by position"):
        TwoFunctions(compress, None, Shape(16, 4, 4))
