"""Which known key set certifies n tokens in d dimensions at the smallest logit range (ours).

A key set of n' >= n keys in d' <= d dimensions serves: fewer keys have less interference, and zero
coordinates add nothing. So for every family the sizes with an exact spectrum are looked up, the
smallest that is large enough is measured, and the least range wins. Nothing is materialised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..errors import BadInput, NoScale
from . import keys
from .interference import tight_scale
from .keys.base import KeySet
from .margins import condition

#: families with an exact spectrum at many sizes, and the dimensions in which they exist
_POWERS = tuple(1 << m for m in range(3, 11))
_FAMILIES: dict[str, tuple[int, ...]] = {
    "rm1": _POWERS,
    "kerdock": (16, 64, 256),
    "gold": _POWERS,
    "delsarte-goethals": (16, 64, 256),
    "bch": (16, 32, 64, 128, 256),
    "rm2": _POWERS,
}
#: kissing configurations with a spectrum
_KISSING = (4, 8, 16, 24)


@dataclass(frozen=True)
class Choice:
    """A key set and what it needs: ``keys`` and ``n`` keys in ``d`` dimensions, range R in nats."""

    keys: str
    n: int
    d: int
    logit_range: float


@lru_cache(maxsize=4096)
def smallest_range(n: int, d: int, eta: float = 0.5) -> Choice:
    """The known key set with the least logit range C max|k|^2 for n tokens in d dimensions.

    Values {0,1} and a relative error eta (condition M01). Raises BadInput for n < 2 or where no
    known set with an exact spectrum has n keys in d dimensions: 2^d at most.

    >>> smallest_range(4096, 64).keys, round(smallest_range(4096, 64).logit_range, 2)
    ('kerdock', 10.04)
    """
    if n < 2:
        raise BadInput(f"A logit range needs two tokens or more, not {n}.")
    rule = condition("01", eta, None)
    found = []
    for one in _candidates(n, d):
        try:
            scale = tight_scale(one, rule.bound, rule.zero_token)
        except NoScale:
            continue
        assert one.spectrum is not None
        found.append(Choice(one.name, one.n, one.d, scale * float(one.spectrum.norm2)))
    if not found:
        raise BadInput(
            f"kvbarrier knows no set of {n} keys in {d} dimensions: the largest has the 2^{d} "
            "sign vectors."
        )
    return min(found, key=lambda choice: choice.logit_range)


def _candidates(n: int, d: int) -> Iterator[KeySet]:
    for name, dimensions in _FAMILIES.items():
        for size in dimensions:
            if size <= d:
                yield from _large_enough(name, n, size)
    for size in _KISSING:
        if size <= d and keys.default_n("kissing", size) >= n:
            yield keys.make("kissing", None, size)
    bits = max(1, (n - 1).bit_length())
    if bits <= d:
        yield keys.make("hypercube", 1 << bits, d)


def _large_enough(name: str, n: int, d: int) -> Iterator[KeySet]:
    """The smallest set of the family with n keys or more and an exact spectrum, if there is one."""
    most = keys.default_n(name, d)
    if most < n:
        return
    size = 1 << (n - 1).bit_length()
    for wanted in dict.fromkeys((min(size, most), most)):
        try:
            one = keys.make(name, wanted, d)
        except BadInput:
            continue
        if one.spectrum is not None:
            yield one
            return


def most_tokens(d: int, logit_range: float, eta: float = 0.5) -> Choice | None:
    """The most tokens, a power of two, that some known key set certifies within a logit range.

    None where even two need more. Bisection over 2^1 .. 2^min(d, 29): the least range grows with n.
    """
    found = None
    low, high = 1, min(d, 29)
    while low <= high:
        middle = (low + high) // 2
        choice = smallest_range(1 << middle, d, eta)
        if choice.logit_range <= logit_range:
            found, low = Choice(choice.keys, 1 << middle, choice.d, choice.logit_range), middle + 1
        else:
            high = middle - 1
    return found
