"""The declared codecs: each is described in a file, pinned, and named by what it takes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from kvbarrier.compressors.engines.codec import rows as codec_rows
from kvbarrier.compressors.engines.rows import EngineRow
from kvbarrier.compressors.engines.schemes import interpreter_of, scheme_of

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "compressors" / "engines" / "codec" / "packages"
PREFIX = "codec:kvbarrier.compressors.engines.codec.packages."


def pins() -> dict[str, str]:
    files = [FOLDER.parent / name for name in ("pins.txt", "pins-apart.txt")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def described(row: EngineRow) -> ast.ClassDef:
    """The class that a row names, in its file, which is parsed and not imported."""
    file, _, name = row.target.removeprefix(PREFIX).partition(":")
    tree = ast.parse((FOLDER / f"{file}.py").read_text())
    (found,) = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name]
    return found


@pytest.mark.parametrize("row", codec_rows.ROWS, ids=lambda row: f"{row.target} {row.params}")
def test_a_row_names_a_class_its_package_and_its_parameters(row: EngineRow) -> None:
    cls = described(row)
    (init,) = [n for n in cls.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    assert set(row.params) <= {argument.arg for argument in init.args.args}
    declared = [
        n.value.value
        for n in cls.body
        if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "package"
    ]
    assert declared == [row.distribution]
    assert row.distribution in pins()
    assert row.declared is None or 0 < row.declared < 1


def test_there_are_enough_of_them_and_none_twice() -> None:
    keys = [(row.target, tuple(sorted(row.params.items()))) for row in codec_rows.ROWS]
    assert len(set(keys)) == len(keys)
    assert len({row.distribution for row in codec_rows.ROWS}) >= 13
    shown = {row.distribution for row in codec_rows.ROWS if row.shown}
    assert shown == {row.distribution for row in codec_rows.ROWS}
    assert any(row.streams for row in codec_rows.ROWS)


def test_every_description_is_in_the_table() -> None:
    named = {row.target.removeprefix(PREFIX) for row in codec_rows.ROWS}
    written = {
        f"{path.stem}:{node.name}"
        for path in FOLDER.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    assert named == written


def test_what_is_out_of_reach_is_not_in_the_table() -> None:
    played = {row.distribution for row in codec_rows.ROWS}
    assert not played & set(codec_rows.OUT_OF_REACH)
    assert all(re.match(r"it|its", reason) for reason in codec_rows.OUT_OF_REACH.values())


def test_pins_are_exact_and_torch_is_the_one_of_all_engines() -> None:
    assert pins()["torch"] == "2.13.0"
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins().values())
    assert not [name for name in pins() if name.startswith(("nvidia", "cuda", "triton"))]


def test_ours_are_played_in_their_environment_and_an_authors_where_it_is() -> None:
    assert scheme_of("codec:mine.py:Mine").name == "codec"  # type: ignore[union-attr]
    assert interpreter_of("codec:mine.py:Mine?bits=4") is None
    python = ROOT / ".engines" / "codec" / "bin" / "python"
    if not python.exists():
        pytest.skip("run make engines")
    assert interpreter_of(codec_rows.ROWS[0].target) == str(python)
