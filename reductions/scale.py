"""Which query scale C the Index reduction uses, and whether float32 can hold it.

The conditions of ``margins`` are checked on the numbers that are really sent: float32 keys and
float32 queries fl(C k_i). "tight" is the smallest C, up to a relative 1e-6 or so on ordinary keys,
at which the condition holds for those numbers with room for float32 outputs and thresholds:
``tight_scale`` is solved with the bound lowered by twice the room, the rounded queries are
measured, and while they have eaten more than half of the room it is doubled and solved again.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, NoScale, did_you_mean
from .interference import (
    max_deviation,
    query_interference,
    separable_gap,
    tight_scale,
    worst_keys,
)
from .keys.base import KeySet
from .margins import Condition

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

SCALES = ("tight", "closed", "paper")


def float32_queries(keys: KeySet, scale: float, at: Indices) -> NDArray[np.float32]:
    """The queries as sent, fl(C k_i) for the rows ``at``: float32[m, d]."""
    return (scale * keys.rows_at(at).astype(np.float64)).astype(np.float32)


def sent_interference(keys: KeySet, scale: float, at: Indices) -> tuple[Floats, Floats]:
    """For the float32 queries q_i of the rows ``at``: (S'_i, a_i), two float64[m].

    S'_i = sum_{l != i} exp(<q_i, k_l> - <q_i, k_i>) and a_i = <q_i, k_i>. A set with a spectrum is
    flat: its entries are 0 or +-r, so fl(C k_i) = (fl(C r) / r) k_i and the spectrum answers.
    """
    if keys.spectrum is None:
        Q, rows = float32_queries(keys, scale, at).astype(np.float64), keys.rows.astype(np.float64)
        return query_interference(Q, at, rows), np.einsum("rj,rj->r", Q, rows[at])
    r = float(np.abs(keys.rows_at([0])).max())
    C = float(np.float32(scale * r)) / r
    others = float(keys.spectrum.multiplicities @ np.exp(C * keys.spectrum.gaps))
    return np.full(len(at), others), np.full(len(at), C * float(keys.spectrum.norm2))


def choose_scale(keys: KeySet, rule: Condition, scale: str | float) -> float:
    """The number behind "tight", "closed", "paper" or a number, checked against float32.

    "closed" looks at the closest pair alone. "paper" is Theorem 8's, for M01 where its eps < 1/2.
    Whatever it is, every key's condition holds at it. Raises BadInput for anything else and where
    the paper's hypothesis fails; NoScale naming the key where no scale, or not the one given,
    separates the keys, or float32 cannot hold it.
    """
    if scale == "tight":
        return _with_room(
            keys, rule, lambda slack: tight_scale(keys, rule.bound * (1 - slack), rule.zero_token)
        )
    if scale == "closed":
        gap = separable_gap(keys)
        rows = keys.rows_at(keys.representatives)
        norm2 = float(np.square(rows, dtype=np.float64).sum(axis=1).min())
        return _with_room(
            keys, rule, lambda slack: rule.closed_scale(keys.n, gap, norm2, 1 - slack)
        )
    found = _paper(keys, rule) if scale == "paper" else _number(scale)
    check_float32(keys, found)
    worst, demand = _worst(keys, rule, found)
    if not demand < 1:
        raise NoScale(
            f"At scale {found:.6g} key {worst} is not separated (condition {rule.name}: "
            f"{demand:.6g} is not below 1): use a larger scale, or scale='tight'."
        )
    return found


def check_float32(keys: KeySet, scale: float) -> None:
    """NoScale, naming the key, when float32 queries overflow or float32 scores mean nothing.

    To first order a float32 score <fl(C k), k_l> is off by at most (d+2) 2^-24 C |k| |k_l|: one
    rounding for each coordinate of the query, one for each product, at most d in the running sum.
    Where that reaches ln(2)/2, two weights that should be equal can come out a factor of 2 apart,
    and a wrong bit would say nothing about the algorithm. A rule of prudence, not a theorem.
    """
    rows = keys.rows_at(keys.representatives)
    norm2 = np.square(rows, dtype=np.float64).sum(axis=1)
    i = int(norm2.argmax())
    largest = np.abs(rows).max(axis=1)
    at = int(largest.argmax())
    if scale * float(largest[at]) > float(np.finfo(np.float32).max):
        raise NoScale(
            f"The query {scale:.3g} k_{at} overflows float32: use fewer keys, a larger d or a "
            "smaller scale."
        )
    error = scale * float(norm2[i]) * (keys.d + 2) * 2.0**-24
    if error >= math.log(2) / 2:
        raise NoScale(
            f"At scale {scale:.3g} the float32 score of key {i} can be wrong by {error:.3g} "
            "nats, which uses up the margin: use fewer keys, a larger d or a smaller scale."
        )


def _with_room(keys: KeySet, rule: Condition, solve: Callable[[float], float]) -> float:
    """``solve(slack)`` for the least slack at which the float32 queries leave ``rule.slack``."""
    slack, worst = 2 * rule.slack, 0
    while slack < 0.5:
        scale = solve(slack)
        check_float32(keys, scale)
        worst, demand = _worst(keys, rule, scale)
        if demand <= 1 - rule.slack:
            return scale
        slack *= 2
    raise NoScale(
        f"Rounding the queries to float32 uses up the margin of key {worst}: use fewer keys, a "
        "larger d or another key seed."
    )


def _worst(keys: KeySet, rule: Condition, scale: float) -> tuple[int, float]:
    """The key with the largest demand, and that demand, for the queries as sent."""
    at = keys.representatives
    if keys.spectrum is None:
        at = worst_keys(keys, scale, 1, rule.demand)
    demand = rule.demand(*sent_interference(keys, scale, at))
    worst = int(demand.argmax())
    return int(at[worst]), float(demand[worst])


def _paper(keys: KeySet, rule: Condition) -> float:
    if rule.name != "M01":
        raise BadInput(
            "The paper's scale needs values 01 and a relative error eta (Theorem 8): use "
            "scale='tight'."
        )
    from .paper import paper_scale

    return paper_scale(keys.n, rule.tolerance, max_deviation(keys))


def _number(scale: str | float) -> float:
    try:
        value = float(scale)
    except ValueError:
        raise BadInput(
            f"The scale must be a number or one of {', '.join(SCALES)}, not "
            f"'{scale}'.{did_you_mean(str(scale), SCALES)}"
        ) from None
    if not 0 < value < math.inf:
        raise BadInput(f"The scale must be a positive number, not {value:g}.")
    return value
