"""The test helper and the pytest plug-in, in the tests of somebody else's project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.testing import BitsLost, BrokenContract, BytesOverDeclared, assert_cache

CACHE = '''
import numpy as np


class Mine:
    """All tokens in float32; ``fault`` names what is wrong with it."""

    def __init__(self, shape, fault="none"):
        self.fault, self.K, self.V = fault, [], []

    def append(self, q, k, v):
        self.K.append(k.copy())
        self.V.append(v.copy())

    def attend(self, q):
        if self.fault == "raises" and len(self.V) == 5:
            raise RuntimeError("five")
        K, V = np.array(self.K), np.array(self.V)
        if self.fault == "edge" and len(V) % 8 == 3:
            V[-3:] = 0
        w = np.exp(K @ q - (K @ q).max())
        return w @ V / w.sum()
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CACHE)
    return path


def test_a_healthy_cache_passes_and_gives_its_report(file: Path) -> None:
    assert assert_cache(file, expect=["keeps=all"]).errors == ()


def test_each_cause_has_an_exception_of_its_own_and_a_line_that_repeats_it(file: Path) -> None:
    with pytest.raises(BitsLost) as lost:
        assert_cache(file, params={"fault": "edge"})
    assert f"kvbarrier check {file} --param fault=edge" in str(lost.value)
    assert lost.value.findings[0].code == "comes-back"
    with pytest.raises(BytesOverDeclared, match="3 are declared"):
        assert_cache(file, expect=["keeps=all", "bits=3"])
    with pytest.raises(BrokenContract, match="five"):
        assert_cache(file, params={"fault": "raises"})
    assert issubclass(BitsLost, AssertionError)


def test_what_cannot_be_meant_is_bad_input(file: Path) -> None:
    with pytest.raises(BadInput):
        assert_cache(file, expect=["keeps=some"])
    with pytest.raises(BadInput):
        assert_cache(file.with_name("other.py"))


PROJECT = """
import pytest
from mine import Mine


@pytest.mark.kvbarrier(expect=["keeps=all"])
def test_healthy(assert_cache):
    assert_cache(Mine)


def test_faulty(assert_cache):
    assert_cache(Mine, params={"fault": "edge"})
"""


def test_the_plug_in_in_a_project_of_its_own(file: Path) -> None:
    (file.parent / "test_mine.py").write_text(PROJECT)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider"],
        cwd=file.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "kvbarrier.testing.BitsLost" in done.stdout
    assert "Repeat it: kvbarrier check" in done.stdout


def test_loading_the_plug_in_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, kvbarrier.pytest_plugin; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "False"
