"""Text at 80 columns; the lines of a traceback stay as they are."""

from __future__ import annotations

import textwrap


def wrapped(text: str, indent: str) -> str:
    """Wrap the first line at 80 columns; indent it and those that follow.

    >>> print(wrapped("one two", "  "))
    one two
    """
    first, *rest = text.split("\n")
    lines = textwrap.wrap(
        first, 80, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
        drop_whitespace=True,
    )  # fmt: skip
    return "\n".join([*(lines or [""]), *(indent + line for line in rest)])
