"""CONTRIBUTING.md's recipes are true: a toy of each kind, added by its steps in a copy of the tree.

``tests/contributing/KIND/`` has the files that its steps write, ``EDITS`` the lines that they add
to files that are there. Both are by hand, and are counted together; its tests come on top.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOYS = ROOT / "tests" / "contributing"
ROOMS = ("reductions", "compressors", "protocols", "runs", "experiments", "figures", "cli")

Edit = tuple[str, str, str]

#: kind -> (file, text in it, what takes its place)
EDITS: dict[str, tuple[Edit, ...]] = {
    "compressor": (("compressors/zoo/__init__.py", '"baseline": (', '"baseline": ("toy-cache", '),),
    "experiment": (("experiments/registry.py", "NAMES = (", 'NAMES = (\n    "toy-sum",'),),
    "engine": (
        ("compressors/engines/schemes.py", 'NAMES = ("hf", ', 'NAMES = ("toy", "hf", '),
        ("pyproject.toml", "hf = [", 'toy = ["numpy>=2"]\nhf = ['),
    ),
    "reduction": (
        (
            "reductions/__init__.py",
            "REDUCTIONS = {",
            'REDUCTIONS = {\n    "toy-index": ("softmax", "a toy"),',
        ),
        (
            "protocols/game/instances.py",
            "CLASSES: dict",
            """@dataclass(frozen=True)
class ToyIndex(Instance):
    \"\"\"Index on hypercube keys.\"\"\"

    reduction: ClassVar[str] = "toy-index"

    def _build(self) -> Reduction:
        from ...reductions.toy_index import toy_index

        assert self.eta is not None
        return toy_index(self.n, self.d, self.eta, self.scale)


CLASSES: dict""",
        ),
        ("protocols/game/instances.py", "Index, HeavyHitters", "Index, ToyIndex, HeavyHitters"),
    ),
}
#: kind -> files by hand, those written and those edited; of an engine those outside its folder
FILES = {"compressor": 2, "experiment": 3, "engine": 2, "reduction": 3}
SMALL = ("--n", "32", "--d", "16", "--messages", "4", "--json")
RUNS: dict[str, tuple[str, ...]] = {
    "compressor": ("attack", "toy-cache", "--budget", "1", *SMALL),
    "experiment": ("experiments", "run", "toy-sum", "--out", "results", "--json"),
    "engine": ("attack", "toy:plain", *SMALL),
    "reduction": ("attack", "exact", "--reduction", "toy-index", "--budget", "1", *SMALL),
}


@pytest.fixture
def copy(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the package with the toy added."""
    tree = tmp_path / "kvbarrier"
    tree.mkdir()
    for name in ROOMS:
        # With what Python and numba compiled: of a file with the same time and size it is taken.
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("gallery"))
    for file in [*ROOT.glob("*.py"), ROOT / "pyproject.toml"]:
        shutil.copy(file, tree)
    kind = request.param
    shutil.copytree(TOYS / kind, tree, dirs_exist_ok=True)
    for name, old, new in EDITS[kind]:
        text = (tree / name).read_text()
        assert text.count(old) == 1, f"{name} has {text.count(old)} times {old!r}"
        (tree / name).write_text(text.replace(old, new))
    return tree


def ran(tree: Path, *command: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "kvbarrier", *command],
        cwd=tree.parent,
        env=os.environ | {"PYTHONPATH": str(tree.parent), "KVBARRIER_ENGINES": str(tree.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("copy", "kind"), [(kind, kind) for kind in EDITS], indirect=["copy"], ids=list(EDITS)
)
def test_a_toy_added_by_its_steps_runs(copy: Path, kind: str) -> None:
    said = ran(copy, *RUNS[kind])
    if kind == "experiment":
        assert {claim["claim"]: claim["verdict"] for claim in said["claims"]} == {
            "toy-sum.four": "holds"
        }
        assert (copy.parent / "results" / "toy-sum.png").stat().st_size > 0
        return
    [point] = said["points"]
    assert point["wrong_bits"] == 0
    assert point["messages"] == 4
    if kind == "reduction":
        assert point["reduction"] == "toy-index"


@pytest.mark.parametrize("kind", EDITS)
def test_few_files_are_by_hand(kind: str) -> None:
    toy = [file.relative_to(TOYS / kind) for file in (TOYS / kind).rglob("*.*")]
    own = {str(file) for file in toy if "__pycache__" not in file.parts}
    assert {name.split("/")[0] for name in own} <= set(ROOMS)
    outside = {name for name in own if not name.startswith("compressors/engines/toy/")}
    edited = {name for name, _, _ in EDITS[kind]}
    assert len(outside) + len(edited) == FILES[kind]


def test_the_steps_name_every_file() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for kind, edits in EDITS.items():
        steps = text.partition(f"## A new {kind}\n")[2].partition("\n## ")[0]
        assert [name for name, _, _ in edits if f"`{name}`" not in steps] == []
        assert f"Files by hand: {FILES[kind]}" in steps
