"""The game with a schedule: the same id without one, survivors asked once, ghosts outside."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.index_game import play_batch
from kvbarrier.protocols.game.instance import needs_of, rows_of, schedule_of
from kvbarrier.protocols.game.instances import Alphabet, Index, of_spec
from kvbarrier.protocols.game.schedules import Questions, survivors_of
from kvbarrier.protocols.life.families import FAMILIES, USES
from kvbarrier.protocols.life.schedule import Schedule
from kvbarrier.runs.attack import attack
from kvbarrier.runs.results import ResultsFile, read_results

HERE = Path(__file__).parent / "planted_caches.py"
KEY = bytes(range(32))
SMALL = {"n": 32, "d": 16, "keys": "hypercube"}


def test_without_a_schedule_nothing_of_it_is_in_the_spec():
    plain = Index(**SMALL)
    assert "schedule" not in plain.spec()
    assert Index(n=512, d=64).id == "1b2a39e9526f8b91"  # of the time before there were schedules
    assert plain.shape.sequences is None
    assert (schedule_of(plain, KEY, 0), needs_of(plain)) == (None, ())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_part_of_the_id_and_a_function_of_key_instance_and_message(family):
    instance = Index(**SMALL, schedule=family)
    assert instance.id != Index(**SMALL).id
    assert of_spec(json.loads(json.dumps(instance.spec()))) == instance
    for number in range(20):
        one = schedule_of(instance, KEY, number)
        assert one == schedule_of(Index(**SMALL, schedule=family), KEY, number)
        assert set(one.needs) <= set(USES[family])
        assert (one.sequences is None) == (instance.shape.sequences is None)
        assert one.sequences in (None, instance.shape.sequences)
        rows = rows_of(instance, KEY, number)
        assert 0 < len(rows) == len(set(rows.tolist()))
        assert rows.max() < 32
    drawn = {str(schedule_of(instance, KEY, number)) for number in range(20)}
    assert len(drawn) > 10
    assert str(schedule_of(instance, bytes(32), 0)) not in drawn


def test_each_survivor_is_asked_once_in_the_first_sequence_that_holds_it():
    # Sequences 0 1 | 2 3 fed apart, then [1, 0, 1]: token 3 is held by sequences 0 and 2.
    schedule = Schedule.of("append 2, append-each 1, select 1 0 1, crop 3", 2)
    rows, of = survivors_of(schedule)
    assert rows.tolist() == [0, 1, 2, 3]
    assert of.tolist() == [0, 0, 1, 0]
    hard = Index(**SMALL).build()
    q, k, v = Questions(hard, schedule).triples
    assert q.shape == k.shape == v.shape == (4, 3, 16)


@pytest.mark.parametrize(
    ("name", "family", "wrong", "ghosts"),
    [
        ("Rows", "beam", False, False),
        ("Rows", "random", False, False),
        ("Static", "save", False, False),
        ("KeysOnly", "beam", True, False),
        ("StaleRows", "speculate", False, True),
        ("InclusiveDrop", "shift", True, True),
        ("KeepsLength", "speculate", True, False),
    ],
)
@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_what_is_lost_is_wrong_and_what_answers_still_is_a_ghost(
    name, family, wrong, ghosts, isolation
):
    if isolation == "process" and name not in ("Rows", "KeysOnly"):
        pytest.skip("one healthy and one faulty cache in processes of their own are enough")
    instance = Index(n=48, d=16, keys="kerdock", schedule=family)
    cell = Cell(instance, f"{HERE}:{name}", batch_size=4)
    played = play_batch(cell, KEY, 0, isolation)
    assert [record.failed for record in played.records] == [None] * 4
    assert (sum(record.wrong for record in played.records) > 0) == wrong
    assert (sum(record.ghosts for record in played.records) > 0) == ghosts
    for number, record in enumerate(played.records):
        # N counts the distinct rows that survive, 16 bits each.
        assert record.asked == 16 * len(rows_of(instance, KEY, number))


def test_every_way_of_playing_says_the_same():
    cell = Cell(Index(**SMALL, schedule="turns"), f"{HERE}:Rows", batch_size=2)
    one, two = (play_batch(cell, KEY, 0, how).records for how in ("inline", "process"))
    assert one == two


def test_the_state_is_charged_and_not_what_was_taken_back():
    few = Schedule.of("append 32, crop 4")
    cells = [
        Cell(Index(**SMALL, schedule=text), "exact", budget=Fraction(1), batch_size=1)
        for text in (few.to_json(), Schedule.of("append 32").to_json())
    ]
    short, whole = (play_batch(cell, KEY, 0, "inline").records[0] for cell in cells)
    # exact declares the length of its message: both are charged alike, and asked differently.
    assert short.charged_bits == whole.charged_bits == 32 * 2 * 16 * 16
    assert (short.asked, whole.asked) == (4 * 16, 32 * 16)


def test_the_point_of_an_attack_has_the_survivors_as_its_secret():
    schedule = Schedule.of("append 32, crop 8").to_json()
    report = attack(
        "exact", instance=Index(**SMALL, schedule=schedule), messages=4, budgets=[Fraction(1)]
    )
    (point,) = report.points
    assert point["schedule"] == schedule
    assert point["ghosts"] == 0
    assert point["secret_bits"] == point["asked_bits"] == 4 * 8 * 16
    assert point["wrong_bits"] == 0
    # 32 tokens of 2 x 16 numbers of 16 bits, for 8 x 16 secret bits.
    assert point["bits_per_secret_bit"] == pytest.approx(32 * 2 * 16 * 16 / (8 * 16))


def test_a_batch_cannot_be_played_by_who_does_not_select():
    instance = Index(**SMALL, schedule="beam")
    with pytest.raises(BadInput, match=r"exact has no select, and the schedule uses it: write"):
        attack("exact", instance=instance, messages=1, budgets=[None])


def test_an_operation_that_raises_is_a_failed_message_told_at_the_rehearsal():
    instance = Index(**SMALL, schedule=Schedule.of("append 20, crop 1").to_json())
    with pytest.raises(PluginFailure, match="the oldest rows are overwritten"):
        attack(f"{HERE}:Ring", instance=instance, messages=1, budgets=[None], isolation="inline")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("beem", "Did you mean 'beam'"),
        ("{", "is not JSON"),
        (Schedule.of("append 33").to_json(), "feeds 33 tokens: take --n 33"),
        (Schedule.of("append 3, reset").to_json(), "No token survives"),
        (Schedule.of("append 3, copy").to_json(), "has copy, and a game charges"),
        (Schedule.of("append 3, crop 4").to_json(), "keep 0 to 3"),
    ],
)
def test_a_schedule_that_no_game_can_play_is_refused(text, sentence):
    with pytest.raises(BadInput, match=sentence):
        Index(**SMALL, schedule=text)


def test_rows_and_other_bobs_have_no_schedule():
    with pytest.raises(BadInput, match="leave --rows out"):
        Index(**SMALL, rows=16, schedule="chunks")
    assert "schedule" not in Alphabet.choices()


def test_what_is_played_can_be_read_back(tmp_path):
    # A row of 5,000 characters was written, and the whole file was refused when it was read.
    text = Schedule.of(", ".join(["append 1, save"] * 200)).to_json()
    kept = ResultsFile(tmp_path / "r.csv")
    with kept as store:
        attack("exact", instance=Index(n=256, d=16, schedule=text), budgets=[None], messages=1,
               store=store)  # fmt: skip
    assert len(read_results(tmp_path / "r.csv")) == 1
    with pytest.raises(BadInput, match="a row of results holds 32768"):
        Index(n=4096, d=16, schedule=Schedule.of(", ".join(["append 1"] * 3000)).to_json())
    with pytest.raises(BadInput, match="5000 characters"):
        Cell(Index(n=16, d=8), "exact", {"word": "x" * 5000})


def test_results_with_a_schedule_are_kept_and_replayed(tmp_path):
    from kvbarrier.runs.results import ResultsFile

    instance = Index(**SMALL, schedule="random")
    options = {"instance": instance, "messages": 4, "budgets": [Fraction(1)]}
    with ResultsFile(tmp_path / "r.csv") as store:
        first = attack("exact", store=store, **options).points
    text = (tmp_path / "r.csv").read_bytes()
    with ResultsFile(tmp_path / "r.csv") as store:
        again = attack("exact", store=store, **options).points
    assert (tmp_path / "r.csv").read_bytes() == text
    # A results file does not keep what is outside the ledger.
    assert {k for one, two in zip(first, again, strict=True) for k in one if one[k] != two[k]} <= {
        "ghosts",
        "map",
    }
    assert np.isfinite(again[0]["bits_per_secret_bit"])
