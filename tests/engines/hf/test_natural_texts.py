"""The natural texts: enough of each kind, always the same, and what they say they are."""

from __future__ import annotations

import hashlib
import importlib.util
import mimetypes
import unicodedata

import pytest
from kvbarrier.compressors.engines.natural import texts
from kvbarrier.errors import BadInput

HERE = [kind for kind in texts.KINDS if kind != "multilingual"]
DJANGO = importlib.util.find_spec("django") is not None


def test_every_kind_has_texts_enough_for_intervals() -> None:
    assert set(texts.KINDS) == {"prose", "code", "tables", "multilingual"}
    for names, _ in texts.KINDS.values():
        assert len(set(names)) == len(names) >= 8


@pytest.mark.parametrize("kind", HERE)
def test_texts_are_long_distinct_and_the_same_each_time(kind: str) -> None:
    found = texts.pieces(kind)
    assert len({text.digest for text in found}) == len(found)
    assert found == texts.pieces(kind)
    assert all(2000 < len(text.text) <= texts.LENGTH for text in found)
    assert texts.pieces(kind, 2) == found[:2]


def test_a_digest_is_sha256_of_the_text() -> None:
    text = texts.Text("prose", "empty", "")
    assert text.digest == hashlib.sha256(b"").hexdigest()[:16] == "e3b0c44298fc1c14"


def test_code_starts_at_a_definition() -> None:
    for text in texts.pieces("code"):
        assert text.text.startswith(("class ", "def ")), text.name


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("primes", "  25    97    8"),
        ("http statuses", '404,"Not Found","Nothing matches the given URI"'),
        ("code page 437", "0x80 | U+00C7 | LATIN CAPITAL LETTER C WITH CEDILLA"),
        ("normal distribution", "1.00  0.84134  0.24197"),
        ("html entities", "AElig;,U+00C6"),
    ],
)
def test_tables_say_what_is_known(name: str, line: str) -> None:
    [table] = [text for text in texts.pieces("tables") if text.name == name]
    assert line in table.text.splitlines()


def test_a_system_with_more_mime_types_has_the_same_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def table() -> str:
        return next(text.text for text in texts.pieces("tables") if text.name == "mime types")

    before = table()
    mimetypes.add_type("text/x-kvbarrier", ".aaa")
    assert table() == before


@pytest.mark.skipif(not DJANGO, reason="Django's translations are not installed here")
def test_languages_are_theirs() -> None:
    found = {text.name: text.text for text in texts.pieces("multilingual")}
    assert len(set(found.values())) == len(found)
    for name, script in (("ru", "CYRILLIC"), ("el", "GREEK"), ("ar", "ARABIC"), ("fr", "LATIN")):
        letters = [c for c in found[name] if c.isalpha()]
        own = sum(unicodedata.name(c).startswith(script) for c in letters)
        assert own / len(letters) > 0.6, name


@pytest.mark.skipif(DJANGO, reason="Django is installed here")
def test_missing_translations_are_a_sentence() -> None:
    with pytest.raises(BadInput, match="come with Django, which is not installed"):
        texts.pieces("multilingual")


def test_unknown_kinds_and_counts_are_refused() -> None:
    with pytest.raises(BadInput, match="no kind of text 'poems'"):
        texts.pieces("poems")
    with pytest.raises(BadInput, match="only 12 texts of prose: give 1 to 12, not 13"):
        texts.pieces("prose", 13)
