"""The declared rows of kvpress: data, so no engine is needed."""

from collections import Counter

from kvbarrier.compressors.engines.kvpress.rows import OUT_OF_REACH, ROWS
from kvbarrier.compressors.engines.rows import EngineRow

# Every press class in ``kvpress.__all__`` of 0.5.5.
EXPORTED = """
    AdaKV Base Block CAM Cap Chunk ChunkKV Compactor Composed CompressionRatioDecoding CriticalAdaKV
    CriticalKV CUR Decoding DMS DuoAttention EntropyGatedChunkKV ExpectedAttention
    ExpectedAttentionStats FastKVzip Finch KeyDiff KeyRerotation Knorm KVCompose KVgrad KVzap KVzip
    LagKV LeverageScore LUKV Merging NonCausalAttn ObservedAttention PerLayerCompression
    PrefillDecoding PyramidKV QFilter Random RestoreKV Scorer SimLayerKV SnapKV StreamingLLM ThinK
    TOVA
"""


def press(row: EngineRow) -> str:
    return row.target.removeprefix("kvpress:")


def test_every_press_class_is_either_a_row_or_has_a_reason():
    played = {press(row) for row in ROWS}
    assert played | set(OUT_OF_REACH) == {f"{name}Press" for name in EXPORTED.split()}
    assert not played & set(OUT_OF_REACH)
    assert all(reason and not reason.endswith(".") for reason in OUT_OF_REACH.values())


def test_twenty_presses_at_one_half_and_four_of_them_at_every_ratio():
    assert len({press(row) for row in ROWS if row.params.get("compression_ratio") == 0.5}) >= 20
    for name in ("KnormPress", "SnapKVPress", "StreamingLLMPress", "TOVAPress"):
        rows = [row for row in ROWS if press(row) == name]
        assert {row.params["compression_ratio"] for row in rows} == {0.25, 0.5, 0.75, 0.9}
        assert all(row.declared == round(1 - row.params["compression_ratio"], 2) for row in rows)


def test_a_row_is_complete():
    for row in ROWS:
        assert row.target.startswith("kvpress:")
        assert row.distribution == "kvpress"
        assert row.declared is not None
        assert 0 < row.declared < 1
    settings = Counter((row.target, str(sorted(row.params.items()))) for row in ROWS)
    assert max(settings.values()) == 1


def test_what_allots_over_heads_or_layers_gets_several():
    for row in ROWS:
        if press(row) in ("PyramidKVPress", "PerLayerCompressionPress"):
            assert row.layers == 2
        if press(row) in ("AdaKVPress", "CriticalAdaKVPress", "DMSPress", "KVzipPress"):
            assert row.heads == 2
