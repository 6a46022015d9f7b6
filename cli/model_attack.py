"""``kvbarrier attack TARGET --model config.json``: a sample of a whole model's cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .options import given
from .render import say, tell

if TYPE_CHECKING:
    from ..runs.model_sample import ModelSample

_OURS = ("n", "d", "layers", "heads", "rows")


def sampled(
    game: dict[str, Any], model: Path, context: int, sample: str | None
) -> tuple[dict[str, Any], ModelSample]:
    """The words of the game with the model's own in place, and what is played of it.

    Raises BadInput for options that do not go together, and for a model or a sample that cannot be
    played.
    """
    from ..runs.model_sample import parse_sample, sample_of
    from .model_bound import read_model

    for option in given(_OURS):
        raise BadInput(f"{option} has no meaning with --model: give --context and --sample.")
    if game["reduction"] != "index":
        raise BadInput("--model plays the index reduction: leave --reduction out.")
    wanted = {} if sample is None else parse_sample(sample)
    chosen = sample_of(read_model(model), context, wanted)
    game = game | chosen.fields()
    if not given(("keys",)):
        game["keys"] = chosen.keys(0.5 if game["eta"] is None else game["eta"])
    say(
        f"{chosen.model} at {chosen.context:,} tokens: {chosen.model_layers} {chosen.kind} layers "
        f"of {chosen.model_heads} KV heads, {chosen.tokens:,} x {chosen.d} each, are "
        f"{chosen.cache_bytes / (1 << 30):.1f} GiB in 16 bits. Played: layers={chosen.layers}, "
        f"heads={chosen.heads}, rows={chosen.rows}, {game['keys']} keys."
    )
    return game, chosen


def tell_sample(chosen: ModelSample) -> None:
    """What the numbers above speak of."""
    rest = f" Not played: {chosen.left_out}." if chosen.left_out else ""
    tell(
        f"Sampled: {chosen.layers} of {chosen.model_layers} layers, {chosen.heads} of "
        f"{chosen.model_heads} heads, {chosen.rows:,} of {chosen.tokens:,} rows. The verdict, the "
        "interval and the ledger speak of the heads that were played; with sampled rows the ledger "
        f"is the two-term bound.{rest} A TARGET that treats heads one at a time is charged "
        f"{chosen.times:g} times as much for all of these layers."
    )
