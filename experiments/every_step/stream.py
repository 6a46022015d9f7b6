"""One stream for Theorem 1 as a whole: at every time t it has hidden d min{t, N} bits.

N unit keys in R^d are certified at R = d (condition M01 of ``low_dimension``, eta = 1/2). Alice
sends them first, with the rows of her secret as values, and then tokens of key 0 and value 0 for as
long as anybody likes. Bob may come after any number t of tokens, with the query R k_i of any i <
min{t, N}, his own key and value 0.

*Why every t is hard* (ours). The sum S' over the first t keys is at most that over all N, so M01
holds at t as it does in the end. A token of key 0 has the score 0 for every query and the value 0,
as Bob's own: t - N of them add t - N + 1 to the denominator D_i, which is public, and nothing to
the numerator. M01 compares two numerators over the same D_i, and does not change (``margins``). So
an algorithm that is right at time t with probability 9/10 has d min{t, N} (1 - h(1/10)) bits of
state then, and if it is right at all times, at all of them.

*Why N = min{., e^Theta(d)} is the truth at that norm*: ``low_dimension``, (2).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compressors.plugin.contract import Compressor, Float32, Shape, charged_bits

Bits = NDArray[np.uint8]
ETA = 0.5
#: tokens of the window that is right for a while
WINDOW = 64


@lru_cache(maxsize=8)
def accepted_keys(d: int, R: float, candidates: int, seed: int) -> Float32:
    """Random unit keys in R^d, each kept if all kept ones stay certified with it: float32[N, d].

    One pass over ``candidates`` float32 keys from public coins; sums in float64.
    """
    from ...reductions.keys import make

    offered = make("jl", candidates, d, seed).rows.astype(np.float64)
    kept, total = np.empty_like(offered), np.zeros(candidates)
    bound, n = (1 - ETA) / (1 + ETA), 0
    for key in offered:
        weights = np.exp(R * (kept[:n] @ key - 1))
        if weights.sum() < bound and (n == 0 or (total[:n] + weights).max() < bound):
            kept[n] = key
            total[:n] += weights
            total[n] = weights.sum()
            n += 1
    return kept[:n].astype(np.float32)


def tokens(keys: Float32, x: Bits, n: int) -> tuple[Float32, Float32]:
    """Alice's keys and values for n tokens: float32[n, d] each. x: uint8[N, d]."""
    K, V = np.zeros((2, n, keys.shape[1]), dtype=np.float32)
    held = min(n, len(keys))
    K[:held], V[:held] = keys[:held], x[:held]
    return K, V


def thresholds(keys: Float32, R: float, t: int) -> NDArray[np.float64]:
    """Bob's cut for each row asked at time t: float64[min(t, N)], the geometric mean of M01.

    sqrt((1 - eta^2) S' ) / (1 + S' + (t - held + 1) e^-R), held = min(t, N), unit keys.
    """
    held = min(t, len(keys))
    K = keys[:held].astype(np.float64)
    gaps = R * (K @ K.T - np.square(K).sum(axis=1)[:, None])
    interference = np.exp(gaps).sum(axis=1) - 1
    zeros = (t - held + 1) * np.exp(-R * np.square(K).sum(axis=1))
    cut = np.sqrt((1 - ETA**2) * interference) / (1 + interference + zeros)
    return np.asarray(cut)


class Merged(Compressor):
    """Exact attention from one entry for each different key: the key, the sum of its values, how
    often it came; in float32. Its memory is O(d min{t, N}) on the stream above (ours).
    """

    def __init__(
        self,
        shape: Shape,
        budget_bits: int | None = None,
        seed: int = 0,
        public: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(shape, budget_bits, seed, public)
        self.entries: dict[bytes, Float32] = {}

    def append(self, q: Float32, k: Float32, v: Float32) -> None:
        """Add a token to its key's entry."""
        key = np.asarray(k, dtype=np.float32)
        entry = self.entries.setdefault(
            key.tobytes(), np.zeros(self.shape.d_v + 1, dtype=np.float32)
        )
        entry[:-1] += v
        entry[-1] += 1

    def attend(self, q: Float32) -> Float32:
        """The exact output: the row of :meth:`next_outputs` without a newest token."""
        answer: Float32 = _softmax_mean(q[None], *self._held(), 0)[0]
        return answer

    def next_outputs(self, Q: Float32, K: Float32, V: Float32) -> Float32:
        """Row r: the exact output if a token of key 0 and value 0 came next, as Bob's does."""
        if np.any(K) or np.any(V):
            one_by_one: Float32 = super().next_outputs(Q, K, V)
            return one_by_one
        return _softmax_mean(Q, *self._held(), 1)

    def _held(self) -> tuple[Float32, Float32, Float32]:
        keys = np.frombuffer(b"".join(self.entries), dtype=np.float32)
        rows = np.array(list(self.entries.values()), dtype=np.float32)
        rows = rows.reshape(-1, self.shape.d_v + 1)
        return keys.reshape(-1, self.shape.d_k), rows[:, :-1], rows[:, -1]

    def save(self) -> bytes:
        """Keys, sums and counts, an entry after another."""
        return b"".join(key + entry.tobytes() for key, entry in self.entries.items())

    def restore(self, message: bytes) -> None:
        """Take over the entries."""
        width = self.shape.d_k + self.shape.d_v + 1
        rows = np.frombuffer(message, dtype=np.float32).reshape(-1, width)
        self.entries = {row[: self.shape.d_k].tobytes(): row[self.shape.d_k :].copy()
                        for row in rows}  # fmt: skip


def _softmax_mean(Q: Float32, K: Float32, V: Float32, counts: Float32, zeros: int) -> Float32:
    """Attention over entries that stand for several tokens, and ``zeros`` tokens of 0: float32."""
    scores = Q.astype(np.float64) @ K.T.astype(np.float64)
    top = np.maximum(scores.max(axis=1, keepdims=True), 0.0)
    weights = np.exp(scores - top)
    total = weights @ counts + zeros * np.exp(-top[:, 0])
    return np.asarray(weights @ V / total[:, None], dtype=np.float32)


def played(name: str, d: int, n: int, message: int, times: int) -> list[dict[str, Any]]:
    """One secret, one stream, one compressor; Bob comes at ``times`` random moments and asks all.

    ``wrong`` of the d min{t, N} bits; ``wrong_moved``: with every answer moved by .999 eta, a 0's
    up and a 1's down. ``lost`` of the bits, ``ones_lost`` of them 1, belong to tokens that left the
    window. Moments are secret coins, uniform in ln t.
    """
    from ...compressors.catalog import entry
    from ...protocols.game import coins

    key, R = coins.COMMITTED_KEYS["experiments"], float(d)
    label = f"every-step {d} {n}"
    keys = accepted_keys(d, R, n, 0)
    x = coins.secret_bits(key, label, message, keys.size).reshape(keys.shape)
    draw = coins.secret_bits(key, f"{label} moments", message, 32 * times).reshape(times, 32)
    part = np.packbits(draw, axis=1).view(">u4")[:, 0] / 2**32
    moments = sorted({int(np.exp(u * np.log(n + 1))) for u in part})
    players: dict[str, tuple[type[Compressor], dict[str, Any]]] = {
        "exact": (entry("exact").cls, {"dtype": "fp32"}),
        "window": (entry("sliding-window").cls, {"window": WINDOW, "dtype": "fp32"}),
        "merged": (Merged, {}),
    }
    cls, params = players[name]
    K, V = tokens(keys, x, n)
    alice, done, rows = cls(Shape(n, d, d, extra=1), **params), 0, []
    for t in moments:
        alice.extend(np.zeros_like(K[done:t]), K[done:t], V[done:t])
        done, held = t, min(t, len(keys))
        sent = alice.save()
        bob = cls(Shape(n, d, d, extra=1), **params)
        bob.restore(sent)
        Q = (R * keys[:held].astype(np.float64)).astype(np.float32)
        zeros = np.zeros_like(Q)
        answers = bob.next_outputs(Q, zeros, zeros).astype(np.float64)
        cut, bits = thresholds(keys, R, t)[:, None], x[:held] == 1
        moved = answers * np.where(bits, 1 - 0.999 * ETA, 1 + 0.999 * ETA)
        # Bob's query is appended too, and takes a place in the window.
        lost = max(0, min(held, t + 1 - WINDOW)) if name == "window" else 0
        bad = (answers > cut) != bits
        rows.append({
            "compressor": name, "d": d, "n": n, "message": message, "t": t, "R": R,
            "certified_tokens": len(keys), "asked": held * d, "lost": lost * d,
            "ones_lost": int(np.count_nonzero(bits[:lost])),
            "wrong": int(np.count_nonzero(bad)),
            "wrong_moved": int(np.count_nonzero((moved > cut) != bits)),
            "charged_bits": charged_bits(len(sent), alice.message_bytes),
        })  # fmt: skip
    return rows
