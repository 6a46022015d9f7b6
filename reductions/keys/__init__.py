"""Public key sets: the vectors that carry the index, and their exact Gram spectra where known.

=================  =============================================  ===============  ================
name               keys                                           largest n        coherence
=================  =============================================  ===============  ================
jl                 A e_i / |A e_i|, A Gaussian (the paper's,      any              random
                   made unit by us)
jl-raw             A e_i / sqrt(d), Lemma 3's literal projection  any              random
greedy             of 16,384 jl keys, always the farthest         4096             random
hypercube          the bits of l as signs on ceil(log2 n)         2^d              1 - 2/d_a
                   coordinates
rm1                Reed-Muller RM(1,m) as signs, d = 2^m from 2   2d               0
                   to 1024
kerdock            the Kerdock code as signs, d = 4, 16, 64, 256  d^2              1/sqrt(d)
gold               Gold's code as signs, d = 2^m from 8 to 1024   2d^2             sqrt(2/d); for
                                                                                   even m 2/sqrt(d)
delsarte-goethals  the Delsarte-Goethals code as signs, d = 16,   d^3/2            2/sqrt(d)
                   64, 256
bch                low-rate extended BCH codes as signs, a        2^11, 2^21,      by n: see
                   chain, d = 16, 32, 64, 128, 256                2^24, 2^29 (2x)  ``trace_codes``
rm2                Reed-Muller RM(2,m) as signs, d = 2^m from 4   2^(1+m(m+1)/2)   1/2
                   to 1024
devore             graphs of polynomials over GF(q), q^2 <= d     q^q              r/q, n = q^(r+1)
kissing            minimal vectors of a lattice, d = 2, 3, 4, 8,  6, 12, 24, 240,  1/2
                   16, 24                                         4320, 196560
circle             n equally spaced points of a circle            any              cos(2 pi/n)
sphere             n points of a Fibonacci lattice on a sphere    any              explicit
=================  =============================================  ===============  ================

The codes (rm1 to devore) and hypercube compute their keys on demand. A smaller n takes the first n
keys. An exact spectrum comes with a whole family, and with a smaller n where every key still sees
the same: powers of two for hypercube, rm1, rm2, gold and bch (up to 2^27, and the codes of bch's
chain), whole blocks of 2d for kerdock, d^2 times a power of two for delsarte-goethals, powers of q
for devore, and orthogonal keys. Elsewhere ``spectrum`` is None, and what is asked is computed from
the rows, one by one.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BadInput, did_you_mean
from .base import GapSpectrum, KeySet, LazyKeySet

__all__ = ["GapSpectrum", "KeySet", "LazyKeySet", "default_n", "describe", "make", "names"]

_DESCRIPTIONS = {
    "jl": ("A e_i / |A e_i|, A Gaussian: the paper's map, made unit", "any", "any", "random"),
    "jl-raw": ("A e_i / sqrt(d), Lemma 3's literal projection", "any", "any", "random"),
    "greedy": ("of 16,384 jl keys, always the farthest from those taken", "4096", "any", "random"),
    "hypercube": (
        "the bits of l as signs on d_a = ceil(log2 n) coordinates",
        "2^d",
        "any",
        "1 - 2/d_a",
    ),
    "rm1": ("first-order Reed-Muller code as signs", "2d", "2^m, 2 to 1024", "0"),
    "kerdock": ("the Kerdock code as signs", "d^2", "4, 16, 64, 256", "1/sqrt(d)"),
    "gold": (
        "Gold's code as signs: Tr(ax^3) + affine",
        "2d^2",
        "2^m, 8 to 1024",
        "sqrt(2/d), m even: 2/sqrt(d)",
    ),
    "delsarte-goethals": (
        "the Delsarte-Goethals code as signs; kerdock first",
        "d^3/2",
        "16, 64, 256",
        "2/sqrt(d)",
    ),
    "bch": (
        "extended BCH codes as signs, each the start of the next: [16,7,6], [16,11,4]; [32,11,12], "
        "[32,16,8], [32,21,6]; [64,10,28], [64,16,24], [64,18,22], [64,24,16]; [128,15,56], "
        "[128,22,48], [128,29,44]; [256,13,120], [256,21,112], [256,29,96]",
        "2^11, 2^21, 2^24, 2^29, 2^29",
        "16, 32, 64, 128, 256",
        "1 - 2d'/d of [d,k,d'], n = 2^k",
    ),
    "rm2": (
        "second-order Reed-Muller code as signs",
        "2^(1+m(m+1)/2)",
        "2^m, 4 to 1024",
        "1/2",
    ),
    "devore": (
        "graphs of polynomials over GF(q), q a prime or a power of 2, q^2 <= d",
        "q^q",
        ">= 4",
        "r/q for n = q^(r+1)",
    ),
    "kissing": (
        "the minimal vectors of A2, D3, D4, E8, Barnes-Wall, Leech",
        "6, 12, 24, 240, 4320, 196560",
        "2, 3, 4, 8, 16, 24",
        "1/2",
    ),
    "circle": ("n equally spaced points of a circle", "any", ">= 2", "cos(2 pi/n)"),
    "sphere": ("n points of a Fibonacci lattice on a sphere", "any", ">= 3", "explicit"),
}


def names() -> list[str]:
    """The families, the paper's first, then by how much they carry."""
    return list(_DESCRIPTIONS)


def describe() -> list[dict[str, str]]:
    """One line a family, for lists: name, keys, largest n, dimensions, coherence."""
    columns = ("keys", "largest_n", "d", "coherence")
    return [
        {"name": name, **dict(zip(columns, row, strict=True))}
        for name, row in _DESCRIPTIONS.items()
    ]


def _check(name: str, d: int) -> None:
    if name not in _DESCRIPTIONS:
        raise BadInput(f"There is no key family '{name}'.{did_you_mean(name, names())}")
    if not isinstance(d, numbers.Integral) or d < 1:
        raise BadInput(f"The key dimension d must be a positive integer, not {d}.")


def default_n(name: str, d: int) -> int:
    """The default number of keys of a family: all of a code and of kissing, else up to 512.

    devore: the polynomials of degree at most 2.

    >>> default_n("kerdock", 64), default_n("rm2", 64) == 2**22, default_n("hypercube", 4)
    (4096, True, 16)
    >>> default_n("jl", 64)
    512
    """
    _check(name, d)
    if name == "kissing":
        from .kissing import SIZES, check_dimension

        check_dimension(d)
        return SIZES[d]
    if name in ("rm1", "rm2"):
        from .reed_muller import size

        return size(int(name[2]), d)
    if name in ("gold", "bch", "delsarte-goethals"):
        from .trace_codes import size as words

        return words(name, d)
    if name == "devore":
        from .devore import field_size

        q = field_size(d)
        return int(q ** min(q, 3))
    return int({"kerdock": d * d, "hypercube": min(512, 2**d)}.get(name, 512))


def make(name: str, n: int | None, d: int, seed: int = 0) -> KeySet:
    """The first n keys of a family in dimension d (n = None: :func:`default_n`).

    ``seed``, the public coins, matters to jl, jl-raw and greedy only. In every family but
    hypercube, circle and sphere a larger n extends a smaller one. BadInput names what is wrong: an
    unknown family, a dimension the family does not have, more keys than it has.

    >>> make("kerdock", None, 16).rows.shape
    (256, 16)
    """
    _check(name, d)
    n = default_n(name, int(d)) if n is None else n
    if not isinstance(n, numbers.Integral) or n < 1:
        raise BadInput(f"The number of keys n must be a positive integer, not {n}.")
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise BadInput(f"The key seed must be an integer >= 0, not {seed}.")
    n, d, seed = int(n), int(d), int(seed)
    if name in _ROWS:
        return KeySet(name, d, seed, *_ROWS[name](name, n, d, seed))
    keys, spectrum = _ON_DEMAND[name](name, n, d)
    return LazyKeySet(name, d, seed, n, keys.rows_at, spectrum)


def _random(name: str, n: int, d: int, seed: int) -> tuple[NDArray[np.float32]]:
    if name == "greedy":
        from .greedy import greedy_keys

        return (greedy_keys(n, d, seed),)
    from .jl import gaussian_keys

    return (gaussian_keys(n, d, seed, normalise=name == "jl"),)


def _spread(name: str, n: int, d: int, seed: int) -> tuple[NDArray[np.float32]]:
    from .circle import spread_keys

    return (spread_keys(name, n, d),)


def _kissing(
    name: str, n: int, d: int, seed: int
) -> tuple[NDArray[np.float32], GapSpectrum | None]:
    from .kissing import kissing_keys

    return kissing_keys(n, d)


def _hypercube(name: str, n: int, d: int) -> tuple[Any, GapSpectrum | None]:
    from .hypercube import hypercube_keys

    return hypercube_keys(n, d)


def _kerdock(name: str, n: int, d: int) -> tuple[Any, GapSpectrum | None]:
    from .kerdock import kerdock_keys

    return kerdock_keys(n, d)


def _reed_muller(name: str, n: int, d: int) -> tuple[Any, GapSpectrum | None]:
    from .reed_muller import reed_muller_keys

    return reed_muller_keys(int(name[2]), n, d)


def _trace_code(name: str, n: int, d: int) -> tuple[Any, GapSpectrum | None]:
    from .trace_codes import goethals_keys, trace_code_keys

    return goethals_keys(n, d) if name == "delsarte-goethals" else trace_code_keys(name, n, d)


def _devore(name: str, n: int, d: int) -> tuple[Any, GapSpectrum | None]:
    from .devore import devore_keys

    return devore_keys(n, d)


# Each imports its family when it is asked for.
_ROWS: dict[str, Callable[[str, int, int, int], tuple[Any, ...]]] = {
    **dict.fromkeys(("jl", "jl-raw", "greedy"), _random),
    **dict.fromkeys(("circle", "sphere"), _spread),
    "kissing": _kissing,
}
_ON_DEMAND: dict[str, Callable[[str, int, int], tuple[Any, GapSpectrum | None]]] = {
    "hypercube": _hypercube,
    "kerdock": _kerdock,
    **dict.fromkeys(("rm1", "rm2"), _reed_muller),
    **dict.fromkeys(("gold", "bch", "delsarte-goethals"), _trace_code),
    "devore": _devore,
}
