"""A declaration held against an attack: honest caches pass, a cache that says too much does not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.compressors.plugin.declaration import Declaration
from kvbarrier.errors import BadInput
from kvbarrier.protocols.check.case import Case
from kvbarrier.protocols.check.cases import read_case, replay_case
from kvbarrier.protocols.game.declarations import hold_against
from kvbarrier.protocols.game.instances import Index, LinearIndex, SlidingWindow
from kvbarrier.protocols.players.inline_seat import InlineSeat
from kvbarrier.runs.attack import attack
from kvbarrier.runs.points import messages_of, points_of

PLUGINS = Path(__file__).with_name("declared_plugins.py")


def play(name, *, n=24, d=32, messages=4, instance=None, **options):
    return attack(
        f"{PLUGINS}:{name}",
        instance=instance or Index(n=n, d=d, keys="hypercube"),
        budgets=[None],
        messages=messages,
        isolation="inline",
        **options,
    )


def judged(name, **options):
    (declared,) = play(name, **options).declared
    return declared


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Whole", {}),
        ("Window", {"params": {"says": 8}}),
        ("Window", {"params": {"says": 1}}),
        ("Window", {"params": {"says": 23}}),
        ("Window", {"params": {"says": 24}}),
        ("Window", {"params": {"says": 25}}),
        ("Window", {"params": {"says": 1000}}),
        ("Sinks", {}),
        ("Share", {}),
        ("Share", {"instance": Index(n=32, d=16, keys="hypercube", heads=2, layers=2)}),
        ("Quantised", {"params": {"bits": 2}}),
        ("Quantised", {"params": {"bits": 2, "turned": True}}),
        ("Quantised", {"params": {"bits": 3, "turned": True}}),
        ("Quantised", {"params": {"bits": 1, "turned": True}}),
        ("Packed", {}),
        ("Packed", {"params": {"header": 400}}),
    ],
)
def test_honest_caches_are_as_declared_in_fifty_messages(name, options):
    declared = judged(name, messages=50, **options)
    assert declared.verdict == "as-declared", declared.sentence


def test_a_window_short_by_one_loses_exactly_the_oldest_that_it_declares():
    report = play("Window", params={"says": 8, "has": 7})
    (declared,) = report.declared
    assert declared.verdict == "not-as-declared"
    # Of 24 tokens and Bob's the last eight are 17, .. 23 and his: 17 is one too many for seven.
    assert {place.token for place in declared.places} == {17}
    case = report.counterexample
    assert isinstance(case, Case)
    assert case.question["token"] == 17
    assert case.expected != case.read
    assert "token 17 of 24, layer 0, head 0, channel" in case.found


def test_a_sink_that_is_not_kept_is_named():
    declared = judged("Sinks", params={"skip": 1})
    assert {place.token for place in declared.places} == {0}


@pytest.mark.parametrize(("n", "wrong"), [(99, set()), (100, {17}), (110, {17})])
def test_a_cache_that_forgets_a_token_in_long_streams_only(n, wrong):
    # Beyond 100 tokens, and Bob's own counts.
    declared = judged("Forgets", n=n)
    assert {place.token for place in declared.places} == wrong
    assert declared.held_bits == 4 * n * 32


def test_a_share_short_by_one_token_is_refuted():
    assert judged("Share").share.lost == 12  # 24 tokens, (24 + 1) // 2 kept
    declared = judged("Share", params={"less": 1}, messages=8)
    assert declared.verdict == "not-as-declared"
    assert (declared.share.lost, declared.share.allowed) == (13, 12)


def test_a_token_that_a_quantiser_loses_is_no_rounding():
    # Its answers are exactly zero but for the rounding of the product, so its signs are coins: half
    # of the messages have the 16 wrong bits of 32 that count, and none of 32 with chance 2^-32.
    declared = judged("Quantised", params={"bits": 2, "lost": 5}, messages=32)
    assert not declared.strict
    assert {place.token for place in declared.places} == {5}


def test_three_bits_declared_and_32_sent():
    report = play("Unpacked")
    (declared,) = report.declared
    assert declared.verdict == "not-as-declared"
    assert declared.memory.slope == pytest.approx(32, abs=0.1)
    assert "32.0 bits a number measured, 3 declared" in declared.sentence
    assert "compression never engaged" in declared.sentence
    assert declared.held_wrong == 0


def test_four_bits_declared_and_eight_sent_with_and_without_a_header():
    for header in (0, 400):
        memory = judged("Packed", params={"width": 8, "header": header}).memory
        # One byte for each number: the slope does not see the header.
        assert memory.slope == pytest.approx(8, abs=0.05)
        assert memory.over
        assert not memory.uncompressed
    assert judged("Packed", params={"header": 400}).memory.constant == pytest.approx(
        8 * (400 + 8), abs=64
    )


def test_words_of_the_command_line_come_before_those_of_the_class():
    declared = judged("Window", declaration=Declaration.of_words(["keeps=last:12"]))
    assert declared.verdict == "not-as-declared"
    assert {place.token for place in declared.places} == {13, 14, 15, 16}


def test_nothing_declared_is_nothing_held_against_it():
    report = play("Softmax", messages=2)
    assert report.declared == (None,)
    assert report.as_declared
    assert report.points[0]["declared"] is None
    assert "counterexample" not in report.as_dict()


def test_where_bits_are_not_judged_it_says_so():
    linear = LinearIndex(n=32, d=32, keys="hypercube", gamma=0.01, eta=None)
    for instance, why in [
        (linear, "the linear Bob reads each bit from all answers together"),
        (
            SlidingWindow(n=48, d=32, window=17),
            "rows of the sliding-window game are not the tokens",
        ),
    ]:
        declared = judged("Window", instance=instance, messages=2)
        assert declared.verdict == "undecided"
        assert why in declared.sentence
    short = judged("Quantised", d=16, params={"bits": 2, "lost": 3})
    assert short.verdict == "undecided"
    assert "a token of 16 bits is too short" in short.sentence


@pytest.mark.parametrize(
    ("name", "options", "verdict", "says"),
    [
        # Each sends 32 bits a number, or does not answer; each was once as declared.
        ("Padded", {}, "not-as-declared", "compression never engaged"),
        ("ByLength", {}, "undecided", "memory is not judged here"),
        ("ByLength", {"params": {"honest": True}}, "as-declared", "34 declared"),
    ],
)
def test_no_cache_is_as_declared_by_what_cannot_be_judged(name, options, verdict, says):
    declared = judged(name, **options)
    assert declared.verdict == verdict, declared.sentence
    assert says in declared.sentence


def test_who_declares_no_word_declares_nothing():
    assert Declaration.of({}) is None
    assert Declaration.of([]) is None
    assert Declaration.of({"exact": False}) is None


def test_a_message_that_failed_leaves_the_rest_undecided():
    report = play("Whole", messages=2)
    good = messages_of(report.outcomes[0].rows)
    bad = replace(good[0], failed="Alice ran out of memory.", wrong_by_row=None)
    said = Declaration.of_words(["exact"])
    declared = hold_against(said, report.outcomes[0].cell.instance, [*good, bad])
    assert declared.verdict == "undecided"
    assert "1 of 3 messages failed, which say nothing" in declared.sentence
    none = hold_against(said, report.outcomes[0].cell.instance, [bad])
    assert none.verdict == "undecided"


def test_a_contradiction_with_the_shape_ends_the_attack_before_it_begins():
    with pytest.raises(BadInput, match="bits=3 and bytes=4 contradict each other"):
        play("Window", declaration=Declaration.of_words(["bits=3", "bytes=4"]))


def test_ids_and_secrets_do_not_depend_on_the_declaration():
    one = play("Softmax", messages=2)
    other = play("Softmax", messages=2, declaration=Declaration.of_words(["keeps=all"]))
    assert one.outcomes[0].cell.id == other.outcomes[0].cell.id
    assert one.outcomes[0].rows[0].instance == other.outcomes[0].rows[0].instance
    assert other.outcomes[0].rows[0].declares == ("keeps=all",)
    assert one.outcomes[0].rows[0].declares is None


def test_rows_from_a_file_are_judged_by_what_they_were_played_under():
    report = play("Window", params={"says": 8, "has": 7})
    (point,) = points_of(report.outcomes[0].rows)
    assert point["declared"]["verdict"] == "not-as-declared"
    assert point["declared"]["places"][0]["token"] == 17


def test_a_shorter_stream_is_weighed_and_nobody_is_asked_about_it(monkeypatch):
    """Asked, it would be for all its rows: the square of n, where the attack asks for sixteen."""
    asked = []

    def count(seat, message, queries, thresholds, block):
        asked.append(len(queries[0]))
        return answer(seat, message, queries, thresholds, block)

    answer = InlineSeat.answer
    monkeypatch.setattr(InlineSeat, "answer", count)
    instance = Index(n=1024, d=32, keys="hypercube", rows=16)
    report = attack("exact", instance=instance, budgets=[1], messages=1)
    assert asked == [16]
    assert report.declared[0].memory.slope == 16.0


def test_a_constant_part_leaves_rows_from_a_file_undecided():
    # A file has no shorter stream: with 400 bytes of header the whole is above 4 bits a number.
    report = play("Packed", params={"header": 400})
    assert report.as_declared
    (point,) = points_of(report.outcomes[0].rows)
    assert point["declared"]["verdict"] == "undecided"
    assert "no shorter stream" in point["declared"]["open"][0]


def test_sampled_rows_are_judged_by_what_was_asked():
    instance = Index(n=64, d=32, keys="hypercube", rows=16)
    declared = judged("Window", instance=instance, params={"says": 60, "has": 30}, messages=8)
    assert declared.verdict == "not-as-declared"
    assert {place.token for place in declared.places} <= set(range(5, 35))
    assert judged("Window", instance=instance, params={"says": 30}).verdict == "as-declared"


def test_a_case_is_played_again_from_its_file(tmp_path):
    case = play("Window", params={"says": 8, "has": 7}).counterexample
    path = tmp_path / "case.json"
    case.write(path)
    assert read_case(path) == case
    assert PLUGINS.parent.name not in path.read_text()
    replayed = replay_case(case, f"{PLUGINS}:Window")
    assert replayed.fails
    assert "token 17 of 24" in replayed.sentence
    mended = tmp_path / PLUGINS.name
    mended.write_text(PLUGINS.read_text().replace("maxlen=has or says", "maxlen=says"))
    replayed = replay_case(case, f"{mended}:Window")
    assert not replayed.fails
    assert "does not fail any more" in replayed.sentence


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[:100], "not a case, or it is torn"),
        (lambda text: "[]", "not a case, or it is torn"),
        (lambda text: "[" * 100_000, "not a case, or it is torn"),
        (
            lambda text: text.replace('"kvbarrier_case": 1', '"kvbarrier_case": 99'),
            "another version",
        ),
        (lambda text: text.replace('"kind": "game"', '"kind": "spell"'), "kind 'spell'"),
        (lambda text: text.replace('"declares"', '"declared"'), "not a complete case"),
        (lambda text: text.replace("keeps=last:8", "keeps=some"), "not a complete case"),
        (lambda text: text.replace('"play": {', '"play": 3, "other": {'), "not a complete case"),
    ],
)
def test_a_foreign_case_file_is_refused_with_a_sentence(tmp_path, change, says):
    case = play("Window", params={"says": 8, "has": 7}, messages=1).counterexample
    path = tmp_path / "case.json"
    path.write_text(change(case.text()))
    with pytest.raises(BadInput, match=says):
        read_case(path)


def test_a_case_of_another_target_or_a_path_is_refused(tmp_path):
    from dataclasses import replace

    case = play("Window", params={"says": 8, "has": 7}, messages=1).counterexample
    with pytest.raises(BadInput, match="not of"):
        replay_case(case, f"{PLUGINS}:Sinks")
    with pytest.raises(BadInput, match="a path on this machine"):
        replay_case(replace(case, target="../evil.py:Evil"))
    with pytest.raises(BadInput, match="is not there"):
        replay_case(case)
    for play_ in ({}, {**case.play, "message": -1}, {**case.play, "key": "00"}):
        with pytest.raises(BadInput, match="cannot be played"):
            replay_case(replace(case, play=play_), f"{PLUGINS}:Window")


def test_the_verdict_on_the_guarantee_keeps_its_name_beside():
    point = play("Window", params={"says": 8, "has": 7}, messages=8).points[0]
    assert point["guarantee"]["verdict"] == "broken"
    assert point["declared"]["verdict"] == "not-as-declared"
    assert np.isfinite(point["bit_error"]["estimate"])


def test_rounding_that_errs_alike_makes_no_tokens_so_bad_and_others_so_good():
    # The rule of lost tokens: over 1/8 of them with 3/8 of their bits wrong, 1/4 with at most 1/16.
    # Of n tokens, each bad, good or neither: the chance of enough of both is at most the product
    # of the two (negative association of multinomial counts; Joag-Dev and Proschan 1983).
    stats = pytest.importorskip("scipy.stats")
    p = np.linspace(0.001, 0.5, 500)
    for bits, n, most in ((32, 16, 4e-6), (64, 16, 1e-9), (32, 64, 1e-15), (64, 512, 1e-15)):
        bad = stats.binom.sf(np.ceil(3 * bits / 8) - 1, bits, p)
        good = stats.binom.cdf(bits // 16, bits, p)
        both = stats.binom.sf(n // 8, n, bad) * stats.binom.sf(np.ceil(n / 4) - 1, n, good)
        assert both.max() < most


def test_a_quantiser_that_keeps_nothing_or_a_part_is_refuted():
    for name, lost in (("Nothing", range(24)), ("Newest", range(19))):
        declared = judged(name)
        assert declared.verdict == "not-as-declared"
        assert {place.token for place in declared.places} <= set(lost)


def test_after_operations_every_token_that_survives_is_held():
    instance = Index(n=24, d=32, keys="hypercube", schedule="speculate")
    report = play("Crops", instance=instance, messages=8)
    assert report.as_declared
    counts = report.points[0]["wrong_by_place"]
    assert sum(counts["token"]) == 0
    report = play("Crops", instance=instance, messages=8, params={"more": 1})
    (declared,) = report.declared
    assert declared.verdict == "not-as-declared"
    assert isinstance(report.counterexample, Case)
    assert report.counterexample.question["token"] == declared.places[0].token
    window = play("Crops", instance=instance, declaration=Declaration.of_words(["keeps=last:4"]))
    assert "keeps=all alone names the tokens" in window.declared[0].sentence
