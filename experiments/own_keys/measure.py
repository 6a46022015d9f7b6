"""A real model's own keys: how many tokens they certify, and what caches lose on them.

SmolLM2-135M-Instruct reads 512 tokens of prose, code, a table and text in another language; the
keys and queries of all layers and heads are captured. ``own-keys-tokens.csv``: for each KV head the
tokens that the median and the 90 % norm of its group's queries certify, eta = 1/2.
``own-keys-precision.csv``: the bits a number against an additive error gamma, for some heads, and
for explicit keys (kerdock) at given norms. ``own-keys.csv``: compressors attacked on these
keys. ``own-keys-points.csv``: caches of 2 to 16 bits a number with values in [0, 1], their memory
and the additive error of nine answers in ten, beside the bound at that error.

The model lives in an environment of its own (``make engines``), as for ``natural``.
"""

from __future__ import annotations

import math
import tempfile
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...compressors.captured.key_file import KeyFile, Place
from ...compressors.catalog import family
from ...compressors.engines.natural.process import asked
from ...compressors.engines.natural.texts import KINDS
from ...protocols.game import coins
from ...reductions import keys as key_sets
from ...reductions.own_keys import OwnTokens, own_limit, own_tokens
from ...reductions.own_keys_game import OwnKeysReduction
from ..kit.direct_play import KEY, build, play, told
from ..kit.run import Run
from ..kit.tables import Row, Tables, fill

TOKENS, PRECISION = "own-keys-tokens.csv", "own-keys-precision.csv"
PLAYED, POINTS = "own-keys.csv", "own-keys-points.csv"
N, D = 512, 64
NORMS = {"p50": 0.5, "p90": 0.9}
GAMMAS = (0.1, 0.03, 0.01, 0.003, 0.001)
#: heads whose precision is measured, and which are played on
PRECISE = tuple(Place(layer, 0) for layer in (0, 1, 5, 10, 15, 20, 25, 29))
PLAYED_ON = (Place(5, 0), Place(15, 1), Place(25, 2))
#: norms of queries on explicit unit keys, nats a key
EXPLICIT = (12.0, 24.0)
TEXTS_A_KIND = {"quick": 1, "full": 4}
MESSAGES = {"quick": 4, "full": 16}

#: compressor, parameters, and the budget as a share of the 16-bit cache; or of the secret
Setting = tuple[str, dict[str, Any], Fraction | None]
_HALF, _EIGHTH = Fraction(1, 2), Fraction(1, 8)
SETTINGS: tuple[Setting, ...] = (
    ("exact", {"dtype": "fp32"}, None),
    ("quantized", {"bits": 2}, None),
    ("quantized", {"bits": 4}, None),
    ("kivi", {"bits": 2, "residual": 32}, None),
    ("turboquant", {"bits": 4}, None),
    ("sliding-window", {}, _HALF),
    ("streaming-llm", {}, _HALF),
    ("h2o", {}, _EIGHTH),
    ("snapkv", {}, _EIGHTH),
)
#: the control that keeps half of the secret's bits
HALF = "time-sharing"
STORED: tuple[Setting, ...] = (
    *(("quantized", {"bits": bits}, None) for bits in (2, 4, 8)),
    ("exact", {"dtype": "fp16"}, None),
)


def run(job: Run) -> None:
    """Measure what is missing.

    Raises:
        BadInput: the model's environment is not installed, or lacks something.
    """
    names = [(kind, KINDS[kind][0][i]) for i in range(TEXTS_A_KIND[job.scale]) for kind in KINDS]
    tables: Tables = {
        (TOKENS, PRECISION, PLAYED, POINTS): [
            *((on_text, (kind, name, MESSAGES[job.scale])) for kind, name in names),
            (explicit, ()),
        ]
    }
    fill(job, "own-keys", tables)


def on_text(
    kind: str, name: str, messages: int
) -> tuple[list[Row], list[Row], list[Row], list[Row]]:
    """Rows of the four tables for one text.

    Raises:
        BadInput: the sentence of whoever runs the model.
    """
    where = {"kind": kind, "text": name}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "captured.npz"
        asked(
            "capture",
            {"model": None, "text": [kind, name], "tokens": N, "layers": None, "heads": None,
             "out": str(out)},
        )  # fmt: skip
        file = KeyFile(out)
        tokens = [where | certified(file, place, norm) for place in file.places for norm in NORMS]
        precision = [
            where | {"layer": place.layer, "head": place.head} | row
            for place in PRECISE
            for row in levels(file.keys(place), file.query_norm(place, NORMS["p50"]))
        ]
        played, points = [], []
        for place in PLAYED_ON:
            head = own_tokens(file.keys(place), file.query_norm(place, NORMS["p50"]))
            on = where | {"layer": place.layer, "head": place.head}
            played += [on | row for row in attacked(head, f"{kind} {name} {place}", messages)]
            points += [on | stored(head, one) for one in STORED]
    return tokens, precision, played, points


def certified(file: KeyFile, place: Place, norm: str) -> Row:
    """The tokens of a head that a norm certifies, eta = 1/2."""
    head = own_tokens(file.keys(place), file.query_norm(place, NORMS[norm]))
    limit, reasons = own_limit(head), head.reasons()
    return {
        "layer": place.layer, "head": place.head, "quantile": norm, "norm": limit.norm,
        "n": limit.n, "certified": limit.certified_tokens, "bound_bits": limit.bound_bits,
        "equal": reasons.count("equal"), "too_short": reasons.count("norm"),
        "rounding": reasons.count("rounding"),
    }  # fmt: skip


def levels(keys: Any, norm: float) -> list[Row]:
    """The bits a number that a head's keys certify, against gamma."""
    rows = []
    for gamma in GAMMAS:
        limit = own_limit(own_tokens(keys, norm, eta=None, gamma=gamma))
        rows.append({
            "norm": norm, "gamma": gamma, "bits": limit.bits_per_number,
            "bound": limit.bound_bits / (limit.n * limit.d_v),
            "most": math.log2(math.ceil(1 / (2 * gamma))),
        })  # fmt: skip
    return rows


def explicit() -> tuple[list[Row], list[Row], list[Row], list[Row]]:
    """The precision of explicit keys, as a text of one layer a norm among the others."""
    keys = key_sets.make("kerdock", N, D).rows
    rows = [
        {"kind": "explicit", "text": "kerdock", "layer": number, "head": 0} | row
        for number, norm in enumerate(EXPLICIT)
        for row in levels(keys, norm)
    ]
    return [], rows, [], []


def label(setting: Setting) -> str:
    """As in tables and figures.

    >>> label(("h2o", {}, Fraction(1, 8))), label(("quantized", {"bits": 2}, None))
    ('h2o 1/8', 'quantized bits=2')
    """
    target, params, budget = setting
    words = [f"{name}={value}" for name, value in params.items()]
    return " ".join([target, *([str(budget)] if budget else []), *words])


def attacked(head: OwnTokens, name: str, messages: int) -> list[Row]:
    """Every setting on a head's own keys, and time sharing of half of the secret."""
    game = OwnKeysReduction.build(head, D)
    secret, cache = game.rows * game.width, 16 * game.tokens * 2 * D
    rows = []
    for target, params, budget in (*SETTINGS, (HALF, {}, None)):
        bits = secret // 2 if target == HALF else None if budget is None else int(budget * cache)
        found = play(game, f"own keys {name}", target, messages, params=params, budget=bits)
        setting = HALF if target == HALF else label((target, params, budget))
        rows.append({
            "setting": setting, "compressor": target, "family": family(target),
            "norm": head.norm, "secret_rows": game.rows, "messages": messages,
            "bits_per_secret_bit": float(np.mean(found.charged)) / secret,
            "bit_error": float(np.mean(found.errors)),
            "least": min(found.errors), "most": max(found.errors),
        })  # fmt: skip
    return rows


def stored(head: OwnTokens, setting: Setting) -> Row:
    """A cache's bits a number of its values, and the additive error of nine answers in ten.

    All of the message counts, keys too, over the n d numbers of the values. These are uniform in
    [0, 1]; all n queries are asked. The bound is that of these keys at this error.
    """
    target, params, _ = setting
    game = OwnKeysReduction.build(head, D)
    values = coins.secret_bits(KEY, "own keys points", 0, N * D * 16).reshape(N, D, 16)
    V = (values @ (1 << np.arange(16)) / (2**16 - 1)).astype(np.float32)
    every = _EveryToken(game, V)
    bob, charged = told(every, np.empty(0), partial(build, every, target, params, None))  # type: ignore[arg-type]
    zeros = np.zeros_like(head.queries)
    said = bob.next_outputs(head.queries, zeros, np.zeros((N, D), np.float32))
    scores = head.queries.astype(np.float64) @ head.keys.T.astype(np.float64)
    top = np.maximum(scores.max(axis=1), 0)[:, None]
    weights = np.exp(scores - top)
    exact = weights @ V / (weights.sum(axis=1, keepdims=True) + np.exp(-top))
    gamma = float(np.quantile(np.abs(said - exact), 0.9))
    limit = own_limit(own_tokens(head.keys, head.norm, eta=None, gamma=min(gamma, 0.49)))
    return {
        "setting": label(setting), "compressor": target, "norm": head.norm,
        "bits_a_number": charged / (N * D), "gamma": gamma,
        "bound_a_number": limit.bound_bits / (N * D),
    }  # fmt: skip


class _EveryToken:
    """The game's stream with other values, for ``told``."""

    def __init__(self, game: OwnKeysReduction, V: Any) -> None:
        self.tokens, self.extra, self.d_k, self.d_v = game.tokens, game.extra, game.d_k, game.d_v
        self._game, self._V = game, V

    def public(self) -> dict[str, Any]:
        return {"attention": "softmax", "softmax_scale": 1.0}

    def stream(self, _: Any) -> Any:
        K = self._game.head.keys
        return np.zeros_like(K), K, self._V
