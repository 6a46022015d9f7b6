"""What the referee says in words, from lines written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kvbarrier.experiments.engines import measure as engines
from kvbarrier.experiments.engines.findings import settings
from kvbarrier.experiments.engines.measure import TABLE

LINE: dict[str, Any] = {
    "target": "kvpress:AdaKVPress", "params": '{"compression_ratio": 0.9}', "feed": "prefill",
    "distribution": "kvpress", "note": "", "basis": "literal", "bob": "asks", "bit_error": 0.45,
    "declared": 0.1, "claimed": None, "logical": 1.0, "resident": 1.0, "side": 0.0, "wire": 1.0007,
    "failed": None, "n": 512, "d": 64, "layers": 1, "heads": 1, "messages": 4, "asked": 131072,
}  # fmt: skip


def findings(tmp_path: Path, *changes: dict[str, Any]) -> list[str]:
    pd.DataFrame([LINE | change for change in changes]).to_csv(tmp_path / TABLE, index=False)
    [one] = settings(tmp_path)
    return one.findings()


def test_a_cache_that_masks_is_told_so(tmp_path: Path) -> None:
    reads = {"bob": "reads", "bit_error": 0.0}
    assert findings(tmp_path, {}, reads) == [
        "declared 0.1, real bytes 1",
        "hides and does not free: 0.450 by asking, 0.000 by reading",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"declared": 1.0}, []),
        ({"declared": None}, []),
        ({"declared": 0.99}, []),
        ({"declared": 1.0, "side": 0.08}, ["0.08 more is parked on modules"]),
        (
            {"declared": 0.25, "wire": 0.25, "logical": 0.25},
            ["1.00 stays in memory behind tensors that show 0.25"],
        ),
        ({"declared": None, "claimed": 0.25}, ["claimed 0.25, real bytes 1"]),
        ({"claimed": 0.11}, ["declared and claimed 0.1, real bytes 1"]),
        (
            {"claimed": 0.5},
            ["declared 0.1, real bytes 1", "claimed 0.5, real bytes 1"],
        ),
        ({"declared": None, "constant": 0.019}, []),
        (
            {"declared": None, "constant": 0.25},
            ["0.25 of the message does not depend on the stream"],
        ),
        (
            {"declared": None, "wire": 2.13, "resident": 1.133, "logical": 1.133},
            [
                "the message has 2.13 where arrays of 1.13 are in memory: the rest is how they "
                "are written, and what lies outside of arrays"
            ],
        ),
        (
            {"declared": None, "wire": 1.2, "beside": 0.21, "beside_is": "a tail waits"},
            ["the message has 1.20 where arrays of 1.00 are in memory: a tail waits"],
        ),
        ({"declared": None, "wire": 1.08, "side": 0.09}, ["0.09 more is parked on modules"]),
    ],
)
def test_only_what_disagrees_is_told(tmp_path: Path, change: dict[str, Any], said: Any) -> None:
    assert findings(tmp_path, change) == said


def test_the_basis_decides(tmp_path: Path) -> None:
    honest = {"declared": 1.0, "bit_error": 0.0}
    lines = (honest, honest | {"basis": "rotated", "bit_error": 0.08})
    assert findings(tmp_path, *lines) == ["the basis decides: 0.000 literal, 0.080 rotated"]


def test_a_row_that_failed_says_why(tmp_path: Path) -> None:
    change = {"failed": "kvpress:X needs CUDA.", "bit_error": None}
    assert findings(tmp_path, change) == ["kvpress:X needs CUDA."]


def test_samples_of_rows_that_differ_by_chance_are_no_finding(tmp_path: Path) -> None:
    # Of 2 times 512 of 2048 rows, half of them gone: sqrt(1/16 3/4 / 1024) = .0068, and of the
    # difference of two 3 sqrt(2) times as much, .0287, beside the .02.
    sampled = {"declared": None, "bit_error": 0.25, "n": 2048, "messages": 2, "asked": 65536}
    near, far = ({"basis": "rotated", "bit_error": error} for error in (0.293, 0.30))
    assert findings(tmp_path, sampled, sampled | near) == []
    assert findings(tmp_path, sampled, sampled | far) == [
        "the basis decides: 0.250 literal, 0.300 rotated"
    ]
    every = {"declared": None, "bit_error": 0.25}
    assert findings(tmp_path, every, every | near) != []


def test_every_way_of_a_row_is_a_cell_of_its_own() -> None:
    from kvbarrier.compressors.engines.rows import EngineRow

    row = EngineRow("hf:dynamic", {"dtype": "bf16"}, streams=True)
    found = list(engines.cells(row, "quick"))
    ways = [
        (c.instance.basis, dict(c.params).get("feed"), dict(c.params).get("bob")) for c in found
    ]
    assert ways == [
        ("literal", None, None), ("rotated", None, None), ("literal", None, "reads"),
        ("literal", "stream", None), ("rotated", "stream", None),
    ]  # fmt: skip
    assert len({cell.id for cell in found}) == 5


def test_at_full_scale_a_sample_is_asked_and_half_of_the_tokens_is_half_of_more() -> None:
    from kvbarrier.compressors.engines.rows import EngineRow

    row = EngineRow("llamacpp:f16", {"window": 252, "sinks": 4}, streams=True, half="window")
    prompt, _, _, token_by_token, _ = engines.cells(row, "full")
    played = [(c.instance.n, c.instance.rows, dict(c.params)["window"])
              for c in (prompt, token_by_token)]  # fmt: skip
    # With the four sinks 1024 of 2048 tokens, and 512 of 1024.
    assert played == [(2048, 512, 1020), (1024, 512, 508)]
    always = EngineRow("hf:a", {"feed": "stream", "budget": 256}, half="budget")
    assert {c.instance.n for c in engines.cells(always, "full")} == {1024}
    quick = next(engines.cells(row, "quick"))
    assert (quick.instance.n, quick.instance.rows, dict(quick.params)["window"]) == (512, None, 252)


def test_every_row_can_be_played_at_full_scale() -> None:
    found = [c for row in engines.declared_rows() for c in engines.cells(row, "full")]
    assert {cell.instance.rows for cell in found} == {512}
    assert all(cell.instance.build() for cell in found)


def test_an_eviction_is_as_close_to_its_share_as_the_sample_of_rows_allows(tmp_path: Path) -> None:
    from kvbarrier.experiments.engines.claims import evictions

    # Two messages of 4096 rows, of each 512 asked: the standard deviation of a half of them is
    # sqrt(1/4 7/8 / 1024) = .0146, and of the error half of it; .01 + 3 .0073 = .0319.
    line = LINE | {
        "target": "kvpress:KnormPress", "keeps": 0.5, "declared": 0.5, "logical": 0.5, "wire": 0.5,
        "n": 4096, "d": 64, "layers": 1, "heads": 1, "messages": 2,
    }  # fmt: skip

    def verdict(error: float, rows: int) -> str:
        table = [line | {"bit_error": error, "asked": 2 * rows * 64}]
        pd.DataFrame(table).to_csv(tmp_path / TABLE, index=False)
        return evictions.check(tmp_path).verdict

    found = [(error, verdict(error, 512), verdict(error, 4096)) for error in (0.259, 0.281, 0.283)]
    assert found == [
        (0.259, "holds", "holds"),
        (0.281, "holds", "fails"),
        (0.283, "fails", "fails"),
    ]


def test_a_row_may_have_a_game_of_its_own() -> None:
    from kvbarrier.compressors.engines.rows import EngineRow

    game = {"reduction": "sliding-layers", "d": 32, "layers": 2, "every": 2, "window": 33}
    row = EngineRow("hf:dynamic", {"model": "gemma3"}, reads=False, game=game)
    literal, rotated = engines.cells(row, "quick")
    assert literal.instance.shape.windows == (33, None)
    assert (literal.instance.n, literal.instance.d, literal.instance.keys) == (512, 32, "kerdock")
    assert rotated.instance.basis == "rotated"


def test_what_is_not_installed_is_a_line_and_the_table_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from kvbarrier.compressors.engines import environments
    from kvbarrier.compressors.engines.rows import EngineRow

    monkeypatch.setattr(environments, "_CHECKOUT", tmp_path)
    monkeypatch.setattr(environments.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv(environments.FOLDER_VARIABLE, raising=False)
    row = EngineRow("llamacpp:f16", distribution="cyllama")
    lines = engines.play_group([(row, cell) for cell in engines.cells(row, "quick")])
    assert len(lines) == 3
    assert all("Run 'make engines'" in line["failed"] for line in lines)
