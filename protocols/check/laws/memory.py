"""A budget is there to be used, and compression to save memory.

*Unused.* A cache that depends on its budget B was given room for r tokens at the price it has, p
= (message bits) / (tokens held); if it loses tokens and its message is charged less than 2B/5,
then at its own price it could hold more than twice as many as it does. It misses its own purpose,
whatever the plan: 2B/5 leaves room for a whole number of bits a number (a quantiser with 1, 2, 4
or 8 bits uses more than half of what it may), and it must be so at three budgets. A cache of one
size, whatever the budget, is not judged: it has a plan of its own.

*Never engaged.* A parameter named like bits says at most 8; but at the greatest length tried each
further token costs 16 bits a number or more, and the oldest tokens are answered exactly: nothing
was rounded. (Who stores what he rounded in a wide type does round, and is not meant here.)

*Swapped.* Parameters say a bits for keys and b for values, |a - b| >= 3. Numbers that are read with
the relative error e carry R = log2(1/e) bits each, which for a scalar quantiser of the range of its
group is its bits, up to one. If R of the keys is at least 3/2 nearer to b than to a, and R of the
values to a than to b, the two are exchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ....compressors.plugin.contract import charged_bits
from ....errors import BudgetTooSmall
from ...evidence.places import named
from ..bench import Bench, D, Stream, real_valued, stream, tight_scale, two_valued
from ..fault import Fault, whole
from .growth import grown
from .structure import stored_keys

TITLE = "memory against the budget"
TOKENS = 512
BUDGETS = (Fraction(1), Fraction(1, 2), Fraction(1, 4))
USES = 0.4
ROUNDS, FULL, EXACT = 8, 16, 1e-5
APART, NEARER = 3, 1.5
_BITS = {"k": "(k|key|keys)_?(n?bits)|(n?bits)_?(k|key|keys)",
         "v": "(v|value|values)_?(n?bits)|(n?bits)_?(v|value|values)"}  # fmt: skip


def law(bench: Bench) -> Iterator[Fault]:
    """Whether the budget is used; whether compression engages."""
    yield from _unused(bench)
    yield from _engaged(bench)
    yield from _swapped(bench)


def _swapped(bench: Bench) -> Iterator[Fault]:
    names = {
        which: name
        for name, size in bench.named_sizes.items()
        for which in "kv"
        if 0 < size <= FULL and re.fullmatch(_BITS[which], name.lower())
    }
    if len(names) < 2 or not bench.is_softmax:
        return
    k_bits, v_bits = (bench.named_sizes[names[which]] for which in "kv")
    if abs(k_bits - v_bits) < APART:
        return
    rng = np.random.default_rng(8)
    keys = rng.uniform(-1, 1, (8, D)).astype(np.float32)
    stored = stored_keys(bench, keys)
    if stored is None:
        return
    one = stream(64, rng.uniform(-1, 1, (64, D)).astype(np.float32))
    fine = Stream(one.keys, one.values, tight_scale(64, interference=1e-4))
    read = bench.read(bench.fed(fine), fine, range(16))
    rates = [
        float(-np.log2(np.sqrt(np.mean((y - x) ** 2) / np.mean(x**2)) + 2.0**-FULL))
        for x, y in ((keys, stored), (one.values[:16], read))
    ]
    nearer = [abs(r - own) - abs(r - other) for r, own, other in
              zip(rates, (k_bits, v_bits), (v_bits, k_bits), strict=True)]  # fmt: skip
    if min(nearer) >= NEARER:
        yield Fault(
            "bits-swapped",
            f"{names['k']}={k_bits} and {names['v']}={v_bits}, and keys come back with an error of "
            f"2^-{rates[0]:.1f} of their size and values with 2^-{rates[1]:.1f}: exchanged.",
            operation="append",
            reproduction=("append 64 tokens of uniform numbers", "ask for token 0"),
        )


def _engaged(bench: Bench) -> Iterator[Fault]:
    said = {
        name: size
        for name, size in bench.named_sizes.items()
        if name.lower().endswith("bits") and 0 < size <= ROUNDS
    }
    if not said:
        return
    growth = grown(bench)
    lengths = [n for n in growth.lengths if growth.bits[n]]
    if len(lengths) < 2:
        return
    a, b = lengths[-2:]
    each = (growth.bits[b] - growth.bits[a]) / ((b - a) * 2 * D)
    one = stream(b, real_valued(b))
    asked = [0, 1, b // 2]
    away = float(np.abs(bench.read(bench.fed(one), one, asked) - _true(one, asked)).max())
    if each >= FULL and away < EXACT:
        words = ", ".join(f"{name}={size}" for name, size in said.items())
        yield Fault(
            "never-engaged",
            f"{words}, and compression never engaged: after {b} tokens the answers are exact to "
            f"{away:.1g}, "
            f"and each further token costs {each:.3g} bits a number.",
            operation=f"append {b}",
            reproduction=(
                f"append {a}: {growth.bits[a]} bits",
                f"append {b}: {growth.bits[b]} bits",
            ),
        )


def _true(one: Stream, tokens: list[int]) -> NDArray[np.float64]:
    """Exact attention at the keys of these tokens."""
    scores = one.questions(tokens).astype(np.float64) @ one.keys.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(weights @ one.values / weights.sum(axis=1, keepdims=True))


def _unused(bench: Bench) -> Iterator[Fault]:
    """With one head, then with several, whose parts of the budget may be added up wrongly."""
    if bench.most < TOKENS:
        return
    found = list(_played(bench, 1, 1))
    if not found and bench.whole_tokens:
        found = list(_played(bench, 4, 4))
    yield from found


def _played(bench: Bench, layers: int, heads: int) -> Iterator[Fault]:
    """Play at three budgets; read which tokens are held and what the message is charged."""
    one = stream(TOKENS, two_valued(TOKENS))
    shape = bench.shape(TOKENS)
    of = ""
    if layers * heads > 1:
        wide = (TOKENS, layers, heads, D)
        keys, values = (
            np.broadcast_to(x[:, None, None], wide).copy() for x in (one.keys, one.values)
        )
        one = Stream(keys, values, one.scale)
        shape = bench.shape(TOKENS, layers=layers, heads=heads, kv_heads=heads)
        of = f"with {layers} layers of {heads} heads, "
    step = first_step = 1 if layers * heads == 1 else 8
    found: list[tuple[Fraction, int, int, list[int]]] = []
    stated = ""
    for share in BUDGETS:
        budget = int(shape.cache_bits_16 * share)
        try:
            compressor = bench.fed(one, shape, budget)
        except BudgetTooSmall:
            return
        charged = charged_bits(len(compressor.save()), compressor.message_bytes)
        tokens = range(0, TOKENS, step)
        wrong = (bench.read(compressor, one, tokens) > 0.5) != (one.values[tokens] > 0.5)
        lost = [t for t, row in zip(tokens, wrong, strict=True)
                if row.mean(axis=-1).max() >= 0.25]  # fmt: skip
        found.append((share, budget, charged, lost))
        stated = stated or _stated(compressor)
        if share == 1 and (not lost or charged > USES * budget):
            return
        step = max(step, 4)
    if len({charged for _, _, charged, _ in found}) == 1:
        return
    if not all(lost and charged < USES * budget for _, budget, charged, lost in found):
        return
    _, budget, charged, lost = found[0]
    asked = len(range(0, TOKENS, first_step))
    held = round(TOKENS * (1 - len(lost) / asked))
    could = min(TOKENS, int(held * budget / charged)) if held else 0
    secret = TOKENS * D * layers * heads
    rest = ", ".join(f"{c / b:.0%} at budget {share}" for share, b, c, _ in found[1:])
    yield Fault(
        "budget-unused",
        f"{of}at budget 1 ({budget} bits, {budget / secret:.3g} a secret bit) the message is "
        "charged "
        f"{charged} bits ({charged / secret:.3g} a secret bit, {charged / budget:.0%}; {rest}) and "
        f"{len(lost)} of {asked} tokens asked are lost: {held} are held, and {could} would fit at "
        "the same "
        f"price{stated}. Lost: {named('token', lost)}.",
        tokens=whole(lost),
        operation="save",
        reproduction=(f"budget_bits={budget}", f"append {TOKENS} tokens of d = {D}",
                      f"save: {charged} bits charged", f"ask for token {lost[-1]}"),
    )  # fmt: skip


def _stated(compressor: object) -> str:
    inner = compressor._stateful()  # type: ignore[attr-defined]
    value = getattr(inner, "stated", None)
    if isinstance(value, int | float | np.floating) and not isinstance(value, bool):
        return f" (its attribute `stated` says {float(value):.3g})"
    return ""
