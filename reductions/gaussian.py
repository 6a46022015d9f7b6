"""The average case (ours): keys drawn anew for each message, a random token, an ordinary query.

k_1, .., k_n are independent N(0, I_d) from public coins, x is uniform bits in the values, i is
uniform, and Bob's query is q_i = beta k_i / sqrt(d), whose norm is about beta. Nothing is chosen
against the algorithm. With C = beta / sqrt(d) this is the Index reduction (``index``) on other keys
each time, so everything exact is known of it: S'_i, measured on the float32 numbers that are sent,
and the condition M01, S'_i < 1/rho, at which an answer within 1 +- eta reads row i.

Where the condition fails (Bob sees it, because keys are public) he guesses. Hence, with theta =
Pr[S'_i >= 1/rho] and an algorithm that is right with probability 1 - delta *over all this
randomness*, his mean error is at most delta + theta/2, and

    H(state | keys, public coins)  >=  n d (1 - h(delta + theta/2)),   delta + theta/2 <= 1/2,  (1)

h being concave (Jensen, over indices and keys). Given k_i the other scores are independent
N(0, beta^2 |k_i|^2 / d), so E[e^{<q_i,k_l> - <q_i,k_i>} | k_i] = e^{-c |k_i|^2} with

    c = beta / sqrt(d) - beta^2 / (2d),    E e^{-c |k_i|^2} = (1 + 2c)^{-d/2},

and by Markov's inequality theta <= rho (n-1) (1+2c)^{-d/2}: small up to n = e^{Theta(sqrt d)} at
fixed beta. The proof in full is in docs/theory-average-case.md.

*Float32.* Measured thetas are about the rounded keys and queries, and count a row as unread where
rounding could matter; the closed form is about real Gaussian keys.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput
from .bounds import fano_rate
from .index import MIN_TOKENS, IndexReduction
from .keys.base import KeySet
from .reduction import ByCoordinate, Public

Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

#: what the paper's guarantee leaves: an index is answered wrongly with probability 1/10
DELTA = 0.1
#: of the seed's coins, so that they are not those of ``Compressor.rng`` at any step
_STREAM = 1 << 63


def drawn_keys(n: int, d: int, seed: int) -> Float32:
    """The keys of the message with these public coins: float32[n, d], independent N(0, 1).

    ``seed`` in [0, 2^63), as players get it. Whoever has the seed can draw them: they hold nothing
    of the secret.
    """
    return _drawn(int(n), int(d), int(seed)).copy()


@lru_cache(maxsize=4)
def _drawn(n: int, d: int, seed: int) -> Float32:
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, _STREAM], dtype=np.uint64)))
    keys: Float32 = rng.standard_normal((n, d), dtype=np.float32)
    keys.setflags(write=False)
    return keys


@dataclass(frozen=True)
class GaussianReduction(ByCoordinate):
    """The family, at the keys of one message. Make it with :meth:`build`.

    Attributes:
        n: data tokens. d: dimension of keys and of values. beta: the query's norm, about.
        eta: the relative error allowed.
        seed: the public coins of the message; 0 until :meth:`of_message`.
    """

    n: int
    d: int
    beta: float
    eta: float
    seed: int = 0

    @classmethod
    def build(cls, n: int, d: int, beta: float, eta: float) -> GaussianReduction:
        """Check the hypotheses.

        Raises BadInput for n < 16, d < 2, and beta or eta outside their ranges.

        >>> GaussianReduction.build(64, 16, 2.0, 0.5).scale
        0.5
        """
        if n < MIN_TOKENS:
            raise BadInput(f"The gaussian reduction needs n >= {MIN_TOKENS} data tokens, not {n}.")
        if d < 2:
            raise BadInput(f"The gaussian reduction needs d >= 2, not d = {d}.")
        if not 0 < beta < most_beta(d):
            raise BadInput(
                f"beta = {beta:g} is not a query norm for d = {d}: give --beta above 0 and below "
                f"{most_beta(d):.3g}, where float32 scores begin to blur (the closed form of "
                f"the bound is best at sqrt(d) = {math.sqrt(d):.3g})."
            )
        if not 0 <= eta < 1:
            raise BadInput(f"The theorem needs 0 <= eta < 1, not eta = {eta:g}.")
        return cls(n, d, float(beta), float(eta))

    def of_message(self, seed: int) -> GaussianReduction:
        """The same family at the keys of the message with these public coins."""
        return replace(self, seed=seed)

    @property
    def scale(self) -> float:
        """C = beta / sqrt(d)."""
        return self.beta / math.sqrt(self.d)

    @property
    def tokens(self) -> int:
        """n data tokens."""
        return self.n

    @property
    def rows(self) -> int:
        """n: every token's value is a row of the secret."""
        return self.n

    @property
    def width(self) -> int:
        """d bits in a row."""
        return self.d

    @property
    def d_k(self) -> int:
        """The dimension of the keys."""
        return self.d

    @property
    def d_v(self) -> int:
        """The dimension of the values."""
        return self.d

    @cached_property
    def index(self) -> IndexReduction:
        """The Index reduction at these keys; not every row is separated."""
        keys = KeySet("gaussian", self.d, self.seed, _drawn(self.n, self.d, self.seed))
        return IndexReduction(keys, self.d, "01", self.eta, None, self.scale)

    def public(self) -> Public:
        """What compressors are told; ``redrawn`` says that ``keys`` are those of the message."""
        return self.index.public() | {
            "reduction": "gaussian",
            "keys": drawn_keys(self.n, self.d, self.seed),
            "beta": self.beta,
            "redrawn": True,
        }

    def stream(self, x: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Alice's triples for x, uint8[n, d]: float32 Q = 0, the keys, the bits."""
        return self.index.stream(x)

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples for the rows asked: float32 fl(C k_i), 0, 0."""
        return self.index.queries(rows)

    def unread(self, rows: ArrayLike | None = None) -> Bool:
        """bool[m]: which rows Bob guesses, because S'_i >= 1/rho (or within float32 of it)."""
        with np.errstate(over="ignore"):
            return ~(self.index.demands(rows) <= 1 - self.index.condition.slack)

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """float32[m]: where the output is cut; infinite in a row that Bob guesses.

        So he reads 0 there: of a random bit as good a guess as any.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            cut = self.index.thresholds(rows)
        return np.where(self.unread(rows), np.float32(np.inf), cut).astype(np.float32)


def most_beta(d: int) -> float:
    """The beta at which a float32 score of a key of squared norm 2 d can be off by ln(2)/2 nats.

    To first order by (d+2) 2^-24 C |k|^2, C = beta/sqrt(d) (``scale.check_float32``).
    """
    return math.log(2) / 2 * 2.0**24 / ((d + 2) * 2 * math.sqrt(d))


def closed_theta(n: int, d: int, beta: float, eta: float) -> float:
    """rho (n-1) (1+2c)^{-d/2}, at most 1: the bound on theta for real Gaussian keys.

    It is least at beta = sqrt(d), where it is rho (n-1) 2^{-d/2}.

    >>> math.isclose(closed_theta(2, 64, 8.0, 0.0), 2.0**-32)
    True
    >>> closed_theta(512, 64, 100.0, 0.5)
    1.0
    """
    c = beta / math.sqrt(d) - beta**2 / (2 * d)
    rho = (1 + eta) / (1 - eta)
    if c <= 0 or n < 2:
        return 1.0 if n > 1 else 0.0
    return min(1.0, math.exp(math.log(rho * (n - 1)) - d / 2 * math.log1p(2 * c)))


def average_rate(theta: float, delta: float = DELTA) -> float:
    """1 - h(delta + theta/2): bits of state per secret bit, (1); 0 from delta + theta/2 = 1/2 on.

    >>> average_rate(0.0) == fano_rate(0.1), average_rate(0.8)
    (True, 0.0)
    """
    error = delta + theta / 2
    return float(fano_rate(error)) if error < 0.5 else 0.0
