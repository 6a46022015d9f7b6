"""The rows of the experiment ``subgen``: one function a row, run wherever there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .ball import ball

if TYPE_CHECKING:
    from ..compressors.subgen import SubGen

Float32 = NDArray[np.float32]

STREAMS = ("clusterable", "uniform")
#: the streams of the guarantee and of the growth: n tokens, dimension, clusters, delta, |q|
N, D, BLOBS, DELTA, RADIUS = 512, 8, 16, 0.3, 2.0
GROWTH_T, GROWTH_S = 8, 64
MEMORY_N, MEMORY_DELTA, MEMORY_EPS = 4096, 0.5, 0.5
# (keys, n, d), and a delta below the distance of any two: at least sqrt(3/2) for the Kerdock keys,
# sqrt(2/3) for the hypercube's 64.
INDEX_SETTINGS = (("kerdock", 256, 16), ("kerdock", 256, 64), ("hypercube", 64, 6))
INDEX_DELTA = {"kerdock": 1.0, "hypercube": 0.8}
INDEX_PAIRS, INDEX_T, INDEX_MESSAGES = (1, 8), 4, 3


def _generator(name: str, index: int) -> np.random.Generator:
    from ..protocols import coins

    seed = coins.public_seed(coins.COMMITTED_KEYS["experiments"], f"subgen {name}", index)
    return np.random.Generator(np.random.Philox(key=seed))


def keys_of(stream: str, rng: np.random.Generator, n: int) -> Float32:
    """Float32[n, D] in the unit ball: (BLOBS, DELTA)-clusterable, or uniform on the sphere.

    Clusterable keys lie within DELTA/2 of one of BLOBS points, so also by diameter.
    """
    if stream == "clusterable":
        # a hair inside, so that float32 rounding does not leave the ball
        points = ball(rng, BLOBS, D, 0.999 - DELTA / 2)[rng.integers(BLOBS, size=n)]
        points = points + ball(rng, n, D, 0.999 * DELTA / 2)
    else:
        points = ball(rng, n, D)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points, dtype=np.float32)


def _fed(K: Float32, V: Float32, seed: int, **params: Any) -> SubGen:
    """SubGen after the stream, saved and restored by another instance."""
    from ..compressors.contract import Shape
    from ..compressors.subgen import SubGen

    alice = SubGen(Shape(len(K), K.shape[1], V.shape[1]), seed=seed, **params)
    alice.extend(np.zeros_like(K), K, V)
    bob = alice.fresh()
    bob.restore(alice.save())
    return bob


def errors(stream: str, eps: float, constant: float, first: int, count: int) -> dict[str, Any]:
    """Runs first .. first + count - 1 at t and s of Theorem 11: the errors, normalised as in (17).

    The error divided by |softmax|_2 |V|_op is at most eps where (17) holds.
    """
    from ..compressors.contract import charged_bits
    from ..reductions.attention import attention

    found, clusters, bits = [], [], []
    for index in range(first, first + count):
        rng = _generator(f"{stream} {eps} {constant}", index)
        K, V = keys_of(stream, rng, N), rng.normal(size=(N, D)).astype(np.float32)
        way = rng.normal(size=D)
        q = (0.999 * RADIUS * way / np.linalg.norm(way)).astype(np.float32)
        machine = _fed(K, V, int(rng.integers(2**62)), delta=DELTA, eps=eps, r=RADIUS,
                       constant=constant)  # fmt: skip
        weights = K.astype(np.float64) @ q
        weights = np.exp(weights - weights.max())
        unit = np.linalg.norm(weights / weights.sum()) * np.linalg.norm(V.astype(np.float64), 2)
        found.append(float(np.linalg.norm(machine.attend(q) - attention(q, K, V)) / unit))
        clusters.append(machine.m)
        bits.append(charged_bits(len(machine.save())))
    return {
        "stream": stream, "eps": eps, "constant": constant, "n": N, "d": D, "delta": DELTA,
        "r": RADIUS, "t": machine.t, "s": machine.s, "m": max(clusters),
        "bits": float(np.mean(bits)), "cache_bits_32": 64 * N * D, "errors": found,
    }  # fmt: skip


def growth_row(stream: str, n: int, draw: int) -> dict[str, Any]:
    """Memory after n tokens, t and s fixed."""
    from ..compressors.contract import charged_bits

    rng = _generator(f"growth {stream} {n}", draw)
    K, V = keys_of(stream, rng, n), rng.normal(size=(n, D)).astype(np.float32)
    machine = _fed(K, V, draw, delta=DELTA, t=GROWTH_T, s=GROWTH_S)
    return {
        "stream": stream, "n": n, "d": D, "delta": DELTA, "t": GROWTH_T, "s": GROWTH_S,
        "draw": draw, "m": machine.m, "bits": charged_bits(len(machine.save())),
        "cache_bits_32": 64 * n * D,
    }  # fmt: skip


def memory_row(d: int, draw: int) -> dict[str, Any]:
    """Uniform keys of the unit ball, r = d: the state, eq. (19), and what is certified at R = d."""
    from ..compressors.contract import charged_bits
    from ..reductions.bounds import fano_rate
    from ..reductions.covering import clusters_limit
    from ..reductions.subgen_bounds import unit_ball_words

    rng = _generator(f"memory {d}", draw)
    K = ball(rng, MEMORY_N, d).astype(np.float32)
    V = rng.normal(size=(MEMORY_N, d)).astype(np.float32)
    machine = _fed(K, V, draw, delta=MEMORY_DELTA, eps=MEMORY_EPS, r=float(d))
    tokens = certified_tokens(d, float(d))
    return {
        "d": d, "draw": draw, "n": MEMORY_N, "eps": MEMORY_EPS, "delta": MEMORY_DELTA,
        "r": float(d), "t": machine.t, "s": machine.s, "m": machine.m,
        "most_clusters": clusters_limit(MEMORY_DELTA, d, "radius"),
        "bits": charged_bits(len(machine.save())), "cache_bits_32": 64 * MEMORY_N * d,
        "upper_bits": 32 * unit_ball_words(MEMORY_EPS, MEMORY_DELTA, float(d), MEMORY_N, d),
        "certified_tokens": tokens, "lower_bits": tokens * d * fano_rate(0.1),
    }  # fmt: skip


def certified_tokens(d: int, R: float) -> int:
    """The most tokens that our constructions certify at budget R, eta = 1/2: a lower bound.

    d = 1: two opposite keys. d = 2, 3: circle, sphere. Beyond: random unit keys, 16 draws.
    """
    from ..reductions.keys import make
    from ..reductions.low_dimension import certified_prefix, circle_tokens, sphere_tokens

    if d == 1:
        return certified_prefix([[1.0], [-1.0]], R)
    if d == 2:
        return circle_tokens(R)
    if d == 3:
        return sphere_tokens(R)
    return max(certified_prefix(make("jl", 1024, d, seed).rows, R) for seed in range(16))


def index_row(setting: tuple[str, int, int], per_token: int) -> dict[str, Any]:
    """SubGen in the Index game with s = ``per_token`` pairs a token."""
    from ..compressors.contract import Shape, charged_bits
    from ..compressors.subgen import SubGen
    from ..protocols import coins
    from ..protocols.instance import Instance

    name, n, d = setting
    instance = Instance(n=n, d=d, keys=name)
    reduction, key = instance.build(), coins.COMMITTED_KEYS["experiments"]
    wrong, clusters, bits = [], [], []
    for message in range(INDEX_MESSAGES):
        x = coins.secret_bits(key, instance.id, message, n * d).reshape(n, d)
        alice = SubGen(
            Shape(n, d, d), seed=coins.public_seed(key, instance.id, message),
            public=reduction.public(), delta=INDEX_DELTA[name], t=INDEX_T, s=per_token * n,
        )  # fmt: skip
        alice.extend(*reduction.stream(x))
        saved = alice.save()
        bob = alice.fresh()
        bob.restore(saved)
        wrong.append(float((reduction.decode(bob.next_outputs(*reduction.queries())) != x).mean()))
        clusters.append(bob.m)
        bits.append(charged_bits(len(saved)))
    return {
        "keys": name, "n": n, "d": d, "delta": INDEX_DELTA[name], "t": INDEX_T,
        "pairs_per_token": per_token, "messages": INDEX_MESSAGES, "m": min(clusters),
        "bits": min(bits), "cache_bits_32": 64 * n * d, "secret_bits": n * d,
        "bit_error": float(np.mean(wrong)),
    }  # fmt: skip
