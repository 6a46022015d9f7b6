"""The yardstick: its table is what the command counts, and it is used in its own game alone."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from kvbarrier.protocols.game.instances import Index
from kvbarrier.runs.attack import attack
from kvbarrier.runs.yardstick import MEASURED, MESSAGES, TARGET, yardstick

QUICK = [name for name in MEASURED if name[0] * name[1] <= 512 * 64]


@pytest.mark.parametrize("name", QUICK)
def test_the_table_is_what_the_command_counts(name: tuple[int, int, str]) -> None:
    n, d, basis = name
    report = attack(
        TARGET, instance=Index(n=n, d=d, basis=basis), budgets=[None], messages=MESSAGES
    )
    (point,) = report.points
    said = MEASURED[name]
    assert point["asked_bits"] == said.asked
    assert Fraction(1 / point["compression_ratio"]) == said.share
    # Another BLAS may turn a rotated bit or two.
    assert point["wrong_bits"] == pytest.approx(said.wrong, rel=1e-3)


def broken(error: float, share: float) -> dict:
    return {
        "guarantee": {"verdict": "broken"},
        "bit_error": {"estimate": error},
        "compression_ratio": 1 / share,
    }


@pytest.mark.parametrize(
    ("instance", "point", "found"),
    [
        (Index(n=512, d=64), broken(0.25, 1.0), True),
        (Index(n=512, d=64), broken(0.45, 1 / 8), False),  # less memory than the quantiser's
        (Index(n=512, d=64, basis="rotated"), broken(0.08, 0.5), False),  # fewer errors
        (Index(n=512, d=64, basis="rotated"), broken(0.12, 0.5), True),
        (Index(n=512, d=64, keys="kerdock"), broken(0.25, 1.0), False),
        (Index(n=512, d=64, queries="decoy"), broken(0.25, 1.0), False),
        (Index(n=500, d=64), broken(0.25, 1.0), False),
    ],
)
def test_it_is_held_against_what_is_worse_in_its_own_game(instance, point, found) -> None:
    assert (yardstick([(instance, point)]) is not None) is found
    kept = point | {"guarantee": {"verdict": "undecided"}}
    assert yardstick([(replace(instance), kept)]) is None


def test_the_sentence_ends_an_attack(capsys: pytest.CaptureFixture[str]) -> None:
    from kvbarrier.cli.attack_notes import print_summary

    instance = Index(n=256, d=64)
    print_summary(attack("sliding-window", instance=instance, budgets=[Fraction(1, 2)]))
    assert capsys.readouterr().out.splitlines()[1] == (
        "A 2-bit quantiser of the catalog (quantized?bits=2) loses none of the bits at 5/32 of the "
        "cache."
    )
