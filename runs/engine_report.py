"""An engine's memories beside the message that was charged, and what disagrees, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..compressors.engines.findings import of_errors, of_memories
from ..compressors.engines.schemes import scheme_of
from ..compressors.plugin.values import parse_query

if TYPE_CHECKING:
    from ..protocols.game.instance import Instance

Point = Mapping[str, Any]
#: parameters that say how a cache is played, not which one it is
WAYS = ("bob", "ask", "feed")
_MEMORIES = ("claimed", "logical", "resident", "side", "constant", "beside")


def engine_report(
    target: str, said: Sequence[Mapping[str, Any]], points: Sequence[Point], cache_bits: int
) -> tuple[dict[str, Any], ...]:
    """Add to what each setting's cache occupied its ``shares`` and ``findings``.

    Args:
        target: the engine's target.
        said: for every setting its params, memories (bytes) and versions.
        points: what was played.
        cache_bits: of the 16-bit K and V cache, which the shares are of.
    """
    return tuple(
        {**one, "shares": shares, "findings": _findings(one, shares, points)}
        for one in said
        for shares in [_shares(target, one, points, cache_bits)]
    )


def _shares(
    target: str, one: Mapping[str, Any], points: Sequence[Point], cache_bits: int
) -> dict[str, float | None]:
    held = one["memories"] or {}
    found: dict[str, float | None] = {"declared": declared_share(target, one["params"])}
    for name in _MEMORIES:
        share = held.get(name)
        found[name] = None if share is None else 8 * share / cache_bits
    ratios = [p["compression_ratio"] for p in points if p["params"] == one["params"]]
    found["wire"] = max((1 / ratio for ratio in ratios if ratio), default=None)
    return found


def declared_share(target: str, params: Mapping[str, Any]) -> float | None:
    """What the referee's table says that this setting promises; None where it is not in there.

    >>> declared_share("hf:quantized?backend=quanto&nbits=2", {"axis": 0})
    0.125
    """
    scheme, (plain, mark, query) = scheme_of(target), target.partition("?")
    own = _own({**(parse_query(query, target) if mark else {}), **params})
    rows = [] if scheme is None else scheme.table().ROWS
    said = [row.declared for row in rows if row.target == plain and _own(row.params) == own]
    return None if not said else said[0]


def of_arithmetic(target: str, params: Mapping[str, Any], instance: Instance) -> list[str]:
    """Say how many tokens the carrier's float type does not certify; nothing where it does all."""
    scheme = scheme_of(target)
    if scheme is None or scheme.name not in ("hf", "kvpress"):
        return []
    from ..compressors.engines.hf.families import arithmetic
    from ..reductions.index import IndexReduction
    from ..reductions.rounding import certified

    hard: Any = instance.build()
    for inner in ("family", "index"):
        hard = getattr(hard, inner, hard)
    if not isinstance(hard, IndexReduction):
        return []
    used = arithmetic(params)
    left = int((~certified(hard, used)).sum())
    if not left:
        return []
    cause = "rounding" if used.cap is None else "rounding and the cap of its scores"
    return [
        f"{cause} in {used.type} may turn bits of {left} of {hard.n} tokens at this scale, "
        "whatever the cache does; fewer in dtype=fp32"
    ]


def _own(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in WAYS}


def _findings(
    one: Mapping[str, Any], shares: Mapping[str, float | None], points: Sequence[Point]
) -> list[str]:
    params = one["params"]
    asked = [p for p in points if p["queries"] == "zero" and _own(p["params"]) == _own(params)]
    fed = [p for p in asked if p["params"].get("feed") == params.get("feed")]

    def error(basis: str, bob: str) -> float | None:
        found = [
            float(p["bit_error"]["estimate"])
            for p in fed
            if (p["basis"], p["params"].get("bob", "asks")) == (basis, bob)
        ]
        return found[0] if found else None

    literal, read = error("literal", "asks"), error("literal", "reads")
    memories = of_memories(shares, (one["memories"] or {}).get("beside_is", ""))
    return [*memories, *of_errors(literal, read, error("rotated", "asks"))]
