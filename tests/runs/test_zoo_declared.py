"""Every entry of the catalog declares what it holds, where it promises anything, and holds it."""

from fractions import Fraction

import pytest
from kvbarrier.compressors.catalog import CATALOG, declaration
from kvbarrier.errors import BudgetTooSmall
from kvbarrier.protocols.game.instances import Index, SlidingWindow, instance_of
from kvbarrier.runs.attack import attack

N, D = 64, 64
BUDGETS = (Fraction(1, 4), Fraction(1), None)
NOTHING = {
    # What they hold follows the data, a budget or chance, and no token is promised anything.
    "subgen", "balance-kv", "fastgen", "razor-attention", "skvq", "leankv", "cachegen", "kvtc",
    "low-rank",
    "scatterbrain", "performer", "linear-attention", "linformer",
    # Controls of the game.
    "zero", "time-sharing", "covering-code", "trellis-code",
}  # fmt: skip
#: they hold the whole cache and choose by chance what they read of it, or are sketches of it
MEMORY_ALONE = {"qjl", "hyper-attention", "reformer", "knn-attention", "algorithm-2"}


def instance(attention):
    if attention == "unmasked-window":
        return SlidingWindow(n=N, d=D, window=33)
    if attention == "tensor":
        return instance_of({"reduction": "tensor", "n": 16, "d": D, "eta": 0.5})
    return Index(n=N, d=D)


@pytest.mark.parametrize("name", CATALOG)
def test_an_entry_is_as_declared(name):
    one = CATALOG[name]
    report = attack(
        name, instance=instance(one.attention), messages=2, budgets=BUDGETS, isolation="inline"
    )
    assert report.points
    for point, declared in zip(report.points, report.declared, strict=True):
        if declared is not None:
            verdict = "undecided" if declared.open else "as-declared"
            assert declared.verdict == verdict, (point["budget"], declared.sentence)
            # In the game of softmax, at 2 bits and more, nothing is left open.
            assert one.attention != "softmax" or not declared.open, declared.sentence


def test_who_declares_nothing_is_listed_and_all_others_promise_tokens():
    said = {name: declaration(CATALOG[name]) for name in CATALOG}
    assert {name for name, words in said.items() if words is None} == NOTHING
    without = {name for name, words in said.items() if words and "keeps=" not in words}
    assert without == MEMORY_ALONE


@pytest.mark.parametrize("basis", ["literal", "rotated"])
@pytest.mark.parametrize(
    "name",
    ["quantized", "kivi", "skvq", "turboquant", "polarquant", "absmax", "block-fp4",
     "hadamard-int", "eden", "rabitq"],
)  # fmt: skip
def test_no_quantiser_is_convicted_for_rounding(name, basis):
    # In the turned basis they lose up to .08 of the bits at 2 bits a number, and no token.
    budgets = (Fraction(1, 8), Fraction(1, 6), Fraction(1, 4), Fraction(1, 2), None)
    try:
        report = attack(
            name,
            instance=Index(n=256, d=D, basis=basis),
            messages=4,
            budgets=budgets,
            isolation="inline",
        )
    except BudgetTooSmall:
        return
    assert report.as_declared, [one.sentence for one in report.declared if one]
