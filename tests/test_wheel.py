"""The wheel holds the package and no more, and plays its baselines where there is nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ["reductions", "compressors", "protocols", "runs", "experiments", "figures", "cli"]


def shipped(name: str) -> bool:
    top = name.split("/")[0]
    own = name.endswith(".py") and name != "setup.py"
    inside = top in ROOMS or ("/" not in name and own) or name == "py.typed"
    # The gallery is for readers of the repository, and its updater works on a checkout.
    return inside and not name.startswith("figures/gallery/")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, files_of_ours: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # setuptools leaves build/ beside the sources: build from a copy.
    source = folder / "source"
    for name in files_of_ours:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    command = ["pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w"]
    subprocess.run(
        [sys.executable, "-m", *command, str(folder), str(source)], check=True, capture_output=True
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_is_the_package_and_no_more(wheel: Path, files_of_ours: list[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {
            n.removeprefix("kvbarrier/") for n in archive.namelist() if n.startswith("kvbarrier/")
        }
    assert names == {name for name in files_of_ours if shipped(name)}


def give_kernels(package: Path) -> None:
    """What numba compiled of our sources it takes for those of the same bytes, size and time."""
    for path in package.rglob("*.py"):
        ours = ROOT / path.relative_to(package)
        assert path.read_bytes() == ours.read_bytes()
        os.utime(path, ns=(ours.stat().st_atime_ns, ours.stat().st_mtime_ns))
    for room in {path.parent for path in package.rglob("*.py")}:
        kept = ROOT / room.relative_to(package) / "__pycache__"
        for file in (*kept.glob("*.nbi"), *kept.glob("*.nbc")):
            (room / "__pycache__").mkdir(exist_ok=True)
            shutil.copy(file, room / "__pycache__")


def test_the_wheel_plays_the_committed_baselines_in_an_empty_folder(
    wheel: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    give_kernels(tmp_path / "site" / "kvbarrier")
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "kvbarrier", "regress", "--quick", "--json"],
        cwd=empty,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"]
    assert report["moved"] == []
    assert report["smallest_shift_caught"] <= 0.02
    assert not list(empty.iterdir())
