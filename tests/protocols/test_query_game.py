"""The game of Theorem 19: plans before streams, cells on request, the same trial everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kvbarrier.compressors.readers.contract import Plan
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.game import coins, query_game
from kvbarrier.protocols.game.query_game import Algorithm, QueryInstance, hidden_place, play, seated
from kvbarrier.protocols.players import isolation
from kvbarrier.protocols.players.isolation import Limits
from kvbarrier.protocols.players.reader import Cells, OutsidePlan

KEY = coins.COMMITTED_KEYS["experiments"]
INSTANCE = QueryInstance(16, 4)
FILE = Path(__file__).parent / "readers.py"
LIMITS = Limits(20, 512 << 20)
needs_namespaces = pytest.mark.skipif(
    not isolation.namespaces_available(), reason=f"{isolation.namespaces_problem()}"
)
KINDS = ["inline", "process", pytest.param("namespaces", marks=needs_namespaces)]
everywhere = pytest.mark.parametrize("kind", KINDS)
apart = pytest.mark.parametrize("kind", KINDS[1:])


def own(name: str, **params) -> Algorithm:
    return Algorithm(f"{FILE}:{name}", tuple(params.items()))


def played(algorithm: Algorithm, kind: str = "inline", trials: int = 4, instance=INSTANCE, **more):
    return play(algorithm, instance, KEY, trials, isolation=kind, limits=LIMITS, **more)


# -- trials -----------------------------------------------------------------------------------


def test_a_trial_is_a_function_of_key_instance_and_number() -> None:
    algorithm = Algorithm("sampling", (("share", 0.5),))
    whole = played(algorithm, trials=12).prior
    assert played(algorithm, trials=5).prior == whole[:5]
    assert played(algorithm, trials=7, first=5).prior == whole[5:]
    other = play(algorithm, INSTANCE, bytes(32), 12).prior
    assert [t.seed for t in other] != [t.seed for t in whole]
    assert played(algorithm, trials=12, instance=QueryInstance(16, 5)).prior != whole


@apart
def test_processes_play_the_same_trials(kind: str) -> None:
    # The prints, the plans' commitments, the draws and the answers; what was asked may be more.
    assert played(own("Half"), kind, 8, worst=2).prior == played(own("Half"), "inline", 8).prior


def test_half_of_the_trials_draw_d_0_and_the_others_any_place() -> None:
    drawn = [hidden_place(KEY, INSTANCE, number, "prior") for number in range(4000)]
    plain = drawn.count(None)
    # A fair coin 4000 times: five standard deviations of 31.6.
    assert abs(plain - 2000) < 160
    counts = np.bincount([place for place in drawn if place is not None], minlength=15)
    assert len(counts) == 15
    expected = (4000 - plain) / 15
    # Chi-square with 14 degrees of freedom: above 36.1 with probability 1/1000.
    assert float(((counts - expected) ** 2 / expected).sum()) < 36.1


def test_a_place_may_be_chosen() -> None:
    assert hidden_place(KEY, INSTANCE, 0, "plain") is None
    assert hidden_place(KEY, INSTANCE, 0, 14) == 14
    with pytest.raises(BadInput, match="there is no place 15: give 0 to 14"):
        hidden_place(KEY, INSTANCE, 0, 15)


def test_the_plan_is_committed_before_the_stream_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    committed, drawn = Plan.commitment.fget, query_game.hidden_place

    def noting(plan: Plan) -> str:
        order.append("commit")
        return committed(plan)

    monkeypatch.setattr(Plan, "commitment", property(noting))
    monkeypatch.setattr(
        query_game, "hidden_place", lambda *args: (order.append("draw"), drawn(*args))[1]
    )
    played(Algorithm("window"), trials=2)
    assert order == ["commit", "draw", "commit", "draw"]


def test_what_a_trial_says_of_itself() -> None:
    [trial] = played(own("Half"), trials=1).prior
    plan = Plan.of(list(range(15, -1, -2)), 16, 4)
    assert trial.commitment == plan.commitment
    # 7 of the 15 hideable tokens; the newest, 15, is public.
    assert trial.share == pytest.approx(7 / 15)
    assert (trial.reads, trial.asked) == (8 * 2 * 4, 8 * 2 * 4)
    assert trial.seen == (trial.hidden is not None and trial.hidden % 2 == 1)


def test_the_rarest_place_is_one_that_no_plan_reads() -> None:
    result = played(own("Half"), trials=4, worst=6)
    assert result.worst_place == 0
    assert all(t.hidden == 0 and not t.seen and t.error for t in result.worst)
    assert [t.number for t in result.worst] == list(range(4, 10))


# -- cells ------------------------------------------------------------------------------------


def cells(said) -> Cells:
    K = np.arange(8, dtype=np.float32).reshape(4, 2)
    return Cells(Plan.of(said, 4, 2), K, K + 10)


def indices(*values: int):
    return np.array(values, dtype=np.int64)


def test_the_log_is_exactly_what_was_asked() -> None:
    held = cells([0, ("V", 2), ("K", 3, 1)])
    assert held.ask("V", indices(2, 0), indices()).tolist() == [[14, 15], [10, 11]]
    assert held.ask("K", indices(3), indices(1)).tolist() == [7]
    assert [(k, i.tolist(), j.tolist()) for k, i, j in held.log] == [
        ("V", [2, 0], []),
        ("K", [3], [1]),
    ]
    assert held.read().reads == 5


@pytest.mark.parametrize(
    ("kind", "i", "j", "cell", "words"),
    [
        ("V", (1,), (), ("V", 1, None), "value 1"),
        ("K", (0, 3), (), ("K", 3, None), "key 3"),
        ("K", (3, 3), (1, 0), ("K", 3, 0), "key 3, coordinate 0"),
        ("V", (2, 4), (), ("V", 4, None), "value 4"),
        ("V", (-1,), (), ("V", -1, None), "value -1"),
        ("V", (0,), (2,), ("V", 0, 2), "value 0, coordinate 2"),
        ("Q", (0,), (), ("Q", 0, None), "not a kind of cell"),
    ],
)
def test_nothing_outside_the_plan_is_handed_out(kind, i, j, cell, words) -> None:
    held = cells([0, ("V", 2), ("K", 3, 1)])
    with pytest.raises(OutsidePlan, match=words):
        held.ask(kind, indices(*i), indices(*j))
    assert held.outside == cell
    assert held.log == []
    # Nor anything afterwards.
    with pytest.raises(OutsidePlan):
        held.ask("V", indices(0), indices())


@everywhere
@pytest.mark.parametrize("quiet", [True, False])
def test_reading_outside_the_plan_ends_the_game_and_names_the_cell(kind: str, quiet: bool) -> None:
    with pytest.raises(PluginFailure, match="asked for value 7, coordinate 1, which is not in"):
        played(own("Outside", quiet=quiet), kind)
    with pytest.raises(PluginFailure, match="asked for value 5, which is not in its plan"):
        played(own("Outside", index=5, coordinate=None, quiet=quiet), kind)
    with pytest.raises(PluginFailure, match="asked for key -1, coordinate 0"):
        played(own("Outside", kind="K", index=-1, coordinate=0, quiet=quiet), kind)


@everywhere
def test_rows_may_be_read_one_by_one(kind: str) -> None:
    result = played(own("RowByRow"), kind, 6)
    assert not result.failed
    # Four values of four coordinates; it errs where it does not see B.
    assert {t.asked for t in result.prior} == {16}
    assert not any(t.error for t in result.on(plain=True))


@apart
def test_another_process_holds_no_cells_but_those_it_asked_for(kind: str) -> None:
    assert not any(t.error for t in played(own("Peeker"), kind, 6).on(plain=True))
    # In one process with the cells they are there to be found: the probe can fail.
    assert all(t.error for t in played(own("Peeker"), "inline", 6).prior)


@apart
def test_nothing_stays_from_one_trial_to_the_next(kind: str) -> None:
    assert not any(t.error for t in played(own("Memory"), kind, 6).on(plain=True))


# -- failures ---------------------------------------------------------------------------------

ANSWERS = [
    ("raise", "raised KeyError: 'lost' (readers.py, line"),
    ("shape", "answer returned float32[3]: it must be float32[4]"),
    ("not finite", "answer returned NaN or infinity"),
    ("nothing", "answer returned None: it must be float32[4]"),
    ("text", "answer returned a str: it must be float32[4]"),
]


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize(("how", "part"), ANSWERS)
def test_a_trial_without_an_answer_is_an_error_and_counts(kind: str, how: str, part: str) -> None:
    result = played(own("Bad", how=how), kind, 2)
    assert all(t.error and part in (t.failed or "") for t in result.prior)
    assert all("\n" not in text for text in result.failed)


@apart
def test_an_algorithm_that_dies_loses_that_trial(kind: str) -> None:
    result = played(own("Bad", how="die"), kind, 2)
    assert all("ended with exit code 5" in text for text in result.failed)
    assert len(result.prior) == 2


@everywhere
def test_a_bad_plan_is_told_before_anything_is_drawn(kind: str) -> None:
    with pytest.raises(PluginFailure, match="plan names the token 16: there are 0 to 15"):
        played(own("Bad", how="bad plan"), kind)
    with pytest.raises(PluginFailure, match=r"Trial 0 has no plan: .*no plan today"):
        played(own("Bad", how="late plan"), kind)


@everywhere
def test_what_cannot_be_found_is_told_alike(kind: str) -> None:
    with pytest.raises(BadInput, match="no class 'Hlf'"):
        played(own("Hlf"), kind)


def test_a_seat_leaves_nothing_behind() -> None:
    with seated(own("Half"), INSTANCE, "process", LIMITS) as (seat, facts):
        assert (facts.name, facts.builtin) == ("readers.py:Half", False)
        private = Path(seat.place.private)
        assert private.exists()
    assert not private.exists()


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: QueryInstance(16, 4, family="tokn"), "Did you mean 'token'"),
        (lambda: QueryInstance(1, 4), "give n >= 2"),
        (lambda: QueryInstance(16, 4, eta=0.0), "needs 0 < eta < 1"),
    ],
)
def test_bad_instances_are_refused(call, part: str) -> None:
    with pytest.raises(BadInput, match=part):
        call()


def test_families_and_sizes_have_their_own_streams() -> None:
    ids = {QueryInstance(16, 4).id, QueryInstance(16, 4, family="cell").id, QueryInstance(16, 5).id}
    assert len(ids) == 3
    assert QueryInstance(np.int64(16), 4, 0.5).id == QueryInstance(16, 4).id


@pytest.mark.parametrize("reader", ["Follower", "Widener", "Keeper"])
def test_no_reader_widens_its_plan_once_there_are_data(reader: str) -> None:
    """Widener and Keeper read the whole cache at f = 0 while the cells shared the plan's array."""
    late = Algorithm(f"kvbarrier.experiments.non_adaptive.plans:{reader}")
    with pytest.raises(PluginFailure, match=r"asked for value \d+, which is not in its plan"):
        play(late, QueryInstance(9, 2), KEY, 1)
