"""How many processes an attack starts: what a user waits for."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kvbarrier.compressors.plugin.template import template_text
from kvbarrier.protocols.players import isolation

RUN = (
    "from fractions import Fraction\n"
    "from kvbarrier.protocols.game.instances import Index\n"
    "from kvbarrier.runs.attack import attack\n"
    "budgets = [Fraction(1, 4), Fraction(1, 2), Fraction(1)]\n"
    "attack('my_cache.py', instance=Index(64, 64), budgets=budgets, messages=1,\n"
    "       isolation='{isolation}', workers=1)\n"
)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace counts them")
@pytest.mark.parametrize(
    ("kind", "others"),
    [
        # The template; a keeper and a host for each of three lives; one child for all rehearsals.
        ("process", 8),
        pytest.param(
            "namespaces",
            8,
            marks=pytest.mark.skipif(not isolation.namespaces_available(), reason="none here"),
        ),
    ],
)
def test_three_budgets_of_one_message(kind: str, others: int, tmp_path: Path) -> None:
    (tmp_path / "my_cache.py").write_text(template_text())
    log = tmp_path / "calls"
    trace = ["strace", "-f", "-e", "trace=process", "-o", str(log)]
    code = RUN.format(isolation=kind)
    done = subprocess.run(
        [*trace, sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    if "ptrace" in done.stderr:
        pytest.skip("nobody may be traced here")
    assert done.returncode == 0, done.stderr
    calls = re.findall(r"\b(?:v?fork|clone3?)\((?!.*CLONE_THREAD)", log.read_text())
    # Alice's first half, her second, and Bob, for each of three messages.
    assert len(calls) == others + 9


COST = (
    "import sys\n"
    "import kvbarrier\n"
    "report = kvbarrier.attack('my_cache.py', n=32, d=16, budget='1', messages=4)\n"
    "print(sorted({name.partition('.')[0] for name in sys.modules} & set(sys.argv[1:])))\n"
)


def test_an_attack_on_a_plug_in_imports_nothing_slow(tmp_path: Path) -> None:
    """What takes longer to import than an attack on ten lines takes to judge."""
    (tmp_path / "my_cache.py").write_text(template_text())
    for code, found in ((COST, "[]"), ("import scipy.special\n" + COST, "['scipy']")):
        done = subprocess.run(
            [sys.executable, "-c", code, "scipy", "numba", "pandas", "matplotlib"],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == found
