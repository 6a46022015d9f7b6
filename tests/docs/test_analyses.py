"""Every analysis has its parts, and its check runs in the engine's environment."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "analyses"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
PARTS = ("Environment: ", "Version", "**Claimed.**", "**Measured.**", "**Check.**")


def check_of(page: Path) -> str:
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)
    return str(block)


def ran(page: Path, code: str) -> subprocess.CompletedProcess[str]:
    (name,) = re.findall(r"^Environment: `(\w+)`", page.read_text(), flags=re.MULTILINE)
    python = ROOT / ".engines" / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"run make engines/{name}")
    command = [str(python), "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_there_are_enough_and_the_index_has_all() -> None:
    assert len(PAGES) >= 6
    named = re.findall(r"\]\(([\w-]+\.md)\)", (FOLDER / "README.md").read_text())
    assert sorted(named) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_its_parts(page: Path) -> None:
    text = page.read_text()
    assert [part for part in PARTS if part not in text] == []
    assert "**What it means.**" in text
    assert re.search(r"```console\nkvbarrier attack ", text)
    lines = [line for line in check_of(page).splitlines() if line]
    assert len(lines) <= 12
    assert any("assert" in line for line in lines)
    assert any(re.match(r"import .*numpy", line) for line in lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_check_holds_and_can_fail(page: Path) -> None:
    code = check_of(page)
    done = ran(page, code)
    assert done.returncode == 0, done.stderr
    # The same lines with the opposite of what is asserted last.
    head, _, last = code.rstrip("\n").rpartition("\nassert ")
    if last:
        assert ran(page, f"{head}\nassert not ({last})").returncode == 1
