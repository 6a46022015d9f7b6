"""``kvbarrier capture``: keys, queries and values of a real model into a file."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ..errors import BadInput
from . import options
from .render import print_json, say

#: the model that comes as a wheel
PACKAGED = "smollm2"
_MOST_BYTES = 1 << 26


@click.command(name="capture")
@click.argument("model")
@click.argument("text", type=options.READ)
@click.option(
    "--out",
    type=options.WRITE,
    required=True,
    help="The .npz file to write, for bound and attack --keys.",
)
@click.option(
    "--tokens",
    type=options.COUNT,
    default=512,
    show_default=True,
    help="Number of tokens to use, from the first one on.",
)
@click.option("--layers", metavar="0,5-7", help="Layers to keep.  [default: all]")
@click.option("--heads", metavar="0,2", help="KV heads to keep in each layer.  [default: all]")
@options.as_json
def command(
    model: str, text: Path, out: Path, tokens: int, layers: str | None, heads: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Run MODEL on the file TEXT, and keep what its caches hold and what its heads ask.

    MODEL is smollm2, whose weights come as a package, or a folder with a transformers model;
    nothing is downloaded. Keys are those of the cache, after the rotary embedding; queries are
    multiplied by the softmax scale, so that scores are <q,k>. Needs the engine environment hf
    (make engines).
    """
    from ..compressors.engines.natural.process import asked
    from ..files import refuse_place, replaced

    if out.suffix.lower() != ".npz":
        raise BadInput(f"{out} must have a name that ends in .npz.")
    refuse_place(out)
    if tokens < 2:
        raise BadInput(f"--tokens must be 2 or more, not {tokens}.")
    if model != PACKAGED and not Path(model).is_dir():
        raise BadInput(f"{model} is neither {PACKAGED} nor a folder with a transformers model.")
    request = {
        "model": None if model == PACKAGED else str(Path(model).resolve()),
        "text": _read(text),
        "tokens": tokens,
        "layers": numbers(layers, "--layers"),
        "heads": numbers(heads, "--heads"),
    }
    with replaced(out) as partial:
        answer = asked("capture", request | {"out": str(partial.resolve())})
    if as_json:
        print_json({"schema": 1, "file": str(out), **answer})
        return
    say(
        f"wrote {out}: {len(answer['layers'])} layers of {len(answer['heads'])} KV heads, each "
        f"with {answer['tokens']} keys and values of {answer['d']} numbers and the queries of "
        f"{answer['group']} heads; next: kvbarrier bound --keys {out} --norm p50"
    )


def numbers(text: str | None, option: str) -> list[int] | None:
    """Whole numbers such as "0,5-7", in order, each once; None for None.

    >>> numbers("5-7,0", "--layers")
    [0, 5, 6, 7]
    """
    if text is None:
        return None
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:-(\d{1,6}))?\s*", part)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise BadInput(f"{option} is a list of numbers such as 0,5-7, not '{text}'.")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return sorted(found)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise BadInput(f"{path} has more than {_MOST_BYTES} bytes: give a shorter text.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text.") from None
