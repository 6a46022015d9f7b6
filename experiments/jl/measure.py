"""Johnson-Lindenstrauss with its constants: what the lemmas promise, and what the keys do.

1. Tails: how often one random matrix moves one norm, or one inner product, by more than eps,
   beside Theorem 20's and Lemma 21's bounds and the exact laws.
2. Lemma 3 at its own dimension: the share of draws in which all pairs and norms are kept.
3. The failure that the union bound leaves at 12 ln n, and at 12 ln n + 4 ln 2: over the stated
   tails, and over the exact ones.
4. n = 512 keys against the dimension: the deviation, the coherence and the exact scale.
5. How many tokens are certified at a head dimension: by the lemma, by union bounds, by measured jl
   keys at a fixed query norm, by explicit codes.

The paper's aim is Omega(n d), for which any constant does; the constants matter to whoever wants
the bound at the head dimensions in use.

Coins: Philox generators from the committed key of the experiments, one for each matrix or draw.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..kit.run import Run
from ..kit.tables import Tables, fill

TAILS = "jl-tails.csv"
UNION = "jl-union.csv"
CONSTANT = "jl-constant.csv"
DIMENSION = "jl-dimension.csv"
CERTIFIED = "jl-certified.csv"

LEVEL = 0.99

EPS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7)
#: <u, v> of the unit pairs whose inner product is watched
INNER = (0.0, 0.5, 0.9)
#: matrices to one generator
CHUNK = 2000
N, ETA = 512, 0.5
#: the norm of Bob's query at which random keys are counted, in nats (unit keys)
QUERY_NORM = 16.0

HEAD_DIMENSIONS = (16, 32, 64, 128, 256, 512, 1024)
KERDOCK = (16, 64, 256)
CONSTANT_SIZES = tuple((n, eps) for n in (2, 16, 512, 10**4, 10**6) for eps in (0.1, 0.25, 0.45))
UNION_SIZES = {
    "quick": ((16, 0.25), (64, 0.25), (16, 0.5), (64, 0.5), (128, 0.5)),
    "full": (*((n, eps) for eps in (0.1, 0.25, 0.5) for n in (16, 64, 256)), (512, 0.5)),
}
SIZES: dict[str, dict[str, Any]] = {
    "quick": {"matrices": 20_000, "tails_d": (16, 64, 256), "draws": 8, "longest": 1024,
              "tried": 4096, "tried_draws": 2},
    "full": {"matrices": 400_000, "tails_d": (16, 64, 256, 1024), "draws": 64, "longest": 4096,
             "tried": 16384, "tried_draws": 8},
}  # fmt: skip


def run(job: Run) -> None:
    """Fill the five tables; one that is already there is left alone."""
    size = SIZES[job.scale]
    chunks = size["matrices"] // CHUNK
    draws = range(size["draws"])
    random = [(d, size["tried"], size["tried_draws"]) for d in HEAD_DIMENSIONS]
    tables: Tables = {
        CERTIFIED: [
            *((explicit, (width,)) for width in reversed(KERDOCK)),
            *((certified, arguments) for arguments in reversed(random)),
        ],
        TAILS: [(tails, (d, chunks)) for d in size["tails_d"]],
        UNION: [(union, point) for point in UNION_SIZES[job.scale]],
        CONSTANT: [(constant, point) for point in CONSTANT_SIZES],
        DIMENSION: [(against_dimension, (i, size["longest"])) for i in draws],
    }
    fill(job, "jl", tables)


def _generator(what: str, index: int) -> np.random.Generator:
    from ...protocols.game import coins

    seed = coins.public_seed(coins.COMMITTED_KEYS["experiments"], f"jl {what}", index)
    return np.random.Generator(np.random.Philox(seed))


def tails(d: int, chunks: int) -> list[dict[str, Any]]:
    """Count, over independent matrices, the norms and inner products that move by more than eps.

    f(x) depends on A only through A restricted to the plane of u and v, so a matrix is drawn as its
    two columns g, z there: A u = g, A v = c g + sqrt(1 - c^2) z.
    """
    from ...reductions import jl_lemmas

    cases = [("norm", 1.0), *(("product", c) for c in INNER)]
    exceeded = np.zeros((len(cases), len(EPS)), dtype=np.int64)
    for chunk in range(chunks):
        draw = _generator(f"tails {d}", chunk)
        g, z = draw.standard_normal((2, CHUNK, d))
        own, cross = (g * g).mean(axis=1), (g * z).mean(axis=1)
        for case, (_, c) in enumerate(cases):
            moved = np.abs(c * own + math.sqrt(1 - c * c) * cross - c)
            exceeded[case] += (moved[:, None] > EPS).sum(axis=0)
    bounds = {"norm": jl_lemmas.norm_bound, "product": jl_lemmas.product_bound}
    return [
        {
            "quantity": quantity, "inner": c, "d": d, "eps": eps, "matrices": chunks * CHUNK,
            "exceeded": int(exceeded[case, at]), "bound": bounds[quantity](eps, d),
            "exact": jl_lemmas.product_tail(eps, d, c),
        }
        for case, (quantity, c) in enumerate(cases)
        for at, eps in enumerate(EPS)
    ]  # fmt: skip


def union(n: int, eps: float) -> list[dict[str, Any]]:
    """At Lemma 3's own dimension: in how many draws all pairs and norms are kept to eps.

    Two sets of n unit points: orthonormal, as the theorem uses them, and (e_0 + e_i) / sqrt(2),
    i = 1 .. n, which have pairwise inner product 1/2. There are 9n draws or more: if all are kept,
    L intervals that hold together at 99 % end above 1 - 1/n from n ln(200 L) draws on, and with the
    L = 20 lines of the full scale that is 8.3n.
    """
    from ...reductions import paper

    d = math.ceil(paper.jl_dimension(n, eps))
    draws = max(9 * n, 256)
    kept = {"orthonormal": 0, "inner product 1/2": 0}
    for index in range(draws):
        A = _generator(f"union {n} {eps:g}", index).standard_normal((d, n + 1))
        gram = A.T @ A / d
        deviation = gram - np.eye(n + 1)
        # <f(p_i), f(p_j)> - <p_i, p_j> is the mean of the four deviations that make it up
        pairs = deviation[1:, 1:] + deviation[0, 1:] + deviation[1:, :1] + deviation[0, 0]
        kept["orthonormal"] += bool(np.abs(deviation[:n, :n]).max() <= eps)
        kept["inner product 1/2"] += bool(np.abs(pairs).max() / 2 <= eps)
    return [
        {"points": points, "n": n, "eps": eps, "d": d, "draws": draws, "kept": count}
        for points, count in kept.items()
    ]


def constant(n: int, eps: float) -> list[dict[str, Any]]:
    """The union bound at the lemma's numerator, and with 4 ln 2 added: stated and exact tails.

    ``stated_times_n``: from the counts themselves, two tails a norm and four a pair, each
    exp(-(eps^2 - eps^3) d / 4), at the real d, in exact integers and Decimal.
    ``exact_times_n``: n norms and n(n-1)/2 pairs with their exact tails at d rounded up, a pair's
    the largest of <u, v> = 0, 1/2, 9/10 and 1.
    """
    from decimal import Decimal, localcontext

    from ...reductions import jl_lemmas

    pairs, rows = n * (n - 1) // 2, []
    for numerator, extra in (("12 ln n", 0), ("12 ln n + 4 ln 2", 4)):
        with localcontext(prec=50):
            top = 12 * Decimal(n).ln() + extra * Decimal(2).ln()
            stated = (2 * n + 4 * pairs) * (-top / 4).exp() * n
        d = math.ceil(jl_lemmas.dimension(n, eps, extra * math.log(2)))
        of_norm = jl_lemmas.norm_tail(eps, d)
        of_pair = max(of_norm, *(jl_lemmas.product_tail(eps, d, c) for c in INNER))
        rows.append(
            {"numerator": numerator, "n": n, "eps": eps, "d": d, "stated_times_n": float(stated),
             "code_times_n": n * jl_lemmas.union_failure(n, eps, jl_lemmas.dimension(
                 n, eps, extra * math.log(2))),
             "exact_times_n": n * (n * of_norm + pairs * of_pair)}
        )  # fmt: skip
    return rows


def dimensions(longest: int) -> list[int]:
    """8 .. ``longest``, three to the octave.

    >>> dimensions(32)
    [8, 10, 13, 16, 20, 25, 32]
    """
    return [round(8 * 2 ** (j / 3)) for j in range(3 * round(math.log2(longest / 8)) + 1)]


def against_dimension(index: int, longest: int) -> list[dict[str, Any]]:
    """One draw of n = 512 jl keys at every dimension: deviation, coherence, scales (eta = 1/2)."""
    from ...reductions import interference, keys, margins, scale
    from ...reductions.paper import paper_scale

    seed = int(_generator("dimension", index).integers(2**62))
    rule = margins.condition("01", ETA, None)
    rows = []
    for d in dimensions(longest):
        unit = keys.make("jl", N, d, seed)
        deviation, mu = interference.max_deviation(unit), interference.coherence(unit)
        rows.append(
            {
                "draw": index, "n": N, "d": d, "eta": ETA,
                "deviation_raw": interference.max_deviation(keys.make("jl-raw", N, d, seed)),
                "deviation": deviation, "coherence": mu,
                "scale": scale.choose_scale(unit, rule, "tight"),
                "closed_scale": margins.closed_scale(N, mu, ETA),
                "paper_scale": paper_scale(N, ETA, deviation) if deviation < 0.5 else math.nan,
            }
        )  # fmt: skip
    return rows


def certified(d: int, tried: int, seeds: int) -> list[dict[str, Any]]:
    """How many tokens the lemma, the union bounds and measured jl keys certify at dimension d."""
    from ...reductions import jl_lemmas

    found = [int(_generator(f"certified {d}", s).integers(2**62)) for s in range(seeds)]
    ways: dict[str, float] = {
        "lemma": jl_lemmas.certified_points(d),
        "union, stated tails": jl_lemmas.existing_points(d, exact=False),
        "union, exact tails": jl_lemmas.existing_points(d, exact=True),
        "jl": min(_largest(d, tried, seed) for seed in found),
    }
    rows = []
    for method, n in ways.items():
        random = method == "jl"
        rows.append(
            {"method": method, "d": d, "n": n, "scale": QUERY_NORM if random else math.nan,
             "coherence": math.nan, "draws": seeds if random else 0,
             "most_tried": tried if random else 0}
        )  # fmt: skip
    return rows


def _largest(d: int, tried: int, seed: int) -> int:
    """The largest n = 16 2^(j/2) <= ``tried`` whose first n jl keys have a scale <= QUERY_NORM.

    Keys of a smaller n are the first of a larger one, so the interference only grows with n.
    """
    from ...errors import NoScale
    from ...reductions import keys, margins, scale

    sizes = [round(16 * 2 ** (j / 2)) for j in range(2 * round(math.log2(tried / 16)) + 1)]

    def separated(n: int) -> bool:
        rule = margins.condition("01", ETA, None)
        try:
            scale.choose_scale(keys.make("jl", n, d, seed), rule, QUERY_NORM)
        except NoScale:
            return False
        return True

    low, high = -1, len(sizes) - 1
    if separated(sizes[high]):
        return sizes[high]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if separated(sizes[middle]) else (low, middle)
    return sizes[low] if low >= 0 else 0


def explicit(width: int) -> list[dict[str, Any]]:
    """The whole Kerdock code of dimension ``width``: its size, coherence and exact scale."""
    from ...reductions import interference, keys, margins, scale

    code = keys.make("kerdock", None, width)
    found = scale.choose_scale(code, margins.condition("01", ETA, None), "tight")
    return [
        {"method": "kerdock", "d": width, "n": code.n, "scale": found,
         "coherence": interference.coherence(code), "draws": 0, "most_tried": 0}
    ]  # fmt: skip
