"""A claim above its check: what the check is given, and the order in which claims are collected."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.experiments.kit.experiment import Judgement, claim, claims_of, judge


class Text:
    """A file that is handed over as its text."""

    name = "b.txt"

    def read(self, folder: Path) -> str:
        return (folder / self.name).read_text()


@claim("a.b", "observation", "ours", "a.csv", Text())
def as_long(table: pd.DataFrame, text: str) -> Judgement:
    """The table is as long
    as the text.

    And more, which is not in the table of claims.
    """
    return judge(len(table) == len(text), f"{len(table)} rows, {text}")


@claim("a.a", "Theorem 5", "paper", Text(), Text(), preregistered=False)
def twice(one: str, other: str) -> Judgement:
    """At most .121."""
    return judge(one == other, one + other)


def test_a_check_is_given_its_data_in_their_order(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1, 2]}).to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "b.txt").write_text("ab")
    assert as_long.check(tmp_path) == Judgement("holds", "2 rows, ab")
    (tmp_path / "b.txt").write_text("abc")
    assert as_long.check(tmp_path) == Judgement("fails", "2 rows, abc")


def test_a_missing_table_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run the experiment first"):
        as_long.check(tmp_path)


def test_a_claim_says_what_the_decorator_says() -> None:
    assert (as_long.name, as_long.about, as_long.source) == ("a.b", "observation", "ours")
    assert as_long.data == ("a.csv", "b.txt")
    assert as_long.sentence == "The table is as long as the text"
    assert twice.data == ("b.txt",)
    assert twice.sentence == "At most .121 (threshold set after the first data)"


def test_claims_come_in_the_order_in_which_they_are_written() -> None:
    first, second = ModuleType("first"), ModuleType("second")
    vars(first).update(LEVEL=0.95, z=as_long, judge=judge)
    vars(second).update(a=twice)
    assert claims_of(first, second) == (as_long, twice)
    assert claims_of(second, first) == (twice, as_long)
