"""The controls, whose results are known beforehand: by counting, or by enumerating all words."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import comb
from typing import Any

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Shape
from kvbarrier.compressors.zoo.control.covering_code import CoveringCode, perfect_code
from kvbarrier.compressors.zoo.control.keyed import KeyedControl
from kvbarrier.compressors.zoo.control.lossless import Lossless
from kvbarrier.compressors.zoo.control.time_sharing import TimeSharing
from kvbarrier.compressors.zoo.control.zero import Zero
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure

RNG = np.random.default_rng(11)


def game(
    n: int, d: int, values: str = "01", d_v: int | None = None
) -> tuple[Shape, dict[str, Any], Any, Any]:
    """Distinct sign keys, and random bits with the value rows that stand for them."""
    d_v = d_v or d
    keys = (RNG.permutation(2**d)[:n, None] >> np.arange(d) & 1) * 2 - 1
    bits = RNG.integers(0, 2, (n, d_v), dtype=np.uint8)
    V = (bits if values == "01" else 2.0 * bits - 1).astype(np.float32)
    public = {"keys": (keys / np.sqrt(d)).astype(np.float32), "values": values}
    return Shape(tokens=n, d_k=d, d_v=d_v), public, bits, V


def softmax_rows(q: Any, K: Any, V: Any) -> Any:
    s = np.asarray(K, dtype=np.float64) @ np.asarray(q, dtype=np.float64)
    w = np.exp(s - s.max())
    return (w / w.sum()) @ np.asarray(V, dtype=np.float64)


def sent(cls: Any, shape: Shape, public: Any, V: Any, order: Any = None, **kw: Any) -> Any:
    """Alice's message in Bob's hands."""
    alice, bob = (cls(shape, public=public, seed=4, **kw) for _ in "ab")
    order = range(shape.tokens) if order is None else order
    for i in order:
        alice.append(np.zeros(shape.d_k, np.float32), public["keys"][i], V[i])
    message = alice.save()
    assert len(message) == alice.message_bytes
    bob.restore(message)
    assert bob.save() == message
    return bob


def known_bits(bob: KeyedControl) -> Any:
    return (bob.values() > bob.alphabet.mean()).astype(np.uint8)


@pytest.mark.parametrize("values", ["01", "pm1"])
def test_lossless_is_exact_attention_at_one_bit_a_bit(values: str) -> None:
    shape, public, _, V = game(21, 8, values)
    bob = sent(Lossless, shape, public, V, order=RNG.permutation(21))
    assert bob.message_bytes == 21 * 8 // 8  # charged 8 * 21 = n d bits
    Q = RNG.standard_normal((3, 8)).astype(np.float32) * 3
    K2, V2 = RNG.standard_normal((2, 3, 8)).astype(np.float32)
    expected = [softmax_rows(Q[r], [*public["keys"], K2[r]], [*V, V2[r]]) for r in range(3)]
    np.testing.assert_allclose(bob.next_outputs(Q, K2, V2), expected, rtol=2e-5, atol=1e-6)
    thresholds = np.float32([0.1, 0.5, 0.7])
    assert np.array_equal(
        bob.next_bits(Q, K2, V2, thresholds), np.array(expected) > thresholds[:, None]
    )
    np.testing.assert_allclose(bob.attend(Q[0]), softmax_rows(Q[0], public["keys"], V), rtol=1e-5)
    block = [softmax_rows(q, [*public["keys"], *K2], [*V, *V2]) for q in Q]
    np.testing.assert_allclose(bob.block_outputs(Q, K2, V2), block, rtol=2e-5, atol=1e-6)


def test_lossless_can_be_cut_anywhere() -> None:
    shape, public, bits, V = game(12, 4)
    zeros = np.zeros_like(V)
    for cut in range(13):
        first, second = (Lossless(shape, public=public) for _ in "ab")
        first.extend(zeros[:cut], public["keys"][:cut], V[:cut])
        second.restore(first.save())
        second.extend(zeros[cut:], public["keys"][cut:], V[cut:])
        assert np.array_equal(known_bits(second), bits)


def test_bits_left_over_fill_the_last_byte() -> None:
    shape, public, bits, V = game(5, 3)  # 15 bits: two bytes
    bob = sent(Lossless, shape, public, V)
    assert bob.message_bytes == 2
    assert np.array_equal(known_bits(bob), bits)


@pytest.mark.parametrize("budget", [0, 7, 8, 100, 167, 168, 10**6])
def test_time_sharing_keeps_the_first_bits(budget: int) -> None:
    shape, public, bits, V = game(21, 8)
    bob = sent(TimeSharing, shape, public, V, budget_bits=budget)
    kept = min(budget // 8 * 8, 168)
    assert 8 * bob.message_bytes == kept <= budget
    found = known_bits(bob).reshape(-1)
    assert np.array_equal(found[:kept], bits.reshape(-1)[:kept])
    if budget == 0:
        # 168 fair coins: 84 right, standard deviation 6.5.
        assert abs(int((found == bits.reshape(-1)).sum()) - 84) < 33
        other = TimeSharing(shape, 0, seed=5, public=public)
        assert not np.array_equal(known_bits(other).reshape(-1), found)


def test_zero_knows_nothing() -> None:
    shape = Shape(tokens=9, d_k=4, d_v=3)
    zero = Zero(shape, budget_bits=0)
    rows = RNG.standard_normal((5, 4)).astype(np.float32)
    zero.extend(rows, rows, rows[:, :3])
    zero.append(rows[0], rows[0], rows[0, :3])
    assert (zero.save(), zero.message_bytes) == (b"", 0)
    assert zero.attend(rows[0]).tolist() == [0, 0, 0]
    assert not zero.next_outputs(rows, rows, rows[:, :3]).any()
    bits = zero.next_bits(rows[:2], rows, rows, np.float32([-1, 0]))
    assert bits.tolist() == [[True] * 3, [False] * 3]


# -- covering codes ------------------------------------------------------------------------------


def polynomial_multiples(length: int, generator: int) -> set[int]:
    """The cyclic code, naively: all multiples of the generator below x^length."""
    dimension = length - generator.bit_length() + 1
    code = set()
    for factor in range(1 << dimension):
        word = 0
        for i in range(dimension):
            if factor >> i & 1:
                word ^= generator << i
        code.add(word)
    return code


def test_hamming_by_enumeration_of_all_words() -> None:
    code = perfect_code("hamming")
    words = np.array(list(product([0, 1], repeat=7)), dtype=np.uint8)
    codewords = np.array(
        [[w >> (6 - i) & 1 for i in range(7)] for w in sorted(polynomial_multiples(7, 0b1011))]
    )
    distance = (words[:, None] != codewords[None]).sum(axis=2).min(axis=1)
    decoded = code.codewords(code.nearest(words))
    assert np.array_equal((decoded != words).sum(axis=1), distance)
    assert {tuple(w) for w in decoded} == {tuple(w) for w in codewords}
    assert Fraction(int(distance.sum()), 128 * 7) == Fraction(1, 8)


def test_golay_by_enumeration_of_all_cosets() -> None:
    code = perfect_code("golay")
    # All 2^11 syndromes have a leader of weight <= 3, and these are all such errors.
    weights = code.leaders.sum(axis=1)
    assert [int((weights == w).sum()) for w in range(4)] == [comb(23, w) for w in range(4)]
    assert len({tuple(row) for row in code.leaders}) == 2048
    assert np.array_equal(code.syndromes(code.leaders), np.arange(2048))
    # The code is the one of the polynomial, with the Golay code's minimum distance 7.
    words = np.array([[i >> b & 1 for b in range(12)] for i in range(4096)], dtype=np.uint8)
    codewords = code.codewords(words)
    naive = polynomial_multiples(23, 0b101011100011)
    assert {int("".join(map(str, w)), 2) for w in codewords.tolist()} == naive
    assert sorted(codewords.sum(axis=1))[1] == 7
    # So for a uniform word the distance is a leader's weight: D = 5842 / (2048 * 23).
    assert Fraction(int(weights.sum()), 2048 * 23) == Fraction(5842, 2048 * 23)


@pytest.mark.parametrize(
    ("code", "length", "kept", "D"), [("hamming", 7, 4, 1 / 8), ("golay", 23, 12, 5842 / 47104)]
)
def test_covering_code_has_the_distortion_of_its_code(
    code: str, length: int, kept: int, D: float
) -> None:
    shape, public, bits, V = game(1024, 10, d_v=33)
    bob = sent(CoveringCode, shape, public, V, code=code)
    total = 1024 * 33
    blocks, left = divmod(total, length)
    assert bob.message_bytes == -(-(blocks * kept + left) // 8)
    wrong = known_bits(bob).reshape(-1) != bits.reshape(-1)
    assert not wrong[total - left :].any()
    # Block distortions are independent, in [0, t/length]: Hoeffding at 1e-9 on the mean per bit.
    radius = {"hamming": 1, "golay": 3}[code]
    slack = radius / length * np.sqrt(np.log(2e9) / (2 * blocks))
    assert abs(wrong[: total - left].mean() - D) < slack
    assert not bob.streaming


def test_covering_code_answers_what_it_will_send() -> None:
    shape, public, _, V = game(30, 5)
    alice = CoveringCode(shape, public=public)
    alice.extend(np.zeros_like(V), public["keys"], V)
    bob = CoveringCode(shape, public=public)
    bob.restore(alice.save())
    q = RNG.standard_normal((2, 5)).astype(np.float32)
    assert np.array_equal(alice.next_outputs(q, q, q), bob.next_outputs(q, q, q))
    assert not np.array_equal(alice.values(), V)


# -- the sentences -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "least"), [(Lossless, 168), (CoveringCode, 8 * -(-(7 * 12 + 7) // 8))]
)
def test_budgets_are_kept(cls: Any, least: int) -> None:
    shape, public, _, _ = game(21, 8)  # 168 bits: 7 Golay blocks and 7 bits
    assert 8 * cls(shape, least, public=public).message_bytes == least
    with pytest.raises(BudgetTooSmall, match=f"at least {least} bits"):
        cls(shape, least - 1, public=public)


def test_they_say_what_they_need() -> None:
    shape, public, _, V = game(6, 3)
    with pytest.raises(BadInput, match="lossless knows the game: build it with public keys"):
        Lossless(shape)
    with pytest.raises(BadInput, match="a public key for every token: 6 of 3"):
        Lossless(shape, public={**public, "keys": public["keys"][:5]})
    with pytest.raises(BadInput, match=r"no code 'golai'\. Did you mean 'golay'"):
        CoveringCode(shape, public=public, code="golai")
    one = Lossless(shape, public=public)
    with pytest.raises(PluginFailure, match="a message of 1 bytes is not one of lossless's"):
        one.restore(b"x")
    one.append(V[0], 9 * V[0] + 5, V[0])
    with pytest.raises(PluginFailure, match="1 others were appended"):
        one.save()


def test_tokens_in_the_order_of_their_keys_are_those_found_one_by_one() -> None:
    rng = np.random.default_rng(11)
    keys = rng.standard_normal((12, 4)).astype(np.float32)
    keys[7] = keys[2]  # two tokens with one key: the last that carries something is meant
    keys[9, 0] = -0.0
    row_of = np.array([0, -1, 1, 2, -1, 3, 4, 5, 6, -1, 7, 8])
    secret = np.flatnonzero(row_of >= 0)
    public = {"keys": keys, "values": "01", "secret_of_token": row_of, "secret_tokens": secret}
    control = Lossless(Shape(tokens=12, d_k=4, d_v=3), public=public)
    zero = keys[9:10].copy()
    zero[0, 0] = 0.0  # equal numbers, and another key
    for K in (keys, keys[3:9], keys[::-1], keys[[5, 6, 0]], keys[:0]):
        one_by_one = [control._row(key) for key in K]
        assert control._rows(np.ascontiguousarray(K)).tolist() == one_by_one
    assert control._row(keys[2]) == control._row(keys[7]) == 5
    for K in (zero, np.concatenate([keys[8:9], zero]), np.concatenate([keys, keys[:1] + 1])):
        assert control._rows(K) is None
