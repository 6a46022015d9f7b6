"""The store: round trips, tears at every byte, merging laws, locks, and its sentences."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kvbarrier.errors import BadInput, ResultsConflict
from kvbarrier.protocols.evidence.row_counts import counts_of, text_of
from kvbarrier.protocols.evidence.verdicts import PointVerdict
from kvbarrier.protocols.game.cell import Cell, cell_of
from kvbarrier.protocols.game.instances import KeyPayload
from kvbarrier.runs import faults
from kvbarrier.runs.points import judge_all, judge_rows
from kvbarrier.runs.results import ResultsFile, ResultsWarning, read_results, write_results
from kvbarrier.runs.row_reading import read_lines
from kvbarrier.runs.rows import COLUMNS, HEADER, BatchRow, csv_line, newest, prefixes, union

Row = Callable[..., BatchRow]
MakeCell = Callable[..., Cell]


def fill(path: Path, rows: list[BatchRow]) -> bytes:
    with ResultsFile(path) as store:
        for row in rows:
            store.append(row)
    return path.read_bytes()


def test_rows_come_back_as_they_were(tmp_path: Path, row: Row, cell: MakeCell) -> None:
    rows = [row(cell(), 0), row(cell("fails"), 0, failed=('a "b", c\nd', None, None, "ü")),
            row(cell(budget=None), 2, key="regress", streaming=False)]  # fmt: skip
    fill(tmp_path / "r.csv", rows)
    assert read_results(tmp_path / "r.csv") == rows


def test_the_file_is_plain_csv_with_the_promised_columns(
    tmp_path: Path, row: Row, cell: MakeCell
) -> None:
    one = row(cell("fails"))
    fill(tmp_path / "r.csv", [one])
    with (tmp_path / "r.csv").open(newline="") as file:
        (entry,) = list(csv.DictReader(file))
    assert list(entry) == list(COLUMNS)
    assert entry["schema"] == "3"
    # 32 rows, two a bucket, with the wrong bits of that bucket: plain characters up to 61.
    texts = json.loads(entry["wrong_by_row"])
    assert [int(counts_of(text).sum()) for text in texts] == json.loads(entry["wrong"])
    assert {len(counts_of(text)) for text in texts} == {32}
    assert json.loads(entry["wrong"]) == [sum(w) for w in one.wrong_by_age]
    assert json.loads(entry["asked"]) == [32 * 16] * 4
    assert json.loads(entry["charged"])[0] == 64
    assert json.loads(entry["failed"])[0] == "Alice raised: no."
    assert json.loads(entry["spec"])["instance"]["n"] == 32
    assert entry["secret"] == "512"
    assert (entry["key"], entry["isolation"], entry["streaming"]) == (
        "experiments",
        "inline",
        "yes",
    )


def test_torn_at_every_byte(
    tmp_path: Path, row: Row, cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "fsync", lambda fd: None)  # three thousand of them
    rows = [row(cell(batch_size=1), 0), row(cell("fails", batch_size=1), 0)]
    whole = fill(tmp_path / "whole.csv", rows)
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    assert len(ends) == 3
    for cut in range(len(whole) + 1):
        path = tmp_path / "torn.csv"
        path.write_bytes(whole[:cut])
        complete = max(0, sum(end <= cut for end in ends) - 1)
        torn = cut not in [0, *ends]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert read_results(path) == rows[:complete]
        assert len(caught) == torn
        assert path.read_bytes() == whole[:cut]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with ResultsFile(path) as store:
                assert store.rows == rows[:complete]
                for missing in rows[complete:]:
                    store.append(missing)
        assert [w.category for w in caught] == [ResultsWarning] * torn
        assert path.read_bytes() == whole


def test_opening_a_finished_file_leaves_it_alone(tmp_path: Path, row: Row, cell: MakeCell) -> None:
    whole = fill(tmp_path / "r.csv", [row(cell(), b) for b in range(3)])
    assert fill(tmp_path / "r.csv", [row(cell(), b) for b in range(3)]) == whole


def test_an_empty_file_and_a_missing_folder_are_filled_in(
    tmp_path: Path, row: Row, cell: MakeCell
) -> None:
    (tmp_path / "empty.csv").touch()
    whole = fill(tmp_path / "empty.csv", [row(cell())])
    assert fill(tmp_path / "a" / "b" / "new.csv", [row(cell())]) == whole


def test_files_joined_with_cat_are_read(tmp_path: Path, row: Row, cell: MakeCell) -> None:
    a = fill(tmp_path / "a.csv", [row(cell(), 0), row(cell(), 1)])
    b = fill(tmp_path / "b.csv", [row(cell(), 1), row(cell(), 2)])
    (tmp_path / "ab.csv").write_bytes(a + b)
    assert [r.batch for r in read_results(tmp_path / "ab.csv")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("a,b\n1,2\n", "is not a results file"), ("no csv at all", "is not a results file"),
     ("\x89PNG\n", "is not a results file"), ("schema,instance,other\n", "schema later than 3")],
)  # fmt: skip
def test_another_file_is_refused_and_left_alone(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=sentence):
        read_results(path)
    with pytest.raises(BadInput, match=sentence), ResultsFile(path):
        pass
    assert path.read_text() == text


def test_a_row_of_another_schema_is_refused(tmp_path: Path, row: Row, cell: MakeCell) -> None:
    (tmp_path / "r.csv").write_text(HEADER + "4" + row(cell()).line()[1:])
    with pytest.raises(BadInput, match=r"r.csv, line 2, .*schema is 4.*1, 2, 3.*use a new one"):
        read_results(tmp_path / "r.csv")


def of_schema_1(row: BatchRow) -> str:
    """The line that the program wrote before it counted by row: without its last two fields."""
    values = next(csv.reader([row.line()]))
    return csv_line(["1", *values[1:-3]])


def of_schema_2(row: BatchRow) -> str:
    """The line of the program that counted by row, and not yet by place."""
    values = next(csv.reader([row.line()]))
    return csv_line(["2", *values[1:-2]])


HEADER_1 = HEADER.replace(",wrong_by_row,declares,wrong_by_place", "")
HEADER_2 = HEADER.replace(",declares,wrong_by_place", "")


def test_a_file_of_schema_1_is_read_and_goes_on(tmp_path: Path, row: Row, cell: MakeCell) -> None:
    path, old = tmp_path / "r.csv", HEADER_1
    rows = [row(cell(), batch) for batch in range(3)]
    before = old + of_schema_1(rows[0])
    path.write_text(before)
    assert read_results(path) == [replace(rows[0], wrong_by_row=None, wrong_by_place=None)]
    # Opening it, and playing what is there, leaves the file as it was, byte for byte.
    assert fill(path, [rows[0]]).decode() == before
    # What is new stands below a header of its own, as if two files had been joined.
    after = fill(path, rows).decode()
    assert after == before + HEADER + rows[1].line() + rows[2].line()
    assert [one.wrong_by_row is None for one in read_results(path)] == [True, False, False]
    assert judge_rows(read_results(path)).row_messages == 8
    with path.open("a") as file:
        file.write(of_schema_1(row(cell(), 3)))  # joined the other way round
    assert len(read_results(path)) == 4


def test_a_declaration_is_kept_and_a_file_without_one_is_read(
    tmp_path: Path, row: Row, cell: MakeCell
) -> None:
    one = replace(row(cell()), declares=("keeps=last:8", "bits=3"))
    fill(tmp_path / "r.csv", [one])
    assert read_results(tmp_path / "r.csv") == [one]
    before = HEADER_2 + of_schema_2(one)
    (tmp_path / "old.csv").write_text(before)
    assert read_results(tmp_path / "old.csv") == [replace(one, declares=None, wrong_by_place=None)]
    # The same batch under another declaration is the same batch.
    assert union([one], [replace(one, declares=None)]) == union(
        [replace(one, declares=None)], [one]
    )


@pytest.mark.parametrize(
    "words", ['["keeps=some"]', "[3]", '"keeps=all"', '["keeps=all","keeps=all"]']
)
def test_a_row_with_no_declaration_in_its_place_is_refused(
    tmp_path: Path, row: Row, cell: MakeCell, words: str
) -> None:
    values = next(csv.reader([row(cell()).line()]))
    (tmp_path / "r.csv").write_text(HEADER + csv_line([*values[:-2], words, values[-1]]))
    with pytest.raises(BadInput, match="line 2, is not a results row"):
        read_results(tmp_path / "r.csv")


def test_a_file_of_schema_2_is_read_and_goes_on(tmp_path: Path, row: Row, cell: MakeCell) -> None:
    path = tmp_path / "r.csv"
    rows = [row(cell(), batch) for batch in range(2)]
    before = HEADER_2 + of_schema_2(rows[0])
    path.write_text(before)
    assert read_results(path) == [replace(rows[0], wrong_by_place=None)]
    assert fill(path, [rows[0]]).decode() == before
    assert fill(path, rows).decode() == before + HEADER + rows[1].line()
    assert [one.wrong_by_place is None for one in read_results(path)] == [True, False]


def test_a_row_with_counts_by_place_stays_when_files_merge(row: Row, cell: MakeCell) -> None:
    one = row(cell())
    bare = replace(one, wrong_by_place=None, seconds=0.0)
    assert union([bare], [one]) == union([one], [bare]) == [one]
    channels, heads, values = one.wrong_by_place or ("", "", "")
    turned = text_of(counts_of(channels)[::-1])
    assert turned != channels
    with pytest.raises(ResultsConflict, match="is not deterministic"):
        union([one], [replace(one, wrong_by_place=(turned, heads, values))])


def test_a_batch_counts_by_place_without_its_failed_messages(row: Row, cell: MakeCell) -> None:
    one = row(cell("fails"))
    told = sum(w for w, failed in zip(one.wrong, one.failed, strict=True) if failed is None)
    assert told < sum(one.wrong)
    assert [int(counts_of(text).sum()) for text in one.wrong_by_place or ()] == [told] * 3


def test_the_committed_baseline_begins_in_schema_1_and_stands() -> None:
    from kvbarrier.runs.baseline import path

    assert path("regress").read_text().startswith(HEADER_1)
    # What was added later follows below a second header, with its counts by row.
    rows = [one for one in read_results(path("regress")) if one.wrong_by_row is None]
    assert len(rows) == 220
    point = judge_rows([one for one in rows if one.cell == rows[0].cell])
    assert point.row_messages == 0
    assert "uses age buckets only" in point.sentences()[1]


def test_a_torn_line_below_the_second_header(tmp_path: Path, row: Row, cell: MakeCell) -> None:
    path = tmp_path / "r.csv"
    before = (HEADER_1 + of_schema_1(row(cell(), 0))).encode()
    appended = (HEADER + row(cell(), 1).line()).encode()
    for end in (1, len(HEADER) - 1, len(HEADER), len(HEADER) + 9, len(appended) - 1):
        path.write_bytes(before + appended[:end])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResultsWarning)
            fill(path, [row(cell(), 1)])
        assert path.read_bytes() == before + appended


def test_a_row_with_counts_by_row_stays_when_files_merge(row: Row, cell: MakeCell) -> None:
    one = row(cell())
    bare = replace(one, wrong_by_row=None, seconds=0.0)
    assert union([bare], [one]) == union([one], [bare]) == [one]
    assert one.wrong_by_row is not None
    # The same totals in other rows.
    turned = tuple(text_of(counts_of(text)[::-1]) for text in one.wrong_by_row)
    with pytest.raises(ResultsConflict, match="is not deterministic"):
        union([one], [replace(one, wrong_by_row=turned)])


def test_counts_by_row_say_how_many_rows_were_asked(row: Row, cell: MakeCell) -> None:
    one = row(cell())
    with pytest.raises(BadInput, match="33 rows, where 32 rows of 16 bits were asked"):
        judge_rows([replace(one, wrong_by_row=(*(one.wrong_by_row or ())[:-1], "[33]"))])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [(lambda f: f.__setitem__("wrong", "[1,1,1,1]"), "totals are not the sums"),
     (lambda f: f.__setitem__("charged", "[1,2]"), "lists differ in length"),
     (lambda f: f.__setitem__("charged", "[1,2,3,-4]"), "not a count"),
     (lambda f: f.__setitem__("charged", "{}"), "not a list"),
     (lambda f: f.__setitem__("batch", "-1"), "not a whole number"),
     (lambda f: f.__setitem__("secret", "7"), "more than the secret has"),
     (lambda f: f.__setitem__("cell", "0123456789abcdef"), "ids do not match its spec"),
     (lambda f: f.__setitem__("streaming", "maybe"), "maybe"),
     (lambda f: f.__setitem__("failed", "[1,null,null,null]"), "not a sentence"),
     (lambda f: f.__setitem__("wrong_by_row", '["[32]","[32]","[32]","[32]"]'), "sums over rows"),
     (lambda f: f.__setitem__("wrong_by_row", '["[32]","[32]","[32]"]'), "lists differ in length"),
     (lambda f: f.__setitem__("wrong_by_row", '["-","-","-","-"]'), "how many bits of each row"),
     (lambda f: f.__setitem__("wrong_by_place", '["[16]","0","00"]'), "sums over channels"),
     (lambda f: f.__setitem__("wrong_by_place", '["[16]","0"]'), "by channel, by layer and head"),
     (lambda f: f.__setitem__("wrong_by_place", '["-","0","00"]'), "how many bits"),
     (lambda f: f.__setitem__("wrong_by_place", "7"), "not a list"),
     (lambda f: f.pop("host"), "22 fields instead of 23")],
)  # fmt: skip
def test_a_damaged_row_is_named_by_its_line(
    tmp_path: Path,
    row: Row,
    cell: MakeCell,
    change: Callable[[dict[str, str]], None],
    sentence: str,
) -> None:

    fields = dict(zip(COLUMNS, next(csv.reader([row(cell(), 1).line()])), strict=True))
    change(fields)
    lines = [HEADER, row(cell(), 0).line(), csv_line(list(fields.values()))]
    (tmp_path / "r.csv").write_text("".join(lines))
    with pytest.raises(BadInput, match=rf"line 3, .*{sentence}"):
        read_results(tmp_path / "r.csv")


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"There is no results file .*: check the name"):
        read_results(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="could not be opened"), ResultsFile(tmp_path):
        pass


def test_a_second_writer_is_kept_out_at_once(tmp_path: Path, row: Row, cell: MakeCell) -> None:
    path = tmp_path / "r.csv"
    code = (
        "import sys\n"
        "from kvbarrier.errors import BadInput\n"
        "from kvbarrier.runs.results import ResultsFile\n"
        "try:\n"
        "    ResultsFile(sys.argv[1]).__enter__()\n"
        "except BadInput as error:\n"
        "    print(error)\n"
    )
    with ResultsFile(path) as store:
        store.append(row(cell()))
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
        assert "is being written by another run: wait for it to end" in done.stdout
        began = time.monotonic()
        with pytest.raises(BadInput, match="another run"), ResultsFile(path):
            pass
        assert time.monotonic() - began < 1.0
        store.append(row(cell(), 1))
    assert len(fill(path, [])) > 0
    assert len(read_results(path)) == 2


# -- merging --------------------------------------------------------------------------------------


def test_equal_counts_merge_and_times_do_not_matter(row: Row, cell: MakeCell) -> None:
    slow = row(cell(), seconds=9.0, host='{"cpu":"b"}', isolation="process")
    fast = row(cell(), seconds=1.0)
    assert union([slow], [fast]) == union([fast], [slow])
    assert len(union([slow], [fast])) == 1


def test_different_counts_name_the_nondeterministic_compressor(row: Row, cell: MakeCell) -> None:
    one = row(cell("exact"))
    other = row(cell("exact"), charged=tuple(c + 1 for c in one.charged))
    with pytest.raises(ResultsConflict, match="'exact' is not deterministic"):
        union([one], [other])


def test_different_fresh_keys_are_two_attacks(row: Row, cell: MakeCell) -> None:
    one, other = row(cell(), key="experiments"), row(cell(), key="regress")
    with pytest.raises(ResultsConflict, match="two independent attacks: keep them in separate"):
        union([one], [other])


def test_appending_a_conflict_changes_nothing(tmp_path: Path, row: Row, cell: MakeCell) -> None:
    whole = fill(tmp_path / "r.csv", [row(cell())])
    with ResultsFile(tmp_path / "r.csv") as store, pytest.raises(ResultsConflict):
        store.append(row(cell(), payload=(1, 2, 3, 4)))
    assert (tmp_path / "r.csv").read_bytes() == whole


def made() -> Any:
    """The makers of rows, for what is made before there are fixtures."""
    from importlib import util

    place = Path(__file__).with_name("conftest.py")
    spec = util.spec_from_file_location("experiments_conftest", place)
    assert spec is not None
    assert spec.loader is not None
    helpers = util.module_from_spec(spec)
    spec.loader.exec_module(helpers)
    return helpers


HELPERS = made()


def pool() -> list[BatchRow]:
    """Rows of two cells, three batches, two timings each: collections to merge."""
    helpers = HELPERS
    return [
        helpers.make_row(helpers.make_cell(target, batch_size=1), batch, seconds=seconds)
        for target in ("exact", "fails") for batch in range(3) for seconds in (0.5, 1.5)
    ]  # fmt: skip


POOL = pool()
collections = st.lists(st.sampled_from(POOL), max_size=8)


@settings(max_examples=60, deadline=None)
@given(collections, collections, collections)
def test_merging_is_a_semilattice(a: list[BatchRow], b: list[BatchRow], c: list[BatchRow]) -> None:
    assert union(a, b) == union(b, a)
    assert union(union(a, b), c) == union(a, union(b, c))
    assert union(a, a) == union(a)
    assert {r.id for r in union(a, b)} == {r.id for r in a} | {r.id for r in b}
    assert union(union(a, b)) == union(a, b)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 32), min_size=16, max_size=16),
            st.integers(0, 2**33),
            st.integers(0, 2**30),
            st.none() | st.text(),
        ),
        min_size=1,
        max_size=6,
    ),
    st.floats(0, 1e9),
)
def test_any_row_survives_its_line(
    messages: list[tuple[list[int], int, int, str | None]], seconds: float
) -> None:
    wrong, charged, payload, failed = zip(*messages, strict=True)
    played = HELPERS.make_row(HELPERS.make_cell(batch_size=len(messages)))
    fields = {name: getattr(played, name) for name in played.__dataclass_fields__} | {
        "wrong_by_age": tuple(map(tuple, wrong)),
        "asked_by_age": ((32,) * 16,) * len(messages),
        "charged": charged, "payload": payload, "failed": failed, "seconds": seconds,
        "wrong_by_row": tuple(map(text_of, wrong)), "wrong_by_place": None,
    }  # fmt: skip
    row = BatchRow(**fields)
    line = row.line()
    assert line.count("\n") == 1
    assert line.isascii()
    (back,) = read_lines(line.encode())
    assert back.counts() == row.counts()
    assert back.failed == row.failed
    assert back.wrong_by_row == row.wrong_by_row
    assert back.seconds == pytest.approx(seconds, abs=1e-6)


def test_a_union_may_replace_one_of_its_files(tmp_path: Path, row: Row, cell: MakeCell) -> None:
    fill(tmp_path / "a.csv", [row(cell(), 2), row(cell(), 0)])
    fill(tmp_path / "b.csv", [row(cell(), 1)])
    both = [read_results(tmp_path / name) for name in ("a.csv", "b.csv")]
    assert [r.batch for r in union(*both)] == [0, 1, 2]
    write_results(tmp_path / "a.csv", union(*both))
    once = (tmp_path / "a.csv").read_bytes()
    write_results(tmp_path / "a.csv", union(both[1], read_results(tmp_path / "a.csv")))
    assert (tmp_path / "a.csv").read_bytes() == once
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".partial") == []


# -- reading out ----------------------------------------------------------------------------------


def test_verdicts_use_the_contiguous_prefix(row: Row, cell: MakeCell) -> None:
    rows = [row(cell(), b) for b in (3, 1, 0, 5)] + [row(cell("guess"), 1)]
    runs = prefixes(rows)
    assert [[r.batch for r in run] for run in runs.values()] == [[0, 1], []]
    points = judge_all(rows)
    assert [p.messages for p in points.values()] == [8]


def test_an_experiment_counts_its_newest_code_alone(row: Row, cell: MakeCell) -> None:
    old = [row(cell(), 0), row(cell("fails"), 0)]
    new = [replace(row(cell(), number), source="00c0ffee") for number in (0, 1)]
    assert newest([*old, *new]) == [old[1], *new]


def test_judging_rows_adds_their_messages_up(row: Row, cell: MakeCell) -> None:
    rows = [row(cell("fails"), b) for b in range(3)]
    point = judge_rows(rows)
    assert point.messages == 12
    assert point.failed == 4
    assert point.secret_bits == 12 * 32 * 16
    assert point.charged_bits == sum(sum(r.charged) for r in rows)
    assert point.wrong_bits == sum(sum(r.wrong) for r in rows)
    # Budget 1: 16 bits for each of 2 * 16 numbers of 32 tokens.
    assert point.cache_bits == 12 * 16 * 32 * 32
    with pytest.raises(BadInput, match="play at least one batch"):
        judge_rows([])


def test_counts_that_contradict_each_other_are_not_judged(row: Row, cell: MakeCell) -> None:
    one = row(cell())
    assert one.wrong_by_row is not None
    turned = tuple(text_of(counts_of(text)[::-1]) for text in one.wrong_by_row)
    with pytest.raises(BadInput, match=r"Message 0 of batch 0 .* by row and by age"):
        judge_rows([replace(one, wrong_by_row=turned)])
    # All rows are asked, so all ages are.
    half = {
        name: tuple((*counts[:8], *(0,) * 8) for counts in getattr(one, name))
        for name in ("wrong_by_age", "asked_by_age")
    }
    with pytest.raises(BadInput, match=r"Message 0 of batch 0 .* was asked for other rows"):
        judge_rows([replace(one, **half, wrong_by_row=None)])


def test_a_spec_becomes_its_cell_again(row: Row, cell: MakeCell) -> None:
    for wanted in (cell(), cell(budget=None, rows=16, scale=9.5), cell("a:B", eta=None, gamma=0.1)):
        assert cell_of(row(wanted).spec_dict) == wanted
    with pytest.raises(BadInput, match="use the version of kvbarrier that wrote it"):
        cell_of({"instance": {"n": 3}})


def test_rows_of_numbers_in_keys_that_were_read_otherwise_are_refused() -> None:
    """Earlier versions counted all cuts of a number; one bit has one cut and is what it was."""
    wide = Cell(KeyPayload(n=16, d=6, key_bits=2), "exact")
    spec = json.loads(json.dumps(wide.spec()))
    assert cell_of(spec) == wide
    del spec["instance"]["bits_above"]
    with pytest.raises(BadInput, match="play it again into a new file"):
        cell_of(spec)
    one = Cell(KeyPayload(n=16, d=6), "exact")
    assert "bits_above" not in one.spec()["instance"]
    assert cell_of(one.spec()) == one


def test_write_results_makes_what_the_store_makes(tmp_path: Path, row: Row, cell: MakeCell) -> None:
    rows = [row(cell(), b) for b in range(2)]
    write_results(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.csv").read_bytes() == fill(tmp_path / "b.csv", rows)


def test_rows_that_a_stranger_was_asked_together_convict_nobody(row: Row, cell: MakeCell) -> None:
    # 16 of 32 rows, no bit wrong, .54 bits a secret bit, 64 messages: the two-term bound convicts.
    def judged(target: str, by_row: str | None) -> PointVerdict:
        one = row(cell(target, rows=16, batch_size=64))
        counts = {"wrong_by_age": ((0,) * 16,) * 64, "asked_by_age": ((16,) * 16,) * 64}
        texts = None if by_row is None else (by_row,) * 64
        return judge_rows([replace(one, **counts, charged=(275,) * 64, wrong_by_row=texts)])

    old, new, ours = judged("a:B", None), judged("a:B", "[16]"), judged("exact", None)
    assert [one.rows_asked for one in (old, new, ours)] == ["together", "apart", "apart"]
    assert old.ledger.verdict == "not-excluded"
    assert new.ledger.peak == ours.ledger.peak > old.ledger.peak
    assert (old.row_messages, new.row_messages) == (0, 64)
