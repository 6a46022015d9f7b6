"""Generated files and words: a sentence and a documented exit code, whatever they say.

Longer runs of the same found all that :data:`FOUND` has: give HYPOTHESIS_MAX_EXAMPLES.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kvbarrier.protocols.check.findings import CheckReport
from kvbarrier.protocols.game.cell import Cell
from kvbarrier.protocols.game.instances import Index

SMALL = ("--n", "16", "--d", "8", "--keys", "hypercube", "-m", "1", "-b", "1")
some = settings(
    max_examples=int(os.environ.get("HYPOTHESIS_MAX_EXAMPLES", "20")),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([2**63, -1, 0, 10**20, "exact", "index", "keeps=all", "1e999999999"]),
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=6), part, max_size=3)
    ),
    max_leaves=6,
)
GAME: dict[str, Any] = {
    "kvbarrier_case": 1,
    "kind": "game",
    "target": "zero",
    "play": {
        "cell": Cell(Index(n=16, d=8, keys="hypercube"), "zero").spec(),
        "key": "00" * 32,
        "message": 0,
    },
    "declares": ["keeps=all"],
    "question": None,
    "expected": 0,
    "read": 1,
    "answered": None,
    "found": "token 0.",
    "versions": {},
}
LAW = GAME | {"kind": "check", "play": {"law": "held", "code": "hole", "steps": [], "params": {}}}


def changed(case: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    found = copy.deepcopy(case)
    *front, last = path.split(".")
    part = found
    for name in front:
        part = part[name]
    part[last] = value
    return found


def paths(case: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, value in case.items():
        yield before + name
        if isinstance(value, dict):
            yield from paths(value, f"{before}{name}.")


def ends_well(said: Any) -> None:
    assert said.code in (0, 1, 2, 3), said.err
    assert "Traceback" not in said.out + said.err
    assert "bug in kvbarrier" not in said.err


FOUND = [
    changed(GAME, "play.cell.instance.keys", {}),
    changed(GAME, "play.cell.budget", "1e999999999"),
    changed(GAME, "play.cell.instance.n", 10**12),
    changed(GAME, "declares", [None]),
    changed(GAME, "declares", {"keeps": 1}),
    changed(LAW, "play.law", []),
    changed(LAW, "play.law", {}),
]


def played(kvbarrier: Any, case: dict[str, Any]) -> None:
    with suppress(ValueError):  # of a text that is no UTF-8
        Path("case.json").write_text(json.dumps(case))
        ends_well(kvbarrier("check", "--case", "case.json", "--timeout", "2"))


@pytest.mark.parametrize("case", FOUND)
def test_cases_that_were_no_sentence(kvbarrier, case) -> None:
    played(kvbarrier, case)


@some
@given(
    st.sampled_from([GAME, LAW]).flatmap(
        lambda case: st.builds(changed, st.just(case), st.sampled_from(list(paths(case))), plain)
    )
)
def test_cases(kvbarrier, monkeypatch, case) -> None:
    report = CheckReport("zero", (), (), None, ("all",))
    monkeypatch.setattr("kvbarrier.protocols.check.ladder.check", lambda *_, **__: report)
    played(kvbarrier, case)


operations = st.lists(
    st.sampled_from(
        [["append", 5], ["extend", 20], ["crop", 3], ["drop", 1, 3], ["reset"], ["save"], ["ask"],
         ["select", 0], ["fork"], ["shift", 3], ["append", 10**7], ["append", True], [], "x"]
    )
    | st.lists(plain, max_size=3),
    max_size=6,
)  # fmt: skip


@some
@given(
    st.fixed_dictionaries(
        {
            "schema": st.sampled_from([1, 1, 1, 2, "1", True]),
            "sequences": st.sampled_from([None, None, 1, 2, 0, 10**9, "2", True]),
            "operations": operations | plain,
        }
    )
    | plain
)
def test_schedules(kvbarrier, said) -> None:
    with suppress(ValueError):
        Path("s.json").write_text(json.dumps(said))
        ends_well(kvbarrier("attack", "zero", "--schedule", "s.json", *SMALL))


@some
@given(
    st.lists(
        st.text(max_size=12)
        | st.sampled_from(
            ["keeps=all", "keeps=last:0", "keeps=last:99999999999999999999", "keeps=share:nan",
             "keeps=share:1/3", "bits=0", "bits=nan", "bits=1e999", "bits=1/0", "bits=", "=",
             "exact=false", "exact", "bytes=1e-320", "bytes=1e308"]
        ),
        max_size=3,
    )
)  # fmt: skip
def test_declarations(kvbarrier, words) -> None:
    given_words = [part for word in words for part in ("--expect", word)]
    ends_well(kvbarrier("attack", "exact", *SMALL, *given_words))


values = (
    st.integers(-5, 5).map(str)
    | st.booleans().map(lambda one: str(one).lower())
    | st.text(max_size=6).map(json.dumps)
    | st.floats().map(repr)
    | st.sampled_from(["[1, 'a']", "{a = 1}", "1979-05-27", '"a\\u0000b"', "[[1]]"])
)
options = st.sampled_from(
    ["n", "d", "messages", "budget", "keys", "expect", "out", "junit", "map", "workers", "timeout",
     "memory", "gate", "param", "sweep", "eta", "isolation", "quiet", "json", "schedule", "norm",
     "resume", "certificate", "save-case", "baseline", "alphabet", "rows", "none"]
)  # fmt: skip


@some
@given(
    st.dictionaries(options, values, max_size=3),
    st.sampled_from(["", "[attack]\n", "[[attack]]\n", "[tool.kvbarrier]\n"]),
)
@example({"junit": '"a\\u0000b"'}, "[attack]\n")
@example({"out": "1979-05-27"}, "[attack]\n")
@example({"gate": "0.5"}, "[attack]\n")
def test_project_files(kvbarrier, monkeypatch, said, head) -> None:
    def never(*_args: Any, **_options: Any) -> None:
        raise SystemExit(0)

    monkeypatch.setattr("kvbarrier.runs.several.play_several", never)
    lines = "".join(f"{name} = {value}\n" for name, value in said.items())
    Path("kvbarrier.toml").write_bytes((head + lines).encode("utf-8", "replace"))
    ends_well(kvbarrier("attack", "exact", "--n", "16"))


names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20
).map(lambda name: name.replace("/", "")) | st.sampled_from(
    ["/", "", ".", " ", "..", "a/b", "x" * 300, "x" * 5000, "/dev/null", "/proc/self/x",
     ".svg", "a.svg", "a.json", "\udcff.svg", "a\nb.svg"]
)  # fmt: skip


@some
@given(st.sampled_from(["--junit", "--badge", "--save-case"]), names)
def test_places(kvbarrier, monkeypatch, option, name) -> None:
    report = CheckReport("exact", ())
    monkeypatch.setattr("kvbarrier.protocols.check.ladder.check", lambda *_, **__: report)
    ends_well(kvbarrier("check", "exact", option, name))
