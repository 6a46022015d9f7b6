"""The program from Python: classes of files, scripts and prompts, reports, results."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import kvbarrier
import numpy as np
import pytest
from kvbarrier.api import COLUMNS
from kvbarrier.compressors.plugin.by_value import target_of

CACHE = """
import numpy as np


class Mine:
    def __init__(self, shape):
        self.K, self.V = [], []

    def append(self, q, k, v):
        self.K.append(k)
        self.V.append(v)

    def attend(self, q):
        K, V = np.array(self.K), np.array(self.V)
        w = np.exp(K @ q - (K @ q).max())
        return w @ V / w.sum()
"""

PLAY = (
    CACHE
    + """
import kvbarrier

print("this script runs", __name__)
report = kvbarrier.attack(Mine, n=24, d=16, keys="hypercube", budget="free", messages=2)
print(report.points[0]["wrong_bits"], report.points[0]["isolation"])
"""
)


def played(*arguments: str, stdin: str | None = None) -> list[str]:
    done = subprocess.run(
        [sys.executable, *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_class_of_the_running_script_is_attacked_without_running_it_again(tmp_path: Path) -> None:
    script = tmp_path / "my script.py"
    script.write_text(PLAY)
    first, second = played(str(script))
    assert first == "this script runs __main__"
    assert second.split()[0] == "0"
    # Bob and Alice are others: the class reached them.
    assert second.split()[1] in {"namespaces", "process"}


def test_a_class_of_a_prompt_has_no_file_and_is_attacked_all_the_same() -> None:
    assert played("-", stdin=PLAY)[1].split()[0] == "0"


def test_a_class_of_a_module_leads_to_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some_caches.py").write_text(CACHE)
    monkeypatch.syspath_prepend(tmp_path)
    import some_caches  # type: ignore[import-not-found]

    assert target_of(some_caches.Mine) == f"{tmp_path / 'some_caches.py'}:Mine"


def test_a_local_class_travels_by_value_with_what_it_refers_to() -> None:
    step = 3

    class Local:
        streaming = False

        def __init__(self, shape: kvbarrier.Shape) -> None:
            self.total = 0.0

        def append(self, q, k, v) -> None:
            self.total += step

        def attend(self, q):
            import numpy as np

            return np.full(16, self.total)

    report = kvbarrier.attack(Local, n=16, d=16, keys="hypercube", budget="free", messages=1)
    assert report.points[0]["failed"] == 0


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (3, "type int is not a target"),
        (lambda: 0, "<lambda>"),
        (None, "type NoneType is not a target"),
    ],
)
def test_what_is_no_target_is_refused(bad: object, says: str) -> None:
    with pytest.raises(kvbarrier.KVBarrierError, match=says):
        kvbarrier.attack(bad, n=16, d=8)


def test_words_are_those_of_the_command_line() -> None:
    with pytest.raises(kvbarrier.BadInput, match=r"no argument 'key'\. Did you mean 'keys'"):
        kvbarrier.attack("zero", key="jl")
    with pytest.raises(kvbarrier.BadInput, match=r"in \(0, 2\]"):
        kvbarrier.attack("zero", budget=3)


def test_a_report_is_tidy_and_comes_back_from_its_results(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    words = {"n": 32, "d": 16, "keys": "hypercube", "budget": ["1/4", 1], "messages": 4}
    report = kvbarrier.attack("sliding-window", resume=file, **words)
    frame = report.to_frame()
    assert list(frame.columns) == list(COLUMNS)
    assert frame["budget"].tolist() == [0.25, 1.0]
    # A quarter of the cache is kept: a quarter of its bits, as a share of it.
    assert 0.2 < frame["share_of_cache"][0] <= 0.25
    assert kvbarrier.load(file).to_frame().equals(frame)
    assert "sliding-window" in report._repr_html_()
    assert report.plot(tmp_path / "p.png").png == (tmp_path / "p.png").read_bytes()


def test_a_declaration_is_a_word_too(tmp_path: Path) -> None:
    words = {"n": 32, "d": 16, "keys": "hypercube", "budget": "1/2", "messages": 2}
    own = kvbarrier.attack("sliding-window", **words)
    assert own.to_frame()["declared"].tolist() == ["as-declared"]
    file = tmp_path / "results.csv"
    more = kvbarrier.attack("sliding-window", expect={"keeps": "last:17"}, resume=file, **words)
    assert more.to_frame()["declared"].tolist() == ["not-as-declared"]
    assert more.document["counterexample"]["question"]["token"] == 16
    assert kvbarrier.load(file).to_frame()["declared"].tolist() == ["not-as-declared"]
    assert kvbarrier.attack("zero", **words).to_frame()["declared"].tolist() == [None]
    with pytest.raises(kvbarrier.BadInput, match="exact and bits=2 contradict"):
        kvbarrier.attack("zero", expect=["exact", "bits=2"], **words)


def test_no_results_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(kvbarrier.BadInput, match="no complete batch"):
        kvbarrier.load()


def test_dir_lists_the_public_names() -> None:
    assert {"attack", "load", "Shape"} <= set(dir(kvbarrier))
    assert all(hasattr(kvbarrier, name) for name in dir(kvbarrier))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"keys": 3}, "keys must be text, not 3"),
        ({"n": "x"}, "n must be a whole number, not 'x'"),
        ({"n": True}, "n must be a whole number, not True"),
        ({"d": 16.5}, "d must be a whole number, not 16.5"),
        ({"eta": "small"}, "eta must be a number, not 'small'"),
        ({"messages": "x"}, "messages must be a whole number, not 'x'"),
        ({"workers": 1.5}, "workers must be a whole number, not 1.5"),
        ({"budget": []}, "budget names nothing"),
        ({"params": 3}, "params must be a mapping of names, not 3"),
        ({"budgett": 1}, "no argument 'budgett'. Did you mean 'budget'?"),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_sentence(words: dict, says: str) -> None:
    """A fraction of a token is not cut off, and no exception of Python's own comes out."""
    given = {"n": 16, "d": 16, "keys": "hypercube", "budget": "free", "messages": 1} | words
    with pytest.raises(kvbarrier.BadInput, match=re.escape(says)):
        kvbarrier.attack("zero", **given)


def test_numbers_of_numpy_and_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    keys = tmp_path / "k.npy"
    np.save(keys, np.eye(16, dtype=np.float32) * 4)
    whole = kvbarrier.attack(
        "zero", n=np.int64(16), keys=keys, norm="4", budget=np.float64(0.5), messages=np.int32(1)
    )
    assert (whole.points[0]["n"], whole.points[0]["d"]) == (16, 16)


def test_a_check_report_prints_as_the_command_does() -> None:
    report = kvbarrier.check("zero")
    assert str(report) == report.text()
    assert repr(report).startswith("<check of zero: ")
    assert report.ok == (not report.errors) == report.as_dict()["ok"]


@pytest.mark.parametrize("expect", ["keeps=all", ["keeps=all"], {"keeps": "all"}])
def test_an_expectation_has_the_same_forms_everywhere(expect: object) -> None:
    """One word alone is not a row of letters."""
    from kvbarrier.testing import BitsLost, assert_cache

    game = {"n": 32, "d": 16, "keys": "hypercube", "budget": "1/2", "messages": 2}
    (point,) = kvbarrier.attack("zero", expect=expect, **game).points
    assert point["declared"]["words"] == ["keeps=all"]
    # A check through assert_cache, whose command repeats the words.
    with pytest.raises(BitsLost, match="check zero --expect keeps=all"):
        assert_cache("zero", expect=expect)
