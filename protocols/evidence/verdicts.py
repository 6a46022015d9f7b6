"""Verdicts: the evidence of a point, of a family of points, of several adversaries, as plain data.

``PointVerdict.as_dict()`` has the shape of a point of ``attack --json``. Everything printed can be
recomputed from the printed sums: ``surprise_bits`` is N - m - log2(N+1) - log2 C(N,k) of them, and
``error_floor`` is h^{-1}(1 - charged/secret). The ledger's *verdict* rests on ``peak_bits``, the
highest surprise after any message (see :mod:`.ledger`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...errors import BadInput
from . import evidence
from .betting import Float64
from .change import Change, changed_after
from .evidence import AGE_BUCKETS, GUARANTEE, FamilyLedger, Guarantee, GuaranteeVerdict, Ledger
from .nulls import Null
from .power import Power
from .record import MessageRecord
from .row_counts import Int64, row_errors
from .worst import distinct_worst

if TYPE_CHECKING:
    from .average import Average

LEVEL = 0.95

ABOUT: dict[GuaranteeVerdict, str] = {
    "broken": "some row's or some age bucket's error is above 1/10",
    "not-broken": "on average over each age bucket the error is at most 1/10",
    "undecided": "neither is shown",
}
"""What each verdict on the guarantee claims."""


@dataclass(frozen=True)
class Interval:
    """An estimate (wrong/asked bits) with an anytime-valid interval over messages at ``level``."""

    estimate: float
    low: float
    high: float
    level: float

    def as_dict(self) -> dict[str, float]:
        """Plain data."""
        return {"estimate": self.estimate, "low": self.low, "high": self.high, "level": self.level}


@dataclass(frozen=True)
class PointVerdict:
    """The result of T messages of one cell. Sums are over messages, in bits.

    ``secret_bits`` and ``cache_bits`` count T messages as well, ``cache_bits`` being the 16-bit K
    and V cache that ``compression_ratio`` compares with.

    The guarantee's verdict rests on the first ``decided_after`` messages, which are charged
    ``decided_charged_bits``. ``worst_bucket`` is the age bucket (0 the oldest) with the highest
    error and ``worst_row`` the row with the most evidence, None where they do not differ from the
    others (:mod:`.worst`); if ``broken``, a bucket is named only if its own error is above
    1/10. ``rows_asked``: all rows, or a sample, asked apart or together; if together, the
    two-term bound is not used. ``row_messages``: how many messages have
    their bits counted by row. ``change``: how the compressor changed during the attack, or None.
    ``power``: what the ledger could have caught. ``average``: of the average case, whose guarantee
    is one mean (:mod:`.average`); else None.
    """

    bit_error: Interval
    error_floor: float
    ledger: Ledger
    guarantee: GuaranteeVerdict
    rows_asked: Literal["all", "apart", "together"]
    worst_bucket: int | None
    worst_row: int | None
    row_messages: int
    decided_after: int
    decided_charged_bits: int
    change: Change | None
    messages: int
    failed: int
    asked_bits: int
    wrong_bits: int
    secret_bits: int
    charged_bits: int
    cache_bits: int
    process: Guarantee = field(repr=False, compare=False)
    errors: Float64 = field(repr=False, compare=False)
    power: Power = field(repr=False, compare=False)
    average: Average | None = field(default=None, repr=False, compare=False)

    @property
    def bits_per_secret_bit(self) -> float:
        """M/N, the memory axis."""
        return self.charged_bits / self.secret_bits

    @property
    def decided_rate(self) -> float:
        """M/N of the messages that the guarantee's verdict rests on."""
        return self.decided_charged_bits * self.messages / (self.secret_bits * self.decided_after)

    @property
    def compression_ratio(self) -> float | None:
        """16-bit cache over charged bits; None when nothing was charged."""
        return self.cache_bits / self.charged_bits if self.charged_bits else None

    def interval(self, level: float) -> Interval:
        """The interval of this point at another level."""
        low, high = evidence.interval(self.errors, level)
        return Interval(self.bit_error.estimate, low, high, level)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as in ``attack --json``; no NaN, no infinity."""
        return {
            "bit_error": self.bit_error.as_dict(),
            "error_floor": self.error_floor,
            "ledger": {
                "verdict": self.ledger.verdict,
                "surprise_bits": self.ledger.surprise,
                "peak_bits": self.ledger.peak,
                "blind": self.ledger.blind,
                "could_catch": self.power.as_dict(),
                "rows": self.rows_asked,
            },
            "guarantee": {
                "verdict": self.guarantee,
                "about": _about(self.average is not None)[self.guarantee],
                "level": self.bit_error.level,
                "worst_bucket": self.worst_bucket,
                "worst_row": self.worst_row,
                "messages": self.decided_after,
                "messages_by_row": self.row_messages,
                "charged_bits": self.decided_charged_bits,
                "bits_per_secret_bit": self.decided_rate,
            },
            **self._average(),
            "changed": None if self.change is None else self.change.as_dict(),
            "messages": self.messages,
            "failed": self.failed,
            "asked_bits": self.asked_bits,
            "wrong_bits": self.wrong_bits,
            "secret_bits": self.secret_bits,
            "charged_bits": self.charged_bits,
            "bits_per_secret_bit": self.bits_per_secret_bit,
            "compression_ratio": self.compression_ratio,
        }

    def _average(self) -> dict[str, Any]:
        if self.average is None:
            return {}
        return {"average_case": self.average.as_dict(self.bit_error.level)}

    def sentences(self) -> list[str]:
        """What the point shows and what it does not, for people."""
        average = self.average is not None
        said = guarantee_sentence(self.guarantee, self.decided_after, average=average)
        if self.guarantee != "undecided":
            said += f" For these messages M/N = {self.decided_rate:.3g}."
        if self.average is not None:
            from .average import average_sentence

            said += f" {average_sentence(self.average.as_dict(self.bit_error.level))}"
        elif self.row_messages == 0:
            said += " Wrong bits were not counted by row, so this verdict uses age buckets only."
        changed = [] if self.change is None else [self.change.sentence()]
        ledger = _ledger_sentence(self.ledger, self.power)
        if self.rows_asked == "together":
            ledger += (
                " Rows were sampled and asked together, so an answer may depend on which "
                "other rows are asked: the ledger counts only the bits asked."
            )
        return [ledger, said, *changed]


def _ledger_sentence(entry: Ledger, power: Power) -> str:
    if entry.verdict == "impossible":
        return (
            "impossible: an honest message of this length does this well with probability at "
            f"most 2^-{entry.peak:.0f}; there is a hidden channel, or a bug in kvbarrier: "
            "replay it."
        )
    said = (
        "the message is as long as the secret, so the ledger can exclude nothing here."
        if entry.blind
        else "the charged memory can explain the answers, which does not mean that the "
        "compressor is good."
    )
    return f"not-excluded: {said} {power.sentence()}"


def _about(average: bool) -> dict[GuaranteeVerdict, str]:
    """What each verdict claims; of the average case it is another guarantee."""
    if not average:
        return ABOUT
    from .average import ABOUT as OF_THE_AVERAGE

    return OF_THE_AVERAGE


def guarantee_sentence(verdict: GuaranteeVerdict, messages: int, *, average: bool = False) -> str:
    """The guarantee's verdict in words.

    >>> "a single row may be worse" in guarantee_sentence("not-broken", 32)
    True
    """
    if verdict == "undecided":
        return f"undecided: {messages} messages show neither; play more."
    said = f"{verdict}: after {messages} messages {_about(average)[verdict]}"
    if average:
        from .average import CAVEAT

        said += f", {CAVEAT}"
    elif verdict == "not-broken":
        said += (
            ", on this reduction, at this scale, for random secrets; a single row may be worse, "
            "and so may a single channel or head: these are not tested separately"
        )
    return said + "."


def bucket_rows(n: int) -> Int64:
    """How many of n rows each age bucket holds, int64[16]; row i is in bucket 16 i // n.

    >>> bucket_rows(20).tolist()
    [2, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1]
    """
    return np.bincount(AGE_BUCKETS * np.arange(n) // n, minlength=AGE_BUCKETS)


def judge_guarantee(
    records: Sequence[MessageRecord],
    *,
    n: int,
    row_bits: int,
    rows: Sequence[Int64] | None = None,
    average: Average | None = None,
) -> Guarantee:
    """The evidence on the guarantee from a cell's messages; as in :func:`judge_point`."""
    if average is not None:
        return average.guarantee()
    return Guarantee.of(
        [record.wrong_by_age for record in records],
        [record.asked_by_age for record in records],
        _by_row(records, n, row_bits, rows),
    )


def judge_point(
    records: Sequence[MessageRecord],
    *,
    n: int,
    row_bits: int,
    cache_bits: int,
    level: float = LEVEL,
    rows: Sequence[Int64] | None = None,
    rows_apart: bool = True,
    survivors: bool = False,
    average: Average | None = None,
) -> PointVerdict:
    """Judge one cell from its messages in index order (the longest contiguous prefix).

    ``n`` rows of ``row_bits`` secret bits each and a 16-bit cache of ``cache_bits``, a message.
    ``rows``: the rows each message was asked for, None if all n. ``rows_apart``: an answer cannot
    depend on which other rows are asked; if that is not known, the two-term bound for sampled rows
    is not used, because it needs this. ``survivors``: the rows asked are those that survive a
    public schedule; they are the whole secret of the message (docs/theory-life.md). ``average``:
    the messages as the average case sees them, if that is the guarantee: then its one mean is
    judged, and no buckets or rows. Raises BadInput
    without messages.
    """
    from ...reductions.bounds import error_floor

    if not records:
        raise BadInput("There are no messages to judge yet: play at least one batch.")
    wrong = np.array([record.wrong_by_age for record in records], dtype=np.int64)
    asked = np.array([record.asked_by_age for record in records], dtype=np.int64)
    charged = np.array([record.charged_bits for record in records], dtype=np.int64)
    # A Python sum cannot overflow, and JSON wants Python's integers anyway.
    totals = [int(a.sum()) for a in (asked, wrong, charged)]
    secret_bits = totals[0] if survivors else n * row_bits * len(records)
    each_secret = secret_bits / len(records)
    each_asked, each_wrong = asked.sum(axis=1), wrong.sum(axis=1)
    errors = each_wrong / each_asked
    low, high = evidence.interval(errors, level)
    by_row = None if average else _by_row(records, n, row_bits, rows)
    process = average.guarantee() if average else Guarantee.of(wrong, asked, by_row)
    verdict, decided_after = process.decide(level)
    sampled = rows_apart and not survivors
    shares = (asked / (row_bits * bucket_rows(n))).min(axis=1) if sampled else None
    after = changed_after(errors, charged, [record.failed is None for record in records])
    if after is None:
        after = process.contradicted_after(level)
    least = evidence.interval(average.errors, level)[0] if average else low
    if after is None and verdict == "not-broken" and least > GUARANTEE:
        after = decided_after
    return PointVerdict(
        bit_error=Interval(totals[1] / totals[0], low, high, level),
        error_floor=float(error_floor(totals[2] / secret_bits)),
        ledger=evidence.ledger(
            each_asked, charged, each_wrong,
            secret_bits=each_secret, row_bits=row_bits, shares=shares,
        ),
        guarantee=verdict,
        rows_asked="all" if totals[0] == secret_bits else "apart" if rows_apart else "together",
        worst_bucket=None if average else _worst_bucket(wrong, asked, verdict, level),
        worst_row=_worst_row(by_row, process, level),
        row_messages=sum(record.wrong_by_row is not None for record in records),
        decided_after=decided_after,
        decided_charged_bits=int(charged[:decided_after].sum()),
        change=_change(after, errors, charged / each_secret),
        messages=len(records),
        failed=sum(record.failed is not None for record in records),
        asked_bits=totals[0],
        wrong_bits=totals[1],
        secret_bits=secret_bits,
        charged_bits=totals[2],
        cache_bits=cache_bits * len(records),
        process=process,
        errors=errors,
        power=Power(each_asked, charged, each_secret, row_bits, shares),
        average=average,
    )  # fmt: skip


def _by_row(
    records: Sequence[MessageRecord], n: int, row_bits: int, rows: Sequence[Int64] | None
) -> Float64 | None:
    texts = [record.wrong_by_row for record in records]
    return None if all(text is None for text in texts) else row_errors(texts, n, row_bits, rows)


def _worst_bucket(
    wrong: Int64, asked: Int64, verdict: GuaranteeVerdict, level: float
) -> int | None:
    errors = np.where(asked > 0, wrong / np.maximum(asked, 1), np.nan)
    means = wrong.sum(axis=0) / np.maximum(asked.sum(axis=0), 1)
    if verdict == "broken" and means.max() <= GUARANTEE:
        return None
    return distinct_worst(errors, means, level)


def _worst_row(errors: Float64 | None, process: Guarantee, level: float) -> int | None:
    if errors is None or process.row_scores is None:
        return None
    return distinct_worst(errors, process.row_scores, level)


def _change(after: int | None, errors: Float64, rates: Float64) -> Change | None:
    if after is None or not 0 < after < len(errors):
        return None
    (e, later), (rate, rate_later) = (
        (float(x[:after].mean()), float(x[after:].mean())) for x in (errors, rates)
    )
    return Change(after, (e, later), (rate, rate_later))


@dataclass(frozen=True)
class FamilyVerdict:
    """All points of one command together: the ledger of the family, and the points that it names.

    ``could_name``: the points at which a cheat without an error would have been named.
    """

    ledger: FamilyLedger
    points: int
    could_name: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data; ``named`` are indices into the points as given."""
        return {
            "verdict": self.ledger.verdict,
            "peak_bits": self.ledger.peak,
            "named": list(self.ledger.named),
            "line_bits": self.ledger.line,
            "points": self.points,
            "could_name": self.could_name,
        }


def judge_family(points: Sequence[PointVerdict]) -> FamilyVerdict:
    """Is the charged memory of this family of cells possible? By its average e-value."""
    ledger = evidence.family_ledger([point.ledger for point in points])
    could_name = sum(point.power.catches(line=ledger.line) for point in points)
    return FamilyVerdict(ledger, len(points), could_name)


@dataclass(frozen=True)
class AdversariesVerdict:
    """The adversaries of one null against one compressor, corrected for the choice among them.

    ``members`` are indices into the points as given; ``worst`` is the one with the highest error,
    ``bit_error`` its interval at the level at which all of the null's intervals hold together.
    """

    null: Null
    members: tuple[int, ...]
    guarantee: GuaranteeVerdict
    decided_after: int
    level: float
    worst: int
    bit_error: Interval

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "number": len(self.members),
            "guarantee": {
                "verdict": self.guarantee,
                "level": self.level,
                "messages": self.decided_after,
                "null": self.null.as_dict(),
            },
            "worst": self.worst,
            "bit_error": self.bit_error.as_dict(),
        }


def judge_adversaries(
    points: Sequence[PointVerdict], nulls: Sequence[Null], level: float = LEVEL
) -> list[AdversariesVerdict]:
    """One verdict for each null, from several adversaries' points against one compressor.

    ``nulls``: which each point tests (``nulls.null_of``). The average of e-values is one for a null
    that *all* of them test, so points of different nulls are never pooled; verdicts come in the
    order in which their nulls do. ``broken`` by the average of the null's e-values, ``not-broken``
    by all of its points; the worst (the first of equals) has its interval at
    1 - (1 - level)/number. Raises BadInput without a point.
    """
    if not points:
        raise BadInput("There are no points to judge: name at least one adversary.")
    return [
        _judge_one_null(points, null, [i for i, other in enumerate(nulls) if other == null], level)
        for null in dict.fromkeys(nulls)
    ]


def _judge_one_null(
    points: Sequence[PointVerdict], null: Null, members: list[int], level: float
) -> AdversariesVerdict:
    verdict, after = evidence.combine_guarantees([points[i].process for i in members], level)
    worst = max(members, key=lambda i: (points[i].bit_error.estimate, -i))
    error = points[worst].interval(evidence.adjusted_level(level, len(members)))
    return AdversariesVerdict(null, tuple(members), verdict, after, level, worst, error)
