"""What the referee's table says: each claim reads the table and nothing else."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compressors.engines.findings import APART, unexplained
from ...protocols.evidence.ledger import LINE_BITS
from ..kit.experiment import Judgement, claim, judge
from .findings import DEVIATIONS, deviation
from .measure import TABLE

if TYPE_CHECKING:
    import pandas as pd

#: what the table has to hold: declared settings that were played, by scheme
WANTED = {"kvpress": 20, "hf": 8, "llamacpp": 6}
WANTED_CODECS = 4
CLOSE = 0.01
#: a method whose reading Bob is so much better than its asking Bob hides and does not free
HIDDEN = 0.05


def _played(table: pd.DataFrame) -> pd.DataFrame:
    """The lines that were played without a failure."""
    return table[table["failed"].isna()]


def _lines(table: pd.DataFrame, target: str, **wanted: Any) -> pd.DataFrame:
    """The played lines of a target whose parameters include those given."""
    table = _played(table)
    table = table[table["target"] == target]
    keep = [
        all(json.loads(text).get(k) == v for k, v in wanted.items()) for text in table["params"]
    ]
    return table[keep]


def _settings(table: pd.DataFrame) -> pd.DataFrame:
    """One line a setting that was played by asking, prefilled, on the literal stream."""
    table = _played(table)
    plain = (table["bob"] == "asks") & (table["feed"] == "prefill")
    return table[plain & (table["basis"] == "literal")]


@claim("engines.played", "observation", "ours", TABLE)
def played(everything: pd.DataFrame) -> Judgement:
    """20 presses of kvpress, 8 settings of transformers caches, 6 cache types of llama.cpp and 4
    packages of codecs were played.
    """
    table = _settings(everything)
    scheme = table["target"].str.partition(":")[0]
    kinds = {name: table[scheme == name]["target"].nunique() for name in ("kvpress", "llamacpp")}
    kinds["hf"] = len(table[scheme == "hf"])
    codecs = table[scheme == "codec"]["distribution"].nunique()
    failed = everything[everything["failed"].notna()]["target"].nunique()
    holds = all(kinds[name] >= least for name, least in WANTED.items()) and codecs >= WANTED_CODECS
    return judge(
        holds,
        f"{kinds['kvpress']} presses, {kinds['hf']} settings of transformers caches, "
        f"{kinds['llamacpp']} of llama.cpp, {codecs} packages of codecs; {failed} targets with a "
        "line that failed",
    )


@claim("engines.blind", "observation", "ours", TABLE)
def blind(table: pd.DataFrame) -> Judgement:
    """On these streams no engine sends fewer bits than the secret has, so the ledger is blind to
    all of them: what it does not exclude, it could not.

    Is every message as long as the secret, so that no answers at all could be impossible?
    """
    table = _played(table)
    shorter = sorted(set(table[table["rate"] < 1]["target"]))
    least = table.loc[table["rate"].idxmin()]
    # A cheat without an error: s = N - m - log2(N+1) against the line of the family, and less where
    # a sample of the rows is asked and the whole message is charged.
    surprise = table["asked"] * (1 - table["rate"]) - np.log2(table["asked"] + 1)
    named = int((surprise >= LINE_BITS + math.log2(len(table))).sum())
    return judge(
        not shorter and not named,
        f"{len(table)} lines, {int(table['messages'].sum())} messages; shorter than the secret: "
        f"{', '.join(shorter) or 'none'}; the shortest has {least['rate']:.2f} bits a secret bit "
        f"({least['target'].partition(':')[2].rpartition(':')[2]}). Power of 'not-excluded': a "
        f"cheat without an error would be named at {named} lines",
    )


@claim("engines.full", "Theorem 8", "ours", TABLE)
def full(table: pd.DataFrame) -> Judgement:
    """transformers' DynamicCache loses nothing and frees nothing."""
    table = _lines(table, "hf:dynamic")
    table = table[table["bob"] == "asks"]
    share = table["wire"]
    return judge(
        len(table) >= 2 and not table["wrong"].any() and bool(((share - 1).abs() < CLOSE).all()),
        f"{int(table['wrong'].sum())} wrong of {int(table['asked'].sum()):,} bits in "
        f"{int(table['messages'].sum())} messages; the message is {share.min():.4f} to "
        f"{share.max():.4f} of the bf16 cache",
    )


@claim("engines.evictions", "observation", "ours", TABLE)
def evictions(table: pd.DataFrame) -> Judgement:
    """Whatever ranks the tokens, keeping a share f of them leaves the error (1 - f)/2 and the bytes
    f.
    """
    table = _settings(table)
    table = table[table["keeps"].notna()]
    expected = (1 - table["keeps"]) / 2
    error, drawn = (table["bit_error"] - expected).abs(), DEVIATIONS * deviation(expected, table)
    whole = table[table["declared"] == table["keeps"]]  # in 16-bit numbers
    size = (whole["logical"] - whole["keeps"]).abs()
    framing = (whole["wire"] - whole["logical"]).max()
    return judge(
        len(table) > 0 and bool((error <= CLOSE + drawn).all()) and size.max() <= CLOSE,
        f"{len(table)} settings of {table['target'].nunique()} methods; largest distance of the "
        f"error {error.max():.4f}, of the bytes {size.max():.4f} where numbers have 16 bits "
        f"(allowed {CLOSE}"
        + (f", and {drawn.max():.4f} for a sample of the rows" if drawn.max() > 0 else "")
        + f"); the message has up to {framing:.3f} more",
    )


@claim("engines.masks", "observation", "ours", TABLE)
def masks(table: pd.DataFrame) -> Judgement:
    """Some methods hide tokens from attention and do not free them: who reads the message recovers
    what asking cannot.
    """
    table = _played(table)
    literal = table[table["basis"] == "literal"]
    key = ["target", "params", "feed"]
    asks = literal[literal["bob"] == "asks"].set_index(key)
    reads = literal[literal["bob"] == "reads"].set_index(key)
    both = asks.join(reads[["bit_error"]].add_suffix("_read"), how="inner")
    hidden = both[both["bit_error"] - both["bit_error_read"] > HIDDEN]
    names = sorted({target.partition(":")[2] for target, _, _ in hidden.index})
    whole = hidden["wire"].min() if len(hidden) else 0.0
    return judge(
        len(hidden) > 0 and bool((hidden["wire"] > 1 - hidden["bit_error_read"] * 2 - CLOSE).all()),
        f"{len(hidden)} settings ({', '.join(names)}): the message holds at least {whole:.2f} of "
        f"the cache; errors by asking {hidden['bit_error'].min():.3f} to "
        f"{hidden['bit_error'].max():.3f}, by reading {hidden['bit_error_read'].min():.3f} to "
        f"{hidden['bit_error_read'].max():.3f}",
    )


@claim("engines.bytes", "observation", "ours", TABLE, preregistered=False)
def told(table: pd.DataFrame) -> Judgement:
    """No package is judged by our adapter's bytes: what a message has beyond the memory that the
    cache holds is named in its row.

    Is wire <= resident + side for every line, or does the row say what the rest is?
    """
    table = _played(table)
    shares = table.reindex(columns=["resident", "side", "beside", "wire"]).fillna(0.0)
    rest = shares["wire"] - shares["resident"] - shares["side"]
    silent = [unexplained(one) for one in shares.to_dict("records")]
    names = sorted(set(table["target"][silent]))
    return judge(
        len(table) > 0 and not names,
        f"{len(table)} lines: the message has up to {rest.max():.3f} of the cache more, in "
        f"{int((rest > APART).sum())} lines more than {APART}; without a reason: "
        f"{', '.join(names) or 'none'}",
    )


@claim("engines.basis", "observation", "ours", TABLE, preregistered=False)
def basis(table: pd.DataFrame) -> Judgement:
    """The stream's basis decides what two bits a number are worth: on the literal one nothing is
    lost, on the rotated one .060.
    """
    two = _lines(table, "hf:quantized", backend="quanto", nbits=2, axis=0)
    asked = two[two["bob"] == "asks"].set_index(["feed", "basis"])["bit_error"]
    four = _lines(table, "hf:quantized", backend="hqq", nbits=4, axis=0)
    four = four[(four["feed"] == "prefill") & (four["bob"] == "asks")]
    if len(asked) < 4 or four.empty:
        return judge(False, "the settings are not in the table", decided=False)
    literal = max(asked["prefill", "literal"], asked["stream", "literal"])
    streamed, prefilled = asked["stream", "rotated"], asked["prefill", "rotated"]
    return judge(
        literal == 0
        and abs(streamed - 0.060) <= 0.02
        and 0.04 <= prefilled <= 0.10
        and not four["wrong"].any(),
        f"quanto with 2 bits errs {literal:.4f} on the literal stream, on the rotated one "
        f"{streamed:.4f} token by token and {prefilled:.4f} prefilled; hqq with 4 bits, prefilled: "
        f"{int(four['wrong'].sum())} wrong of {int(four['asked'].sum()):,}",
    )


@claim("engines.llamacpp", "observation", "ours", TABLE, preregistered=False)
def llamacpp(table: pd.DataFrame) -> Judgement:
    """In a random basis llama.cpp's f16, q8_0 and q4_0 caches lose no bit, at 33.5, 18.5 and 10.5
    message bits a secret bit.
    """
    wanted = {"llamacpp:f16": 33.5, "llamacpp:q8_0": 18.5, "llamacpp:q4_0": 10.5}
    table = _played(table)
    plain = table["target"].isin(wanted) & table["keeps"].isna() & (table["params"] == "{}")
    table = table[plain & (table["feed"] == "prefill") & (table["bob"] == "asks")]
    rates = table.groupby("target")["rate"].max()
    if set(wanted) - set(rates.index):
        return judge(False, "the cache types are not in the table", decided=False)
    near = all(abs(rates[name] - rate) < 0.1 for name, rate in wanted.items())
    turned, literal = (table[table["basis"] == basis] for basis in ("rotated", "literal"))
    said = ", ".join(f"{name.partition(':')[2]} {rates[name]:.2f}" for name in wanted)
    return judge(
        near and not turned["wrong"].any(),
        f"message bits per secret bit: {said}; {int(turned['wrong'].sum())} wrong of "
        f"{int(turned['asked'].sum()):,} on the rotated stream, {int(literal['wrong'].sum())} of "
        f"{int(literal['asked'].sum()):,} on the literal one",
    )
