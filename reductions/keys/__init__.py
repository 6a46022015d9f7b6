"""Public key sets: the vectors that carry the index, and their exact Gram spectra where known.

===========  ==================================================  =====================  ============
name         keys                                                largest n              coherence
===========  ==================================================  =====================  ============
jl           A e_i / |A e_i|, A Gaussian (the paper's, made      any                    random
             unit by us)
jl-raw       A e_i / sqrt(d), Lemma 3's literal projection       any                    random
hypercube    the bits of l as signs on ceil(log2 n) coordinates  2^d                    1 - 2/d_a
kerdock      the Kerdock code as signs, d = 4, 16, 64, 256       d^2                    1/sqrt(d)
kissing      minimal vectors of a lattice, d = 2, 3, 4, 8, 16,   6, 12, 24, 240, 4320,  1/2
             24                                                  196560
circle       n equally spaced points of a circle                 any                    cos(2 pi/n)
sphere       n points of a Fibonacci lattice on a sphere         any                    explicit
===========  ==================================================  =====================  ============
"""

from __future__ import annotations

import numbers

from ...errors import BadInput, did_you_mean
from .base import GapSpectrum, KeySet

__all__ = ["GapSpectrum", "KeySet", "default_n", "describe", "make", "names"]

_NAMES = ("jl", "jl-raw", "hypercube", "kerdock", "kissing", "circle", "sphere")


def names() -> list[str]:
    """The families, the paper's first."""
    return list(_NAMES)


_DESCRIPTIONS = {
    "jl": ("A e_i / |A e_i|, A Gaussian: the paper's map, made unit", "any", "any", "random"),
    "jl-raw": ("A e_i / sqrt(d), Lemma 3's literal projection", "any", "any", "random"),
    "hypercube": (
        "the bits of l as signs on d_a = ceil(log2 n) coordinates",
        "2^d",
        "any",
        "1 - 2/d_a",
    ),
    "kerdock": ("the Kerdock code as signs", "d^2", "4, 16, 64, 256", "1/sqrt(d)"),
    "kissing": (
        "the minimal vectors of A2, D3, D4, E8, Barnes-Wall, Leech",
        "6, 12, 24, 240, 4320, 196560",
        "2, 3, 4, 8, 16, 24",
        "1/2",
    ),
    "circle": ("n equally spaced points of a circle", "any", ">= 2", "cos(2 pi/n)"),
    "sphere": ("n points of a Fibonacci lattice on a sphere", "any", ">= 3", "explicit"),
}


def describe() -> list[dict[str, str]]:
    """One line a family, for lists: name, keys, largest n, dimensions, coherence."""
    columns = ("keys", "largest_n", "d", "coherence")
    return [
        {"name": name, **dict(zip(columns, _DESCRIPTIONS[name], strict=True))} for name in _NAMES
    ]


def _check(name: str, d: int) -> None:
    if name not in _NAMES:
        raise BadInput(f"There is no key family '{name}'.{did_you_mean(name, _NAMES)}")
    if not isinstance(d, numbers.Integral) or d < 1:
        raise BadInput(f"The key dimension d must be a positive integer, not {d}.")


def default_n(name: str, d: int) -> int:
    """How many keys a family gives when nobody says: all of kerdock and kissing, else up to 512.

    >>> default_n("kerdock", 64), default_n("hypercube", 4), default_n("jl", 64)
    (4096, 16, 512)
    """
    _check(name, d)
    if name == "kissing":
        from .kissing import SIZES, check_dimension

        check_dimension(d)
        return SIZES[d]
    return int({"kerdock": d * d, "hypercube": min(512, 2**d)}.get(name, 512))


def make(name: str, n: int | None, d: int, seed: int = 0) -> KeySet:
    """The first n keys of a family in dimension d (n = None: :func:`default_n`).

    ``seed``, the public coins, matters to jl and jl-raw only. In every family but hypercube, circle
    and sphere a larger n extends a smaller one. BadInput names what is wrong: an unknown family, a
    dimension the family does not have, more keys than it has.

    >>> make("kerdock", None, 16).rows.shape
    (256, 16)
    """
    _check(name, d)
    n = default_n(name, d) if n is None else n
    if not isinstance(n, numbers.Integral) or n < 1:
        raise BadInput(f"The number of keys n must be a positive integer, not {n}.")
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise BadInput(f"The key seed must be an integer >= 0, not {seed}.")
    n, d = int(n), int(d)
    if name in ("jl", "jl-raw"):
        from .jl import gaussian_keys

        return KeySet(name, d, seed, gaussian_keys(n, d, int(seed), normalise=name == "jl"))
    if name in ("circle", "sphere"):
        from .circle import spread_keys

        return KeySet(name, d, seed, spread_keys(name, n, d))
    if name == "hypercube":
        from .hypercube import hypercube_keys

        rows, spectrum = hypercube_keys(n, d)
    elif name == "kissing":
        from .kissing import kissing_keys

        rows, spectrum = kissing_keys(n, d)
    else:
        from .kerdock import kerdock_keys

        rows, spectrum = kerdock_keys(n, d)
    return KeySet(name, d, seed, rows, spectrum)
