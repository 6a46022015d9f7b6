"""Reformer's attention: a query reads the keys that share a bucket of an angular hash with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import BadInput
from ...catalog_entry import CatalogEntry
from ...kit.token_cache import whole
from ...plugin.contract import Float32
from .full_cache import Float64, FullCache, softmax_over

Int64 = NDArray[np.int64]


class Reformer(FullCache):
    """LSH attention (Kitaev, Kaiser, Levskaya 2020, Reformer, arXiv 2001.04451).

    "Reformer: The Efficient Transformer". The hash of x in a round is h(x) = argmax [xR; -xR], R a
    Gaussian matrix with ``buckets``/2 columns (Andoni et al. 2015). A query reads the softmax over
    the union of the keys that are in its bucket in some of the ``rounds`` rounds, each key once
    (their N_ij divides what several rounds count several times). Where that is none it reads the
    newest token alone, as a Reformer's token may attend to itself only if it has no other.

    It saves time, not memory: the whole cache is the message. State: K then V, of every token. The
    rotations R are public coins.

    Args:
        rounds: independent hashes (4).
        buckets: of each hash, even (16).
        dtype: fp32, fp16, bf16 or fp8 (the widest in the budget).

    Raises:
        BudgetTooSmall: the whole cache does not fit.
        BadInput: ``rounds`` is not positive, ``buckets`` not an even number from 2 on, or there is
            no such format.

    Mechanisms:
        angular hash: implemented.
        several rounds: implemented.
        shared queries and keys: not meaningful here, both are given by the game; the hash sees
            directions only, so it needs no keys of unit length.
        sorted buckets cut into chunks: adapted, a query reads its whole bucket, as in their eq.
            4, and none of the neighbouring chunk: one query is no batch to be cut evenly.
        attention to itself only if there is no other: adapted, the newest token is read where it
            is in the bucket, since the game's own key is no copy of the query; alone if none is.
        reversible layers and chunked feed-forward layers: not meaningful here, they are not
            attention.
    """

    name = "reformer"

    def set_up(self, *, rounds: int = 4, buckets: int = 16, dtype: str | None = None) -> None:
        self.rounds = whole(rounds, "rounds", 1)
        self.buckets = whole(buckets, "buckets", 2)
        if self.buckets % 2:
            raise BadInput(f"buckets come in pairs, x and -x: give an even number, not {buckets}.")
        super().set_up(dtype=dtype)
        size = (self.shape.d_k, self.rounds * (self.buckets // 2))
        self.rotations = self.rng(0).standard_normal(size)

    def hashes(self, X: Float64) -> Int64:
        """The rows' buckets in each round: int64[len(X), rounds]."""
        turned = (X @ self.rotations).reshape(len(X), self.rounds, self.buckets // 2)
        both = np.concatenate([turned, -turned], axis=2)
        found: Int64 = both.argmax(axis=2)
        return found

    def prepare(self, K: Float64) -> NDArray[Any]:
        """The stored keys' buckets, a row a round, in as few bytes as hold them."""
        return np.ascontiguousarray(self.hashes(K).T, dtype=np.min_scalar_type(self.buckets))

    def weigh(self, Q: Float64, S: Float64, prepared: Any, own: Float64 | None) -> Float32:
        """Weight e^s in the query's buckets."""
        asked = self.hashes(Q)
        read = np.zeros(S.shape, dtype=np.bool_)
        stored = read[:, : prepared.shape[1]]
        for mine, theirs in zip(asked.T.astype(prepared.dtype), prepared, strict=True):
            stored |= mine[:, None] == theirs
        if own is not None:
            read[:, -1] = (asked == self.hashes(own)).any(axis=1)
        read[~read.any(axis=1), -1] = True
        return softmax_over(S, read)


ENTRY = CatalogEntry(
    Reformer,
    summary="every token; a query reads the keys in its bucket of some angular hash",
    source="Kitaev, Kaiser, Levskaya 2020, Reformer: The Efficient Transformer",
    budgets="1/2 in fp8, 1 in fp16, 2 in fp32: it saves time, not memory",
    assumes="a query attends to keys in its own direction",
    broken_by="a part of the query that no key has: same scores, another bucket",
    settings=tuple({"rounds": r} for r in (1, 2, 4, 8, 16, 32)),
)
