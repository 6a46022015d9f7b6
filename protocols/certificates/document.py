"""Certificates as files: read with suspicion, field by field, and written in one canonical way.

A certificate may come from anybody. So a file is read up to a limit, and only if it is a plain
file. JSON with repeated names, fractional numbers (``0.5``, ``1e9``), NaN or very long integers is
refused. Every object must have exactly the expected names, every number a stated range and every
text a stated form, in printable ASCII. Any error is a BadInput of one sentence. Numbers that are
not integers are texts, ``"p/q"`` in lowest terms.

``sha256`` is that of the document without it, as canonical JSON: it separates a damaged file from
a false one, and proves nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import stat
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...errors import BadInput, did_you_mean

FORMAT = "kvbarrier-certificate"
VERSION = 1
#: the most bytes of a certificate: 4,096 keys of 128 numbers and a query for each
LARGEST_FILE = 8 << 20
#: how deep objects and lists may be nested
DEEPEST = 8
#: the most digits of an integer, as a number or within a fraction
LONGEST = 60

_FRACTION = re.compile(rf"(0|[1-9][0-9]{{0,{LONGEST - 1}}})(?:/([1-9][0-9]{{0,{LONGEST - 1}}}))?")


def read_document(path: Path | str) -> dict[str, Any]:
    """The JSON object in a file; BadInput for anything else, without reading beyond the limit."""
    path = Path(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise BadInput(f"{path} is not a plain file: name a certificate.")
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    return parse_document(data)


def parse_document(data: bytes) -> dict[str, Any]:
    """The same from bytes.

    >>> parse_document(b'{"a": [1, "1/2"]}')
    {'a': [1, '1/2']}
    """
    if len(data) > LARGEST_FILE:
        raise BadInput(f"A certificate has at most {LARGEST_FILE} bytes, and this file has more.")
    try:
        document = json.loads(
            data.decode(),
            parse_int=_integer,
            parse_float=_no_float,
            parse_constant=_no_float,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError:
        raise BadInput("The file is not a certificate: it is not UTF-8 text.") from None
    except json.JSONDecodeError as error:
        raise BadInput(
            f"The file is not a certificate: it is not JSON (line {error.lineno}, column "
            f"{error.colno}: {error.msg})."
        ) from None
    except RecursionError:
        raise BadInput("The file is not a certificate: its JSON is nested too deeply.") from None
    if not isinstance(document, dict):
        raise BadInput(f"A certificate is a JSON object, not {shown(document)}.")
    _check_depth(document)
    return document


def _check_depth(document: dict[str, Any]) -> None:
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
    if any(isinstance(value, dict | list) for value in level):
        raise BadInput(f"The file is not a certificate: its JSON is nested over {DEEPEST} deep.")


def _integer(text: str) -> int:
    if len(text) > LONGEST:
        raise BadInput(f"The number {text[:12]}... has {len(text)} digits: at most {LONGEST}.")
    return int(text)


def _no_float(text: str) -> Any:
    raise BadInput(
        f"The number {text[:20]} is not an integer: a certificate has integers, and "
        'fractions as "p/q".'
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise BadInput(f"The name {shown(twice)} occurs twice in one object.")
    return names


def shown(value: Any) -> str:
    """A foreign value for a sentence: short, in ASCII.

    >>> shown("caf\\u00e9"), shown(list(range(100)))
    ('"caf\\\\u00e9"', 'a list')
    """
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


class Fields:
    """An object of a certificate with exactly the names expected; ``where`` is for sentences."""

    def __init__(self, value: Any, where: str, names: tuple[str, ...]) -> None:
        self._where = where
        if not isinstance(value, dict):
            raise BadInput(f"{where} must be an object, not {shown(value)}.")
        for name in names:
            if name not in value:
                raise BadInput(f"{where} has no '{name}'.")
        for name in value:
            if name not in names:
                raise BadInput(
                    f"{where} has {shown(name)}, which no certificate of this version has."
                    f"{did_you_mean(name[:40], names) if name.isascii() else ''}"
                )
        self._value = value

    def __getitem__(self, name: str) -> Any:
        return self._value[name]

    def integer(self, name: str, low: int, high: int) -> int:
        """An integer from low to high."""
        return self._checked_integer(self._value[name], f"'{name}'", low, high)

    def integers(self, name: str, low: int, high: int, most: int) -> list[int]:
        """A list of 1 to ``most`` such integers."""
        values = self.items(name, most)
        return [self._checked_integer(v, f"'{name}'", low, high) for v in values]

    def items(self, name: str, most: int) -> list[Any]:
        """A list of 1 to ``most`` values of any kind."""
        values = self._value[name]
        if not isinstance(values, list) or not 1 <= len(values) <= most:
            what = f"{len(values)} items" if isinstance(values, list) else shown(values)
            raise BadInput(f"'{name}' of {self._where} is a list of 1 to {most} items, not {what}.")
        return values

    def fraction(self, name: str) -> Fraction:
        """A nonnegative fraction "p" or "p/q" in lowest terms."""
        text = self._value[name]
        match = _FRACTION.fullmatch(text) if isinstance(text, str) else None
        if match is not None:
            value = Fraction(int(match[1]), int(match[2] or 1))
            if str(value) == text:
                return value
        raise BadInput(
            f"'{name}' of {self._where} is a fraction \"p/q\" in lowest terms of at most {LONGEST} "
            f"digits each, not {shown(text)}."
        )

    def text(self, name: str, form: str, expected: str) -> str:
        """A text of this form, a regular expression; ``expected`` says it in words."""
        value = self._value[name]
        if not isinstance(value, str) or re.fullmatch(form, value) is None:
            raise BadInput(f"'{name}' of {self._where} is {expected}, not {shown(value)}.")
        return value

    def rows(self, name: str) -> bytes:
        """The bytes of a text in base64, in its one canonical form."""
        text = self._value[name]
        try:
            data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
        except (binascii.Error, ValueError):
            data = b""
        if not data or base64.b64encode(data).decode() != text:
            raise BadInput(
                f"'{name}' of {self._where} is the base64 text of float32 numbers, little endian."
            )
        return data

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        """One of a few words."""
        value = self._value[name]
        if not isinstance(value, str) or value not in known:
            hint = did_you_mean(value[:40], known) if isinstance(value, str) else ""
            hint = hint if hint.isascii() else ""
            raise BadInput(f"'{name}' of {self._where} is {shown(value)}.{hint}")
        return value

    def _checked_integer(self, value: Any, name: str, low: int, high: int) -> int:
        if type(value) is not int or not low <= value <= high:
            raise BadInput(
                f"{name} of {self._where} is an integer from {low} to {high}, not {shown(value)}."
            )
        return value


def digest(document: dict[str, Any]) -> str:
    """SHA-256 of the document without its ``sha256``, in canonical JSON: 64 hexadecimal digits."""
    rest = {name: value for name, value in document.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(kind: str, made_by: str, parts: dict[str, Any]) -> dict[str, Any]:
    """The document of a kind: what every certificate has, the parts of this one, and its digest."""
    document = {"format": FORMAT, "version": VERSION, "kind": kind, "made_by": made_by, **parts}
    return {**document, "sha256": digest(document)}


def check_seal(document: dict[str, Any]) -> None:
    """BadInput unless it is a certificate of this version with its own digest."""
    if document.get("format") != FORMAT or type(document.get("version")) is not int:
        raise BadInput(f"The file is not a certificate: its 'format' is not '{FORMAT}'.")
    if document["version"] != VERSION:
        raise BadInput(
            f"The certificate has version {shown(document['version'])}, and this program reads "
            f"version {VERSION}."
        )
    if document.get("sha256") != digest(document):
        raise BadInput(
            "The certificate was changed or damaged: its 'sha256' is not that of its contents."
        )


def document_text(document: dict[str, Any]) -> str:
    """The text of the file: names in order of reading, two spaces deep, lists on one line.

    >>> print(document_text({"a": [1, [2, 3]], "b": {"c": "x"}}), end="")
    {
      "a": [1, [2, 3]],
      "b": {
        "c": "x"
      }
    }
    """
    return _lines(document, "") + "\n"


def _lines(value: Any, indent: str) -> str:
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return _block("[", "]", [_lines(item, indent + "  ") for item in value], indent)
    if isinstance(value, dict):
        parts = [f"{json.dumps(k)}: {_lines(v, indent + '  ')}" for k, v in value.items()]
        return _block("{", "}", parts, indent)
    return json.dumps(value, allow_nan=False)


def _block(opening: str, closing: str, parts: list[str], indent: str) -> str:
    inner = f",\n{indent}  ".join(parts)
    return f"{opening}\n{indent}  {inner}\n{indent}{closing}"
