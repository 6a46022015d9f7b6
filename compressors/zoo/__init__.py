"""Every compressor that ships with us: a file each, ``zoo/FAMILY/NAME.py``, with class and entry.

A file's name is the compressor's with underscores, a folder's is its family's, and ``ENTRY`` is
what the catalog says of it.
"""

from __future__ import annotations

#: family -> the names of its compressors, in the order of the catalog
FAMILIES: dict[str, tuple[str, ...]] = {
    "baseline": (
        "exact",
        "sliding-window",
        "streaming-llm",
        "reservoir",
        "quantized",
        "top-k",
    ),
    "paper": (
        "running-sum",
        "algorithm-1",
        "subgen",
        "four-cache",
        "two-cache",
    ),
    "eviction": (
        "h2o",
        "scissorhands",
        "tova",
        "snapkv",
        "pyramidkv",
        "fastgen",
        "razor-attention",
        "keydiff",
        "expected-attention",
        "r-kv",
    ),
    "quantisation": (
        "kivi",
        "skvq",
        "leankv",
        "cachegen",
        "qjl",
        "turboquant",
        "polarquant",
        "absmax",
        "block-fp4",
        "hadamard-int",
        "eden",
        "rabitq",
        "kvtc",
    ),
    "low rank": (
        "minicache",
        "low-rank",
        "scatterbrain",
    ),
    "sketch": (
        "balance-kv",
        "hyper-attention",
        "reformer",
        "knn-attention",
        "algorithm-2",
        "performer",
        "linear-attention",
        "linformer",
    ),
    "pattern": (
        "sparse-transformer-strided",
        "sparse-transformer-fixed",
        "big-bird",
    ),
    "control": (
        "lossless",
        "zero",
        "time-sharing",
        "covering-code",
        "trellis-code",
    ),
}

#: the families of other people's algorithms, each attacked at every budget that it can meet
ZOO = ("eviction", "quantisation", "low rank", "sketch", "pattern")
