"""One page a row of the referee's table, written when the site is built.

They are derived from ``figures/gallery/engines.csv`` and not committed: 150 pages that differ by
numbers of one table. Each has an address of its own to cite, what was played with which versions,
the command that plays it again, how to certify it, and how to contest it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engines_page import ERRORS, error, share, short
from kvbarrier.experiments.engines.findings import SHARES, Setting, settings

FOLDER = "engines-rows"


def slug(one: Setting) -> str:
    """The name of a setting's page: its permalink.

    >>> slug(Setting("hf:quantized", {"axis": 0, "nbits": 2}, "stream", "hqq", ""))
    'hf-quantized-axis-0-nbits-2-streamed'
    """
    return re.sub(r"[^a-z0-9]+", "-", short(one.name).lower()).strip("-")


def row_pages(gallery: Path) -> Iterator[tuple[str, str]]:
    """The names of all pages and their text."""
    for one in settings(gallery):
        yield slug(one), "\n".join([*_head(one), *_memories(one), *_lines(one), *_foot(one)]) + "\n"


def narrow_table(gallery: Path, page: str) -> str:
    """The referee's ``page`` with the few columns that a screen shows; a row leads to its own."""
    head, _, rest = page.partition("\n| setting |")
    out_of_reach = rest.partition("\n## Out of reach")
    lines = [
        "| setting | declared | sent | asking, literal | asking, rotated | reading | findings |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in settings(gallery):
        cells = [f"[{_plain(short(one.name))}]({FOLDER}/{slug(one)}.md)"]
        if one.lines:
            cells += [share(one.main[name]) for name in ("declared", "wire")]
            cells += [error(one.error(*way)) for way in ERRORS]
        else:
            cells += [""] * 5
        lines.append(f"| {' | '.join([*cells, _plain('; '.join(one.findings()))])} |")
    return head + "\n" + "\n".join(lines) + "\n" + "".join(out_of_reach[1:])


def command(one: Setting, line: Mapping[str, Any]) -> str:
    """What plays one line again, with fresh secrets: ``attack`` with the row's own game."""
    ways = {"feed": line["feed"], "bob": line["bob"]}
    said = {**one.params, **{k: v for k, v in ways.items() if v not in ("prefill", "asks")}}
    query = "&".join(f"{name}={value}" for name, value in said.items())
    sizes = ["--n", str(int(line["n"])), "--d", str(int(line["d"]))]
    target = one.target + (f"?{query}" if query else "")
    said_game = line.get("game")
    game = {"keys": "kerdock", **(json.loads(said_game) if isinstance(said_game, str) else {})}
    own = [(name, value) for name, value in game.items() if name not in ("d", "layers", "heads")]
    words = ["kvbarrier", "attack", target]
    words += [word for name, value in own for word in (f"--{name}", str(value))] + sizes
    for option, default in (("layers", 1), ("heads", 1)):
        if int(line[option]) != default:
            words += [f"--{option}", str(int(line[option]))]
    if line["basis"] != "literal":
        words += ["--basis", str(line["basis"])]
    return shlex.join([*words, "--messages", str(int(line["messages"]))])


def _head(one: Setting) -> list[str]:
    parts = [f"# {_plain(short(one.name))}", "",
             f"A row of [the referee's table](../engines-table.md), of the package "
             f"**{one.distribution}**."]  # fmt: skip
    if not one.lines:
        return [*parts, "", f"It could not be played: {'; '.join(one.failed)}.", ""]
    versions: Mapping[str, str] = json.loads(one.main["versions"])
    parts += ["Played with " + ", ".join(f"{name} {v}" for name, v in sorted(versions.items()))
              + f"; Alice and Bob apart by {one.main['isolation']}.", ""]  # fmt: skip
    said = [*one.findings(), one.note]
    return parts + [f"- {_plain(text)}" for text in said if text] + [""]


def _memories(one: Setting) -> list[str]:
    if not one.lines:
        return []
    return [
        "## Memory", "",
        "As shares of the 16-bit K and V cache ([what each is](../engines.md#the-columns)).", "",
        "| " + " | ".join(SHARES) + " |", "|" + "---|" * len(SHARES),
        "| " + " | ".join(share(one.main.get(name)) for name in SHARES) + " |", "",
    ]  # fmt: skip


def _lines(one: Setting) -> list[str]:
    if not one.lines:
        return []
    parts = [
        "## What is lost", "",
        "Wrong bits over asked bits, with the anytime-valid 95 % interval over messages.", "",
        "| basis | Bob | bit error | 95 % interval | messages | ledger | master key |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for (basis, bob), line in one.lines.items():
        parts.append(
            f"| {basis} | {bob} | {error(line['bit_error'])} | {line['low']:.3f} to "
            f"{line['high']:.3f} | {int(line['messages'])} | {line['ledger']} | "
            f"`{line['key'][:16]}…` |"
        )
    return [*parts, "", "The whole key of each line is in "
            "[the data](../../figures/gallery/engines.csv).", ""]  # fmt: skip


def _foot(one: Setting) -> list[str]:
    contest = [
        "## Contest it", "",
        "[Four steps](../engines.md#if-your-package-is-in-the-table-and-you-disagree): repeat the "
        "row with its versions, see which memory it uses, write the class to attack yourself, and "
        "open an issue with the results file, which replays.", "",
    ]  # fmt: skip
    if not one.lines:
        return contest
    commands = [command(one, line) for line in one.lines.values()]
    certified = f"{commands[0]} --resume row.csv --certificate row.json"
    return [
        "## Repeat it", "",
        "`make engines` installs the package with these versions. The secrets are fresh: every "
        "message is another draw of the same game.", "", "```console", *commands, "```", "",
        "## Certify it", "",
        "The certificate has the counts of each message; whoever distrusts us derives the "
        "statement again ([certificates](../certificates.md)).", "",
        "```console", certified, "kvbarrier verify row.json", "```", "", *contest,
    ]  # fmt: skip


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\`*_\[\]<>#|$])", r"\\\1", text)
