"""Nothing comes back: what is lost at length n stays lost.

*Law.* The state after n tokens is all there is: what a later state says of token t it has from that
one. Let token t's d_v secret bits be independent of everything else. If a later answer reads all
of them right, the state at n determined them (the tokens that came between are independent of
them). So a cache that reads a quarter of them wrong at n, by a query at which its token stands out,
held them and answered without them. Had they been lost, the later answer were right with
probability 2^-d_v a token.

A cache may leave a token unread on purpose, and read it later (sparse attention chooses by query):
then other tokens than the newest are concerned, for other reasons than the length. The law speaks
of one query, that of the token's own key, so whoever chooses by score chooses it. Who samples or
clusters gives tokens unequal weights at q = 0: there it is said, as a note.

For a batch algorithm each length is a run of its own. There the law is weaker, and is this: who
reads every token right at several longer lengths does not need to lose any at a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...evidence.places import named, spans
from ..bench import Bench
from ..fault import Fault, whole
from .growth import EVERY_LENGTH, Growth, grown

TITLE = "every length from 1 on"


def law(bench: Bench) -> Iterator[Fault]:
    """The lengths at which tokens are lost that are read right later."""
    growth = grown(bench)
    if "full" in bench.kept:
        words = ", ".join(k for k, v in bench.window_sizes.items() if v == bench.most)
        size = f"{words} = {bench.most}" if words else f"{bench.most}"
        yield Fault("full", f"{bench.kept['full']}; it has the size {size}.")
    back = {n: came_back(growth, n) for n in growth.lengths}
    if not bench.streaming:
        clean = [n for n in growth.lengths if not growth.lost(n)]
        back = {n: t if sum(m > n for m in clean) >= 2 else [] for n, t in back.items()}
    faulty = [n for n in growth.lengths if back[n]]
    if not faulty:
        return
    n = max(faulty, key=lambda m: (m <= EVERY_LENGTH, len(back[m]), -m))
    tokens = back[n]
    later = next(m for m in growth.lengths if m > n and growth.shares[m].get(tokens[0]) == 0)
    wrong = np.any([growth.wrong[n][t] for t in tokens], axis=0)
    channels = None if wrong.mean() > 0.4 else whole(np.flatnonzero(wrong))
    of = "" if channels is None else f", {named('channel', channels)},"
    share = np.mean([growth.shares[n][t] for t in tokens])
    shape = bench.shape(len(growth.stream) if bench.streaming else n)
    softly = bench.weighs_alike(growth.stream.first(n), shape)
    yield Fault(
        "comes-back" if softly else "reads-in-part",
        f"after {n} tokens, {named('token', tokens)}{of} read wrong ({share:.0%} of the bits); "
        "after "
        f"{later} tokens, token {tokens[0]} reads right again. {_when(growth, faulty)}",
        tokens=whole(tokens),
        channels=channels,
        operation=f"append {n}",
        reproduction=(f"append {n} tokens", f"ask for token {tokens[0]}: wrong",
                      f"append {later - n} more", f"ask for token {tokens[0]}: right"),
    )  # fmt: skip


def came_back(growth: Growth, n: int) -> list[int]:
    """The tokens that are lost at length n and have all bits right at a greater one."""
    later = [m for m in growth.lengths if m > n]
    return [t for t in growth.lost(n) if any(growth.shares[m].get(t) == 0 for m in later)]


def _when(growth: Growth, faulty: Sequence[int]) -> str:
    """The lengths, as residues if they have a period."""
    small = [n for n in growth.lengths if n <= EVERY_LENGTH]
    # The last of them have no later length that could bring a token back.
    known = small[: -len(small) // 4] if len(small) < EVERY_LENGTH else small
    marked = set(faulty)
    for period in range(2, len(known) // 2 + 1):
        residues = {n % period for n in known if n in marked}
        if residues and all((n in marked) == (n % period in residues) for n in known):
            return f"So it is at lengths n with n mod {period} in {{{spans(residues)}}}."
    return f"So it is at lengths {spans(faulty)}, of {len(growth.lengths)} tried."
