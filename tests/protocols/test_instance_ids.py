"""Ids of instances and cells as version 0.1.0 computed them: secrets and results hang on them.

Of several bits in a key the id is a later one: they are read in another way since. The average case
is later as well.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.game.cell import Cell, cell_of
from kvbarrier.protocols.game.instances import CLASSES, Index, instance_of
from kvbarrier.reductions import REDUCTIONS

#: the fields said, the instance's id, the id of the cell that plays "exact" on it
GOLDEN: list[tuple[dict[str, Any], str, str]] = [
    ({"n": 512, "d": 64}, "1b2a39e9526f8b91", "11cbc3f668b105e7"),
    ({"n": 512, "d": 64, "keys": "kerdock"}, "ec522eefcae35ce8", "64176ef45e7f0e06"),
    (
        {"n": 256, "d": 16, "keys": "hypercube", "keys_seed": 3},
        "524ae72bc4810ebb",
        "c93bd28705b206f6",
    ),
    (
        {"n": 64, "d": 32, "values": "pm1", "eta": None, "gamma": 0.01},
        "318615d28d9feb1c",
        "4dcfd647d0fa3752",
    ),
    ({"n": 64, "d": 32, "scale": "paper"}, "1e0632ce3a44bd61", "8d07265775587f8c"),
    ({"n": 64, "d": 32, "scale": 12}, "2354bab4d2daf020", "5876c571144a71e0"),
    ({"n": 64, "d": 32, "rows": 16}, "5357e115f08294a9", "167b47dec5ef6944"),
    ({"n": 64, "d": 32, "layers": 2, "heads": 3}, "25ece83efed63941", "6d96c36e108a325c"),
    (
        {"n": 64, "d": 32, "queries": "decoy", "basis": "rotated"},
        "771e95d6e0a6557b",
        "470fcd07baa4d507",
    ),
    ({"n": 64, "d": 32, "queries": "self"}, "dcfd58e96435cf46", "53d4f7f8f831359d"),
    ({"n": 64, "d": 32, "levels": 16, "eta": 0.1}, "bed47c20ab2f3739", "922b361bf8f7ef0a"),
    (
        {"n": 64, "d": 32, "levels": 4, "eta": None, "gamma": 0.05},
        "a9f149cfe52f5bdf",
        "cc4f98f158e0712f",
    ),
    (
        {"n": 64, "d": 32, "eta": None, "gamma": 0.01, "bob": "linear"},
        "8e0cf40c79a706ad",
        "19bc2e78c7e5c34c",
    ),
    ({"n": 64, "d": 32, "bob": "linear"}, "06a49e399d29de3a", "a2c9391535022459"),
    ({"n": 256, "d": 16, "reduction": "heavy-hitters"}, "edcd6292449c492a", "913d540772cd6b65"),
    (
        {"n": 256, "d": 16, "reduction": "clusters", "keys": "bch"},
        "5ce6d7e0338a3fdb",
        "490f5355d8af2afb",
    ),
    (
        {"n": 256, "d": 16, "reduction": "recency", "rows": 32},
        "8425a2b7f644da03",
        "2802196510e26944",
    ),
    (
        {"n": 96, "d": 16, "reduction": "sliding-window", "window": 33},
        "eb70ca3e9203daec",
        "d95c0b19575a685d",
    ),
    (
        {
            "n": 96,
            "d": 16,
            "reduction": "sliding-window",
            "window": 33,
            "keys": "kerdock",
            "rows": 16,
        },
        "614cd61a3121ce77",
        "bd8d368b440cdef6",
    ),
    ({"n": 17, "d": 64, "reduction": "tensor"}, "9da81eaab25d16f9", "8dfce71f858c63ea"),
    (
        {"n": 17, "d": 64, "reduction": "tensor", "eta": 0.25, "scale": 30.0},
        "782e076747110d45",
        "a9cb32abe1c83a46",
    ),
    ({"n": 30, "d": 16, "reduction": "visual"}, "c87d584718d138d6", "312004bdc6a7e840"),
    (
        {"n": 424, "d": 64, "reduction": "visual", "keys": "rm2"},
        "c2f997fa4473b305",
        "51e38dc5d0466c65",
    ),
    ({"n": 64, "d": 16, "reduction": "key-payload"}, "ba1aed667a093c18", "1f5efac288b34bb4"),
    (
        {"n": 64, "d": 16, "reduction": "key-payload", "key_bits": 3, "eta": 0.3},
        "fa5a64b7733d34a2",
        "a9b9cbcbc0a9c9e4",
    ),
    (
        {"n": 64, "d": 32, "reduction": "gaussian", "beta": 1.5},
        "0882d3244e49e77f",
        "b54add8de4140179",
    ),
]


@pytest.mark.parametrize(("said", "instance_id", "cell_id"), GOLDEN, ids=[g[1] for g in GOLDEN])
def test_ids_outlive_the_classes(said: dict[str, Any], instance_id: str, cell_id: str) -> None:
    instance = instance_of(said)
    assert instance.id == instance_id
    cell = Cell(instance, "exact")
    assert cell.id == cell_id
    assert cell_of(cell.spec()) == cell


def test_an_old_spec_says_every_field_and_is_the_same_instance() -> None:
    # As a row of 0.1.0 has it: what a reduction does not let one choose stands there too.
    spec = {
        "d": 64, "eta": 0.5, "gamma": None, "keys": "jl", "keys_seed": 0, "n": 17,
        "reduction": "tensor", "rows": None, "scale": "tight", "values": "01",
    }  # fmt: skip
    assert instance_of(spec) == instance_of({"n": 17, "d": 64, "reduction": "tensor"})


def test_every_reduction_has_a_class_and_no_class_a_field_that_another_refuses() -> None:
    assert list(CLASSES) == list(REDUCTIONS)
    assert [f.name for f in fields(Index)][:2] == ["n", "d"]
    with pytest.raises(BadInput, match="tensor reduction has no --window 9, which is for --reduc"):
        instance_of({"n": 17, "d": 64, "reduction": "tensor", "window": 9})
    with pytest.raises(BadInput, match=r"The linear Bob has no --heads 2.*: leave it out\."):
        instance_of({"n": 64, "d": 32, "bob": "linear", "heads": 2})
    with pytest.raises(BadInput, match="no field 'colour'"):
        instance_of({"n": 64, "d": 32, "colour": 2})
