"""The claim that half the secret's bits are too few: every such message errs above 1/10."""

from __future__ import annotations

from collections.abc import Sequence

from ...protocols.evidence.verdicts import LEVEL
from ...runs.points import judge_rows
from ...runs.rows import BatchRow
from .experiment import Judgement, judge
from .planted import points_played


def half_size_errs(rows: Sequence[BatchRow]) -> Judgement:
    """Is the error of every ``time-sharing`` of half the bits above 1/10, all intervals at once?"""
    halves = [
        run
        for run in points_played(rows)
        if run[0].compressor == "time-sharing" and judge_rows(run).bits_per_secret_bit == 0.5
    ]
    level = 1 - (1 - LEVEL) / max(1, len(halves))
    verdicts = [judge_rows(run, level) for run in halves]
    low = min((v.bit_error.low for v in verdicts), default=0.0)
    errors = [v.bit_error.estimate for v in verdicts]
    sizes = ", ".join(str(int(run[0].spec_dict["instance"]["n"])) for run in halves)
    return judge(
        low > 0.1,
        f"n = {sizes}: {sum(v.messages for v in verdicts)} messages of exactly half the bits; "
        f"error {min(errors, default=0):.3f} to {max(errors, default=0):.3f}, every interval above "
        f"{low:.3f} (95 % together); no message of half the bits can have less than .110 (Fano)",
        # So few messages cannot bring an interval below 1/10; an estimate there is no support.
        decided=low > 0.1 or min(errors, default=0) <= 0.1,
    )
