"""Make reductions.json: values for tests/reductions from mpmath at 50 digits and exact integers.

Nothing is imported from kvbarrier. ``python tests/golden/reductions.py`` writes the file.
"""

from __future__ import annotations

import json
from fractions import Fraction
from math import comb
from pathlib import Path

from mpmath import log, mp, mpf, sqrt

mp.dps = 50
FILE = Path(__file__).with_suffix(".json")


def text(x):
    return mp.nstr(mpf(x), 25)


def real(q):
    q = Fraction(q)
    return mpf(q.numerator) / q.denominator


def demand(condition, tolerance):
    """(factor, zero_factor) of the four conditions, from e^a > rho S, e^a > S, and so on."""
    t = real(tolerance)
    if condition == "M+-":
        return mpf(1), mpf(0)
    if condition == "M01":
        return (1 + t) / (1 - t), mpf(0)
    t = 2 * t if condition == "A01" else t
    return (1 + t) / (1 - t), t / (1 - t)


def scale_of(gaps, condition, tolerance):
    """The C with factor sum_l e^{C gap_l} + zero_factor e^{-C} = 1, unit keys."""
    factor, zero = demand(condition, tolerance)

    low, high = mpf(0), mpf(100)
    for _ in range(100):
        C = (low + high) / 2
        total = factor * sum(m * mp.exp(C * g) for g, m in gaps) + zero * mp.exp(-C)
        low, high = (C, high) if total > 1 else (low, C)
    return low


def kerdock_gaps(n, d):
    """<k_l,k_i> - 1 over n/(2d) cosets of the first-order Reed-Muller code: MacWilliams & Sloane
    ch. 15: distances d/2 +- sqrt(d)/2 between cosets, d/2 and d inside one."""
    blocks = n // (2 * d)
    gaps = [(mpf(-2), 1), (mpf(-1), 2 * d - 2)]
    across = (blocks - 1) * d
    return [*gaps, (1 / sqrt(d) - 1, across), (-1 / sqrt(d) - 1, across)]


def hypercube_gaps(d_a):
    return [(mpf(-2 * w) / d_a, comb(d_a, w)) for w in range(1, d_a + 1)]


TOLERANCES = [
    ("M01", "0"), ("M01", "1/2"), ("M01", "9/10"), ("M+-", "1/2"),
    ("A01", "1/10"), ("A01", "9/20"), ("A+-", "1/2"), ("A+-", "1/10"),
]  # fmt: skip


def scales():
    sets = [("kerdock", d * d, d, kerdock_gaps(d * d, d)) for d in (4, 16, 64, 256)]
    sets += [
        ("kerdock", 512, 64, kerdock_gaps(512, 64)),
        ("kerdock", 128, 64, kerdock_gaps(128, 64)),
    ]
    sets += [("hypercube", 2**a, a, hypercube_gaps(a)) for a in (4, 8, 10, 14)]
    return [
        {
            "keys": name,
            "n": n,
            "d": d,
            "condition": c,
            "tolerance": t,
            "scale": text(scale_of(g, c, t)),
        }
        for name, n, d, g in sets
        for c, t in TOLERANCES
    ]


def entropy(p):
    return -(p * log(p) + (1 - p) * log(1 - p)) / log(2)


def entropies():
    values = ["1/1000000000000", "1/1000000", "1/1000", "1/10", "6/25", "26/100", "1/3", "49/100",
              "499999/1000000"]  # fmt: skip
    return [
        {"p": p, "h": text(entropy(real(p))), "fano": text(1 - entropy(real(p)))} for p in values
    ]


def inverses():
    rates = ["1/1000000000000000000", "1/1000000000", "1/10000", "1/10", "1/4", "1/2", "501/1000",
             "3/4", "9/10", "999/1000", "999999/1000000", "999999999999/1000000000000"]  # fmt: skip
    out = []
    for rate in rates:
        target = 1 - real(float(Fraction(rate)))  # the float64 that the program is given
        low, high = mpf(0), mpf(1) / 2
        for _ in range(200):
            mid = (low + high) / 2
            low, high = (mid, high) if entropy(mid) < target else (low, mid)
        out.append({"rate": rate, "error": text(low)})
    return out


def balls():
    pairs = [(1, 0), (23, 3), (100, 50), (2048, 100), (2049, 100), (40000, 4000)]
    pairs += [(5000, k) for k in (1, 600, 2499, 2500, 3000, 4999)] + [(5001, 2500)]
    out = []
    for N, k in pairs:
        term = total = 1
        for j in range(1, k + 1):
            term = term * (N - j + 1) // j
            total += term
        out.append(
            {
                "N": N,
                "k": k,
                "ball": text(log(total) / log(2)),
                "binomial": text(log(term) / log(2)),
            }
        )
    return out


def formulas():
    """closed_scale and the paper's formulas, straight from theory: rho = (1+eta)/(1-eta)."""
    out = []
    for n, eta, x in [
        (512, "1/2", "1/4"),
        (4096, "9/10", "1/8"),
        (100, "0", "1/10"),
        (64, "1/2", "49/100"),
    ]:
        e, mu = real(eta), real(x)
        rho = (1 + e) / (1 - e)
        C = log(rho * (n + 1)) / (1 - 2 * mu)
        a, s = mp.exp(C * (1 - mu)), n * mp.exp(C * mu)
        out.append(
            {
                "n": n,
                "eta": eta,
                "x": x,
                "closed": text(log(rho * (n - 1)) / (1 - mu)),
                "closed_pm": text(log(n - 1) / (1 - mu)),
                # gamma = 1/10: (n-1)(1 + 2/10) + 2/10 over 1 - 2/10
                "closed_a01": text(log((mpf(12) * (n - 1) + 2) / 8) / (1 - mu)),
                "paper_scale": text(C),
                "paper_delta": text(s / (a + s)),
                "paper_Delta": text(a / (a + s)),
                "jl_dimension": text(12 * log(n) / (mu**2 - mu**3)),
            }
        )
    return out


def make():
    return {
        "scales": scales(),
        "entropies": entropies(),
        "inverses": inverses(),
        "balls": balls(),
        "formulas": formulas(),
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=1) + "\n")
