"""The limit at a size where a token hides more than one bit a number (ours): `kvbarrier bound`.

As ``limit``, for numbers with B levels (``alphabet``) and for secrets in keys as well
(``key_payload``). ``success`` is the probability with which an answer is within the tolerance. One
answer tells a *number* of B levels, so the bound is Fano's for symbols, at the symbol error 1 -
success (``rate_bounds``, (3)). Of a payload one answer tells a *bit*, given those above it, so the
bound is Fano's for bits (``key_payload``, (T)).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import BadInput
from . import keys as key_sets
from .alphabet import AlphabetReduction, bits_per_number
from .bounds import compression_ratio_limit, index_bound_bits
from .interference import coherence, separable_gap
from .key_payload import KeyPayloadReduction
from .levels import most_geometric_levels, most_grid_levels
from .rate_bounds import symbol_rate


@dataclass(frozen=True)
class AlphabetLimit:
    """A bound for numbers with B levels, and what it rests on. Scores are in nats.

    Attributes:
        values: "geometric levels" under eta, "even grid" under gamma.
        levels: B.
        value_range: under eta the largest level over the smallest, that is ratio^(B-1); under
            gamma None, as the grid lies in [0, 1].
        most_levels: the precision law: so many levels, and no more, can be told apart in that
            range (in [0, 1]) under the tolerance, at any scale. None where answers are exact.
        success: the probability with which a number's answer is within the tolerance.
        bits_per_number: log2 B; bound_bits_per_number: what the bound makes of them.
    """

    reduction: str
    keys: str
    keys_seed: int
    n: int
    d: int
    values: str
    levels: int
    value_range: float | None
    most_levels: int | None
    eta: float | None
    gamma: float | None
    coherence: float
    scale: float
    logit_range: float
    closed_scale: float
    success: float
    bits_per_number: float
    secret_bits: int
    bound_bits: float
    bound_bits_per_number: float
    bound_bits_per_token: float
    compression_ratio_limit: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data, in reading order."""
        return asdict(self)


def alphabet_limit(
    keys: str = "jl",
    n: int | None = None,
    d: int = 64,
    *,
    levels: int,
    keys_seed: int = 0,
    eta: float | None = 0.5,
    gamma: float | None = None,
    success: float = 0.9,
) -> AlphabetLimit:
    """The bound of the Index reduction with B = ``levels`` levels, at its tight scale.

    ``n`` None takes the whole family where it is finite.

    Raises:
        BadInput: a success probability outside (1/B, 1], or what ``AlphabetReduction.build`` says.

    >>> limit = alphabet_limit("kerdock", levels=16, eta=None, gamma=0.01)
    >>> limit.secret_bits == 4096 * 64 * 4, round(limit.scale, 2), round(limit.bound_bits_per_token)
    (True, 12.27, 201)
    """
    b = bits_per_number(levels)
    if not 1 / levels < success <= 1:
        raise BadInput(
            f"success must lie in (1/{levels}, 1] for {levels} levels, not {success:g}: "
            f"1/{levels} is the success of a random guess."
        )
    key_set = key_sets.make(keys, n, d, keys_seed)
    hard = AlphabetReduction.build(key_set, d, levels=levels, eta=eta, gamma=gamma)
    per_number = symbol_rate(1 - success, levels)
    bound = per_number * key_set.n * d
    norms2 = np.square(key_set.rows_at(key_set.representatives), dtype=np.float64).sum(axis=1)
    value_range = None if eta is None else float(hard.levels[-1]) / float(hard.levels[0])
    return AlphabetLimit(
        reduction="index",
        keys=keys,
        keys_seed=keys_seed,
        n=key_set.n,
        d=d,
        values="even grid" if eta is None else "geometric levels",
        levels=levels,
        value_range=value_range,
        most_levels=_most_levels(value_range, eta, gamma),
        eta=eta,
        gamma=gamma,
        coherence=coherence(key_set),
        scale=hard.scale,
        logit_range=hard.scale * float(norms2.max()),
        closed_scale=hard.condition.closed_scale(
            key_set.n, separable_gap(key_set), float(norms2.min())
        ),
        success=success,
        bits_per_number=float(b),
        secret_bits=key_set.n * d * b,
        bound_bits=bound,
        bound_bits_per_number=per_number,
        bound_bits_per_token=bound / key_set.n,
        compression_ratio_limit=compression_ratio_limit(key_set.n, d, d, bound),
    )


def _most_levels(value_range: float | None, eta: float | None, gamma: float | None) -> int | None:
    if value_range is not None:
        return most_geometric_levels(value_range, eta) if eta else None
    return most_grid_levels(gamma) if gamma else None


@dataclass(frozen=True)
class PayloadLimit:
    """A bound for secrets in keys and values, and what it rests on. Scores are in nats.

    Attributes:
        key_bits: b, bits in a secret coordinate of a key.
        address: the coordinates of a key that are public, ceil(log2 n).
        scale: C, the score of the value asked for; ``logit_range`` the largest of any question.
        success: the probability with which an answer is within (1 +- eta).
        bits_per_number: secret bits over the numbers of K and V.
    """

    reduction: str
    n: int
    d: int
    key_bits: int
    address: int
    eta: float
    scale: float
    logit_range: float
    success: float
    bits_per_number: float
    secret_bits_in_values: int
    secret_bits_in_keys: int
    secret_bits: int
    bound_bits: float
    bound_bits_per_token: float
    compression_ratio_limit: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data, in reading order."""
        return asdict(self)


def payload_limit(
    n: int = 512, d: int = 64, *, key_bits: int = 1, eta: float = 0.5, success: float = 0.9
) -> PayloadLimit:
    """The bound of the key-payload reduction, Theorem AA, at its tight scales.

    Raises:
        BadInput: a success probability outside (1/2, 1], or what ``KeyPayloadReduction.build``
            says.

    >>> limit = payload_limit(256, 32, success=1)
    >>> limit.bound_bits, limit.secret_bits_in_keys  # 256 (2 * 32 - 8), of them 256 (32 - 8)
    (14336.0, 6144)
    """
    if not 0.5 < success <= 1:
        raise BadInput(
            f"success must lie in (1/2, 1], not {success:g}: 1/2 is the success of a random guess."
        )
    hard = KeyPayloadReduction.build(n=n, d=d, b=key_bits, eta=eta)
    bound = index_bound_bits(hard.secret_bits, success)
    return PayloadLimit(
        reduction="key-payload",
        n=n,
        d=d,
        key_bits=key_bits,
        address=hard.addresses.d,
        eta=eta,
        scale=hard.scale,
        logit_range=hard.logit_range,
        success=success,
        bits_per_number=hard.secret_bits / (2 * n * d),
        secret_bits_in_values=hard.bits_in_values,
        secret_bits_in_keys=hard.bits_in_keys,
        secret_bits=hard.secret_bits,
        bound_bits=bound,
        bound_bits_per_token=bound / n,
        compression_ratio_limit=compression_ratio_limit(n, d, d, bound),
    )
