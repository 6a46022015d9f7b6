"""The presses of kvpress 0.5.5 in the table, and those that cannot be played here."""

from __future__ import annotations

from typing import Any

from ..rows import EngineRow


def _row(
    name: str, declared: float, note: str = "", shown: bool = True, layers: int = 1,
    heads: int = 1, keeps: float | None = None, half: str = "", **params: Any,
) -> EngineRow:  # fmt: skip
    return EngineRow(
        f"kvpress:{name}", params, note, "kvpress", declared, keeps,
        layers=layers, heads=heads, shown=shown, half=half,
    )  # fmt: skip


def _half(name: str, note: str = "", shown: bool = True, **params: Any) -> EngineRow:
    """A press at ratio 1/2: it keeps half of the tokens whole, whatever they say."""
    keeps = None if note == _VALUES else 0.5
    return _row(name, 0.5, note, shown, keeps=keeps, compression_ratio=0.5, **params)


def _other(name: str, note: str = "", shown: bool = True, **params: Any) -> EngineRow:
    """A press at ratio 1/2 that evicts no token, or not only that."""
    return _row(name, 0.5, note, shown, compression_ratio=0.5, **params)


_SIZED = "its setting is for this many tokens"
_VALUES = "evicts rows of small values, so what is gone is not a coin toss"

#: every press at ratio 1/2, where it has one
_HALVES = (
    _half("KnormPress"),
    _half("SnapKVPress"),
    _half("StreamingLLMPress"),
    _half("TOVAPress"),
    _half("ObservedAttentionPress", "H2O's score; eager attention"),
    _half("KeyDiffPress"),
    _half("ExpectedAttentionPress", _VALUES),
    _half("PyramidKVPress", "layers of different lengths: asked one by one", layers=2),
    _half("CompactorPress", _VALUES, shown=False),
    _half("LeverageScorePress", shown=False),
    _half("NonCausalAttnPress", _VALUES, shown=False),
    _half("LagKVPress", shown=False),
    _half("CURPress", _VALUES, shown=False),
    _half("CapPress", _VALUES, shown=False),
    _half("RandomPress", "kvpress's own baseline", shown=False),
    _half("FinchPress", "the last 64 tokens are its question", shown=False),
    _half("KVComposePress", "reads its context twice", shown=False),
    _row("SimLayerKVPress", 0.5, _SIZED, False, keeps=0.5, lazy_threshold=0.4, n_recent=252,
         half="n_recent"),
    _half("ChunkPress", press="KnormPress", chunk_length=128, shown=False),
    _other("ChunkKVPress", press="SnapKVPress", shown=False),
    _half("EntropyGatedChunkKVPress", press="SnapKVPress", shown=False),
    _half("BlockPress", press="KeyDiffPress", shown=False),
    _half("KeyRerotationPress", press="StreamingLLMPress", shown=False),
    _half("CriticalKVPress", _VALUES, press="SnapKVPress", shown=False),
    _other("MergingPress", "evicted values are added to kept ones", press="KnormPress"),
    _row("PerLayerCompressionPress", 0.5, "layers of different lengths: asked one by one", False,
         press="KnormPress", compression_ratios="0.25,0.75", layers=2),
)  # fmt: skip

#: what the four best known say at other ratios
_SWEEP = tuple(
    _row(
        press,
        round(1 - ratio, 2),
        shown=ratio == 0.9,
        keeps=round(1 - ratio, 2),
        compression_ratio=ratio,
    )
    for press in ("KnormPress", "SnapKVPress", "StreamingLLMPress", "TOVAPress")
    for ratio in (0.25, 0.75, 0.9)
)

_MASKS = "masks and frees nothing"

#: presses that free nothing
_MASKING = (
    _other("AdaKVPress", _MASKS, press="SnapKVPress", heads=2),
    _row("AdaKVPress", 0.1, _MASKS, press="SnapKVPress", compression_ratio=0.9, heads=2),
    _other("CriticalAdaKVPress", _MASKS, press="SnapKVPress", heads=2, shown=False),
    _row("DMSPress", 0.1, f"{_MASKS}; scores are uniform, so the threshold is the ratio",
         press="RandomPress", threshold=0.9, sliding_window_size=1, heads=2),
    _other("KVzipPress", f"{_MASKS}; slices of a cache twice as long", heads=2),
    _other("KVgradPress", _MASKS, heads=2, shown=False),
    _other("KVComposePress", f"{_MASKS}, and its second reading stays in the cache", heads=2,
          structured=False),
    _row("ThinKPress", 0.75, "zeroes channels of keys and frees nothing",
         key_channel_compression_ratio=0.5),
    _row("ComposedPress", 0.375, "ThinK's share is not freed", presses="SnapKVPress,ThinKPress",
         compression_ratio=0.5, key_channel_compression_ratio=0.5, shown=False),
)  # fmt: skip

_WAITS = f"{_SIZED}; up to 64 tokens wait, with their hidden states"

_TARGET: dict[str, Any] = {
    "target_size": 256, "half": "target_size", "compression_interval": 64, "feed": "stream",
}  # fmt: skip

#: presses on tokens that come one by one
_DECODING = (
    _row("DecodingPress", 0.5, _WAITS, base_press="KnormPress", **_TARGET),
    _row("CAMPress", 0.5, f"{_WAITS}; evicted values are added to kept ones", False,
         base_press="KnormPress", **_TARGET),
    _row("CompressionRatioDecodingPress", 0.5, "up to 64 tokens wait", False,
         base_press="KnormPress", target_compression_ratio=0.5, compression_interval=64,
         hidden_states_buffer_size=0, feed="stream"),
    _row("PrefillDecodingPress", 0.5, f"{_WAITS}; the first token is its prompt", False,
         prefilling_press="KnormPress", decoding_press="DecodingPress", base_press="KnormPress",
         **_TARGET),
)  # fmt: skip

ROWS = (*_HALVES, *_SWEEP, *_MASKING, *_DECODING)

#: press classes of kvpress that are not played, and why
OUT_OF_REACH = {
    "BasePress": "it is the base class, and compresses nothing",
    "ScorerPress": "it is a base class, and scores nothing",
    "DuoAttentionPress": "it downloads attention patterns of known models, or a data set",
    "ExpectedAttentionStatsPress": "it downloads query statistics of known models",
    "FastKVzipPress": "it downloads gates trained for known models",
    "KVzapPress": "it downloads a scoring model trained for known models",
    "LUKVPress": "it downloads budget curves of known models",
    "QFilterPress": "it downloads filters trained for known models",
    "RestoreKVPress": "it downloads adapters trained for known models",
}
