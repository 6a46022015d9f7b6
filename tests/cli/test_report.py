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


def test_rows_are_ranked_by_recovered_bits_per_charged_bit(kvbarrier, results) -> None:
    rows = json.loads(kvbarrier("report", *results, "--json").out)["rows"]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert rows[0]["compressor"] == "lossless"
    for row in rows:
        error = min(row["bit_error"]["estimate"], 0.5)
        expected = (1 - entropy(error)) / row["bits_per_secret_bit"]
        assert row["recovered"] == pytest.approx(expected, rel=1e-9)
        assert row["overhead"] == pytest.approx(1 / expected, rel=1e-9)
    shares = [row["recovered"] for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1
    last = next(row for row in rows if row["compressor"] == "h2o")
    assert last["error_at"]["1/8"] is None
    assert last["error_at"]["1/2"] is not None
    assert last["assumes"]
    assert last["broken_by"]


def test_the_page_is_one_file(kvbarrier, results) -> None:
    said = kvbarrier("report", *results, "--out", "page.html")
    assert said.code == 0
    text = Path("page.html").read_text()
    assert "data:image/png;base64," in text
    assert not re.search(r"(src|href)='?\"?https?:", text)
    assert "<script" not in text
    for name in ("lossless", "reservoir", "h2o", "overhead", "independent messages"):
        assert name in text
    first = text
    kvbarrier("report", *results, "--out", "page.html")
    assert Path("page.html").read_text() == first


def test_bad_input_is_a_sentence(kvbarrier, results) -> None:
    said = kvbarrier("report", "a.csv", "--out", "page.pdf")
    assert (said.code, "ends in .html" in said.err) == (2, True)
    Path("none.csv").write_text(Path("a.csv").read_text().splitlines()[0] + "\n")
    said = kvbarrier("report", "none.csv")
    assert said.code == 2
    assert "attack first" in said.err
