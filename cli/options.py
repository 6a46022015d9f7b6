"""Option types that several verbs share."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..errors import BadInput

#: data tokens where the reduction's own construction says how many there can be
TOKENS = {"tensor": 64, "visual": 424}
DEFAULT_TOKENS = 512
#: as protocols.game.instances has them, which --help does not import
QUERY_POLICIES = ("zero", "gaussian", "self", "decoy")
BASES = ("literal", "rotated")
BOBS = ("threshold", "linear")
#: as compressors.captured.arrays has them
KEY_FILES = (".npy", ".npz", ".safetensors")


Option = Callable[[Callable[..., Any]], Callable[..., Any]]

#: over a week of play at a message a second
MOST_MESSAGES = 1 << 20
LONGEST_SECONDS = 7 * 24 * 3600.0
MESSAGES = click.IntRange(1, MOST_MESSAGES)
#: of tokens or levels, and coordinates of a head; what is below is judged by what it is for
COUNT = click.IntRange(max=1 << 40)
DIMENSION = click.IntRange(max=1 << 16)


#: a file to read, a file to write, a folder to write into
READ = click.Path(exists=True, dir_okay=False, path_type=Path)
WRITE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
keys = click.option(
    "--keys", default="jl", show_default=True,
    help="Public keys, see list keys; or a .npy, .npz or .safetensors file of a model's own keys, "
    "with --norm.",
)  # fmt: skip
seed = click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the random keys."
)
gamma = click.option("--gamma", type=float, help="Additive error instead of a multiplicative one.")
values = click.option(
    "--values", type=click.Choice(["01", "pm1"]), default="01", show_default=True,
    help="Alphabet of the values: {0,1} or {-1,+1}.",
)  # fmt: skip
alphabet = click.option(
    "--alphabet", type=COUNT, metavar="B",
    help="Levels of a value, B = 2^b for b bits per number: geometric with --eta, an even grid in "
    "[0,1] with --gamma.  [default: the two of --values]",
)  # fmt: skip
key_bits = click.option(
    "--key-bits", type=click.IntRange(1, 8),
    help="Bits in a secret coordinate of a key, for key-payload.  [default: 1]",
)  # fmt: skip


def workers(_ctx: click.Context, _param: click.Parameter, value: int | None) -> int | None:
    """Refuse more workers than this machine can use; the sentence names the most."""
    most = max(16, 4 * (os.cpu_count() or 1))
    if value is not None and value > most:
        raise BadInput(
            f"{value} workers are too many for this machine: give --workers {most} or less."
        )
    return value


def seconds(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    """Refuse anything but a time of at most a week."""
    if not 0 < value <= LONGEST_SECONDS:
        raise BadInput(
            f"--timeout {value:g} is not a time limit: give seconds, up to "
            f"{LONGEST_SECONDS:.0f} (one week)."
        )
    return value


def budgets(texts: tuple[str, ...]) -> tuple[Fraction | None, ...]:
    """Parse budgets, fractions of the 16-bit cache, given as '1/4', '0.25' or '1/4,1/2'.

    'free' is None, no limit. Raises BadInput outside (0, 2].

    >>> budgets(("1/4,0.5", "1", "free"))
    (Fraction(1, 4), Fraction(1, 2), Fraction(1, 1), None)
    """
    from ..compressors.plugin.values import number

    parsed: list[Fraction | None] = []
    for part in (part.strip() for text in texts for part in text.split(",")):
        if part == "free":
            parsed.append(None)
            continue
        try:
            near = number(part)
            # Exactly only what is in range: a huge power of ten takes hours.
            budget = Fraction(part) if 0 < near <= 2 else None
        except (ValueError, ZeroDivisionError):
            raise BadInput(
                f"the budget '{part}' is not a number: write 1/4, 0.25 or free."
            ) from None
        if budget is None or budget > 2:
            raise BadInput(
                f"the budget {part} must be in (0, 2]: it is a fraction of the 16-bit cache "
                "(1: all of it, 2: float32). 'free' sets no limit."
            )
        parsed.append(budget)
    return tuple(dict.fromkeys(parsed))


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """Parse repeated NAME=VALUE options; BadInput for another form or a repeated name."""
    parsed: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadInput(f"{option} {text} must have the form name=value.")
        if name in parsed:
            raise BadInput(f"{option} gives {name} twice: give it once.")
        parsed[name] = value
    return parsed


def given(names: Iterable[str]) -> list[str]:
    """Which of the running command's parameters the command line gives, as options."""
    context = click.get_current_context()
    return [
        next(max(p.opts, key=len) for p in context.command.params if p.name == name)
        for name in names
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]


def parameters(texts: tuple[str, ...]) -> dict[str, Any]:
    """Parse --param NAME=VALUE; BadInput as :func:`pairs`."""
    from ..compressors.plugin.values import parse_value

    return {name: parse_value(value) for name, value in pairs(texts, "--param").items()}


def sweeps(texts: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """Parse --sweep NAME=V1,V2; BadInput as :func:`pairs`."""
    from ..compressors.plugin.values import parse_value

    return {
        name: tuple(parse_value(value) for value in values.split(","))
        for name, values in pairs(texts, "--sweep").items()
    }


def numbers(text: str, option: str) -> tuple[Any, ...]:
    """Numbers between commas; BadInput for anything else.

    >>> numbers("8,4,1.5", "--k")
    (8, 4, 1.5)
    """
    from ..compressors.plugin.values import parse_value

    found = tuple(parse_value(part.strip()) for part in text.split(","))
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in found):
        raise BadInput(f"{option} {text} must be numbers between commas, such as 8,4,2.")
    return tuple(dict.fromkeys(found))


def declared(texts: tuple[str, ...]) -> dict[str, Any]:
    """The declaration of --expect words, by its field of an attack; BadInput for contradictions.

    Words of the command line go before a target's own, those of a project's file after them.
    """
    from ..compressors.plugin.declaration import Declaration

    if not texts:
        return {}
    source = click.get_current_context().get_parameter_source("expected")
    project = source is ParameterSource.DEFAULT_MAP
    return {"undeclared" if project else "declaration": Declaration.of_words(texts)}


expect_option = click.option(
    "--expect",
    "expected",
    multiple=True,
    metavar="WORD",
    help="What should hold: keeps=all, keeps=last:W, keeps=first:S,last:W or keeps=share:f; "
    "bits=b for each number of K and V, or bytes=b for each token; exact. Repeat the option. "
    "[default: what TARGET declares of itself]",
)


def together(*options: Option) -> Option:
    """Several options as one decorator; --help lists them in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


game_options = together(
    click.option("--reduction", default="index", show_default=True,
                 help="Reduction to play; see list reductions."),
    click.option("-n", "--n", type=COUNT,
                 help="Data tokens.  [default: 512; tensor 64, visual 424]"),
    click.option("-d", "--d", type=DIMENSION, default=64, show_default=True,
                 help="Head dimension."),
    keys,
    click.option("--norm", metavar="R",
                 help="For keys from a file: the largest norm of Bob's query, or a quantile "
                      "of the file's queries such as p50."),
    click.option("--at", metavar="LAYER.HEAD",
                 help="For keys from a file: the KV head.  [default: the only one]"),
    seed,
    click.option("--eta", type=float, help="Relative error to allow.  [default: 0.5]"),
    gamma,
    click.option("--scale", default="tight", show_default=True,
                 help="Scale of Bob's query: tight, closed, paper, or a number."),
    values,
    click.option("--rows", type=COUNT,
                 help="Number of random rows to ask for, for long streams: each row of a plug-in "
                      "has a Bob of its own.  [default: all]"),
    click.option("--window", type=COUNT,
                 help="Window size W of the sliding-window and sliding-layers reductions, "
                      "including Bob's token.  [default: 257]"),
    click.option("--every", type=click.IntRange(min=0), metavar="K",
                 help="In sliding-layers, each K-th layer attends to all tokens and the others "
                      "slide; 0: all slide.  [default: 6]"),
    key_bits,
    click.option("--beta", type=float,
                 help="Norm of Bob's query, for gaussian: q = beta k / sqrt(d).  "
                      "[default: 2]"),
)  # fmt: skip
"""The options that fix an instance of the Index game."""

stream_options = together(
    click.option("--layers", type=click.IntRange(1, 1 << 20), default=1, show_default=True,
                 help="Number of layers; each has its own keys and values."),
    click.option("--heads", type=click.IntRange(1, 1 << 20), default=1, show_default=True,
                 help="Heads per layer; each has its own keys and values."),
    click.option("--queries", type=click.Choice([*QUERY_POLICIES, "all"]), default="zero",
                 show_default=True,
                 help="Alice's queries; decoy attends to one set so that another is evicted."),
    click.option("--basis", type=click.Choice([*BASES, "all"]), default="literal",
                 show_default=True,
                 help="Keys and values unchanged (literal), or each turned by a public "
                      "rotation."),
    click.option("--schedule", metavar="FAMILY|FILE",
                 help="What Alice does to the cache beside feeding it: chunks, save, "
                      "speculate, beam, shift, turns, random, or a schedule in a JSON file. "
                      "--n then counts all tokens ever fed."),
    alphabet,
    click.option("--bob", type=click.Choice([*BOBS, "best"]), default="threshold",
                 show_default=True,
                 help="How Bob reads the answers: one at a time (threshold), all together "
                      "as linear equations (linear), or both (best). Each is judged by "
                      "the guarantee that it needs."),
)  # fmt: skip
"""The options that choose among the streams of the Index game."""

model_options = together(
    click.option("--model", type=READ,
                 help="A model's config.json: attack a sample of its cache; layers, heads "
                      "and dimension are the model's."),
    click.option("--context", type=COUNT, default=131072, show_default=True,
                 help="Tokens in the cache, with --model."),
    click.option("--sample", metavar="PARTS",
                 help="What of the model is played, such as layers=2,heads=4,rows=256.  "
                      "[default: 1 layer, all its KV heads, 64 rows]"),
)  # fmt: skip
"""The options that name a model and the sample of it."""


def game_words() -> click.Command:
    """The words of the game and of its streams, as a command of their own."""
    return click.command()(game_options(stream_options(lambda **_: None)))


def defaults() -> dict[str, Any]:
    """The words of the game with their defaults, as the command line has them.

    >>> defaults()["keys"], defaults()["n"]
    ('jl', None)
    """
    return dict(game_words().make_context("game", []).params)


def is_key_file(keys: str) -> bool:
    """Whether --keys names a file of keys, and not a family.

    >>> is_key_file("a/keys.npz"), is_key_file("kerdock")
    (True, False)
    """
    return keys.lower().endswith(KEY_FILES)


def scale(text: str) -> str | float:
    """Parse --scale; BadInput for anything but tight, closed, paper or a positive number."""
    if text in ("tight", "closed", "paper"):
        return text
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise BadInput(f"--scale must be tight, closed, paper or a positive number, not {text}.")
    return value


def instances(game: dict[str, Any]) -> list[Any]:
    """The instances that ``game_options`` and ``stream_options`` name: every combination of "all".

    Raises BadInput.
    """
    from ..protocols.game.instances import instance_of

    eta, gamma = game["eta"], game["gamma"]
    if eta is not None and gamma is not None:
        raise BadInput("give --eta or --gamma, not both: an error is multiplicative or additive.")
    reduction, n = game["reduction"], game["n"]
    own = is_key_file(game["keys"])
    if own:
        from ..compressors.captured.key_file import KeyFile

        if reduction not in ("index", "own-keys"):
            raise BadInput(f"--reduction {reduction} makes its own keys: leave --keys FILE out.")
        file, reduction = KeyFile(game["keys"]), "own-keys"
        if game["d"] not in (file.d, defaults()["d"]):
            raise BadInput(f"The keys in {file.path} have dimension {file.d}: leave --d out.")
        n, game = file.n if n is None else n, game | {"d": file.d}
    elif reduction != "own-keys" and (game.get("norm") or game.get("at")):
        raise BadInput("--norm and --at have a meaning only with --keys FILE: leave them out.")
    fields = {
        "reduction": reduction,
        "n": TOKENS.get(reduction, DEFAULT_TOKENS) if n is None else n,
        "eta": 0.5 if eta is None and gamma is None else eta,
        "scale": scale(game["scale"]),
        "keys_seed": game["seed"],
        "levels": game.get("alphabet"),
        "schedule": schedule(game.get("schedule")),
        **{name: game.get(name) for name in _FIELDS},
    }
    every = {"queries": QUERY_POLICIES, "basis": BASES, "bob": BOBS}
    choices = {
        name: every[name] if game.get(name) in ("all", "best") else (game.get(name),)
        for name in every
    }
    return [
        instance_of(fields | dict(zip(choices, chosen, strict=True)))
        for chosen in itertools.product(*choices.values())
    ]


def schedule(text: str | None) -> str | None:
    """A family's name as it is, a file's schedule as JSON text. Raises BadInput for neither."""
    if text is None:
        return None
    from ..protocols.life.families import FAMILIES
    from ..protocols.life.oracle import read_schedule

    if text in FAMILIES or not (text.endswith(".json") or os.path.exists(text)):
        return text
    return read_schedule(text).to_json()


_FIELDS = (
    "d", "keys", "values", "gamma", "rows", "window", "key_bits", "beta", "layers", "heads",
    "norm", "at", "every",
)  # fmt: skip


class _Lines:
    """Progress as plain lines on stderr: the first after some seconds, then ever more rarely."""

    FIRST = 10.0
    """Seconds."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._next = self.FIRST

    def __call__(self, stage: str, done: int, total: int) -> None:
        from .render import say

        passed = time.monotonic() - self._began
        if passed < self._next or not 0 < done < total:
            return
        self._next = 1.5 * passed
        left = passed * (total - done) / done
        say(f"{self._title} {stage}: {done} of at most {total}, at most {left:.0f} s left")


@contextmanager
def progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar with ETA on stderr; where that is no terminal, a line now and then."""
    if not sys.stderr.isatty():
        yield _Lines(title)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def tick(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        yield tick
