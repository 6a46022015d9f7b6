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
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ....compressors.plugin.contract import charged_bits
from ....errors import BudgetTooSmall
from ..bench import Bench, D, Stream, real_valued, stream, two_valued
from ..fault import Fault, named, whole
from .growth import grown

TITLE = "memory against the budget"
TOKENS = 512
BUDGETS = (Fraction(1), Fraction(1, 2), Fraction(1, 4))
USES = 0.4
ROUNDS, FULL, EXACT = 8, 16, 1e-5


def law(bench: Bench) -> Iterator[Fault]:
    """Whether the budget is used; whether compression engages."""
    yield from _unused(bench)
    yield from _engaged(bench)


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
    """Play at three budgets; read which tokens are held and what the message is charged."""
    if bench.most < TOKENS:
        return
    one = stream(TOKENS, two_valued(TOKENS))
    shape = bench.shape(TOKENS)
    step = 1
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
        lost = [t for t, row in zip(tokens, wrong, strict=True) if row.mean() >= 0.25]
        found.append((share, budget, charged, lost))
        stated = stated or _stated(compressor)
        if share == 1 and (not lost or charged > USES * budget):
            return
        step = 4
    if len({charged for _, _, charged, _ in found}) == 1:
        return
    if not all(lost and charged < USES * budget for _, budget, charged, lost in found):
        return
    _, budget, charged, lost = found[0]
    held = TOKENS - len(lost)
    could = min(TOKENS, int(held * budget / charged)) if held else 0
    secret = TOKENS * D
    rest = ", ".join(f"{c / b:.0%} at budget {share}" for share, b, c, _ in found[1:])
    yield Fault(
        "budget-unused",
        f"at budget 1 ({budget} bits, {budget / secret:.3g} a secret bit) the message is charged "
        f"{charged} bits ({charged / secret:.3g} a secret bit, {charged / budget:.0%}; {rest}) and "
        f"{len(lost)} of {TOKENS} tokens are lost: {held} are held, and {could} would fit at the "
        "same "
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
