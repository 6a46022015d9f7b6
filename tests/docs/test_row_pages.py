"""The referee's table: a cell for each head, a page for each row, commands that are its games."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
from kvbarrier.compressors.targets import parse_query
from kvbarrier.experiments.engines.findings import settings

ROOT = Path(__file__).resolve().parents[2]
GALLERY = ROOT / "figures" / "gallery"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        import row_pages

        return row_pages


def table(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


def test_every_row_has_a_cell_for_each_head(pages: ModuleType) -> None:
    """The column of what a class claims had a head and no cell, so all numbers stood one left."""
    import engines_page

    text = engines_page.engines_page(GALLERY).partition("## Out of reach")[0]
    head, _, *rows = table(text)
    assert {len(row) for row in rows} == {len(head)}
    found = [one for one in settings(GALLERY) if one.lines]
    place = [name.strip() for name in head].index("wire")
    shown = {row[0].strip(): row[place].strip() for row in rows}
    assert all(shown[f"`{pages.short(one.name)}`"] == f"{one.main['wire']:.3f}" for one in found)


def test_every_row_has_a_page_of_its_own_with_all_that_is_needed(pages: ModuleType) -> None:
    found, written = settings(GALLERY), dict(pages.row_pages(GALLERY))
    assert len(written) == len(found) > 100
    for one in found:
        text = written[pages.slug(one)]
        assert "if-your-package-is-in-the-table" in text
        assert one.distribution in text
        if one.lines:
            assert {len(row) for row in table(text)} <= {7}
            for line in one.lines.values():
                assert line["key"][:16] in text
            assert "kvbarrier verify row.json" in text


def test_a_command_says_what_is_particular_about_a_rows_game(pages: ModuleType) -> None:
    from dataclasses import replace

    one = next(one for one in settings(GALLERY) if one.target == "hf:dynamic")
    game = '{"reduction": "sliding-layers", "d": 256, "layers": 2, "every": 2, "window": 129}'
    line = {**one.main, "d": 256, "layers": 2, "game": game, "messages": 4}
    command = pages.command(replace(one, params={"model": "gemma3"}), line)
    assert command == (
        "kvbarrier attack 'hf:dynamic?model=gemma3' --keys kerdock --reduction sliding-layers "
        "--every 2 --window 129 --n 512 --d 256 --layers 2 --messages 4"
    )


def test_a_command_plays_the_rows_own_game(pages: ModuleType) -> None:
    for one in settings(GALLERY):
        for (basis, bob), line in one.lines.items():
            words = shlex.split(pages.command(one, line))
            assert words[:2] == ["kvbarrier", "attack"]
            target, _, query = words[2].partition("?")
            assert target == one.target
            parsed = parse_query(query, target) if query else {}
            told = {name: str(value) for name, value in parsed.items()}
            assert told.pop("bob", "asks") == bob
            assert told.pop("feed", "prefill") == line["feed"]
            assert told == {name: str(value) for name, value in one.params.items()}
            assert (("--basis" in words) and words[words.index("--basis") + 1]) == (
                basis != "literal" and basis
            )


def test_the_sites_table_leads_from_every_row_to_its_page(pages: ModuleType) -> None:
    committed = (ROOT / "docs" / "engines-table.md").read_text()
    text = pages.narrow_table(GALLERY, committed)
    head, _, *rows = table(text.partition("## Out of reach")[0])
    assert {len(row) for row in rows} == {len(head)}
    leads = re.findall(r"\]\(engines-rows/([\w-]+)\.md\)", text)
    assert leads == [name for name, _ in pages.row_pages(GALLERY)]
    assert text.partition("## Out of reach")[2] == committed.partition("## Out of reach")[2]


def test_every_public_name_is_in_the_reference() -> None:
    """pack_bits was public and on no page."""
    import kvbarrier

    page = (ROOT / "docs" / "python.md").read_text()
    names = [name for name in dir(kvbarrier) if not name.startswith("_")]
    assert [name for name in names if not re.search(rf"\b{name}\b", page)] == []
