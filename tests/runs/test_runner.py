"""The runner with a fake game: what is played is a function of the cells, keys and rule alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from kvbarrier.errors import BadInput, BudgetTooSmall, PluginFailure
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.coins import COMMITTED_KEYS
from kvbarrier.protocols.game.index_game import BatchRecord
from kvbarrier.runs.executors import make_executor
from kvbarrier.runs.results import Results, ResultsFile, read_results
from kvbarrier.runs.rows import BatchRow, union
from kvbarrier.runs.runner import Facts, Step, run_cells
from kvbarrier.runs.stopping import FixedMessages, UntilDecided, batch_size_for

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


class Backwards(Executor):
    """Runs what was submitted last first: the worst order there is."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        threading.Timer(0.005, self.work).start()
        return future

    def work(self) -> None:
        future, call = self.waiting.pop()
        if future.set_running_or_notify_cancel():
            future.set_result(call())


def test_a_fixed_number_is_played_exactly(cell: MakeCell, play: Play) -> None:
    store = Results()
    outcomes = run_cells(
        [cell(), cell("guess")], store, stopping=FixedMessages(12), play=play, facts=ours
    )
    assert [[r.batch for r in o.rows] for o in outcomes] == [[0, 1, 2], [0, 1, 2]]
    assert sum(r.size for r in store.rows) == 24
    assert {r.key for r in store.rows} == {"experiments"}
    assert {r.isolation for r in store.rows} == {"inline"}


def test_parts_of_a_batch_are_refused_with_a_way_out(cell: MakeCell, play: Play) -> None:
    with pytest.raises(BadInput, match=r"not whole batches of 4: .* batch_size_for\(10\)"):
        run_cells([cell()], Results(), stopping=FixedMessages(10), play=play, facts=ours)


@pytest.mark.parametrize("messages", [1, 2, 7, 10, 16, 17, 30, 32, 100, 256])
def test_batch_sizes_divide(messages: int) -> None:
    size = batch_size_for(messages)
    assert messages % size == 0
    assert 1 <= size <= 16
    assert not any(messages % larger == 0 for larger in range(size + 1, 17))


def test_no_messages_are_refused() -> None:
    with pytest.raises(BadInput, match="must be 1 or more, not 0"):
        batch_size_for(0)


def test_until_decided_stops_by_the_data(cell: MakeCell, play: Play) -> None:
    # Half of the bits wrong: every bucket at 1/2, decided in 4 messages; little wrong (at most 2 of
    # 32 a bucket, 1 on average): decided below 1/10 after some tens.
    outcomes = run_cells(
        [cell("guess"), cell("exact")], Results(), stopping=UntilDecided(), play=play, facts=ours
    )
    counts = [4 * len(o.rows) for o in outcomes]
    assert counts[0] == 4
    assert 32 < counts[1] < 256


def test_until_decided_gives_up_at_its_maximum(cell: MakeCell, play: Play) -> None:
    rule = UntilDecided(maximum=20)
    (outcome,) = run_cells([cell("exact")], Results(), stopping=rule, play=play, facts=ours)
    assert [r.batch for r in outcome.rows] == [0, 1, 2, 3, 4]
    assert rule.most(cell(batch_size=16)) == 1


@pytest.mark.parametrize("rule", [FixedMessages(24), UntilDecided(maximum=48)])
def test_the_executor_does_not_matter(rule: Any, cell: MakeCell, play: Play) -> None:
    cells = [cell("guess"), cell("exact"), cell("fails", budget="1/8")]
    serial, threads, backwards = Results(), Results(), Results()
    run_cells(cells, serial, stopping=rule, play=play, facts=ours)
    with make_executor(3, "process") as executor:
        run_cells(cells, threads, stopping=rule, play=play, facts=ours, executor=executor)
    with Backwards() as executor:
        run_cells(cells, backwards, stopping=rule, play=play, facts=ours, executor=executor)
    assert table(serial.rows) == table(threads.rows) == table(backwards.rows)


def test_an_adaptive_cell_has_one_batch_in_flight(cell: MakeCell, play: Play) -> None:
    flying: dict[str, int] = {}
    most: dict[str, int] = {}
    lock = threading.Lock()

    def watched(one: Cell, *rest: Any) -> BatchRecord:
        with lock:
            flying[one.id] = flying.get(one.id, 0) + 1
            most[one.id] = max(most.get(one.id, 0), flying[one.id])
        record = play(one, *rest)
        with lock:
            flying[one.id] -= 1
        return record

    with make_executor(4, "process") as executor:
        run_cells(
            [cell("exact"), cell("fails")], Results(), stopping=UntilDecided(maximum=40),
            play=watched, facts=ours, executor=executor,
        )  # fmt: skip
    assert set(most.values()) == {1}


def test_a_second_run_plays_nothing_and_changes_no_byte(
    tmp_path: Path, cell: MakeCell, play: Play
) -> None:
    path = tmp_path / "r.csv"
    calls = []

    def counted(*args: Any) -> BatchRecord:
        calls.append(args)
        return play(*args)

    for rule in (FixedMessages(8), UntilDecided(maximum=40)):
        for _ in range(2):
            with ResultsFile(path) as store:
                run_cells([cell("exact")], store, stopping=rule, play=counted, facts=ours)
            before, played = path.read_bytes(), len(calls)
        with ResultsFile(path) as store:
            run_cells([cell("exact")], store, stopping=rule, play=counted, facts=ours)
        assert path.read_bytes() == before
        assert len(calls) == played
    assert len(calls) == 10


def test_resume_fills_gaps_and_equals_uninterrupted(
    tmp_path: Path, cell: MakeCell, play: Play
) -> None:
    cells = [cell("exact"), cell("fails")]
    whole = Results()
    run_cells(cells, whole, stopping=FixedMessages(20), play=play, facts=ours)
    with ResultsFile(tmp_path / "r.csv") as store:
        for row in whole.rows[::3]:
            store.append(row)
    with ResultsFile(tmp_path / "r.csv") as store:
        run_cells(cells, store, stopping=FixedMessages(20), play=play, facts=ours)
    assert table(read_results(tmp_path / "r.csv")) == table(whole.rows)


def test_another_version_of_the_code_is_another_source(cell: MakeCell, play: Play) -> None:
    store = Results()
    run_cells([cell()], store, stopping=FixedMessages(4), play=play, facts=ours)

    def newer(*args: Any) -> BatchRecord:
        record = play(*args)
        return BatchRecord(record.records, 1.0, record.isolation, True, "0ther")

    run_cells([cell()], store, stopping=FixedMessages(4), play=newer,
              facts=lambda c: Facts("0ther", True))  # fmt: skip
    assert [r.source for r in store.rows] == [SOURCE, "0ther"]


def test_code_that_changes_under_play_is_refused(cell: MakeCell, play: Play) -> None:
    with pytest.raises(BadInput, match="changed during the attack: run the command again"):
        run_cells([cell()], Results(), stopping=FixedMessages(4), play=play,
                  facts=lambda c: Facts("older", True))  # fmt: skip


def test_equal_cells_are_played_once(cell: MakeCell, play: Play) -> None:
    store = Results()
    outcomes = run_cells([cell(), cell()], store, stopping=FixedMessages(4), play=play, facts=ours)
    assert len(outcomes) == len(store.rows) == 1


# -- keys -----------------------------------------------------------------------------------------


def test_a_foreign_plug_in_meets_a_fresh_key_in_every_batch(cell: MakeCell, play: Play) -> None:
    seen = []

    def noted(one: Cell, key: bytes, *rest: Any) -> BatchRecord:
        seen.append(key)
        return play(one, key, *rest)

    store = Results()
    run_cells([cell("x.py:X")], store, stopping=FixedMessages(16), play=noted, facts=theirs)
    assert [r.key for r in store.rows] == [key.hex() for key in seen]
    assert len(set(seen)) == 4
    assert not set(seen) & set(COMMITTED_KEYS.values())
    assert {r.isolation for r in store.rows} <= {"process", "namespaces"}


def test_a_committed_key_can_be_named_for_our_own(cell: MakeCell, play: Play) -> None:
    store = Results()
    run_cells([cell()], store, stopping=FixedMessages(4), keys="regress", play=play, facts=ours)
    assert store.rows[0].key == "regress"
    again = play(cell(), COMMITTED_KEYS["regress"], 0, "inline", None)
    assert store.rows[0].wrong_by_age == tuple(r.wrong_by_age for r in again.records)
    with pytest.raises(BadInput, match="could have read the committed key"):
        run_cells([cell()], Results(), stopping=FixedMessages(4), keys="regress", play=play,
                  facts=theirs)  # fmt: skip
    with pytest.raises(BadInput, match="Did you mean 'regress'"):
        run_cells([cell()], Results(), stopping=FixedMessages(4), keys="regres", play=play,
                  facts=ours)  # fmt: skip


def test_a_file_is_not_mixed_from_two_kinds_of_keys(cell: MakeCell, play: Play) -> None:
    store = Results()
    run_cells([cell()], store, stopping=FixedMessages(4), play=play, facts=ours)
    for keys in ("regress", "fresh"):
        with pytest.raises(BadInput, match="holds batches of 'exact' drawn from the committed key"):
            run_cells([cell()], store, stopping=FixedMessages(4), keys=keys, play=play, facts=ours)
    fresh = Results()
    run_cells([cell()], fresh, stopping=FixedMessages(4), keys="fresh", play=play, facts=ours)
    run_cells([cell()], fresh, stopping=FixedMessages(8), keys="fresh", play=play, facts=ours)
    assert len({r.key for r in fresh.rows}) == 2


# -- what goes wrong ------------------------------------------------------------------------------


def test_a_budget_too_small_refuses_its_cell_alone(cell: MakeCell, play: Play) -> None:
    def picky(one: Cell, *rest: Any) -> BatchRecord:
        if one.target == "big":
            raise BudgetTooSmall("big", 7, 4096)
        return play(one, *rest)

    for workers in (1, 2):
        with make_executor(workers, "process") as executor:
            store = Results()
            refused, fine = run_cells(
                [cell("big"), cell("exact")], store, stopping=FixedMessages(8), play=picky,
                facts=ours, executor=executor,
            )  # fmt: skip
        assert refused.rows == ()
        assert refused.refused is not None
        assert refused.refused.minimum_bits == 4096
        assert "at least 4096 bits" in str(refused.refused)
        assert [r.batch for r in fine.rows] == [0, 1]


def test_a_plug_in_that_cannot_start_stops_the_run(
    tmp_path: Path, cell: MakeCell, play: Play
) -> None:
    def broken(one: Cell, key: bytes, batch: int, *rest: Any) -> BatchRecord:
        if batch == 2:
            raise PluginFailure("Alice could not be built.")
        return play(one, key, batch, *rest)

    with (
        ResultsFile(tmp_path / "r.csv") as store,
        pytest.raises(PluginFailure, match="could not be built"),
    ):
        run_cells([cell()], store, stopping=FixedMessages(20), play=broken, facts=ours)
    assert [r.batch for r in read_results(tmp_path / "r.csv")] == [0, 1]


def test_progress_ends_complete(cell: MakeCell, play: Play) -> None:
    steps: list[Step] = []
    cells = [cell("guess"), cell("exact")]
    run_cells(cells, Results(), stopping=UntilDecided(maximum=80), play=play, facts=ours,
              progress=steps.append)  # fmt: skip
    assert [s.done for s in steps] == list(range(1, len(steps) + 1))
    assert steps[0].most <= 2 * 20
    assert steps[-1].done == steps[-1].most
    assert all(s.row is not None and s.row.cell == s.cell.id for s in steps)
