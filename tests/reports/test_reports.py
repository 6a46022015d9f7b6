"""Ten public reports of faults, planted: check passes the healthy and names the faulty.

The places are those of the reports, computed without kvbarrier (own keys, own scale, own decoding).
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kvbarrier.errors import BadInput
from kvbarrier.protocols.check.case import Case
from kvbarrier.protocols.check.cases import read_case, replay_case
from kvbarrier.protocols.check.check_cases import first_case
from kvbarrier.protocols.check.findings import Finding
from kvbarrier.protocols.check.ladder import check

HERE = Path(__file__).parent
HEADS = "13_head_index.py"


def named(name: str, **params: Any) -> dict[str, Finding]:
    """The errors by code."""
    report = check(str(HERE / name), params)
    return {one.code: one for one in report.errors}


FILES = sorted(path.name for path in HERE.glob("[0-9]*.py"))


@pytest.mark.parametrize("name", FILES)
def test_the_healthy_one_passes(name: str) -> None:
    report = check(str(HERE / name), {"drafts": 3} if name.startswith("06") else {})
    assert [(one.code, one.detail) for one in report.findings if one.severity != "note"] == []
    assert len(report.tried) >= 10
    assert report.holds


def test_there_are_ten() -> None:
    assert len(FILES) == 10


def test_01_names_the_tokens_of_the_last_block_and_the_lengths() -> None:
    one = named("01_block_residue.py", fault=True)["comes-back"]
    # While the last block holds 1 .. 8 tokens, those read 0: n mod 16 in 1 .. 8 (without Bob's).
    assert "n mod 16 in {1-8}" in one.detail
    n = int(one.operation.split()[1])
    assert one.tokens == tuple(range(n - n % 16, n))
    assert one.channels is None


def test_03_names_extend_and_the_newest_tokens() -> None:
    one = named("03_prefill_residual.py", fault=True)["extend-differs"]
    # By append the newest 32 .. 63 are exact: of 97 those from 64 on; by extend all are rounded.
    assert one.tokens == tuple(range(64, 97))
    assert "extend by 97" in one.operation
    assert "97 of 97 answers differ" in one.detail


def test_04_names_the_rows_after_the_first() -> None:
    one = named("04_batch_rows.py", fault=True)["batch-differs"]
    assert one.tokens == tuple(range(1, 48))
    assert one.operation == "next_outputs"
    assert "rows 1-47" in one.detail
    assert "row 0 is right" in one.detail


def test_05_names_the_memory_and_the_tokens() -> None:
    one = named("05_composed_ratio.py", fault=True)["budget-unused"]
    kept = 255 / 512
    assert len(one.tokens) == pytest.approx(512 * (1 - (1 - (1 - kept) ** 0.5) ** 2), abs=2)
    assert one.tokens[0] == 0
    assert one.tokens == tuple(range(len(one.tokens)))
    assert "43 are held, and 255 would fit" in one.detail
    assert "5.38 a secret bit" in one.detail


def test_06_names_the_oldest_of_the_window_and_the_foreign_rows() -> None:
    one = named("06_trim_after_wrap.py", fault=True, drafts=3)["foreign-mass"]
    n = int(one.operation.split()[1])
    assert one.tokens == tuple(range(n - 257, n - 254))
    assert "of 257 rows that are attended to, 3 hold nothing that was appended" in one.detail


def test_07_names_the_kept_tokens_and_the_append_that_shifts() -> None:
    one = named("07_k_shift.py", fault=True)["key-damaged"]
    assert one.operation == "append 257"
    # 128 .. 255 are kept; a few keys are turned by nearly nothing, and answer.
    assert set(one.tokens) <= set(range(128, 256))
    assert len(one.tokens) >= 115


def test_08_names_the_tokens_around_the_cut() -> None:
    one = named("08_ring_restore.py", fault=True)["cut-differs"]
    assert one.tokens == tuple(range(388, 450))
    assert "restore at 450" in one.operation
    assert "tokens 322-383 answer" in one.detail


def test_13_names_the_heads_and_whose_values_they_read() -> None:
    one = named("13_head_index.py", fault=True)["wrong-head"]
    assert one.heads == (1, 2, 3)
    assert "heads 1-3 answer with head 0's values" in one.detail


def test_16_names_the_empty_slots() -> None:
    one = named("16_unmasked_slots.py", fault=True)["foreign-mass"]
    assert "of 2048 rows that are attended to, 2.04e+03 hold nothing" in one.detail


def test_18_names_the_blocks_and_the_transposition() -> None:
    one = named("18_scale_swizzle.py", fault=True)["wrong-scale"]
    assert "channel groups of 16" in one.detail
    assert "transposed" in one.detail
    assert "values" in one.detail


@pytest.fixture(scope="module", name="heads")
def _heads() -> Case:
    """The case of the faulty heads."""
    params = {"fault": True}
    case = first_case(check(str(HERE / HEADS), params, only=["heads"]), params)
    assert case is not None
    return case


def test_a_case_is_saved_and_plays_again(heads: Case, tmp_path: Path) -> None:
    heads.write(tmp_path / "case.json")
    assert "/" not in heads.target
    again = replay_case(read_case(tmp_path / "case.json"), str(HERE / HEADS))
    assert again.fails
    assert "heads 1-3 answer with head 0's values" in again.sentence
    mended = replace(heads, play={**heads.play, "params": {}})
    assert replay_case(mended, str(HERE / HEADS)).fails is False


@pytest.mark.parametrize("law", ["nonsense", None, 3])
def test_a_case_of_no_law_is_refused(heads: Case, law: object) -> None:
    with pytest.raises(BadInput, match="no law"):
        replay_case(replace(heads, play={**heads.play, "law": law}), str(HERE / HEADS))


def test_the_command_line_says_it_at_80_columns_and_in_json(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "kvbarrier", "check", str(HERE / HEADS),
            "--param", "fault=true"]  # fmt: skip
    shown = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert shown.returncode == 3
    lines = (shown.stdout + shown.stderr).splitlines()
    assert [line for line in lines if len(line) > 80 and str(HERE) not in line] == []
    assert "each head against its own truth" in shown.stdout + shown.stderr
    told = subprocess.run(
        [*argv, "--json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    (one,) = (f for f in json.loads(told.stdout)["findings"] if f["severity"] == "error")
    assert (told.returncode, one["code"], one["heads"]) == (3, "wrong-head", [1, 2, 3])
    assert {"tokens", "channels", "layers", "operation", "reproduction"} <= set(one)
