"""What the ledger and an interval could have caught, against integers and a planted cheat."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kvbarrier.protocols.evidence.ledger import ledger
from kvbarrier.protocols.evidence.power import Power, interval_catches
from kvbarrier.protocols.evidence.record import MessageRecord
from kvbarrier.protocols.evidence.verdicts import PointVerdict, judge_family, judge_point

ROWS, ROW_BITS = 32, 64  # 2048 secret bits a message, 128 in each age bucket


def record(
    wrong: tuple[int, ...], asked: tuple[int, ...], charged: int, failed: str | None = None,
    by_row: str | None = None,
) -> MessageRecord:  # fmt: skip
    return MessageRecord(wrong, asked, charged, 0, failed, wrong_by_row=by_row)


def point(messages: int, charged: int, wrong: int = 0, asked: int = 2048) -> PointVerdict:
    """``wrong`` bits in all, put into the messages one after the other."""
    records = []
    for _ in range(messages):
        here = min(wrong, asked // 2)
        wrong -= here
        ages = [here // 16 + (b < here % 16) for b in range(16)]
        records.append(record(tuple(ages), (asked // 16,) * 16, charged))
    return judge_point(records, n=ROWS, row_bits=ROW_BITS, cache_bits=1)


def convicted(N: int, m: int, k: int, line: int = 40) -> bool:
    """s >= line in integers: 2^(N-m) >= 2^line (N+1) C(N, k)."""
    return m <= N and 2 ** (N - m) >= 2**line * (N + 1) * math.comb(N, k)


# 2^(2048-m) >= 2^40 2049 up to m = 1996: 2^11 < 2049 <= 2^12.
@pytest.mark.parametrize("charged", [0, 1024, 1995, 1996, 1997, 2047, 2048, 4096])
def test_whether_a_cheat_without_an_error_is_caught(charged: int) -> None:
    one = point(1, charged)
    assert one.power.catches() == convicted(2048, charged, 0) == (charged <= 1996)
    assert one.ledger.verdict == ("impossible" if charged <= 1996 else "not-excluded")
    assert (one.power.error() is None) == (charged > 1996)


@pytest.mark.parametrize(("messages", "charged"), [(1, 0), (1, 1024), (2, 1024), (16, 2000)])
def test_the_largest_error_that_is_caught(messages: int, charged: int) -> None:
    N, m = messages * 2048, messages * charged
    most = 0
    while convicted(N, m, most + 1):
        most += 1
    error = point(messages, charged).power.error()
    assert error is not None
    # The integral form goes on between whole numbers of bits.
    assert most - 1e-2 <= error * N < most + 1
    assert point(messages, charged, most).ledger.verdict == "impossible"
    assert point(messages, charged, most + 1).ledger.verdict == "not-excluded"


@pytest.mark.parametrize("messages", [1, 8, 64])
def test_the_most_memory_at_which_a_cheat_is_caught(messages: int) -> None:
    N = messages * 2048
    most = max(m for m in range(N - 100, N) if convicted(N, m, 0))
    for charged in (0, 1024, 70_000):
        rate = point(messages, charged).power.rate()
        assert rate is not None
        # log2(N + 1) is no whole number, so the next bit is not reached.
        assert most - 1e-2 <= rate * N < most + 1


def test_too_few_bits_catch_nothing() -> None:
    # 44 - log2(45) = 38.5
    few = Power(np.array([44]), np.array([0]), 44, 1, np.ones(1))
    assert (few.error(), few.rate()) == (None, None)
    assert few.sentence().endswith("not even one without errors: play more messages.")


def test_the_line_of_a_family_is_higher() -> None:
    # 1996 bits are caught at 40, and not at 40 + log2(2).
    alone, among = point(1, 1996), [point(1, 1996, 1024), point(1, 2048, 1024)]
    assert judge_family([alone]).as_dict()["could_name"] == 1
    assert judge_family(among).as_dict()["could_name"] == 0
    assert judge_family([point(1, 1995, 1024), among[1]]).as_dict()["could_name"] == 1
    assert judge_family([]).as_dict()["could_name"] == 0


def test_sampled_rows_have_less_power() -> None:
    # One row in two is asked: 1024 bits, so the asked ones say nothing at a charge of 1100, and the
    # two-term bound pays for the rows that were not asked.
    everything, sampled = point(64, 1100), point(64, 1100, asked=1024)
    assert sampled.ledger.verdict == "impossible"
    error = sampled.power.error()
    assert error is not None
    assert 0 <= error < 0.05 < (everything.power.error() or 0)
    assert sampled.power.catches(error)
    assert not sampled.power.catches(error + 0.001)


def end_without_errors(messages: int) -> float:
    """Where six gamblers with stakes 1, 1/2, .. 1/32 and .8, .04, .. of the money have won 40."""
    low, high = 0.0, 1.0
    for _ in range(60):
        p = (low + high) / 2
        stakes = [(0.8, 1.0)] + [(0.04, 2.0**-j) for j in range(1, 6)]
        won = sum(w * (1 - c + c / (1 - p)) ** messages for w, c in stakes)
        low, high = (low, p) if won >= 40 else (p, high)
    return high


@pytest.mark.parametrize("messages", [8, 16, 24, 64, 256])
def test_whether_an_interval_could_lie_below_the_curve(messages: int) -> None:
    end = end_without_errors(messages)
    # h^-1(1 - M/N) = end at M/N = 1 - h(end).
    edge = 1 + end * math.log2(end) + (1 - end) * math.log2(1 - end)
    assert interval_catches(messages, edge - 1e-6)
    assert not interval_catches(messages, edge + 1e-6)
    assert not interval_catches(messages, 1.0)


def test_a_point_says_what_it_could_have_caught() -> None:
    blind, honest = point(4, 2048), point(4, 1024, 1024)
    assert blind.as_dict()["ledger"]["could_catch"]["error"] is None
    # 1 - (log2(8193) + 40)/8192 = .99353
    assert blind.sentences()[0].endswith(
        "so the ledger can exclude nothing here. No cheat with this memory could be caught, not "
        "even one without errors; it would have to send at most 0.993 bits per secret bit."
    )
    caught = honest.as_dict()["ledger"]["could_catch"]
    assert caught["bits_per_secret_bit"] == pytest.approx(0.99353, abs=1e-5)
    # h(.11) = .4999: 40 bits of 8192 and the 13 of log2 cost .002 of the error.
    assert caught["error"] == pytest.approx(0.108, abs=1e-3)
    assert honest.sentences()[0].endswith("is caught if its error is at most 10.8 %.")


def test_what_is_said_to_be_caught_is_whenever_the_cheat_errs() -> None:
    """16 messages of 16 bits, then 16 of 328, for 256 secret bits each.

    Of a cheat that errs evenly in .33 of the bits the first 16 convict; one that errs in .42 of
    theirs and nowhere else errs in .21 of all, and no look convicts it.
    """
    asked, charged = np.full(32, 256), np.repeat([16, 328], 16)
    said = Power(asked, charged, secret_bits=256, row_bits=8, shares=None).error()
    assert said is not None
    for early in range(1, 33):
        each = np.floor(said * 256 * 32 / early)
        if each <= 128:
            wrong = np.where(np.arange(32) < early, each, 0)
            one = ledger(asked, charged, wrong, secret_bits=256, row_bits=8)
            assert one.verdict == "impossible", early
