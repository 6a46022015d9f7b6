"""Verdicts: the shape of the JSON, numbers a reader can recompute, and the words."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.evidence.nulls import Null
from kvbarrier.protocols.evidence.record import MessageRecord
from kvbarrier.protocols.evidence.row_counts import text_of
from kvbarrier.protocols.evidence.verdicts import (
    PointVerdict,
    bucket_rows,
    judge_adversaries,
    judge_family,
    judge_point,
)

ONE, OTHER = Null("one", "each answer is near"), Null("other", "all answers are near at once")


def record(
    wrong: tuple[int, ...], asked: tuple[int, ...], charged: int, failed: str | None = None,
    by_row: str | None = None,
) -> MessageRecord:  # fmt: skip
    return MessageRecord(wrong, asked, charged, 0, failed, wrong_by_row=by_row)


def point(
    wrong: list[int], messages: int, charged: int, *, n: int = 32, row_bits: int = 64,
    level: float = 0.95, failed: int = 0,
) -> PointVerdict:  # fmt: skip
    asked = tuple(int(rows) * row_bits for rows in bucket_rows(n))
    records = [
        record(tuple(wrong), asked, charged, "Alice raised." if t < failed else None)
        for t in range(messages)
    ]
    return judge_point(records, n=n, row_bits=row_bits, cache_bits=32 * n * row_bits, level=level)


def test_json_has_the_promised_shape_and_is_plain() -> None:
    document = json.loads(json.dumps(point([3] * 16, 4, 1024).as_dict(), allow_nan=False))
    assert set(document) == {
        "bit_error", "error_floor", "ledger", "guarantee", "messages", "failed", "asked_bits",
        "wrong_bits", "secret_bits", "charged_bits", "bits_per_secret_bit", "compression_ratio",
        "changed",
    }  # fmt: skip
    assert set(document["bit_error"]) == {"estimate", "low", "high", "level"}
    assert {"verdict", "surprise_bits"} <= set(document["ledger"])
    assert document["ledger"]["rows"] == "all"
    assert set(document["guarantee"]) == {
        "verdict", "about", "level", "worst_bucket", "worst_row", "messages", "messages_by_row",
        "charged_bits", "bits_per_secret_bit",
    }  # fmt: skip


def test_a_reader_can_recompute_the_numbers() -> None:
    document = point([3] * 16, 4, 1024, failed=1).as_dict()
    # 32 rows of 64 bits, 4 messages; 48 wrong bits each.
    N, m, k = 4 * 2048, 4 * 1024, 4 * 48
    assert (document["asked_bits"], document["charged_bits"], document["wrong_bits"]) == (N, m, k)
    assert (document["secret_bits"], document["messages"], document["failed"]) == (N, 4, 1)
    exact = N - m - math.log2((N + 1) * math.comb(N, k))
    assert document["ledger"]["surprise_bits"] == pytest.approx(exact, abs=1e-6)
    assert document["bit_error"]["estimate"] == k / N
    assert document["bits_per_secret_bit"] == 0.5
    # 32 bits a secret bit in a 16-bit K and V cache, at half a bit: 64 times smaller.
    assert document["compression_ratio"] == pytest.approx(64.0)
    # h(.110028) = 1/2 (the usual table of h^-1).
    assert document["error_floor"] == pytest.approx(0.110028, abs=1e-6)


def test_nothing_charged_has_no_ratio() -> None:
    document = point([64] * 16, 2, 0).as_dict()
    assert document["compression_ratio"] is None
    assert document["error_floor"] == pytest.approx(0.5, abs=1e-9)


def test_worst_bucket_is_the_highest_and_the_oldest_of_equals() -> None:
    wrong = [0] * 16
    wrong[4] = wrong[9] = 7
    assert point(wrong, 2, 100).worst_bucket == 4
    wrong[9] = 8
    assert point(wrong, 2, 100).worst_bucket == 9


def test_no_bucket_is_named_where_buckets_do_not_differ() -> None:
    assert point([0] * 16, 2, 100).worst_bucket is None
    # Coins everywhere: some bucket is the noisiest in every run, and in 19 of 20 none is named.
    named = [point_of_coins(seed).worst_bucket is not None for seed in range(100)]
    # The test's level is 5 %: more than 13 of 100 has probability 4e-4 (binomial tail).
    assert sum(named) <= 13


def point_of_coins(seed: int) -> PointVerdict:
    rng = np.random.default_rng(seed)
    records = [
        record(tuple(rng.binomial(128, 0.5, size=16).tolist()), (128,) * 16, 1000)
        for _ in range(12)
    ]
    return judge_point(records, n=32, row_bits=64, cache_bits=1)


def test_a_lost_row_is_named_and_not_its_bucket_which_is_fine() -> None:
    # One row of 128 is a coin of 64 bits: its bucket of 8 rows errs 1/16, and that is no fault.
    rng = np.random.default_rng(1)
    records = []
    for _ in range(8):
        counts = np.zeros(128, dtype=int)
        counts[77] = rng.binomial(64, 0.5)
        by_age = tuple(counts.reshape(16, 8).sum(axis=1).tolist())
        records.append(record(by_age, (512,) * 16, 9000, by_row=text_of(counts)))
    judged = judge_point(records, n=128, row_bits=64, cache_bits=1)
    assert (judged.guarantee, judged.worst_row, judged.worst_bucket) == ("broken", 77, None)
    # .5 (5^t)/128/2 >= 20 from t = 6 on (30.5): 5 are too few (6.1), give or take the coins.
    assert judged.decided_after in (6, 7)
    blind = [record(r.wrong_by_age, r.asked_by_age, r.charged_bits) for r in records]
    assert judge_point(blind, n=128, row_bits=64, cache_bits=1).guarantee == "undecided"


def test_a_verdict_quotes_the_memory_of_its_messages() -> None:
    asked = (128,) * 16
    records = [record((0,) * 16, asked, 2048)] * 31 + [record((0,) * 16, asked, 1024)] * 33
    document = judge_point(records, n=32, row_bits=64, cache_bits=1).as_dict()
    assert document["guarantee"]["messages"] == 31
    assert document["guarantee"]["charged_bits"] == 31 * 2048
    assert document["guarantee"]["bits_per_secret_bit"] == 1.0
    assert document["bits_per_secret_bit"] == (31 * 2048 + 33 * 1024) / (64 * 2048)
    # The drift of its charged bits is told; the error has not moved.
    assert document["changed"]["after_messages"] == 31
    assert document["changed"]["bits_per_secret_bit"] == [1.0, 0.5]


def test_what_kept_everything_and_then_a_half_is_not_called_not_broken() -> None:
    # 31 messages without an error would do for not-broken; 225 more err 1/4 at half the memory.
    asked = (128,) * 16
    records = [record((0,) * 16, asked, 2048)] * 31 + [record((32,) * 16, asked, 1024)] * 225
    judged = judge_point(records, n=32, row_bits=64, cache_bits=1)
    assert judged.guarantee == "broken"
    assert judged.change is not None
    assert (judged.change.after, judged.change.error) == (31, (0.0, 0.25))
    assert judged.decided_rate == pytest.approx(
        (31 + (judged.decided_after - 31) / 2) / judged.decided_after
    )
    assert "changed during the attack" in judged.sentences()[2]


def test_a_contradiction_is_a_change_before_the_ranks_show_it() -> None:
    # 24 messages whose bits are coins, then 40 without an error: each side is shown at 5 %.
    asked = (128,) * 16
    records = [record((64,) * 16, asked, 900)] * 6 + [record((0,) * 16, asked, 900)] * 64
    judged = judge_point(records, n=32, row_bits=64, cache_bits=1)
    assert judged.guarantee == "broken"
    assert judged.change is not None
    assert judged.change.after == judged.decided_after


def test_rows_that_were_asked_together_convict_nobody_by_the_sample() -> None:
    asked = tuple([64] * 16)
    records = [record((0,) * 16, asked, 1100)] * 64
    sizes = {"n": 32, "row_bits": 64, "cache_bits": 1}
    assert judge_point(records, **sizes).ledger.verdict == "impossible"
    judged = judge_point(records, rows_apart=False, **sizes)
    assert judged.ledger.verdict == "not-excluded"
    assert judged.as_dict()["ledger"]["rows"] == "together"
    assert "asked together" in judged.sentences()[0]
    # What was asked still counts: 1024 bits from 500 are impossible without any sample.
    cheat = [record((0,) * 16, asked, 500)] * 4
    assert judge_point(cheat, rows_apart=False, **sizes).ledger.verdict == "impossible"


def test_buckets_of_an_uneven_n() -> None:
    # Row i is in bucket 16 i // n; counted by hand for n = 17: only bucket 0 holds two rows.
    assert bucket_rows(17).tolist() == [2] + [1] * 15
    assert bucket_rows(513).sum() == 513


def test_three_questions_are_answered_apart() -> None:
    honest = point([0] * 16, 32, 2048)
    assert (honest.ledger.verdict, honest.guarantee) == ("not-excluded", "not-broken")
    assert honest.ledger.blind
    cheat = point([0] * 16, 32, 512)
    assert (cheat.ledger.verdict, cheat.guarantee) == ("impossible", "not-broken")
    evictor = point([64] * 8 + [0] * 8, 8, 1100)
    assert (evictor.ledger.verdict, evictor.guarantee) == ("not-excluded", "broken")
    assert evictor.decided_after <= 8


def test_sentences_say_what_they_do_not_say() -> None:
    ledger, guarantee = point([0] * 16, 32, 2048).sentences()
    assert "can exclude nothing" in ledger
    assert "on this reduction, at this scale, for random secrets" in guarantee
    assert "on average over each age bucket the error is at most 1/10" in guarantee
    assert "a single row may be worse, and so may a single channel or head" in guarantee
    assert "M/N = 1" in guarantee
    ledger, _ = point([0] * 16, 32, 512).sentences()
    assert "hidden channel, or a bug in kvbarrier: replay it" in ledger
    ledger, guarantee = point([64] * 8 + [0] * 8, 8, 1100).sentences()
    assert "does not mean that the compressor is good" in ledger
    assert guarantee.startswith("broken: after ")
    assert point([0] * 16, 3, 1100).sentences()[1].startswith("undecided: 3 messages")


def test_sampled_rows_reach_the_ledger() -> None:
    # One row of each bucket's two is asked. 1024 asked bits against 1100 charged say nothing, but
    # 16 rows a message, none wrong, in 64 messages at .54 bits a secret bit do.
    asked = tuple([64] * 16)
    records = [record((0,) * 16, asked, 1100)] * 64
    judged = judge_point(records, n=32, row_bits=64, cache_bits=1)
    assert judged.ledger.surprise < 0
    assert judged.ledger.verdict == "impossible"
    assert judged.secret_bits == 64 * 2048
    assert judged.asked_bits == 64 * 1024


def test_no_messages_are_refused_with_advice() -> None:
    with pytest.raises(BadInput, match="play at least one batch"):
        judge_point([], n=32, row_bits=64, cache_bits=1)
    with pytest.raises(BadInput, match="name at least one adversary"):
        judge_adversaries([], [])


def test_family_of_points() -> None:
    family = judge_family([point([0] * 16, 32, 2048), point([0] * 16, 32, 512)]).as_dict()
    assert family["verdict"] == "impossible"
    assert family["named"] == [1]
    assert family["line_bits"] == pytest.approx(41.0)
    assert family["points"] == 2
    json.dumps(family, allow_nan=False)


def test_adversaries_share_the_level() -> None:
    points = [point([8] * 16, 16, 2048), point([20] * 16, 16, 2048), point([20] * 16, 16, 2048)]
    [verdict] = judge_adversaries(points, [ONE] * 3, 0.95)
    assert verdict.worst == 1
    assert verdict.members == (0, 1, 2)
    assert verdict.bit_error.level == pytest.approx(1 - 0.05 / 3)
    wide, alone = verdict.bit_error, points[1].bit_error
    assert wide.low < alone.low <= alone.estimate <= alone.high < wide.high
    assert verdict.guarantee == "broken"
    # 20 of 128 wrong in every bucket: e/m = 1.5625 a message; two of three adversaries see it.
    assert verdict.decided_after >= points[1].decided_after
    json.dumps(verdict.as_dict(), allow_nan=False)


def test_adversaries_of_two_nulls_are_never_pooled() -> None:
    """Half of the bits wrong on the other null's streams say nothing of the first null."""
    clean, lost = point([0] * 16, 40, 2048), point([64] * 16, 40, 2048)
    first, second = judge_adversaries([clean, lost, clean], [ONE, OTHER, ONE])
    assert (first.null, first.members, first.guarantee) == (ONE, (0, 2), "not-broken")
    assert (second.null, second.members, second.guarantee) == (OTHER, (1,), "broken")
    # a null's level is shared by its own adversaries only
    assert first.bit_error.level == pytest.approx(0.975)
    assert second.bit_error.level == pytest.approx(0.95)
    # ... and its e-value is that of its own points alone
    assert second.decided_after == lost.decided_after
    assert second.as_dict()["guarantee"]["null"] == {
        "name": "other", "sentence": "all answers are near at once",
    }  # fmt: skip
    assert (second.worst, second.as_dict()["number"]) == (1, 1)
