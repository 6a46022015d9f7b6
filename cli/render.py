"""What people and programs see: results on stdout, progress and warnings on stderr."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, Literal

import click


def print_json(document: Any) -> None:
    """Write one JSON document, and nothing else, to stdout. NaN and infinities are refused."""
    click.echo(json.dumps(document, indent=2, allow_nan=False, default=_plain))
    _DOCUMENTS.append(True)


_DOCUMENTS: list[bool] = []


def printed(forget: bool = False) -> bool:
    """Whether a document was printed since the last call that asked to ``forget``."""
    found = bool(_DOCUMENTS)
    if forget:
        _DOCUMENTS.clear()
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return float(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not plain data")


def prints_to_stderr() -> contextlib.AbstractContextManager[object]:
    """While a plug-in may be played inline: what it prints is none of our document.

    Around all of a play and not each call: batches may be played from threads, which share stdout.
    """
    return contextlib.redirect_stdout(sys.stderr)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    caption: str | None = None,
    width: int = 80,
) -> None:
    """Write a table for people to stdout; numbers are aligned right.

    ``width``: in characters where stdout is no terminal; a terminal has its own. Where a column
    would be narrower than a word of it, every row is a list of its cells, one a line.
    """
    from rich.console import Console
    from rich.table import Table

    rows = [[readable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    least = [_longest_word([name, *(row[i] for row in rows)]) for i, name in enumerate(columns)]
    if sum(least) + 3 * len(columns) - 1 > width:
        _print_rows(readable(title), columns, rows, readable(caption or ""), width)
        return
    table = Table(box=_rules(), pad_edge=False)
    for index, name in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in rows) and bool(rows)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(name, justify=justify, overflow="fold", min_width=least[index])
    for row in rows:
        table.add_row(*row)
    lines = io.StringIO()
    Console(file=lines, width=width, highlight=False, markup=False, emoji=False).print(table)
    click.echo(textwrap.fill(readable(title), width))
    for line in lines.getvalue().strip("\n").splitlines():
        click.echo(line.rstrip())
    if caption:
        click.echo(textwrap.fill(readable(caption), width))


def _longest_word(texts: Iterable[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=0)


def _print_rows(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str, width: int
) -> None:
    click.echo(textwrap.fill(title, width))
    for row in rows:
        click.echo()
        for name, cell in zip(columns, row, strict=True):
            if cell:
                click.echo(textwrap.fill(f"{name}: {cell}", width, subsequent_indent="  "))
    if caption:
        click.echo("\n" + textwrap.fill(caption, width))


def _rules() -> Any:
    """A rule below the header and nothing else: lines can be copied, and any terminal has them."""
    from rich import box

    return box.SIMPLE_HEAD if _writes("─") else box.ASCII2


def _writes(character: str) -> bool:
    try:
        character.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _is_number(text: str) -> bool:
    head = text.split(" ")[0].rstrip("x%")
    try:
        float(head.split("/")[0] or "x")
    except ValueError:
        return text in {"", "-"}
    return True


def tell(sentence: str) -> None:
    """A result for people on stdout: whole lines where it goes to a file, folded on a terminal."""
    text = readable(sentence)
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(textwrap.fill(line, width) or line for line in text.splitlines())
    click.echo(text)


def say(sentence: str) -> None:
    """What happens meanwhile, and what went wrong: one line on stderr."""
    click.echo(readable(sentence), err=True)


def readable(text: object) -> str:
    """Replace control characters, and characters that cannot be written, by question marks.

    Names may come from other people's files.

    >>> readable("a\\x1b[2Jb\\ud800"), readable("one\\n\\ttwo é")
    ('a?[2Jb?', 'one\\n\\ttwo é')
    """
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in str(text))


def number(value: float, digits: int = 4) -> str:
    """A number as people read it.

    >>> number(0.12345678), number(32768.0), number(1.5e-9), number(0.0)
    ('0.1235', '32768', '1.5e-09', '0')
    """
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.{digits}g}"
