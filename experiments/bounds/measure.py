"""Bounds that can be used: what is certified at which logit range and precision, for which model.

Arithmetic on exact spectra, and for every construction a measurement on the float32 keys that would
be sent: 64 sampled rows of the whole set, each in its two worst contexts. The exact answers are
moved to both ends of what the guarantee allows, and slightly beyond, and Bob reads them at the
threshold that he has from the spectrum.

``bounds-range.csv``: the least logit range for n tokens in d dimensions (eta = 1/2) over all known
key sets, and a range below which no unit keys do (``low_dimension``, (2)).
``bounds-constructions.csv``: the largest size of every construction, with its coherence, its exact
scale and the sampled check. ``bounds-models.csv``: the largest possible compression of
the cache of models of published shapes, by guarantee.

With more than one bit a number: ``bounds-precision.csv``, the most levels that a tolerance can tell
apart, and what codes with so many words lose. ``bounds-distortion.csv``, the least share of wrong
numbers and the least squared error, in steps, at 0 to log2 B message bits a number, and what
sharing time and keeping the high bits have. ``bounds-caches.csv``, quantised caches on an even
grid, charged for K and V. ``bounds-alphabets.csv``, exact attention's answers read at the exact
scale, and worst cases at it and at .999 of it. ``bounds-payload.csv``, secrets in keys as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import BadInput
from ...reductions import keys as key_sets
from ...reductions.interference import tight_scale
from ...reductions.key_choice import smallest_range
from ...reductions.keys.base import KeySet
from ...reductions.low_dimension import least_range
from ...reductions.margins import condition
from ...reductions.model_limit import model_limit
from ...reductions.model_shape import read_config
from ..kit.run import Run
from ..kit.tables import Row, Tables, fill
from .precision import tables as precision_tables

RANGE, SETS, MODELS = "bounds-range.csv", "bounds-constructions.csv", "bounds-models.csv"
ETA = 0.5
DIMENSIONS = (2, 3, 4, 8, 16, 32, 64, 128)
#: where no code is: points in the plane and in space, scanned pair by pair
_SPHERES = {2: "circle", 3: "sphere"}
_MOST_SCANNED = 9
MOST_LOG2 = {"quick": 22, "full": 29}
ROWS = 64
#: the errors that are tried, as factors of eta
INSIDE, OUTSIDE = 1 - 1e-6, 1 + 1e-3
#: keys are made in blocks of so many numbers
_BLOCK = 1 << 24

#: construction, d, n (None: all of it), and the scale that theory gives (two decimals)
CONSTRUCTIONS: tuple[tuple[str, int, int | None, float | None], ...] = (
    ("rm1", 64, None, None),
    ("kerdock", 64, None, 10.04),
    ("delsarte-goethals", 64, None, None),
    ("bch", 64, 1 << 16, 13.52),
    ("rm2", 32, None, 15.80),
    ("rm2", 64, None, 19.45),
    ("gold", 128, None, 12.01),
    ("bch", 128, 1 << 22, 17.53),
    ("hypercube", 10, 1 << 10, 17.67),
    ("hypercube", 14, 1 << 14, 27.12),
    ("devore", 64, 512, None),
    ("kissing", 8, None, 10.27),
    ("kissing", 24, None, 19.23),
)

#: published shapes, fields as in their configurations
MODEL_CONFIGS: Mapping[str, dict[str, Any]] = {
    "Llama 3.1 8B": {
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "hidden_size": 4096,
    },
    "Qwen2.5 7B": {
        "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
        "hidden_size": 3584, "sliding_window": 131072, "use_sliding_window": False,
    },
    "Gemma 2 9B": {
        "model_type": "gemma2", "num_hidden_layers": 42, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 256, "sliding_window": 4096,
    },
    "Mistral 7B v0.1": {
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "hidden_size": 4096, "sliding_window": 4096,
    },
    "SmolLM2 135M": {
        "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
        "hidden_size": 576,
    },
    "DeepSeek-V2-Lite": {
        "num_hidden_layers": 27, "num_attention_heads": 16, "num_key_value_heads": 16,
        "hidden_size": 2048, "kv_lora_rank": 512, "qk_rope_head_dim": 64,
    },
}  # fmt: skip
CONTEXTS = (8192, 131072)
SUCCESS = (0.9, 0.99, 1.0)


def run(job: Run) -> None:
    """Fill the tables that are missing."""
    sizes = range(1, MOST_LOG2[job.scale] + 1)
    tables: Tables = {
        RANGE: [
            (ranges, (d, n))
            for d in DIMENSIONS
            for n in sizes
            if n <= (_MOST_SCANNED if d in _SPHERES else d)
        ],
        SETS: [(measured, one) for one in CONSTRUCTIONS],
        MODELS: [
            (of_model, (name, context, success))
            for name in MODEL_CONFIGS
            for context in CONTEXTS
            for success in SUCCESS
        ],
        **precision_tables(job),
    }
    fill(job, "bounds", tables)


def ranges(d: int, log2_n: int) -> list[Row]:
    """The least range of 2^log2_n tokens in d dimensions: a row, or none where no set is known."""
    n = 1 << log2_n
    try:
        if d in _SPHERES:
            name, rule = _SPHERES[d], condition("01", ETA, None)
            keys = key_sets.make(name, n, d)
            norm2 = float(np.square(keys.rows, dtype=np.float64).sum(axis=1).max())
            least = tight_scale(keys, rule.bound, rule.zero_token) * norm2
        else:
            choice = smallest_range(n, d, ETA)
            name, least = choice.keys, choice.logit_range
    except BadInput:
        return []
    return [{
        "d": d, "n": n, "logit_range": least, "least": least_range(n, d, ETA), "keys": name,
        "eta": ETA, "certified_bits": n * d,
    }]  # fmt: skip


def measured(name: str, d: int, n: int | None, expected: float | None) -> Row:
    """One construction: its parameters, its exact scale, and the check on sampled float32 rows."""
    keys = key_sets.make(name, n, d)
    spectrum = keys.spectrum
    assert spectrum is not None
    rule = condition("01", ETA, None)
    scale = tight_scale(keys, rule.bound, rule.zero_token)
    norm2 = float(spectrum.norm2)
    at = np.unique(np.random.default_rng(0).integers(0, keys.n, ROWS))
    outputs, interference = sampled_outputs(keys, scale, at)
    by_spectrum = float(spectrum.multiplicities @ np.exp(scale * spectrum.gaps))
    cut = rule.threshold(np.array([by_spectrum]), np.array([scale * norm2]))
    return {
        "keys": name, "d": d, "n": keys.n,
        "coherence": float(max(p for p, _ in spectrum.counts)) / norm2,
        "logit_range": scale * norm2, "expected": math.nan if expected is None else expected,
        "certified_bits": keys.n * d, "rows": len(at),
        "interference": by_spectrum,
        "largest_deviation": float(np.abs(interference / by_spectrum - 1).max()),
        "misread_inside": misread(outputs, cut, INSIDE, (1, -1)) + misread(outputs, cut, INSIDE),
        "misread_outside": misread(outputs, cut, OUTSIDE, (1, -1)),
        "misread_away": misread(outputs, cut, OUTSIDE),
    }  # fmt: skip


def sampled_outputs(keys: KeySet, scale: float, at: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Exact outputs of some rows in their two worst contexts, and S'_i: float64[rows, 2], [rows].

    From the float32 keys themselves, block by block: column b is attention over values 1 - b and,
    at the row's own token, b; Bob's token, of score 0 and value 0, is in the denominator.
    """
    asked = keys.rows_at(at).astype(np.float64)
    own = np.einsum("rd,rd->r", asked, asked)
    total, mine = np.exp(-scale * own), np.zeros(len(at))
    step = max(1, _BLOCK // keys.d)
    for first in range(0, keys.n, step):
        tokens = np.arange(first, min(keys.n, first + step))
        block = keys.rows_at(tokens).astype(np.float64)
        # In place: each array of its own is 100 MB of fresh pages.
        weights = asked @ block.T
        weights -= own[:, None]
        weights *= scale
        np.exp(weights, out=weights)
        total += weights.sum(axis=1)
        here = np.flatnonzero((at >= first) & (at <= tokens[-1]))
        mine[here] = weights[here, at[here] - first]
    others = total - mine - np.exp(-scale * own)
    return np.stack([others, mine], axis=1) / total[:, None], others / mine


def misread(outputs: Any, cut: Any, factor: float, towards: tuple[int, int] = (-1, 1)) -> int:
    """Bits read wrong when a 0's answer is off by ``towards[0]`` times ``factor`` eta, a 1's by
    ``towards[1]`` times that: (1, -1) moves them towards each other, (-1, 1) apart.
    """
    answers = outputs * (1 + factor * ETA * np.array(towards))
    return int(np.count_nonzero((answers > cut[:, None]) != np.array([False, True])))


def of_model(name: str, context: int, success: float) -> Row:
    """The largest possible compression of a model's 16-bit cache, by values and by keys as well."""
    limit = model_limit(read_config(MODEL_CONFIGS[name]), context, success=success, eta=ETA)
    return {
        "model": name, "context": context, "success": success, "dtype": limit.dtype, "eta": ETA,
        "cache_bits": limit.cache_bits, "bound_bits": limit.bound_bits,
        "bound_bits_kv": limit.bound_bits_kv, "compression": limit.compression,
        "compression_kv": limit.compression_kv, "logit_range": limit.logit_range,
        "logit_range_kv": limit.logit_range_kv,
    }  # fmt: skip
