"""The other end of the trade: a state from the stream, and what is left to read with it.

Without a state .8 (n-1) tokens must be read (Theorem 19). Two states of a pass over the stream:

* ``address``: the number of the token with the longest key, ceil(log2(n-1)) bits. Bob reads that
  token and the newest one, and takes all others to be like the newest.
* ``one token and a mean``: ``LargestKey``, O(d) numbers. Bob reads nothing but the newest token.

On the family of tokens both are exact (ours): the others are alike. So the theorem is about having
no state, not about adaptivity: the smallest one replaces Omega(n) reads by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compressors.plugin.contract import Shape, charged_bits
from ...compressors.readers.contract import Float32, Indices, Plan
from ...compressors.readers.patterns import filled_attention
from ...compressors.zoo.paper.largest_key import LargestKey
from ...protocols.game import coins
from ...protocols.game.query_game import QueryInstance, hidden_place
from ...protocols.players.reader import Cells
from ...reductions.indistinguishability import acceptable

STATES = ("address", "one token and a mean")


def address_trial(q: Float32, K: Float32, V: Float32) -> tuple[Float32, int, int]:
    """The answer, the bits of the state, and how many earlier tokens were read for it."""
    n, d = K.shape
    longest = int(np.square(K[:-1], dtype=np.float64).sum(axis=1).argmax())
    cells = Cells(Plan.everything(n, d), K, V)
    whole: Indices = np.zeros(0, dtype=np.int64)
    tokens = np.array([n - 1, longest, n - 1])
    keys, values = (cells.ask(kind, tokens, whole) for kind in "KV")
    touched = cells.read().touched()
    state = max(1, int(np.ceil(np.log2(n - 1))))
    return filled_attention(q, keys, values, n), state, int(np.count_nonzero(touched < n - 1))


def largest_trial(q: Float32, K: Float32, V: Float32, seed: int) -> tuple[Float32, int, int]:
    """The same for the cache of one token and a mean."""
    n, d = K.shape
    shape = Shape(n - 1, d, d, extra=1)
    alice, bob = (LargestKey(shape, None, seed, {}) for _ in "ab")
    alice.extend(np.zeros_like(K[:-1]), K[:-1], V[:-1])
    message = alice.save()
    bob.restore(message)
    answer = bob.next_outputs(q[None], K[-1:], V[-1:])[0]
    return answer, charged_bits(len(message), alice.message_bytes), 0


def state_row(state: str, n: int, d: int, trials: int) -> dict[str, Any]:
    """One state at one size, prior 1/2, committed coins."""
    instance, key = QueryInstance(n, d), coins.COMMITTED_KEYS["experiments"]
    family, wrong, bits, reads = instance.build(), 0, 0, 0
    for number in range(trials):
        hidden = hidden_place(key, instance, number, "prior")
        q, K, V = family.stream(hidden)
        seed = coins.public_seed(key, instance.id, number)
        answer, held, read = (
            address_trial(q, K, V) if state == "address" else largest_trial(q, K, V, seed)
        )
        wrong += not acceptable(family, hidden, answer)
        bits, reads = max(bits, held), max(reads, read)
    return {
        "state": state, "n": n, "d": d, "trials": trials, "wrong": wrong, "state_bits": bits,
        "reads": reads,
    }  # fmt: skip
