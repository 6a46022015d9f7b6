r"""Attention over sign keys in cosets of RM(1,m), without a product for each pair (ours).

d = 2^m, x and a in GF(2)^m. Let every stored key be sigma_l / |sigma_l| up to one factor and every
query a multiple of such a word,

    sigma_l(x) = (-1)^{f_s(x) + a.x + c},          l = (s, a, c),

any signs at all: f_s is the word's coset of the affine functions, whose f_s vanishes at 0 and at
the unit vectors, which makes it unique. gamma is the score of a query with its own key. Then

    <sigma_i, sigma_l> = (-1)^{c+c'} G_ss'(a + a'),    G_ss'(b) = sum_x (-1)^{f_s(x)+f_s'(x)+b.x},

so with e^z = cosh z + sinh z the sum over all stored tokens of the weights times anything u_l,
e.g. their values or 1, is

    sum_l e^{gamma <sigma_i,sigma_l>/d} u_l
        = sum_s' sum_a' cosh(gamma G_ss'(a+a') / d) (u_{s'a'0} + u_{s'a'1})
        + (-1)^c sum_s' sum_a' sinh(gamma G_ss'(a+a') / d) (u_{s'a'0} - u_{s'a'1}).

A key that is not stored has u = 0: any subset may be kept. For each pair of cosets these are
convolutions over GF(2)^m, and the Walsh transform makes each a product, number by number. The
transforms of cosh and sinh depend on no value: they are made once (:meth:`Cosets.of`), from n^2/d
weights instead of n^2. A message then costs n d_v log d for the transforms of values and outputs
and n^2 d_v / d for the products, no exponential; a dense decode costs 4 n^2 d and n^2 exponentials.

*Kerdock's keys, where the weight is linear in the score.* Between different cosets G = +-sqrt(d)
(``keys.kerdock``), so that with z = gamma/sqrt(d) and <k_i, k_l> = G/d

    e^{gamma <k_i,k_l>} = cosh z + sqrt(d) sinh(z) <k_i, k_l>,

and attention over any subset is cosh(z) times the sum of all values, K (K^T V), one correction a
coset (inner product 0: 1 - cosh z) and two of a key alone (1 and -1): O(n d d_v). Here n <= d^2, so
that n^2 d_v / d <= n d d_v: the convolution costs no more, and it needs no such condition.

*Other sets, by powers of the score.* With D inner products between cosets the weight is a
polynomial of degree D - 1 in the score. <k,k'>^p = <k^{(x)p}, k'^{(x)p}>, so a power costs
n d^p d_v, and dense costs n^2 (d + d_v): degree 1 pays (D = 2, kerdock), degree 2 from about
n = d^2/2 on (D = 3: gold for odd m, n <= 2 d^2: at best twice), degree 4 (delsarte-goethals and
gold for even m: D = 5, n <= d^3/2) never. The convolution saves a factor of about 4 d for all.

*Rounding.* The key of the query itself, and its negative, are taken out of the convolution and
added alone: their weights e^{+-gamma} would drown the others. All is float64, eps = 2^-53. Let mu
be the largest |G|/d of the other keys, r the number of cosets stored, and w = e^{gamma mu}.
Transforms of m steps of values and of weights, products, sums of r and the transform back, a mean
over d, are off by at most kappa eps d w sum_l |u_l|, kappa = 3 m + r + 8, even and odd part each
(every partial sum is at most d w sum_l |u_l|, and each operation rounds once). The sum of weights
of t >= 2 tokens is at least (t-1) / w >= t / (2w), as one at most is the query's negative. So an
output is off by at most 8 kappa eps d w^2 max |v|, numerator and denominator together, plus its
rounding to float32 and what the own token's float32 score brings (as in
``attention.next_outputs``). :meth:`Cosets.of` declines where that exceeds 2^-25 max |v|, half a
float32 rounding: so each output is about as near to the real number as a float32 can be, nearer
than a sum of float32 products.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .coset_kernels import gather, place, walsh
from .quadratic_forms import linear_forms

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]

_DIMENSIONS = (4, 1024)
#: numbers in a table of weights at most: two tables are 64 MiB
_MOST_WEIGHTS = 1 << 22
#: a weight here costs about as much as this many of a dense decode at least
_GAIN = 8
_ROUNDING = 2.0**-25


@dataclass(frozen=True, eq=False)
class Words:
    """Where sign vectors stand: coset, linear part a and sign (-1)^c of each.

    Attributes:
        forms: float64[cosets, d], the words (-1)^{f_s(x)}.
        coset, linear: int64[k].
        sign: float64[k], 1 or -1.
    """

    forms: Float64
    coset: Ints
    linear: Ints
    sign: Float64

    @classmethod
    def of(cls, rows: Float32) -> Self:
        """The places of float32[k, d] without a 0, d a power of two.

        >>> words = Words.of(np.float32([[1, -1, 1, -1], [-1, -1, -1, 1], [1, 1, 1, -1]]))
        >>> words.coset.tolist(), words.linear.tolist(), words.sign.tolist()
        ([0, 1, 1], [1, 0, 0], [1.0, -1.0, 1.0])
        """
        bits = np.signbit(rows)
        d = bits.shape[1]
        units = 1 << np.arange(d.bit_length() - 1)
        linear = (bits[:, units] ^ bits[:, :1]) @ units
        flipped = bits ^ linear_forms(d, d.bit_length() - 1).astype(bool)[linear] ^ bits[:, :1]
        packed = np.ascontiguousarray(np.packbits(flipped, axis=1))
        whole = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
        _, first, coset = np.unique(whole, return_index=True, return_inverse=True)
        forms = 1.0 - 2.0 * flipped[first]
        return cls(forms, coset.ravel(), linear, 1.0 - 2.0 * bits[:, 0])


class Cosets:
    """What queries and keys decide before any value is seen; made by :meth:`of`.

    Args:
        queries, keys: their places.
        weights: float64[2, d, cosets of queries, of keys], the transforms of cosh and sinh, over d.
        gamma: the score of a query with its own key.
        found: int64[2, m], the stored key that is the query's up to a factor, and its negative; -1:
            there is none.
    """

    def __init__(
        self, queries: Words, keys: Words, weights: Float64, gamma: float, found: Ints
    ) -> None:
        self.queries, self.keys = queries, keys
        self.weights, self.gamma = weights, gamma
        self.same, self.opposite = found
        # Of a fresh megabyte each page costs more than the numbers on it.
        self._room: tuple[Float64, Float64] | None = None
        self._alone = threading.Lock()
        ones = np.ones((len(keys.coset), 1), dtype=np.float32)
        even, odd = self._sums(ones)
        at = queries.coset, queries.linear, 0
        self.total = even[at] + queries.sign * odd[at]

    @classmethod
    def of(cls, Q: Float32, K: Float32) -> Self | None:
        """The same for float32[m, d], float32[t, d]; None where this is not the way.

        That is: numbers of more than one size among the keys or among the queries, a dimension
        that is no power of two, a key stored twice or alone, more cosets than pay, or scores so
        large that the bound above exceeds its limit.
        """
        d = K.shape[1]
        if d & (d - 1) or not _DIMENSIONS[0] <= d <= _DIMENSIONS[1] or not len(Q) or len(K) < 2:
            return None
        limit = min(_MOST_WEIGHTS, len(Q) * len(K) // _GAIN)
        query_size = _size(Q)
        if query_size is None:
            return None
        queries = Words.of(Q)
        # A coset has 2 d keys: where even whole ones are too many, the keys are not looked at.
        if len(queries.forms) * len(K) > 2 * limit:
            return None
        key_size = _size(K)
        if key_size is None:
            return None
        keys = Words.of(K)
        if len(queries.forms) * len(keys.forms) * d > limit:
            return None
        held = np.full((len(keys.forms), d, 2), -1)
        at = keys.coset, keys.linear, (keys.sign < 0).astype(np.int64)
        held[at] = np.arange(len(K))
        if (held[at] != np.arange(len(K))).any():
            return None
        gamma = query_size * key_size * d
        products = (queries.forms[:, None] * keys.forms).reshape(-1, d)
        G = np.ascontiguousarray(products.T)
        walsh(G[None])
        near = np.abs(G) < d
        mu = float(np.abs(G).max(initial=0.0, where=near)) / d
        kappa = 3 * (d.bit_length() - 1) + len(keys.forms) + 8
        if math.log(8 * kappa * 2.0**-53 * d) + 2 * gamma * mu > math.log(_ROUNDING):
            return None
        scores = np.where(near, gamma / d * G, 0.0)
        tables = np.stack([np.cosh(scores), np.sinh(scores)]) * (near / d)
        walsh(tables)
        weights = tables.reshape(2, d, len(queries.forms), len(keys.forms))
        return cls(queries, keys, weights, gamma, _matches(queries, keys, held))

    @property
    def nbytes(self) -> int:
        """Bytes of the tables and of the room for values as wide as keys: most of what it holds."""
        cosets = len(self.queries.forms) + len(self.keys.forms)
        return int(self.weights.nbytes + 16 * cosets * self.weights.shape[1] ** 2)

    def outputs(self, own: tuple[Float64, Float32] | None, V: Float32) -> Float32:
        """Each query's attention over the stored rows and its own token, if given.

        Args:
            own: float64[m] scores and float32[m, d_v] values of the own tokens, or None.
            V: float32[t, d_v].

        Returns float32[m, d_v]; see the module for how near it is.
        """
        m, width = len(self.same), V.shape[1]
        scores, values = own or (-np.inf, np.empty((m, 0), dtype=np.float32))
        out = np.empty((m, width), dtype=np.float32)
        with self._alone:
            gather(
                *self._sums(V), self.queries.coset, self.queries.linear, self.queries.sign,
                self.same, self.opposite, V, values, self._shares(scores), out,
            )  # fmt: skip
        return out

    def _shares(self, scores: Float64 | float) -> Float64:
        """Float64[m, 4]: the shares in an output of the sums, of the two keys, of the own token."""
        held = self.same >= 0
        top = np.maximum(np.where(held, self.gamma, 0.0), scores)
        shares = np.empty((len(held), 4))
        np.exp(-top, out=shares[:, 0])
        shares[:, 1] = held * np.exp(self.gamma * held - top)
        shares[:, 2] = (self.opposite >= 0) * np.exp(-self.gamma - top)
        shares[:, 3] = np.exp(scores - top)
        total = shares[:, 0] * self.total + shares[:, 1] + shares[:, 2] + shares[:, 3]
        shares /= total[:, None]
        return shares

    def _sums(self, V: Float32) -> Float64:
        """The two sums of the module docstring, float64[2, cosets of queries, d, d_v]."""
        if self._room is None or self._room[0].shape[-1] != V.shape[1]:
            shapes = [(2, *words.forms.shape, V.shape[1]) for words in (self.keys, self.queries)]
            self._room = np.empty(shapes[0]), np.empty(shapes[1])
        values, sums = self._room
        values[:] = 0.0
        place(V, self.keys.coset, self.keys.linear, self.keys.sign, values[0], values[1])
        walsh(values.reshape(-1, *values.shape[2:]))
        np.matmul(self.weights, values.swapaxes(1, 2), out=sums.swapaxes(1, 2))
        walsh(sums.reshape(-1, *sums.shape[2:]))
        return sums


def _size(rows: Float32) -> float | None:
    """The size of all numbers, or None where there are two."""
    size = np.abs(rows[0, 0])
    # Most sets that are none show it in their first row.
    for part in (rows[0], rows):
        if not (np.abs(part) == size).all():
            return None
    return float(size) if size > 0 else None


def _matches(queries: Words, keys: Words, held: Ints) -> Ints:
    """int64[2, m]: the stored key that is each query's up to a factor, its negative; -1: none."""
    numbers = {form.tobytes(): s for s, form in enumerate(keys.forms)}
    coset = np.array([numbers.get(form.tobytes(), -1) for form in queries.forms])[queries.coset]
    negative = (queries.sign < 0).astype(np.int64)
    found = np.stack([held[coset, queries.linear, side] for side in (negative, 1 - negative)])
    return np.where(coset < 0, -1, found)
