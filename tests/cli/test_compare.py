"""Targets side by side: the same secrets, the Pareto set, what is left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ten_line_cache.py"
SMALL = ("-n", "32", "-d", "16", "--keys", "hypercube", "-m", "4")


def rows(said) -> list[dict]:
    assert said.code == 0, said.err
    return json.loads(said.out)["rows"]


def test_two_files_of_one_code_meet_the_same_secrets(kvbarrier, tmp_path) -> None:
    for name in ("one.py", "two.py"):
        shutil.copy(EXAMPLE, tmp_path / name)
    found = rows(kvbarrier("compare", "one.py", "two.py", *SMALL, "-b", "1", "--json"))
    assert [row["target"] for row in found] == ["one.py", "two.py"]
    # About 512 of the 1,024 bits asked in each basis are guessed: by luck they are not alike twice.
    one, two = ([p["wrong_bits"] for p in row["points"]] for row in found)
    assert one == two


def test_the_marked_rows_are_those_that_nobody_beats(kvbarrier) -> None:
    play = ("compare", "sliding-window", "quantized?bits=4", "zero", *SMALL, "-b", "1/2,1")
    found = rows(kvbarrier(*play, "--json"))
    marks = {(row["target"], row["budget"]): row["pareto"] for row in found}
    # Nothing is smaller than nothing; 4 bits lose less than half of the tokens and cost less.
    assert marks["zero", 0.5]
    assert marks["quantized?bits=4", 0.5]
    assert not marks["sliding-window", 1.0]
    # zero has one size, so its second budget is no other setting.
    assert ("zero", 1.0) not in marks
    memory = [row["bits_per_number"] for row in found]
    assert memory == sorted(memory)
    assert " *" in kvbarrier(*play).out


def test_the_most_memory_is_held_to(kvbarrier) -> None:
    most = ("--max-bits-per-number", "5")
    found = rows(kvbarrier("compare", "sliding-window", *SMALL, *most, "--json"))
    assert found
    assert all(row["bits_per_number"] <= 5 for row in found)
    said = kvbarrier("compare", "exact", *SMALL, "-b", "free", *most)
    assert (said.code, "the smallest takes" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("zero", "zero"), "named twice"),
        (("zero", "--out", "a.txt"), "ends in .png, .svg or .pdf"),
        (("zeroo",), "Did you mean 'zero'?"),
        ((), "TARGETS"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(kvbarrier, words, says) -> None:
    said = kvbarrier("compare", *words)
    assert said.code == 2
    assert says in said.err
