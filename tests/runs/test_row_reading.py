"""Lines read column by column are what they are read one by one, and so are their faults."""

from __future__ import annotations

import csv
import gc
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kvbarrier.errors import BadInput
from kvbarrier.runs import results, row_reading
from kvbarrier.runs.results import ResultsFile, read_results
from kvbarrier.runs.row_reading import WRONG, read_lines
from kvbarrier.runs.rows import COLUMNS, HEADER, HEADERS, csv_line

from tests.naive.row_reading import parse_line

ROOT = Path(__file__).parents[2]
COMMITTED = [
    path
    for folder in ("runs/baselines", "figures/gallery")
    for path in sorted((ROOT / folder).glob("*.csv"))
    if path.open().readline() in HEADERS
]


def body(path: Path) -> list[str]:
    """The lines of a file that are rows."""
    return [line for line in path.read_text().splitlines() if f"{line}\n" not in HEADERS]


def told(read: Callable[[], object]) -> object:
    """What is read, or the sentence that refuses it."""
    try:
        return read()
    except WRONG as why:
        return type(why), str(why)


def both(line: str) -> tuple[object, object]:
    return told(lambda: read_lines(f"{line}\n".encode())), told(lambda: [parse_line(line)])


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_files_are_read_as_their_lines_are(path: Path) -> None:
    lines = body(path)
    found = read_results(path)
    assert len(lines) > 50
    alone = [parse_line(line) for line in lines]
    assert found == alone
    # Equal is not enough: 1, True and 1.0 are equal, and so are int and numpy's int64.
    for one, other in zip(found[::7], alone[::7], strict=True):
        assert repr(one) == repr(other)
        assert {f.name: type(getattr(one, f.name)) for f in fields(one)} == {
            f.name: type(getattr(other, f.name)) for f in fields(other)
        }


def samples() -> list[str]:
    """Rows of each committed file: of all three schemas, with and without counts by row."""
    return [line for path in COMMITTED for line in body(path)[:: len(body(path)) // 2]]


SAMPLES = samples()
CHANGES: list[Callable[[dict[str, str]], object]] = [
    lambda f: f.update(wrong=f["wrong"].replace(",", ", ")),
    lambda f: f.update(wrong="[" + "0" + f["wrong"][1:]),
    lambda f: f.update(wrong="[-" + f["wrong"][1:]),
    lambda f: f.update(wrong=f["wrong"][:-1] + ",]"),
    lambda f: f.update(wrong="[" + f["wrong"] + "]"),
    lambda f: f.update(wrong="1" + f["wrong"]),
    lambda f: f.update(wrong=f["wrong"][:-1] + ".0]"),
    lambda f: f.update(wrong="[true" + f["wrong"][f["wrong"].index(",") :]),
    lambda f: f.update(wrong="[]"),
    lambda f: f.update(wrong=""),
    lambda f: f.update(wrong="[" + "9" * 30 + f["wrong"][f["wrong"].index(",") :]),
    lambda f: f.update(wrong_by_age=f["wrong_by_age"].replace("],[", "],1[", 1)),
    lambda f: f.update(wrong_by_age=f["wrong_by_age"].replace("],[", "]2,[", 1)),
    lambda f: f.update(wrong_by_age=f["wrong_by_age"].replace("],[", ",", 1)),
    lambda f: f.update(wrong_by_age=f["wrong_by_age"].replace("],[", "] , [")),
    lambda f: f.update(wrong_by_age=f["wrong_by_age"].replace(",", ",,", 1)),
    lambda f: f.update(wrong_by_age=f["wrong_by_age"].replace("[[", "[[0,", 1)),
    lambda f: f.update(wrong_by_age=f["wrong_by_age"].replace("[[", "[", 1)),
    lambda f: f.update(wrong_by_age="[[" + "9" * 19 + f["wrong_by_age"][3:]),
    lambda f: f.update(wrong_by_age="[" * 9999),
    lambda f: f.update(wrong_by_age=f["wrong_by_age"].replace("[[", "[[0", 1)),
    lambda f: f.update(wrong_by_age=f["wrong_by_age"].replace(",", ",0", 1)),
    lambda f: f.update(asked_by_age=f["asked_by_age"].replace("[[", "[[1", 1)),
    lambda f: f.update(asked_by_age="[[0" + f["asked_by_age"][f["asked_by_age"].index(",") :]),
    lambda f: f.update(asked="[0" + f["asked"][f["asked"].index(",") :]),
    lambda f: f.update(secret="1"),
    lambda f: f.update(secret="9" * 18),
    lambda f: f.update(secret="٣"),
    lambda f: f.update(batch=str(1 << 31)),
    lambda f: f.update(batch=" 1"),
    lambda f: f.update(schema="03"),
    lambda f: f.update(schema="9"),
    lambda f: f.update(charged=f["charged"].replace(",", " ,")),
    lambda f: f.update(charged="[" + "9" * 19 + f["charged"][f["charged"].index(",") :]),
    lambda f: f.update(payload="[null" + f["payload"][f["payload"].index(",") :]),
    lambda f: f.update(failed='["a ""b"", c"' + f["failed"][5:]),
    lambda f: f.update(seconds="nan"),
    lambda f: f.update(seconds="-1"),
    lambda f: f.update(seconds="1e3"),
    lambda f: f.update(seconds="inf"),
    lambda f: f.update(streaming="maybe"),
    lambda f: f.update(key='a "quoted" key'),
    lambda f: f.update(key="schlüssel"),
    lambda f: f.update(host='{"b":1, "a":NaN}'),
    lambda f: f.update(host='{"b":1, "a":"x"}'),
    lambda f: f.update(spec=f["spec"].replace(",", " , ")),
    lambda f: f.update(spec=f["spec"].replace('"params":{}', '"params":{"a":[1]}')),
    lambda f: f.update(spec="[]"),
    lambda f: f.update(spec="{}"),
    lambda f: f.update(cell="0" * 16),
    lambda f: f.update(wrong_by_row='["0"]'),
    lambda f: f.update(wrong_by_row='["]'),
    lambda f: f.update(wrong_by_row=f["wrong_by_row"].replace('","', '", "')),
    lambda f: f.update(wrong_by_row=f["wrong_by_row"].replace("[[", "[(")),
    lambda f: f.update(wrong_by_row=f["wrong_by_row"].replace('"', '"\\u0030', 1)),
    lambda f: f.update(wrong_by_row="null"),
    lambda f: f.update(wrong_by_place='["0","0","00"]'),
    lambda f: f.update(wrong_by_place='["0","00","00"]'),
    lambda f: f.update(wrong_by_place='["0","0"]'),
    lambda f: f.update(declares='["keeps=all"]'),
    lambda f: f.update(declares='["keeps=some"]'),
]


@pytest.mark.parametrize("line", SAMPLES)
def test_a_changed_field_is_read_or_refused_as_by_itself(line: str) -> None:
    values = next(csv.reader([line]))
    for number, change in enumerate(CHANGES):
        field = dict(zip(COLUMNS, values, strict=False))
        before = dict(field)
        try:
            change(field)
        except KeyError:
            continue  # of a column that this schema does not have
        found, wanted = both(csv_line(list(field.values())[: len(values)])[:-1])
        assert found == wanted, (number, before != field)


@pytest.mark.parametrize(
    "key", ['"experiments"x', '""experiments', 'a"b"c', '"a""b"', '"a"""', '""', '"""a"', "a\rb"]
)
def test_quotes_out_of_place_are_read_or_refused_as_by_themselves(key: str) -> None:
    values = next(csv.reader([SAMPLES[0]]))
    before, isolation = values[6:8]
    # Beside a comma, and beside nothing: what follows the quote may be taken for the comma.
    for end in (",", ""):
        spoiled = SAMPLES[0].replace(f",{before},{isolation},", f",{key}{end}{isolation},")
        assert key in spoiled
        found, wanted = both(spoiled)
        assert found == wanted


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_a_changed_character_is_read_or_refused_as_by_itself(
    line: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(line) - 1))
    cut = data.draw(st.integers(0, 2))
    put = data.draw(st.text('",[]{}()0123456789aZ \\n-.é\r', max_size=2))
    found, wanted = both(line[:at] + put + line[at + cut :])
    assert found == wanted


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("digits", range(1, 20))
def test_counts_of_any_length_are_read_as_json_reads_them(digits: int, alone: bool) -> None:
    # Beside one another shorter and longer ones, and zeros: no digit of one is another's.
    counts = [10**k - 1 - k * (k > 1) for k in range(digits, 0, -1)] + [0, 10 ** (digits - 1), 7, 0]
    rows = [(counts * 16)[k : k + 16] for k in range(digits)]
    rows = [[10 ** (digits - 1)] * 16] if alone else rows
    cells = [json.dumps([row], separators=(",", ":")) for row in rows]
    assert (row_reading._numbers(cells, [1] * len(cells)) is None) == (digits > 16)
    found = row_reading._tables(cells)
    assert found.rows == [(tuple(row),) for row in rows]
    assert found.sums == [(sum(row),) for row in rows]
    assert {type(count) for ((*row,),) in found.rows for count in row} == {int}


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_between_rows_is_told_from_them(header: str, tmp_path: Path) -> None:
    lines = "".join(f"{line}\n" for line in body(COMMITTED[0])[:9])
    path = tmp_path / "r.csv"
    path.write_text(header + lines + HEADER)
    path.write_bytes(path.read_bytes() + header.replace("\n", "\r\n").encode() + lines.encode())
    with ResultsFile(path) as file:
        assert len(file.rows) == 9
        assert file._header == header


def test_a_fault_among_many_lines_is_named_by_its_own(tmp_path: Path) -> None:
    lines = [line for path in COMMITTED[1:3] for line in body(path)]
    path = tmp_path / "r.csv"
    for number in (0, len(lines) // 2, len(lines) - 1):
        for spoil in (lambda x: x.replace("[", "[-1", 1), lambda x: "", lambda x: x[:-9] + '"'):
            spoiled = [*lines]
            spoiled[number] = spoil(lines[number])
            path.write_text(HEADER + "".join(f"{line}\n" for line in spoiled))
            _, why = told(lambda: [parse_line(spoiled[number])])  # noqa: B023
            with pytest.raises(BadInput) as refused:
                read_results(path)
            assert str(refused.value) == (
                f"r.csv, line {number + 2}, is not a results row ({why}): restore the file or use "
                "a new one."
            )


@pytest.mark.parametrize("size", [2, 5_000, 50_000, 1 << 24])
def test_rows_do_not_depend_on_where_blocks_end(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_results(COMMITTED[0])
    monkeypatch.setattr(results, "BLOCK", size)
    assert read_results(COMMITTED[0]) == whole


def test_line_ends_of_other_systems_and_quotes_around_all_fields_are_read(tmp_path: Path) -> None:
    lines = body(COMMITTED[0])
    whole, path = read_results(COMMITTED[0]), tmp_path / "r.csv"
    path.write_bytes(
        (HEADER + "".join(f"{line}\n" for line in lines)).replace("\n", "\r\n").encode()
    )
    assert read_results(path) == whole
    with path.open("w", newline="") as file:
        file.write(HEADER)
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(csv.reader(lines))
    assert read_results(path) == whole


def test_an_empty_line_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(f"{HEADER}{SAMPLES[0]}\n\n")
    with pytest.raises(BadInput, match=r"line 3, is not a results row \(it is empty\)"):
        read_results(tmp_path / "r.csv")


def test_a_byte_order_mark_is_no_results_file(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(f"\ufeff{HEADER}{SAMPLES[0]}\n")
    with pytest.raises(BadInput, match="is not a results file"):
        read_results(tmp_path / "r.csv")


def test_a_search_for_young_cycles_does_not_visit_the_rows() -> None:
    rows = read_results(COMMITTED[0])
    young = set(map(id, gc.get_objects(0) + gc.get_objects(1)))
    assert len(rows) > 50
    assert not young & set(map(id, rows))


def test_searching_for_cycles_goes_on_after_a_file_and_after_a_bad_one(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(f"{HEADER}bad\n")
    with pytest.raises(BadInput):
        read_results(tmp_path / "bad.csv")
    assert gc.isenabled()
    gc.disable()
    try:
        read_results(COMMITTED[0])
        assert not gc.isenabled()
    finally:
        gc.enable()
