"""Kernels where numba can keep nothing: compiled all the same, with one warning."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import kvbarrier
import numpy as np
import pytest
from kvbarrier.compressors.plugin.blame import is_ours
from kvbarrier.reductions import jit
from loky import ProcessPoolExecutor

ROOT = Path(kvbarrier.__file__).parent
OURS = [file for room in ROOT.glob("*/__init__.py") for file in room.parent.rglob("*.py")]
OURS = [file for file in (*OURS, *ROOT.glob("*.py")) if is_ours(str(file))]

# It calls the smallest kernel of ours: each life compiles it anew, and others take seconds.
PLUGIN = """
import numpy as np
from kvbarrier.reductions.attention_kernels import exp2

class Keeps:
    def __init__(self, shape):
        self.kept = []
    def append(self, q, k, v):
        self.kept.append((k, v))
    def attend(self, q):
        K, V = (np.array(rows) for rows in zip(*self.kept))
        scores = K @ q / np.log(2)
        weights = np.array([exp2(np.float32(s)) for s in scores - scores.max()], float)
        return weights @ V / weights.sum()
"""


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package beside which nobody, root neither, can make a folder for a cache.

    Where ``__pycache__`` would be there is a file, and HOME is a file too: numba's attempts fail as
    they do on a read-only file system, whoever tries.
    """
    site = tmp_path_factory.mktemp("site")
    for file in OURS:
        copy = site / "kvbarrier" / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        (copy.parent / "__pycache__").touch()
    (site / "keeps.py").write_text(PLUGIN)
    return site


def attack(site: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); from kvbarrier.cli import main; "
        "main(sys.argv[1:])"
    )
    kept = ("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", code, str(site), "attack", *argv,
         "--n", "32", "--d", "16", "--keys", "hypercube", "--budget", "2", "--json"],
        capture_output=True, text=True, timeout=300, check=False, cwd=site,
        env=environment | {"HOME": os.devnull, "PYTHONPATH": str(site)},
    )  # fmt: skip


@pytest.mark.parametrize(
    "argv",
    [("exact", "--param", "dtype=fp32", "-m", "2"), ("exact", "--workers", "2", "-m", "2"),
     # Of each message Alice and Bob live in processes of their own.
     ("keeps.py:Keeps", "-m", "1"), ("keeps.py:Keeps", "--isolation", "process", "-m", "1")],
)  # fmt: skip
def test_an_attack_needs_no_folder_for_kernels(nowhere: Path, argv: tuple[str, ...]) -> None:
    said = attack(nowhere, *argv)
    assert said.returncode == 0, said.stdout + said.stderr
    (point,) = json.loads(said.stdout)["points"]
    # Exact attention at the tight scale errs nowhere.
    assert (point["failed"], point["bit_error"]["estimate"]) == (0, 0.0)
    assert said.stderr.count("Numba cannot keep compiled kernels") == 1


def test_a_cache_that_cannot_be_written_later_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @jit.njit(cache=True)
    def twice(x):
        return 2 * x

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jit, "_warned", False)
    monkeypatch.setattr(jit.FunctionCache, "save_overload", full)
    monkeypatch.setattr(jit.FunctionCache, "load_overload", full)
    with pytest.warns(jit.UncachedWarning, match="No space left") as said:
        answers = twice(3), twice(1.5)
    assert answers == (6, 3.0)
    assert len(said) == 1


def test_every_kernel_of_ours_is_made_there() -> None:
    sources = {file: file.read_text() for file in OURS}
    direct = [f.name for f, text in sources.items() if "from numba import" in text
              and "njit" in text.split("from numba import")[1].split("\n")[0]]  # fmt: skip
    assert direct == []


def compiled_here(_: int) -> tuple[int, int, int]:
    """How often this worker compiled a kernel, how often it loaded one, and who it is."""
    from kvbarrier.compressors.zoo.paper import subgen

    coin = np.uint64(1)
    subgen.coin(coin, coin)
    stats = subgen.coin.stats
    time.sleep(1)  # so that the other task is another worker's
    return sum(stats.cache_misses.values()), sum(stats.cache_hits.values()), os.getpid()


def test_of_two_workers_one_compiles_a_kernel_and_the_other_loads_it(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, env={"NUMBA_CACHE_DIR": str(tmp_path)}) as workers:
        list(workers.map(time.sleep, [0.5, 0.5]))  # both are there
        counts = list(workers.map(compiled_here, range(2)))
    assert len({pid for *_, pid in counts}) == 2
    assert sorted(count[:2] for count in counts) == [(0, 1), (1, 0)]
