"""The average case through the whole game, and what its one mean decides."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.evidence.average import Average
from kvbarrier.protocols.evidence.betting import log_wealth_above
from kvbarrier.protocols.evidence.record import MessageRecord
from kvbarrier.protocols.evidence.row_counts import text_of
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.coins import COMMITTED_KEYS, public_seed
from kvbarrier.protocols.game.index_game import play_batch
from kvbarrier.protocols.game.instances import Gaussian, Index, instance_of
from kvbarrier.reductions.gaussian import drawn_keys
from kvbarrier.runs import attack

KEY = COMMITTED_KEYS["regress"]
INSTANCE = Gaussian(n=64, d=32, beta=2.0)

WITNESS = '''
import hashlib
import numpy as np


class Witness:
    """Keeps a digest of the public keys; answers zeros where all agree, and else breaks."""

    def __init__(self, shape, budget_bits, seed, public):
        self.keys = np.array(public["keys"])
        self._digest = hashlib.sha256(self.keys.tobytes()).digest()
        self.at = 0

    def append(self, q, k, v):
        if self.at < len(self.keys):  # the one after them is Bob's
            assert np.array_equal(k, self.keys[self.at]), "another key than the public one"
        self.at += 1

    def save(self):
        return self._digest + bytes([self.at])

    def restore(self, message):
        assert message[:-1] == self._digest, "Alice had other keys"
        self.at = message[-1]

    def attend(self, q):
        return np.zeros_like(q)
'''


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_both_players_are_told_the_keys_of_the_message(tmp_path: Path, isolation: str) -> None:
    file = tmp_path / "witness.py"
    file.write_text(WITNESS)
    played = play_batch(Cell(INSTANCE, str(file), batch_size=6), KEY, 0, isolation)
    assert [record.failed for record in played.records] == [None] * 6


def test_each_message_has_keys_of_its_own_and_they_say_nothing_of_the_secret() -> None:
    seeds = [public_seed(KEY, INSTANCE.id, number) for number in range(3)]
    sets = [drawn_keys(64, 32, seed) for seed in seeds]
    assert len({keys.tobytes() for keys in sets}) == 3
    # The same coins, whatever the secret: a function of (seed) alone, so of nothing secret.
    family = INSTANCE.build()
    for x in (np.zeros((64, 32), np.uint8), np.ones((64, 32), np.uint8)):
        assert np.array_equal(family.of_message(seeds[1]).stream(x)[1], sets[1])


def test_a_full_cache_errs_in_half_of_the_bits_of_guessed_rows_and_nowhere_else() -> None:
    played = play_batch(Cell(INSTANCE, "exact", batch_size=16), KEY, 0, "inline")
    guessed = wrong = 0
    for number, record in enumerate(played.records):
        unread = INSTANCE.unread(public_seed(KEY, INSTANCE.id, number), None)
        seen = Average.of([record], [unread], 32, 1.0)
        assert seen.errors.tolist() == [0.0]
        guessed, wrong = guessed + 32 * int(unread.sum()), wrong + record.wrong
    assert guessed > 500
    assert abs(wrong - guessed / 2) < 5 * np.sqrt(guessed / 4)


def test_lossless_and_time_sharing_know_the_keys_of_each_message() -> None:
    for target, budget in (("lossless", None), ("time-sharing", Fraction(1, 32))):
        cell = Cell(INSTANCE, target, budget=budget, batch_size=4)
        exact = play_batch(Cell(INSTANCE, "exact", batch_size=4), KEY, 0, "inline").records
        played = play_batch(cell, KEY, 0, "inline").records
        assert [one.wrong for one in played] == [one.wrong for one in exact]
        assert {one.charged_bits for one in played} == {64 * 32}


def record(wrong: list[int]) -> MessageRecord:
    ages = tuple(wrong)
    return MessageRecord(ages, (4,) * 16, 64, 8, None, wrong_by_row=text_of(wrong))


def test_the_mean_leaves_guessed_rows_out_and_keeps_them_in_the_denominator() -> None:
    wrong = [4, 0, 2, *[0] * 13]
    unread = np.zeros(16, dtype=bool)
    unread[[0, 5]] = True
    one = Average.of([record(wrong)], [unread], 4, 0.5)
    assert one.errors.tolist() == [2 / 64]
    assert one.unread.tolist() == [2 / 16]
    said = one.as_dict(0.95)
    # 1 - h(.1 + 1/16), h(.1625) = .64025 by hand: -.1625 log2 .1625 - .8375 log2 .8375.
    assert said["bound"] == pytest.approx(1 - 0.6403, abs=2e-4)
    assert said["closed_bound"] == pytest.approx(1 - 0.9341, abs=2e-4)  # h(.35)


def test_results_without_counts_by_row_are_refused() -> None:
    bare = replace(record([0] * 16), wrong_by_row=None)
    with pytest.raises(BadInput, match="play them again"):
        Average.of([bare], [np.zeros(16, dtype=bool)], 4, 0.5)


def test_always_losing_the_same_tokens_is_no_breach_of_an_average() -> None:
    # 6 % of the tokens, always the oldest: error .03 on average, and 1/2 in the oldest bucket.
    kept = {"window": 60, "dtype": "fp32"}
    for instance, verdict in ((INSTANCE, "not-broken"), (Index(n=64, d=32), "broken")):
        [point] = attack.attack(
            "sliding-window", instance=instance, params=kept, budgets=[None], messages=64
        ).points
        assert point["guarantee"]["verdict"] == verdict
        assert (point["guarantee"]["worst_bucket"] is None) == (verdict == "not-broken")


def test_a_guess_is_no_place_on_the_map() -> None:
    faint = replace(INSTANCE, beta=1.0)
    for params, target, kind in (
        ({"dtype": "fp32"}, "exact", "none"),
        ({"window": 32, "dtype": "fp32"}, "sliding-window", "place"),
    ):
        [point] = attack.attack(
            target, instance=faint, params=params, budgets=[None], messages=16
        ).points
        assert point["average_case"]["theta"]["estimate"] > 0.1
        assert point["map"]["kind"] == kind


def test_losing_half_of_the_tokens_is_one() -> None:
    kept = {"window": 32, "dtype": "fp32"}
    [point] = attack.attack(
        "sliding-window", instance=INSTANCE, params=kept, budgets=[None], messages=32
    ).points
    assert point["guarantee"]["verdict"] == "broken"
    assert point["guarantee"]["null"]["name"] == "average"
    mean = point["average_case"]["error"]["estimate"]
    assert point["bit_error"]["estimate"] > mean > 0.2
    # The process is that of the mean of the rows read, one number a message.
    assert point["average_case"]["error"]["low"] > 0.1


def test_the_evidence_has_one_bucket() -> None:
    one = Average(np.array([0.3, 0.4]), np.array([0.0, 0.0]), 1.0).guarantee()
    assert one.bucket_process() == pytest.approx(log_wealth_above([0.3, 0.4], 0.1))


def test_sampled_rows_are_judged_by_the_rows_asked() -> None:
    [point] = attack.attack(
        "exact", instance=replace(INSTANCE, rows=16), params={"dtype": "fp32"}, messages=64
    ).points
    assert point["average_case"]["error"]["estimate"] == 0.0
    assert point["guarantee"]["verdict"] == "not-broken"


def test_the_class_says_what_it_lets_one_choose() -> None:
    made = instance_of({"n": 64, "d": 32, "reduction": "gaussian", "beta": 1.5})
    assert made == Gaussian(n=64, d=32, beta=1.5)
    assert made.id != INSTANCE.id
    with pytest.raises(BadInput, match=r"scale of the gaussian reduction is beta/sqrt\(d\)"):
        Gaussian(n=64, d=32, scale=3.0)
    with pytest.raises(BadInput, match=r"has no --beta 2\.0, which is for --reduction gaussian"):
        instance_of({"n": 64, "d": 32, "beta": 2.0})
    with pytest.raises(BadInput, match="has no --gamma"):
        instance_of({"n": 64, "d": 32, "reduction": "gaussian", "eta": None, "gamma": 0.1})
