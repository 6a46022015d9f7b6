"""Index on the unmasked sliding window (Theorems 17 and 26, Appendix G; formulas reconstructed).

The rule, eq. (20): scores of tokens older than the last W are masked *to 0*, not to minus infinity,
so each of them keeps the weight e^0 = 1 and its value counts
(``attention.sliding_window_attention(masked=False)``).

Alice's stream has n data tokens. When Bob has appended his own, the window holds it and the last
W - 1 data tokens, the *usable* ones: these have public keys and the rows of the secret x as values.
The n - W + 1 older ones have key 0 and value 0. Bob appends (C k_i, 0, 0) and reads row i of x off
the output. That plain softmax over the whole stream gives the same answers on this instance,
because an older key is 0 and has score 0 with or without the mask, is why every compressor for
attention can be attacked with it.

**The exact margin (ours).** Let a_i = C|k_i|^2 and S_i = sum_{l != i} e^{C<k_l,k_i>} over the other
W - 2 usable tokens. Everything else weighs exactly 1: n - W + 1 tokens outside, and Bob's own. So
the denominator

    D_i = e^{a_i} + S_i + 1 + (n - W + 1) = e^{a_i} + S_i + n - W + 2

is public, and coordinate j of the exact output is (x_ij e^{a_i} + sum_{l != i} x_lj e^{s_l}) / D_i:
the values outside are 0. Over all contexts it is at most S_i/D_i where x_ij = 0 and at least
e^{a_i}/D_i where x_ij = 1, and both are attained (context all 1, all 0). Factors in [1-eta, 1+eta]
keep the two apart **iff** (1+eta) S_i < (1-eta) e^{a_i}, that is

    e^{a_i} > rho S_i,    rho = (1+eta)/(1-eta):                                                (W)

D_i cancels, and n with it. It is condition M01 of ``margins`` for W - 1 keys. The threshold is the
geometric mean of the two moved extremes, sqrt((1-eta^2) S_i e^{a_i}) / D_i; only there n enters.

The paper's (83) bounds all n - 1 other weights by e^{C eps} and arrives at (84),
C = (ln n + ln rho)/(1 - 2 eps) (reconstructed; its n counts Bob's token), which grows with n.

**Additive errors are refused**, because there n does enter: instead of (W) the two extremes stay
apart iff e^{a_i} - S_i > 2 gamma D_i, so that e^{a_i} must exceed 2 gamma (n - W + 2) / (1 - 2
gamma). Below that every output is under (e^{a_i} + S_i)/D_i, and the constant answer of half of
that is within gamma once n is large.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from . import keys as families
from .index import MIN_TOKENS
from .interference import max_deviation
from .keys.base import KeySet
from .margins import Condition, condition
from .paper import paper_scale
from .reduction import ByCoordinate
from .scale import choose_scale, float32_queries, sent_interference

Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]


def window_paper_scale(keys: KeySet, n: int, eta: float) -> float:
    """The paper's (84), reconstructed: ln(rho (n + 1)) / (1 - 2 eps) for n data tokens.

    ``keys`` are the W - 1 usable ones; eps is their measured largest |<k_l,k_i> - delta_li|.
    Raises BadInput where its hypothesis eps < 1/2 fails.
    """
    return paper_scale(n, eta, max_deviation(keys))


@dataclass(frozen=True, eq=False)
class SlidingWindowReduction(ByCoordinate):
    """One hard instance. Make it with :meth:`build`; the bare constructor checks nothing.

    Attributes:
        usable: the keys of the W - 1 secret tokens, float32[W-1, d].
        n: data tokens in all, n >= W - 1.
        eta: the relative tolerance.
        scale: C.
    """

    usable: KeySet
    n: int
    eta: float
    scale: float

    @classmethod
    def build(
        cls,
        *,
        n: int,
        d: int,
        window: int | None,
        keys_name: str = "jl",
        keys_seed: int = 0,
        eta: float = 0.5,
        scale: str | float = "tight",
    ) -> SlidingWindowReduction:
        """Take the first W - 1 keys of a family, and a scale at which each has its margin (W).

        ``scale``: "tight" (ours: exact, independent of n), "closed" (ours: from the closest pair),
        "paper" ((84), which needs eps < 1/2), or a number.

        Raises BadInput for a window below 17 or over n + 1, a tolerance outside [0, 1) or keys that
        the family does not have; NoScale as the Index reduction.

        >>> small, large = (SlidingWindowReduction.build(n=n, d=64, window=65) for n in (64, 10**5))
        >>> small.scale == large.scale, large.rows, large.tokens
        (True, 64, 100000)
        """
        rule = condition("01", eta, None)
        if window is None:
            raise BadInput("The sliding window needs a size: give window, including Bob's token.")
        n, window, d = (operator.index(number) for number in (n, window, d))
        if window < MIN_TOKENS + 1:
            raise BadInput(
                f"A window of {window} holds {window - 1} data tokens and Bob's, but the game "
                f"needs {MIN_TOKENS}, one for each age bucket: give a window of at least "
                f"{MIN_TOKENS + 1}."
            )
        if window > n + 1:
            raise BadInput(
                f"Theorem 17 needs a window within the stream: {n} data tokens and Bob's are "
                f"fewer than W = {window}. Give a window of at most n + 1."
            )
        if d < 2:
            raise BadInput(f"The theorem needs d >= 2, not d = {d}.")
        usable = families.make(keys_name, window - 1, d, keys_seed)
        if scale == "paper":
            scale = window_paper_scale(usable, n, eta)
        return cls(usable, n, eta, choose_scale(usable, rule, scale))

    @property
    def window(self) -> int:
        """W, Bob's token counted."""
        return self.usable.n + 1

    @property
    def tokens(self) -> int:
        """n data tokens."""
        return self.n

    @property
    def outside(self) -> int:
        """n - W + 1, the data tokens outside once Bob has appended his."""
        return self.n - self.usable.n

    @property
    def d_k(self) -> int:
        """d."""
        return self.usable.d

    @property
    def d_v(self) -> int:
        """d."""
        return self.usable.d

    @property
    def rows(self) -> int:
        """W - 1 rows of the secret, the oldest first."""
        return self.usable.n

    @property
    def width(self) -> int:
        """d bits in a row."""
        return self.usable.d

    @property
    def condition(self) -> Condition:
        """M01, for W - 1 keys."""
        return condition("01", self.eta, None)

    @cached_property
    def keys(self) -> Float32:
        """The stream's keys, float32[n, d]: 0, then the usable ones."""
        return self._padded(self.usable.rows)

    def public(self) -> dict[str, Any]:
        """What compressors are told: everything but the secret."""
        return {
            "reduction": "sliding-window",
            "attention": "unmasked-window",
            "window": self.window,
            "keys": self.keys,
            "values": "01",
            "eta": self.eta,
            "scale": self.scale,
            "softmax_scale": 1.0,
            "secret_tokens": np.arange(self.outside, self.n, dtype=np.int64),
            "known_values": np.zeros((self.n, self.d_v), dtype=np.float32),
        }

    # -- Alice -----------------------------------------------------------------------------------

    def stream(self, x: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Alice's triples for x, uint8[W-1, d]: float32 Q = 0, K, V, each [n, d]."""
        self.check_secret(x)
        return np.zeros_like(self.keys), self.keys, self._padded(np.asarray(x))

    def _padded(self, rows: NDArray[Any]) -> Float32:
        whole = np.zeros((self.n, self.usable.d), dtype=np.float32)
        whole[self.outside :] = rows
        return whole

    # -- Bob -------------------------------------------------------------------------------------

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the rows asked (all by default): float32 fl(C k_i), 0, 0, [m, d]."""
        Q = float32_queries(self.usable, self.scale, self._at(rows))
        return Q, np.zeros_like(Q), np.zeros_like(Q)

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """Float32[m]: bit (i, j) is 1 iff coordinate j of the output for row i is greater."""
        interference, own = (measured[self._at(rows)] for measured in self._measured)
        total = 1 + interference + (self.outside + 1) * np.exp(-own)
        cut = np.sqrt((1 - self.eta**2) * interference) / total
        return np.asarray(cut, dtype=np.float32)

    def demands(self, rows: ArrayLike | None = None) -> Floats:
        """Float64[m]: rho S_i e^{-a_i}; a row is separated iff it is below 1."""
        interference, own = (measured[self._at(rows)] for measured in self._measured)
        return self.condition.demand(interference, own)

    @cached_property
    def _measured(self) -> tuple[Floats, Floats]:
        """S_i e^{-a_i} and a_i of the float32 queries that are really sent."""
        return sent_interference(self.usable, self.scale, np.arange(self.rows))
