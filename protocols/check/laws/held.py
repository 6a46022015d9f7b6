"""What a cache holds, and what cannot be meant: holes, a window one short, sinks that go.

What is held is read, not declared: the tokens with all bits right at the tight scale. It is
described as all, the last W, the first S and the last W, or as a number of tokens. That is no
finding: nobody said that all is to be held. Three things are, since the cache itself says
otherwise:

*A hole.* A token t is lost at length n while older ones are held, few are (a tenth), or t was
lost as soon as it came, though most newest tokens are not; and later the cache holds at least
twice as many tokens as it held before it lost t. So it did not lack room. (A cache that evicts
for lack of room holds no more afterwards than before.) Held tokens must be clean (at most 1 bit
in 50 wrong besides the lost tokens), so that coarse rounding does not pass for a hole.

So is the first token that is lost, if it is the newest: who lacks room lets an older one go.

*One beside a parameter.* At the last three lengths at which it holds fewer tokens than came, it
holds W - 1 or W + 1, where a parameter of its constructor, or a number named like a window, is W
>= 8.

*Out of turn.* At the greatest length the first S and the last W >= 8 are held; at a smaller one a
token of the last W is lost while an older one, after the first S, is held. There is room for W, as
the later length shows, and an older token took it. *The wrong end.* A parameter named like a window
is S + W, and at all lengths over it the first S and the last W < S are held: what came first is
kept in place of the last.

*Sinks.* A parameter named like a sink says S, tokens are evicted, and the first S are not all held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from ...evidence.places import named
from ..bench import Bench
from ..fault import Fault, whole
from .growth import LOST, Growth, grown

TITLE = "what is held has no holes"
LEAST = 8
LAST = 3


def law(bench: Bench) -> Iterator[Fault]:
    """Describe what is held; yield what cannot be meant."""
    growth = grown(bench)
    bench.holds = described(growth, growth.lengths[-1])
    from .returns import came_back

    if not any(came_back(growth, n) for n in growth.lengths):
        yield from _holes(bench, growth)
    yield from _beside(bench, growth)
    yield from _wrong_end(bench, growth) or _out_of_turn(growth)
    yield from _sinks(bench, growth)


def first_and_last(growth: Growth, n: int) -> tuple[int, int] | None:
    """(S, W): of the tokens asked exactly the first S and the last W are held; or None."""
    asked = sorted(growth.shares[n])
    flags = [growth.shares[n][t] < LOST for t in asked]
    if all(flags):
        return 0, n
    head = flags.index(False)
    tail = flags[::-1].index(False)
    if any(flags[head : len(flags) - tail]):
        return None
    first = asked[head - 1] + 1 if head else 0
    last = n - asked[len(asked) - tail] if tail else 0
    # Between the two tokens asked at an edge nobody was asked: then the number is not known.
    known_first = asked[head] == first
    known_last = not tail or asked[len(asked) - tail - 1] == n - last - 1
    return (first, last) if known_first and known_last else None


def described(growth: Growth, n: int) -> str:
    """What is held after n tokens, in words."""
    found = first_and_last(growth, n)
    shares = list(growth.shares[n].values())
    clean = float(np.mean(shares))
    if found == (0, n):
        exact = "" if clean == 0 else f", with {clean:.1%} of the bits wrong"
        return f"all of {n} tokens{exact}"
    if found is not None and found != (0, 0):
        first, last = found
        words = [f"the first {first}"] * bool(first) + [f"the last {last}"] * bool(last)
        return f"{' and '.join(words)} of {n} tokens"
    held = sum(share < LOST for share in shares)
    if not held:
        return f"no token of {n} for certain"
    return f"{held} of {len(shares)} tokens asked, at {n}"


def _holes(bench: Bench, growth: Growth) -> Iterator[Fault]:
    newest = list(_newest(growth))
    lengths = growth.lengths
    most = {n: _count(growth, n) for n in lengths}
    born = _lost_at_birth(growth)
    for n in lengths:
        lost, held = growth.lost(n), growth.held(n)
        asked = growth.shares[n]
        few = len(lost) <= 0.1 * len(asked)
        inside = [t for t in lost if t in born or (few and held and min(held) < t)]
        others = [share for share in asked.values() if share < LOST]
        if not (inside and held) or np.mean(others) > 0.02:
            continue
        before = max(most[m] for m in lengths if m <= n)
        later = [m for m in lengths if m > n and most[m] >= 2 * before]
        if not later:
            continue
        last = later[-1]
        oldest = min(growth.held(last), default=0)
        end = [t for t in growth.lost(last) if t > oldest] or inside
        yield Fault(
            "hole",
            f"{named('token', inside)} {'is' if len(inside) == 1 else 'are'} lost after {n} "
            "tokens, "
            f"while it holds {len(held)} others, and later {most[last]}: there was room. After "
            f"{last} tokens, {named('token', end)} {'is' if len(end) == 1 else 'are'} lost.",
            tokens=whole(end),
            operation=f"append {n}",
            reproduction=(f"append {n} tokens", f"ask for token {inside[0]}"),
        )
        return
    yield from newest


def _newest(growth: Growth) -> Iterator[Fault]:
    """Whether the first token that is lost is the newest, while all others are held."""
    n = next((n for n in growth.lengths if growth.lost(n)), None)
    if n is None or growth.lost(n) != [n - 1] or len(growth.held(n)) < n - 1 or n < 3:
        return
    yield Fault(
        "hole",
        f"token {n - 1} is lost as soon as it came, after {n} tokens, while all before it are "
        "held.",
        tokens=(n - 1,),
        operation=f"append {n}",
        reproduction=(f"append {n} tokens", f"ask for token {n - 1}"),
    )


def _lost_at_birth(growth: Growth) -> set[int]:
    """The tokens that are lost when they are the newest, if most are not."""
    newest = [n - 1 for n in growth.lengths if n - 1 in growth.shares[n]]
    lost = {t for t in newest if growth.shares[t + 1][t] >= LOST}
    return lost if len(lost) < 0.6 * len(newest) else set()


def _count(growth: Growth, n: int) -> int:
    """About how many tokens are held: of those asked, in proportion."""
    return round(n * len(growth.held(n)) / len(growth.shares[n]))


def _beside(bench: Bench, growth: Growth) -> Iterator[Fault]:
    windows = {}
    for n in growth.lengths:
        found = first_and_last(growth, n)
        if found is not None and 0 < sum(found) < n:
            windows[n] = sum(found)
    kept = set(list(windows.values())[-3:])
    if len(windows) < 3 or len(kept) != 1:
        return
    w, n = kept.pop(), max(windows)
    if w in bench.named_sizes.values():
        return
    for name, size in bench.window_sizes.items():
        if size >= LEAST and w in (size - 1, size + 1):
            first, _ = first_and_last(growth, n) or (0, 0)
            missing = n - size + first
            yield Fault(
                "off-by-one",
                f"{name}={size}, and it holds {w} tokens at every length over it: after {n} "
                "tokens, "
                + (
                    f"token {missing} is lost, of the last {size - first}."
                    if w < size
                    else f"token {missing - 1} still answers."
                ),
                tokens=(missing if w < size else missing - 1,),
                operation=f"append {n}",
                reproduction=(f"append {n} tokens", f"ask for token {missing}"),
            )
            return


def _wrong_end(bench: Bench, growth: Growth) -> list[Fault]:
    for name, size in bench.named_sizes.items():
        if size < LEAST or not re.search("window|recent|local", name.lower()):
            continue
        over = [n for n in growth.lengths if n > size + 1]
        kept = {first_and_last(growth, n) for n in over} - {None}
        if len(over) < LAST or len(kept) != 1:
            continue
        n = over[-1]
        first, last = kept.pop() or (0, 0)
        if first > last and abs(first + last - size) <= 1:
            gone = [t for t in growth.lost(n) if t >= n - size]
            return [Fault(
                "hole",
                f"{name}={size}, and after {n} tokens the first {first} and the last {last} are "
                f"held: of the last {size}, {named('token', gone)} are lost.",
                tokens=whole(range(max(first, n - size), n - last)),
                operation=f"append {size + 1}",
                reproduction=(f"append {n} tokens", f"ask for token {gone[-1]}"),
            )]  # fmt: skip
    return []


def _out_of_turn(growth: Growth) -> list[Fault]:
    end = growth.lengths[-1]
    first, last = first_and_last(growth, end) or (0, 0)
    if last < LEAST or first + last >= end:
        return []
    for n in growth.lengths[:-1]:
        gone = [t for t in growth.lost(n) if t >= n - last]
        older = [t for t in growth.held(n) if first <= t < n - last]
        if gone and len(older) >= len(gone) / 2:
            return [Fault(
                "hole",
                f"after {end} tokens it holds the last {last}; after {n} tokens "
                f"{named('token', gone)} of these {'is' if len(gone) == 1 else 'are'} lost, while "
                f"{named('token', older)} {'is' if len(older) == 1 else 'are'} held.",
                tokens=whole(gone),
                operation=f"append {n}",
                reproduction=(f"append {n} tokens", f"ask for token {gone[0]}: lost",
                              f"ask for token {older[0]}: held"),
            )]  # fmt: skip
    return []


def _sinks(bench: Bench, growth: Growth) -> Iterator[Fault]:
    for name, size in bench.named_sizes.items():
        if "sink" not in name.lower() or size < 1:
            continue
        for n in growth.lengths:
            lost, held = growth.lost(n), growth.held(n)
            gone = [t for t in lost if t < size]
            if gone and len(held) > 2 * size:
                yield Fault(
                    "sinks-lost",
                    f"{name}={size}, and after {n} tokens {named('token', gone)} "
                    f"{'is' if len(gone) == 1 else 'are'} lost, while {len(held)} later ones are "
                    "held.",
                    tokens=whole(gone),
                    operation=f"append {n}",
                    reproduction=(f"append {n} tokens", f"ask for token {gone[0]}"),
                )
                return
