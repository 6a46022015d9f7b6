"""How an instance becomes a reduction: each imports its family when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import BadInput
from .instance import PLANTED

if TYPE_CHECKING:
    from ...reductions.reduction import Reduction
    from .instance import Instance


def _index(instance: Instance) -> Reduction:
    from ...reductions import keys
    from ...reductions.alphabet import AlphabetReduction
    from ...reductions.index import IndexReduction
    from ...reductions.linear_bob import LinearBob
    from ...reductions.stream_family import StreamFamily, rotated_keys

    rows = keys.make(instance.keys, instance.n, instance.d, instance.keys_seed)
    allowed: dict[str, Any] = {name: getattr(instance, name) for name in ("eta", "gamma", "scale")}
    if instance.levels is not None:
        return AlphabetReduction.build(rows, instance.d, levels=instance.levels, **allowed)
    if instance.bob == "linear":
        return LinearBob.build(rows, instance.d, values=instance.values, **allowed)
    turned = rotated_keys(rows) if instance.basis == "rotated" else rows
    index = IndexReduction.build(turned, instance.d, values=instance.values, **allowed)
    if not instance.varied:
        return index
    return StreamFamily(index, instance.layers, instance.heads, instance.queries, instance.basis)


def _planted(instance: Instance) -> Reduction:
    from ...reductions.planted import PlantedReduction

    return PlantedReduction.build(instance.reduction, **_placed(instance))


def _relative(instance: Instance) -> float:
    """Eta, for the reductions whose margins are proved for values {0,1} and a relative error."""
    if instance.eta is None or instance.values != "01":
        raise BadInput(
            f"The {instance.reduction} reduction's hypothesis is a (1 +- eta)-approximation of "
            "values in {0,1}: give eta and values 01."
        )
    return instance.eta


def _placed(instance: Instance) -> dict[str, Any]:
    """What such a reduction is built from, where it makes its keys itself."""
    return {
        "n": instance.n,
        "d": instance.d,
        "keys_name": instance.keys,
        "keys_seed": instance.keys_seed,
        "eta": _relative(instance),
        "scale": instance.scale,
    }


def _sliding_window(instance: Instance) -> Reduction:
    from ...reductions.sliding_window import SlidingWindowReduction

    return SlidingWindowReduction.build(window=instance.window, **_placed(instance))


def _tensor(instance: Instance) -> Reduction:
    from ...reductions.tensor import TensorReduction

    eta = _relative(instance)
    return TensorReduction.build(n=instance.n, d=instance.d, eta=eta, scale=instance.scale)


def _visual(instance: Instance) -> Reduction:
    from ...reductions.visual import VisualReduction

    return VisualReduction.build(**_placed(instance))


def _key_payload(instance: Instance) -> Reduction:
    from ...reductions.key_payload import KeyPayloadReduction

    assert instance.key_bits is not None
    hard = KeyPayloadReduction.build(
        n=instance.n,
        d=instance.d,
        b=instance.key_bits,
        eta=_relative(instance),
        scale=instance.scale,
    )
    hard.check_asked(instance.rows or hard.rows)
    return hard


BUILDERS: dict[str, Callable[[Instance], Reduction]] = {
    "index": _index,
    **dict.fromkeys(PLANTED, _planted),
    "sliding-window": _sliding_window,
    "tensor": _tensor,
    "visual": _visual,
    "key-payload": _key_payload,
}
