"""Right numbers in wrong places, numbers counted twice, and numbers that are paid for and lost.

Values are random with both signs, so two rows of d numbers, or two channels over n tokens,
correlate by about 1/sqrt(d) by chance; more than 9/10 says that one was read for the other.

*Places.* Channel c answers with channel c'; or token t with token t', where t' does not answer
itself (what an evicted token's query finds instead is a token that does).

*Counts.* At q = 0 all held rows weigh the same. A token with exactly k >= 2 times the weight of the
others, while all tokens are held, was stored k times. (A cache that merges tokens has one row for
several, so not all are held.)

*Paid and lost.* If 24 more tokens make the message longer by at least 8 bits for each of their
numbers, the cache has room for each number to 8 bits; a channel of all tokens that has nothing to
do with what was appended is then lost for nothing. Where tokens cost less, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ....compressors.plugin.contract import Float32
from ...evidence.places import named
from ..bench import Bench, D, Stream, real_valued, stream
from ..fault import Fault, whole

TITLE = "right numbers in right places"
TOKENS = 48
SAME, OTHER = 0.9, 0.5
PAID = 8.0


def law(bench: Bench) -> Iterator[Fault]:
    """Channels, then tokens, then counts, for d = 64 and for widths that are no power of 2."""
    tokens = min(TOKENS, bench.most)
    one = stream(tokens, real_valued(tokens))
    compressor = bench.fed(one)
    read = bench.read(compressor, one, range(tokens))
    found = list(_places(one.values, read)) or list(_lost_channels(bench, one, read))
    yield from found
    if not found:
        own = correlations(read, one.values).diagonal()
        yield from _counts(bench, one, all_answer=bool(own.min() > SAME))
        if own.min() > SAME:
            yield from _equal_keys(bench)
        yield from _narrow(bench)


def _equal_keys(bench: Bench) -> Iterator[Fault]:
    """Two tokens with one key: at it both have half of the weight, if all tokens are held."""
    n, first, second = 24, 3, 17
    one = stream(n, real_valued(n))
    keys = one.keys.copy()
    keys[second] = keys[first]
    both = Stream(keys, one.values, one.scale)
    read = bench.read(bench.fed(both), both, range(n))
    others = np.delete(np.arange(n), [first, second])
    if correlations(read[others], one.values[others]).diagonal().min() < SAME:
        return
    a, b = one.values[first].astype(np.float64), one.values[second]
    share = float((read[first] - b) @ (a - b) / ((a - b) @ (a - b)))
    fit = correlations(read[[first]], (share * a + (1 - share) * b)[None])[0, 0]
    if fit > SAME and not 0.2 < share < 0.8:
        lost = first if share < 0.5 else second
        yield Fault(
            "hole",
            f"tokens {first} and {second} have the same key, and of {n} tokens the answer to it "
            f"has token {first} with weight {share:.2f} and not 1/2: token {lost} is lost, while "
            "all others are held.",
            tokens=(lost,),
            operation=f"append {second + 1}",
            reproduction=(f"append {n}, token {second} with the key of token {first}",
                          f"ask for that key: weight of token {first} {share:.2f}"),
        )  # fmt: skip


def correlations(read: Float32, truth: Float32) -> NDArray[np.float64]:
    """Of the rows of two arrays: [rows, rows]."""
    a, b = (np.asarray(x, np.float64) for x in (read, truth))
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    a, b = (x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-12) for x in (a, b))
    product: NDArray[np.float64] = a @ b.T
    return product


def _places(truth: Float32, read: Float32) -> Iterator[Fault]:
    for axis, what in ((1, "channel"), (0, "token")):
        x, y = (np.moveaxis(a, axis, 0) for a in (truth, read))
        alike = correlations(y, x)
        own = alike.diagonal()
        best = alike.argmax(axis=1)
        moved = [
            i for i in range(len(x))
            if own[i] < OTHER and alike[i, best[i]] > SAME and own[best[i]] < OTHER
        ]  # fmt: skip
        if len(moved) < 2:
            continue
        pairs = ", ".join(f"{i} with {best[i]}" for i in moved[:3])
        steps = {int(best[i]) - i for i in moved}
        shift = f" ({what} i with {what} i {steps.pop():+d})" if len(steps) == 1 else ""
        yield Fault(
            "wrong-place",
            f"{named(what, moved)} of {len(x)} answer with another {what}'s numbers: "
            f"{pairs}{shift}.",
            tokens=whole(moved) if what == "token" else None,
            channels=whole(moved) if what == "channel" else None,
            operation="attend",
            reproduction=(f"append {len(truth)}", f"ask for {what} {moved[0]}: {what} "
                          f"{best[moved[0]]} answers"),
        )  # fmt: skip
        return


def _lost_channels(bench: Bench, one: Stream, read: Float32) -> Iterator[Fault]:
    own = correlations(read.T, one.values.T).diagonal()
    dead = [int(c) for c in np.flatnonzero(own < 0.3)]
    if not dead or np.median(own) < SAME or len(dead) > D // 2:
        return
    n = len(one) // 2
    short, long = (8 * len(bench.fed(one.first(m), bench.shape(m)).save()) for m in (n, 2 * n))
    each = (long - short) / (n * 2 * D)
    if each >= PAID:
        yield Fault(
            "channel-lost",
            f"{named('channel', dead)} of every token read as nothing that was appended, while "
            "each "
            f"token costs {each:.3g} bits a number.",
            channels=whole(dead),
            operation="attend",
            reproduction=(f"append {len(one)}", f"ask for token 0: channel {dead[0]}"),
        )


def _counts(bench: Bench, one: Stream, all_answer: bool) -> Iterator[Fault]:
    """Who weighs a whole number of times as much as the others.

    The others are most, or, where every token answers with its own numbers, those with the least:
    then no two share a row (a merged pair answers with its mean), so the unit is one row.
    """
    (weights,) = bench.weights(one, np.zeros((1, D), np.float32))
    least = float(weights.min() if all_answer else np.median(weights))
    if least <= 0 or weights.min() < 0.9 * least:
        return
    times = weights / least
    twice = [int(t) for t in np.flatnonzero((times > 1.9) & (np.abs(times - times.round()) < 0.02))]
    rest = np.delete(times, twice)
    few = len(twice) < len(one) / 3 or (all_answer and len(rest) >= 4)
    if twice and few and np.abs(rest - 1).max() < 0.02:
        yield Fault(
            "counted-twice",
            f"{named('token', twice)} weigh{'s' * (len(twice) == 1)} {times[twice[0]]:.0f} times "
            "as "
            f"much as the others at q = 0, after {len(one)} tokens: stored that often.",
            tokens=whole(twice),
            operation=f"append {len(one)}",
            reproduction=(f"append {len(one)}", f"ask q = 0: token {twice[0]} weighs "
                          f"{weights[twice[0]]:.4f}, others {least:.4f}"),
        )  # fmt: skip


def _narrow(bench: Bench) -> Iterator[Fault]:
    """The same where d_k and d_v are 20 and 12, if it takes them."""
    n, d_k, d_v = 24, 20, 12
    one = stream(n, real_valued(n, d_v), d_k)
    try:
        compressor = bench.fed(one)
        read = bench.read(compressor, one, range(n))
    except Exception:
        return  # the probe other_shapes says so
    wide = stream(n, real_valued(n))
    usual = np.abs(bench.read(bench.fed(wide), wide, range(n)) - wide.values)
    away = np.abs(read - one.values)
    hit = np.flatnonzero(away.mean(axis=0) > 0.3)
    if len(hit) and np.median(usual) < 0.05 and usual.max() < 0.3:
        yield Fault(
            "width-lost",
            f"at d_k = {d_k}, d_v = {d_v} {named('channel', hit)} come back with an error of "
            f"{away[:, hit].mean():.2g}, at d_k = d_v = 64 all within {usual.max():.2g}.",
            channels=whole(hit),
            operation="attend",
            reproduction=(f"shape d_k={d_k}, d_v={d_v}", f"append {n}", "ask for token 0"),
        )
