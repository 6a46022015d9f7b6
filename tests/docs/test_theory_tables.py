"""The numbers of the theory's tables, from their equations and nothing of the program."""

from __future__ import annotations

import math
import re
from pathlib import Path

import mpmath
import pytest

THEORY = (Path(__file__).parents[2] / "docs" / "theory.md").read_text()


def kerdock(C: mpmath.mpf, d: int) -> mpmath.mpf:
    """S'(C) of all d^2 keys, d/2 blocks: equation (5)."""
    root = mpmath.sqrt(d)
    others = mpmath.exp(-C * (1 - 1 / root)) + mpmath.exp(-C * (1 + 1 / root))
    return mpmath.exp(-2 * C) + (2 * d - 2) * mpmath.exp(-C) + (d // 2 - 1) * d * others


@pytest.mark.parametrize("d", [16, 64, 256])
def test_kerdock_scales(d: int) -> None:
    line = re.search(rf"kerdock  d = {d} +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)", THEORY)
    assert line is not None
    assert int(line[1]) == d * d
    for eta, said in zip((0, 0.5, 0.9), line.groups()[1:4], strict=True):
        rho = mpmath.mpf(1 + eta) / (1 - eta)
        C = mpmath.findroot(lambda C, rho=rho: mpmath.log(rho * kerdock(C, d)), float(said))
        assert f"{float(C):.3f}" == said
    # ln(rho (n - 1)) / (1 - 1/sqrt d), rho = 3
    assert f"{math.log(3 * (d * d - 1)) / (1 - 1 / math.sqrt(d)):.3f}" == line[5]


@pytest.mark.parametrize("d_a", [8, 10])
def test_hypercube_scales(d_a: int) -> None:
    line = re.search(rf"hypercube d_a = {d_a} +(\d+) +([\d.]+) +([\d.]+) +([\d.]+)", THEORY)
    assert line is not None
    for rho, said in zip((1, 3, 19), line.groups()[1:], strict=True):
        assert f"{-d_a / 2 * math.log((1 + 1 / rho) ** (1 / d_a) - 1):.3f}" == said


def test_every_statement_of_the_paper_is_in_the_index() -> None:
    """Statements 1 to 27, each once or more."""
    index = THEORY[THEORY.index("## Where each statement") : THEORY.index("## 1. Model")]
    listed = {int(number) for line in index.splitlines() if line.startswith("| ")
              for number in re.findall(r"\b(\d+)\b", line.split("|")[1])}  # fmt: skip
    assert set(range(1, 28)) <= listed
