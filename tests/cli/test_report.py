"""`report`: a ranking that can be recomputed, one page that loads nothing."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

SMALL = ("--n", "32", "--d", "16", "--keys", "hypercube", "--messages", "8")


def entropy(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p) if 0 < p < 1 else 0.0


@pytest.fixture
def results(kvbarrier) -> tuple[str, ...]:
    for name, file in (("lossless", "a.csv"), ("reservoir", "b.csv"), ("h2o", "c.csv")):
        said = kvbarrier("attack", name, *SMALL, "--budget", "1/4,3/4", "--resume", file)
        assert said.code == 0
    return "a.csv", "b.csv", "c.csv"


def test_rows_are_ranked_by_error_at_a_given_memory(kvbarrier, results) -> None:
    document = json.loads(kvbarrier("report", *results, "--json").out)
    assert document["schema"] == 2
    rows = document["rows"]
    assert list(dict.fromkeys(row["memory"] for row in rows)) == ["1/8", "1/4", "1/2"]
    for memory, share in (("1/8", 1 / 8), ("1/4", 1 / 4), ("1/2", 1 / 2)):
        here = [row for row in rows if row["memory"] == memory]
        fit = [row for row in here if row["rank"] is not None]
        assert [row["compressor"] for row in here if row["rank"] == 1] == ["lossless"]
        errors = [row["bit_error"]["estimate"] for row in fit]
        assert errors == sorted(errors)
        for row in fit:
            # K and V are 2 n d numbers and the secret is n d bits.
            assert row["bits_per_number"] == pytest.approx(row["bits_per_secret_bit"] / 2)
            assert row["bits_per_number"] <= 16 * share * 1.0001
            error = min(row["bit_error"]["estimate"], 0.5)
            expected = (1 - entropy(error)) / row["bits_per_secret_bit"]
            assert row["recovered"] == pytest.approx(expected, rel=1e-9)
    [last] = [row for row in rows if (row["compressor"], row["memory"]) == ("h2o", "1/8")]
    assert last["rank"] is None
    assert last["bit_error"] is None
    assert last["assumes"]
    assert last["broken_by"]


def test_the_page_is_one_file(kvbarrier, results) -> None:
    said = kvbarrier("report", *results, "--out", "page.html")
    assert said.code == 0
    text = Path("page.html").read_text()
    assert not re.search(r"(src|href)='?\"?https?:", text)
    for name in ("lossless", "reservoir", "h2o", "independent messages"):
        assert name in text
    kvbarrier("report", *reversed(results), "--out", "again.html")
    tables = re.compile(r"<section.*</section>", re.DOTALL)
    assert tables.findall(text) == tables.findall(Path("again.html").read_text())
    kvbarrier("report", *results, "--out", "again.html")
    assert text == Path("again.html").read_text()


def test_the_command_of_a_row_repeats_it(kvbarrier, results) -> None:
    kvbarrier("report", *results, "--out", "page.html")
    text = Path("page.html").read_text()
    ways = dict(re.findall(r'id="(\w+)"><th[^>]*>w\d+</th><td><code>kvbarrier ([^<]+)<', text))
    rows = re.findall(r'<code>(\w+)</code> <a href="#(\w+)">w\d+</a>', text)
    assert len(rows) == 6
    cell, way = rows[0]
    said = kvbarrier(*ways[way].replace("CELL", cell).split(), "--json")
    assert (said.code, json.loads(said.out)["equal"]) == (0, True)


def test_bad_input_is_a_sentence(kvbarrier, results) -> None:
    said = kvbarrier("report", "a.csv", "--out", "page.pdf")
    assert (said.code, "ends in .html" in said.err) == (2, True)
    Path("none.csv").write_text(Path("a.csv").read_text().splitlines()[0] + "\n")
    said = kvbarrier("report", "none.csv")
    assert said.code == 2
    assert "attack first" in said.err
