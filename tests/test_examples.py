"""Our users' first files, examples and template: they pass check and lose what they must."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kvbarrier.compressors.plugin.contract import Compressor, Shape
from kvbarrier.compressors.plugin.template import template_text
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import BudgetTooSmall
from kvbarrier.protocols.check.ladder import check
from kvbarrier.protocols.players.channel import charged_bits

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SHAPE = Shape(tokens=128, d_k=16, d_v=16)
needs_zfpy = pytest.mark.skipif(importlib.util.find_spec("zfpy") is None, reason="pip install zfpy")
ALL = [
    "ten_line_cache.py",
    "two_functions.py",
    pytest.param("published_package.py", marks=needs_zfpy),
    "template",
]


@pytest.fixture
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param != "template":
        return EXAMPLES / request.param
    path = tmp_path / "mine.py"
    path.write_text(template_text())
    return path


@pytest.mark.parametrize("file", ALL, indirect=True)
def test_check_finds_nothing(file: Path) -> None:
    assert check(str(file)).findings == ()


def bit_errors(compressor: Compressor, twin: Compressor) -> tuple[float, int]:
    """Index by hand: sign keys, bits as values, query C k_i; bit = output over 1/2."""
    rng = np.random.default_rng(5)
    keys = ((np.arange(128)[:, None] >> np.arange(7) & 1) * 2.0 - 1) / np.sqrt(7)
    keys = np.pad(keys, ((0, 0), (0, 9))).astype(np.float32)
    bits = rng.integers(0, 2, (128, 16))
    compressor.extend(np.zeros_like(keys), keys, bits.astype(np.float32))
    message = compressor.save()
    twin.restore(message)
    zero = np.zeros_like(keys)
    outputs = np.asarray(twin.next_outputs(30 * keys, zero, zero))
    return float(((outputs > 0.5) != bits).mean()), charged_bits(len(message), None)


@pytest.mark.parametrize("file", ALL, indirect=True)
@pytest.mark.parametrize("share", [4, 1])
def test_they_live_in_their_budget_and_lose_for_it(file: Path, share: int) -> None:
    target, budget = resolve(str(file)), SHAPE.cache_bits_16 // share
    error, charged = bit_errors(*(target.factory(SHAPE, budget, 1, {}) for _ in "ab"))
    assert charged <= budget
    # Half of the float32 rows fit at 1, an eighth at 1/4: the others are coins. zfp keeps all rows.
    if file.name == "published_package.py":
        assert error == (0 if share == 1 else pytest.approx(0.2, abs=0.2))
    elif file.name == "two_functions.py":
        assert 0.01 < error < 0.5
    else:
        kept = budget // (32 * 32) - 1
        assert error == pytest.approx((1 - kept / 128) / 2, abs=0.05)


@pytest.mark.parametrize("file", ALL, indirect=True)
def test_no_budget_is_no_limit_and_a_tiny_one_is_refused(file: Path) -> None:
    target = resolve(str(file))
    assert bit_errors(*(target.factory(SHAPE, None, 1, {}) for _ in "ab"))[0] == 0
    with pytest.raises(BudgetTooSmall):
        bit_errors(*(target.factory(SHAPE, 300, 1, {}) for _ in "ab"))


def test_the_ten_lines_are_ten() -> None:
    text = (EXAMPLES / "ten_line_cache.py").read_text()
    lines = [line for line in text.partition("class ")[2].splitlines() if line.strip()]
    assert len(lines) <= 10
    assert (
        text.partition("from collections")[2]
        in (ROOT / "docs" / "writing-a-compressor.md").read_text()
    )


def test_the_published_package_names_what_to_install() -> None:
    head = (EXAMPLES / "published_package.py").read_text().splitlines()[0]
    assert re.search(r"pip install zfpy", head)


def test_template_is_clean() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "-"],
        input=template_text(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "No module named ruff" in done.stderr:
        pytest.skip("pip install ruff")
    assert done.returncode == 0, done.stdout
