"""The bound of own keys for the heads of a file, one after another, and their sums.

The heads of a model are streams of their own: a cache holds all of them, Bob asks each, and the
secrets of different heads are independent. So bits of heads add up to a bound for the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..compressors.captured.key_file import KeyFile, Place, norm_of
from ..errors import BadInput
from ..reductions.own_keys import (
    REASONS,
    OwnLimit,
    OwnTokens,
    own_limit,
    own_tokens,
    smallest_norm,
)

#: tokens of one head whose n^2 scores are worked through; hours on one core
MOST_TOKENS = 1 << 17


@dataclass(frozen=True, eq=False)
class HeadLimit:
    """One head: where it is in the model, its tokens and its bound.

    ``smallest_norm``: where nothing is certified, the least norm at which something is, or None.
    """

    place: Place
    tokens: OwnTokens
    limit: OwnLimit
    smallest_norm: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the bound, and by token a_i(r) from above and below, levels and reasons."""
        reasons = self.tokens.reasons()
        return {
            "layer": self.place.layer,
            "head": self.place.head,
            **asdict(self.limit),
            "smallest_useful_norm": self.smallest_norm,
            "line": self.tokens.line,
            "a": self.tokens.a.tolist(),
            "a_at_least": np.minimum(self.tokens.floor, self.tokens.a).tolist(),
            "levels": self.tokens.levels.tolist(),
            "not_certified": {
                str(i): reason for i, reason in enumerate(reasons) if reason is not None
            },
        }


@dataclass(frozen=True)
class FileLimit:
    """The bounds of several heads of a file."""

    heads: tuple[HeadLimit, ...]

    def total(self, name: str) -> float:
        """The sum of a number of ``OwnLimit`` over the heads."""
        found: float = sum(getattr(head.limit, name) for head in self.heads)
        return found

    def by_layer(self) -> dict[int, FileLimit]:
        """The same for the heads of each layer."""
        layers = dict.fromkeys(head.place.layer for head in self.heads)
        return {
            layer: FileLimit(tuple(h for h in self.heads if h.place.layer == layer))
            for layer in layers
        }

    def reasons(self) -> dict[str, int]:
        """How many tokens are not certified, by reason (``reductions.own_keys.REASONS``)."""
        found = Counter(reason for head in self.heads for reason in head.tokens.reasons())
        return {name: found[name] for name in REASONS if found[name]}

    def as_dict(self) -> dict[str, Any]:
        """Plain data: sums over all heads, by layer, and every head. ``norm``: the largest."""
        one = self.heads[0].limit
        return {
            "schema": 1,
            "reduction": "own-keys",
            **{name: getattr(one, name) for name in _COMMON},
            "norm": max(head.limit.norm for head in self.heads),
            "tokens": self.total("n"),
            **{name: self.total(name) for name in _SUMS},
            "not_certified": self.reasons(),
            "layers": [
                {"layer": layer, "tokens": part.total("n")}
                | {name: part.total(name) for name in _SUMS}
                for layer, part in self.by_layer().items()
            ],
            "heads": [head.as_dict() for head in self.heads],
            **({"a": self.heads[0].tokens.a.tolist()} if len(self.heads) == 1 else {}),
        }


_COMMON = ("n", "d", "d_v", "values", "eta", "gamma", "success")
_SUMS = ("certified_tokens", "secret_bits", "bound_bits")


def norm_at(file: KeyFile, place: Place, norm: str, tokens: int | None = None) -> float:
    """The norm r for a head: a number, or a quantile of its queries, "p50". Raises BadInput."""
    said = norm_of(norm)
    return said if isinstance(said, float) else file.query_norm(place, said[0], tokens)


def checked_tokens(file: KeyFile, tokens: int | None) -> int:
    """How many of the file's tokens are meant; BadInput for more than there are, or too many."""
    n = file.n if tokens is None else tokens
    if file.n < 2:
        raise BadInput(f"{file.path} has one token per head: give a file with 2 or more.")
    if not 2 <= n <= file.n:
        raise BadInput(
            f"{file.path} has {file.n} tokens a head: --n must be 2 to {file.n}, not {n}."
        )
    if n > MOST_TOKENS:
        raise BadInput(
            f"{n} tokens of a head are {n}^2 scores: give the first so many with --n, at most "
            f"{MOST_TOKENS}."
        )
    return n


def file_limit(
    file: KeyFile,
    norm: str,
    places: Sequence[Place],
    *,
    tokens: int | None = None,
    values: str = "01",
    eta: float | None = 0.5,
    gamma: float | None = None,
    success: float = 0.9,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> FileLimit:
    """The bound for each of some heads. Raises BadInput."""
    n, heads = checked_tokens(file, tokens), []
    for number, place in enumerate(places):
        progress("heads", number, len(places))
        keys, r = file.keys(place, n), norm_at(file, place, norm, n)
        found = own_tokens(keys, r, values=values, eta=eta, gamma=gamma)
        limit = own_limit(found, success, file.d_v)
        least = None if limit.certified_tokens else smallest_norm(found.keys, found.rule, r)
        heads.append(HeadLimit(place, found, limit, least))
    progress("heads", len(places), len(places))
    return FileLimit(tuple(heads))
