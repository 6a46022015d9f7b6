"""Operations of llama.cpp: those that hold, and the faults that the installed versions have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cyllama", reason="cyllama is in the llamacpp environment")
pytest.importorskip("gguf", reason="gguf is in the llamacpp environment")

from kvbarrier.compressors.engines.llamacpp.bindings import BINDINGS
from kvbarrier.compressors.targets import resolve
from kvbarrier.errors import BadInput
from kvbarrier.protocols.life.examine import hard_for
from kvbarrier.protocols.life.perform import Stage
from kvbarrier.protocols.life.schedule import Schedule

INSTALLED = [name for name, one in BINDINGS.items() if one.installed]
REPRODUCTIONS = Path(__file__).parents[3] / "docs" / "reproductions"


def shown(line, sequences=None, target="llamacpp:f16", layers=1, **params):
    found = resolve(target, {"rotary": "live", **params})
    hard = hard_for(40, 64, layers)[0]
    stage = Stage(lambda shape: found.factory(shape, None, 0, {}), hard)
    return stage.perform(Schedule.of(line, sequences))


@pytest.mark.parametrize("binding", INSTALLED)
@pytest.mark.parametrize("target", ["llamacpp:f16", "llamacpp:q8_0", "llamacpp:q4_0"])
@pytest.mark.parametrize(
    ("line", "sequences"),
    [
        ("extend 20, append 5, crop 22, append 3, save, append 1", None),
        ("extend 20, drop 3 9, append 4, drop 0 2, append 1, save", None),
        ("extend 20, shift 7, append 4, drop 2 5, append 1", None),
        ("extend 9, fork, append 2, switch 1, append 3, crop 4", None),
        ("extend-each 5, append-each 2, select 2 0 1, append-each 1, save", 3),
        ("extend-each 5, select 1, append-each 1, reset, append-each 2", 2),
    ],
)
def test_what_it_keeps(binding, target, line, sequences):
    one = shown(line, sequences, target, binding=binding)
    assert one.outcome.kind == "kept", one.sentence


@pytest.mark.parametrize("binding", INSTALLED)
def test_a_pending_shift_is_not_in_the_state(binding):
    one = shown("extend 30, drop 4 10, save", binding=binding)
    # Of 24 survivors the 20 that were moved are lost; the 4 before them stand where they stood.
    assert one.outcome.lost == tuple(range(10, 30))
    # One decode later the keys are turned, and all is well.
    assert shown("extend 30, drop 4 10, append 1, save", binding=binding).outcome.kind == "kept"


@pytest.mark.parametrize("binding", INSTALLED)
def test_a_shift_of_the_source_moves_its_copy(binding):
    one = shown("extend 30, fork, drop 4 10", binding=binding)
    assert one.outcome.kind == "lost"
    assert "of instance 1" in one.outcome.sentence
    apart = shown("extend 30, fork, drop 4 10", binding=binding, pool="split")
    assert apart.outcome.kind == "kept"


def test_a_copy_apart_is_empty_before_the_next_decode():
    line = "extend-each 4, select 0 0, save"
    assert shown(line, 2, pool="split", state="sequence").outcome.kind == "lost"
    assert shown(line, 2, pool="unified", state="sequence").outcome.kind == "kept"


def test_whole_state_of_cells_apart():
    one = shown("extend-each 9, save", 2, pool="split", binding="cyllama")
    assert one.outcome.kind == "lost"
    assert "sequence 0" in one.outcome.sentence
    assert "sequence 1" not in one.outcome.sentence


def test_layers_that_slide_refuse_to_go_back_behind_their_window():
    assert shown("extend 20, append 4", layers=2, window=16).outcome.kind == "kept"
    one = shown("extend 30, drop 0 20", layers=2, window=16)
    assert one.outcome.kind in ("refused", "kept")


def test_parameters():
    with pytest.raises(BadInput, match="takes pool=unified or split, not joint"):
        shown("append 1", pool="joint")
    with pytest.raises(BadInput, match="window is a whole number of tokens"):
        shown("append 1", window=16)


@pytest.mark.parametrize(
    "name",
    ["pending_shift", "shared_shift", "split_keep", "split_state", "split_copy_saved"],
)
def test_reproductions(name):
    path = REPRODUCTIONS / f"{name}.py"
    assert len(path.read_text().splitlines()) <= 30
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, check=True, timeout=120
    )
    page = (REPRODUCTIONS.parent / "engines-operations.md").read_text()
    assert done.stdout.strip() in page
