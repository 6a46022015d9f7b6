"""regress: what must be equal, what may differ, and shifts planted to be caught."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.evidence.record import MessageRecord
from kvbarrier.protocols.evidence.row_counts import counts_of, text_of
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.index_game import BatchRecord
from kvbarrier.runs.comparison import compare, refuse_powerless
from kvbarrier.runs.host import cpu_name, host_facts, hosts_match, versions
from kvbarrier.runs.regress import regress
from kvbarrier.runs.results import Results, write_results
from kvbarrier.runs.rows import BatchRow
from kvbarrier.runs.runner import Facts, run_cells
from kvbarrier.runs.sign_test import LEVEL, MARGIN, least_messages, messages_needed, paired_shift
from kvbarrier.runs.stopping import FixedMessages

Row = Callable[..., BatchRow]
MakeCell = Callable[..., Cell]
Play = Callable[..., BatchRecord]

ELSEWHERE = '{"cpu":"another"}'


def ours(cell: Cell) -> Facts:
    return Facts("feedc0de", builtin=True)


def rows_of(row: Row, cell: Cell, batches: int, **change: Any) -> list[BatchRow]:
    return [row(cell, batch, **change) for batch in range(batches)]


def add_wrong(row: BatchRow, extra: int, messages: Sequence[int] | None = None) -> BatchRow:
    """``extra`` more wrong bits in the oldest bucket of the messages of a row (all, or some)."""
    chosen = range(row.size) if messages is None else messages
    wrong = tuple(
        (w[0] + extra, *w[1:]) if t in chosen else w for t, w in enumerate(row.wrong_by_age)
    )
    return altered(row, wrong_by_age=wrong, wrong_by_row=None)


def altered(row: BatchRow, **change: Any) -> BatchRow:
    return BatchRow(**({name: getattr(row, name) for name in row.__dataclass_fields__} | change))


def test_sign_test_thresholds_are_exact() -> None:
    for messages in (1, 8, 20, 32, 64, 200):
        for level in (1e-3, 1e-6, 2.5e-9):
            k = messages_needed(messages, level)
            bound = Fraction(level) * 2**messages
            tails = [sum(comb(messages, j) for j in range(i, messages + 1))
                     for i in range(messages + 2)]  # fmt: skip
            if k is None:
                assert tails[messages] > bound
            else:
                assert tails[k] <= bound < tails[k - 1]


def test_the_smallest_shift_is_the_smallest_that_is_caught() -> None:
    changes = [0.001 * (t % 7 - 3) for t in range(40)]
    shift = paired_shift(changes, 0.005, 1e-8)
    assert shift.moved is None
    assert shift.smallest is not None
    for sign, word in ((1, "up"), (-1, "down")):
        just = [d + sign * (shift.smallest + 1e-9) for d in changes]
        assert paired_shift(just, 0.005, 1e-8).moved == word
    # One of the two directions needs exactly that much.
    less = [paired_shift([d + sign * (shift.smallest - 1e-9) for d in changes], 0.005, 1e-8).moved
            for sign in (1, -1)]  # fmt: skip
    assert None in less


def test_too_few_messages_see_nothing_and_say_so() -> None:
    shift = paired_shift([0.5] * 10, 0.005, 1e-8)
    assert (shift.needed, shift.smallest, shift.moved) == (None, None, None)


def test_the_same_host_must_be_equal_message_by_message(row: Row, cell: MakeCell) -> None:
    old = rows_of(row, cell(), 8)
    report = compare(old, old)
    assert report.passed
    assert report.comparisons[0].exact
    assert report.messages == 32
    assert report.smallest_shift == 0.0
    now = [*old[:5], add_wrong(old[5], 1, [2]), *old[6:]]
    (failure,) = compare(old, now).failures
    # Batch 5 of 4 messages, its third: message 22.
    was = sum(old[5].wrong_by_age[2])
    assert failure.failure == f"message 22 has wrong bits {was + 1} instead of {was}."


@pytest.mark.parametrize(
    ("change", "words"),
    [({"charged": (9, 9, 9, 9)}, "charged bits 9"),
     ({"failed": (None, None, None, "x")}, "now fails: x")],
)  # fmt: skip
def test_the_same_host_compares_everything(
    row: Row, cell: MakeCell, change: dict[str, Any], words: str
) -> None:
    old = rows_of(row, cell(), 2)
    now = [old[0], altered(old[1], **change)]
    (failure,) = compare(old, now).failures
    assert failure.failure is not None
    assert words in failure.failure


def test_bits_that_move_between_rows_of_a_bucket_are_seen(row: Row, cell: MakeCell) -> None:
    old = rows_of(row, cell(), 1)
    counts = [counts_of(text) for text in old[0].wrong_by_row or ()]
    # Two rows a bucket: the first and the second change places.
    moved = tuple(text_of(c.reshape(16, 2)[:, ::-1].ravel()) for c in counts)
    (failure,) = compare(old, [altered(old[0], wrong_by_row=moved)]).failures
    assert "wrong bits in row " in str(failure.failure)


def test_a_baseline_without_counts_by_row_is_compared_without_them(
    row: Row, cell: MakeCell
) -> None:
    old = [altered(one, wrong_by_row=None) for one in rows_of(row, cell(), 2)]
    assert not compare(old, rows_of(row, cell(), 2)).failures


def test_bits_that_move_between_buckets_are_seen(row: Row, cell: MakeCell) -> None:
    old = rows_of(row, cell(), 1)
    moved = tuple(w[1:] + w[:1] for w in old[0].wrong_by_age)
    (failure,) = compare(old, [altered(old[0], wrong_by_age=moved, wrong_by_row=None)]).failures
    assert "by age" in str(failure.failure)


def test_another_host_is_allowed_a_margin_and_no_more(row: Row, cell: MakeCell) -> None:
    # 512 asked bits a message: 2 wrong bits more are .0039, 3 are .0059 > .005.
    old = rows_of(row, cell(), 10)
    within = [altered(add_wrong(r, 2), host=ELSEWHERE) for r in old]
    beyond = [altered(add_wrong(r, 3), host=ELSEWHERE) for r in old]
    report = compare(old, within)
    assert report.passed
    assert not report.comparisons[0].exact
    assert report.comparisons[0].error.mean == pytest.approx(2 / 512)
    # All changes are .0039, so a shift of .0011 on top would have been caught, and .0089 downwards.
    assert report.smallest_shift == pytest.approx(MARGIN + 2 / 512)
    (failure,) = compare(old, beyond).failures
    assert "the bit error went up by 0.005859" in str(failure.failure)
    better = [altered(add_wrong(r, 3), host='{"cpu":"a, \\"quoted\\" one"}') for r in old]
    (failure,) = compare([altered(r, host=ELSEWHERE) for r in better], old).failures
    assert "went down" in str(failure.failure)


def test_a_planted_shift_of_the_announced_size_is_caught(row: Row, cell: MakeCell) -> None:
    # Rounding noise of +-1 bit elsewhere; then the announced smallest shift on top of it.
    old = rows_of(row, cell(), 10)
    noisy = [
        altered(add_wrong(r, 1, [t for t in range(4) if (r.batch + t) % 2]), host=ELSEWHERE)
        for r in old
    ]
    report = compare(old, noisy)
    assert report.passed
    assert report.smallest_shift is not None
    # Changes are 0 or 1 bit, and downwards the margin (2.56 bits) comes on top of that 1.
    bits = int(report.smallest_shift * 512) + 1
    assert bits == 4
    assert not compare(old, [add_wrong(r, bits) for r in noisy]).passed


def test_the_second_key_is_paired_even_at_home(row: Row, cell: MakeCell) -> None:
    old = rows_of(row, cell(), 10, key="regress-2")
    report = compare(old, [add_wrong(r, 1) for r in old])
    assert not report.comparisons[0].exact
    assert report.passed
    assert not compare(old, [add_wrong(r, 5) for r in old]).passed


def test_memory_has_no_margin_elsewhere(row: Row, cell: MakeCell) -> None:
    # Lengths that vary: the sign test at margin 0, here one bit up in 40 of 40 messages.
    old = rows_of(row, cell(), 10)
    now = [altered(r, host=ELSEWHERE, charged=tuple(c + 1 for c in r.charged)) for r in old]
    (failure,) = compare(old, now).failures
    assert "the charged bits went up by 1 " in str(failure.failure)
    # One message in ten differs by chance: no verdict.
    now = [altered(r, host=ELSEWHERE, charged=(r.charged[0] + 8, *r.charged[1:])) for r in old]
    assert compare(old, now).passed


def test_a_declared_length_may_not_change_anywhere(row: Row, cell: MakeCell) -> None:
    old = [altered(r, charged=(800,) * 4) for r in rows_of(row, cell(), 2)]
    now = [altered(r, host=ELSEWHERE) for r in old]
    assert compare(old, now).passed
    now[1] = altered(now[1], charged=(800, 800, 808, 800))
    (failure,) = compare(old, now).failures
    assert "all messages had the same length" in str(failure.failure)


def test_a_new_failed_message_fails_anywhere(row: Row, cell: MakeCell) -> None:
    old = rows_of(row, cell(), 10)
    now = [altered(r, host=ELSEWHERE) for r in old]
    now[3] = altered(now[3], failed=(None, "Bob hung.", None, None))
    (failure,) = compare(old, now).failures
    assert failure.failure == "message 13 now fails: Bob hung."


def test_the_level_is_shared_by_all_cells(row: Row, cell: MakeCell) -> None:
    # 24 messages: 2^-24 = 6e-8 is below 1e-6/4 for one cell and above 1e-6/80 for twenty.
    def moved(cells: int) -> bool:
        old = [r for i in range(cells) for r in rows_of(row, cell(keys_seed=i), 6)]
        now = [altered(add_wrong(r, 30), host=ELSEWHERE) for r in old]
        return not compare(old, now).passed

    assert LEVEL == 1e-6
    assert moved(1)
    assert not moved(20)


def test_cells_are_kept_apart_and_sources_are_not_compared(row: Row, cell: MakeCell) -> None:
    old = rows_of(row, cell("exact"), 2) + rows_of(row, cell("guess"), 2)
    now = [altered(r, source="newer") for r in old]
    now[3] = add_wrong(now[3], 1)
    (failure,) = compare(old, now).failures
    assert (failure.compressor, failure.budget, failure.key) == ("guess", "1/4", "experiments")


def test_what_was_not_played_again_is_not_passed(row: Row, cell: MakeCell) -> None:
    old = rows_of(row, cell(), 3)
    with pytest.raises(BadInput, match=r"Batch 2 of cell .* was not played again"):
        compare(old, old[:2])
    with pytest.raises(BadInput, match="measure one first"):
        compare([], [])


# -- what cannot fail ------------------------------------------------------------------------------


def test_the_fewest_messages_of_any_power_are_the_fewest_coins() -> None:
    for level in (0.3, 1e-3, 1e-6, 2.5e-9):
        most = least_messages(level)
        assert Fraction(1, 2**most) <= Fraction(level) < Fraction(1, 2 ** (most - 1))


def test_a_baseline_that_cannot_fail_is_refused_before_it_is_played(
    row: Row, cell: MakeCell
) -> None:
    """One cell at 1e-6: Pr[all of T rise] = 2^-T <= 1e-6/4 from T = 22 on."""
    old = rows_of(row, cell(), 5)
    refuse_powerless(old, old[0].host, old[0].versions)  # at home they are held equal
    with pytest.raises(BadInput, match=r"has 20 messages .* 'exact'.* at least 22 messages"):
        refuse_powerless(old, ELSEWHERE, old[0].versions)
    refuse_powerless(rows_of(row, cell(), 6), ELSEWHERE, old[0].versions)
    # The second key is compared by the paired test at home too.
    second = rows_of(row, cell(), 5, key="regress-2")
    with pytest.raises(BadInput, match="at least 22 messages"):
        refuse_powerless(second, second[0].host, second[0].versions)
    failed = [altered(r, failed=("no",) * 4) for r in old]
    with pytest.raises(BadInput, match="Every message of 'exact' failed"):
        refuse_powerless(failed, old[0].host, old[0].versions)


def test_regress_is_never_silently_powerless(tmp_path: Path, cell: MakeCell, play: Play) -> None:
    path = tmp_path / "regress-2.csv"
    baseline(path, [cell("exact")], play, "regress-2")
    assert regress([path], play=play, facts=ours).passed
    with pytest.raises(BadInput, match=r"has 8 messages of a cell .* measure the baseline again"):
        regress([path], play=play, facts=ours, batches=2)


def test_a_report_that_saw_nothing_is_not_passed(row: Row, cell: MakeCell) -> None:
    old = rows_of(row, cell(), 2)
    compare(old, old).refuse_blind()
    blind = compare(old, [altered(r, host=ELSEWHERE) for r in old])
    assert blind.caught == "no change could have been caught"
    with pytest.raises(BadInput, match="at least 22 messages"):
        blind.refuse_blind()


# -- code that is another one on purpose ----------------------------------------------------------


def worse(old: list[BatchRow], now: list[BatchRow], **options: Any) -> Any:
    return compare(old, now, level=1e-3, only_worse=True, **options)


def test_eight_messages_catch_one_bit_where_they_are_the_same(row: Row, cell: MakeCell) -> None:
    old = rows_of(row, cell(), 2)
    assert worse(old, old).passed
    assert worse(old, old).caught == "one bit in one message would have been caught"
    now = [old[0], add_wrong(old[1], 1, [2])]
    report = worse(old, now)
    (failure,) = report.failures
    was = sum(old[1].wrong_by_age[2])
    assert failure.failure == (
        f"the wrong bits rose in 1 of 8 messages and fell in none: message 6 from {was} to "
        f"{was + 1}."
    )
    (different,) = failure.different
    assert different.as_dict() == {
        "message": 6, "wrong_bits": [was, was + 1], "charged_bits": [old[1].charged[2]] * 2,
        "failed": [None, None],
    }  # fmt: skip


def test_what_got_better_is_reported_and_no_failure(row: Row, cell: MakeCell) -> None:
    old = [add_wrong(r, 3) for r in rows_of(row, cell(), 2)]
    report = worse(old, rows_of(row, cell(), 2))
    assert report.passed
    assert len(report.comparisons[0].different) == 8
    smaller = [altered(r, charged=tuple(c - 8 for c in r.charged)) for r in old]
    assert worse(old, smaller).passed
    (failure,) = worse(smaller, old).failures
    assert "the charged bits rose in 8 of 8 messages and fell in none" in str(failure.failure)


def test_a_row_that_is_lost_now_is_no_improvement(row: Row, cell: MakeCell) -> None:
    """Fewer wrong bits in every message and in all, but 3 of 16 in row 0: 3/32 of its bucket."""
    spread, lost = text_of([1] * 32), text_of([3] + [0] * 31)
    old = [altered(one, wrong_by_age=((2,) * 16,) * 4, wrong_by_row=(spread,) * 4)
           for one in rows_of(row, cell(), 6)]  # fmt: skip
    now = [altered(one, wrong_by_age=((3, *(0,) * 15),) * 4, wrong_by_row=(lost,) * 4)
           for one in old]  # fmt: skip
    (failure,) = worse(old, now).failures
    assert failure.failure == "the guarantee is broken now (row 0), and was undecided before."
    assert worse(now, now).passed
    # Not where a row's bits were not counted before, and not for code that differs from itself.
    bare = [altered(one, wrong_by_row=None) for one in old]
    assert worse(bare, now).passed
    assert worse(old, now, unsteady={cell().id}).passed


@pytest.mark.parametrize("why", ["both ways", "unsteady", "elsewhere"])
def test_what_cannot_be_held_one_by_one_needs_messages(row: Row, cell: MakeCell, why: str) -> None:
    """At 1e-3 and one cell the paired test needs 12 messages: 2^-12 <= 1e-3/4 < 2^-11."""
    unsteady = {cell().id} if why == "unsteady" else set()
    for batches, passes in ((2, False), (3, True)):
        old = rows_of(row, cell(), batches)
        now = [add_wrong(r, 1, [1]) for r in old]
        if why == "both ways":
            old[0] = add_wrong(old[0], 2, [0])
        if why == "elsewhere":
            now = [altered(r, host=ELSEWHERE) for r in now]
        report = worse(old, now, unsteady=unsteady)
        assert report.passed
        assert not report.comparisons[0].exact
        if passes:
            report.refuse_blind()
            lost = worse(old, [add_wrong(r, 9) for r in now], unsteady=unsteady)
            assert not lost.passed
        else:
            with pytest.raises(BadInput, match="at least 12 messages"):
                report.refuse_blind()


# -- the driver -----------------------------------------------------------------------------------


def baseline(path: Path, cells: list[Cell], play: Play, key: str = "regress") -> list[BatchRow]:
    store = Results()
    run_cells(cells, store, stopping=FixedMessages(24), keys=key, play=play, facts=ours)
    write_results(path, store.rows)
    return store.rows


def test_regress_plays_the_baselines_again(tmp_path: Path, cell: MakeCell, play: Play) -> None:
    cells = [cell("exact"), cell("guess", budget=None)]
    one, two = tmp_path / "regress.csv", tmp_path / "regress-2.csv"
    baseline(one, cells, play)
    baseline(two, cells, play, "regress-2")
    steps: list[Any] = []
    report = regress([one, two], play=play, facts=ours, progress=steps.append)
    assert report.passed
    assert [c.exact for c in report.comparisons] == [True, True, False, False]
    assert report.messages == 96
    assert len(steps) == 24
    short = regress([one], play=play, facts=ours, batches=2)
    assert short.messages == 16


def test_regress_catches_code_that_changed(tmp_path: Path, cell: MakeCell, play: Play) -> None:
    path = tmp_path / "regress.csv"
    baseline(path, [cell("exact"), cell("guess")], play)

    def changed(one: Cell, *rest: Any) -> BatchRecord:
        record = play(one, *rest)
        if one.target != "guess":
            return record
        worse = tuple(
            MessageRecord((r.wrong_by_age[0] + 1, *r.wrong_by_age[1:]), r.asked_by_age,
                          r.charged_bits, r.payload_bytes, r.failed)
            for r in record.records
        )  # fmt: skip
        return BatchRecord(worse, 1.0, record.isolation, record.streaming, record.source)

    report = regress([path], play=changed, facts=ours)
    assert [c.compressor for c in report.failures] == ["guess"]
    assert not report.passed


def test_regress_refuses_what_is_no_baseline(
    tmp_path: Path, cell: MakeCell, play: Play, row: Row
) -> None:
    path = tmp_path / "r.csv"
    write_results(path, [row(cell(), 0, key="experiments"), row(cell(), 2)])
    with pytest.raises(BadInput, match="has missing or repeated batches"):
        regress([path], play=play, facts=ours)
    write_results(path, [altered(row(cell()), key="ab" * 32)])
    with pytest.raises(BadInput, match="needs committed keys"):
        regress([path], play=play, facts=ours)


# -- hosts ----------------------------------------------------------------------------------------


def test_host_facts_are_plain_and_say_what_changes_floats() -> None:
    facts = json.loads(json.dumps(host_facts()))
    assert set(facts) - {"settings"} == {"blas", "cpu", "machine", "system"}
    assert facts["blas"], "numpy's BLAS must be named"
    assert facts["cpu"] == cpu_name() != ""
    assert {"kvbarrier", "python", "numpy", "numba", "llvmlite"} == set(versions())


def test_hosts_match_only_with_their_numeric_versions() -> None:
    host, old = (
        {"cpu": "a", "blas": ["x Haswell"]},
        {"numpy": "2.0", "numba": "1", "kvbarrier": "1"},
    )
    assert hosts_match(host, old, host, old | {"kvbarrier": "2", "python": "3.12"})
    assert not hosts_match(host, old, host, old | {"numba": "2"})
    assert not hosts_match(host, old, host | {"blas": ["x SkylakeX"]}, old)
