"""The public side of a torch cache's message: what both players can build for themselves."""

from __future__ import annotations

from typing import Any

from ....errors import PluginFailure
from .torch_graph import (
    ARRAY,
    METHOD,
    OPAQUE,
    PLAIN,
    SIZE,
    TENSOR,
    World,
    is_exact,
    parts,
    same_opaque,
)


class Skeleton:
    """The public side: a cache of the same making that met a public stream.

    It is never changed, so that one will do for any number of messages.

    Attributes:
        root: the cache.
        world: what is opaque.
        known: its objects, opaque values and methods, in the order in which they are met.
    """

    def __init__(self, root: Any, world: World) -> None:
        self.root, self.world = root, world
        self.known: list[Any] = []
        self._survey(root, {})
        self.number = {id(one): k for k, one in enumerate(self.known)}

    def _survey(self, x: Any, seen: dict[int, Any]) -> None:
        kind = self.world.kind(x)
        if kind in (PLAIN, SIZE, TENSOR, ARRAY) or id(x) in seen:
            return
        seen[id(x)] = x
        if not is_exact(x, kind):
            self.known.append(x)
        for part in parts(x, kind):
            self._survey(part, seen)

    def like(self, x: Any, kind: str, path: str) -> int:
        """Return the number of something of the same class; for an opaque one, of itself."""
        for k, one in enumerate(self.known):
            if kind == OPAQUE:
                if self.world.kind(one) == OPAQUE and same_opaque(one, x):
                    return k
            elif type(one) is type(x) and (kind != METHOD or one.__func__ is x.__func__):
                return k
        raise PluginFailure(
            f"{path} holds a {type(x).__module__}.{type(x).__qualname__}, but the cache of a "
            "public stream of this shape does not: it cannot be sent."
        )
