"""Operations of transformers' caches: those that hold, and the faults of the pinned version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="caches of transformers hold tensors of torch")
transformers = pytest.importorskip("transformers", reason="its caches live through schedules")

from kvbarrier.compressors.engines.engine import asked_behind  # noqa: E402
from kvbarrier.compressors.targets import resolve  # noqa: E402
from kvbarrier.protocols.life.engines import trials  # noqa: E402
from kvbarrier.protocols.life.examine import hard_for  # noqa: E402
from kvbarrier.protocols.life.perform import Stage  # noqa: E402
from kvbarrier.protocols.life.schedule import Schedule  # noqa: E402

LIVE = {"feed": "chunks", "rotary": "live", "dtype": "fp32"}
REPRODUCTIONS = Path(__file__).parents[3] / "docs" / "reproductions"


def stage(target, **params):
    found = resolve(target, {**LIVE, **params})
    return Stage(lambda shape: found.factory(shape, None, 0, {}), hard_for(40, 64)[0])


@pytest.mark.parametrize(
    ("line", "sequences"),
    [
        ("extend 20, append 5, crop 22, append 3, save, append 1", None),
        ("extend 7, extend 1, extend 9, append 2", None),
        ("append 5, fork, append 2, switch 1, append 3, crop 4", None),
        ("extend-each 5, append-each 2, select 2 0 1, append-each 1", 3),
        ("extend-each 5, append-each 2, select 0 0 1 1, append-each 1", 2),
        ("extend-each 5, select 0 0, append-each 1, save", 2),
        ("extend 9, reset, append 4", None),
    ],
)
@pytest.mark.parametrize("beams", ["batch_select_indices", "reorder_cache"])
def test_a_dynamic_cache_keeps_everything(line, sequences, beams):
    shown = stage("hf:dynamic", beams=beams).perform(Schedule.of(line, sequences))
    assert shown.outcome.kind == "kept", shown.sentence


def test_a_neutral_rotary_is_blind_to_a_wrong_length_and_a_live_one_is_not():
    pytest.importorskip("optimum.quanto", reason="it does the quantising")
    line = Schedule.of("extend 20, append 5, crop 22")
    quantized = {"ask": "serial", "nbits": 4}
    assert stage("hf:quantized", rotary="neutral", **quantized).perform(line).outcome.kind == "kept"
    live = stage("hf:quantized", **quantized)
    shown = live.perform(line)
    assert (shown.outcome.kind, len(shown.outcome.lost)) == ("lost", 22)
    # Three tokens were cropped, so the cache takes all of them for three places older.
    with asked_behind(3):
        assert live.perform(line).outcome.kind == "kept"
    with asked_behind(2):
        assert live.perform(line).outcome.kind == "lost"


def test_a_quantized_cache_selects_its_residual_only():
    pytest.importorskip("optimum.quanto", reason="it does the quantising")
    line = Schedule.of("extend-each 6, append-each 2, select 2 0 1", 3)
    shown = stage("hf:quantized", nbits=4).perform(line)
    assert shown.outcome.kind in ("lost", "moved")
    # 6 prompts' tokens in each of three sequences are lost; the 2 after them are not.
    assert shown.outcome.lost == tuple(range(18))


def test_check_finds_them_first_and_shortens_them():
    pytest.importorskip("optimum.quanto", reason="it does the quantising")
    first = next(iter(trials("hf:quantized?backend=quanto&nbits=4", {}, 5.0)))
    details = " ".join(one["detail"] for one in first.findings)
    assert "append-each 2, select" in details
    assert "1 place too far back" in details or "places too far back" in details
    assert all(len(one["reproduction"]) <= 4 for one in first.findings)


def test_a_sliding_layer_that_is_cropped_twice_is_found_by_what_is_tried_first():
    ways = ("", "recording the past")
    first = [one for one, _ in zip(trials("hf:sliding", {}, 5.0), ways, strict=False)]
    found = {one.way: [told["code"] for told in one.findings] for one in first}
    assert found["recording the past"] == ["operation-fails-late"]
    # Without recording a crop behind the window is refused: nothing is lost.
    assert found[""] == ["operation-refused"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quantized_select", "tokens 0-59, of the prompt:     [0, 1, 2]"),
        ("quantized_crop", "get_seq_length(), 21 is right:   24"),
        ("sliding_crop_twice", "15 are wanted: 12"),
        ("dynamic_crop_select", "the next token raises: Sizes of tensors must match"),
    ],
)
def test_reproductions(name, said):
    pytest.importorskip("hqq", reason="it does the quantising")
    if transformers.__version__ != "5.23.0":
        pytest.skip("the output on the page is of transformers 5.23.0")
    path = REPRODUCTIONS / f"{name}.py"
    assert len(path.read_text().splitlines()) <= 30
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, check=True, timeout=120
    )
    assert said in done.stdout
    page = (REPRODUCTIONS.parent / "engines-operations.md").read_text()
    assert done.stdout.strip() in page


def test_the_player_turns_back_what_the_model_turns():
    found = resolve("hf:dynamic", LIVE)
    hard = hard_for(20, 64)[0]
    made = found.factory(hard.shape(20), None, 0, {})
    for token in range(20):
        made.append(*(part[token] for part in hard.triples))
    layer = made.inner.cache.layers[0]
    keys = hard.triples[1][:20]
    assert np.abs(layer.keys[0, 0].numpy() - keys).max() < 1e-5
