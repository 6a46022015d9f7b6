"""Keys and values with bits of their own: a mixed cache is half of each of two plain ones."""

from __future__ import annotations

import numpy as np
import pytest
from kvbarrier.compressors.catalog import CATALOG
from kvbarrier.compressors.kit.key_value_bits import pairs
from kvbarrier.compressors.plugin.adapters import adapt
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.zoo import FAMILIES
from kvbarrier.errors import BadInput

#: more tokens than the windows of those that keep the newest whole
SHAPE = Shape(tokens=320, d_k=32, d_v=16, extra=3)
#: The step of an entropy-coded stream is its knob, its bits are what the coder comes to; a block
#: format has the bits that it has, and its words are k_format and v_format.
NO_BITS = {"cachegen", "block-fp4"}
QUANTISERS = [n for n in ("quantized", *FAMILIES["quantisation"]) if n not in NO_BITS]
#: the same bits for both, by each quantiser's own parameters; of skvq by these very ones
PLAIN = {
    "quantized": lambda b: {"bits": b},
    "kivi": lambda b: {"bits": b},
    "turboquant": lambda b: {"bits": b},
    "absmax": lambda b: {"bits": b},
    "hadamard-int": lambda b: {"bits": b},
    "eden": lambda b: {"bits": b},
    "rabitq": lambda b: {"bits": b},
    "skvq": lambda b: {"k_bits": b, "v_bits": b},
    # 62 and 47 of 16 bits a number: the most that are at most 4 and 3 (their docstring's formula).
    "polarquant": lambda b: {4: {"first": 4, "others": 2}, 3: {"first": 3, "others": 1}}[b],
}
CODED = list(PLAIN)


def stream(n: int = 320, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal((n, d)).astype(np.float32) for d in (32, 32, 16))


def filled(name: str, **params: object) -> Compressor:
    one = adapt(CATALOG[name].cls)(SHAPE, **params)
    one.extend(*stream())
    return one


def test_every_quantiser_has_them() -> None:
    assert set(QUANTISERS) <= {n for n, one in CATALOG.items() if "k_bits" in one.params}
    assert set(QUANTISERS) <= {n for n, one in CATALOG.items() if "v_bits" in one.params}


@pytest.mark.parametrize(("k", "v"), [(4, 3), (3, 4)])
@pytest.mark.parametrize("name", CODED)
def test_keys_are_those_of_one_cache_and_values_those_of_another(name, k: int, v: int) -> None:
    mixed = filled(name, k_bits=k, v_bits=v)
    of_k, of_v = filled(name, **PLAIN[name](k)), filled(name, **PLAIN[name](v))
    assert np.array_equal(mixed.kept()[0], of_k.kept()[0])
    assert np.array_equal(mixed.kept()[1], of_v.kept()[1])
    assert not np.array_equal(mixed.kept()[0], of_v.kept()[0])
    assert len(mixed.save()) == mixed.message_bytes
    later = mixed.fresh()
    later.restore(mixed.save())
    assert later.save() == mixed.save()
    asked = stream(3, 5)
    loop = Compressor.next_outputs(mixed, *asked)
    assert np.allclose(mixed.next_outputs(*asked), loop, atol=1e-5)


@pytest.mark.parametrize("name", CODED)
def test_a_message_has_the_keys_of_one_and_the_values_of_the_other(name) -> None:
    # A length is a + k(b) + v(b): l(4, 3) + l(3, 4) = l(4, 4) + l(3, 3), whatever a, k and v are.
    length = {p: filled(name, k_bits=p[0], v_bits=p[1]).message_bytes for p in ((4, 3), (3, 4))}
    plain = [filled(name, **PLAIN[name](b)).message_bytes for b in (4, 3)]
    assert sum(length.values()) == sum(plain)
    # d_k is twice d_v, so the keys' bits cost twice as much as the values'.
    assert length[4, 3] > length[3, 4]


@pytest.mark.parametrize("name", ["quantized", "kivi", "turboquant", "skvq"])
def test_bits_of_one_leave_the_budget_to_the_other(name) -> None:
    # Keys of 4 bits take 32 * 4 of the 16 * (32 + 16) bits of a token, a sixth; scales come on top.
    chosen = [CATALOG[name].cls(SHAPE, int(s * SHAPE.cache_bits_16), k_bits=4) for s in (0.37, 0.5)]
    for one in chosen:
        one.extend(*stream())
    errors = [np.abs(one.kept()[1] - stream()[2]).mean() for one in chosen]
    assert np.array_equal(chosen[0].kept()[0][:8], chosen[1].kept()[0][:8])
    assert errors[1] < errors[0]


def test_a_key_in_fp16_beside_rounded_values() -> None:
    one = filled("kivi", k_bits=16, v_bits=2, residual=32)
    _, K, _ = stream()
    assert np.array_equal(one.kept()[0], K.astype(np.float16))
    assert np.array_equal(one.kept()[1], filled("kivi", bits=2, residual=32).kept()[1])
    # fp16 keys; 288 values of 2 bits with a scale and a zero in fp16, 32 in fp16; the count.
    assert one.message_bytes == 320 * 64 + 288 * (4 + 4) + 32 * 32 + 4


def test_a_sketch_has_signs_for_bits() -> None:
    one = filled("qjl", k_bits=3, v_bits=5)
    assert one.m == 3 * 32
    # A length and 96 signs; scale, zero and 16 numbers of 5 bits; the count.
    assert one.message_bytes == 320 * (2 + 12 + 4 + 10) + 4
    assert np.array_equal(one.kept()[0], filled("qjl", m=96).kept()[0])
    with pytest.raises(BadInput, match="give one of them"):
        filled("qjl", m=96, k_bits=3)
    with pytest.raises(BadInput, match="at least one projection"):
        filled("qjl", k_bits=0)


def test_grades_have_the_bits_and_half_of_them() -> None:
    named = filled("leankv", high="K6V3", low="K3V1")
    assert filled("leankv", k_bits=6, v_bits=3).save() == named.save()
    assert filled("leankv", k_bits=8).save() == filled("leankv").save()
    with pytest.raises(BadInput, match="leave k_bits and v_bits out"):
        filled("leankv", high="K8V4", k_bits=8)


@pytest.mark.parametrize("name", ["quantized", "kivi", "turboquant", "skvq", "leankv", "qjl"])
def test_bits_that_there_are_not(name) -> None:
    with pytest.raises(BadInput, match=r"A number has 1.* (or|to) .* bits, not 9"):
        filled(name, v_bits=9)


def test_angles_take_what_they_take() -> None:
    with pytest.raises(BadInput, match=r"2\.4375 bits or more"):
        filled("polarquant", k_bits=2)
    with pytest.raises(BadInput, match="leave first and others out"):
        filled("polarquant", first=3, k_bits=3, v_bits=3)


def test_bits_with_nothing_left_to_say() -> None:
    with pytest.raises(BadInput, match="leave one out"):
        pairs([(8, 8)], [8, 4], bits=8, k_bits=4, v_bits=4)
