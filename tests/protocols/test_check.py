"""check finds each way of being wrong, says nothing about what is right, and survives both."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from kvbarrier.compressors import catalog
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import BadInput, PluginFailure
from kvbarrier.protocols.check import probes as check_probes
from kvbarrier.protocols.check.examination import climb
from kvbarrier.protocols.check.findings import KINDS, table
from kvbarrier.protocols.check.ladder import check
from kvbarrier.protocols.check.subject import Subject

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs" / "check.md"
BAD = f"{HERE / 'bad_plugins.py'}"


def found_inline(target: str) -> dict[str, str]:
    """All probes in this process: code -> detail."""
    subject = Subject(resolve(target))
    for probe in check_probes.GATES:
        if found := dict(probe(subject)):
            return found
    return {code: detail for probe in check_probes.REST for code, detail in probe(subject)}


# What else must follow: answers that build on each other are not the loop's either.
ALSO = {"AskingChangesIt": {"batch-differs"}}
# Good keeps a 16-bit cache, whatever the budget.
ALWAYS = {"ignores-budget"}


CODES = {
    "WrongOutputType": "wrong-output",
    "ReturnsNone": "wrong-output",
    "ExtendForgets": "extend-differs",
    "ExtendIsScaled": "extend-differs",
    "PublicBehindSlots": "sends-public",
}


@pytest.mark.parametrize("name", ["Good", "GoodSubclass", "AppendOfTwo"])
def test_nothing_is_said_about_what_is_right(name: str) -> None:
    assert set(found_inline(f"{BAD}:{name}")) == ALWAYS


@pytest.mark.parametrize("name", ["Buffered", "BufferedOnes", "BufferedRecords"])
def test_empty_slots_are_not_public(name: str) -> None:
    assert set(found_inline(f"{BAD}:{name}")) == ALWAYS


def test_an_ordinary_cache_passes() -> None:
    report = check(f"{BAD}:IgnoresBudget")
    assert (report.errors, {one.severity for one in report.findings}) == ((), {"note"})
    assert report.as_dict()["ok"]
    assert "plays it once, without a budget" in " ".join(report.text().split())


@pytest.mark.parametrize("name", catalog.names())
def test_nothing_is_said_about_what_ships(name: str) -> None:
    # It keeps n^2 products, so it says honestly that it needs more than the whole 16-bit cache.
    expected = {"no-budget"} if name == "two-cache" else set()
    assert set(found_inline(name)) == expected


@pytest.mark.parametrize("name", catalog.names())
def test_the_laws_find_no_fault_in_what_ships(name: str) -> None:
    subject = Subject(resolve(name))
    if subject.target.knows_keys:
        return
    said: list[dict[str, Any]] = []
    climb(subject, lambda **words: said.append(words), seconds=60, work_seconds=3)
    codes = {one["fault"]["code"]: one["fault"]["detail"] for one in said if "fault" in one}
    assert {c: d for c, d in codes.items() if KINDS[c].severity != "note"} == {}


def test_the_laws_ask_the_attend_that_is_there() -> None:
    said: list[dict[str, Any]] = []
    subject = Subject(resolve(f"{BAD}:ForgetsWhereAsked"))
    climb(subject, lambda **words: said.append(words), seconds=60, work_seconds=3)
    assert "channel-lost" in {one["fault"]["code"] for one in said if "fault" in one}


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("WrongOutput", r"WrongOutput.attend returned float32\[1\]: it must be float32\[16\]"),
        ("WrongOutputType", r"attend returned .* numbers: .* \(bad_plugins.py, line \d+\)"),
        ("ReturnsNone", r"ReturnsNone.attend returned None: it must be float32\[16\]"),
        ("NotFinite", "scores of some hundreds"),
        ("NotDeterministic", "saved other messages"),
        ("ExtendDiffers", r"differ by up to"),
        ("BatchDiffers", "next_outputs differs from the loop"),
        ("AskingChangesIt", "the second time"),
        ("RestoreDiffers", "the answers differ"),
        ("StateElsewhere", "another stream, the first one's answer changed"),
        ("CutDiffers", "cut after 1 tokens"),
        ("ExtendForgets", r"differ by up to"),
        ("ExtendIsScaled", r"differ by up to"),
        ("IgnoresBudget", "at 1/64 of the 16-bit cache, 2048 bits"),
        ("FailsAtBudget", r"2048 bits, .* raised AssertionError: too small \(bad_plugins.py"),
        ("PublicBehindSlots", r"2\d\d bytes in a row"),
        ("DeclaredLength", r"declared 100 bytes, saved \d+"),
        ("OverBudget", "at 1/64 of the 16-bit cache, 2048 bits"),
        ("ScaledScores", r"multiplied by 0\.250"),
        ("SendsPublic", r"20\d\d bytes in a row .* \(rotation\)"),
        ("OtherShapes", r"with d_k = 32, d_v = 64 it raised ValueError: .* \(bad_plugins.py"),
        ("NoBudget", "larger"),
        ("SeveralHeads", r"with 2 layers of 2 heads SeveralHeads.attend returned"),
        ("BadMessage", r"BadMessage.save returned a ndarray \(bad_plugins.py, line \d+\)"),
    ],
)
def test_each_fault_is_found(name: str, detail: str) -> None:
    found = found_inline(f"{BAD}:{name}")
    code = CODES.get(name) or re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()
    assert re.search(detail, found[code])
    assert set(found) - ALWAYS - ALSO.get(name, set()) == {code} - ALWAYS


@pytest.mark.parametrize(("name", "says"), [("Raises", "thirty"), ("NotPlain", r"self\.rng")])
def test_what_is_raised_reaches_the_runner(name: str, says: str) -> None:
    with pytest.raises((RuntimeError, PluginFailure), match=says):
        found_inline(f"{BAD}:{name}")


@pytest.mark.parametrize(
    ("name", "code", "detail"),
    [
        ("Raises", "raises", r"RuntimeError: thirty is enough \(bad_plugins.py, line \d+\)"),
        ("NotPlain", "not-plain", "NotPlain.coins is a numpy.Generator"),
        ("StateInProcess", "state-elsewhere", "in a fresh process it raised KeyError"),
        ("StateInFile", "state-elsewhere", "fresh process"),
        ("GlobalState", "state-elsewhere", "first streams of two fresh processes agree"),
        ("GlobalGenerator", "state-elsewhere", "first streams of two fresh processes agree"),
        ("GlobalCounter", "state-elsewhere", "first streams of two fresh processes agree"),
        ("NotDeterministic", "not-deterministic", r"saved other messages\.$"),
        ("ClockSeed", "not-deterministic", "fresh processes differ as well"),
        ("ExtendForgets", "extend-differs", "after extends by 7 each, tokens 0-90 do not answer"),
        ("ExtendDiffers", "extend-differs", "after one extend by 97, tokens 0-47"),
        ("ExtendRaises", "raises", r"one at a time, please \(bad_plugins.py, line \d+\)"),
        ("NotFinite", "not-finite", r"NotFinite.attend returned NaN"),
        ("AppendOfOne", "not-loaded", r"AppendOfOne.append is called with \(q, k, v\).*py, line"),
        ("Crashes", "crashes", r"killed by SIGABRT \(bad_plugins.py, line \d+, in attend\)"),
        ("Leaves", "crashes", "ended by itself"),
        ("EatsMemory", "raises", "MemoryError"),
    ],
)
def test_in_processes_of_its_own(name: str, code: str, detail: str) -> None:
    found = {one.code: one.detail for one in check(f"{BAD}:{name}", memory_bytes=1 << 30).findings}
    assert set(found) - ALWAYS == {code} - ALWAYS
    assert re.search(detail, found[code])
    assert "/kvbarrier/protocols" not in found[code]
    assert "check_probes.py" not in found[code]


def test_a_hang_is_told_with_its_line() -> None:
    (one,) = check(f"{BAD}:Hangs", seconds=2).findings
    assert one.code == "hangs"
    assert re.search(r"not done after 2 s \(bad_plugins.py, line \d+, in attend\)", one.detail)


def test_targets_that_are_not_there() -> None:
    with pytest.raises(BadInput, match="Did you mean 'exact'"):
        check("exat")
    with pytest.raises(BadInput, match="has no parameter 'window'"):
        check(f"{BAD}:Good", {"window": 3})


def test_code_that_does_not_import_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "torn.py").write_text("import numpy as np\nclass Mine\n    pass\n")
    (one,) = check(str(tmp_path / "torn.py")).findings
    assert one.code == "not-loaded"
    assert "SyntaxError: expected ':' (torn.py, line 2)" in one.detail
    assert "BudgetTooSmall" not in check(str(tmp_path / "torn.py")).text()


def test_who_knows_the_keys_is_spared_arbitrary_streams() -> None:
    report = check(f"{BAD}:KnowsKeys")
    budget, public, note = report.findings
    assert (budget.code, report.errors) == ("ignores-budget", ())
    assert public.code == "sends-public"  # the keys, which in the game are
    assert (note.code, note.severity) == ("knows-keys", "note")
    assert "arbitrary streams were skipped" in report.text()
    assert report.as_dict()["ok"]


def test_every_kind_can_be_raised_and_is_documented() -> None:
    room = HERE.parents[1] / "protocols" / "check"
    made = "".join(path.read_text() for path in sorted(room.rglob("*.py")))
    for code, kind in KINDS.items():
        raised = made.count(f'"{code}"') - 1  # less its definition
        assert raised >= 1, code
        assert kind.raised_if.endswith("."), code
        assert kind.why.endswith("."), code
    assert table() in DOCS.read_text()


def test_a_hidden_scale_is_found_in_a_cache_that_keeps_its_budget(tmp_path):
    from kvbarrier.compressors.plugin.template import template_text

    text = template_text()
    assert "(K @ q)" in text
    (tmp_path / "scaled.py").write_text(text.replace("(K @ q)", "(K @ q) / np.sqrt(len(q))"))
    report = check(str(tmp_path / "scaled.py"))
    assert "scaled-scores" in {one.code for one in report.findings}


def test_a_declaration_that_says_nothing_is_named_as_what_it_is(tmp_path: Path) -> None:
    """The sentence of the command line, and no line of code to mend."""
    file = tmp_path / "words.py"
    file.write_text(
        "import numpy as np\n\n\nclass Words:\n"
        '    declares = {"keeps": "all", "bit": 4}\n'
        "    def append(self, q, k, v):\n        self.v = np.array(v)\n"
        "    def attend(self, q):\n        return self.v\n"
    )
    (one,) = (one for one in check(str(file)).errors if one.code == "bad-declaration")
    assert one.detail == "a declaration has no word 'bit'. Did you mean 'bits'?"
