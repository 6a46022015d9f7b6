"""What docstrings say of their papers: the form, and that every algorithm of the zoo says it."""

from __future__ import annotations

import pytest
from kvbarrier.compressors import catalog
from kvbarrier.compressors.docstring import fidelity, mechanisms
from kvbarrier.compressors.zoo import FAMILIES, ZOO

NAMES = [name for kind in ZOO for name in FAMILIES[kind]]


@pytest.mark.parametrize("name", NAMES)
def test_every_algorithm_says_what_it_took_over(name: str) -> None:
    entry = catalog.entry(name)
    listed = mechanisms(entry.cls)
    assert listed
    for one in listed:
        assert one.status == "implemented" or one.why, one.name
    assert entry.assumes
    assert entry.broken_by
    assert any(char.isdigit() for char in entry.source)  # a year
    if entry.settings:
        assert len(entry.settings) >= 5
        assert all(set(setting) <= set(entry.params) for setting in entry.settings)
    assert bool(entry.own_size) == bool(entry.own_size_reason)
    row = next(row for row in catalog.describe() if row["name"] == name)
    assert row["fidelity"] == fidelity(entry.cls) in ("faithful", "adapted")


def made(text: str) -> type:
    return type("Made", (), {"__doc__": f"Something.\n\n    Mechanisms:\n{text}"})


def test_faithful_is_what_leaves_nothing_out() -> None:
    kept = "        a: implemented.\n        b: not meaningful here, no positions.\n"
    assert fidelity(made(kept)) == "faithful"
    assert fidelity(made(kept + "        c: left out, it needs training.\n")) == "adapted"
    assert fidelity(made(kept + "        c: adapted, by halves.\n")) == "adapted"
    assert fidelity(catalog.entry("zero").cls) is None


def test_a_long_line_wraps_and_the_next_part_ends_it() -> None:
    [one] = mechanisms(made("        a: left out, because it\n            is long.\n\n    Note:\n"))
    assert (one.name, one.status, one.why) == ("a", "left out", "because it is long")


@pytest.mark.parametrize("line", ["        a: perhaps.\n", "        nothing said.\n"])
def test_another_form_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="write 'name: status"):
        mechanisms(made(line))
