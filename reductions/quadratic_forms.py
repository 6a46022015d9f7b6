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
from .keys.gf2m import power, product, trace

#: the m at hand
DEGREES = (4, 6, 8)


def gold_forms(count: int, m: int) -> NDArray[np.int64]:
    """Int64[count, 2^m] of bits: Tr(u x^3) for u = 0 .. count-1 and all x, both as bit patterns.

    Linear in u: row u xor v is the xor of the rows u and v. BadInput for another m, and for
    count > 2^m.

    >>> forms = gold_forms(16, 4)
    >>> bool((forms[5] == forms[4] ^ forms[1]).all()), int(forms[0].sum())
    (True, 0)
    """
    if m not in DEGREES or not 1 <= count <= 2**m:
        raise BadInput(
            f"kvbarrier has 2^m of Gold's forms for each m in {list(DEGREES)}, not {count} for "
            f"m = {m}."
        )
    u, x = np.arange(count)[:, None], np.arange(2**m)[None, :]
    return trace(product(u, power(x, 3, m), m), m)


def linear_forms(count: int, m: int) -> NDArray[np.int64]:
    """Int64[count, 2^m] of bits: a.x for a = 0 .. count-1, the parity of the bits of a & x.

    >>> linear_forms(3, 2).tolist()
    [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]]
    """
    both = np.arange(count)[:, None] & np.arange(2**m)[None, :]
    parity: NDArray[np.int64] = np.bitwise_count(both).astype(np.int64) & 1
    return parity
