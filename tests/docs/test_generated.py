"""Generated pages are what the program would write today; links in the docs lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")  # as when it is run as a script
        spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current() -> None:
    for path, text in generator().pages().items():
        assert path.read_text() == text, f"{path.name}: run make docs"


def test_every_algorithm_has_its_page_and_nobody_else() -> None:
    from kvbarrier.compressors.zoo import FAMILIES, ZOO

    found = {path.stem for path in (ROOT / "docs" / "algorithms").glob("*.md")}
    assert found == {"README"} | {name for kind in ZOO for name in FAMILIES[kind]}


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=str
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_shows_the_ten_line_example_whole() -> None:
    code = (ROOT / "examples" / "ten_line_cache.py").read_text().split('"""\n\n', 1)[1]
    assert f"```python\n{code}```" in (ROOT / "README.md").read_text()


def test_what_ran_at_full_scale_is_of_claims_that_there_are_and_each_run_is_whole() -> None:
    """A claim of a run that is missing from the file would read as if it had not been judged."""
    from kvbarrier.experiments.registry import get

    pages = generator()
    judged, cost = (
        pages.judged(pages.FULL / "claims.csv"),
        pages.by("experiment", pages.FULL / "cost.csv"),
    )
    asked = {claim.name for name in cost for claim in get(name).claims}
    assert set(judged) == asked
    assert {row["verdict"] for row in judged.values()} <= {"holds", "fails", "undecided"}
