"""The page of ``report``: what it says, what it does in a browser, and that names stay names."""

from __future__ import annotations

import html
import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kvbarrier.figures.report_page import page
from kvbarrier.figures.style import COLOURS
from kvbarrier.runs.reported import Reported, Source

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")

HOSTILE = "</script><img src=x onerror=document.title='hacked'>\"'&amp;\x00\x1b[2J\u202e\ud800"
SOURCES = [Source("a <b>.csv", "2026-01-02", "0" * 64, 7)]

FRAME = """<!doctype html><meta charset=utf-8>
<iframe id=frame src="{page}" width={width} height=800></iframe><pre id=said></pre><script>
frame.onload = () => {{
  const doc = frame.contentDocument, win = frame.contentWindow
  const text = (css) => [...doc.querySelectorAll(css)].map((one) => one.textContent)
  const said = {{}}
  {script}
  document.getElementById("said").textContent = "SAID" + JSON.stringify(said) + "DIAS"
}}
</script>"""


def reported(name: str, rate: float, error: float, **other: Any) -> Reported:
    said = {
        "compressor": name, "params": {}, "reduction": "index", "keys": "jl", "n": 512, "d": 64,
        "layers": 1, "heads": 1, "queries": "zero", "basis": "literal", "bob": "threshold",
        "budget": None, "over_budget": False, "isolation": "process", "messages": 64, "failed": 0,
        "bits_per_secret_bit": rate, "compression_ratio": 32 / rate if rate else None,
        "charged_bits": int(32768 * rate), "wrong_bits": int(32768 * error), "asked_bits": 32768,
        "bit_error": {"estimate": error, "low": max(0.0, error - 0.02),
                      "high": min(1.0, error + 0.02), "level": 0.95},
        "guarantee": {"verdict": "broken", "worst_bucket": None, "worst_row": None,
                      "null": {"name": "coordinate"}},
        "changed": None, "ledger": {"verdict": "not-excluded"}, "declared": None,
        "wrong_by_place": {"value": None, "token": None},
    } | other  # fmt: skip
    computer = {"versions": {"numpy": "2.0"}, "host": {"cpu": HOSTILE, "blas": ["a", "b"]}}
    return Reported(said, (f"{name}.csv",), "abc123", 2, "fresh", (computer,), None)


FOUND = [
    reported("b", 2, 0.2),
    reported("a", 4, 0.3),
    reported("a", 1, 0.45, params={"bits": 1}),
    reported("zero", 0, 0.5),
    reported("c", 16, 0.0, basis="rotated"),
]


def said_in(text: str, folder: Path, script: str, width: int = 390) -> dict[str, Any]:
    """What a script in a frame around the page says; any error on the console fails."""
    (folder / "page.html").write_bytes(text.encode("utf-8"))
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(page=(folder / "page.html").as_uri(), script=script, width=width))
    assert BROWSER is not None
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
         "--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom", frame.as_uri()],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r"SAID(\{.*?\})DIAS", done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    return result


def test_the_same_rows_give_the_same_bytes_in_any_order() -> None:
    assert page(FOUND, SOURCES, "1") == page(FOUND[::-1], SOURCES, "1")


def test_it_loads_nothing() -> None:
    text = page(FOUND, SOURCES, "1")
    assert not re.search(r"""(src|href|url)\s*[=(]\s*['"]?(https?:|//)""", text)
    assert "default-src 'none'" in text
    assert len(page(FOUND * 40, SOURCES, "1").encode()) < 300_000


def test_names_stay_names() -> None:
    hostile = [reported(HOSTILE, 2, 0.2), reported("a", 3, 0.1, params={HOSTILE: HOSTILE})]
    text = page(hostile, [Source(HOSTILE, "2026-01-02", "0" * 64, 1)], HOSTILE)
    text.encode("utf-8")
    assert "<img" not in text
    assert text.count("</script>") == 1
    assert not [c for c in text if c != "\n" and not c.isprintable()]


def test_every_row_says_how_to_repeat_it_without_a_script() -> None:
    text = page([reported("my file", 2, 0.2)], SOURCES, "1")
    assert '<code>abc123</code> <a href="#p1w1">w1</a>' in text
    assert 'id="p1w1"><th scope="row">w1</th>' in text
    assert "kvbarrier replay &#x27;my file.csv&#x27; CELL 0" in text
    assert "batches 0 to 1, fresh key, process" in text
    assert "kvbarrier report &#x27;a &lt;b&gt;.csv&#x27;" in text
    assert "numpy 2.0" in text


def test_a_point_is_written_once() -> None:
    """A thousand points were 830 kB: each had its marker, its command and its numbers twice."""
    many = [
        reported(f"method {i % 50}", 0.1 * (1 + i // 50), 0.5 - 0.02 * (i // 50), params={"k": i})
        for i in range(1000)
    ]
    text = page(many, SOURCES, "1")
    assert len(text.encode()) < 350_000
    assert text.count(">method 7 k=57<") == 1


def test_limits_are_named_and_colours_are_the_figures() -> None:
    text = page(FOUND, SOURCES, "1")
    for name in ("Fano", "time sharing", "guessing", "guarantee"):
        assert name in text
    assert all(colour in text for colour in COLOURS)


WIDTH = """
  said.width = [doc.documentElement.scrollWidth, doc.documentElement.clientWidth]
  said.title = doc.title
  said.images = doc.images.length"""


@in_a_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_names_do_nothing_and_the_page_has_no_sideways_scroll(
    width: int, tmp_path: Path
) -> None:
    hostile = [reported(HOSTILE + "x" * 300, 2, 0.2), *FOUND]
    text = page(hostile, [Source(HOSTILE + "y" * 300, "2026-01-02", "0" * 64, 1)], HOSTILE)
    opened = "\n  for (const one of doc.querySelectorAll('details')) one.open = true"
    said = said_in(text, tmp_path, opened + WIDTH, width)
    assert said["title"] == "kvbarrier report"
    assert said["images"] == 0
    assert said["width"][0] <= said["width"][1]


@in_a_browser
def test_a_head_sorts_its_table_by_mouse_and_keyboard(tmp_path: Path) -> None:
    script = """
  const section = doc.querySelector("section"), table = section.querySelectorAll("table")[1]
  const error = [...table.tHead.rows[0].cells].find((one) => one.textContent === "error")
  const order = () => [...table.tBodies[0].rows].map((row) => row.cells[4].textContent)
  said.before = error.getAttribute("aria-sort")
  error.firstChild.click()
  said.up = [order(), error.getAttribute("aria-sort")]
  error.firstChild.focus()
  said.focus = doc.activeElement === error.firstChild && error.firstChild.tagName
  error.firstChild.click()
  said.down = [order(), error.getAttribute("aria-sort")]
  const ranking = section.querySelector("table")
  ranking.querySelector("th[data-c='2']").firstChild.click()
  said.ranking = [...ranking.tBodies[0].rows].map((row) => row.cells[0].textContent)"""
    rows = [*FOUND[:4], reported("big", 32, 0.1)]
    said = said_in(page(rows, SOURCES, "1"), tmp_path, script)
    assert said["before"] == "none"
    assert said["up"] == [["0.1000", "0.2000", "0.3000", "0.4500", "0.5000"], "ascending"]
    assert said["down"] == [["0.5000", "0.4500", "0.3000", "0.2000", "0.1000"], "descending"]
    assert said["focus"] == "BUTTON"
    # Within 1/8 of the cache, M/N = 4 here: what takes more has no number and stands last.
    assert said["ranking"] == ["b", "a", "zero", "big"]


@in_a_browser
def test_a_point_says_its_row_and_the_legend_hides_a_series(tmp_path: Path) -> None:
    script = """
  const points = [...doc.querySelectorAll("section .plot a")]
  const b = points.find((one) => one.getAttribute("aria-label").startsWith("b"))
  b.focus()
  said.tip = doc.querySelector(".tip").textContent
  said.shown = !doc.querySelector(".tip").hidden
  b.blur()
  said.gone = doc.querySelector(".tip").hidden
  const entry = [...doc.querySelectorAll(".legend button")].find((one) => one.textContent === "b")
  entry.click()
  said.hidden = win.getComputedStyle(b).display
  said.pressed = entry.getAttribute("aria-pressed")
  entry.click()
  said.back = win.getComputedStyle(b).display
  said.stops = points.filter((one) => one.getAttribute("tabindex") === "0").length
  said.copies = text(".copy").length"""
    said = said_in(page(FOUND, SOURCES, "1"), tmp_path, script)
    for part in ("bits a number", "0.2000", "0.180 to 0.220", "95% interval", "broken", "ledger"):
        assert part in said["tip"]
    assert (said["shown"], said["gone"]) == (True, True)
    assert (said["hidden"], said["pressed"]) == ("none", "false")
    assert said["back"] != "none"
    assert said["stops"] == 2  # one for each of the two families of streams
    assert said["copies"] == len(FOUND) + 1


@in_a_browser
def test_marks_lie_where_their_rows_say_and_commands_are_whole(tmp_path: Path) -> None:
    script = """
  said.marks = [...doc.querySelectorAll("section .plot a")].map((one) => {
    const use = one.querySelector("use"), line = one.querySelector("line")
    const places = [[use, "x"], [use, "y"], [line, "y1"], [line, "y2"]]
    return [one.getAttribute("href"),
      ...places.map(([part, name]) => parseFloat(part.getAttribute(name)))] })
  said.off = text("section .plot .off").length
  said.commands = text("section code.command")
  said.dots = [...doc.querySelectorAll(".dot")].map((one) => win.getComputedStyle(one).display)
  doc.querySelector(".points th[data-c='4']").firstChild.click()
  said.sorted = text(".points tbody td:nth-child(5)")"""
    few = 3 / 65_536
    rows = [
        reported("a", 4, 0.3),
        reported("b", 2, few, wrong_bits=3, asked_bits=65_536),
        reported("c", 0, 0.5, budget=1 / 64),
    ]
    said = said_in(page(rows, SOURCES, "1"), tmp_path, script)
    left, right, top = 0.04, 40.0, 0.56
    for (_, x, y, low, high), (rate, error) in zip(
        said["marks"], ((4, 0.3), (2, few), (left, 0.5)), strict=True
    ):
        assert x == pytest.approx(100 * math.log(rate / left) / math.log(right / left), abs=0.02)
        assert y == pytest.approx(100 * (1 - error / top), abs=0.02)
        assert low == pytest.approx(100 * (1 - max(0, error - 0.02) / top), abs=0.15)
        assert high == pytest.approx(100 * (1 - (error + 0.02) / top), abs=0.15)
    assert said["off"] == 1
    assert said["commands"] == [f"kvbarrier replay {name}.csv abc123 0" for name in "abc"]
    assert set(said["dots"]) == {"none"}
    assert said["sorted"] == ["3 of 65,536", "0.3000", "0.5000"]


@in_a_browser
def test_a_page_of_a_thousand_points_opens(tmp_path: Path) -> None:
    many = [
        reported(f"m{i % 50}", 0.1 * (1 + i // 50), 0.5 - 0.02 * (i // 50), params={"k": i})
        for i in range(1000)
    ]
    script = "said.points = doc.querySelectorAll('.plot a').length" + WIDTH
    said = said_in(page(many, SOURCES, "1"), tmp_path, script)
    assert said["points"] == 1000
    assert said["width"][0] <= said["width"][1]
