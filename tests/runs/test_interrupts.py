"""Signals under a run: the first keeps what was played, the second stops at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kvbarrier.errors import KVBarrierError
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.index_game import BatchRecord
from kvbarrier.runs import runner
from kvbarrier.runs.executors import make_executor
from kvbarrier.runs.interrupts import Interrupted, stop_requests
from kvbarrier.runs.results import Results, ResultsFile, read_results
from kvbarrier.runs.rows import BatchRow, union
from kvbarrier.runs.runner import Facts, Step, run_cells
from kvbarrier.runs.stopping import FixedMessages

MakeCell = Callable[..., Cell]
Play = Callable[..., BatchRecord]

SOURCE = "feedc0de"


def ours(cell: Cell) -> Facts:
    return Facts(SOURCE, builtin=True)


def theirs(cell: Cell) -> Facts:
    return Facts(SOURCE, builtin=False)


def table(rows: list[BatchRow]) -> list[tuple[Any, ...]]:
    """What a run must reproduce: everything but times and hosts, in the order of the ids."""
    return [row.id + row.counts() for row in union(rows)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_keeps_what_was_played_and_resumes(
    tmp_path: Path, cell: MakeCell, play: Play, number: int, code: int, workers: int
) -> None:
    cells = [cell("exact"), cell("guess")]
    whole = Results()
    run_cells(cells, whole, stopping=FixedMessages(20), play=play, facts=ours)
    path = tmp_path / "r.csv"

    def signalled(step: Step) -> None:
        if step.done == 3:
            os.kill(os.getpid(), number)

    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with (
        make_executor(workers, "inline" if workers == 1 else "process") as executor,
        ResultsFile(path) as store,
        pytest.raises(Interrupted, match="run the same command again") as stopped,
    ):
        run_cells(cells, store, stopping=FixedMessages(20), play=play, facts=ours,
                  executor=executor, progress=signalled)  # fmt: skip
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert stopped.value.exit_code == code
    assert isinstance(stopped.value, KVBarrierError)
    assert stopped.value.abandoned == 0
    assert str(path) in str(stopped.value)
    kept = read_results(path)
    # Threads may have played everything before the signal is looked at; a serial run may not.
    assert 3 <= len(kept) == stopped.value.kept <= (3 if workers == 1 else 10)
    with ResultsFile(path) as store:
        run_cells(cells, store, stopping=FixedMessages(20), play=play, facts=ours)
    assert table(read_results(path)) == table(whole.rows)


def test_messages_that_fail_under_a_signal_are_not_held_against_the_plug_in(
    cell: MakeCell, play: Play
) -> None:
    store = Results()

    def struck(*args: Any) -> BatchRecord:
        if args[2] == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return play(*args)

    with pytest.raises(Interrupted, match=r"no results of this run are kept"):
        run_cells([cell("fails")], store, stopping=FixedMessages(20), play=struck, facts=ours)
    assert [r.batch for r in store.rows] == [0]


def test_a_batch_that_does_not_end_is_abandoned(
    cell: MakeCell, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GRACE_SECONDS", 0.2)
    release = threading.Event()

    def hanging(*args: Any) -> BatchRecord:
        if args[2] == 1:
            os.kill(os.getpid(), signal.SIGINT)
            release.wait(20)
        return play(*args)

    executor = ThreadPoolExecutor(1)
    store = Results()
    try:
        with pytest.raises(Interrupted) as stopped:
            run_cells([cell()], store, stopping=FixedMessages(20), play=hanging, facts=ours,
                      executor=executor)  # fmt: skip
    finally:
        release.set()
        executor.shutdown()
    assert stopped.value.abandoned == 1
    assert [r.batch for r in store.rows] == [0]


def test_a_second_signal_stops_at_once() -> None:
    with stop_requests() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signum == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_two_signals_during_one_batch_still_say_what_is_kept(cell: MakeCell, play: Play) -> None:
    def twice(*args: Any) -> BatchRecord:
        if args[2] == 1:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return play(*args)

    store = Results()
    with pytest.raises(Interrupted):
        run_cells([cell()], store, stopping=FixedMessages(20), play=twice, facts=ours)
    assert [r.batch for r in store.rows] == [0]


def test_signals_are_left_alone_outside_the_main_thread(cell: MakeCell, play: Play) -> None:
    store = Results()
    thread = threading.Thread(
        target=run_cells, args=([cell()], store),
        kwargs={"stopping": FixedMessages(8), "play": play, "facts": ours},
    )  # fmt: skip
    thread.start()
    thread.join()
    assert len(store.rows) == 2
