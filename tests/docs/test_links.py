"""Links between the pages in the repository: the file is there, and the heading that is named.

No site need be built for this; ``test_site.py`` looks at the built one.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])


def places(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them of its headings, and the written ones."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)
    return {*plain, *re.findall(r'<a (?:id|name)="([^"]+)"', text)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        path, _, place = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if place and target.suffix == ".md":
            assert place in places(target), link


def test_every_page_is_in_the_order_of_the_site() -> None:
    """algorithms/README leads to the pages beside it."""
    listed = set(re.findall(r"^[\w/-]+$", (ROOT / "docs/index.md").read_text(), re.MULTILINE))
    assert {page.stem for page in ROOT.glob("docs/*.md")} - {"index"} <= listed
