"""How a stranger's codec wants to be called: found by playing a public stream.

An author who writes for kvbarrier says it (``contract``): ``tensors``, ``layout``, ``dtype``. A
published class says nothing, so ways to call it are tried in a fixed order: which pair of methods,
arrays or tensors, which axes, which type. Two tokens are played, and as many as a call will have
only where no way fits two. A way fits if another object, made alike, decodes an array of the shape
that went in. The first that fits and resembles what went in is taken (cosine above 1/2); if none
resembles, the first that fits. The verdict names it, and a parameter of the target takes its place.

Nothing of the played stream is in it, and both players find the same way for themselves: what is
learned is public. Classes of objects, and what is no data (a dtype, a lock, a member of an enum),
are learned so too (``data.Kinds``).

If only the object that encoded can decode, the constructor draws from something that cannot be
made public, or ``encode`` leaves something behind. Bob has another object, so what he read would
say nothing about the codec: that is refused.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ....errors import PluginFailure
from ...plugin.contract import Float32, Shape
from ...plugin.packing import pack_plain, unpack_plain
from ..public_stream import public_stream
from .calling import Codec, Way, asks_nothing, functions, pairs_of
from .data import Kinds, as_plain, from_plain

LAYOUTS = ("nd", "hnd", "bhnd", "lbhnd", "d", "hd", "bhd")
"""In which order axes are tried."""

_DTYPES = ("float32", "float16", "bfloat16")
_ALIKE = 0.5
# of the cosine that the object which encoded comes to: what it rounds at random may differ
_AS_WELL = 0.9
_ADVICE = (
    "It was called in all ways that a rehearsal knows, and none gave back what went in: say "
    "?tensors=, layout=, dtype=, encode= or decode=, or write its encode and decode yourself."
)


@dataclass(frozen=True)
class Stranger:
    """A class or module that says nothing of how it is called.

    Attributes:
        name: for sentences.
        make: constructs an object, each time alike.
        known: what its functions get by name if they require it.
        by_name: what they get if they take it: the functions of a module have no constructor.
        fixed: what the target's parameters say: tensors, layout, dtype, encode, decode.
    """

    name: str
    make: Callable[[], Any]
    known: Mapping[str, Any]
    by_name: Mapping[str, Any]
    fixed: Mapping[str, str]


def rehearse(stranger: Stranger, shape: Shape) -> Codec:
    """Return the codec in the way that is taken; if no way fits, in the first, with advice.

    Raises:
        PluginFailure: only the object that encoded can decode.
    """
    made, other = stranger.make(), stranger.make()
    stream = public_stream(shape)[1:]
    first, alone = None, ""
    for tokens in dict.fromkeys((min(2, shape.tokens), shape.tokens)):
        K, V = (part[:tokens] for part in stream)
        for way in _ways(stranger, made):
            bob, found, own = _play(stranger, (made, other), way, shape, K, V)
            if own > _ALIKE and found < _AS_WELL * own:
                alone = alone or f"{way.writer} and {way.reader}"
            elif found > _ALIKE and bob is not None:
                return bob
            if found > -1 and first is None:
                first = bob
        if first is not None:
            break
    if alone:
        raise PluginFailure(
            f"{stranger.name} decodes ({alone}) only in the object that encoded, and Bob has "
            "another: give what its constructor draws a seed, and return from encode what decode "
            "needs."
        )
    return first or replace(in_way(stranger, next(_ways(stranger, made)), Kinds()), advice=_ADVICE)


def _ways(stranger: Stranger, made: Any) -> Iterator[Way]:
    fixed = stranger.fixed
    pairs = pairs_of(made)
    if "encode" in fixed or "decode" in fixed:
        named = [(fixed.get("encode", one), fixed.get("decode", two)) for one, two in pairs]
        pairs = list(dict.fromkeys(named)) or [(fixed.get("encode", ""), fixed.get("decode", ""))]
    for dtype in (fixed["dtype"],) if "dtype" in fixed else _DTYPES:
        for layout in (fixed["layout"],) if "layout" in fixed else LAYOUTS:
            for writer, reader in pairs:
                for tensors in _tensors(getattr(made, writer), fixed):
                    if (tensors, dtype) != ("numpy", "bfloat16") or fixed:
                        kept = asks_nothing(getattr(made, reader), stranger.known)
                        yield Way(writer, reader, tensors, layout, dtype, kept)


def _tensors(writer: Callable[..., Any], fixed: Mapping[str, str]) -> tuple[str, ...]:
    """Arrays first, or tensors if the annotations say so; those only where torch is imported."""
    if "tensors" in fixed:
        return (fixed["tensors"],)
    if "torch" not in sys.modules:
        return ("numpy",)
    with contextlib.suppress(TypeError, ValueError):
        said = [str(p.annotation) for p in inspect.signature(writer).parameters.values()]
        if any("Tensor" in one for one in said):
            return ("torch", "numpy")
    return ("numpy", "torch")


def _play(
    stranger: Stranger, pair: tuple[Any, Any], way: Way, shape: Shape, K: Float32, V: Float32
) -> tuple[Codec | None, float, float]:
    """The codec in this way, and how near another object and the same one come to K and V.

    As cosines; -1 where it does not fit. ``pair`` are two objects: constructing may be slow.
    """
    kinds = Kinds(learning=True)
    try:
        alice, bob = (
            in_way(
                stranger if way.kept else replace(stranger, make=partial(_same, one)), way, kinds
            )
            for one in pair
        )
        pieces = alice.encoded(K, V)
        message = pack_plain([as_plain(piece, kinds, stranger.name) for piece in pieces])
    except Exception:  # theirs, or of ours about what they returned: not how it wants to be called
        return None, -1, -1
    kinds = replace(kinds, learning=False)
    answers: list[float] = []
    for one in (bob, alice):
        try:
            read = [from_plain(piece, kinds) for piece in unpack_plain(message)]
            answers.append(_cosine(one.decoded(read, shape), (K, V)))
        except Exception:  # likewise
            answers.append(-1)
    if max(answers) == -1:
        return None, -1, -1
    said = str(way) if max(answers) > _ALIKE else f"{way} (it gave back nothing like what went in)"
    return replace(in_way(stranger, way, kinds), played=said), answers[0], answers[1]


def _same(thing: Any) -> Any:
    return thing


def in_way(stranger: Stranger, way: Way, kinds: Kinds) -> Codec:
    """The codec called in a way."""
    making = functions(stranger.make, way, stranger.known, stranger.by_name)
    encode, decode, together = making
    return Codec(stranger.name, way, encode, decode, together, kinds)


def _cosine(read: tuple[Float32, Float32], told: tuple[Float32, Float32]) -> float:
    """The lesser of the cosines of keys and of values, between -1 and 1."""
    found = []
    for a, b in zip(read, told, strict=True):
        if a.shape != b.shape:
            return -1
        length = float(np.linalg.norm(a) * np.linalg.norm(b))
        found.append(float((a * b).sum()) / length if length else 0.0)
    return min(found)
