"""Adaptive readers in the game: a walk on D_0 in the place of a plan, and every cell counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kvbarrier.compressors.plugin.template import template_text
from kvbarrier.compressors.readers.catalog import READERS
from kvbarrier.compressors.readers.contract import Plan
from kvbarrier.errors import PluginFailure
from kvbarrier.protocols.game import coins, query_game
from kvbarrier.protocols.game.query_game import Algorithm, QueryInstance, play, play_trial, seated
from kvbarrier.protocols.players.isolation import Limits
from kvbarrier.protocols.players.reader import AskingReader, Cells
from kvbarrier.reductions.indistinguishability import CellFamily, TokenFamily, acceptable

KEY = coins.COMMITTED_KEYS["experiments"]
INSTANCE = QueryInstance(17, 4)
FILE = Path(__file__).parent / "readers.py"
LIMITS = Limits(20, 512 << 20)
NAMES = [name for name, entry in READERS.items() if entry.adaptive]


def own(name: str, **params) -> Algorithm:
    return Algorithm(f"{FILE}:{name}", tuple(params.items()))


def walked(name: str, family, place: int | None, seed: int, share: float = 0.5):
    q, K, V = family.stream(place)
    cells = Cells(Plan.everything(family.n, family.d), K, V)
    reader = AskingReader(Plan.everything(family.n, family.d), seed, cells.ask)
    return np.asarray(READERS[name].cls(share).answer(q, reader)), cells


def test_there_are_at_least_five() -> None:
    assert len(NAMES) >= 5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", [TokenFamily(17, 4), CellFamily(17, 4)])
def test_outside_its_walk_on_d_0_every_stream_is_walked_and_answered_alike(name, family) -> None:
    for seed in range(3):
        said, walk = walked(name, family, None, seed)
        read = walk.read()
        seen = family.seen(read.cells[0], read.cells[1])
        assert acceptable(family, None, said)
        for place in range(family.places):
            other, cells = walked(name, family, place, seed)
            assert cells.parts_from(walk) is None
            if not seen[place]:
                assert len(cells.log) == len(walk.log)
                assert np.array_equal(other, said)
                assert not acceptable(family, place, other)


@pytest.mark.parametrize("name", NAMES)
def test_a_share_of_one_looks_at_all_and_a_found_token_is_answered_exactly(name) -> None:
    family = TokenFamily(17, 4)
    for place in range(family.places):
        said, _ = walked(name, family, place, place, share=1.0)
        assert said == pytest.approx(np.full(4, family.output(place)), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_share_is_kept_on_d_0(name) -> None:
    family = TokenFamily(65, 2)
    for share in (0.0, 0.25, 0.5, 1.0):
        _, walk = walked(name, family, None, 3, share)
        touched = walk.read().touched()
        assert len(touched[touched < 64]) == round(share * 64)


def test_the_walk_is_committed_before_the_stream_is_drawn(monkeypatch) -> None:
    order: list[str] = []
    committed, drawn = Plan.commitment.fget, query_game.hidden_place
    monkeypatch.setattr(
        Plan, "commitment", property(lambda plan: (order.append("commit"), committed(plan))[1])
    )
    monkeypatch.setattr(
        query_game, "hidden_place", lambda *args: (order.append("draw"), drawn(*args))[1]
    )
    play(Algorithm("greedy"), INSTANCE, KEY, 2)
    assert order == ["commit", "draw", "commit", "draw"]


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_every_cell_is_counted_and_none_that_was_not_asked_for(kind: str) -> None:
    # On D_0 every value is 1, so it reads single coordinates of 4 tokens in sequence.
    with seated(own("Walker"), INSTANCE, kind, LIMITS) as (seat, _):
        trial = play_trial(seat, INSTANCE, KEY, 0, "plain")
        first = trial.seed % 17
        assert (trial.reads, trial.asked, trial.adaptive) == (4, 4, True)
        cells = np.zeros((2, 17, 4), dtype=bool)
        cells[1, [(first + step) % 17 for step in range(4)], 0] = True
        assert trial.commitment == Plan(cells).commitment
        hideable = [(first + step) % 17 for step in range(4) if (first + step) % 17 < 16]
        assert trial.share == len(hideable) / 16
        # A found token sends it elsewhere: what it reads there is not what counts.
        found = play_trial(seat, INSTANCE, KEY, 0, hideable[0])
        assert (found.share, found.seen, found.commitment) == (
            trial.share, True, trial.commitment,
        )  # fmt: skip


def test_processes_play_the_same_trials() -> None:
    played = [
        play(own("Walker", steps=9), INSTANCE, KEY, 6, worst=2, isolation=kind, limits=LIMITS)
        for kind in ("inline", "process")
    ]
    assert played[0].prior == played[1].prior
    assert played[0].worst == played[1].worst


@pytest.mark.parametrize("kind", ["inline", "process"])
@pytest.mark.parametrize("name", ["Walker", "Lingerer"])
def test_a_walk_that_is_no_function_of_coins_and_answers_is_refused(kind: str, name: str) -> None:
    params = {"coins": "own"} if name == "Walker" else {}
    with pytest.raises(PluginFailure, match=r"reads part at .*: take all randomness from reader"):
        play(own(name, **params), INSTANCE, KEY, 40, isolation=kind, limits=LIMITS)


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_a_fault_on_d_0_is_told_at_once_and_a_later_one_is_an_error(kind: str) -> None:
    with pytest.raises(PluginFailure, match=r"asked first, answer failed: .* KeyError: 'lost'"):
        play(own("Stumbler"), INSTANCE, KEY, 1, isolation=kind, limits=LIMITS)
    played = play(own("Stumbler", late=True), INSTANCE, KEY, 6, isolation=kind, limits=LIMITS)
    hidden = played.on(plain=False)
    assert hidden
    assert all(trial.error and "KeyError" in trial.failed for trial in hidden)
    assert not any(trial.error for trial in played.on(plain=True))


@pytest.mark.parametrize("kind", ["inline", "process"])
def test_a_token_that_is_not_there_is_named(kind: str) -> None:
    with pytest.raises(PluginFailure, match="asked for value 17, which does not exist"):
        play(own("Beyond"), INSTANCE, KEY, 1, isolation=kind, limits=LIMITS)


def test_early_stopping_reads_more_where_it_finds_something_and_only_d_0_counts() -> None:
    played = play(Algorithm("early-stopping", (("share", 0.5),)), QueryInstance(65, 4), KEY, 60)
    found = [trial for trial in played.prior if trial.seen]
    assert found
    assert all(trial.asked > trial.reads for trial in found)
    assert {trial.share for trial in played.prior} == {0.5}


def test_the_template_says_how_to_do_without_a_plan(tmp_path: Path) -> None:
    text = template_text("reader")
    assert "delete plan, and write Adaptive for NonAdaptive" in text
    before, _, rest = text.partition("    def plan(")
    _, _, answer = rest.partition("    def answer(")
    file = tmp_path / "mine.py"
    file.write_text((before + "    def answer(" + answer).replace("NonAdaptive", "Adaptive"))
    [trial] = play(Algorithm(str(file)), INSTANCE, KEY, 1).prior
    # reader.tokens() is all there is.
    assert (trial.adaptive, trial.share, trial.error) == (True, 1.0, False)


def test_two_walks_part_at_the_first_question_that_differs() -> None:
    K = np.arange(8, dtype=np.float32).reshape(4, 2)
    changed = K.copy()
    changed[2, 1] = 9

    def asked(V, *tokens: int) -> Cells:
        cells = Cells(Plan.everything(4, 2), K, V)
        for token in tokens:
            cells.ask("V", np.array([token]), np.array([], dtype=np.int64))
        return cells

    walk = asked(K, 0, 2, 1)
    assert asked(K, 0, 2, 1).parts_from(walk) is None
    assert asked(changed, 0, 2, 3).parts_from(walk) is None  # after 2 they were told otherwise
    assert asked(changed, 1, 2).parts_from(walk) == ("V", 1, None)
    assert asked(K, 0, 2).parts_from(walk) == ("V", 1, None)  # one is lacking
    assert asked(K, 0, 2, 1, 3).parts_from(walk) == ("V", 3, None)
