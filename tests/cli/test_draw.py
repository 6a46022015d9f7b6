"""Pictures are drawn again from their tables, as PNG, SVG and PDF, and nothing is run."""

from __future__ import annotations

from pathlib import Path

GALLERY = Path(__file__).resolve().parents[2] / "figures" / "gallery"


def test_an_experiment_is_drawn_from_the_committed_tables(kvbarrier, tmp_path: Path) -> None:
    said = kvbarrier("experiments", "draw", "bounds", "--tables", str(GALLERY), "--out", "o")
    assert said.code == 0, said.err
    names = ("bounds", "bounds-distortion", "bounds-models", "bounds-precision")
    files = {f"{name}.{kind}" for name in names for kind in ("png", "svg", "pdf")}
    assert {path.name for path in (tmp_path / "o").iterdir()} == files
    assert "bounds-models.{png,svg,pdf}" in said.err


def test_tables_that_are_not_there_are_told(kvbarrier, tmp_path: Path) -> None:
    said = kvbarrier("experiments", "draw", "fano", "--tables", ".")
    assert said.code == 2
    assert "no table fano-optimum.csv: run the experiment first" in said.err
    said = kvbarrier("experiments", "draw", "fanno", "--tables", ".")
    assert (said.code, "Did you mean 'fano'?" in said.err) == (2, True)
