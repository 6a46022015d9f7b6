"""Rewrite what README.md shows on a console: each command after ``$`` is run, with the examples.

Run by ``make consoles``. Secrets are fresh, so the numbers change a little each time; a test runs
the same commands and compares the words.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```console\n(.*?)```", re.S)


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a block with what it shows below each; none where no line begins with $."""
    parts = re.split(r"^\$ ", block, flags=re.M)[1:]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def said(command: str, folder: Path) -> str:
    """What a command writes to stdout in a folder, with the program of this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=os.environ | {"PATH": path},
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip


def with_examples(folder: Path) -> Path:
    """The folder, with the examples in it."""
    for example in (ROOT / "examples").glob("*.py"):
        shutil.copy(example, folder)
    return folder


def renewed(text: str) -> str:
    """A page with its consoles run again."""
    with tempfile.TemporaryDirectory() as place:
        folder = with_examples(Path(place))

        def run(match: re.Match[str]) -> str:
            found = [f"$ {line}\n{said(line, folder).rstrip()}\n" for line, _ in commands(match[1])]
            return f"```console\n{chr(10).join(found)}```" if found else match[0]

        return BLOCK.sub(run, text)


if __name__ == "__main__":
    page = ROOT / "README.md"
    page.write_text(renewed(page.read_text()))
