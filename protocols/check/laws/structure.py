"""Numbers as models have them: gains, outliers, signs, constants, large and small.

Random bits have one magnitude, so a scale that belongs to another block is the right one. Here
every token and every group of channels has a gain of its own, from 1/10 to 10, public as all is,
and what is read is compared in shape and in scale (``blocks``: proof that rounding cannot be
mistaken for it).

*Equivariance.* What a cache loses of x and of -x, of x and of 300 x, is the same in proportion,
for every quantiser whose scale follows the data. So the error on values that are all negative is
compared with that on the same values, all positive; large and small with medium ones; constants
with others. A cache is held against itself only: three times its own error, and over 1/10.

Keys: from the weights of 8 tokens and a token with key 0, at 64 queries b e_j, each stored key is
read: log(w_t/w_0) = b (k_t[j] - k_0[j]), with b so small that all weights are large. Then as above.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....compressors.plugin.contract import Float32
from ..bench import Bench, D, Stream, real_valued, stream, tight_scale, unit_keys
from ..fault import Fault, whole
from .blocks import SHAPED, fitted, where, whose_scale

TITLE = "gains, signs, constants, outliers"
TOKENS = 64
FINE = 1e-5
"""The interference allowed among values whose gains differ by a factor of 100."""
FEW, COARSE = 0.05, 1 / 3
"""Of fewer blocks nothing is said: a coarse rounding of 8 numbers passes for a scale now and
then; where most blocks have lost their shape, more often."""
WORSE, LOST, WIPED, FADES = 3.0, 0.1, 0.5, 0.02
KEYS = 8


def law(bench: Bench) -> Iterator[Fault]:
    """Scales and offsets of values, then of keys; then equivariance."""
    if _is_estimate(bench):
        bench.untried.append("gains and signs (its answers are estimates: not those of a softmax)")
        return
    faults = list(_values(bench)) or list(_equivariance(bench))
    yield from faults
    yield from _keys(bench)


def _is_estimate(bench: Bench) -> bool:
    """Whether values of one magnitude come back wrong in scale, and no softmax explains it.

    An average over samples or clusters multiplies a token by chance.
    """
    base = _normal(min(TOKENS, bench.most))
    alike = fitted(base, _read(bench, base), 16).rescaled.mean()
    return bool(alike > FEW / 5) and not bench.is_softmax


def gains(n: int, group: int, d: int = D) -> Float32:
    """A gain for each token and group of channels, 1/10 .. 10, log-uniform: float32[n, d]."""
    rng = np.random.default_rng([n, group])
    each = 10.0 ** rng.uniform(-1, 1, (n, d // group))
    return np.repeat(each, group, axis=1).astype(np.float32)


def _normal(n: int) -> Float32:
    """Gaussian values: a sign and a step alone correlate with them by .8, three levels by .9."""
    return np.random.default_rng(4).standard_normal((n, D)).astype(np.float32)


def _read(bench: Bench, values: NDArray[Any], interference: float = FINE) -> Float32:
    n = len(values)
    scale = tight_scale(n, interference=interference)
    one = Stream(unit_keys(n), values.astype(np.float32), scale)
    return bench.read(bench.fed(one), one, range(len(values)))


def _values(bench: Bench) -> Iterator[Fault]:
    base = _normal(min(TOKENS, bench.most))
    tries = [
        (f"gains for each token and {g} channels", base * gains(len(base), g), g)
        for g in (16, 32, 8)
    ]
    tries.append(("a gain for each token", base * gains(len(base), D), D))
    tries.append(("values of one magnitude", base, 16))
    tries.append(("values all negative", -np.abs(base), 16))
    for words, values, group in tries:
        read = _read(bench, values)
        fault = _misfit(words, values, read, group, "values")
        if fault is not None:
            alone = ~_shares_a_row(bench, len(values))
            fault = _misfit(words, values, read, group, "values", alone)
        if fault is not None:
            yield fault
            return


def _shares_a_row(bench: Bench, n: int) -> NDArray[np.bool_]:
    """bool[n]: the tokens at whose own key another has half of their weight: merged with them.

    A mean of x and a much smaller y has the shape of x and half its scale.
    """
    one = stream(n, np.zeros((n, D), np.float32))
    weights = bench.weights(one, one.questions(range(n)))
    own = weights.diagonal().copy()
    np.fill_diagonal(weights, 0)
    shared: NDArray[np.bool_] = weights.max(axis=1) > own / 2
    return shared


def _misfit(
    words: str,
    truth: Float32,
    read: Float32,
    group: int,
    what: str,
    alone: NDArray[np.bool_] | None = None,
) -> Fault | None:
    """The fault of these tokens, or of those of them that are ``alone`` in their rows."""
    fit = fitted(truth, read, group)
    few = FEW if np.median(fit.shaped) > SHAPED else COARSE
    for code, flags, said in (
        ("wrong-scale", fit.rescaled, "right in shape and wrong in scale"),
        ("wrong-offset", fit.moved, "right in shape and moved"),
    ):
        if what == "keys" and code == "wrong-offset":
            continue
        if alone is not None:
            flags = flags & alone[:, None]
        if flags.sum() < max(3, few * flags.size):
            continue
        whose = whose_scale(truth, fit, group) if code == "wrong-scale" else None
        rule = "" if whose is None else f"; {whose}"
        t, g = np.argwhere(flags)[0]
        how = (
            f"token {t} channels {g * group}-{g * group + group - 1} are multiplied by "
            f"{fit.scale[t, g]:.3g}"
            if code == "wrong-scale"
            else f"token {t} channels {g * group}-{g * group + group - 1} are moved by "
            f"{fit.offset[t, g]:.3g} times their spread"
        )
        channels = [int(c) for b in np.flatnonzero(flags.any(axis=0)) for c in
                    range(b * group, b * group + group)]  # fmt: skip
        blocks = f"channel groups of {group}: " if group != D else ""
        return Fault(
            code,
            f"{what} with {words}: {blocks}{flags.sum()} of {flags.size} blocks are {said} "
            f"({how}): {where(flags, group)}{rule}.",
            tokens=whole(np.flatnonzero(flags.any(axis=1))),
            channels=None if len(channels) == D else whole(channels),
            operation="attend",
            reproduction=(f"append {len(truth)} tokens, {what} with {words}",
                          f"ask for token {t}: {how}"),
        )  # fmt: skip
    return None


def _error(truth: NDArray[Any], read: NDArray[Any]) -> NDArray[np.float64]:
    """|y - x| / |x| for every token."""
    size = np.linalg.norm(truth, axis=1) + 1e-12
    away: NDArray[np.float64] = np.linalg.norm(read - truth, axis=1) / size
    return away


def _equivariance(bench: Bench) -> Iterator[Fault]:
    base = real_valued(min(TOKENS, bench.most))
    magnitudes = np.abs(base)
    usual = _error(base, _read(bench, base))
    positive = _error(magnitudes, _read(bench, magnitudes))
    run = np.repeat(base[::8], 8, axis=0)[: len(base)]
    flat = np.ones_like(base) * np.float32(0.7)
    tries: tuple[tuple[str, str, NDArray[Any], NDArray[np.float64]], ...] = (
        ("sign-lost", "values that are all negative", -magnitudes, positive),
        ("constant-lost", "tokens that are equal in runs of 8", run, usual),
        ("wrong-offset", "values far from 0 (20 and more, spread 1)", base + 20, usual),
        ("constant-lost", "values that are all .7", flat, usual),
        ("magnitude-lost", "values 300 times as large", 300 * base, usual),
        ("magnitude-lost", "values 300 times as small", base / 300, usual),
        ("magnitude-lost", "values 3000 times as small", base / 3000, usual),
    )
    small = _error(base / 300, _read(bench, base / 300))
    # Without a scale that follows the data (8-bit floats as they are) small values fade by degrees.
    coarse = np.median(small) > max(FADES, WORSE * np.median(usual))
    if coarse and np.median(small) < WIPED:
        tries = tuple(one for one in tries if "times as small" not in one[1])
    wrapped = list(_largest(bench, base))
    yield from wrapped
    if wrapped:
        return
    for code, words, values, against in tries:
        error = _error(values, _read(bench, values))
        # Of a token that is lost anyway nothing is said.
        hit = np.flatnonzero((error > LOST) & (error > WORSE * against) & (against < LOST))
        good = int((against < LOST).sum())
        # Who evicts may keep other tokens of other values: then most must be hit.
        if len(hit) < (good / 8 if good > 0.9 * len(base) else 0.6 * good) or len(hit) < 3:
            continue
        if code == "magnitude-lost" and np.median(error[hit]) > WIPED and not coarse:
            code = "wiped-out"
        yield Fault(
            code,
            f"{words}: {len(hit)} of {len(base)} tokens come back with a relative error of "
            f"{np.median(error[hit]):.2g}, for {np.median(against):.2g} otherwise.",
            tokens=whole(hit),
            operation="attend",
            reproduction=(f"append {len(base)} tokens, {words}", f"ask for token {hit[0]}"),
        )
        return
    yield from _growing(bench, base, usual)
    zero = _read(bench, np.zeros_like(base))
    if np.abs(zero).max() > LOST:
        yield Fault("constant-lost", f"values that are all 0 are answered with {zero.max():.3g}.")


def _largest(bench: Bench, base: Float32) -> Iterator[Fault]:
    """The number of largest magnitude, by far: rounding cannot turn its sign, wrapping does."""
    values = base.copy()
    at = np.arange(len(base)) * 7 % D
    rows = np.arange(len(base))
    values[rows, at] *= np.float32(8)
    read = _read(bench, values)
    others = (read * values >= 0).mean(axis=1) > 0.9
    ratio = read[rows, at] / values[rows, at]
    hit = np.flatnonzero(others & (ratio < -0.5))
    if len(hit) >= 3:
        t = hit[0]
        yield Fault(
            "sign-lost",
            f"the number of a token with the largest magnitude comes back with the other sign in "
            f"{len(hit)} of {len(base)} tokens (token {t}, channel {at[t]}: {values[t, at[t]]:.3g} "
            f"as {read[t, at[t]]:.3g}): a code wraps around.",
            tokens=whole(hit),
            operation="attend",
            reproduction=(f"append {len(base)} tokens", f"ask for token {t}, channel {at[t]}"),
        )


def _growing(bench: Bench, base: Float32, usual: NDArray[np.float64]) -> Iterator[Fault]:
    """Eight tokens, then others 30 times as large: a group's scale, however wide the group, is
    that of its largest, which so comes back as well as ever."""
    values = base.copy()
    values[8:] *= np.float32(30)
    error = _error(values, _read(bench, values))[8:]
    hit = 8 + np.flatnonzero((error > WIPED) & (usual[8:] < LOST))
    if len(hit) > 0.8 * (len(base) - 8):
        yield Fault(
            "wiped-out",
            f"values 30 times as large as the first 8 tokens': {len(hit)} of {len(base) - 8} "
            f"tokens come back with a relative error of {np.median(error):.2g}, for "
            f"{np.median(usual):.2g} otherwise: the first tokens' scale is kept.",
            tokens=whole(hit),
            operation="attend",
            reproduction=("append 8 tokens", "append others 30 times as large",
                          f"ask for token {hit[0]}"),
        )  # fmt: skip


def _keys(bench: Bench) -> Iterator[Fault]:
    for group in (16, 32, 8):
        keys = _normal(KEYS) / np.float32(8) * gains(KEYS, group) ** np.float32(0.5)
        read = stored_keys(bench, keys)
        if read is None:
            return
        words = f"gains for each token and {group} channels"
        fault = _misfit(words, keys, read, group, "keys")
        if fault is not None:
            yield fault
            return


def stored_keys(bench: Bench, keys: Float32) -> Float32 | None:
    """The keys [m, d] as the scores have them; None if the weights cannot be read well enough."""
    m, d = keys.shape
    rows = np.vstack([keys, np.zeros((1, d), np.float32)])
    reach = np.float32(2 / np.abs(keys).max())
    queries = np.vstack([np.zeros((1, d)), reach * np.eye(d)]).astype(np.float32)
    weights = bench.weights(Stream(rows, np.zeros((m + 1, D), np.float32), 1.0), queries)
    if np.abs(weights[0] * (m + 1) - 1).max() > 0.03 or weights.min() <= 0:
        return None
    scores = np.log(weights[:, :m] / weights[:, m:])
    read: Float32 = ((scores[1:] - scores[:1]) / reach).T
    return read
