"""Instances and cells: what is in an id, what is not, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from fractions import Fraction

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.game.cell import Cell, target_name
from kvbarrier.protocols.game.instances import Index, Tensor, instance_of

BASE = Index(n=32, d=16)


def test_the_id_is_the_hash_of_the_canonical_spec():
    text = (
        '{"d":16,"eta":0.5,"gamma":null,"keys":"jl","keys_seed":0,"n":32,"reduction":"index",'
        '"rows":null,"scale":"tight","values":"01"}'
    )
    assert json.loads(text) == BASE.spec()
    assert BASE.id == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "change",
    [
        {"n": 64},
        {"d": 8},
        {"keys": "hypercube"},
        {"keys_seed": 1},
        {"values": "pm1"},
        {"eta": 0.25},
        {"eta": None, "gamma": 0.1},
        {"scale": "closed"},
        {"scale": 9.0},
        {"rows": 16},
    ],
)
def test_every_field_is_in_the_id(change):
    assert dataclasses.replace(BASE, **change).id != BASE.id


def test_equal_numbers_of_other_types_are_the_same_instance():
    same = Index(n=np.int64(32), d=np.int32(16), eta=np.float64(0.5), keys_seed=np.int8(0))
    assert same == BASE
    assert same.id == BASE.id
    assert Index(32, 16, scale=9).id == Index(32, 16, scale=9.0).id


def test_secrets_do_not_depend_on_the_compressor():
    a = Cell(BASE, "exact", budget=Fraction(1, 4))
    b = Cell(BASE, "zero", params=(("x", 1),), budget=Fraction(1, 2))
    assert a.instance.id == b.instance.id
    assert a.id != b.id


@pytest.mark.parametrize(
    "change",
    [
        {"target": "zero"},
        {"params": (("keep", 3),)},
        {"budget": Fraction(1, 3)},
        {"budget": None},
        {"batch_size": 4},
        {"instance": Index(n=64, d=16)},
    ],
)
def test_every_field_is_in_the_cells_id(change):
    cell = Cell(BASE, "exact", budget=Fraction(1, 4))
    assert dataclasses.replace(cell, **change).id != cell.id


def test_a_cells_id_forgets_the_folder_and_the_order_of_parameters():
    a = Cell(BASE, "here/mine.py:Mine", params=(("a", 1), ("b", 2)))
    b = Cell(BASE, "/there/mine.py:Mine", params=(("b", 2), ("a", 1)))
    assert a.id == b.id
    assert json.loads(json.dumps(a.spec())) == a.spec()
    assert target_name("x/y.py:Z?a=b/c") == "y.py:Z?a=b/c"
    assert target_name("package.module:Class") == "package.module:Class"


def test_the_budget_is_a_fraction_of_the_16_bit_cache_rounded_down():
    # 16 bits * 32 tokens * (16 + 16) numbers = 16384; a third of it is 5461.33
    assert Cell(BASE, "exact", budget=Fraction(1, 3)).budget_bits == 5461
    assert Cell(BASE, "exact", budget=Fraction(2)).budget_bits == 32768
    assert Cell(BASE, "exact").budget_bits is None
    assert Cell(BASE, "exact", budget=0.25).budget == Fraction(1, 4)


@pytest.mark.parametrize("budget", [0, Fraction(-1, 2), Fraction(201, 100)])
def test_impossible_budgets_are_refused(budget):
    with pytest.raises(BadInput, match="fraction of the 16-bit cache"):
        Cell(BASE, "exact", budget=budget)


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ({"values": "10"}, "choice of values '10'"),
        ({"eta": None}, "exactly one"),
        ({"gamma": 0.1}, "exactly one"),
        ({"rows": 0}, "give 16 to 32"),
        ({"rows": 33}, "give 16 to 32"),
        ({"scale": "tigth"}, "Did you mean 'tight'"),
        ({"reduction": "indx"}, "Did you mean 'index'"),
    ],
)
def test_bad_instances_are_refused(bad, match):
    with pytest.raises(BadInput, match=match):
        instance_of(BASE.spec() | bad)


def test_the_tensor_reduction_has_keys_of_its_own():
    tensor = Tensor(n=16, d=16)
    assert (tensor.keys_played, BASE.keys_played) == ("quadratic-form", "jl")
    for change in ({"keys": "hypercube"}, {"keys_seed": 1}):
        with pytest.raises(BadInput, match=r"The tensor reduction has no --(keys|seed)"):
            instance_of(tensor.spec() | change)


@pytest.mark.parametrize(
    ("sizes", "hint"),
    [
        ({"n": 40}, "not 40: take --n 32"),
        ({"n": 16, "reduction": "tensor"}, "not 30: take --n 9"),
        ({"n": 60, "reduction": "sliding-window", "window": 40}, "not 39: take --window 33"),
        ({"n": 30, "reduction": "visual"}, "not 30: leave --rows out"),
    ],
)
def test_sampled_rows_name_a_size_that_has_them(sizes, hint):
    with pytest.raises(BadInput, match=hint):
        instance_of({"d": 16, "rows": 16, **sizes})


def test_other_bad_cells_are_refused():
    with pytest.raises(BadInput, match="must have 1 message or more"):
        Cell(BASE, "exact", batch_size=0)
    with pytest.raises(BadInput, match="a number or a word"):
        Cell(BASE, "exact", params=(("a", [1]),))


def test_the_reduction_is_built_once_with_the_instances_own_settings():
    instance = Index(n=32, d=16, keys="hypercube", values="pm1", eta=0.25)
    built = instance.build()
    assert instance.build() is built
    assert Index(n=32, d=16, keys="hypercube", values="pm1", eta=0.25).build() is built
    public = built.public()
    assert public["keys"].shape == (32, 16)
    assert (public["values"], public["eta"]) == ("pm1", 0.25)
    with pytest.raises(BadInput):
        Index(n=8, d=16).build()
