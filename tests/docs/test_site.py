"""The built site in a browser: no error on the console, nothing to scroll sideways on a telephone.

``make site`` builds it and runs this; without a Chromium only links and pages are looked at.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[2] / "_site" / "html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
ROW = "engines-rows/hf-quantized-axis-0-backend-hqq-nbits-1-streamed"
PAGES = (
    "index",
    "tasks",
    "tutorial",
    "claims",
    "engines-table",
    ROW,
    "algorithms/README",
    "algorithms/h2o",
    "observations",
    "theory",
    "python",
    "cli",
)

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(not SITE.exists(), reason="make site builds it"),
]

WIDTH = """<!doctype html><iframe id=page src="{page}" width={width} height=800></iframe><script>
page.onload = () => {{
  const root = page.contentDocument.documentElement
  const tall = [...page.contentDocument.querySelectorAll("tbody tr")].map((row) => row.offsetHeight)
  document.title = "WIDTH " + root.scrollWidth + " of " + root.clientWidth + " ROW " +
    Math.max(0, ...tall)
}}
</script>"""


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.places |= {said[name] or "" for name in ("id", "name") if name in said}
        if tag in ("a", "img") and (link := said.get("href") or said.get("src")):
            self.found.append(link)


def links(page: Path) -> Links:
    reader = Links()
    reader.feed(page.read_text())
    return reader


def test_links_lead_to_a_place() -> None:
    pages = {page.resolve(): links(page) for page in SITE.rglob("*.html")}
    dead = []
    for page, own in pages.items():
        for link in own.found:
            path, _, place = link.partition("#")
            if "://" in link or link.startswith(("mailto:", "data:")):
                continue
            target = (page.parent / path).resolve() if path else page
            known = target not in pages or not place or place in pages[target].places
            if not (target.exists() and known):
                dead.append(f"{page.relative_to(SITE.resolve())} -> {link}")
    assert not dead
    assert len(pages) > 50


def test_every_claim_has_a_link_of_its_own() -> None:
    assert {"scaling.limit", "natural.inversion"} <= links(SITE / "claims.html").places


def test_every_row_of_the_referees_table_leads_to_its_page() -> None:
    lead = {link for link in links(SITE / "engines-table.html").found if "engines-rows/" in link}
    assert {SITE / link for link in lead} == set((SITE / "engines-rows").glob("*.html"))
    own = links(SITE / f"{ROW}.html").found
    assert "../engines.html#if-your-package-is-in-the-table-and-you-disagree" in own


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
def test_the_referees_table_is_a_table_at_1280_pixels(tmp_path: Path) -> None:
    """Targets that did not wrap left its last column so narrow that a row filled the screen."""
    assert int(shown("engines-table", 1280, tmp_path)[3]) < 220


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
@pytest.mark.parametrize("page", PAGES)
def test_a_telephone_shows_it_without_scrolling_sideways(page: str, tmp_path: Path) -> None:
    wide = shown(page, 390, tmp_path)
    assert int(wide[1]) <= int(wide[2])


def shown(page: str, width: int, folder: Path) -> re.Match[str]:
    """What a browser measures of a page; an error on its console fails."""
    frame = folder / "frame.html"
    frame.write_text(WIDTH.format(page=(SITE / f"{page}.html").as_uri(), width=width))
    assert BROWSER is not None
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
         "--virtual-time-budget=5000", "--enable-logging=stderr", "--dump-dom", frame.as_uri()],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    found = re.search(r"WIDTH (\d+) of (\d+) ROW (\d+)", done.stdout)
    assert found, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not [line for line in console if "rror" in line]
    return found
