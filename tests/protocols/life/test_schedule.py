"""Schedules are data: JSON and back, legal or refused with a sentence, and shrunk the same way."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kvbarrier.compressors.plugin.operations import OPERATIONS
from kvbarrier.errors import BadInput
from kvbarrier.protocols.game.coins import Draws, schedule_draws
from kvbarrier.protocols.life.families import FAMILIES, USES, draw
from kvbarrier.protocols.life.oracle import Oracle, check_legal, is_legal, read_schedule
from kvbarrier.protocols.life.schedule import ARGUMENTS, Operation, Schedule
from kvbarrier.protocols.life.shrink import shrink


@st.composite
def operations(draw):
    name = draw(st.sampled_from(sorted(ARGUMENTS)))
    count = ARGUMENTS[name]
    numbers = st.integers(-(1 << 24), 1 << 24)
    size = (
        {"min_size": 1, "max_size": 5} if count is None else {"min_size": count, "max_size": count}
    )
    return Operation(name, tuple(draw(st.lists(numbers, **size))))


schedules = st.builds(
    Schedule,
    st.lists(operations(), max_size=12).map(tuple),
    st.none() | st.integers(1, 64),
)


@given(schedules)
def test_json_and_back(schedule):
    assert Schedule.of_json(schedule.to_json()) == schedule


@given(schedules)
def test_a_line_and_back(schedule):
    line = ", ".join(map(str, schedule.operations))
    assert Schedule.of(line, schedule.sequences) == schedule


@given(schedules, st.data())
def test_a_torn_file_is_refused_with_a_sentence(schedule, data):
    text = schedule.to_json()
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(BadInput):
        Schedule.of_json(text[:cut], "torn.json")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ([], "is not a schedule"),
        ({"operations": []}, "is not a schedule"),
        ({"schema": 2, "sequences": None, "operations": []}, "schema 2, and this version reads"),
        ({"schema": True, "sequences": None, "operations": []}, "has schema True"),
        ({"schema": 1, "operations": []}, "has the fields operations, schema"),
        ({"schema": 1, "sequences": 0, "operations": []}, "has sequences 0"),
        ({"schema": 1, "sequences": None, "operations": {}}, "needs a list"),
        ({"schema": 1, "sequences": None, "operations": ["append"]}, 'write \\["append", 5\\]'),
        ({"schema": 1, "sequences": None, "operations": [["appendd", 1]]}, "Did you mean"),
        ({"schema": 1, "sequences": None, "operations": [["append", 1.5]]}, "takes whole numbers"),
        ({"schema": 1, "sequences": None, "operations": [["append", True]]}, "takes whole numbers"),
        ({"schema": 1, "sequences": None, "operations": [["append"]]}, "takes 1 numbers, not 0"),
        ({"schema": 1, "sequences": None, "operations": [["select"]]}, "one number or more"),
    ],
)
def test_data_from_elsewhere_is_refused(said, sentence):
    with pytest.raises(BadInput, match=sentence):
        Schedule.of_json(json.dumps(said), "x.json")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("append 2, crop 3", "operation 1, crop 3: there are 2 tokens: keep 0 to 2"),
        ("append 2, drop 1 1", "drop begin < end"),
        ("append 0", "it feeds no token"),
        ("append 1, select 0", "the schedule has no batch"),
        ("append 1, shift -1", "the first position would be -1"),
        ("append 1, switch 1", "there are 1 instances"),
        ("append 16777216", "more than 1048576 tokens"),
    ],
)
def test_what_is_not_legal_is_refused(line, sentence, tmp_path):
    schedule = Schedule.of(line)
    assert not is_legal(schedule)
    file = tmp_path / "s.json"
    file.write_text(schedule.to_json())
    with pytest.raises(BadInput, match=sentence):
        read_schedule(file)


def test_a_file_that_feeds_nothing_or_is_not_there(tmp_path):
    file = tmp_path / "s.json"
    file.write_text(Schedule.of("save").to_json())
    with pytest.raises(BadInput, match="feeds no token"):
        read_schedule(file)
    with pytest.raises(BadInput, match="cannot be read"):
        read_schedule(tmp_path / "missing.json")
    file.write_bytes(b"\xff\xfe{")
    with pytest.raises(BadInput, match="is not a schedule: it is not UTF-8 text"):
        read_schedule(file)


# -- the oracle against a reference that is written another way ------------------------------------


def retold(schedule):
    """The survivors, by marks on tokens: each token knows the (instance, sequence) that hold it.

    Nothing here is a list of lists: positions follow from the order of numbers, since tokens are
    only ever appended and never change places.
    """
    width = {0: schedule.sequences or 1}
    holders = []  # holders[t]: the set of (instance, sequence) with token t
    at = 0

    def length():
        return sum((at, 0) in one for one in holders)

    def held(sequence):
        return [t for t, one in enumerate(holders) if (at, sequence) in one]

    for op in schedule.operations:
        kind, _, each = op.name.partition("-")
        if kind in ("append", "extend"):
            for _ in range(op.arguments[0]):
                every = {(at, s) for s in range(width[at])}
                holders += [{one} for one in sorted(every)] if each else [every]
        elif op.name in ("crop", "drop"):
            low, high = op.arguments if op.name == "drop" else (op.arguments[0], length())
            for s in range(width[at]):
                for t in held(s)[low:high]:
                    holders[t] = holders[t] - {(at, s)}
        elif op.name == "select":
            old = [set(one) for one in holders]
            for t, one in enumerate(old):
                kept = {p for p in one if p[0] != at}
                holders[t] = kept | {
                    (at, new) for new, s in enumerate(op.arguments) if (at, s) in one
                }
            width[at] = len(op.arguments)
        elif op.name == "reset":
            holders = [{p for p in one if p[0] != at} for one in holders]
            width[at] = schedule.sequences or 1
        elif op.name in ("fork", "copy"):
            new = len(width)
            width[new] = width[at]
            holders = [one | {(new, s) for i, s in one if i == at} for one in holders]
        elif op.name == "switch":
            at = op.arguments[0]
    return [
        [[t for t, one in enumerate(holders) if (i, s) in one] for s in range(width[i])]
        for i in range(len(width))
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_oracle_agrees_with_a_reference_written_otherwise(family):
    seen = set()
    for number in range(150):
        coins = schedule_draws(bytes(32), family, number)
        schedule = draw(family, coins, 1 + number % 50, tuple(OPERATIONS))
        oracle = check_legal(schedule)
        assert oracle.instances == retold(schedule), str(schedule)
        seen |= {one.name for one in schedule.operations}
    assert family != "random" or seen == set(ARGUMENTS) - {"extend-each"}


def test_by_hand():
    oracle = Oracle.after(
        Schedule.of("append 3, append-each 1, select 1 1 0, crop 4, drop 0 2, fork, reset", 2)
    )
    # 0 1 2 in both, then 3 and 4; sequences [.. 4], [.. 4], [.. 3]; 0 and 1 go; a reset has two.
    assert oracle.instances == [[[], []], [[2, 4], [2, 4], [2, 3]]]
    assert (oracle.fed, oracle.longest, oracle.survivors) == (5, 4, (2, 3, 4))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("can", [None, (), tuple(OPERATIONS), ("crop",), ("fork", "reset")])
def test_every_family_is_legal_and_uses_what_it_may(family, can):
    allowed = set(USES[family] if can is None else can)
    for number in range(60):
        schedule = draw(family, Draws("test", bytes(32), family, number), 1 + number, can)
        fed = check_legal(schedule).fed
        assert fed <= 1 + number if family == "random" else fed == 1 + number
        assert set(schedule.needs) <= allowed, str(schedule)


def test_equal_coins_draw_equal_schedules():
    one, two = (draw("random", schedule_draws(bytes(32), "i", 7), 40, ()) for _ in range(2))
    assert one == two
    assert one != draw("random", schedule_draws(bytes(32), "i", 8), 40, ())


# -- shrinking -------------------------------------------------------------------------------------


def loses(schedule):
    """A cache that loses everything by a crop of a length that had been cropped before."""
    crops = [one.arguments[0] for one in schedule.operations if one.name == "crop"]
    return len(crops) > 1 and len(set(crops)) < len(crops)


def random_failing():
    rng = random.Random(5)
    while True:
        number = rng.randrange(10**6)
        schedule = draw("random", Draws("shrink", bytes(32), "", number), 60, ("crop", "reset"))
        if loses(schedule):
            yield schedule


def test_a_failing_schedule_is_shrunk_to_the_shortest_always_the_same_way():
    for schedule, _ in zip(random_failing(), range(20), strict=False):
        first, second = shrink(schedule, loses), shrink(schedule, loses)
        assert first == second
        assert str(first) == "crop 0, crop 0"


def test_shrinking_is_bounded_and_returns_what_fails():
    schedule = next(random_failing())
    asked = []

    def fails(one):
        asked.append(one)
        assert is_legal(one)
        return loses(one)

    shrunk = shrink(schedule, fails, most_runs=7)
    assert len(asked) <= 7
    assert loses(shrunk)
    assert shrink(schedule, lambda _: False) == schedule
