"""A batch algorithm as two functions: merge tokens into clusters, then attend over the clusters.

A cluster is the mean of its keys, the mean of its values and how many tokens it stands for: its
weight is count * exp<q, mean key> (as in clustered attention, Vyas et al. 2020).

    kvbarrier check examples/two_functions.py
    kvbarrier attack examples/two_functions.py --param rounds=8
"""

import numpy as np
from kvbarrier import tokens_within


def compress(Q, K, V, budget_bits, rounds=4):
    """All data tokens at once; what is returned (plain data) is the message."""
    room = tokens_within(budget_bits, bits_per_token=32 * (K.shape[1] + V.shape[1] + 1))
    size = min(room, len(K))
    centres = K[np.linspace(0, len(K) - 1, size).astype(int)]
    for _ in range(rounds):
        distance = (centres**2).sum(1) - 2 * K @ centres.T
        member = distance.argmin(1)[:, None] == np.arange(size)
        count = member.sum(0)
        used = count > 0
        centres = np.where(used[:, None], member.T @ K / np.maximum(count, 1)[:, None], centres)
    return {
        "keys": centres[used].astype(np.float32),
        "values": (member.T @ V / np.maximum(count, 1)[:, None])[used].astype(np.float32),
        "log_count": np.log(count[used]).astype(np.float32),
    }


def attend(state, q, tail):
    """The output for q; ``tail`` holds the tokens that came after compress, kept as they are."""
    K = np.concatenate([state["keys"], tail[0]])
    V = np.concatenate([state["values"], tail[1]])
    scores = K @ q
    scores[: len(state["log_count"])] += state["log_count"]
    weights = np.exp(scores - scores.max())
    return weights @ V / weights.sum()
