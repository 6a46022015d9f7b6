r"""Bob's answers in fp32, fp16 and bf16: when does rounding turn no bit? (ours)

Setting and notation of ``margins``: own score a_i, others s_l, S'_i = sum_{l != i} e^{s_l - a_i};
Bob's own token has the score 0, exactly, and the value 0. Values are lo = 0 or -1, and 1.

**Theorem BC.** An engine answers o' with |o' - o| <= y|o| + min(z, w), where o is attention at the
scores s_l + e_l, |e_l| <= x, and w the weight there of all other data tokens. With S = S'_i e^{2x}
and T = 1 + S + e^{x - a_i} the cut tau reads every bit of token i, whatever the other secrets, the
e_l and o' are, **iff**

    (lo + S)/T moved up <= tau < (1 + lo S)/T moved down,                                      (R)

moved by y|.| + min(z, S/T). *Proof.* o rises in the weight of a 1, falls in that of a lo, and rises
in every value. So where x_ij is lo it is largest where all others are 1, e_i = -x and e_l = x for l
!= i: divide by e^{a_i - x}. Where x_ij is 1 it is smallest where all others are lo, at these e_l,
where w = S/T is largest too. Both are attained, and both ends of what o is moved to rise in o.  []

**Theorem BD.** Let u be the unit of the type (2^-24, 2^-11, 2^-8), v = 2^-24, and say an entry of a
key or query that is kept is off by u of itself or by half of ``grain``. Scores are sums in float32
of d products, rounded r times to the type (0 in a fused kernel, 2 in eager attention, 3 where query
and key are scaled apart, 5 with a cap) and made c tanh(s/c) where there is a cap c. The softmax is
float32; its n weights are rounded to the type, averaged in float32, and the answer is rounded. Then
BC's hypothesis is met with

    x = (f - 1) R + f (grain/2)(|q|_1 + |k|_1 + d grain/2) + bent,    f = (1+u)^{2+r} (1+v)^{d+8},
    y = (1+u)^2 (1+v)^{2n+16} - 1,     z = n least,

R >= sum_j |q_j k_lj| for all l, ``least`` half of the type's smallest number, and bent = R' - c
tanh(R'/c) where there is a cap, R' = R and the other terms of x. *Proof.* A factor 1 + u or 1 + v
is one rounding: of the key, of the query, r of the score; in float32 d + 1 for products and sum,
and the rest for sqrt(s), sqrt(s) q, 1/sqrt(s) and s - max (below 2R in size). An entry that is off
by grain/2 in place of a share adds that times its partner. |s - c tanh(s/c)| rises with |s|. y: an
exponential is off by 4 v of itself at most, a float32 sum of n terms by n v, twice, and there are
two roundings to the type, of the weight and of the answer. A weight below the type's normal numbers
is off by ``least`` at most, and by itself at most, as no number above 0 is rounded to more than
twice itself; the own weight is not among those.  []

Flat keys have R = a_i = C. At C = 10.04 (4096 Kerdock keys, d = 64, eta = 1/2) x is .158 for bf16
in eager attention, and (R) holds up to x = .294. Along C, S'_i falls and x grows: where products of
unit keys are at most 1 - g it takes S'_i e^{4x} < 3/4, about C (g - 4 (2 + r) u) > ln n, so where
g <= 4 (2 + r) u *no* scale is certified by this, and keys that the type cannot tell apart (g < u/2)
are misread at every scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .index import IndexReduction
from .scale import float32_queries, sent_interference

Floats = NDArray[np.float64]

#: unit, and half of the smallest number above 0
TYPES = {"fp32": (2.0**-24, 2.0**-150), "fp16": (2.0**-11, 2.0**-25), "bf16": (2.0**-8, 2.0**-134)}
EAGER, SPLIT, CAPPED = 2, 3, 5
"""How often a score is rounded to the type, beside a fused kernel's 0.

SPLIT: a kernel that scales query and key apart, by the root of the scale.
"""
_V = 2.0**-24


@dataclass(frozen=True)
class Arithmetic:
    """How an engine computes, as Theorem BD sees it.

    Attributes:
        type: ``fp32``, ``fp16`` or ``bf16``: of keys, queries, values, weights and answers.
        score_roundings: r.
        cap: c, or None.
        grain: entries below 2^p grain, p the bits of a number, are multiples of it; 0: none are.
    """

    type: str
    score_roundings: int = 0
    cap: float | None = None
    grain: float = 0.0

    def score_error(self, reach: ArrayLike, sums: ArrayLike, d: int) -> Floats:
        """x, float64[m]: for R and |q|_1 + the largest |k|_1, each [m].

        >>> x = Arithmetic("bf16", EAGER).score_error([10.04], [100.0], 64)
        >>> round(float(x[0]), 3)
        0.158
        """
        unit, _ = TYPES[self.type]
        off = (1 + unit) ** (2 + self.score_roundings) * (1 + _V) ** (d + 8)
        half = self.grain / 2
        far = np.asarray(reach, dtype=np.float64)
        x = (off - 1) * far + off * half * (np.asarray(sums, dtype=np.float64) + d * half)
        if self.cap is not None:
            x = x + (far + x) - self.cap * np.tanh((far + x) / self.cap)
        return np.asarray(x, dtype=np.float64)

    def answer_error(self, n: int) -> tuple[float, float]:
        """y and z for n tokens."""
        unit, least = TYPES[self.type]
        return (1 + unit) ** 2 * (1 + _V) ** (2 * n + 16) - 1, n * least


def extremes(
    interference: ArrayLike, own: ArrayLike, x: ArrayLike, y: float = 0.0, z: float = 0.0,
    values: str = "01",
) -> tuple[Floats, Floats]:  # fmt: skip
    """The two sides of (R), float64[m] each; values as in ``margins``.

    >>> high, low = extremes([0.25], [np.inf], [0.0])
    >>> high.tolist(), low.tolist()
    ([0.2], [0.8])
    """
    lo = 0.0 if values == "01" else -1.0
    others = np.asarray(interference, dtype=np.float64) * np.exp(2 * np.asarray(x))
    total = 1 + others + np.exp(np.asarray(x) - np.asarray(own))
    high, low, lost = (lo + others) / total, (1 + lo * others) / total, others / total
    lost = np.minimum(z, lost)
    return high + y * np.abs(high) + lost, low - y * np.abs(low) - lost


def certified(
    index: IndexReduction, arithmetic: Arithmetic, rows: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Bool[m]: for which tokens (all by default) Theorems BC and BD say that every bit is read.

    >>> from .keys import make
    >>> hard = IndexReduction.build(make("kerdock", 512, 64), 64)
    >>> [bool(certified(hard, Arithmetic(name, EAGER)).all()) for name in TYPES]
    [True, True, True]
    """
    at = np.arange(index.n) if rows is None else np.asarray(rows, dtype=np.int64)
    interference, own = sent_interference(index.keys, index.scale, at)
    Q = np.abs(float32_queries(index.keys, index.scale, at)).astype(np.float64)
    keys = np.abs(index.keys.rows_at(np.arange(index.n))).astype(np.float64)
    # Cauchy and Schwarz, but where all entries are of one size: there the sum is own.
    flat = np.ptp(keys[keys > 0]) == 0
    norms = np.sqrt(np.square(Q).sum(axis=1)), np.sqrt(np.square(keys).sum(axis=1))
    reach = own if flat else norms[0] * norms[1].max()
    x = arithmetic.score_error(reach, Q.sum(axis=1) + keys.sum(axis=1).max(), index.d_k)
    y, z = arithmetic.answer_error(index.n + 1)
    high, low = extremes(interference, own, x, y, z, index.values)
    cut = index.thresholds(at).astype(np.float64)
    return np.asarray((high <= cut) & (cut < low))
