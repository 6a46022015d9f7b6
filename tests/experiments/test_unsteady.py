"""Verdicts on plug-ins that averages flatter, that change, and that look at their company."""

from __future__ import annotations

from pathlib import Path

import pytest
from kvbarrier.protocols.game.instance import Instance
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs.attack import Report, attack
from kvbarrier.runs.points import guarantee_text
from kvbarrier.runs.results import Results

PLUGINS = Path(__file__).with_name("unsteady.py")


def played(name: str, instance: Instance, **options: object) -> Report:
    return attack(f"{PLUGINS}:{name}", instance=instance, budgets=[None], **options)


def test_a_cache_that_forgets_every_eighth_token_is_broken() -> None:
    # Tokens 0, 8, 16, ... are coins for ever: 1/16 in every age bucket, which is fine on average.
    store = Results()
    report = played("ForgetsEveryEighth", Index(n=128, d=64, keys="kerdock"), store=store)
    [point] = report.points
    assert point["bit_error"]["estimate"] == pytest.approx(1 / 16, abs=0.003)
    guarantee = point["guarantee"]
    assert guarantee["verdict"] == "broken"
    # (16/128) .5 5^t / 2 >= 20 from t = 5 on (97), not at 4 (19.5, give or take the coins).
    assert guarantee["messages"] in (4, 5)
    assert guarantee["worst_row"] % 8 == 0
    assert guarantee["worst_bucket"] is None
    assert guarantee_text(point) == f"broken (row {guarantee['worst_row']})"
    assert report.changed is False


@pytest.mark.parametrize("isolation", ["process"])
def test_company_of_rows_makes_no_difference_where_rows_are_sampled(isolation: str) -> None:
    # Its answers to a row asked alone are right; asked with others it says 0, so errs on half.
    instance = Index(n=32, d=16, keys="hypercube")
    [together] = played("AnswersByCompany", instance, messages=2, isolation=isolation).points
    assert together["bit_error"]["estimate"] == pytest.approx(0.5, abs=0.1)
    assert together["ledger"]["rows"] == "all"
    sampled = Index(n=32, d=16, keys="hypercube", rows=16)
    [apart] = played("AnswersByCompany", sampled, messages=2, isolation=isolation).points
    assert apart["wrong_bits"] == 0
    assert apart["ledger"]["rows"] == "apart"
