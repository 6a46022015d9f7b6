"""The paper has two titles: *in* at COLT (PMLR 291:2757), *for* on arXiv (2502.15955).

Seen on https://proceedings.mlr.press/v291/haris25a.html and https://arxiv.org/abs/2502.15955.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from kvbarrier import __version__

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("cli", "reductions", "compressors", "protocols", "runs", "experiments", "figures", "docs")
TITLE = re.compile(r"Compression Barriers (in|for)\s+Autoregressive\s+Transformers")
OWN = {"in": "COLT|PMLR", "for": "arXiv|arxiv"}
NEAR = 140
"""Characters after a title in which its venue stands."""


def cited() -> list[tuple[str, str, str]]:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.*")]
    files += [*ROOT.glob("*.py"), *ROOT.glob("*.md"), ROOT / "CITATION.cff"]
    found = []
    for path in files:
        if path.suffix in (".py", ".md", ".cff") and path != ROOT / "docs" / "cli.md":
            text = path.read_text()
            for match in TITLE.finditer(text):
                after = re.split(TITLE, text[match.end() : match.end() + NEAR])[0]
                # In CITATION.cff the venue follows the authors.
                if path.suffix == ".cff":
                    after = text[match.end() :].partition("\nreferences:")[0]
                found.append((f"{path.relative_to(ROOT)}", match[1], after))
    return found


def test_there_are_citations() -> None:
    assert len(cited()) >= 7


@pytest.mark.parametrize(("where", "title", "after"), cited())
def test_each_version_is_cited_by_its_own_title(where: str, title: str, after: str) -> None:
    assert re.search(OWN[title], after), f"{where}: '{title}' without its venue"
    first = re.search("COLT|PMLR|arXiv|arxiv", after)
    assert first is not None
    assert re.fullmatch(OWN[title], first[0]), f"{where}: '{title}' belongs to the other version"


def test_the_package_the_changelog_and_the_citation_say_one_version() -> None:
    newest = re.search(r"^## (\S+) - ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert newest
    assert cited
    assert {newest[1], cited[1], metadata.version("kvbarrier")} == {__version__}
