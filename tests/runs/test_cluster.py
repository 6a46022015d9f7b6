"""A real dask cluster on this machine: a scheduler and two workers, each a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kvbarrier.errors import BadInput, KVBarrierError
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs.cluster import dask_executor
from kvbarrier.runs.executors import make_executor
from kvbarrier.runs.results import Results
from kvbarrier.runs.runner import Step, run_cells
from kvbarrier.runs.stopping import FixedMessages

pytest.importorskip("distributed")

CELLS = [
    Cell(Index(n=64, d=16), name, batch_size=2) for name in ("exact", "sliding-window", "quantized")
]


class Cluster:
    """A scheduler and its workers, which end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--no-show")
        deadline = time.monotonic() + 60
        while not self.file.exists():
            assert time.monotonic() < deadline, "the scheduler did not come up"
            time.sleep(0.05)
        text = self.file.read_text()
        self.address = text.split('"address": "')[1].split('"')[0]
        self.workers: list[subprocess.Popen[bytes]] = []

    def worker(self, **environment: str) -> None:
        self.workers.append(
            self._start("worker", "--no-nanny", "--nthreads", "1", environment=environment)
        )

    def _start(
        self, what: str, *words: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *words]
        command += ["--no-dashboard", "--scheduler-file", str(self.file)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=os.environ | (environment or {}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.end()


def played(executor, progress=None, messages: int = 8) -> dict[object, object]:
    store = Results()
    run_cells(
        CELLS,
        store,
        stopping=FixedMessages(messages),
        keys="experiments",
        executor=executor,
        isolation="inline",
        progress=progress,
    )
    return {row.id: row.counts() for row in store.rows}


def test_two_workers_give_the_rows_of_one_machine_and_a_lost_one_loses_nothing(
    cluster: Cluster,
) -> None:
    with make_executor() as here:
        alone = played(here)
    for _ in range(2):
        cluster.worker()
    killed = []

    def kill_one(step: Step) -> None:
        if step.done == 2:
            cluster.workers[0].kill()
            killed.append(cluster.workers[0])

    with make_executor(cluster=cluster.address) as executor:
        assert played(executor) == alone
        assert played(executor, kill_one) == alone
    assert killed


def test_a_scheduler_that_goes_is_told_in_a_sentence(cluster: Cluster) -> None:
    cluster.worker()

    def kill_scheduler(step: Step) -> None:
        if step.done == 1:
            cluster.scheduler.kill()

    with (
        pytest.raises(KVBarrierError, match="run the same command again"),
        make_executor(cluster=cluster.address) as executor,
    ):
        played(executor, kill_scheduler, messages=400)


def test_a_scheduler_without_workers_is_not_waited_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvbarrier.runs.cluster.PATIENCE_SECONDS", 0.5)
    with (
        pytest.raises(BadInput, match=r"no workers after 0\.5 seconds.*dask worker tcp:"),
        dask_executor(cluster.address),
    ):
        pass


def test_a_worker_with_another_version_is_named(cluster: Cluster, tmp_path: Path) -> None:
    other = tmp_path / "other" / "kvbarrier-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: kvbarrier\nVersion: 0.0.1\n")
    cluster.worker(PYTHONPATH=str(other.parent))
    with (
        pytest.raises(BadInput, match=r"worker at tcp://.* has kvbarrier 0\.0\.1"),
        dask_executor(cluster.address),
    ):
        pass


def test_no_scheduler_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvbarrier.runs.cluster.PATIENCE_SECONDS", 0.5)
    with (
        pytest.raises(BadInput, match=r"No dask scheduler answers at tcp://127\.0\.0\.1:1"),
        dask_executor("tcp://127.0.0.1:1"),
    ):
        pass
