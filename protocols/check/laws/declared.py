"""What is declared held is held: counterexamples, by counting.

A declaration (``plugin.declaration``) names the tokens that a cache holds after n tokens. The
streams here have certified scales (``bench``), so one wrong bit of a held token refutes it. Where
fewer bits a number are declared than explain no rounding, a token is refuted that lost a quarter
of its bits or more, while three quarters of the held tokens have none wrong
(``evidence.declared`` has the proof). With tokens and channels exchanged this is as true: of 64
held tokens or more a channel is refuted that is wrong in a quarter of them, 16 at least, while
three quarters of the channels have no wrong bit: if rounding flips each with probability p, then
64 p <= ln 2, and 16 flips of a channel have probability below 2e-16 (more tokens ask for more).
Memory: 24 tokens more may make the message longer by what the declaration allows for them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....compressors.plugin.declaration import Declaration, declared_by
from ....errors import BadInput
from ...evidence.places import named
from ..bench import Bench, Stream, real_valued, stream
from ..fault import Fault, whole
from .growth import LOST, Growth, grown

TITLE = "what is declared is held"
SLACK = 1.1
EXACT = 1e-4
"""Of numbers up to 3/2: sums in float32 keep 1e-6, float16 moves each number by up to 5e-4."""
FEW, MORE = 24, 48
FEW_TOKENS = 64


def declaration_of(bench: Bench) -> Declaration | None:
    """The declaration in force: the words of the command line, or the cache's own."""
    before, after = bench.words
    if before:
        return Declaration.of_words(before)
    own = declared_by(bench.build(bench.shape(MORE)))
    return Declaration.of_words(after) if own is None and after else own


def law(bench: Bench) -> Iterator[Fault]:
    """Every length against the declaration, then memory."""
    try:
        declaration = declaration_of(bench)
    except BadInput as error:
        yield Fault("bad-declaration", str(error))
        return
    if declaration is None:
        bench.skipped = "nothing declared"
        return
    growth = grown(bench)
    for n in growth.lengths:
        fault = _at(bench, growth, declaration, n)
        if fault is not None:
            yield fault
            break
    yield from _memory(bench, growth, declaration)
    if declaration.exact:
        yield from _exact(bench, declaration)


def _at(bench: Bench, growth: Growth, declaration: Declaration, n: int) -> Fault | None:
    held = declaration.held(n)
    if held is None:
        return None
    asked = [t for t in growth.wrong[n] if held[t]]
    wrong = [t for t in asked if growth.wrong[n][t].any()]
    if not declaration.strict(bench.shape(n)):
        clean = len(asked) - len(wrong)
        wrong = (
            [t for t in wrong if growth.shares[n][t] >= LOST] if 4 * clean >= 3 * len(asked) else []
        )
    first = None
    if not wrong and len(asked) >= FEW_TOKENS:
        table = np.stack([growth.wrong[n][t] for t in asked])
        times = table.sum(axis=0)
        dead = np.flatnonzero(4 * times >= len(asked))
        if len(dead) and 4 * int((times == 0).sum()) >= 3 * len(times):
            first = int(dead[0])
            wrong = [asked[i] for i in np.flatnonzero(table[:, first])]
    if not wrong:
        return None
    token = wrong[0]
    channel = int(np.flatnonzero(growth.wrong[n][token])[0]) if first is None else first
    bit = int(growth.stream.values[token, channel] > 0.5)
    channels = whole(np.flatnonzero(np.any([growth.wrong[n][t] for t in wrong], axis=0)))
    return Fault(
        "counterexample",
        f"{declaration} is declared, and after {n} tokens, {named('token', wrong)} "
        f"{'is' if len(wrong) == 1 else 'are'} read wrong: token {token}, layer 0, head 0, channel "
        f"{channel} was {bit} and reads as {1 - bit}.",
        tokens=whole(wrong),
        channels=None if len(channels) > len(growth.wrong[n][token]) / 3 else channels,
        operation=f"append {n}",
        reproduction=(f"append {n} tokens", f"ask for token {token}: channel {channel} reads "
                      f"{1 - bit}, not {bit}"),
    )  # fmt: skip


def _exact(bench: Bench, declaration: Declaration) -> Iterator[Fault]:
    """Answers against exact attention over the tokens that are declared held."""
    one = stream(MORE, real_valued(MORE))
    held = declaration.held(MORE)
    if held is None:
        return
    for scale in (one.scale, 2.0):
        asked = Stream(one.keys, one.values, scale)
        answers = bench.read(bench.fed(asked), asked, range(MORE))
        scores = scale * one.keys.astype(np.float64) @ one.keys[held].T.astype(np.float64)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        exact = weights @ one.values[held] / weights.sum(axis=1, keepdims=True)
        away = np.abs(answers - exact).max(axis=1)
        hit = np.flatnonzero(held & (away > EXACT))
        if len(hit):
            yield Fault(
                "counterexample",
                f"exact is declared, and after {MORE} tokens the answers to the keys of "
                f"{named('token', hit)} are up to {away[hit].max():.2g} from exact attention over "
                f"what is held, at scale {scale:g}.",
                tokens=whole(hit),
                operation="attend",
                reproduction=(f"append {MORE} tokens", f"ask {scale:g} times the key of token "
                              f"{hit[0]}"),
            )  # fmt: skip
            return


def _memory(bench: Bench, growth: Growth, declaration: Declaration) -> Iterator[Fault]:
    if FEW not in growth.bits or MORE not in growth.bits:
        return
    allowed = [declaration.bits_allowed(bench.shape(n)) for n in (FEW, MORE)]
    if allowed[0] is None or allowed[1] is None or allowed[1] <= allowed[0]:
        return
    grew, may = growth.bits[MORE] - growth.bits[FEW], allowed[1] - allowed[0]
    numbers = (MORE - FEW) * 2 * growth.stream.values.shape[1]
    if grew > SLACK * may:
        yield Fault(
            "over-declared",
            f"from {FEW} to {MORE} tokens the message grows by {grew / numbers:.3g} bits a "
            "number, and "
            f"{may / numbers:.3g} are declared.",
            operation="save",
            reproduction=(f"append {FEW}: {growth.bits[FEW]} bits",
                          f"append {MORE}: {growth.bits[MORE]} bits"),
        )  # fmt: skip
