"""What people and programs see: one JSON document on stdout, tables and progress on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import click


def print_json(document: Any) -> None:
    """Write one JSON document, and nothing else, to stdout. NaN and infinities are refused."""
    click.echo(json.dumps(document, indent=2, allow_nan=False, default=_plain))


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
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str | None = None
) -> None:
    """Write a table for people to stderr; numbers are aligned right."""
    from rich.console import Console
    from rich.table import Table

    rows = [[readable(cell) for cell in row] for row in rows]
    table = Table(
        title=readable(title), caption=caption, title_justify="left", caption_justify="left"
    )
    for index, name in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in rows) and bool(rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    # A pipe has no width of its own: give it room, or the folded table is unreadable.
    width = None if sys.stderr.isatty() else 140
    Console(stderr=True, width=width, highlight=False, markup=False, emoji=False).print(table)


def _is_number(text: str) -> bool:
    head = text.split(" ")[0].rstrip("x%")
    try:
        float(head.split("/")[0] or "x")
    except ValueError:
        return text in {"", "-"}
    return True


def say(sentence: str) -> None:
    """One line for people, on stderr."""
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
