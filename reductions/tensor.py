"""Index on tensor attention: 2 (n-1) d bits in the two value caches (follow-up, arXiv 2503.11108).

The follow-up's abstract states Omega(nd) bits for the layout of four caches by a reduction from
Index; its construction was not at hand, so this one is ours. The rule is ``tensor_attention``.

**Keys.** d = 2^m, m even. k1_i = (-1)^{a_i} and k2_j = (-1)^{Q_j} / sqrt(d), with a_i the linear
functions on {0,1}^m and Q_j Gold's quadratic forms. The pair keys kappa_ij = k1_i o k2_j =
(-1)^{a_i + Q_j} / sqrt(d) are n^2 different unit vectors, and by (G) of ``quadratic_forms``

    <kappa_ab, kappa_ij> <= mu = 2^{1 - m/2} = 2 / sqrt(d)    whenever (a,b) != (i,j):

1/2, 1/4, 1/8 at d = 16, 64, 256 (for b = j it is 0, as different linear functions are orthogonal).

**Alice.** Tokens 0 .. n-1, token l = ([k1_l | k2_l], [x_l | y_l]), x_l, y_l in {0,1}^d. Token 0 is
public, x_0 = y_0 = (1, .., 1). The others' 2 (n-1) d bits are the secret: rows 2(l-1) (x_l) and
2(l-1)+1 (y_l).

**Bob** appends the zero token with the query C kappa_i0 to read x_i: pair (i,0) has the value
x_i o y_0 = x_i. The query C kappa_0j reads y_j. His token makes 2n + 1 pairs with key 0 and value 0
(with each of the n tokens on either side, and with itself), each of weight e^0 = 1.

**The exact margin (ours).** Coordinates do not meet, so fix one and write x_l, y_l for the bits in
it. Let w_ab = e^{C<kappa_ab, kappa_i0>} and D = sum_ab w_ab + 2n + 1, which is public. The exact
output is o = sum_ab w_ab x_a y_b / D. With

    U_i = sum of w_ab over the pairs with a != i,        L_i = w_i0 + w_00,

over all contents of the other bits (x_0 = y_0 = 1 throughout):

    x_i = 0:  o <= U_i / D, attained at x_l = y_l = 1 for all l != i (y_i = 1 as well): then exactly
              the pairs with a = i vanish, and these vanish whenever x_i = 0;
    x_i = 1:  o >= L_i / D, attained at x_l = 0 for l != 0, i and y_l = 0 for l != 0: then only the
              pairs (0,0) and (i,0) are left, and these two are there whenever x_i = 1.

So one threshold on o decodes x_i against every context and every error within (1 +- eta) **iff**

    (1 + eta) U_i < (1 - eta) L_i,   i.e.   demand_i := rho U_i / L_i < 1,                       (T)

with rho = (1+eta)/(1-eta).

The threshold is the geometric mean of the moved extremes, sqrt((1-eta^2) U_i L_i) / D. For y_j the
same holds with U_j over the pairs with b != j and L_j = w_0j + w_00.

*One scale for all rows.* Dividing by w_i0 = e^C and moving the pair (0,0), which is in U_i too, to
the left, (T) reads rho sum' e^{C g_ab} + (rho - 1) e^{C g_00} < 1, the sum over a != i and
(a,b) != (0,0), all gaps g = <kappa_ab, kappa_i0> - 1 <= mu - 1 < 0. The left side falls strictly in
C: there is one root, above which (T) holds, and the tight scale is the largest of the 2(n-1) roots.
Bounding every gap by mu - 1 gives the closed form C = ln(rho (n^2 - 1)) / (1 - mu).

*Rounding.* sqrt(d) is a power of two and every entry of C kappa has the modulus C / sqrt(d), so a
float32 query is exactly C' kappa, C' = sqrt(d) fl(C / sqrt(d)); "tight" and "closed" are rounded up
to such a number, with the room of ``margins`` for float32 outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, NoScale
from .index import MIN_TOKENS
from .keys.base import KeySet
from .margins import FLOAT32_SLACK, closed_scale, condition
from .quadratic_forms import gold_forms, linear_forms
from .reduction import ByCoordinate
from .scale import check_float32

Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: the dimensions whose forms are tabulated, and m = log2 d
DIMENSIONS = {16: 4, 64: 6, 256: 8}


def key_caches(n: int, d: int) -> tuple[Float32, Float32]:
    """K1 = (-1)^{a_i} and K2 = (-1)^{Q_j} / sqrt(d), float32[n, d] each.

    BadInput for another d than 16, 64, 256, and for n > d.

    >>> K1, K2 = key_caches(16, 16)
    >>> float((K1[3] * K2[5]) @ (K1[3] * K2[5])), float(K2[0, 0])
    (1.0, 0.25)
    """
    if d not in DIMENSIONS:
        raise BadInput(
            "The tensor keys are linear functions and quadratic forms on d = 2^m points, m "
            f"even: d must be one of {', '.join(map(str, DIMENSIONS))}, not {d}."
        )
    if not 1 <= n <= d:
        raise BadInput(
            f"In dimension d = {d} there are {d} linear functions and {d} forms: give n from "
            f"{MIN_TOKENS // 2 + 1} to {d} data tokens, not {n}."
        )
    m = DIMENSIONS[d]
    K1 = (1 - 2 * linear_forms(n, m)).astype(np.float32)
    K2 = (1 - 2 * gold_forms(n, m)).astype(np.float32) / np.float32(math.sqrt(d))
    return K1, K2


@dataclass(frozen=True, eq=False)
class Spectra:
    """How often each inner product with the pair asked for occurs, for every secret row.

    Attributes:
        gaps: float64[d+1], -2w/d for w = 0 .. d: what <kappa_ab, kappa_t> - 1 can be.
        others: float64[rows, d+1], the pairs in U.
        all: float64[rows, d+1], all n^2 pairs.
        reference: float64[rows], the gap of pair (0,0).
    """

    gaps: Floats
    others: Floats
    all: Floats
    reference: Floats

    @classmethod
    def of(cls, K1: Float32, K2: Float32) -> Spectra:
        """From the key caches, float32[n, d], in O(n^3 d)."""
        n, d = K1.shape
        sides = (K1, K2 * np.float32(math.sqrt(d)))
        others, everything, reference = [], [], []
        for i in range(1, n):
            for own, other in (sides, sides[::-1]):
                # [this side's token, the other's]: agreements less disagreements with the target
                inner = (own * (own[i] * other[0])) @ other.T
                differ = np.rint((d - inner) / 2).astype(np.int64)
                everything.append(np.bincount(differ.reshape(-1), minlength=d + 1))
                row = np.bincount(differ[i], minlength=d + 1)
                others.append(everything[-1] - row)
                reference.append(-2.0 * differ[0, 0] / d)
        return cls(
            -2.0 * np.arange(d + 1) / d,
            np.array(others, dtype=np.float64),
            np.array(everything, dtype=np.float64),
            np.array(reference),
        )

    @property
    def coherence(self) -> float:
        """mu: the largest inner product of a pair asked for and another pair."""
        beside = self.all.copy()
        beside[:, 0] -= 1
        return float(1 + self.gaps[np.flatnonzero(beside.any(axis=0))[0]])

    def weights(self, C: float) -> tuple[Floats, Floats, Floats]:
        """U, L and the sum over all pairs, each in units of the asked pair's weight e^C."""
        weight = np.exp(C * self.gaps)
        return self.others @ weight, 1 + np.exp(C * self.reference), self.all @ weight

    def demands(self, C: float, eta: float) -> Floats:
        """rho U / L, float64[rows]; (T) holds iff it is below 1."""
        U, L, _ = self.weights(C)
        return np.asarray((1 + eta) / (1 - eta) * U / L)

    def tight_scale(self, eta: float, slack: float = 0.0) -> float:
        """The least C with demand <= 1 - slack in every row, to a relative 1e-12 from above."""
        low, high = 0.0, 1.0
        while float(self.demands(high, eta).max()) > 1 - slack:
            low, high = high, 2 * high
        while high - low > 1e-12 * high:
            middle = (low + high) / 2
            if float(self.demands(middle, eta).max()) > 1 - slack:
                low = middle
            else:
                high = middle
        return high


@dataclass(frozen=True, eq=False)
class TensorReduction(ByCoordinate):
    """One hard instance. Make it with :meth:`build`; the bare constructor checks nothing.

    Attributes:
        K1, K2: the public key caches, float32[n, d].
        eta: the relative tolerance.
        scale: C.
    """

    K1: Float32
    K2: Float32
    eta: float
    scale: float

    @classmethod
    def build(
        cls, *, n: int, d: int, eta: float = 0.5, scale: str | float = "tight"
    ) -> TensorReduction:
        """Check the hypotheses, and find a scale at which (T) holds for every secret row.

        ``scale``: "tight" (ours: exact), "closed" (ours: ln(rho (n^2-1)) / (1 - mu)) or a number.

        Raises BadInput for n < 9 (fewer than 16 secret rows), n > d, a d that is not 16, 64 or 256,
        or eta outside [0, 1); NoScale where the scale given does not separate every row.

        >>> hard = TensorReduction.build(n=64, d=64)
        >>> hard.rows, hard.spectra.coherence, round(hard.scale, 2)
        (126, 0.25, 10.26)
        """
        condition("01", eta, None)
        if 2 * (n - 1) < MIN_TOKENS:
            raise BadInput(
                f"Tensor attention hides 2 (n-1) rows, but the game needs {MIN_TOKENS}, one "
                f"for each age bucket: give n >= {MIN_TOKENS // 2 + 1} data tokens, not {n}."
            )
        bare = cls(*key_caches(n, d), eta, 0.0)
        return cls(bare.K1, bare.K2, eta, bare._choose(scale))

    def _choose(self, scale: str | float) -> float:
        if scale == "paper":
            raise BadInput(
                "The paper's scale is for Index under softmax attention (Theorem 8); for "
                "tensor attention use 'tight', 'closed' or a number."
            )
        mu = self.spectra.coherence
        if scale == "tight":
            found = self._sent(self.spectra.tight_scale(self.eta, FLOAT32_SLACK), up=True)
        elif scale == "closed":
            found = self._sent(closed_scale(self.n**2, mu, self.eta), up=True)
        else:
            try:
                found = float(scale)
            except ValueError:
                raise BadInput(
                    f"The scale must be tight, closed or a number, not '{scale}'."
                ) from None
            if not 0 < found < math.inf:
                raise BadInput(f"The scale must be a positive number, not {found:g}.")
        check_float32(KeySet("tensor", self.d, 0, self.K1[:1] * self.K2[:1]), found)
        worst = float(self.spectra.demands(self._sent(found), self.eta).max())
        if not worst < 1:
            raise NoScale(
                f"At scale {found:.6g} a row is not separated (condition T: {worst:.6g} is not "
                "below 1): use a larger scale, or scale='tight'."
            )
        return found

    def _sent(self, scale: float, *, up: bool = False) -> float:
        """C' = sqrt(d) fl(C / sqrt(d)), the scale of the float32 query; ``up``: C' >= C."""
        root = math.sqrt(self.d)
        entry = np.float32(scale / root)
        if up and float(entry) < scale / root:
            entry = np.nextafter(entry, np.float32(np.inf))
        return root * float(entry)

    @cached_property
    def spectra(self) -> Spectra:
        """The secret rows' spectra of inner products."""
        return Spectra.of(self.K1, self.K2)

    # -- what the game asks ----------------------------------------------------------------------

    @property
    def n(self) -> int:
        """Data tokens, the public token 0 included."""
        return len(self.K1)

    @property
    def d(self) -> int:
        """The dimension of each of the four caches."""
        return int(self.K1.shape[1])

    @property
    def tokens(self) -> int:
        """The same as n."""
        return self.n

    @property
    def d_k(self) -> int:
        """2 d: a key is [k1 | k2]."""
        return 2 * self.d

    @property
    def d_v(self) -> int:
        """2 d: a value is [v1 | v2]."""
        return 2 * self.d

    @property
    def rows(self) -> int:
        """2 (n-1)."""
        return 2 * (self.n - 1)

    @property
    def width(self) -> int:
        """d bits a row."""
        return self.d

    def public(self) -> dict[str, Any]:
        """What compressors are told: everything but the secret."""
        known = np.zeros((self.n, self.d_v), dtype=np.float32)
        known[0] = 1
        return {
            "reduction": "tensor",
            "attention": "tensor",
            "keys": self._keys,
            "values": "01",
            "eta": self.eta,
            "scale": self.scale,
            "softmax_scale": 1.0,
            "secret_tokens": np.arange(1, self.n),
            "known_values": known,
        }

    @cached_property
    def _keys(self) -> Float32:
        keys: Float32 = np.concatenate([self.K1, self.K2], axis=1)
        keys.setflags(write=False)
        return keys

    def stream(self, x: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Alice's triples for x, uint8[2(n-1), d]: float32 Q = 0, K, V, each [n, 2d]."""
        self.check_secret(x)
        V = np.ones((self.n, self.d_v), dtype=np.float32)
        V[1:] = np.asarray(x).reshape(self.n - 1, self.d_v)
        return np.zeros_like(self._keys), self._keys, V

    def queries(self, rows: ArrayLike | None = None) -> tuple[Float32, Float32, Float32]:
        """Bob's triples: float32 [C kappa | 0], 0, 0, each [m, 2d]."""
        at = self._at(rows)
        token, second = 1 + at // 2, (at % 2 == 1)[:, None]
        pair = np.where(second, self.K1[0] * self.K2[token], self.K1[token] * self.K2[0])
        Q = np.zeros((len(at), self.d_k), dtype=np.float32)
        Q[:, : self.d] = self.scale * pair.astype(np.float64)
        return Q, np.zeros_like(Q), np.zeros((len(at), self.d_v), dtype=np.float32)

    def thresholds(self, rows: ArrayLike | None = None) -> Float32:
        """Float32[m]: sqrt((1-eta^2) U L) / D; a bit is 1 iff its coordinate is greater."""
        C = self._sent(self.scale)
        U, L, everything = self.spectra.weights(C)
        D = everything + (2 * self.n + 1) * math.exp(-C)
        cut = np.sqrt((1 - self.eta**2) * U * L) / D
        return np.asarray(cut[self._at(rows)], dtype=np.float32)

    def demands(self, rows: ArrayLike | None = None) -> Floats:
        """Float64[m]: rho U / L of the queries sent; separated iff below 1."""
        return self.spectra.demands(self._sent(self.scale), self.eta)[self._at(rows)]

    def worst_secret(self, row: int, bit: int) -> NDArray[np.uint8]:
        """Uint8[rows, d]: the context in which row ``row`` with all bits ``bit`` is least clear."""
        x = np.full((self.rows, self.d), 1 - bit, dtype=np.uint8)
        x[row] = bit
        return x
