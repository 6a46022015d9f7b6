"""What ``kvbarrier new FILE`` writes: a small working plug-in to start from."""

from __future__ import annotations

from collections.abc import Mapping

_TEMPLATE = '''\
"""A KV-cache compressor to start from. It works without changes:

    kvbarrier check FILE        does it keep the contract?
    kvbarrier attack FILE       how many bits does it lose, at which memory?

It keeps the first few tokens and the last ones that fit the budget (attention sinks; Xiao et al.
2024). Replace that by your idea.
"""

from collections import deque

import numpy as np
from kvbarrier import Compressor, tokens_within


class MyCache(Compressor):
    """One attention head. Everything that append changes must be an attribute of self."""

    # False if append only collects and the work is done at the end, on all tokens at once.
    streaming = True

    def __init__(self, shape, budget_bits=None, seed=0, public=None, sinks=4):
        """Take what is public; `sinks` is a parameter of our own: --param sinks=8.

        shape: tokens, d_k, d_v.  budget_bits: the memory limit, None for no limit.
        What is made here is made on both sides, so it is never part of the message.
        """
        super().__init__(shape, budget_bits, seed, public)
        # How many tokens fit. Lower the second number when you store less: 16 * (...) for halves.
        room = tokens_within(budget_bits, bits_per_token=32 * (shape.d_k + shape.d_v))
        self.sinks = min(sinks, room - 1)
        # What it promises; attack and check show a bit that refutes it. Without this: nothing.
        self.declares = {"keeps": f"first:{self.sinks},last:{room - self.sinks}", "bits": 32}
        self.first = []
        self.recent = deque(maxlen=room - self.sinks)

    def append(self, q, k, v):
        """Take one token: float32 arrays of shapes [d_k], [d_k], [d_v].

        Random numbers: self.rng(t) is a generator for step t that both sides have for free.
        Do not store your own generator: it would have to be sent.
        """
        kept = self.first if len(self.first) < self.sinks else self.recent
        kept.append((k.copy(), v.copy()))

    def attend(self, q):
        """Return the attention output for the query q, over all that was appended: [d_v]."""
        K, V = (np.array(rows) for rows in zip(*self.first, *self.recent, strict=True))
        # Scores are <q, k>, not divided by sqrt(d): the game says so in softmax_scale.
        scores = self.public.get("softmax_scale", 1.0) * (K @ q)
        weights = np.exp(scores - scores.max())
        return weights @ V / weights.sum()

    def next_outputs(self, Q, K, V):
        """Return append(Q[r], K[r], V[r]) and attend(Q[r]) in row r, each on a copy: [m, d_v].

        Only for speed: without this method every row is asked by itself. `kvbarrier check` tells
        when it no longer answers as append and attend do.
        """
        kept = [*self.first, *self.recent]
        if len(self.recent) == self.recent.maxlen:
            del kept[len(self.first)]  # the next token pushes it out
        old_K = np.array([k for k, _ in kept]).reshape(len(kept), self.shape.d_k)
        old_V = np.array([v for _, v in kept]).reshape(len(kept), self.shape.d_v)
        scores = np.column_stack([Q @ old_K.T, (Q * K).sum(axis=1)])
        scores = self.public.get("softmax_scale", 1.0) * scores
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        return weights[:, :-1] @ old_V + weights[:, -1:] * V

    # save() and restore() are inherited: they pack the attributes that differ from a fresh
    # instance's. For your own format return bytes from save(self) and read them in
    # restore(self, message), on a fresh instance.
'''


_READER = '''\
"""A non-adaptive algorithm to start from. It works without changes:

    kvbarrier attack FILE --reduction indistinguishability

It says in advance what it will read, and answers from that (Theorem 19). It reads a random part of
the tokens and assumes that the others are like the typical one it read. Replace that by your idea.

To choose as you read, delete plan, and write Adaptive for NonAdaptive: then answer may ask the
reader for any cell, and every cell is counted. That helps no algorithm that has seen nothing before
the query; try it.
"""

import numpy as np
from kvbarrier.compressors.readers.contract import NonAdaptive, coins


class MyReader(NonAdaptive):
    """The constructor takes parameters of our own, and nothing else: --param share=0.25."""

    def __init__(self, share=0.5):
        self.share = share

    def plan(self, n, d, seed):
        """Return what answer may read of K and V, both [n, d], before there are any.

        Tokens are numbered 0 .. n-1. The newest, n-1, comes with the query: reading it is free.
        seed: public coins, new for every trial. A whole token is its index; ("K", i) or ("V", i) is
        a row, ("V", i, j) one number.
        """
        chosen = coins(seed).permutation(n - 1)[: int(self.share * (n - 1))]
        return np.append(chosen, n - 1)

    def answer(self, q, reader):
        """Return the attention output for the query q, over all n tokens: [d].

        reader.tokens() is all that was planned: indices, keys [m, d], values [m, d].
        reader.keys(indices), reader.values(indices), reader["V", i, j] ask for parts of it. Asking
        for anything else ends the attack. Without plan there is nothing else: ask for what you
        like, one after the other, with all random numbers from coins(reader.seed).
        """
        _, K, V = reader.tokens()
        unread = reader.n - len(K)
        K, V = (np.vstack([rows, np.median(rows, axis=0)]) for rows in (K, V))
        # Scores are <q, k>, not divided by sqrt(d). The last row represents all unread tokens.
        scores = K @ q
        weights = np.exp(scores - scores.max())
        weights[-1] *= unread
        return weights @ V / weights.sum()
'''

TEMPLATES: Mapping[str, str] = {"compressor": _TEMPLATE, "reader": _READER}


def template_text(kind: str = "compressor") -> str:
    """The text of a new plug-in, ``kind`` one of :data:`TEMPLATES`."""
    return TEMPLATES[kind]
