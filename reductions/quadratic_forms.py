"""Gold's quadratic forms Q_u(x) = Tr(u x^3) over GF(2^m), m even: a linear code of sign patterns.

Gold 1968; the words Q_u(x) + a.x are the dual of the double-error-correcting BCH code. What is used
of them (proved here, for every even m >= 4): two different u, and any linear function a, give

    |sum_x (-1)^{Q_u(x) + Q_u'(x) + a.x}| <= 2^{m/2 + 1}.                                        (G)

Proof. Q_u + Q_u' = Q_{u+u'}, so let u' = 0, u != 0. The bilinear form of Q_u is
B(x,y) = Q_u(x+y) + Q_u(x) + Q_u(y) = Tr(u x^2 y) + Tr(u x y^2) = Tr((u^2 x^4 + u x) y^2), since
Tr(z) = Tr(z^2). It vanishes for all y iff u^2 x^4 + u x = 0, that is x = 0 or x^3 = 1/u: at most
four x, which form a subspace R, |R| <= 4. With f = Q_u + a.x,

    (sum_x (-1)^f(x))^2 = sum_y (-1)^f(y) sum_x (-1)^B(x,y) = 2^m sum_{y in R} (-1)^f(y) <= 4 2^m.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

#: primitive polynomials over GF(2) by degree, bit i the coefficient of x^i
PRIMITIVE = {4: 0x13, 6: 0x43, 8: 0x11D}


def gold_forms(count: int, m: int) -> NDArray[np.int64]:
    """Int64[count, 2^m] of bits: Tr(u x^3) for u = 0 .. count-1 and all x, both as bit patterns.

    Linear in u: row u xor v is the xor of the rows u and v. BadInput for another m, and for
    count > 2^m.

    >>> forms = gold_forms(16, 4)
    >>> bool((forms[5] == forms[4] ^ forms[1]).all()), int(forms[0].sum())
    (True, 0)
    """
    if m not in PRIMITIVE or not 1 <= count <= 2**m:
        raise BadInput(
            f"Gold's forms are tabulated for m in {sorted(PRIMITIVE)}, 2^m of each: not {count} "
            f"for m = {m}."
        )
    order = 2**m - 1
    powers = [1]
    for _ in range(order - 1):
        shifted = powers[-1] << 1
        powers.append(shifted ^ PRIMITIVE[m] if shifted >> m else shifted)
    power = np.array(powers)
    log = np.zeros(2**m, dtype=np.int64)
    log[power] = np.arange(order)
    # Tr(g^k) = sum_i g^(k 2^i), by repeated squaring of the exponent.
    traces = np.bitwise_xor.reduce(
        [power[(np.arange(order) << i) % order] for i in range(m)], axis=0
    )
    u, x = np.arange(count)[:, None], np.arange(2**m)[None, :]
    bits: NDArray[np.int64] = np.where((u > 0) & (x > 0), traces[(log[u] + 3 * log[x]) % order], 0)
    return bits


def linear_forms(count: int, m: int) -> NDArray[np.int64]:
    """Int64[count, 2^m] of bits: a.x for a = 0 .. count-1, the parity of the bits of a & x.

    >>> linear_forms(3, 2).tolist()
    [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]]
    """
    both = np.arange(count)[:, None] & np.arange(2**m)[None, :]
    parity: NDArray[np.int64] = np.bitwise_count(both).astype(np.int64) & 1
    return parity
