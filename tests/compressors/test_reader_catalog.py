"""The list of readers says what the classes are; every name can be built and plans."""

from __future__ import annotations

import pytest
from kvbarrier.compressors import catalog
from kvbarrier.compressors.plugin.signature import Signature
from kvbarrier.compressors.readers import catalog as reader_catalog
from kvbarrier.compressors.readers.catalog import READERS, is_reader
from kvbarrier.compressors.readers.contract import Adaptive, NonAdaptive, Plan
from kvbarrier.compressors.readers.targets import resolve_reader
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import BadInput

NAMES = [
    "sampling", "window", "sinks", "strided", "fixed", "random-blocks", "big-bird",
    "greedy", "bisection", "bandit", "learned-order", "early-stopping",
    "minimax", "one-coordinate", "key-cells",
]  # fmt: skip


def test_names() -> None:
    assert list(READERS) == NAMES
    rows = reader_catalog.describe()
    assert [row["name"] for row in rows] == NAMES
    assert [row["name"] for row in rows if row["control"]] == NAMES[-3:]
    assert all(row["reads"] and row["source"] for row in rows)
    as_it_reads = [row["name"] for row in rows if row["chooses"] == "as it reads"]
    assert as_it_reads == NAMES[7:12]


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_true(name: str) -> None:
    entry = READERS[name]
    cls = entry.cls
    assert issubclass(cls, Adaptive if entry.adaptive else NonAdaptive)
    assert issubclass(cls, NonAdaptive) == hasattr(cls, "plan") == (not entry.adaptive)
    assert is_reader(cls)
    takes = Signature.of_constructor(cls)
    assert set(takes.names) == set(entry.params)
    built = resolve_reader(name).build()
    share = {"one-coordinate": 1.0}.get(name, 0.5)
    assert f"({share})" in entry.params["share"]
    if entry.adaptive:
        return
    plan = Plan.of(built.plan(65, 4, 7), 65, 4)
    assert 0 < plan.reads <= 2 * 65 * 4


@pytest.mark.parametrize("name", [name for name in NAMES if name not in catalog.names()])
def test_a_reader_is_no_compressor_and_is_told_where_it_plays(name: str) -> None:
    with pytest.raises(BadInput, match=f"{name} is a reader .* --reduction indisting"):
        resolve(name)


def test_a_pattern_is_a_reader_and_a_cache_by_one_name() -> None:
    # big-bird is both: attack asks the one that its reduction is about.
    assert "big-bird" in NAMES
    assert resolve("big-bird").name == "big-bird"


def test_files_are_told_apart(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "reads_only.py").write_text(
        "class Reads:\n    def plan(self, n, d, seed): return []\n"
        "    def answer(self, q, reader): return q\n"
    )
    (tmp_path / "keeps_only.py").write_text(
        "class Keeps:\n    def append(self, q, k, v): ...\n    def attend(self, q): return q\n"
    )
    for form in ("", ":Reads"):
        with pytest.raises(BadInput, match="is a reader"):
            resolve(f"{tmp_path}/reads_only.py{form}")
        assert resolve_reader(f"{tmp_path}/reads_only.py{form}").name == "reads_only.py:Reads"
    for form in ("", ":Keeps"):
        with pytest.raises(BadInput, match=r"is a compressor: .* attack it without --reduction"):
            resolve_reader(f"{tmp_path}/keeps_only.py{form}")
    for name in ("reads_only", "keeps_only"):
        del sys.modules[name]
