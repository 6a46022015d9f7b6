"""Bits a number: the precision law, what fewer bits must cost, and the games that show it.

Tables of the experiment ``bounds``; its docstring says what is in them. A task returns rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.contract import Compressor
from ...protocols.game.instances import KeyPayload
from ...reductions import keys as key_sets
from ...reductions.alphabet import AlphabetReduction, bits_of, symbols_of
from ...reductions.interference import tight_scale
from ...reductions.key_payload import KeyPayloadReduction
from ...reductions.levels import (
    geometric_levels,
    geometric_ratio,
    grid_levels,
    level_condition,
    most_geometric_levels,
    most_grid_levels,
)
from ...reductions.rate_bounds import (
    dither_mse_floor,
    grid_mse_floors,
    mse_time_sharing,
    requantised,
    symbol_error_floor,
    symbol_time_sharing,
)
from ...reductions.reduction import Reduction
from ..kit.direct_play import ask, build, secret
from ..kit.run import Run
from ..kit.tables import Row, Tables

Floats = NDArray[np.float64]

LAW, FLOORS = "bounds-precision.csv", "bounds-distortion.csv"
CACHES, GAMES, PAYLOAD = "bounds-caches.csv", "bounds-alphabets.csv", "bounds-payload.csv"

#: V, the largest value over the smallest, under a relative error
RANGES = (2.0, 16.0, 65536.0)
#: tolerances, powers of two
HALVINGS = tuple(k / 2 for k in range(2, 25))
ALPHABETS = (4, 16, 256)
#: bits a number of the caches that are played
CACHE_BITS = (8, 4, 2)
KEYS, D = "kerdock", 64
#: levels with the relative error they are sent under; an even grid has .4 of a step
PLAYED = ((4, 0.5), (16, 0.1), (256, 0.03))
GRID_SHARE = 0.4
#: how far below the exact scale it must fail, and the share of the error allowed that is used at
#: it: float32 attention's own error, some 1e-6 of an output, is a part of that error
BELOW, SHARE = 1 - 1e-3, 1 - 1e-3
N = 4096
MESSAGES = {"quick": 2, "full": 32}
WORST_ROWS = {"quick": 8, "full": 64}
PAYLOAD_ETAS = (0.3, 0.8)
#: numbers that are coded to see what a code of the law's size loses
_CODED = 20001
#: the floors are tabulated in such parts of a bit
EIGHTHS = 8


def tables(job: Run) -> Tables:
    """The tasks of the tables here."""
    messages, rows = MESSAGES[job.scale], WORST_ROWS[job.scale]
    return {
        LAW: [
            *((law, ("relative", 2.0**-k, V)) for V in RANGES for k in HALVINGS),
            *((law, ("additive", 2.0**-k, None)) for k in HALVINGS),
        ],
        FLOORS: [(floors, (levels,)) for levels in ALPHABETS],
        CACHES: [(cache, (levels, bits, messages)) for levels in ALPHABETS for bits in CACHE_BITS],
        GAMES: [
            (game, (levels, *allowed, messages, rows))
            for levels, eta in PLAYED
            for allowed in ((eta, None), (None, GRID_SHARE / (levels - 1)))
        ],
        PAYLOAD: [(payload, (eta, messages)) for eta in PAYLOAD_ETAS],
    }


# -- the law -------------------------------------------------------------------------------------


def law(error: str, tolerance: float, value_range: float | None) -> Row:
    """The most levels that survive a tolerance, and what codes with so many words lose.

    ``worst_error`` is the largest error, measured, of the best code with ``levels`` words on the
    same values, ``worst_error_fewer`` that of one with a word less (nan: it has none).
    ``used_levels`` is how many the reduction's own ratio puts into the range.
    """
    if value_range is None:
        levels = used = most_grid_levels(tolerance)
    else:
        levels = most_geometric_levels(value_range, tolerance)
        used = 1
        while geometric_ratio(used + 1, tolerance) ** used <= value_range:
            used += 1
    return {
        "error": error, "tolerance": tolerance,
        "value_range": math.nan if value_range is None else value_range,
        "levels": levels, "bits": math.log2(levels), "used_levels": used,
        "worst_error": coded_error(levels, value_range),
        "worst_error_fewer": coded_error(levels - 1, value_range) if levels > 1 else math.nan,
    }  # fmt: skip


def coded_error(words: int, value_range: float | None) -> float:
    """The largest error of a code of equal cells, on 20001 values: relative on [1, V], or in [0,1].

    A relative cell [a, r a] is kept as 2 r a/(1 + r), an additive one as its middle.
    """
    if value_range is None:
        values = np.linspace(0, 1, _CODED)
        kept = (np.minimum(np.floor(values * words), words - 1) + 0.5) / words
        # The ends of the cells, where the error is largest, lie between the values.
        return max(float(np.abs(kept - values).max()), 0.5 / words)
    ratio = value_range ** (1 / words)
    inside = np.geomspace(1, value_range, _CODED)
    edges = ratio ** np.arange(words + 1)
    values = np.concatenate([inside, edges * (1 - 1e-12), edges * (1 + 1e-12)])
    values = np.clip(values, 1, value_range)
    cell = np.clip(np.floor(np.log(values) / math.log(ratio)), 0, words - 1)
    kept = 2 * ratio ** (cell + 1) / (1 + ratio)
    return float(np.abs(kept / values - 1).max())


# -- what fewer bits cost --------------------------------------------------------------------------


def floors(levels: int) -> list[Row]:
    """The least errors at 0 .. b message bits a number, in eighths; squared ones in steps."""
    b = levels.bit_length() - 1
    rates = [k / EIGHTHS for k in range(EIGHTHS * b + 1)]
    return [{
        "levels": levels, "bits_per_number": rate,
        "symbol_error": symbol_error_floor(rate, levels),
        "symbol_time_sharing": symbol_time_sharing(rate, levels),
        "mse": mse, "mse_dither": dither_mse_floor(rate, levels),
        "mse_time_sharing": mse_time_sharing(rate, levels),
        "mse_requantised": requantised(levels, int(rate))[0] if rate == int(rate) else math.nan,
    } for rate, mse in zip(rates, grid_mse_floors(rates, levels), strict=True)]  # fmt: skip


def cache(levels: int, bits: int, messages: int) -> Row:
    """A quantised cache with ``bits`` bits a number, min and max a token, on an even grid.

    Bits are charged for the whole message, K with V, over the n d numbers of the secret; V's half
    of it apart. Errors are those of the levels that Bob reads, squared in steps.
    """
    n, gamma = 256, GRID_SHARE / (levels - 1)
    hard = AlphabetReduction.build(
        key_sets.make(KEYS, n, D), D, levels=levels, eta=None, gamma=gamma
    )
    wrong = squared = charged = 0.0
    for message in range(messages):
        x = secret(hard, f"bounds cache {levels}", message)
        outputs, size = ask(hard, x, partial(build, hard, "quantized", {"bits": bits}, None))
        off = hard.symbols(outputs) - symbols_of(x, levels)
        wrong += float((off != 0).mean()) / messages
        squared += float(np.square(off).mean()) / messages
        charged += size / (n * D) / messages
    return {
        "cache_bits": bits, "levels": levels, "gamma": gamma, "n": n, "d": D, "messages": messages,
        "bits_per_number": charged, "bits_per_number_v": charged / 2,
        "symbol_error": wrong, "mse": squared,
    }  # fmt: skip


# -- the games -----------------------------------------------------------------------------------


def _exact(hard: Reduction) -> Callable[[], Compressor]:
    """Who plays exact attention."""
    return partial(build, hard, "exact", {}, None)


def game(levels: int, eta: float | None, gamma: float | None, messages: int, rows: int) -> Row:
    """Exact attention's float32 answers, read at the exact scale and at .999 of it.

    ``wrong``: wrong bits over random secrets, all rows asked. Then, for a few rows, all levels at
    once in both extreme contexts, every answer moved both ways: ``misread_at`` numbers at the scale
    that is played, moved by .999 of the error allowed; ``misread_below`` rows with one at .999 of
    the scale, moved by all of it.
    """
    keys = key_sets.make(KEYS, N, D)
    hard = AlphabetReduction.build(keys, D, levels=levels, eta=eta, gamma=gamma)
    sent = geometric_levels(levels, eta) if eta is not None else grid_levels(levels)
    rule = level_condition(sent.tolist(), eta, gamma)
    exact = tight_scale(keys, rule.bound, rule.zero_token)
    wrong = 0
    for message in range(messages):
        x = secret(hard, f"bounds {levels} {eta} {gamma}", message)
        wrong += int((hard.decode(ask(hard, x, _exact(hard))[0]) != x).sum())
    at = np.unique(np.random.default_rng(0).integers(0, N, rows))
    inside, below = (
        AlphabetReduction(keys, levels, sent, eta, gamma, scale)
        for scale in (hard.scale, BELOW * exact)
    )
    return {
        "levels": levels, "alphabet": "grid" if eta is None else "geometric",
        "tolerance": gamma if eta is None else eta, "keys": KEYS, "n": N, "d": D,
        "exact_scale": exact, "scale": hard.scale, "messages": messages,
        "asked": messages * N * hard.width, "wrong": wrong, "rows": len(at),
        "misread_at": sum(misread(inside, int(i), SHARE) for i in at),
        "misread_below": sum(misread(below, int(i), 1) > 0 for i in at),
    }  # fmt: skip


def misread(hard: AlphabetReduction, i: int, share: float) -> int:
    """Levels of row i read as another: both extreme contexts, a share of the error both ways.

    ``hard`` has as many numbers a row as levels: number b of row i is level b.
    """
    found = 0
    for context in (0, hard.count - 1):
        symbols = np.full((hard.n, hard.count), context)
        symbols[i] = np.arange(hard.count)
        x = bits_of(symbols, hard.count)
        outputs = ask(hard, x, _exact(hard), np.array([i]))[0].astype(np.float64)
        for error in (-share, share):
            if hard.eta is not None:
                moved = outputs * (1 + error * hard.eta)
            else:
                assert hard.gamma is not None
                moved = outputs + error * hard.gamma
            found += int((hard.symbols(moved, [i]) != symbols[i]).sum())
    return found


def payload(eta: float, messages: int) -> Row:
    """Secrets in keys and values, n = 256, d = 32, one bit a number, by exact attention.

    ``wrong_moved``: wrong bits when every answer is moved against the truth, by .999 of the error
    allowed.
    """
    hard = KeyPayload(n=256, d=32, eta=eta).build()
    assert isinstance(hard, KeyPayloadReduction)
    wrong = np.zeros(3, dtype=np.int64)
    for message in range(messages):
        x = secret(hard, f"bounds payload {eta}", message)
        outputs = ask(hard, x, _exact(hard))[0]
        off = hard.decode(outputs) != x
        moved = outputs.reshape(hard.rows, -1, hard.d).astype(np.float64)
        moved[:, 0] *= 1 + SHARE * eta * (1 - 2.0 * x[:, : hard.d])
        # A payload above its cut makes the answer small: the error makes it large.
        moved[:, 1:, 0] *= 1 + SHARE * eta * (2.0 * x[:, hard.d :] - 1)
        again = hard.decode(moved.reshape(outputs.shape)) != x
        wrong += [off[:, : hard.d].sum(), off[:, hard.d :].sum(), again.sum()]
    return {
        "eta": eta, "n": hard.rows, "d": hard.d, "logit_range": hard.logit_range,
        "messages": messages, "bits_in_values": hard.bits_in_values,
        "bits_in_keys": hard.bits_in_keys, "wrong_in_values": int(wrong[0]),
        "wrong_in_keys": int(wrong[1]), "wrong_moved": int(wrong[2]),
    }  # fmt: skip
