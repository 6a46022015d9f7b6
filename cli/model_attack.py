"""``kvbarrier attack TARGET --model config.json``: a sample of a whole model's cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import BadInput
from .options import COUNT, given
from .render import say, tell

if TYPE_CHECKING:
    from ..runs.model_sample import ModelSample

_OURS = ("n", "d", "layers", "heads", "rows")


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name a model and the sample of it."""
    options = [
        click.option("--model", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                     help="A model's config.json: attack a sample of its cache; layers, heads "
                          "and dimension are the model's."),
        click.option("--context", type=COUNT, default=131072, show_default=True,
                     help="Tokens in the cache, with --model."),
        click.option("--sample", metavar="PARTS",
                     help="What of the model is played, such as layers=2,heads=4,rows=256.  "
                          "[default: 1 layer, all its KV heads, 64 rows]"),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def sampled(
    game: dict[str, Any], model: Path | None, context: int, sample: str | None
) -> tuple[dict[str, Any], ModelSample | None]:
    """The words of the game with the model's own in place, and what is played of it.

    Without a model the game as it is. Raises BadInput for options that do not go together, and for
    a model or a sample that cannot be played.
    """
    if model is None:
        for option in given(("context", "sample")):
            raise BadInput(f"{option} has a meaning only with --model: give both, or neither.")
        return game, None
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
