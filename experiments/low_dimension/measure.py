"""Few dimensions: what the Index reduction certifies under a budget R for |q| max|k|, in nats.

Arithmetic for the most part (``reductions.low_dimension``, ``reductions.covering``): the tokens
certified at eta = 1/2 against R, the sizes of greedy nets and clusterings. Two tables are played:
kissing keys, and n keys on a circle in d = 2, as Alice's float32 stream, a saved ``exact`` cache, a
fresh Bob and his queries.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..kit.ball import ball
from ..kit.direct_play import KEY, ask, build, secret
from ..kit.run import Run
from ..kit.tables import Tables, fill

BUDGET = "low-dimension-budget.csv"
RANDOM = "low-dimension-random.csv"
KISSING = "low-dimension-kissing.csv"
PLANE = "low-dimension-plane.csv"
NETS = "low-dimension-nets.csv"
COVERS = "low-dimension-covers.csv"
CLUSTERS = "low-dimension-clusters.csv"

LEVEL = 0.95

ETA = 0.5
#: published sizes (Conway & Sloane 1999, table 1.5)
PUBLISHED = {2: 6, 3: 12, 4: 24, 8: 240, 16: 4320, 24: 196560}
# Leech keys are too many to ask all: this many rows of them a message.
LEECH_ROWS = {"quick": 64, "full": 512}
MESSAGES = {"quick": 16, "full": 64}
RANDOM_LIMIT = {"quick": 4096, "full": 32768}
DRAWS = {"quick": 48, "full": 48}
SETS = ("ball", "sphere", "blobs", "cube")
CLUSTER_DELTAS = (1.0, 0.5, 0.25)

CIRCLE_TOKENS = {"quick": (16, 64, 256, 1024), "full": (16, 64, 256, 1024, 2048)}
SPHERE_BUDGETS = {"quick": (10.0, 1000.0, 9), "full": (10.0, 2500.0, 13)}
RANDOM_DIMENSIONS = {"quick": (6, 8, 10, 12, 14, 16), "full": tuple(range(6, 19))}
HYPERCUBE_DIMENSIONS = tuple(range(3, 17))
NET_GRID = tuple((d, eps) for d in (1, 2, 3, 4) for eps in (1.0, 0.5, 0.25))
NET_DRAWS = 4
COVER_GRID = tuple((d, eps) for d in (1, 2, 3, 4, 5) for eps in (0.75, 0.5, 0.35, 0.25))
CLUSTER_DIMENSIONS = (2, 3, 4, 8)


def run(job: Run) -> None:
    """Fill the seven tables; a table that is there is left alone."""
    scale = job.scale
    low, high, count = SPHERE_BUDGETS[scale]
    tables: Tables = {
        KISSING: [(kissing_row, (d, scale)) for d in sorted(PUBLISHED, reverse=True)],
        RANDOM: [(random_rows, (d, scale)) for d in RANDOM_DIMENSIONS[scale][::-1]],
        BUDGET: [
            *((sphere_row, (float(R),)) for R in np.geomspace(high, low, count)),
            *((circle_row, (float(R),)) for R in np.geomspace(20, 1e5, 27)),
            *((hypercube_row, (d,)) for d in HYPERCUBE_DIMENSIONS),
        ],
        PLANE: [(plane_row, (n, scale)) for n in CIRCLE_TOKENS[scale][::-1]],
        NETS: [
            (net_row, (d, eps, scale, draw)) for d, eps in NET_GRID for draw in range(NET_DRAWS)
        ],
        COVERS: [(cover_row, (d, eps, scale)) for d, eps in COVER_GRID[::-1]],
        CLUSTERS: [(cluster_rows, (name, d)) for name in SETS for d in CLUSTER_DIMENSIONS],
    }
    fill(job, "low-dimension", tables)


def _generator(name: str, index: int) -> np.random.Generator:
    from ...protocols.game import coins

    seed = coins.public_seed(coins.COMMITTED_KEYS["experiments"], f"low-dimension {name}", index)
    return np.random.Generator(np.random.Philox(key=seed))


# -- what is certified -----------------------------------------------------------------------------


def _budget_row(family: str, d: int, R: float, n: int, estimate: float) -> dict[str, Any]:
    from ...reductions.low_dimension import packing_limit

    return {
        "family": family, "d": d, "eta": ETA, "R": R, "n": n, "bits": n * d, "estimate": estimate,
        "packing_limit": packing_limit(d, R, ETA),
    }  # fmt: skip


def circle_row(R: float) -> dict[str, Any]:
    """The most points of a circle at budget R."""
    from ...reductions.low_dimension import circle_estimate, circle_tokens

    return _budget_row("circle", 2, R, circle_tokens(R, ETA), circle_estimate(R, ETA))


def sphere_row(R: float) -> dict[str, Any]:
    """Fibonacci points certified at budget R."""
    from ...reductions.low_dimension import sphere_tokens

    return _budget_row("sphere", 3, R, sphere_tokens(R, ETA), float("nan"))


def hypercube_row(d: int) -> dict[str, Any]:
    """All 2^d sign vectors, at the budget that they need."""
    from ...reductions.low_dimension import hypercube_budget

    return _budget_row("hypercube", d, hypercube_budget(d, ETA), 2**d, float(2**d))


def random_rows(d: int, scale: str) -> list[dict[str, Any]]:
    """The certified prefix of random unit keys (jl) at R = d, one row a draw of the keys."""
    from ...protocols.game import coins
    from ...reductions.keys import make
    from ...reductions.low_dimension import certified_prefix, random_rate

    key, rows = coins.COMMITTED_KEYS["experiments"], []
    for draw in range(DRAWS[scale]):
        seed = coins.public_seed(key, f"low-dimension jl {d}", draw)
        n = certified_prefix(make("jl", RANDOM_LIMIT[scale], d, seed).rows, float(d), ETA)
        rows.append(
            {"keys": "jl", "d": d, "eta": ETA, "R": float(d), "draw": draw, "n": n, "bits": n * d,
             "at_most": RANDOM_LIMIT[scale], "rate": random_rate(1.0)}
        )  # fmt: skip
    return rows


# -- what is played --------------------------------------------------------------------------------


def _play(reduction: Any, name: str, messages: int, asked_rows: int | None) -> tuple[int, int]:
    """(Bits asked, bits wrong) with the exact float32 cache, ``messages`` independent secrets."""
    from ...protocols.game import coins

    player = partial(build, reduction, "exact", {}, None)
    asked = wrong = 0
    for message in range(messages):
        x = secret(reduction, name, message)
        rows = coins.sampled_rows(KEY, name, message, reduction.rows, asked_rows)
        outputs, _ = ask(reduction, x, player, rows)
        wrong += int((reduction.decode(outputs, rows) != x[rows]).sum())
        asked += x[rows].size
    return asked, wrong


def kissing_row(d: int, scale: str) -> dict[str, Any]:
    """Count the keys, look at their integer inner products, play them."""
    from ...reductions.index import IndexReduction
    from ...reductions.keys import make
    from ...reductions.keys.kissing import NORMS, integer_vectors
    from ...reductions.low_dimension import packing_limit
    from ...reductions.margins import condition
    from ...reductions.scale import choose_scale

    keys, vectors = make("kissing", None, d), integer_vectors(d).astype(np.float64)
    leech = d == 24
    # Golay's code and M24 move any vector of a shape to any other: one of each of three shapes.
    probes = vectors[[0, 1104, -1]] if leech else vectors
    inner = probes @ vectors.T  # integers below 2^53: exact
    different = len({row.tobytes() for row in vectors.astype(np.int8)})
    top = int(inner[inner < NORMS[d]].max())
    budget = (
        _scale_from(inner[0], NORMS[d], keys) if leech
        else choose_scale(keys, condition("01", ETA, None), "tight")
    )  # fmt: skip
    reduction = IndexReduction(keys, d, "01", ETA, None, budget)
    messages, rows = MESSAGES[scale], LEECH_ROWS[scale] if leech else None
    if leech:
        messages //= 4
    asked, wrong = _play(reduction, f"low-dimension kissing {d}", messages, rows)
    return {
        "d": d, "n": different, "published": PUBLISHED[d], "norm": NORMS[d], "largest_inner": top,
        "rows_compared": len(probes), "eta": ETA, "R": budget, "messages": messages,
        "asked": asked, "wrong": wrong, "bits": different * d,
        "packing_limit": packing_limit(d, budget, ETA),
    }  # fmt: skip


def _scale_from(inner: Any, norm: int, keys: Any) -> float:
    """The tight scale from the exact inner products of one key, all keys seeing the same."""
    from fractions import Fraction

    from ...reductions.interference import tight_scale
    from ...reductions.keys import GapSpectrum, KeySet
    from ...reductions.margins import condition

    values, counts = np.unique(inner[inner < norm].astype(int), return_counts=True)
    spectrum = GapSpectrum(
        Fraction(1),
        tuple((Fraction(int(p), norm), int(c)) for p, c in zip(values, counts, strict=True)),
    )
    exact = KeySet(keys.name, keys.d, 0, keys.rows, spectrum)
    # float32 keys and queries move a score by some 1e-6 R: a little room.
    return tight_scale(exact, condition("01", ETA, None).bound) + 1e-3


def plane_row(n: int, scale: str) -> dict[str, Any]:
    """N keys on a circle: all n d bits asked, d = 2."""
    from ...reductions.index import IndexReduction
    from ...reductions.keys import make

    reduction = IndexReduction.build(make("circle", n, 2), 2, eta=ETA)
    asked, wrong = _play(reduction, f"low-dimension circle {n}", MESSAGES[scale], None)
    return {
        "n": n, "d": 2, "eta": ETA, "R": reduction.scale, "messages": MESSAGES[scale],
        "asked": asked, "wrong": wrong, "bits": 2 * n,
    }  # fmt: skip


# -- covering and clustering -----------------------------------------------------------------------


def net_row(d: int, eps: float, scale: str, draw: int) -> dict[str, Any]:
    """A greedy net of random points of the ball, and how many fresh points it leaves uncovered."""
    from ...reductions.covering import covering_limit, greedy_net

    rng, count = _generator(f"net {d} {eps}", draw), 4096 if scale == "quick" else 32768
    points, fresh = ball(rng, count, d), ball(rng, 1024, d)
    net = points[greedy_net(points, eps)[0]]
    nearest = np.array([np.square(net - point).sum(axis=1).min() for point in fresh])
    return {
        "d": d, "eps": eps, "draw": draw, "points": count, "net": len(net),
        "limit": covering_limit(eps, d), "fresh": len(fresh),
        "uncovered": int((nearest > eps * eps).sum()),
    }  # fmt: skip


def cover_row(d: int, eps: float, scale: str) -> dict[str, Any]:
    """A lattice's cover of the ball, a packing of 2 eps, and fresh points to refute the former.

    Half of the fresh points lie on the sphere, where cubes are left out.
    """
    from ...reductions.covering import covering_limit, greedy_net, lattice_cover

    rng = _generator(f"cover {d} {eps}", 0)
    count = 4096 if scale == "quick" else 65536
    centres, points, fresh = lattice_cover(d, eps), ball(rng, count, d), ball(rng, count, d)
    points[::2] /= np.linalg.norm(points[::2], axis=1, keepdims=True)
    fresh[::2] /= np.linalg.norm(fresh[::2], axis=1, keepdims=True)
    nearest = np.array([np.square(centres - point).sum(axis=1).min() for point in fresh])
    return {
        "d": d, "eps": eps, "packing": len(greedy_net(points, 2 * eps)[0]),
        "volume": float(eps**-d), "cover": len(centres), "limit": covering_limit(eps, d),
        "fresh": count, "uncovered": int((nearest > eps * eps * (1 + 1e-12)).sum()),
        "farthest": float(np.sqrt(nearest.max())) / eps,
    }  # fmt: skip


def _points(name: str, rng: np.random.Generator, n: int, d: int) -> Any:
    inside = ball(rng, n, d)
    if name == "sphere":
        return inside / np.linalg.norm(inside, axis=1, keepdims=True)
    if name == "blobs":
        return 0.8 * ball(rng, 16, d)[rng.integers(16, size=n)] + 0.2 * inside
    if name == "cube":
        return rng.choice([-1.0, 1.0], size=(n, d)) / np.sqrt(d)
    return inside


def cluster_rows(name: str, d: int) -> list[dict[str, Any]]:
    """Greedy clusters of one set of 1024 keys, by radius and by diameter."""
    from ...reductions.covering import Reading, clusters, clusters_limit, largest_diameter

    points = _points(name, _generator(f"clusters {name}", d), 1024, d)
    readings: tuple[Reading, Reading] = ("radius", "diameter")
    rows = []
    for delta in CLUSTER_DELTAS:
        for reading in readings:
            centres, owner = clusters(points, delta, reading)
            rows.append(
                {"keys": name, "d": d, "n": len(points), "delta": delta, "reading": reading,
                 "m": len(centres), "limit": clusters_limit(delta, d, reading),
                 "diameter": largest_diameter(points, owner)}
            )  # fmt: skip
    return rows
