"""Presses of kvpress by name and plain parameters, and what each of them needs from its player.

A wrapper gets the press inside it by name and passes on the parameters that are not its own:
``AdaKVPress?press=KnormPress&compression_ratio=0.5``. Commas separate a list, and a slash
precedes what the inner one wraps: ``press=CriticalKVPress/SnapKVPress``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import kvpress
from kvpress import BasePress

from ....errors import BadInput, did_you_mean
from .rows import OUT_OF_REACH

#: parameters that are presses, a list of presses, a list of numbers
_PRESS = ("press", "base_press", "prefilling_press", "decoding_press")
_PRESSES = "presses"
_NUMBERS = ("compression_ratios",)
#: parameters without which a press fails on its first token, though they have a default
_NEEDED = {"DMSPress": ("threshold",)}


@dataclass(frozen=True)
class Traits:
    """What a press needs from its player.

    Attributes:
        masks: it frees nothing and hides rows from attention by indices stored on the modules: a
            question rewrites the cache, so each needs its own copy.
        uneven: its layers may keep different numbers of tokens, so no single mask fits.
        decodes: it works on tokens that come one by one.
        prefills: it works on a prompt.
        eager: it reads the attention weights.
        tokens: it reads ``input_ids``.
    """

    masks: bool
    uneven: bool
    decodes: bool
    prefills: bool
    eager: bool
    tokens: bool


def build(name: str, params: Mapping[str, Any]) -> BasePress:
    """Return the press that is named, with its parameters.

    Raises:
        BadInput: the press or parameter does not exist, a wrapper lacks the press inside it, the
            press cannot be played here, or it rejects a value.
    """
    left = dict(params)
    known: list[str] = []
    press = _build(name, left, known)
    unknown = sorted(left.keys() - set(known))
    if unknown:
        raise BadInput(
            f"{name} has no parameter '{unknown[0]}'.{did_you_mean(unknown[0], sorted(set(known)))}"
        )
    return press


def traits(press: BasePress) -> Traits:
    """Return what a press, with those inside it, needs from its player."""
    parts = list(members(press))

    def some(*names: str) -> bool:
        kinds = tuple(getattr(kvpress, name) for name in names)
        return any(isinstance(part, kinds) for part in parts)

    loose = any(isinstance(p, kvpress.KVComposePress) and not p.structured for p in parts)
    reacts = any(isinstance(p, kvpress.DMSPress) and p.decoding for p in parts)
    decodes = reacts or some("DecodingPress")
    return Traits(
        masks=loose or some("AdaKVPress", "CriticalAdaKVPress", "DMSPress", "KVzipPress"),
        uneven=some("PyramidKVPress", "PerLayerCompressionPress", "SimLayerKVPress",
                    "KVComposePress"),
        decodes=decodes,
        prefills=not some("DecodingPress"),
        eager=some("ObservedAttentionPress"),
        tokens=some("FinchPress", "KVComposePress", "KVzipPress"),
    )  # fmt: skip


def members(press: BasePress) -> Iterator[BasePress]:
    """The press, and all presses inside it."""
    yield press
    for value in vars(press).values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, BasePress):
                yield from members(inner)


def promised(press: BasePress, tokens: int) -> tuple[float | None, str]:
    """Return the share of the 16-bit cache that a press declares, and its words.

    None if it declares nothing, or only while it compresses.
    """
    decoding = getattr(press, "decoding_press", None) or press
    if isinstance(decoding, kvpress.CompressionRatioDecodingPress):
        return 1 - decoding.target_compression_ratio, "declared ratio"
    if isinstance(decoding, kvpress.DecodingPress):
        return min(1.0, decoding.target_size / tokens), "declared size"
    try:
        ratio = getattr(press, "compression_ratio", None)
    except (AssertionError, ValueError):
        ratio = None
    return (None, "") if ratio is None else (1 - float(ratio), "declared ratio")


def _build(name: str, left: dict[str, Any], known: list[str]) -> BasePress:
    cls = _class(name)
    taken: dict[str, Any] = {}
    names = [p for p in inspect.signature(cls.__init__).parameters if p[0] != "_" and p != "self"]
    known += names
    for each in names:
        if each in left and each not in (*_PRESS, _PRESSES):
            value = left.pop(each)
            taken[each] = _numbers(each, value) if each in _NUMBERS else value
    # The inner presses come last: what has the outer one's name is the outer one's.
    inner = {each: left.pop(each) for each in names if each in (*_PRESS, _PRESSES) and each in left}
    spare = dict(left)
    for each, value in inner.items():
        inside = []
        for one in str(value).split(",") if each == _PRESSES else [str(value)]:
            # Presses side by side share the parameters that both have.
            head, slash, rest = one.partition("/")
            own = {**spare, _wrapped(head): rest} if slash else dict(spare)
            inside.append(_build(head, own, known))
            for used in spare.keys() - own.keys():
                left.pop(used, None)
        taken[each] = inside if each == _PRESSES else inside[0]
    return _made(cls, name, taken)


def _wrapped(name: str) -> str:
    """The parameter by which a wrapper takes its press."""
    for each in inspect.signature(_class(name)).parameters:
        if each in (*_PRESS, _PRESSES):
            return each
    raise BadInput(f"{name} wraps no other press: leave out what follows its name.")


def _class(name: str) -> Any:
    if name in OUT_OF_REACH:
        raise BadInput(f"{name} cannot be played here: {OUT_OF_REACH[name]}.")
    cls = getattr(kvpress, name, None)
    if not (inspect.isclass(cls) and issubclass(cls, BasePress)):
        hint = did_you_mean(name, names())
        raise BadInput(f"kvpress has no press '{name}'.{hint}")
    return cls


def names() -> list[str]:
    """The names of all press classes that kvpress exports, sorted."""
    found = ((name, getattr(kvpress, name)) for name in kvpress.__all__)
    return sorted(n for n, cls in found if inspect.isclass(cls) and issubclass(cls, BasePress))


def _numbers(name: str, value: Any) -> list[float]:
    try:
        return [float(part) for part in str(value).split(",")]
    except ValueError:
        raise BadInput(f"{name} must be a list of numbers, as in 0.25,0.75, not {value}.") from None


def _made(cls: Any, name: str, taken: dict[str, Any]) -> BasePress:
    # PrefillDecodingPress does with one of its two.
    enough = name == "PrefillDecodingPress" and taken
    for each in inspect.signature(cls).parameters.values():
        bare = each.default in (None, each.empty) and taken.get(each.name) is None
        if bare and each.name in _PRESS and not enough:
            raise BadInput(f"{name} wraps another press: give it, as in {each.name}=KnormPress.")
        if bare and (each.default is each.empty or each.name in _NEEDED.get(name, ())):
            raise BadInput(f"{name} needs its parameter {each.name}.")
    try:
        made: BasePress = cls(**taken)
    except (AssertionError, TypeError, ValueError) as error:
        raise BadInput(f"{name} rejects its parameters: {error}.") from None
    return made
