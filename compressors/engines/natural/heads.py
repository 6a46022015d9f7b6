"""A compressor of one head on every KV head of a model, asked by all query heads of its group.

The contract gives a token one query. Where several query heads share a KV head, a compressor that
looks at queries sees their mean, so its scores are the mean of the group's; Bob then asks for each
query head on its own. Every KV head is an instance with its share of the budget and public coins of
its own, and everything after the prompt goes through its message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....reductions import attention
from ...kit.softmax_cache import SoftmaxCache
from ...plugin.contract import Compressor, Float32, Shape, charged_bits, stack_outputs
from ...targets import resolve


class NaturalHeads:
    """The caches of all KV heads after a prompt, as messages.

    Attributes:
        messages: bytes by [layer][head].
        charged: bits that all messages together are charged.

    Args:
        target, params, budget_bits: the compressor, and the bits of one head or None.
        Q, K, V: the prompt, float32[layers, tokens, heads, d]; Q has the query heads.
        extra: tokens that come later, at most.

    Raises:
        BudgetTooSmall: it does not fit into the budget.
    """

    def __init__(
        self,
        target: str,
        params: Mapping[str, Any],
        budget_bits: int | None,
        Q: Float32,
        K: Float32,
        V: Float32,
        extra: int,
    ) -> None:
        self._target, self._params, self._budget = resolve(target), dict(params), budget_bits
        self.layers, tokens, self.kv_heads, d_k = K.shape
        self.group = Q.shape[2] // self.kv_heads
        self._shape = Shape(tokens, d_k, V.shape[3], extra)
        self.messages: list[list[bytes]] = []
        self.charged = 0
        for l in range(self.layers):
            q = grouped(Q[l], self.kv_heads).mean(axis=2)
            self.messages.append([])
            for h in range(self.kv_heads):
                alice = self._build(l, h)
                alice.extend(*(np.ascontiguousarray(p[:, h]) for p in (q, K[l], V[l])))
                saved = bytes(alice.save())
                self.messages[-1].append(saved)
                self.charged += charged_bits(len(saved), alice.message_bytes)

    @property
    def wire_bytes(self) -> int:
        """Bytes of all messages."""
        return sum(len(message) for row in self.messages for message in row)

    def _build(self, layer: int, head: int) -> Compressor:
        made: Compressor = self._target.factory(
            self._shape, self._budget, layer * self.kv_heads + head, {}, **self._params
        )
        return made

    def answers(self, layer: int, q: Float32, k: Float32, v: Float32, every: int = 1) -> Float32:
        """Restore a layer's messages, append tokens in order, ask after each ``every``-th.

        Args:
            layer: which.
            q: float32[m, query heads, d].
            k, v: float32[m, KV heads, d].
            every: tokens every - 1, 2 every - 1, ... are asked for.

        Returns:
            float32[m // every, query heads, d_v].
        """
        by_head = grouped(q, self.kv_heads)
        means = by_head.mean(axis=2)
        asked = range(every - 1, len(q), every)
        out = np.empty((len(asked), self.kv_heads, self.group, v.shape[2]), dtype=np.float32)
        for h in range(self.kv_heads):
            bob = self._build(layer, h)
            bob.restore(self.messages[layer][h])
            for row, last in enumerate(asked):
                new = slice(last + 1 - every, last + 1)
                bob.extend(*(np.ascontiguousarray(p[new, h]) for p in (means, k, v)))
                out[row, h] = asked_together(bob, by_head[last, h])
        return out.reshape(len(asked), -1, v.shape[2])


def asked_together(bob: Compressor, q: Float32) -> Float32:
    """``bob.attend`` of every row of q: float32[rows, d_v]."""
    if isinstance(bob, SoftmaxCache):
        # Its attend is this, row by row; what it holds is decoded once.
        return attention.block_outputs(q, *bob.kept())
    return stack_outputs([bob.attend(one) for one in q])


def grouped(q: Float32, kv_heads: int) -> Float32:
    """Queries by KV head: [m, query heads, d] -> [m, KV heads, group, d]."""
    return q.reshape(len(q), kv_heads, -1, q.shape[2])
